// BpfDataPlane over real maps: objects are read back as they were put, a second controller over the
// same maps finds everything again, and indices go to new objects only when no flow is left on
// them.
#include "dataplane/bpf_data_plane.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/reasons.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <set>

#include "attachment/interface_slots.hpp"
#include "kernel/program.hpp"
#include "maps/address_filter.h"
#include "maps/counters.h"
#include "maps/flow.h"
#include "maps/listener.h"
#include "maps/listener_bank.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/reasons.h"
#include "maps/runtime.h"
#include "maps/snat.h"
#include "maps/vip.h"

namespace sluice::dataplane {
namespace {

using namespace control;
using ::testing::HasSubstr;
using ::testing::SizeIs;

IpAddress ip(const char* text) {
  return *parse_ip_address(text);
}

class DataPlaneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to load BPF programs";
    auto program = kernel::Program::load({.flows = 64});
    ASSERT_TRUE(program) << program.error().text();
    auto opened = BpfDataPlane::over(std::move(*program));
    ASSERT_TRUE(opened) << opened.error().text();
    plane = std::move(*opened);
  }

  void apply(const Operation& operation) {
    const auto done = plane->apply(operation);
    ASSERT_TRUE(done) << done.error().text();
  }
  DataPlaneState read() {
    auto state = plane->read();
    EXPECT_TRUE(state) << state.error().text();
    return state.value_or(DataPlaneState{});
  }
  int map(const char* name) const { return plane->program().map_fd(name); }

  MemberEntry member_at(const char* address) const {
    MemberEntry entry{ip(address), 8080, true};
    entry.load_balancer = load_balancer;
    return entry;
  }
  void put_members() {
    apply(PutMember{first, member_at("10.0.0.4")});
    apply(PutMember{second, member_at("10.0.0.6")});
  }
  // The entry of a listener at the VIP, which says whose it is.
  ListenerEntry at_vip(const Uuid& id, const Uuid& its_pool = {}) const {
    ListenerEntry entry{id, its_pool, vip};
    entry.load_balancer = load_balancer;
    return entry;
  }
  void put_everything() {
    put_members();
    apply(PutPool{pool, {model::ForwardingMode::dnat, {first, second, first}}});
    apply(PutListener{key, at_vip(listener, pool)});
    apply(PutVip{vip, {load_balancer, true}});
  }
  // Opens the same maps again, like a restarted daemon.
  void restart() {
    auto program = kernel::Program::load_over(plane->program());
    ASSERT_TRUE(program) << program.error().text();
    plane = std::move(*BpfDataPlane::over(std::move(*program)));
  }
  // Counts flows like the data plane on CPU 0.
  void count_flows(const char* counters, std::uint32_t index, std::uint64_t opened,
                   std::uint64_t ended) {
    std::vector<sluice_counters> cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    cpus[0].flows_opened = opened;
    cpus[0].flows_ended = ended;
    ASSERT_EQ(bpf_map_update_elem(map(counters), &index, cpus.data(), BPF_ANY), 0);
  }
  std::uint32_t listener_index() {
    const sluice_listener4_key map_key{to_be32(key.address), htons(key.port), IPPROTO_TCP, 0};
    sluice_listener entry{};
    EXPECT_EQ(bpf_map_lookup_elem(map("listeners4"), &map_key, &entry), 0);
    return entry.index;
  }
  // Writes a connection to the listener, as the data plane would have done.
  void put_flow(std::uint32_t bucket_index, const char* client, std::uint32_t member) {
    sluice_bucket4 bucket{};
    auto& slot = bucket.slots[0];
    slot.source = to_be32(ip(client));
    slot.destination = to_be32(vip);
    slot.source_port = htons(50514);
    slot.destination_port = htons(80);
    slot.state = SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_TCP) | SLUICE_PHASE_OPEN |
                 SLUICE_STATE_PUT(LISTENER_IN_BANK, listener_index()) |
                 SLUICE_STATE_PUT(MEMBER, member);
    ASSERT_EQ(bpf_map_update_elem(map("flows4"), &bucket_index, &bucket, BPF_ANY), 0);
  }
  // Inspects within the call, because there is no slow lane.
  template <typename Look>
  void inspect(const Look& look) {
    EXPECT_TRUE(plane->inspect(
        [&](Inspection& inspection) -> std::function<void()> {
          look(inspection);
          return {};
        },
        {}));
  }
  std::uint32_t ring_id(std::uint32_t index) {
    std::uint32_t id = 0;
    bpf_map_lookup_elem(map("pool_rings"), &index, &id);
    return id;
  }

  const Uuid load_balancer = new_uuid(), listener = new_uuid(), pool = new_uuid();
  const Uuid first = new_uuid(), second = new_uuid();
  const IpAddress vip = ip("10.0.0.16");
  const ListenerKey key{vip, 80, model::Protocol::tcp};
  std::unique_ptr<BpfDataPlane> plane;
};

TEST_F(DataPlaneTest, FreshMapsAreEmpty) {
  EXPECT_EQ(read(), DataPlaneState{});
}

TEST_F(DataPlaneTest, WhatWasPutIsReadBack) {
  put_everything();
  DataPlaneState expected;
  expected.members[first] = member_at("10.0.0.4");
  expected.members[second] = member_at("10.0.0.6");
  expected.pools[pool] = {model::ForwardingMode::dnat, {first, second, first}};
  expected.listeners[key] = at_vip(listener, pool);
  expected.vips[vip] = {load_balancer, true};
  EXPECT_EQ(read(), expected);
}

// A flow's slot has a part of its listener's index; the rest follows from the member
// (maps/listener_bank.h).
class ListenerBankTest : public DataPlaneTest {
 protected:
  // Puts a load balancer's VIP, member, pool and listener, in this order or as the controller does.
  void put(const Uuid& id, std::uint8_t number, const Uuid& of_listener, const Uuid& of_member) {
    const auto address = IpAddress(boost::asio::ip::address_v4({10, 0, 1, number}));
    MemberEntry member{ip("10.0.0.4"), 8080, true};
    member.load_balancer = id;
    apply(PutMember{of_member, member});
    ListenerEntry entry{of_listener, {}, address};
    entry.load_balancer = id;
    apply(PutListener{{address, 80, model::Protocol::tcp}, entry});
    apply(PutVip{address, {id, true}});
  }
  std::uint32_t index_at(std::uint8_t number, std::uint16_t port = 80) {
    const auto address = boost::asio::ip::address_v4({10, 0, 1, number});
    const sluice_listener4_key at{to_be32(address), htons(port), IPPROTO_TCP, 0};
    sluice_listener entry{};
    EXPECT_EQ(bpf_map_lookup_elem(map("listeners4"), &at, &entry), 0);
    return entry.index;
  }
  std::uint32_t bank_of_member(std::uint32_t index) {
    const std::uint32_t only = 0;
    sluice_listener_banks banks{};
    EXPECT_EQ(bpf_map_lookup_elem(map("listener_banks"), &only, &banks), 0);
    return banks.of_member[index];
  }
};

