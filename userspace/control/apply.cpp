#include "control/apply.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace sluice::control {
namespace {

// Tells what an operation lacks; empty if nothing. diff() orders operations so that nothing is
// missing, unless an earlier one was refused.
struct Obstacle {
  const DataPlaneState& actual;

  std::string operator()(const PutListener& o) const {
    const bool missing =
        !o.entry.pool.is_nil() && !actual.pools.contains(pool_entry_of(o.key, o.entry));
    return missing ? "its pool is not in the data plane" : "";
  }
  std::string operator()(const RemovePool& o) const {
    const bool named = std::any_of(
        actual.listeners.begin(), actual.listeners.end(),
        [&](const auto& entry) { return pool_entry_of(entry.first, entry.second) == o.key; });
    return named ? "a listener still names it" : "";
  }
  std::string operator()(const RemoveMember& o) const { return in_a_ring(o.id); }
  std::string operator()(const PutMember& o) const { return o.entry.usable ? "" : in_a_ring(o.id); }
  template <typename Other>
  std::string operator()(const Other&) const {
    return "";
  }

  std::string in_a_ring(const Uuid& member) const {
    const bool named =
        std::any_of(actual.pools.begin(), actual.pools.end(), [&](const auto& entry) {
          const auto& ring = entry.second.ring;
          return std::find(ring.begin(), ring.end(), member) != ring.end();
        });
    return named ? "a ring still names it" : "";
  }
};

// Reduces a pool to the members that exist: a ring that is not updated would go on serving dead
// ones.
Operation with_members_at_hand(Operation operation, const DataPlaneState& actual) {
  if (auto* pool = std::get_if<PutPool>(&operation)) {
    std::erase_if(pool->entry.ring, [&](const Uuid& id) {
      const auto member = actual.members.find(id);
      return member == actual.members.end() || !member->second.usable;
    });
  }
  return operation;
}

// Makes an operation that puts an entry put the one that is desired now; false: none is.
struct Renewal {
  const DataPlaneState& desired;

  bool operator()(PutVip& o) const {
    // The desired state doesn't have addresses that are leaving.
    if (o.entry.leaving) return !desired.vips.contains(o.address);
    return renew(desired.vips, o.address, o.entry);
  }
  bool operator()(PutListener& o) const { return renew(desired.listeners, o.key, o.entry); }
  bool operator()(PutPool& o) const { return renew(desired.pools, o.key, o.entry); }
  bool operator()(PutMember& o) const { return renew(desired.members, o.id, o.entry); }
  bool operator()(RemoveVip& o) const { return !desired.vips.contains(o.address); }
  bool operator()(RemoveListener& o) const { return !desired.listeners.contains(o.key); }
  bool operator()(RemovePool& o) const { return !desired.pools.contains(o.key); }
  bool operator()(RemoveMember& o) const { return !desired.members.contains(o.id); }

  template <typename Entries, typename Key, typename Entry>
  static bool renew(const Entries& entries, const Key& key, Entry& entry) {
    const auto found = entries.find(key);
    if (found == entries.end()) return false;
    entry = found->second;
    return true;
  }
};

}  // namespace

// Returns the position behind the last of the next pools.
std::size_t Application::end_of_pools() const {
  std::size_t pools = 0, end = next_;
  for (auto at = next_; at < operations_.size() && pools < pools_at_once_; ++at) {
    if (!std::holds_alternative<PutPool>(operations_[at])) continue;
    pools++;
    end = at + 1;
  }
  return end;
}

// Returns the operation as it should be now; nullopt: it has become obsolete.
std::optional<Operation> Application::renewed(const Operation& planned,
                                              const DataPlaneState& desired) const {
  std::optional<Operation> operation(planned);
  if (renews_ && !std::visit(Renewal{desired}, *operation)) operation.reset();
  return operation;
}

std::vector<Operation> Application::some(std::size_t from, std::size_t most,
                                         const DataPlaneState& desired) const {
  std::vector<Operation> result;
  for (auto at = from; at < operations_.size() && at - from < most; ++at) {
    if (auto operation = renewed(operations_[at], desired)) result.push_back(std::move(*operation));
  }
  return result;
}

void Application::step(DataPlane& data_plane, DataPlaneState& actual,
                       const DataPlaneState& desired) {
  // The members of rings are there before the first pool is.
  if (next_ >= expected_ && std::holds_alternative<PutPool>(operations_[next_])) {
    expected_ = end_of_pools();
    data_plane.expect(std::span(operations_).subspan(next_, expected_ - next_));
  }
  const auto wanted = renewed(operations_[next_++], desired);
  if (!wanted) return;
  const auto& planned = *wanted;
  auto operation = planned;
  if (!refusals_.empty()) {
    operation = with_members_at_hand(std::move(operation), actual);
    if (auto why = std::visit(Obstacle{actual}, operation); !why.empty()) {
      refusals_.push_back({planned, Error{ErrorKind::conflict, std::move(why), "", 0}});
      return;
    }
  }
  if (auto done = data_plane.apply(operation); !done) {
    refusals_.push_back({planned, std::move(done.error())});
    return;
  }
  apply_to(actual, operation);
  if (operation != planned) {
    refusals_.push_back({planned, Error{ErrorKind::conflict, "it lacks members", "", 0}});
  }
}

std::vector<Refusal> apply_all(DataPlane& data_plane, std::vector<Operation> operations,
                               DataPlaneState& actual) {
  Application application;
  application.plan(std::move(operations));
  static const DataPlaneState nothing_newer;
  while (!application.is_done()) application.step(data_plane, actual, nothing_newer);
  return std::move(application.refusals());
}

}  // namespace sluice::control
