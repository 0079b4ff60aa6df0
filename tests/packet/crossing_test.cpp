// While flows come from tables of another layout (bpf/crossing.h), two programs share the packets.
// Nobody notices: not a connection of either table, nor one that begins.
//
// The mechanism doesn't depend on the layouts, so here both programs have the same one.
#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "dataplane/flow_images.hpp"
#include "kernel/map.hpp"
#include "packet/identified.hpp"
#include "packet/whole_map.hpp"

namespace sluice::test {
namespace {

using dataplane::Counted;
using Images = std::vector<sluice_flow_image>;

class Crossing : public Identified, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }

  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    name_objects(protocol(), SLUICE_FULLNAT);
  }
  void TearDown() override {
    receive_by(-1);
    forget_flows();
    Traffic::TearDown();
  }

  // From now on packets meet the new program. Until forget_vips() the former one opens connections.
  void begin() {
    if (loaded_over_ != &program()) load();
    ASSERT_EQ(loaded_over_, &program());
    for (const char* name : {"flows4", "flows6", "flow_areas"}) clear_array(now().map_fd(name));
    copy_vips();
    receive_by(now().xdp_fd());
  }
  // Loading takes seconds, so all tests have the same programs, and each begins with empty tables.
  void load() {
    auto maps = kernel::Program::with_tables_across(program());
    ASSERT_TRUE(maps) << maps.error().text();
    auto crossing = kernel::Program::load_to_cross(*maps, program().xdp_fd());
    ASSERT_TRUE(crossing) << crossing.error().text();
    auto last = kernel::Program::load_over(*maps);
    ASSERT_TRUE(last) << last.error().text();
    loaded_over_ = &program();
    now_.emplace(std::move(*crossing));
    last_.emplace(std::move(*last));
  }
  void copy_vips() {
    for (const char* name : {"vips4", "vips6"}) {
      const auto size = name[4] == '4' ? 4U : 16U;
      const kernel::RawMap from(program(), name), to(now(), name);
      empty_hash(now().map_fd(name));
      const auto entries = from.read_all(size, sizeof(sluice_vip));
      ASSERT_TRUE(entries) << entries.error().text();
      for (std::uint32_t i = 0; i < entries->count; ++i)
        ASSERT_TRUE(to.put_bytes(entries->keys.data() + std::size_t{i} * size,
                                 entries->values.data() + i * sizeof(sluice_vip)));
    }
  }
  void forget_vips() {
    for (const char* name : {"vips4", "vips6"}) {
      const auto size = name[4] == '4' ? 4U : 16U;
      const kernel::RawMap vips(program(), name);
      const auto entries = vips.read_all(size, sizeof(sluice_vip));
      ASSERT_TRUE(entries) << entries.error().text();
      for (std::uint32_t i = 0; i < entries->count; ++i)
        ASSERT_TRUE(vips.erase_bytes(entries->keys.data() + std::size_t{i} * size));
    }
  }
  Images walk(const kernel::Program& of) {
    Images found;
    const auto keep = [&](auto batch) {
      found.insert(found.end(), batch.begin(), batch.end());
      return true;
    };
    const auto walked =
        dataplane::walk_images(of.walk_fd(), static_cast<std::uint32_t>(family()), keep);
    EXPECT_TRUE(walked) << walked.error().text();
    return found;
  }
  Images put(Images images, sluice_put_request request = SLUICE_PUT_INSERT) {
    const auto done = dataplane::put_images(now().put_fd(), images, Counted::already, request);
    EXPECT_TRUE(done) << done.error().text();
    return images;
  }

  // By what the slots of the new tables say, read by the last program.
  Images carried() { return walk(last()); }

  // Brings over what the former program has noted of the connection since it was read; returns its
  // phase there.
  std::uint32_t bring_over(const Images& read) {
    auto now = walk(program());
    EXPECT_EQ(now.size(), 1U);
    if (now.empty()) return 0;
    EXPECT_NE(now.front().phase, read.front().phase);
    now.front().result = read.front().phase;
    put(now, SLUICE_PUT_AMEND);
    return now.front().phase;
  }

  static Packet end(Packet packet) {
    packet.chunk = 7;  // SHUTDOWN
    return packet;
  }
  // Sends one end's packet by the former program, between reading and putting, and the other end's
  // by the new one, before the first is brought over.
  void expect_both_ends(const Packet& there, const Packet& here) {
    establish(protocol());
    const auto before = counts();
    begin();
    forget_vips();
    const auto read = walk(program());
    ASSERT_EQ(read.size(), 1U);
    receive(there);
    EXPECT_EQ(put(read).front().result, SLUICE_PUT_DONE);
    receive(here);
    bring_over(read);
    ASSERT_EQ(carried().size(), 1U);
    EXPECT_EQ(carried().front().phase * SLUICE_FLOW_REPLIED, SLUICE_PHASE_OVER);
    EXPECT_EQ(counts().active, 0U);
    EXPECT_EQ(counts().ended, before.ended + 1);
  }

  void expect_forwarded_both_ways(std::uint16_t port = 40000, std::uint16_t source_port = 40000) {
    for (int i = 0; i < 2; ++i) {
      const auto data = from_client(protocol(), ACK, port);
      EXPECT_EQ(receive(data).reason, "forwarded");
      const auto answer = from_member(1, protocol(), ACK, source_port);
      const auto back = receive(answer);
      EXPECT_EQ(back.reason, "replied");
      EXPECT_TRUE(same_frame(back.frame, at_client(answer, port).bytes()));
    }
  }

  const kernel::Program& now() const { return *now_; }
  const kernel::Program& last() const { return *last_; }

 private:
  static inline const kernel::Program* loaded_over_ = nullptr;
  static inline std::optional<kernel::Program> now_, last_;
};
FOR_ALL_PROTOCOLS(Crossing);

