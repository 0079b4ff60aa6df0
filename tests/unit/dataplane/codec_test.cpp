#include "dataplane/codec.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>

namespace sluice::dataplane {
namespace {

const Uuid some_id = *parse_uuid("547deffe-55fc-49be-ac52-e24c7fd22ece");
const IpAddress vip = *parse_ip_address("10.0.0.16");
const IpAddress ipv6 = *parse_ip_address("2001:db8::1");

TEST(Codec, AnIdIsStoredInTheByteOrderOfItsText) {
  const auto id = to_map(some_id);
  EXPECT_EQ(id.bytes[0], 0x54);
  EXPECT_EQ(id.bytes[15], 0xce);
  EXPECT_EQ(from_map(id), some_id);
}

TEST(Codec, AddressesAndPortsAreStoredAsOnTheWire) {
  const auto key = to_map(control::ListenerKey{vip, 443, model::Protocol::tcp});
  ASSERT_TRUE(key);
  const unsigned char wire[] = {10, 0, 0, 16, 0x01, 0xbb, IPPROTO_TCP, 0};
  EXPECT_EQ(std::memcmp(&*key, wire, sizeof wire), 0);
}

TEST(Codec, AListenerKeyComesBackAsItWas) {
  const control::ListenerKey key{vip, 443, model::Protocol::tcp};
  EXPECT_EQ(from_map(*to_map(key)), key);
}

TEST(Codec, AListenerOfAProtocolThatIsNotKnownIsRefused) {
  auto key = *to_map(control::ListenerKey{vip, 53, model::Protocol::tcp});
  key.protocol = IPPROTO_UDP;
  const auto decoded = from_map(key);
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("17"), std::string::npos) << decoded.error().message;
}

TEST(Codec, IPv6IsUnsupportedAndTheErrorNamesTheAddress) {
  const auto address = to_map(ipv6);
  ASSERT_FALSE(address);
  EXPECT_EQ(address.error().kind, ErrorKind::unsupported);
  EXPECT_NE(address.error().message.find("2001:db8::1"), std::string::npos);
  EXPECT_FALSE(to_map(some_id, control::MemberEntry{ipv6, 80, true}));
  EXPECT_FALSE(to_map(control::ListenerKey{ipv6, 80, model::Protocol::tcp}));
}

TEST(Codec, AVipIsUpOrDown) {
  for (const bool up : {true, false}) {
    const control::VipEntry entry{some_id, up};
    EXPECT_EQ(from_map(to_map(entry)), entry);
  }
}

TEST(Codec, AMemberComesBackAsItWas) {
  for (const bool usable : {true, false}) {
    const control::MemberEntry entry{*parse_ip_address("10.0.0.4"), 8080, usable};
    const auto member = to_map(some_id, entry);
    ASSERT_TRUE(member);
    EXPECT_EQ(from_map(*member), entry);
    EXPECT_FALSE(is_removed(*member));
  }
}

TEST(Codec, ARemovedMemberKeepsItsIdAndAddressButIsNotUsable) {
  const auto member = removed(*to_map(some_id, {*parse_ip_address("10.0.0.4"), 8080, true}));
  EXPECT_TRUE(is_removed(member));
  EXPECT_FALSE(from_map(member).usable);
  EXPECT_EQ(from_map(member.id), some_id);
  EXPECT_EQ(from_map(member).port, 8080);
}

TEST(Codec, AForwardingModeComesBackAsItWas) {
  for (const auto mode : {model::ForwardingMode::fullnat, model::ForwardingMode::dnat}) {
    EXPECT_EQ(forwarding_mode(to_map(some_id, mode)), mode);
  }
}

TEST(Codec, EveryCounterIsAdded) {
  control::Counters sum;
  const sluice_counters one{1, 2, 3, 4, 5, 6, 7, 8};
  add(sum, one);
  add(sum, one);
  EXPECT_EQ(sum, (control::Counters{2, 4, 6, 8, 10, 12, 14, 16}));
}

}  // namespace
}  // namespace sluice::dataplane
