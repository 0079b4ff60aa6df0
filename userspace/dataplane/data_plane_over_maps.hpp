// DataPlaneOverMaps: the class behind BpfDataPlane::open(). Private to dataplane/; its functions
// are in bpf_data_plane.cpp (start, reading back), data_plane_operations.cpp (what the controller
// changes), removed_members.cpp (what is left of members) and data_plane_queries.cpp (counters,
// flows, next hops, interfaces).
#pragma once

#include <bpf/libbpf.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "attachment/interface_slots.hpp"
#include "dataplane/address_filters.hpp"
#include "dataplane/allowed_sources.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "dataplane/index_table.hpp"
#include "dataplane/inspection_of_maps.hpp"
#include "dataplane/listener_banks.hpp"
#include "dataplane/listener_ranges.hpp"
#include "dataplane/load_balancer_banks.hpp"
#include "dataplane/member_drains.hpp"
#include "dataplane/rings.hpp"
#include "dataplane/slow_lane.hpp"
#include "dataplane/snat_sources.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/counters.h"
#include "maps/handshake.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/store_position.h"
#include "maps/suspicion.h"
#include "maps/tunnel.h"
#include "maps/vip.h"

namespace sluice::dataplane {

using control::Counters;
using control::DataPlaneState;

struct CloseRingBuffer {
  void operator()(ring_buffer* buffer) const { ring_buffer__free(buffer); }
};

class DataPlaneOverMaps : public BpfDataPlane {
 public:
  // `lane` is null if there is no event loop to keep free.
  DataPlaneOverMaps(kernel::Program program, std::optional<kernel::PinDirectory> pins,
                    SlowLane* lane)
      : shared_program_(std::make_shared<const kernel::Program>(std::move(program))),
        pins_(std::move(pins)),
        lane_(lane) {}
  ~DataPlaneOverMaps() override;
  DataPlaneOverMaps(const DataPlaneOverMaps&) = delete;
  DataPlaneOverMaps& operator=(const DataPlaneOverMaps&) = delete;

  // The second half of construction: reads what an earlier daemon left in the maps.
  Result<void> recover();

  model::Supported supported() const override;
  Result<DataPlaneState> read() override;
  std::unique_ptr<control::Reading> begin_to_read() override;
  Result<void> apply(const control::Operation& operation) override {
    return std::visit([this](const auto& one) { return run(one); }, operation);
  }
  Result<std::optional<bool>> holds(const std::vector<control::Operation>& operations) override;
  Result<Counters> listener_counters(const Uuid& listener) override {
    return counters(listener_counters_, listener_indices_.find(listener));
  }
  Result<Counters> member_counters(const Uuid& member) override {
    return counters(member_counters_, member_indices_.find(member));
  }
  Result<control::CountersById> all_listener_counters() override {
    return all_counters_of(listener_counters_, listener_indices_);
  }
  Result<control::CountersById> all_member_counters() override {
    return all_counters_of(member_counters_, member_indices_);
  }
  Result<control::HandshakesById> all_handshakes() override;
  void expect(std::span<const control::Operation> operations) override;
  Result<std::vector<control::ReasonCount>> reason_counters() override;
  Result<std::vector<control::RemovedMember>> removed_members() override;
  Result<control::RemovedMembersOver> give_up_removed() override;
  Result<std::vector<control::TableFill>> flow_tables() override;
  Result<void> renew_next_hops() override;
  Result<store::Position> store_position() override;
  Result<void> note_store_position(const store::Position& position) override;
  bool inspect(control::Inspecting work, const control::Asker& asker) override;
  bool wants_sweep() override { return inspection_->wants_sweep(); }
  void expire_flows(std::function<void(Result<control::ExpiryReport>)> done) override;
  bool wants_short_sweep() override {
    return !short_listeners_.empty() || inspection_->flows_are_marked();
  }
  void expire_short(std::function<void(Result<control::ShortExpiryReport>)> done) override;
  void reload(std::function<void(Result<control::Reloaded>)> done) override;
  Result<std::vector<control::AttachedInterface>> interfaces() override;

  const kernel::Program& program() const override { return program_; }
  int notices_fd() const override { return ring_buffer__epoll_fd(notices_.get()); }
  Result<Notices> take_notices() override;
  Result<std::vector<std::string>> refresh_interface_macs() override;
  Result<std::vector<std::uint32_t>> set_vlans(
      const std::vector<attachment::InterfaceSlots::Vlan>& vlans) override {
    return slots_.set_vlans(vlans);
  }
  Result<void> set_hash_key(const sluice_hash_key& key) override { return hash_key_.put(0, key); }
  Result<void> set_tunnel_sources(const std::vector<IpNetwork>& networks) override;
  Result<void> record_one_of(std::uint32_t connections) override;