using CrossingOfEnds = Crossing;  // UDP sessions don't end
INSTANTIATE_TEST_SUITE_P(, CrossingOfEnds,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::sctp)),
                         family_and_protocol);

TEST_P(Crossing, PacketsOfTheFormerFlowsGoOn) {
  establish(protocol());
  const auto before = counts();
  begin();
  expect_forwarded_both_ways();
  forget_vips();
  expect_forwarded_both_ways();
  EXPECT_TRUE(carried().empty());
  EXPECT_EQ(counts(), before);
}

TEST_P(Crossing, TheFormerProgramOpensConnectionsUntilItHasNoVips) {
  begin();
  EXPECT_EQ(receive(from_client(protocol(), SYN, 40001)).reason, "flow_created");
  EXPECT_EQ(walk(program()).size(), 1U);
  EXPECT_TRUE(carried().empty());
  forget_vips();
  EXPECT_EQ(receive(from_client(protocol(), SYN, 40002)).reason, "flow_created");
  EXPECT_EQ(walk(program()).size(), 1U);
  EXPECT_EQ(carried().size(), 1U);
  EXPECT_EQ(counts().active, 2U);
}

TEST_P(Crossing, AFirstPacketThatComesAgainFollowsTheFormerFlow) {
  const auto first = receive(from_client(protocol(), SYN));
  begin();
  forget_vips();
  const auto again = receive(from_client(protocol(), SYN));
  EXPECT_EQ(again.reason, "forwarded");
  EXPECT_TRUE(same_frame(again.frame, first.frame));
  EXPECT_TRUE(carried().empty());
}

TEST_P(Crossing, APacketOfNoFlowHasOneReasonAndIsNotCountedTwice) {
  put_vip(net().vip, true, SLUICE_VIP_REJECTS);
  begin();
  forget_vips();
  // UDP has no packets from the middle.
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason,
            protocol() == L4::udp ? "flow_created" : "rejected");
  auto to_nobody = from_client(protocol(), ACK, 40001);
  to_nobody.destination = net().somebody;
  const auto passed = receive(to_nobody);
  EXPECT_EQ(passed.reason, "not_ours");
  EXPECT_TRUE(same_frame(passed.frame, to_nobody.bytes()));
}

TEST_P(Crossing, ASourcePortOfTheFormerFlowsIsNotGivenOutAgain) {
  establish(protocol());
  put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  begin();
  forget_vips();
  auto other = from_client(protocol(), SYN);
  other.source = net().other_client;
  const auto out = receive(other);
  if (protocol() == L4::sctp) {
    EXPECT_EQ(out.reason, "no_port");
    EXPECT_TRUE(carried().empty());
    return;
  }
  ASSERT_EQ(out.reason, "flow_created");
  const auto made = carried();
  ASSERT_EQ(made.size(), 1U);
  EXPECT_NE(ntohs(made.front().source_port), 40000);
  // The packet is what it was, but for its translation.
  auto expected = at_member(other);
  expected.source_port = ntohs(made.front().source_port);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  // Both connections' answers find their clients.
  expect_forwarded_both_ways();
}

