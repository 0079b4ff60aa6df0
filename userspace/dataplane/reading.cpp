// Reads the state from the maps: first each map, an array as far as it was ever used, then their
// entries become the values of control, some of them per step.
#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/codec.hpp"
#include "dataplane/data_plane_over_maps.hpp"

namespace sluice::dataplane {
namespace {

// A listener and a pool need further look-ups, a member none.
constexpr std::size_t vips_in_a_step = 512, listeners_in_a_step = 128, pools_in_a_step = 128,
                      members_in_a_step = 1024;

}  // namespace

class DataPlaneOverMaps::ReadingOfMaps : public control::Reading {
 public:
  explicit ReadingOfMaps(DataPlaneOverMaps& maps) : maps_(maps) {}

  Result<bool> step() override {
    using Step = Result<bool> (ReadingOfMaps::*)();
    static constexpr std::array steps{
        Step{&ReadingOfMaps::read_vips},      Step{&ReadingOfMaps::read_allowed_sources},
        Step{&ReadingOfMaps::read_listeners}, Step{&ReadingOfMaps::read_idle_times},
        Step{&ReadingOfMaps::read_ranges},    Step{&ReadingOfMaps::read_pools},
        Step{&ReadingOfMaps::read_rings},     Step{&ReadingOfMaps::read_members},
        Step{&ReadingOfMaps::read_drains},    Step{&ReadingOfMaps::read_owners},
        Step{&ReadingOfMaps::some_vips},      Step{&ReadingOfMaps::some_listeners},
        Step{&ReadingOfMaps::some_members},   Step{&ReadingOfMaps::some_pools},
    };
    const auto done = (this->*steps[step_])();
    if (!done) return done;
    if (*done) {
      ++step_;
      next_ = 0;
    }
    return step_ == steps.size();
  }
  DataPlaneState take() override { return std::exchange(state_, {}); }

 private:
  // Keeps what was read for the steps to come.
  template <typename T>
  static Result<bool> keep(T& kept, Result<T> read) {
    if (!read) return tl::unexpected(std::move(read.error()));
    kept = std::move(*read);
    return true;
  }
  Result<bool> read_allowed_sources() {
    return keep(allowed_, maps_.allowed_sources_.by_listener());
  }
  Result<bool> read_listeners() { return keep(listeners_, maps_.listener_entries()); }
  Result<bool> read_ranges() { return keep(ranges_, maps_.listener_ranges_.all()); }
  Result<bool> read_pools() {
    return keep(pools_, maps_.pools_.entries(maps_.pool_indices_.end()));
  }
  Result<bool> read_rings() {
    return keep(rings_, maps_.rings_.map_ids(maps_.pool_indices_.end()));
  }
  Result<bool> read_members() {
    return keep(members_, maps_.members_.entries(maps_.member_indices_.end()));
  }
  Result<bool> read_drains() {
    return keep(drains_, maps_.member_drains_.all(maps_.member_indices_.end()));
  }
  Result<bool> read_owners() {
    return keep(owners_, maps_.member_load_balancers_.entries(maps_.member_indices_.end()));
  }

  // Listeners are in banks, each of which is used from its beginning on.
  Result<bool> read_idle_times() {
    for (const auto& [begin, end] : maps_.listener_indices_.used_ranges()) {
      const auto words = maps_.listener_idle_.entries(end - begin, begin);
      if (!words) return tl::unexpected(words.error());
      idle_.resize(std::max<std::size_t>(idle_.size(), end));
      for (const auto& [index, word] : *words) idle_.at(index) = word;
    }
    return true;
  }

  Result<bool> read_vips() {
    const auto vips4 = maps_.vips4_.entries();
    if (!vips4) return tl::unexpected(vips4.error());
    const auto vips6 = maps_.vips6_.entries();
    if (!vips6) return tl::unexpected(vips6.error());
    vips_.reserve(vips4->size() + vips6->size());
    for (const auto& [address, vip] : *vips4) vips_.emplace_back(ipv4_from_be32(address), vip);
    for (const auto& [address, vip] : *vips6) vips_.emplace_back(from_map(address, true), vip);
    std::ranges::sort(vips_, {}, &Vip::first);
    return true;
  }

  Result<bool> some_vips() {
    for (std::size_t i = 0; i < vips_in_a_step && next_ < vips_.size(); ++i, ++next_) {
      const auto& [address, vip] = vips_[next_];
      state_.vips.emplace_hint(state_.vips.end(), address, from_map(vip));
    }
    return next_ == vips_.size();
  }

