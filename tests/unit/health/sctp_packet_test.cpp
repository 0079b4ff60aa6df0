#include "health/sctp_packet.hpp"

#include <gtest/gtest.h>

#include "sctp_bytes.hpp"

namespace sluice::health::sctp {
namespace {

constexpr Ports ours{61234, 5060};
constexpr std::uint32_t tag = 0x11223344;
constexpr std::uint32_t peer_tag = 0x55667788;

TEST(SctpPacket, AnInitCarriesPortsTagAndARightChecksum) {
  const auto packet = make_init(ours, tag);
  const auto read = SctpBytes::parse(packet);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->source, 61234);
  EXPECT_EQ(read->destination, 5060);
  EXPECT_EQ(read->tag, 0U);  // an INIT's is always 0
  EXPECT_EQ(read->chunk, SctpBytes::init);
  EXPECT_EQ(read->initiate_tag, tag);
  EXPECT_EQ(packet.size(), 32U);
  EXPECT_EQ(SctpBytes::number(packet, 14, 2), 20U);  // the chunk's length
  EXPECT_GT(SctpBytes::number(packet, 24, 2), 0U);   // streams out and in: 0 is refused
  EXPECT_GT(SctpBytes::number(packet, 26, 2), 0U);
}

TEST(SctpPacket, AnAbortCarriesThePeersTag) {
  const auto read = SctpBytes::parse(make_abort(ours, peer_tag));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->chunk, SctpBytes::abort);
  EXPECT_EQ(read->tag, peer_tag);
}

TEST(SctpPacket, AnInitAckIsAnAnswerWithThePeersTag) {
  const auto answer =
      parse_answer(SctpBytes::make(5060, 61234, tag, SctpBytes::init_ack, peer_tag));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ports, (Ports{5060, 61234}));
  EXPECT_EQ(answer->tag, tag);
  EXPECT_EQ(answer->peer_tag, peer_tag);
}

TEST(SctpPacket, AnAbortIsAnAnswerWithout) {
  const auto answer = parse_answer(SctpBytes::make(5060, 61234, tag, SctpBytes::abort, 0));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->peer_tag, std::nullopt);
}

TEST(SctpPacket, NothingElseIsAnAnswer) {
  auto good = SctpBytes::make(5060, 61234, tag, SctpBytes::init_ack, peer_tag);
  auto broken = good;
  broken.back() ^= 1;
  EXPECT_FALSE(parse_answer(broken)) << "a wrong checksum";
  EXPECT_FALSE(parse_answer(SctpBytes::make(5060, 61234, tag, SctpBytes::init, peer_tag)));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_answer(std::span(good).first(size))) << size << " bytes of it";
  }
}

}  // namespace
}  // namespace sluice::health::sctp