TEST_P(Crossing, CarriedConnectionsNeedTheFormerProgramNoMore) {
  establish(protocol());
  const auto before = counts();
  begin();
  forget_vips();
  EXPECT_EQ(put(walk(program())).front().result, SLUICE_PUT_DONE);
  EXPECT_EQ(counts(), before);
  expect_forwarded_both_ways();
  receive_by(last().xdp_fd());
  expect_forwarded_both_ways();
  EXPECT_EQ(counts(), before);
  if (protocol() == L4::udp) return;
  receive(from_client(protocol(), RST | ACK));
  EXPECT_EQ(counts().ended, before.ended + 1);
  EXPECT_EQ(counts().active, 0U);
}

TEST_P(CrossingOfEnds, WhatIsNotedBetweenReadingAndPuttingIsBroughtOver) {
  establish(protocol());
  begin();
  forget_vips();
  const auto read = walk(program());
  receive(from_client(protocol(), RST | ACK));  // by the former program
  const auto ended = counts();
  EXPECT_EQ(ended.active, 0U);
  EXPECT_EQ(put(read).front().result, SLUICE_PUT_DONE);
  const auto noted = bring_over(read);
  ASSERT_EQ(carried().size(), 1U);
  EXPECT_EQ(carried().front().phase, noted);
  EXPECT_EQ(counts(), ended);
}

// One end's FIN is noted by the former program between reading and putting, the other one's here,
// before the first is brought over. If one were lost, the connection would seem to live until it is
// idle for long enough.
TEST_P(CrossingOfEnds, TheMembersEndHereJoinsTheClientsThere) {
  expect_both_ends(end(from_client(protocol(), FIN | ACK)),
                   end(from_member(1, protocol(), FIN | ACK)));
}

TEST_P(CrossingOfEnds, TheClientsEndHereJoinsTheMembersThere) {
  expect_both_ends(end(from_member(1, protocol(), FIN | ACK)),
                   end(from_client(protocol(), FIN | ACK)));
}

TEST_P(Crossing, AConnectionThatHasEndedBetweenReadingAndPuttingIsTakenBack) {
  establish(protocol());
  begin();
  forget_vips();
  const auto read = walk(program());
  EXPECT_EQ(put(read).front().result, SLUICE_PUT_DONE);
  const auto before = counts();
  put(read, SLUICE_PUT_TAKE_BACK);
  EXPECT_TRUE(carried().empty());
  EXPECT_EQ(counts(), before) << "its end was counted where it was read";
  EXPECT_EQ(put(read).front().result, SLUICE_PUT_DONE) << "its source port is free";
}

TEST_P(Crossing, NobodyPutsBackTheVipsThatTheFormerProgramHasLost) {
  const auto former = kernel::Program::with_tables_across(program());  // these can't be thawed
  ASSERT_TRUE(former) << former.error().text();
  const char* name = family() == 4 ? "vips4" : "vips6";
  const kernel::RawMap vips(*former, name);
  const auto size = family() == 4 ? 4U : 16U;
  const auto entries = vips.read_all(size, sizeof(sluice_vip));
  ASSERT_TRUE(entries) << entries.error().text();
  ASSERT_GT(entries->count, 0U);
  for (int times = 0; times < 2; ++times) {  // an upgrade that was killed between does it again
    const auto frozen = former->freeze_vips();
    ASSERT_TRUE(frozen) << frozen.error().text();
    EXPECT_FALSE(vips.put_bytes(entries->keys.data(), entries->values.data()));
    EXPECT_EQ(vips.count().value_or(0), times == 0 ? entries->count : 0);
    const auto forgotten = former->forget_frozen_vips();
    ASSERT_TRUE(forgotten) << forgotten.error().text();
    EXPECT_EQ(vips.count().value_or(1), 0U);
  }
}

TEST_P(Crossing, ErrorsAboutTheFormerFlowsAreForwarded) {
  establish(protocol());
  const auto answer = from_member(1, protocol(), ACK);
  auto error = icmp_error(net().other_client, net().vip, family() == 4 ? 3 : 1, 1, 0,
                          at_client(answer).ip_bytes());
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  begin();
  forget_vips();
  EXPECT_EQ(receive(error).reason, "icmp_forwarded");
}

}  // namespace
}  // namespace sluice::test