TEST_F(ListenerBankTest, ALoadBalancersListenersAreInTheBankOfItsMembers) {
  for (std::uint8_t i = 0; i < 20; ++i) put(new_uuid(), i, new_uuid(), new_uuid());
  std::set<std::uint32_t> indices, banks;
  for (std::uint8_t i = 0; i < 20; ++i) {
    indices.insert(index_at(i));
    banks.insert(bank_of_member(i));
    EXPECT_EQ(sluice_bank_of_listener(index_at(i)), bank_of_member(i));
  }
  EXPECT_THAT(indices, SizeIs(20));
  EXPECT_THAT(banks, SizeIs(SLUICE_LISTENER_BANKS));
}

TEST_F(ListenerBankTest, AfterARestartALoadBalancerGoesOnInItsBank) {
  const Uuid last = new_uuid();
  for (std::uint8_t i = 0; i < 5; ++i) put(new_uuid(), i, new_uuid(), new_uuid());
  MemberEntry member{ip("10.0.0.4"), 8080, true};
  member.load_balancer = last;
  apply(PutMember{first, member});  // of a load balancer without a listener
  ASSERT_EQ(bank_of_member(5), 5U);
  restart();
  EXPECT_EQ(read().members.at(first).load_balancer, last);
  put(last, 5, new_uuid(), second);
  EXPECT_EQ(sluice_bank_of_listener(index_at(5)), 5U);
  EXPECT_EQ(bank_of_member(6), 5U);
}

// An index keeps its counters and its bank while it has flows; another load balancer's member gets
// both anew.
TEST_F(ListenerBankTest, AMembersIndexGetsTheBankOfItsNextLoadBalancer) {
  for (std::uint8_t i = 0; i < 3; ++i) put(new_uuid(), i, new_uuid(), i == 2 ? first : new_uuid());
  ASSERT_EQ(bank_of_member(2), 2U);
  apply(RemoveMember{first});
  EXPECT_EQ(bank_of_member(2), 2U) << "its connections go on";
  put(load_balancer, 9, listener, second);
  const auto bank = bank_of_member(3);
  MemberEntry entry{ip("10.0.0.6"), 8080, true};
  entry.load_balancer = load_balancer;
  for (std::uint32_t i = 4; i < SLUICE_MAX_MEMBERS; ++i) apply(PutMember{new_uuid(), entry});
  apply(PutMember{new_uuid(), entry});  // gets the removed member's index
  EXPECT_EQ(bank_of_member(2), bank);
}

TEST_F(ListenerBankTest, CountersOfEveryBankAreRead) {
  std::vector<Uuid> listeners;
  for (std::uint8_t i = 0; i < 10; ++i)
    put(new_uuid(), i, listeners.emplace_back(new_uuid()), new_uuid());
  for (std::uint8_t i = 0; i < 10; ++i) count_flows("listener_counters", index_at(i), i + 5U, 2);
  const auto all = plane->all_counters();
  ASSERT_TRUE(all) << all.error().text();
  ASSERT_THAT(all->listeners, SizeIs(10));
  for (std::uint8_t i = 0; i < 10; ++i) {
    EXPECT_EQ(all->listeners.at(listeners[i]).active_flows(), i + 3U);
    EXPECT_EQ(plane->listener_counters(listeners[i])->active_flows(), i + 3U);
  }
}

TEST_F(ListenerBankTest, ALoadBalancersListenersAreAsManyAsItsBankHasRoomFor) {
  put(load_balancer, 0, listener, first);
  const auto room = plane->supported().room;
  EXPECT_EQ(room.listeners, SLUICE_MAX_LISTENERS);
  EXPECT_EQ(room.listeners_of(load_balancer), SLUICE_BANK_LISTENERS);
  for (std::uint8_t i = 1; i <= SLUICE_LISTENER_BANKS; ++i)
    put(new_uuid(), i, new_uuid(), new_uuid());
  EXPECT_EQ(room.listeners_of(load_balancer), SLUICE_BANK_LISTENERS - 1)
      << "it shares its bank now";
  for (std::uint32_t i = 2; i < SLUICE_BANK_LISTENERS; ++i) {
    ListenerEntry entry{new_uuid(), {}, ip("10.0.1.0")};
    entry.load_balancer = load_balancer;
    apply(PutListener{{ip("10.0.1.0"), static_cast<std::uint16_t>(1000 + i), model::Protocol::tcp},
                      entry});
  }
  ListenerEntry entry{new_uuid(), {}, ip("10.0.1.0")};
  entry.load_balancer = load_balancer;
  const auto full = plane->apply(PutListener{{ip("10.0.1.0"), 999, model::Protocol::tcp}, entry});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::conflict);
  EXPECT_THAT(full.error().message, HasSubstr(to_string(load_balancer)));
  put(new_uuid(), 200, new_uuid(), new_uuid());  // into another bank
}

TEST_F(DataPlaneTest, WhatSomeOperationsPutThereIsReadBackWithoutReadingEverything) {
  put_everything();
  const PutMember member{second, member_at("10.0.0.6")};
  const PutPool ring{pool, {model::ForwardingMode::dnat, {first, second, first}}};
  PutListener entry{key, at_vip(listener, pool)};
  const PutVip address{vip, {load_balancer, true}};
  const auto holds = [&](const Operation& operation) { return plane->holds({operation}).value(); };
  EXPECT_EQ(plane->holds({member, ring, entry, address}).value(), true);

  EXPECT_EQ(holds(PutMember{second, {ip("10.0.0.6"), 8081, true}}), false);
  EXPECT_EQ(holds(PutMember{new_uuid(), member.entry}), false);
  EXPECT_EQ(holds(PutPool{pool, {model::ForwardingMode::dnat, {first, second}}}), false);
  EXPECT_EQ(holds(PutListener{key, at_vip(new_uuid(), pool)}), false);
  EXPECT_EQ(holds(PutListener{key, at_vip(listener)}), false);
  EXPECT_EQ(holds(PutVip{vip, {load_balancer, false}}), false);
  EXPECT_EQ(holds(RemoveVip{vip}), false);
  EXPECT_EQ(holds(RemoveListener{key}), false);
  EXPECT_EQ(holds(RemovePool{PoolKey{pool}}), false);
  EXPECT_EQ(holds(RemoveMember{second}), false);
  EXPECT_EQ(holds(RemoveVip{ip("10.0.0.17")}), true);

  auto silent = entry;
  silent.entry.idle_seconds = 60;
  EXPECT_EQ(holds(silent), false);
  apply(silent);
  EXPECT_EQ(holds(silent), true);
}