 private:
  class ReadingOfMaps;
  Result<void> run(const control::PutVip& put);
  Result<void> run(const control::RemoveVip& remove);
  Result<void> run(const control::PutListener& put);
  Result<void> run(const control::RemoveListener& remove);
  Result<void> run(const control::PutPool& put);
  Result<void> run(const control::RemovePool& remove);
  Result<void> run(const control::PutMember& put);
  Result<void> run(const control::RemoveMember& remove);

  using Held = Result<std::optional<bool>>;  // nullopt: only read() can tell
  Held held(const control::PutVip& put) const;
  Held held(const control::RemoveVip& remove) const;
  Held held(const control::PutListener& put) const;
  Held held(const control::RemoveListener& remove) const;
  Held held(const control::PutPool& put);
  Held held(const control::RemovePool& remove) const;
  Held held(const control::PutMember& put) const;
  Held held(const control::RemoveMember& remove) const;
  Result<std::optional<sluice_listener>> find_listener(const control::ListenerKey& key) const;

  // Rebuilds the filters without removed addresses. Removed members keep theirs as long as they may
  // have flows.
  Result<void> rebuild_address_filters();
  // Finds out for how many objects the maps have room, and makes tables of that size.
  Result<void> measure();
  Result<void> recover_members();
  Result<void> recover_pools();
  Result<void> recover_listeners();
  Result<void> recover_listener(const control::ListenerKey& key, const sluice_listener& listener,
                                std::uint32_t idle_word);
  // The load balancer whose address this is; nil: nobody's, or a process has ended between two
  // writes.
  Result<Uuid> owner_of(const IpAddress& address) const;
  // The listener's index, which is in its load balancer's bank.
  Result<std::uint32_t> listener_index_for(const control::ListenerEntry& entry);
  Result<void> open_ring_buffers();

  Result<Counters> counters(const kernel::CounterMap<sluice_counters>& map,
                            std::optional<std::uint32_t> index) const;
  // Says whether flows may be counted under the index, also replicas of other nodes' connections
  // (maps/replica.h).
  bool may_have_flows(const kernel::CounterMap<sluice_counters>& map,
                      const kernel::ArrayMap<std::uint32_t>& active, std::uint32_t index) const;
  Result<void> mark_removed(std::uint32_t index, const sluice_member& member);
  Result<bool> give_up_removed(std::uint32_t index, std::vector<control::RemovedMember>& given_up);
  static Result<control::CountersById> all_counters_of(
      const kernel::CounterMap<sluice_counters>& map, const IndexTable& table);
  // The object's index, or a new one whose counters start at zero; `zero` resets further counters.
  using Zero = std::function<Result<void>(std::uint32_t index)>;
  Result<std::uint32_t> index_for(IndexTable& table, const kernel::CounterMap<sluice_counters>& map,
                                  const kernel::ArrayMap<std::uint32_t>& active, const Zero& zero,
                                  const Uuid& object, std::string_view full,
                                  std::uint32_t bank = 0);
  Result<std::uint32_t> pool_index_for(const control::PoolKey& pool);
  // The listener entries of both families' maps.
  Result<std::vector<std::pair<control::ListenerKey, sluice_listener>>> listener_entries() const;
  // Reads the entry's SNAT addresses, if the listener says that it has some.
  Result<void> read_sources(const control::ListenerKey& key, const sluice_listener& listener,
                            control::ListenerEntry& entry) const;
  Result<void> set_sources(std::uint32_t index, const control::PutListener& put);
  Result<void> write_listener(const control::ListenerKey& key, const sluice_listener& listener);
  Result<void> write_recorded(std::uint32_t index, bool recorded);
  // Notes the entry's listener (nil: none) and returns the previous one.
  Uuid note_entry(const control::ListenerKey& key, const Uuid& listener);
  Result<void> release_listener_if_unused(const Uuid& listener);
  // Keeps short_listeners_, given a listener's word in `listener_idle`.
  void note_idle_time(std::uint32_t index, std::uint32_t word);
  void note_idle_resets(std::uint32_t index, std::uint32_t word);
  Result<void> write_member(std::uint32_t index, const sluice_member& member);
  void note_given_up(std::uint32_t index, const sluice_member& member);
  Result<Ring> ring_elements(const control::PutPool& put) const;
  static int keep_request(void* self, void* data, std::size_t size);
  static int keep_suspicion(void* self, void* data, std::size_t size);

