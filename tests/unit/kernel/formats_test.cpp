// Known answers for the formats in pinned maps, which outlive a build: a bit that moves fails here.
// The bytes are those of the example in maps/README.md.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "maps/address_filter.h"
#include "maps/flow.h"
#include "maps/flow_image.h"
#include "maps/listener_bank.h"
#include "maps/pool.h"
#include "maps/record.h"
#include "maps/runtime.h"

namespace sluice::kernel {
namespace {

template <typename Value>
std::vector<std::uint8_t> bytes_of(const Value& value) {
  std::vector<std::uint8_t> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

sluice_address ip(const char* text) {
  sluice_address address{};
  inet_pton(std::strchr(text, ':') ? AF_INET6 : AF_INET, text, &address);
  return address;
}

constexpr std::uint64_t open_tcp =
    SLUICE_STATE_PUT(LISTENER_IN_BANK, 3) | SLUICE_STATE_PUT(MEMBER, 7) | SLUICE_STATE_PUT(HOP, 5) |
    SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_TCP) | SLUICE_PHASE_OPEN | SLUICE_STATE_PUT(SEEN, 100);

TEST(Formats, TheStateOfAFlowIsTheseBits) {
  EXPECT_EQ(open_tcp, 0x000c'8640'1400'7003ULL);
  EXPECT_EQ(SLUICE_FLOW_TO_CLIENT, 1ULL << 40);
  EXPECT_EQ(SLUICE_FLOW_CLIENT_FIN, 1ULL << 43);
  EXPECT_EQ(SLUICE_FLOW_MEMBER_FIN, 1ULL << 44);
  EXPECT_EQ(SLUICE_FLOW_KEEPS_CLIENT, 1ULL << 56);
  EXPECT_EQ(SLUICE_STATE_PASSED, 0x7e00'0000'0000'0000ULL);
  EXPECT_EQ(SLUICE_STATE_LOCK, 0x8000'0000'0000'0000ULL);
  EXPECT_EQ(SLUICE_STATE_FREED(0x12345678), 0x1234'5678ULL);
  EXPECT_TRUE(SLUICE_STATE_IS_FREE(SLUICE_STATE_FREED(0xffffffff)));
  EXPECT_FALSE(SLUICE_STATE_IS_FREE(SLUICE_STATE_CLAIMED));
  EXPECT_FALSE(SLUICE_STATE_IS_FREE(SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_SCTP)));
}

TEST(Formats, TheBankOfAFlowsListenerIsThatOfItsMember) {
  sluice_listener_banks banks{};
  EXPECT_EQ(sluice_listener_of_flow(&banks, open_tcp), 3U);
  banks.of_member[7] = 5;
  EXPECT_EQ(sluice_listener_of_flow(&banks, open_tcp), 3U + 5 * 4096);
  EXPECT_EQ(sluice_listener_of_flow(&banks, open_tcp | SLUICE_STATE_LOCK), 3U + 5 * 4096);
  EXPECT_EQ(sluice_bank_of_listener(3 + 5 * 4096), 5U);
}

TEST(Formats, AMarkIsTheSixteenthInWhichItWasMadeInAStampThatLiesInTheFuture) {
  constexpr std::uint32_t now = 100 * 16 + 5;
  const auto marked = sluice_flow_with_mark(open_tcp, now, now);
  EXPECT_EQ(SLUICE_STATE_GET(marked, SEEN), 197U);
  EXPECT_EQ(marked & SLUICE_STATE_CLEAR(SEEN), open_tcp & SLUICE_STATE_CLEAR(SEEN));
  EXPECT_FALSE(sluice_flow_is_marked(open_tcp, 100));
  EXPECT_EQ(sluice_flow_stamp_age(marked, 99), 0U) << "a clock that was read before";
}

TEST(Formats, AMarkOfAnySixteenthTellsForEightTicksHowLongItHasBeenThere) {
  for (std::uint32_t made = 0; made < 16 * 4096; made++) {
    const auto state = sluice_flow_with_mark(open_tcp, made, made);
    for (const std::uint32_t passed : {0U, 1U, 15U, 16U, 17U, 100U, 120U, 127U}) {
      const auto now = made + passed, tick = now / 16;
      ASSERT_TRUE(sluice_flow_is_marked(state, tick)) << made << " " << passed;
      ASSERT_EQ(sluice_flow_short_silence(state, now), passed) << made;
      const auto ticks = tick - made / 16;
      ASSERT_EQ(sluice_flow_stamp_age(state, tick), ticks < 7 ? ticks : 0U)
          << made << " " << passed;
      ASSERT_EQ(sluice_flow_stamp_age(state, made / 16 - 1), 0U) << made << ": of the future";
    }
  }
}

TEST(Formats, AStampTellsInSixteenthsHowLongItsTickHasBeenOver) {
  EXPECT_EQ(sluice_flow_short_silence(open_tcp, 100 * 16 + 15), 0U);
  EXPECT_EQ(sluice_flow_short_silence(open_tcp, 101 * 16), 1U);
  EXPECT_EQ(sluice_flow_short_silence(open_tcp, 105 * 16 + 3), 4 * 16 + 4U);
  EXPECT_EQ(sluice_flow_short_silence(open_tcp, 98 * 16), 0U) << "a clock that was read before";
}

TEST(Formats, AnIPv4SlotIsTheseBytes) {
  sluice_flow4 slot{};
  slot.source = ip("203.0.0.5").ipv4;
  slot.destination = slot.new_source = ip("10.0.0.16").ipv4;
  slot.new_destination = ip("10.9.0.7").ipv4;
  slot.source_port = slot.new_source_port = htons(40000);
  slot.destination_port = htons(80);
  slot.new_destination_port = htons(8080);
  slot.state = open_tcp;
  const std::vector<std::uint8_t> image{0xcb, 0x00, 0x00, 0x05, 0x0a, 0x00, 0x00, 0x10,
                                        0x9c, 0x40, 0x00, 0x50, 0x9c, 0x40, 0x1f, 0x90,
                                        0x0a, 0x00, 0x00, 0x10, 0x0a, 0x09, 0x00, 0x07,
                                        0x03, 0x70, 0x00, 0x14, 0x40, 0x86, 0x0c, 0x00};
  EXPECT_EQ(bytes_of(slot), image);
}

TEST(Formats, AnIPv6SlotHasItsFieldsHere) {
  EXPECT_EQ(offsetof(sluice_flow6, source), 0U);
  EXPECT_EQ(offsetof(sluice_flow6, destination), 16U);
  EXPECT_EQ(offsetof(sluice_flow6, source_port), 32U);
  EXPECT_EQ(offsetof(sluice_flow6, destination_port), 34U);
  EXPECT_EQ(offsetof(sluice_flow6, new_source_port), 36U);
  EXPECT_EQ(offsetof(sluice_flow6, new_destination_port), 38U);
  EXPECT_EQ(offsetof(sluice_flow6, other), 40U);
  EXPECT_EQ(offsetof(sluice_flow6, state), 56U);
}

TEST(Formats, ARecordIsTheseBytes) {
  sluice_record4 record{};
  record.head.nanoseconds = 1'000'000'000;
  record.head.state = open_tcp;
  record.head.event = SLUICE_RECORD_BEGINS;
  record.head.family = 4;
  record.head.handshake_microseconds = 500;
  record.head.client_port = record.head.snat_port = htons(40000);
  record.head.vip_port = htons(80);
  record.head.member_port = htons(8080);
  record.client = ip("203.0.0.5").ipv4;
  record.vip = record.snat = ip("10.0.0.16").ipv4;
  record.member = ip("10.9.0.7").ipv4;
  const std::vector<std::uint8_t> image{0x00, 0xca, 0x9a, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x03, 0x70,
                                        0x00, 0x14, 0x40, 0x86, 0x0c, 0x00, 0x01, 0x04, 0x00, 0x00,
                                        0xf4, 0x01, 0x00, 0x00, 0x9c, 0x40, 0x00, 0x50, 0x9c, 0x40,
                                        0x1f, 0x90, 0xcb, 0x00, 0x00, 0x05, 0x0a, 0x00, 0x00, 0x10,
                                        0x0a, 0x00, 0x00, 0x10, 0x0a, 0x09, 0x00, 0x07};
  EXPECT_EQ(bytes_of(record), image);
  EXPECT_EQ(offsetof(sluice_record6, client), 32U);
  EXPECT_EQ(offsetof(sluice_record6, vip), 48U);
  EXPECT_EQ(offsetof(sluice_record6, snat), 64U);
  EXPECT_EQ(offsetof(sluice_record6, member), 80U);
}

// The numbers are in records that other programs keep.
TEST(Formats, EventsAndEndsOfRecordsKeepTheirNumbers) {
  EXPECT_EQ(SLUICE_RECORD_BEGINS, 1);
  EXPECT_EQ(SLUICE_RECORD_ENDS, 2);
  EXPECT_EQ(SLUICE_RECORD_RESUMES, 3);
  EXPECT_EQ(SLUICE_RECORD_FINISHED, 1);
  EXPECT_EQ(SLUICE_RECORD_DRAINED, 11);
  EXPECT_EQ(SLUICE_RECORD_MOVED, 12);
  EXPECT_EQ(SLUICE_RECORD_END_COUNT, 13);
}

// The connection of the example, as another table gets it.
TEST(Formats, AnImageIsTheseBytes) {
  sluice_flow_image flow{};
  flow.client = ip("203.0.0.5");
  flow.vip = flow.source = ip("10.0.0.16");
  flow.member = ip("10.9.0.7");
  flow.listener_id.bytes[0] = 0xa1;
  flow.member_id.bytes[15] = 0xb2;
  flow.client_port = flow.source_port = htons(40000);
  flow.vip_port = htons(80);
  flow.member_port = htons(8080);
  flow.listener_index = 3;
  flow.member_index = 7;
  flow.client_idle = 8;
  flow.member_idle = 0x0110;
  flow.family = 4;
  flow.protocol = SLUICE_FLOW_TCP;
  flow.phase = SLUICE_PHASE_OPEN / SLUICE_FLOW_REPLIED;
  flow.flags = SLUICE_IMAGE_KEEPS_CLIENT | SLUICE_IMAGE_DIRECT;
  std::vector<std::uint8_t> bytes(128);
  const auto put = [&bytes](std::size_t at, std::vector<std::uint8_t> some) {
    std::copy(some.begin(), some.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0, {203, 0, 0, 5});
  put(16, {10, 0, 0, 16});
  put(32, {10, 0, 0, 16});
  put(48, {10, 9, 0, 7});
  put(64, {0xa1});
  put(95, {0xb2});
  put(96, {0x9c, 0x40, 0x00, 0x50, 0x9c, 0x40, 0x1f, 0x90});
  put(104, {3, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0x10, 0x01, 4, 1, 3, 3});
  EXPECT_EQ(bytes_of(flow), bytes);
  EXPECT_EQ(offsetof(sluice_flow_image, result), 120U);
  EXPECT_EQ(SLUICE_FLOW_IMAGE_VERSION, 1);
}

TEST(Formats, ABatchHasItsFieldsHere) {
  EXPECT_EQ(offsetof(sluice_flow_batch, version), 0U);
  EXPECT_EQ(offsetof(sluice_flow_batch, family), 4U);
  EXPECT_EQ(offsetof(sluice_flow_batch, count), 8U);
  EXPECT_EQ(offsetof(sluice_flow_batch, own), 12U);
  EXPECT_EQ(offsetof(sluice_flow_batch, next), 16U);
  EXPECT_EQ(offsetof(sluice_flow_batch, change), 20U);
  EXPECT_EQ(offsetof(sluice_flow_batch, status), 24U);
  EXPECT_EQ(offsetof(sluice_flow_batch, images), 32U);
  EXPECT_EQ(sizeof(sluice_flow_batch), 32'800U);
}

TEST(Formats, TheWordOfAnAreaIsTheseBits) {
  constexpr std::uint64_t word = 0x0000000300001616;
  EXPECT_EQ(SLUICE_AREA_SHIFT(word), SLUICE_AREA_SHIFT_OF(10U));
  EXPECT_EQ(SLUICE_AREA_OLD_SHIFT(word), SLUICE_AREA_SHIFT_OF(10U));
  EXPECT_EQ(SLUICE_AREA(22, 22) + 3 * SLUICE_AREA_CHANGE, word);
  EXPECT_EQ(SLUICE_AREA_HELD, 0x10000U);
  EXPECT_EQ(SLUICE_AREA_MOVING, 0x20000U);
  EXPECT_EQ(SLUICE_AREA_STILL, 0x40000U);
  EXPECT_EQ(sluice_area_home(1'234'567, SLUICE_AREA_SHIFT(word)), 647U);
}

TEST(Formats, AnAddressHasThisBitInTheFilter) {
  const auto hash4 = sluice_address_hash4(ip("10.0.0.16").ipv4);
  EXPECT_EQ(hash4, 0x3e2ac0eaU);
  EXPECT_EQ(SLUICE_ADDRESS_WORD(hash4), 248U);
  EXPECT_EQ(SLUICE_ADDRESS_BIT(hash4), 42U);
  const auto address = ip("2001:db8::16");
  const auto hash6 = sluice_address_hash6(&address);
  EXPECT_EQ(hash6, 0x4788d886U);
  EXPECT_EQ(SLUICE_ADDRESS_WORD(hash6), 286U);
  EXPECT_EQ(SLUICE_ADDRESS_BIT(hash6), 8U);
}

TEST(Formats, AnAddressHasTheseBitsInTheLargeFilter) {
  const auto hash4 = sluice_large_filter_hash4(ip("10.0.0.16").ipv4);
  EXPECT_EQ(hash4, 0xc61f'6900'48e8'd8d2ULL);
  EXPECT_EQ(SLUICE_LARGE_FILTER_WORD(hash4), 12679U);
  EXPECT_EQ(SLUICE_LARGE_FILTER_BITS(hash4), 1ULL << 54 | 1ULL << 36 | 1ULL << 0);
  const auto address = ip("2001:db8::16");
  const auto hash6 = sluice_large_filter_hash6(&address);
  EXPECT_EQ(hash6, 0x4788'd886'7ee0'dd60ULL);
  EXPECT_EQ(SLUICE_LARGE_FILTER_WORD(hash6), 4578U);
  EXPECT_EQ(SLUICE_LARGE_FILTER_BITS(hash6), 1ULL << 13 | 1ULL << 34 | 1ULL << 6);
  EXPECT_EQ(offsetof(sluice_address_filter, complete_for), 0U);
  EXPECT_EQ(offsetof(sluice_address_filter, words), 64U);
  EXPECT_EQ(offsetof(sluice_runtime, large_filter), 6U);
}

TEST(Formats, ARingBeginsWithItsLength) {
  EXPECT_EQ(SLUICE_RING_LENGTH, 0);
  EXPECT_EQ(SLUICE_RING_FIRST, 1);
}

}  // namespace
}  // namespace sluice::kernel