TEST_F(DataPlaneTest, AListenersAllowedNetworksAreReadBackWithoutThoseOfOthers) {
  put_everything();
  const PutListener entry{key, at_vip(listener, pool)};
  const auto allowing = [&](std::initializer_list<const char*> networks) {
    auto restricted = entry;
    for (const auto* text : networks)
      restricted.entry.allowed_cidrs.push_back(*parse_ip_network(text));
    return restricted;
  };
  const auto holds = [&](const Operation& operation) { return plane->holds({operation}).value(); };
  const auto some = allowing({"192.0.2.0/24", "2001:db8::/32"});
  apply(some);
  EXPECT_EQ(holds(some), true);
  EXPECT_EQ(holds(entry), false) << "it lets in fewer clients";
  EXPECT_EQ(holds(allowing({"192.0.2.0/25"})), false) << "a part of what is allowed";
  EXPECT_EQ(holds(allowing({"192.0.0.0/16"})), false);

  // Another listener with the same networks changes nothing, and loses nothing.
  apply(PutListener{{vip, 81, model::Protocol::tcp},
                    {new_uuid(), pool, vip, some.entry.allowed_cidrs}});
  const auto fewer = allowing({"2001:db8::/32"});
  apply(fewer);
  EXPECT_EQ(holds(fewer), true);
  EXPECT_EQ(holds(some), false);
  EXPECT_EQ(read().listeners.at(key), fewer.entry);
  EXPECT_EQ(read().listeners.at({vip, 81, model::Protocol::tcp}).allowed_cidrs,
            some.entry.allowed_cidrs);
  restart();
  apply(entry);
  EXPECT_EQ(holds(entry), true);
  EXPECT_EQ(read().listeners.at(key), entry.entry) << "also those of before a restart are removed";
}

TEST_F(DataPlaneTest, AListenerThatSaysSoIsNotRecordedWhicheverIsSaidFirst) {
  const auto one_of = [&] {
    std::uint32_t value = 0;
    const auto index = listener_index();
    EXPECT_EQ(bpf_map_lookup_elem(map("listener_records"), &index, &value), 0);
    return value;
  };
  put_everything();
  EXPECT_EQ(one_of(), 0U) << "nobody keeps records";
  ASSERT_TRUE(plane->record_one_of(4));
  EXPECT_EQ(one_of(), 4U);
  PutListener entry{key, at_vip(listener, pool)};
  entry.entry.recorded = false;
  apply(entry);
  EXPECT_EQ(one_of(), 0U);
  EXPECT_EQ(read().listeners.at(key), entry.entry);
  restart();
  ASSERT_TRUE(plane->record_one_of(2));
  EXPECT_EQ(one_of(), 0U);
  entry.entry.recorded = true;
  apply(entry);
  EXPECT_EQ(one_of(), 2U);
  ASSERT_TRUE(plane->record_one_of(0));
  EXPECT_EQ(one_of(), 0U);
}

TEST_F(DataPlaneTest, AnEntryThatSomebodyElseTookAwayIsMissed) {
  put_everything();
  const auto address = to_be32(vip);
  ASSERT_EQ(bpf_map_delete_elem(map("vips4"), &address), 0);
  EXPECT_EQ(plane->holds({PutVip{vip, {load_balancer, true}}}).value(), false);
}

TEST_F(DataPlaneTest, ARestartedControllerFindsTheSameState) {
  put_everything();
  const auto before = read();
  restart();
  EXPECT_EQ(read(), before);
  // It continues with the same indices.
  const auto index = listener_index();
  auto changed = at_vip(listener, pool);
  changed.snat_source = ip("10.0.0.17");
  apply(PutListener{key, changed});
  EXPECT_EQ(listener_index(), index);
}

TEST_F(DataPlaneTest, AfterRemovingEverythingNothingIsLeft) {
  put_everything();
  apply(RemoveVip{vip});
  apply(RemoveListener{key});
  apply(RemovePool{pool});
  apply(RemoveMember{first});
  apply(RemoveMember{second});
  EXPECT_EQ(read(), DataPlaneState{});
  restart();
  EXPECT_EQ(read(), DataPlaneState{});
}

TEST_F(DataPlaneTest, RemovingWhatIsNotThereIsFine) {
  apply(RemoveVip{vip});
  apply(RemoveListener{key});
  apply(RemovePool{pool});
  apply(RemoveMember{first});
}

TEST_F(DataPlaneTest, AnEqualRingIsNotSwapped) {
  put_members();
  apply(PutPool{pool, {model::ForwardingMode::fullnat, {first, second}}});
  const auto ring = ring_id(0);
  apply(PutPool{pool, {model::ForwardingMode::dnat, {first, second}}});
  EXPECT_EQ(ring_id(0), ring);
  apply(PutPool{pool, {model::ForwardingMode::dnat, {second}}});
  EXPECT_NE(ring_id(0), ring);
  EXPECT_EQ(read().pools[pool].ring, std::vector{second});
}

TEST_F(DataPlaneTest, NewPoolsThatAreExpectedTogetherAreWhatTheyAreOneByOne) {
  put_members();
  apply(PutPool{pool, {model::ForwardingMode::fullnat, {first}}});
  const auto ring = ring_id(0);
  std::vector<Operation> operations{PutPool{pool, {model::ForwardingMode::fullnat, {second}}}};
  DataPlaneState expected = read();
  expected.pools[pool].ring = {second};
  for (int more = 0; more < 300; ++more) {
    PoolEntry entry{model::ForwardingMode::dnat, {second, first}};
    if (more % 3 == 0) entry.ring.clear();
    const auto id = new_uuid();
    operations.emplace_back(PutPool{id, entry});
    expected.pools[id] = entry;
  }
  // What can't be done leaves no trace.
  operations.emplace_back(PutPool{new_uuid(), {model::ForwardingMode::fullnat, {new_uuid()}}});

  plane->expect(operations);
  EXPECT_EQ(ring_id(0), ring) << "a ring in use waits for its turn";
  EXPECT_THAT(read().pools, SizeIs(1)) << "and the others have no entry yet";
  const auto ring_made_before = ring_id(7);
  EXPECT_NE(ring_made_before, 0U);
  EXPECT_FALSE(plane->apply(operations.back()));
  operations.pop_back();
  for (const auto& operation : operations) apply(operation);
  EXPECT_EQ(ring_id(7), ring_made_before) << "it was not built again";
  EXPECT_EQ(read(), expected);
}

