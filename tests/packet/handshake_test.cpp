// The time that members take to answer is measured for a sample of connections.
#include <bpf/bpf.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "maps/handshake.h"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class Handshake : public AllProtocols {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (!IsSkipped()) put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  }
  sluice_member_handshakes handshakes() {
    const std::uint32_t member = member_index(1, protocol());
    sluice_member_handshakes result{};
    EXPECT_EQ(bpf_map_lookup_elem(map("member_handshakes"), &member, &result), 0);
    return result;
  }
  std::uint32_t answers() {
    const auto all = handshakes();
    return std::accumulate(std::begin(all.answers), std::end(all.answers), 0U);
  }
  void open(std::uint16_t port) {
    EXPECT_EQ(receive(from_client(protocol(), SYN, port)).reason, "flow_created");
  }
  void answer(std::uint16_t port) {
    EXPECT_EQ(receive(from_member(1, protocol(), SYN | ACK, port)).reason, "replied");
  }
  std::uint32_t timed() const { return protocol() == L4::udp ? 0 : 1; }
};
FOR_ALL_PROTOCOLS(Handshake);

TEST_P(Handshake, TheTimeToTheAnswerIsCountedInItsBucket) {
  const auto before = std::chrono::steady_clock::now();
  open(40000);
  std::this_thread::sleep_for(20ms);
  answer(40000);
  const std::uint64_t most =
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - before).count();
  ASSERT_EQ(answers(), timed()) << "UDP shakes no hands";
  if (timed() == 0) return;
  const auto all = handshakes();
  EXPECT_GE(all.sum_nanoseconds, 20'000'000U);
  EXPECT_LE(all.sum_nanoseconds, most);
  for (unsigned i = 0; i < SLUICE_HANDSHAKE_BUCKETS; ++i) {
    const auto at_most = std::uint64_t{1} << (SLUICE_HANDSHAKE_SHIFT + i);
    const bool in_it =
        all.sum_nanoseconds <= at_most && all.sum_nanoseconds > (i ? at_most / 2 : 0);
    EXPECT_EQ(all.answers[i], in_it ? 1U : 0U) << i;
  }
}

TEST_P(Handshake, OneConnectionIsTimedAtATime) {
  open(40001);
  std::this_thread::sleep_for(20ms);
  open(40002);
  answer(40002);
  EXPECT_EQ(answers(), 0U);
  answer(40001);
  EXPECT_EQ(answers(), timed());
  answer(40001);
  EXPECT_EQ(answers(), timed()) << "its repetition is no second answer";
  std::this_thread::sleep_for(20ms);
  open(40003);
  answer(40003);
  EXPECT_EQ(answers(), 2 * timed());
}

TEST_P(Handshake, MembersThatAnswerDirectlyAreNotTimed) {
  use_mode(SLUICE_DSR, protocol());
  open(40004);
  EXPECT_EQ(handshakes().connection, 0U);
}

}  // namespace
}  // namespace sluice::test
