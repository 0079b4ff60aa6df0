#include "dataplane/codec.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>

#include "maps/listener.h"
#include "maps/snat.h"
#include "model/limits.hpp"

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
  const auto key = to_map4(control::ListenerKey{vip, 443, model::Protocol::tcp});
  const unsigned char wire[] = {10, 0, 0, 16, 0x01, 0xbb, IPPROTO_TCP, 0};
  EXPECT_EQ(std::memcmp(&key, wire, sizeof wire), 0);
  const auto key6 = to_map6(control::ListenerKey{ipv6, 53, model::Protocol::udp});
  const unsigned char wire6[] = {0x20, 0x01, 0x0d, 0xb8, 0, 0,  0,           0, 0, 0, 0, 0,
                                 0,    0,    0,    1,    0, 53, IPPROTO_UDP, 0, 0, 0, 0, 0};
  static_assert(sizeof wire6 == sizeof key6);
  EXPECT_EQ(std::memcmp(&key6, wire6, sizeof wire6), 0);
}

TEST(Codec, AListenerKeyComesBackAsItWas) {
  for (const auto protocol : {model::Protocol::tcp, model::Protocol::udp, model::Protocol::sctp}) {
    const control::ListenerKey key{vip, 443, protocol};
    EXPECT_EQ(from_map(to_map4(key)), key);
    const control::ListenerKey key6{ipv6, 443, protocol};
    EXPECT_EQ(from_map(to_map6(key6)), key6);
  }
}

TEST(Codec, AListenersLimitsComeBackAsTheyWere) {
  control::ListenerEntry entry;
  entry.listener = some_id;
  entry.snat_source = vip;
  EXPECT_EQ(from_map(to_map(entry, 7, 8)), entry);
  entry.connection_limit = 5;
  entry.new_connection_limit = 0;
  entry.resets = true;
  entry.per_packet = true;
  entry.recorded = false;
  EXPECT_EQ(from_map(to_map(entry, 7, 8)), entry);
  for (const auto syns : {model::SynAuthentication::automatic, model::SynAuthentication::always}) {
    entry.syn_authentication = syns;
    EXPECT_EQ(from_map(to_map(entry, 7, 8)), entry);
  }
}

// The model refuses what the map has no room for.
static_assert(model::max_snat_addresses == SLUICE_MAX_SNAT_SOURCES);

TEST(Codec, AListenersIdleTimeAndItsEndShareAWord) {
  for (const bool resets : {false, true}) {
    for (const std::uint32_t seconds : {0U, 1U, 86'400U}) {
      control::ListenerEntry entry, read;
      entry.idle_seconds = seconds;
      entry.idle_resets = resets;
      read_idle_word(idle_word(entry), read);
      EXPECT_EQ(read, entry);
    }
  }
}

TEST(Codec, TheTimeInWhichAMemberHasToAnswerIsBesideTheFlags) {
  for (const std::uint32_t tenths : {0U, 1U, 50U, model::longest_connect_tenths}) {
    control::ListenerEntry entry;
    entry.resets = tenths != 50;
    entry.connect_tenths = tenths;
    EXPECT_EQ(from_map(to_map(entry, 7, 8)), entry);
  }
  EXPECT_EQ(SLUICE_LISTENER_CONNECT_MAX, model::longest_connect_tenths);
}

TEST(Codec, TheLongestIdleTimeThatMayBeAskedForIsTheLongestThatTheDataPlaneCanTell) {
  EXPECT_EQ(SLUICE_MAX_LONG_IDLE_SECONDS, model::idle_timeout_range.highest);
  EXPECT_EQ(SLUICE_MAX_IDLE_SECONDS, model::longest_direct_idle_timeout);
}

TEST(Codec, AllowedNetworksComeBackAsTheyWere) {
  for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.7/32", "2001:db8::/32", "::/0"}) {
    const auto network = *parse_ip_network(text);
    EXPECT_EQ(from_map(to_map(3, network)), network) << text;
  }
}

TEST(Codec, AListenerOfAProtocolThatIsNotKnownIsRefused) {
  auto key = to_map4(control::ListenerKey{vip, 53, model::Protocol::tcp});
  key.protocol = IPPROTO_GRE;
  const auto decoded = from_map(key);
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message.find("47"), std::string::npos) << decoded.error().message;
}

TEST(Codec, AnAddressComesBackAsItWas) {
  EXPECT_EQ(from_map(to_map(vip), false), vip);
  EXPECT_EQ(from_map(to_map(ipv6), true), ipv6);
}