// The kernel waits for packets whenever rings go: 500 removals would take half a minute one by one.
TEST_F(DataPlaneTest, TheRingsOfRemovedPoolsGoTogether) {
  put_members();
  constexpr std::uint32_t together = 256;
  std::vector<Operation> puts;
  std::vector<Uuid> pools;
  for (std::uint32_t i = 0; i < together + 2; ++i) {
    puts.emplace_back(PutPool{pools.emplace_back(new_uuid()), {{}, {first, second}}});
  }
  plane->expect(puts);
  for (const auto& put : puts) apply(put);
  const auto last = ring_id(together - 1), kept = ring_id(together);
  for (std::uint32_t i = 0; i + 1 < together; ++i) apply(RemovePool{pools[i]});
  EXPECT_EQ(ring_id(together - 1), last);
  apply(RemovePool{pools[together - 1]});
  const auto empty = ring_id(0);
  for (std::uint32_t i = 0; i < together; ++i) EXPECT_EQ(ring_id(i), empty) << i;
  EXPECT_EQ(ring_id(together), kept) << "nobody has removed it";
  EXPECT_THAT(read().pools, SizeIs(2));

  // Pools that come back get their indices back, and rings of their own.
  apply(RemovePool{pools[together]});
  EXPECT_EQ(ring_id(together), kept) << "it waits for others";
  for (const auto index : {together, 0U}) {
    apply(PutPool{pools[index], {{}, {second}}});
    EXPECT_EQ(read().pools.at(pools[index]).ring, std::vector{second});
    EXPECT_NE(ring_id(index), index == 0 ? empty : kept);
  }
}

TEST_F(DataPlaneTest, EverythingIsCountedTogetherAsOneByOne) {
  put_everything();
  count_flows("listener_counters", 0, 5, 2);
  count_flows("member_counters", 1, 3, 1);
  const auto all = plane->all_counters();
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_EQ(all->listeners.at(listener), plane->listener_counters(listener).value());
  EXPECT_EQ(all->listeners.at(listener).active_flows(), 3U);
  for (const auto& member : {first, second}) {
    EXPECT_EQ(all->members.at(member), plane->member_counters(member).value());
  }
  EXPECT_TRUE(all->handshakes.empty());
  apply(RemoveVip{vip});
  apply(RemoveListener{key});
  EXPECT_TRUE(plane->all_counters()->listeners.empty());
}

TEST_F(DataPlaneTest, ARingMayBeEmptyAndThenLong) {
  put_members();
  apply(PutPool{pool, {model::ForwardingMode::fullnat, {}}});
  EXPECT_EQ(read().pools[pool].ring, std::vector<Uuid>{});
  const std::vector<Uuid> longest(SLUICE_MAX_RING_SLOTS, first);
  apply(PutPool{pool, {model::ForwardingMode::fullnat, longest}});
  EXPECT_EQ(read().pools[pool].ring, longest);
  auto too_long = longest;
  too_long.push_back(first);
  EXPECT_FALSE(plane->apply(PutPool{pool, {model::ForwardingMode::fullnat, too_long}}));
  EXPECT_EQ(read().pools[pool].ring, longest);
}

TEST_F(DataPlaneTest, ARingThatNamesAStrangerChangesNothing) {
  EXPECT_FALSE(plane->apply(PutPool{pool, {model::ForwardingMode::fullnat, {first}}}));
  EXPECT_EQ(read(), DataPlaneState{});
}

TEST_F(DataPlaneTest, OneListenerHasOneIndexUnderAllItsAddresses) {
  put_everything();
  const ListenerKey floating{ip("203.0.113.9"), 80, model::Protocol::tcp};
  apply(PutListener{floating, at_vip(listener, pool)});
  const auto index = listener_index();
  count_flows("listener_counters", index, 5, 2);
  EXPECT_EQ(plane->listener_counters(listener)->active_flows(), 3U);
  apply(RemoveListener{key});
  EXPECT_EQ(plane->listener_counters(listener)->active_flows(), 3U);  // still in use
  apply(RemoveListener{floating});
  EXPECT_EQ(*plane->listener_counters(listener), Counters{});
}

TEST_F(DataPlaneTest, CountersAreZeroForStrangers) {
  EXPECT_EQ(*plane->listener_counters(listener), Counters{});
  EXPECT_EQ(*plane->member_counters(first), Counters{});
}

TEST_F(DataPlaneTest, ARemovedMemberKeepsItsIndexWhileFlowsAreLeftAlsoAcrossARestart) {
  put_members();  // indices 0 and 1
  count_flows("member_counters", 0, 3, 2);
  apply(RemoveMember{first});
  restart();
  EXPECT_EQ(read().members.count(first), 0U);
  // Fill the map: every index is used once before a released one comes round again.
  for (std::uint32_t i = 2; i < SLUICE_MAX_MEMBERS; ++i) {
    apply(PutMember{new_uuid(), {ip("10.0.0.8"), 80, true}});
  }
  const auto full = plane->apply(PutMember{new_uuid(), {ip("10.0.0.9"), 80, true}});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::conflict);
  EXPECT_THAT(full.error().message, HasSubstr("members is full"));
  EXPECT_THAT(full.error().message, HasSubstr("16384"));

  count_flows("member_counters", 0, 3, 3);
  // Another node's connection, which this one has never carried.
  const std::uint32_t index = 0, replica = 1, none = 0;
  ASSERT_EQ(bpf_map_update_elem(map("member_active"), &index, &replica, BPF_ANY), 0);
  EXPECT_FALSE(plane->apply(PutMember{new_uuid(), {ip("10.0.0.9"), 80, true}}));
  ASSERT_EQ(bpf_map_update_elem(map("member_active"), &index, &none, BPF_ANY), 0);
  const auto heir = new_uuid();
  apply(PutMember{heir, {ip("10.0.0.9"), 80, true}});
  EXPECT_EQ(*plane->member_counters(heir), Counters{});  // not its predecessor's
  EXPECT_EQ(read().members[heir].address, ip("10.0.0.9"));
}

