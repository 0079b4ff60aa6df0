// Known answers for IPFIX messages: collectors of others read them.
#include "records/ipfix.hpp"

#include <gtest/gtest.h>

#include "example.hpp"

namespace sluice::records {
namespace {

constexpr std::int64_t second = 1'000'000'000;
// 2026-11-30 02:07:11 UTC
constexpr std::int64_t wall = 0x6b0c'da4fLL * second;

std::uint16_t number_at(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

TEST(Ipfix, ABeginningIsTheseBytes) {
  IpfixMessages messages(7);
  std::vector<Bytes> sent;
  const auto send = [&](const Bytes& message) { sent.push_back(message); };
  messages.add(*decode(bytes_of(record4(SLUICE_RECORD_BEGINS))), wall - second, send);
  messages.finish(wall, send);
  ASSERT_EQ(sent.size(), 1U);
  const Bytes image{// Version, length, time, sequence, domain (RFC 7011, 3.1).
                    0x00, 0x0a, 0x00, 0x36, 0x6b, 0x0c, 0xda, 0x4f, 0, 0, 0, 0, 0, 0, 0, 7,
                    // The set: template 256, length.
                    0x01, 0x00, 0x00, 0x26,
                    // Milliseconds; NAT44 session create; TCP.
                    0x00, 0x00, 0x01, 0xa2, 0x2a, 0x34, 0xc4, 0x98, 4, 6,
                    // Ports: client's, VIP's, the source's, the member's.
                    0x9c, 0x40, 0x00, 0x50, 0x9c, 0x40, 0x1f, 0x90,
                    // Addresses in the same order.
                    203, 0, 0, 5, 10, 0, 0, 16, 10, 0, 0, 16, 10, 9, 0, 7};
  EXPECT_EQ(sent[0], image);
}

TEST(Ipfix, TheTemplatesSayWhatTheRecordsHave) {
  const IpfixMessages messages(7);
  const auto message = messages.templates(wall);
  ASSERT_EQ(number_at(message, 2), message.size());
  ASSERT_LE(message.size(), IpfixMessages::max_bytes);
  ASSERT_EQ(number_at(message, 16), 2U) << "a template set";
  ASSERT_EQ(number_at(message, 18), message.size() - 16);
  std::map<unsigned, std::size_t> bytes_of_template;
  for (std::size_t at = 20; at < message.size();) {
    const auto id = number_at(message, at), fields = number_at(message, at + 2);
    at += 4;
    for (unsigned i = 0; i < fields; ++i, at += 4)
      bytes_of_template[id] += number_at(message, at + 2);
  }
  const std::map<unsigned, std::size_t> expected{{256, 34}, {257, 82}, {258, 35},
                                                 {259, 83}, {262, 51}, {263, 99}};
  EXPECT_EQ(bytes_of_template, expected);
  // observationTimeMilliseconds, natEvent, protocolIdentifier: 323, 230, 4.
  const Bytes first(message.begin() + 20, message.begin() + 36);
  EXPECT_EQ(first, (Bytes{0x01, 0x00, 0x00, 0x0b, 0x01, 0x43, 0, 8, 0, 230, 0, 1, 0, 4, 0, 1}));
}

// The set's length tells: header, and one record of the template's length.
TEST(Ipfix, EachKindOfRecordHasItsTemplate) {
  const auto send_one = [](Connection connection) {
    Bytes sent;
    IpfixMessages messages(7);
    const auto send = [&](const Bytes& message) { sent = message; };
    messages.add(connection, wall, send);
    messages.finish(wall, send);
    return sent;
  };
  const auto begin6 = send_one(*decode(bytes_of(record6(SLUICE_RECORD_BEGINS))));
  EXPECT_EQ(number_at(begin6, 16), 257U);
  EXPECT_EQ(number_at(begin6, 18), 4U + 82);
  EXPECT_EQ(begin6[28], 1) << "translation created";
  auto end = *decode(bytes_of(record4(SLUICE_RECORD_ENDS, SLUICE_RECORD_IDLE)));
  const auto without_start = send_one(end);
  EXPECT_EQ(number_at(without_start, 16), 258U);
  EXPECT_EQ(number_at(without_start, 18), 4U + 35);
  EXPECT_EQ(without_start[28], 5) << "NAT44 session delete";
  EXPECT_EQ(without_start.back(), 1) << "idle timeout";
  end.began_nanoseconds = 0;
  const auto with_start = send_one(end);
  EXPECT_EQ(number_at(with_start, 16), 262U);
  EXPECT_EQ(number_at(with_start, 18), 4U + 51);
}

TEST(Ipfix, MessagesFitIntoADatagramAndCountTheirRecords) {
  IpfixMessages messages(7);
  std::vector<Bytes> sent;
  const auto send = [&](const Bytes& message) { sent.push_back(message); };
  const auto v4 = *decode(bytes_of(record4(SLUICE_RECORD_BEGINS)));
  const auto v6 = *decode(bytes_of(record6(SLUICE_RECORD_ENDS, SLUICE_RECORD_FINISHED)));
  for (int i = 0; i < 60; ++i) {
    messages.add(v4, wall, send);
    messages.add(v6, wall, send);
  }
  messages.finish(wall, send);
  ASSERT_GT(sent.size(), 5U);
  std::uint32_t records = 0;
  for (const auto& message : sent) {
    EXPECT_LE(message.size(), IpfixMessages::max_bytes);
    EXPECT_EQ(number_at(message, 2), message.size());
    EXPECT_EQ(number_at(message, 10), records) << "the sequence number";
    for (std::size_t at = 16; at < message.size(); at += number_at(message, at + 2)) {
      const auto bytes = number_at(message, at + 2) - 4U;
      records += bytes / (number_at(message, at) == 256 ? 34U : 83U);
    }
  }
  EXPECT_EQ(records, 120U);
  messages.finish(wall, send);
  EXPECT_EQ(number_at(sent.back(), 2), sent.back().size())
      << "nothing is sent when there is nothing";
}

}  // namespace
}  // namespace sluice::records