  Result<bool> some_listeners() {
    for (std::size_t i = 0; i < listeners_in_a_step && next_ < listeners_.size(); ++i, ++next_) {
      const auto& [key, listener] = listeners_[next_];
      if (auto done = add_listener(key, listener); !done) return tl::unexpected(done.error());
    }
    return next_ == listeners_.size();
  }

  Result<void> add_listener(const control::ListenerKey& key, const sluice_listener& listener) {
    auto& entry = state_.listeners[key] = from_map(listener);
    name_pool(key, listener.pool, entry);
    const auto address = control::unmapped(key.address);
    const auto vip = std::ranges::lower_bound(vips_, address, {}, &Vip::first);
    if (vip != vips_.end() && vip->first == address)
      entry.load_balancer = from_map(vip->second.load_balancer);
    if (listener.index < idle_.size()) read_idle_word(idle_[listener.index], entry);
    entry.last_port = ranges_.last_port(key, listener.index);
    const auto networks = allowed_.find(listener.index);
    if (listener.flags & SLUICE_LISTENER_RESTRICTED && networks != allowed_.end()) {
      entry.allowed_cidrs = networks->second;
    }
    return maps_.read_sources(key, listener, entry);
  }

  // An IPv4 listener's entry of the wrong IP version doesn't count, because none of its members
  // could be reached.
  void name_pool(const control::ListenerKey& key, std::uint32_t index,
                 control::ListenerEntry& entry) const {
    if (index >= pools_.size()) return;
    const auto pool = key_from_map(pools_[index].second);
    if (key.address.is_v4() && pool.ipv6) return;
    entry.pool = pool.id;
    if (key.address.is_v6()) entry.other_version = !pool.ipv6;
  }

  Result<bool> some_members() {
    for (std::size_t i = 0; i < members_in_a_step && next_ < members_.size(); ++i, ++next_) {
      const auto& [index, member] = members_[next_];
      const auto id = from_map(member.id);
      if (id.is_nil() || is_removed(member)) continue;
      auto& entry = state_.members[id] = from_map(member);
      read_drain(drains_.at(index), entry);
      entry.load_balancer = from_map(owners_.at(index).second);
    }
    return next_ == members_.size();
  }

  Result<bool> some_pools() {
    for (std::size_t i = 0; i < pools_in_a_step && next_ < pools_.size(); ++next_) {
      const auto& [index, pool] = pools_[next_];
      const auto key = key_from_map(pool);
      if (key.id.is_nil()) continue;
      ++i;
      const auto ring = maps_.rings_.get(index, rings_);
      if (!ring) return tl::unexpected(ring.error());
      add_ring(pool, *ring, state_.pools[key] = from_map(pool));
    }
    return next_ == pools_.size();
  }

  void add_ring(const sluice_pool& pool, const Ring& ring, control::PoolEntry& entry) const {
    for (const auto element : ring) {
      const auto slot = SLUICE_RING_MEMBER(element);
      entry.ring.push_back(slot < members_.size() ? from_map(members_[slot].second.id) : Uuid{});
      if (pool.algorithm == SLUICE_LEAST_CONNECTIONS) {
        entry.weights.push_back(static_cast<std::uint16_t>(SLUICE_RING_WEIGHT(element)));
      }
    }
  }

  DataPlaneOverMaps& maps_;
  std::size_t step_ = 0, next_ = 0;  // the step, and the first entry that it has yet to look at
  using Vip = std::pair<IpAddress, sluice_vip>;
  std::vector<Vip> vips_;  // sorted
  AllowedSources::ByListener allowed_;
  std::vector<std::pair<control::ListenerKey, sluice_listener>> listeners_;
  std::vector<std::uint32_t> idle_;  // by the listener's index
  ListenerRanges::All ranges_;
  std::vector<std::pair<std::uint32_t, sluice_pool>> pools_;
  Rings::MapIds rings_;
  std::vector<std::pair<std::uint32_t, sluice_member>> members_;
  std::vector<sluice_member_drain> drains_;
  std::vector<std::pair<std::uint32_t, sluice_id>> owners_;
  DataPlaneState state_;  // since the last take()
};

std::unique_ptr<control::Reading> DataPlaneOverMaps::begin_to_read() {
  return std::make_unique<ReadingOfMaps>(*this);
}

Result<DataPlaneState> DataPlaneOverMaps::read() {
  ReadingOfMaps reading(*this);
  DataPlaneState whole;
  while (true) {
    const auto done = reading.step();
    if (!done) return tl::unexpected(done.error());
    auto part = reading.take();
    whole.vips.merge(part.vips);
    whole.listeners.merge(part.listeners);
    whole.pools.merge(part.pools);
    whole.members.merge(part.members);
    if (*done) return whole;
  }
}

}  // namespace sluice::dataplane