TEST_F(DataPlaneTest, ARemovedMemberIsGivenUpInTimeAlsoAcrossARestartAndNobodyElseIs) {
  MemberEntry drains{ip("10.0.0.4"), 8080, true};
  drains.drain_seconds = 0;
  apply(PutMember{first, drains});
  MemberEntry waits{ip("10.0.0.6"), 8080, true};
  waits.drain_seconds = 600;
  apply(PutMember{second, waits});
  EXPECT_EQ(read().members.at(first), drains);
  EXPECT_EQ(plane->holds({PutMember{second, waits}}).value(), true);
  EXPECT_EQ(plane->holds({PutMember{second, {ip("10.0.0.6"), 8080, true}}}).value(), false);
  const auto given_up = [&](std::uint32_t index) {
    sluice_member member{};
    EXPECT_EQ(bpf_map_lookup_elem(map("members"), &index, &member), 0);
    return (member.flags & SLUICE_MEMBER_GIVEN_UP) != 0;
  };
  for (const std::uint32_t index : {0U, 1U}) {
    count_flows("member_counters", index, 3, 1);
    const std::uint32_t two = 2;
    ASSERT_EQ(bpf_map_update_elem(map("member_active"), &index, &two, BPF_ANY), 0);
  }
  EXPECT_FALSE(plane->give_up_removed()->next) << "nobody is removed";
  restart();
  apply(RemoveMember{first});  // as by a controller that finds the removal at its start
  apply(RemoveMember{second});
  EXPECT_FALSE(given_up(0));
  const auto left = plane->removed_members().value();
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].id, first);
  EXPECT_EQ(left[0].connections, 2U);
  EXPECT_EQ(left[0].left, std::chrono::seconds(0));
  EXPECT_LE(left[1].left, std::chrono::seconds(600)) << "not a second more than it was given";
  EXPECT_GT(left[1].left, std::chrono::seconds(500));

  // A second or less goes by.
  const std::uint32_t index = 0, none = 0;
  const sluice_member_drain long_ago{1, 1, 0};
  ASSERT_EQ(bpf_map_update_elem(map("member_drains"), &index, &long_ago, BPF_ANY), 0);
  restart();
  const auto over = plane->give_up_removed().value();
  ASSERT_EQ(over.given_up.size(), 1U);
  EXPECT_EQ(over.given_up[0].address, ip("10.0.0.4"));
  EXPECT_TRUE(given_up(0));
  EXPECT_FALSE(given_up(1));
  EXPECT_TRUE(plane->give_up_removed()->given_up.empty()) << "it is told once";

  // While the flag is set, the tables are searched for silent connections.
  count_flows("member_counters", 0, 3, 3);
  ASSERT_EQ(bpf_map_update_elem(map("member_active"), &index, &none, BPF_ANY), 0);
  EXPECT_TRUE(plane->give_up_removed()->given_up.empty());
  EXPECT_FALSE(given_up(0));

  apply(PutMember{second, {ip("10.0.0.6"), 8080, true}});  // by a restored backup, say
  EXPECT_FALSE(plane->give_up_removed()->next);
  EXPECT_TRUE(plane->removed_members()->empty());
}

TEST_F(DataPlaneTest, AMemberThatComesBackGoesOnCounting) {
  put_members();
  count_flows("member_counters", 0, 3, 2);
  apply(RemoveMember{first});
  EXPECT_EQ(*plane->member_counters(first), Counters{});
  apply(PutMember{first, {ip("10.0.0.4"), 8080, false}});
  EXPECT_EQ(plane->member_counters(first)->active_flows(), 1U);
  EXPECT_FALSE(read().members[first].usable);
}

TEST_F(DataPlaneTest, AFullVipMapIsAConflictThatNamesMapAndCapacity) {
  const auto base = ip("10.0.0.0").to_v4().to_uint();
  for (std::uint32_t i = 0; i < SLUICE_MAX_VIPS; ++i) {
    apply(PutVip{boost::asio::ip::address_v4(base + i), {load_balancer, true}});
  }
  const auto full = plane->apply(PutVip{ip("192.0.2.1"), {load_balancer, true}});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::conflict);
  EXPECT_EQ(full.error().message,
            fmt::format("map vips4 is full: it holds {} entries", SLUICE_MAX_VIPS));
  EXPECT_THAT(read().vips, SizeIs(SLUICE_MAX_VIPS));
}

TEST_F(DataPlaneTest, IPv6AndEveryLimitAreReadBack) {
  DataPlaneState expected;
  expected.members[first] = {ip("2001:db8::4"), 53, true, false, model::ForwardingMode::ipip};
  const PoolKey pool6{pool, true};
  auto& in_pool = expected.pools[pool6];
  in_pool.forwarding_mode = model::ForwardingMode::ipip;
  in_pool.algorithm = model::Algorithm::least_connections;
  in_pool.ring = {first};
  in_pool.weights = {256};
  in_pool.persistence_seconds = 60;
  in_pool.persistence_bits = 64;
  const ListenerKey udp{ip("2001:db8::16"), 53, model::Protocol::udp};
  expected.members[first].load_balancer = load_balancer;
  auto& entry = expected.listeners[udp];
  entry.load_balancer = load_balancer;
  entry.listener = listener;
  entry.pool = pool;
  entry.allowed_cidrs = {*parse_ip_network("192.0.2.0/24"), *parse_ip_network("2001:db8::/32")};
  entry.connection_limit = 7;
  entry.new_connection_limit = 3;
  entry.resets = true;
  expected.vips[udp.address] = {load_balancer, true, true};
  apply(PutMember{first, expected.members[first]});
  apply(PutPool{pool6, in_pool});
  apply(PutListener{udp, entry});
  apply(PutVip{udp.address, expected.vips[udp.address]});
  EXPECT_EQ(read(), expected);
  restart();
  EXPECT_EQ(read(), expected);

  entry.allowed_cidrs.pop_back();
  apply(PutListener{udp, entry});
  EXPECT_EQ(read(), expected);
  apply(RemoveVip{udp.address});
  apply(RemoveListener{udp});
  apply(RemovePool{pool6});
  apply(RemoveMember{first});
  EXPECT_EQ(read(), DataPlaneState{});
}

TEST_F(DataPlaneTest, SnatAddressesComeChangeAndGoWithTheirListeners) {
  put_everything();
  const ListenerKey at{vip, 443, model::Protocol::tcp};
  auto entry = at_vip(new_uuid());
  entry.snat_addresses = {ip("10.0.0.18"), ip("10.0.0.19")};
  const auto before = read();
  apply(PutVip{ip("10.0.0.18"), {load_balancer, true, false, false, true}});
  apply(PutListener{at, entry});
  EXPECT_EQ(read().listeners.at(at), entry);
  EXPECT_TRUE(read().vips.at(ip("10.0.0.18")).snat);
  EXPECT_EQ(plane->holds({PutListener{at, entry}}).value(), true);
  restart();
  EXPECT_EQ(read().listeners.at(at), entry);
  entry.snat_addresses.pop_back();
  EXPECT_EQ(plane->holds({PutListener{at, entry}}).value(), false);
  apply(PutListener{at, entry});
  EXPECT_EQ(read().listeners.at(at), entry);
  entry.snat_addresses.clear();
  apply(PutListener{at, entry});
  EXPECT_EQ(read().listeners.at(at), entry);
  sluice_snat_key key{};
  EXPECT_NE(bpf_map_get_next_key(map("snat_sources"), nullptr, &key), 0) << "nothing is left";
  entry.snat_addresses = {ip("10.0.0.18")};
  apply(PutListener{at, entry});
  apply(RemoveListener{at});
  apply(RemoveVip{ip("10.0.0.18")});
  EXPECT_NE(bpf_map_get_next_key(map("snat_sources"), nullptr, &key), 0);
  EXPECT_EQ(read(), before);
}