  std::shared_ptr<const kernel::Program> shared_program_;
  const kernel::Program& program_ = *shared_program_;
  std::optional<kernel::PinDirectory> pins_;  // unset: not pinned
  SlowLane* lane_;
  // Only the slow lane calls it, but for what any thread may ask.
  std::shared_ptr<InspectionOfMaps> inspection_ =
      std::make_shared<InspectionOfMaps>(shared_program_, pins_);

  kernel::Map<__be32, sluice_vip> vips4_{program_, "vips4"};
  kernel::Map<sluice_address, sluice_vip> vips6_{program_, "vips6"};
  kernel::Map<sluice_listener4_key, sluice_listener> listeners4_{program_, "listeners4"};
  kernel::Map<sluice_listener6_key, sluice_listener> listeners6_{program_, "listeners6"};
  ListenerRanges listener_ranges_{program_};
  AllowedSources allowed_sources_{program_};
  SnatSources snat_sources_{program_};
  kernel::ArrayMap<sluice_address> snat_vips_{program_, "snat_vips"};
  kernel::ArrayMap<sluice_pool> pools_{program_, "pools"};
  kernel::ArrayMap<sluice_member> members_{program_, "members"};
  MemberDrains member_drains_{program_};
  std::optional<AddressFilters> address_filters_;  // set by recover()
  kernel::ArrayMap<sluice_store_position> store_position_{program_, "store_position"};
  kernel::CounterMap<sluice_counters> listener_counters_{program_, "listener_counters"};
  kernel::CounterMap<sluice_counters> member_counters_{program_, "member_counters"};
  kernel::ArrayMap<std::uint32_t> listener_active_{program_, "listener_active"};
  kernel::ArrayMap<std::uint32_t> member_active_{program_, "member_active"};
  kernel::ArrayMap<sluice_hash_key> hash_key_{program_, "hash_key"};
  kernel::ArrayMap<sluice_tunnel_source> tunnel_sources_{program_, "tunnel_sources"};
  kernel::ArrayMap<std::uint32_t> listener_half_open_{program_, "listener_half_open"};
  kernel::ArrayMap<std::uint32_t> listener_confirmed_{program_, "listener_confirmed"};
  kernel::ArrayMap<std::uint32_t> listener_idle_{program_, "listener_idle"};
  kernel::ArrayMap<std::uint32_t> listener_records_{program_, "listener_records"};
  kernel::ArrayMap<std::uint32_t> member_half_open_{program_, "member_half_open"};
  kernel::ArrayMap<std::uint32_t> member_confirmed_{program_, "member_confirmed"};
  kernel::ArrayMap<std::uint32_t> member_silences_{program_, "member_silences"};
  kernel::ArrayMap<sluice_member_handshakes> member_handshakes_{program_, "member_handshakes"};
  attachment::InterfaceSlots slots_{program_};
  Rings rings_{program_};

  kernel::ArrayMap<sluice_id> member_load_balancers_{program_, "member_load_balancers"};
  std::optional<ListenerBanks> listener_banks_;  // set by recover()
  // Of the listeners and members here; shared with those who ask what there is room for.
  std::shared_ptr<LoadBalancerBanks> banks_;

  model::Room room_;
  IndexTable member_indices_{SLUICE_MAX_MEMBERS};
  IndexTableOf<control::PoolKey> pool_indices_{SLUICE_MAX_POOLS};
  std::map<std::uint32_t, std::chrono::seconds> ends_of_removed_;  // by index, since boot
  std::set<control::PoolKey> expected_pools_;  // with an index and perhaps a ring, but no entry yet
  IndexTable listener_indices_{SLUICE_MAX_LISTENERS, SLUICE_BANK_LISTENERS};
  std::uint32_t record_one_of_ = 0;
  std::map<control::ListenerKey, Uuid> listener_of_entry_;
  std::map<Uuid, std::size_t> entries_of_listener_;  // their number; absent: none
  std::set<std::uint32_t> short_listeners_;          // indices of those with a short idle time
  std::set<std::uint32_t> resetting_listeners_;      // of those whose idle time ends with resets
  std::set<std::uint32_t> given_up_members_;         // of those whose connections are given up

  std::unique_ptr<ring_buffer, CloseRingBuffer> notices_;
  Notices taken_;
};

}  // namespace sluice::dataplane
