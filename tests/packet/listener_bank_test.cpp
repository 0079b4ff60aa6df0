// Listeners beyond the first bank: a flow's slot has a part of the listener's index, and the rest
// follows from its member (maps/listener_bank.h).
#include <bpf/bpf.h>

#include "dataplane/flow_images.hpp"
#include "dataplane/flow_list.hpp"
#include "dataplane/record_source.hpp"
#include "maps/listener_bank.h"
#include "packet/identified.hpp"
#include "records/connection.hpp"

namespace sluice::test {
namespace {

class ListenerBank : public Identified, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    name_objects(protocol(), SLUICE_FULLNAT);
    for (const int member : {1, 2}) put_bank(member_index(member, protocol()), bank);
    put(usual());
  }
  void TearDown() override {
    forget_flows();
    Traffic::TearDown();
  }
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }

  void put(const sluice_listener& value) {
    put_listener(net().vip, listener_port(protocol()), protocol(), value);
  }
  sluice_listener usual() const {
    auto value = listener(pool(protocol()), index);
    std::memcpy(value.id.bytes, listener_id.data, sizeof value.id.bytes);
    return value;
  }
  std::string reason_of_new(std::uint16_t port) {
    return receive(from_client(protocol(), SYN, port)).reason;
  }

  static constexpr std::uint8_t bank = 7;
  // Of the same number in another bank. Each test has its own, because their counters stay.
  static inline std::uint32_t tests_ = 0;
  const std::uint32_t namesake = SLUICE_BANK_LISTENERS + 1000 + tests_++;
  const std::uint32_t index = namesake + (bank - 1) * SLUICE_BANK_LISTENERS;
  const Uuid listener_id = new_uuid();
};
FOR_ALL_PROTOCOLS(ListenerBank);

TEST_P(ListenerBank, CountsAFlowFromItsBeginningToItsEnd) {
  establish(protocol());
  receive(from_client(protocol(), ACK));
  receive(from_member(1, protocol(), ACK));
  auto counters = listener_counters(index);
  EXPECT_EQ(counters.flows_opened, 1U);
  EXPECT_GE(counters.packets_in, 2U);
  EXPECT_GE(counters.packets_out, 2U);
  EXPECT_EQ(counters.flows_ended, 0U);
  EXPECT_EQ(flush_all(family()), 1U);
  EXPECT_EQ(listener_counters(index).flows_ended, 1U);
  for (const auto other : {namesake, namesake % std::uint32_t{SLUICE_BANK_LISTENERS}}) {
    counters = listener_counters(other);
    EXPECT_EQ(counters.flows_opened + counters.packets_in + counters.flows_ended, 0U) << other;
  }
}

TEST_P(ListenerBank, ItsLimitCountsItsOwnConnections) {
  auto limited = usual();
  limited.connection_limit = 1;
  put(limited);
  establish(protocol());
  EXPECT_EQ(reason_of_new(41001), "connection_limit");
  EXPECT_EQ(listener_counters(index).flows_refused, 1U);
}

TEST_P(ListenerBank, ItsIdleTimeEndsItsConnections) {
  constexpr std::uint32_t seconds = 15;
  establish(protocol());
  set_idle_time(namesake, seconds);
  EXPECT_EQ(expire_short().marked, 0U);
  set_idle_time(index, seconds);
  EXPECT_EQ(expire_short().marked, 2U);
}

TEST_P(ListenerBank, AnImageNamesTheListenerAndIsRefusedForAMemberOfAnotherBank) {
  establish(protocol());
  std::vector<sluice_flow_image> images;
  const auto keep = [&](auto batch) {
    images.insert(images.end(), batch.begin(), batch.end());
    return true;
  };
  ASSERT_TRUE(
      dataplane::walk_images(program().walk_fd(), static_cast<std::uint32_t>(family()), keep));
  ASSERT_EQ(images.size(), 1U);
  EXPECT_EQ(images.front().listener_index, index);
  forget_flows();
  const auto put = [&] {
    EXPECT_TRUE(dataplane::put_images(program().put_fd(), images, dataplane::Counted::not_yet));
    return images.front().result;
  };
  put_bank(member_index(1, protocol()), bank - 1);
  EXPECT_EQ(put(), SLUICE_PUT_NO_LISTENER);
  put_bank(member_index(1, protocol()), bank);
  EXPECT_EQ(put(), SLUICE_PUT_DONE);
}

TEST_P(ListenerBank, TheListOfFlowsNamesTheListener) {
  establish(protocol());
  const auto names = dataplane::FlowNames::read(program());
  ASSERT_TRUE(names) << names.error().text();
  std::size_t found = 0;
  const auto look = [&](const dataplane::FoundFlow& one) {
    EXPECT_EQ(one.flow.listener_id, listener_id);
    ++found;
    return true;
  };
  control::FlowFilter filter;
  filter.listener = listener_id;
  ASSERT_TRUE(dataplane::for_each_flow(program(), *names, filter, look));
  EXPECT_EQ(found, 1U);
  filter.listener = new_uuid();
  ASSERT_TRUE(dataplane::for_each_flow(program(), *names, filter, look));
  EXPECT_EQ(found, 1U);
}

TEST_P(ListenerBank, ARecordNamesTheListener) {
  const std::uint32_t all = 1;
  ASSERT_EQ(bpf_map_update_elem(map("listener_records"), &index, &all, BPF_EXIST), 0);
  establish(protocol());
  auto source = dataplane::open_records(program());
  ASSERT_TRUE(source) << source.error().text();
  std::vector<Uuid> named;
  ASSERT_TRUE((*source)->consume([&](std::span<const std::byte> bytes) {
    if (const auto record = records::decode(bytes))
      named.push_back((*source)->listener_id(*record));
  }));
  EXPECT_EQ(named, std::vector<Uuid>{listener_id});
}

}  // namespace
}  // namespace sluice::test