TEST_F(DataPlaneTest, ListenersOfIPv6KnowTheVipWhoseConnectionsHaveSnatAddresses) {
  put_everything();
  const ListenerKey at{ip("2001:db8::16"), 443, model::Protocol::tcp};
  control::ListenerEntry entry{new_uuid(), {}, at.address};
  entry.snat_addresses = {ip("2001:db8::18")};
  apply(PutListener{at, entry});
  EXPECT_EQ(read().listeners.at(at), entry);
  EXPECT_EQ(plane->holds({PutListener{at, entry}}).value(), true);
  restart();
  EXPECT_EQ(read().listeners.at(at), entry);
  // Other nodes' connections may have one, too.
  entry.snat_addresses.clear();
  apply(PutListener{at, entry});
  EXPECT_EQ(read().listeners.at(at), entry);
  EXPECT_EQ(plane->holds({PutListener{at, entry}}).value(), true);
}

// The ranges that packets of this address and protocol meet.
std::vector<std::pair<int, int>> ranges_in(int map, const control::ListenerKey& at) {
  const auto key = ranges_key(at);
  sluice_ranges ranges{};
  std::vector<std::pair<int, int>> all;
  if (bpf_map_lookup_elem(map, &key, &ranges) != 0) return all;
  for (__u32 i = 0; i < ranges.count; ++i)
    all.emplace_back(ranges.ranges[i].first, ranges.ranges[i].last);
  return all;
}

TEST_F(DataPlaneTest, RangesOfPortsComeChangeAndGoWithTheirListeners) {
  put_everything();
  using Ranges = std::vector<std::pair<int, int>>;
  const auto at = [&](std::uint16_t port, const IpAddress& address) {
    return ListenerKey{address, port, model::Protocol::udp};
  };
  const auto ranges = [&](const IpAddress& address) {
    return ranges_in(map("listener_ranges"), at(1, address));
  };
  const auto entry = [&](std::uint16_t last) {
    auto result = at_vip(new_uuid());
    result.last_port = last;
    return result;
  };
  const auto index_of = [&](const Uuid& id) {
    for (const auto port : {30000, 40000}) {
      const auto key4 = to_map4(at(static_cast<std::uint16_t>(port), vip));
      sluice_listener found{};
      if (bpf_map_lookup_elem(map("listeners4"), &key4, &found) == 0 && from_map(found.id) == id)
        return found.index;
    }
    return ~0U;
  };
  const auto late = entry(40099), early = entry(30099);
  const auto before = read();
  apply(PutListener{at(40000, vip), late});
  apply(PutListener{at(30000, vip), early});
  const auto ipv6 = ip("2001:db8::16");
  auto of_ipv6 = entry(65535);
  of_ipv6.snat_source = IpAddress{};
  apply(PutListener{at(1, ipv6), of_ipv6});
  EXPECT_EQ(ranges(vip), (Ranges{{30000, 30099}, {40000, 40099}}));
  EXPECT_EQ(ranges(ipv6), (Ranges{{1, 65535}}));
  EXPECT_EQ(read().listeners.at(at(40000, vip)), late);
  EXPECT_EQ(plane->holds({PutListener{at(40000, vip), late}}).value(), true);
  EXPECT_EQ(plane->holds({PutListener{at(40000, vip), entry(40098)}}).value(), false);
  // Somebody has taken a range away, and a process that ended between two writes left some too
  // many.
  auto key_of_ipv6 = ranges_key(at(1, ipv6));
  ASSERT_EQ(bpf_map_delete_elem(map("listener_ranges"), &key_of_ipv6), 0);
  const auto key_of_vip = ranges_key(at(1, vip));
  sluice_ranges damaged{};
  damaged.count = 3;
  damaged.ranges[0] = {1, 100, 0};
  damaged.ranges[1] = {30000, 30099, 4095};
  damaged.ranges[2] = {40000, 40099, index_of(late.listener)};
  ASSERT_EQ(bpf_map_update_elem(map("listener_ranges"), &key_of_vip, &damaged, BPF_ANY), 0);
  auto key_of_nobody = ranges_key({ip("10.0.0.99"), 1, model::Protocol::tcp});
  ASSERT_EQ(bpf_map_update_elem(map("listener_ranges"), &key_of_nobody, &damaged, BPF_ANY), 0);
  restart();
  EXPECT_EQ(ranges(vip), (Ranges{{40000, 40099}}));
  EXPECT_NE(bpf_map_lookup_elem(map("listener_ranges"), &key_of_nobody, &damaged), 0);
  EXPECT_EQ(read().listeners.at(at(40000, vip)), late);
  EXPECT_EQ(read().listeners.at(at(1, ipv6)).last_port, 0) << "so it is put again";
  apply(PutListener{at(1, ipv6), of_ipv6});
  EXPECT_EQ(ranges(ipv6), (Ranges{{1, 65535}}));

  apply(PutListener{at(30000, vip), entry(30009)});
  EXPECT_EQ(ranges(vip), (Ranges{{30000, 30009}, {40000, 40099}}));
  apply(PutListener{at(40000, vip), entry(0)});
  EXPECT_EQ(ranges(vip), (Ranges{{30000, 30009}}));
  apply(RemoveListener{at(30000, vip)});
  apply(RemoveListener{at(40000, vip)});
  apply(RemoveListener{at(1, ipv6)});
  EXPECT_EQ(ranges(vip), Ranges());
  EXPECT_NE(bpf_map_lookup_elem(map("listener_ranges"), &key_of_vip, &damaged), 0);
  EXPECT_EQ(read(), before);
}

TEST_F(DataPlaneTest, APoolHasAnEntryForEachIpVersion) {
  apply(PutMember{first, {ip("10.0.0.4"), 80, true}});
  apply(PutMember{second, {ip("2001:db8::6"), 80, true}});
  apply(PutPool{{pool, false}, {model::ForwardingMode::fullnat, {first}}});
  apply(PutPool{{pool, true}, {model::ForwardingMode::fullnat, {second}}});
  const ListenerKey key4{ip("10.0.0.16"), 80}, key6{ip("2001:db8::16"), 80};
  apply(PutListener{key4, {listener, pool, ip("10.0.0.16")}});
  apply(PutListener{key6, {listener, pool, ip("0.0.0.0")}});
  restart();
  EXPECT_EQ(read().pools.at({pool, false}).ring, std::vector{first});
  EXPECT_EQ(read().pools.at({pool, true}).ring, std::vector{second});
  EXPECT_EQ(read().listeners.at(key6).pool, pool);

  apply(RemoveListener{key4});
  apply(RemovePool{{pool, false}});
  EXPECT_THAT(read().pools, SizeIs(1));
  EXPECT_EQ(read().pools.at({pool, true}).ring, std::vector{second});
}