TEST(Codec, AVipIsUpOrDown) {
  for (const bool up : {true, false}) {
    const control::VipEntry entry{some_id, up};
    EXPECT_EQ(from_map(to_map(entry)), entry);
  }
}

TEST(Codec, AMemberComesBackAsItWas) {
  for (const char* address : {"10.0.0.4", "2001:db8::4"}) {
    for (const bool usable : {true, false}) {
      control::MemberEntry entry{*parse_ip_address(address), 8080, usable, !usable,
                                 model::ForwardingMode::ipip};
      entry.proxied = usable;
      const auto member = to_map(some_id, entry);
      EXPECT_EQ(from_map(member), entry);
      EXPECT_FALSE(is_removed(member));
    }
  }
}

TEST(Codec, ARemovedMemberKeepsItsIdAndAddressButIsNotUsable) {
  const auto member = removed(to_map(some_id, control::MemberEntry{ipv6, 8080, true}));
  EXPECT_TRUE(is_removed(member));
  EXPECT_FALSE(from_map(member).usable);
  EXPECT_EQ(from_map(member.id), some_id);
  EXPECT_EQ(from_map(member).address, ipv6);
  EXPECT_EQ(from_map(member).port, 8080);
}

TEST(Codec, ARemovedMembersConnectionsEndWithItsDrainElseInTheTimeOfItsPool) {
  using std::chrono::seconds;
  const auto now = std::chrono::sys_seconds(seconds(1'800'000'000));
  const auto ends = [&](const control::MemberEntry& entry) {
    return removed(drain_of(entry), now, seconds(1000)).ends;
  };
  control::MemberEntry entry{ipv6, 8080};
  EXPECT_EQ(ends(entry), 0U) << "never";
  entry.drain_seconds = 300;
  EXPECT_EQ(ends(entry), 1300U);
  entry.drained_until = now + seconds(60);
  EXPECT_EQ(ends(entry), 1060U);
  entry.drained_until = now - seconds(60);
  EXPECT_EQ(ends(entry), 1000U) << "it was over before";
  control::MemberEntry read{ipv6, 8080};
  read_drain(drain_of(entry), read);
  EXPECT_EQ(read, entry);
  entry.drain_seconds = 0;
  entry.drained_until.reset();
  EXPECT_EQ(ends(entry), 1000U) << "at once";
  EXPECT_EQ(removed(drain_of(entry), now, seconds(0)).ends, 1U) << "0 would be never";
}

// Deleting a dead member takes nothing away from its clients.
TEST(Codec, ARemovedMemberThatWasDownIsGivenUpUnlessItsPoolKeepsConnections) {
  control::MemberEntry entry{ipv6, 8080, false, true};
  EXPECT_TRUE(from_map(removed(to_map(some_id, entry))).given_up) << "also if all were down";
  entry.given_up = true;
  EXPECT_TRUE(from_map(removed(to_map(some_id, entry))).given_up);
  entry.given_up = false;
  entry.keeps = true;
  EXPECT_FALSE(from_map(removed(to_map(some_id, entry))).given_up);
  EXPECT_TRUE(from_map(removed(to_map(some_id, entry))).failed);
  entry.failed = false;
  entry.keeps = false;
  EXPECT_FALSE(from_map(removed(to_map(some_id, entry))).given_up) << "it may be alive";
}

TEST(Codec, AMemberThatIsDownComesBackAsItWas) {
  for (const bool given_up : {false, true}) {
    for (const bool keeps : {false, true}) {
      control::MemberEntry entry{ipv6,     8080, false, true, model::ForwardingMode::dsr,
                                 given_up, keeps};
      entry.max_connections = keeps ? 0 : 500;
      EXPECT_EQ(from_map(to_map(some_id, entry)), entry);
    }
  }
}

TEST(Codec, APoolComesBackAsItWas) {
  using model::Algorithm;
  using model::ForwardingMode;
  for (const auto mode : {ForwardingMode::fullnat, ForwardingMode::dnat, ForwardingMode::dsr,
                          ForwardingMode::ipip, ForwardingMode::gue}) {
    for (const auto algorithm : {Algorithm::round_robin, Algorithm::least_connections,
                                 Algorithm::source_ip, Algorithm::source_ip_port}) {
      control::PoolEntry entry;
      entry.forwarding_mode = mode;
      entry.algorithm = algorithm;
      entry.persistence_seconds = 60;
      entry.persistence_bits = 24;
      EXPECT_EQ(from_map(to_map(some_id, entry)), entry);
    }
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