TEST_F(DataPlaneTest, AVlanInterfaceLeavesThroughTheNicBelowIt) {
  const attachment::InterfaceSlots slots(plane->program());
  const attachment::Nic nic{7, "eth0", {2, 0, 0, 0, 0, 7}};
  ASSERT_TRUE(slots.claim(nic, 0, [](std::uint32_t) { return false; }));
  const std::vector<attachment::InterfaceSlots::Vlan> vlans{
      {8, 7, 100, 0x8100}, {9, 8, 5, 0x8100}, {10, 6, 100, 0x8100}};
  EXPECT_EQ(*slots.set_vlans(vlans), std::vector<std::uint32_t>{});
  const auto inner = *slots.find(9);
  ASSERT_TRUE(inner);
  EXPECT_EQ(inner->parent, 7U);
  EXPECT_EQ(inner->tags, 2);
  EXPECT_EQ(ntohs(inner->tag[0].control), 100) << "the outer tag comes first";
  EXPECT_EQ(ntohs(inner->tag[1].control), 5);
  EXPECT_FALSE(*slots.find(10)) << "not on an attached NIC";
  EXPECT_EQ(*slots.set_vlans({}), std::vector<std::uint32_t>{});
  EXPECT_FALSE(*slots.find(9));
  EXPECT_TRUE(*slots.find(7));
}

TEST_F(DataPlaneTest, ReasonsComeWithLabelAndCount) {
  std::vector<std::uint64_t> cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()), 7);
  const std::uint32_t reason = SLUICE_REASON_NO_LISTENER;
  ASSERT_EQ(bpf_map_update_elem(map("reason_counters"), &reason, cpus.data(), BPF_ANY), 0);
  const auto counts = plane->reason_counters();
  ASSERT_TRUE(counts);
  ASSERT_THAT(*counts, SizeIs(SLUICE_REASON_COUNT));
  EXPECT_EQ((*counts)[reason].label, "no_listener");
  EXPECT_EQ((*counts)[reason].packets, 7 * cpus.size());
  EXPECT_EQ((*counts)[SLUICE_REASON_FORWARDED].packets, 0U);
}

// Reasons from the 65th on are counted in a map of their own, which older data planes lack.
TEST_F(DataPlaneTest, ReasonsBeyondTheFirstSixtyFourAreReadFromTheirOwnMap) {
  std::vector<std::uint64_t> cpus(static_cast<std::size_t>(libbpf_num_possible_cpus()), 3);
  const std::uint32_t place = 6;
  ASSERT_EQ(bpf_map_update_elem(map("later_reason_counters"), &place, cpus.data(), BPF_ANY), 0);
  EXPECT_EQ(*packets_of_reason(plane->program(), 64 + place), 3 * cpus.size());
  EXPECT_EQ(*packets_of_reason(plane->program(), place), 0U);
  const std::uint32_t last = 191;
  ASSERT_EQ(bpf_map_update_elem(map("later_reason_counters"), &last, cpus.data(), BPF_ANY), 0);
  EXPECT_EQ(*packets_of_reason(plane->program(), 255), 3 * cpus.size()) << "there are 256";
}

TEST_F(DataPlaneTest, RenewingNextHopsRaisesTheGeneration) {
  const std::uint32_t only = 0;
  sluice_runtime before{}, after{};
  ASSERT_EQ(bpf_map_lookup_elem(map("runtime"), &only, &before), 0);
  ASSERT_TRUE(plane->renew_next_hops());
  ASSERT_EQ(bpf_map_lookup_elem(map("runtime"), &only, &after), 0);
  EXPECT_EQ(after.next_hop_generation, before.next_hop_generation + 1);
}

// The data plane asks the large filter only if it is complete, and only when addresses are many.
class AddressFilterTest : public DataPlaneTest {
 protected:
  void put_many_members(int count) {
    for (int i = 0; i < count; ++i) {
      const auto address = fmt::format("10.9.{}.{}", i / 256, i % 256);
      apply(PutMember{new_uuid(), {ip(address.c_str()), 8080, true}});
    }
  }
  sluice_runtime runtime() const {
    const std::uint32_t only = 0;
    sluice_runtime value{};
    EXPECT_EQ(bpf_map_lookup_elem(map("runtime"), &only, &value), 0);
    return value;
  }
  std::unique_ptr<sluice_address_filter> filter() const {
    const std::uint32_t only = 0;
    auto value = std::make_unique<sluice_address_filter>();
    EXPECT_EQ(bpf_map_lookup_elem(map("address_filter"), &only, value.get()), 0);
    return value;
  }
  bool is_complete() const {
    return filter()->complete_for == runtime().next_hop_generation + std::uint64_t{1};
  }
  // In both filters?
  bool knows(const char* text) const {
    sluice_address address{};
    inet_pton(ip(text).is_v4() ? AF_INET : AF_INET6, text, &address);
    const bool v4 = ip(text).is_v4();
    const auto small = v4 ? sluice_address_hash4(address.ipv4) : sluice_address_hash6(&address);
    const auto large =
        v4 ? sluice_large_filter_hash4(address.ipv4) : sluice_large_filter_hash6(&address);
    const auto bits = SLUICE_LARGE_FILTER_BITS(large);
    const bool in_large = (filter()->words[SLUICE_LARGE_FILTER_WORD(large)] & bits) == bits;
    const bool in_small =
        runtime().address_filter[SLUICE_ADDRESS_WORD(small)] >> SLUICE_ADDRESS_BIT(small) & 1;
    EXPECT_EQ(in_large, in_small) << text;
    return in_large && in_small;
  }
  // What an older controller does, which knows only the filter in `runtime`.
  void an_older_controller_adds(const char* text) {
    const std::uint32_t only = 0;
    auto value = runtime();
    sluice_address_filter_add4(&value, to_be32(ip(text)));
    ++value.next_hop_generation;
    ASSERT_EQ(bpf_map_update_elem(map("runtime"), &only, &value, BPF_ANY), 0);
  }
};

TEST_F(AddressFilterTest, EveryAddressIsInBoth) {
  put_members();
  apply(PutVip{ip("10.0.0.16"), {}});
  apply(PutVip{ip("2001:db8::16"), {}});
  for (const char* address : {"10.0.0.4", "10.0.0.6", "10.0.0.16", "2001:db8::16"})
    EXPECT_TRUE(knows(address)) << address;
  EXPECT_FALSE(knows("10.0.0.17"));
  apply(RemoveVip{ip("2001:db8::16")});
  EXPECT_FALSE(knows("2001:db8::16"));
  EXPECT_TRUE(knows("10.0.0.16"));
}

// To leave one out means to read all others, so it is done for some at a time.
TEST_F(AddressFilterTest, OfManyVipsThoseThatGoLeaveItTogether) {
  const auto vip_of = [](int number) { return fmt::format("10.0.0.{}", number); };
  for (int i = 1; i <= 32; ++i) apply(PutVip{ip(vip_of(i).c_str()), {load_balancer, true}});
  for (int i = 1; i <= 3; ++i) apply(RemoveVip{ip(vip_of(i).c_str())});
  EXPECT_TRUE(knows("10.0.0.1"));
  apply(RemoveVip{ip(vip_of(4).c_str())});
  for (int i = 1; i <= 32; ++i) EXPECT_EQ(knows(vip_of(i).c_str()), i > 4) << i;
}

TEST_F(AddressFilterTest, TheLargeOneIsAskedWhenAddressesAreMany) {
  apply(PutVip{ip("10.0.0.16"), {}});
  put_many_members(SLUICE_LARGE_FILTER_FROM - 2);
  EXPECT_EQ(runtime().large_filter, 0);
  put_members();
  EXPECT_EQ(runtime().large_filter, 1);
  EXPECT_TRUE(is_complete());
  ASSERT_TRUE(plane->renew_next_hops());
  EXPECT_TRUE(is_complete()) << "the present controller's own changes leave it so";
}

TEST_F(AddressFilterTest, AnOlderControllersChangesMakeItIncompleteUntilAPresentOneComes) {
  apply(PutVip{ip("10.0.0.16"), {}});
  EXPECT_TRUE(is_complete());
  an_older_controller_adds("10.0.0.18");
  EXPECT_FALSE(is_complete());
  // The VIP that the older one put.
  sluice_vip up{};
  up.flags = SLUICE_VIP_UP;
  const auto address = to_be32(ip("10.0.0.18"));
  ASSERT_EQ(bpf_map_update_elem(map("vips4"), &address, &up, BPF_ANY), 0);

  auto over = kernel::Program::load_over(plane->program());
  ASSERT_TRUE(over) << over.error().text();
  plane.reset();
  plane = std::move(*BpfDataPlane::over(std::move(*over)));
  EXPECT_TRUE(is_complete());
  EXPECT_TRUE(knows("10.0.0.18"));
  EXPECT_TRUE(knows("10.0.0.16"));
}

TEST_F(DataPlaneTest, SweepingAnEmptyTableFindsNothing) {
  Result<control::ExpiryReport> report;
  plane->expire_flows([&](auto swept) { report = std::move(swept); });
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->live, 0U);
  EXPECT_EQ(report->expired, 0U);
}

TEST_F(DataPlaneTest, ATableWhoseAreaAnInsertionHasChangedWantsASweepOnce) {
  const auto sweep = [&] { plane->expire_flows([](auto swept) { ASSERT_TRUE(swept); }); };
  EXPECT_FALSE(plane->wants_sweep()) << "before the first one, which comes anyway";
  sweep();
  EXPECT_FALSE(plane->wants_sweep());
  for (std::uint32_t family = 0; family < 2; ++family) {
    std::uint64_t area = 0;
    ASSERT_EQ(bpf_map_lookup_elem(map("flow_areas"), &family, &area), 0);
    area += SLUICE_AREA_CHANGE;
    ASSERT_EQ(bpf_map_update_elem(map("flow_areas"), &family, &area, BPF_ANY), 0);
    EXPECT_TRUE(plane->wants_sweep()) << family;
    sweep();
    EXPECT_FALSE(plane->wants_sweep()) << family;
  }
}

TEST_F(DataPlaneTest, FlowsAreFoundByEachFilterAndOneThatIsBeingMovedIsOneConnection) {
  put_everything();
  put_flow(3, "192.0.2.7", 0);
  put_flow(9, "192.0.2.7", 0);  // the same one, in its new place
  put_flow(5, "198.51.100.1", 1);
  const auto found = [&](const FlowFilter& filter) {
    std::vector<std::string> clients;
    inspect([&](Inspection& inspection) {
      const auto flows = inspection.flows(filter, 10);
      ASSERT_TRUE(flows) << flows.error().text();
      for (const auto& flow : *flows) {
        EXPECT_EQ(flow.vip, (Endpoint{vip, 80}));
        EXPECT_EQ(flow.pool_id, pool);
        clients.push_back(flow.client.address.to_string());
      }
    });
    return clients;
  };
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  EXPECT_THAT(found({}), ElementsAre("192.0.2.7", "198.51.100.1"));
  EXPECT_THAT(found({.member = first}), ElementsAre("192.0.2.7"));
  EXPECT_THAT(found({.member = second}), ElementsAre("198.51.100.1"));
  EXPECT_THAT(found({.member = listener}), IsEmpty());
  EXPECT_THAT(found({.listener = listener, .pool = pool}), SizeIs(2));
  EXPECT_THAT(found({.listener = pool}), IsEmpty());
  EXPECT_THAT(found({.pool = listener}), IsEmpty());
  EXPECT_THAT(found({.client = ip("192.0.2.0"), .client_prefix = 24}), ElementsAre("192.0.2.7"));
  EXPECT_THAT(found({.client = ip("192.0.2.8"), .client_prefix = 29}), IsEmpty());
  EXPECT_THAT(found({.client = ip("0.0.0.0"), .client_prefix = 0}), SizeIs(2));
  EXPECT_THAT(found({.client = ip("::"), .client_prefix = 0}), IsEmpty());
  EXPECT_THAT(found({.client = ip("192.0.2.7")}), ElementsAre("192.0.2.7"));
  apply(RemoveListener{key});
  EXPECT_THAT(found({.listener = listener}), IsEmpty());
}

TEST_F(DataPlaneTest, WithoutNoticesThereAreNone) {
  EXPECT_GE(plane->notices_fd(), 0);
  const auto notices = plane->take_notices();
  ASSERT_TRUE(notices);
  EXPECT_TRUE(notices->requests.empty());
  EXPECT_TRUE(notices->suspicions.empty());
}

TEST_F(DataPlaneTest, TheFlowTableHasRoomForAsManyConnectionsAsAskedFor) {
  EXPECT_FALSE(kernel::Program::load({.flows = 0}));
  const auto loaded = kernel::Program::load({.flows = 128});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->flow_capacity(), 128U);
  EXPECT_EQ(loaded->map_fd("no_such_map"), -1);
}

}  // namespace
}  // namespace sluice::dataplane
