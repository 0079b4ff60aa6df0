// Traffic: the world's traffic in either IP version, for tests of both.
//
// One listener per protocol on each VIP: TCP 80, UDP 53, SCTP 5000, each on a pool of its own (40,
// 41, 42 in IPv4, 60, 61, 62 in IPv6) with two members of its own. TCP and UDP members listen on
// 8080, SCTP ones on the listener's port, because SCTP ports can't be translated.
#pragma once

#include <linux/bpf.h>

#include "packet/world.hpp"

namespace sluice::test {

// The addresses of the network in one IP version.
struct Names {
  std::string vip, client, other_client, router, member1, member2;
  std::string far_member;     // behind the dmz's gateway
  std::string tagged_member;  // in VLAN 100 of lan0
  std::string narrow_member;  // behind the dmz's gateway, MTU 1400
  std::string somebody;       // not ours
};
const Names& names(int family);

class Traffic : public World {
 protected:
  void SetUp() override;
  virtual int family() const = 0;
  const Names& net() const { return names(family()); }

  std::uint32_t pool(L4 protocol = L4::tcp) const;
  std::uint32_t member_index(int member, L4 protocol = L4::tcp) const;
  static std::uint16_t listener_port(L4 protocol);
  static std::uint16_t member_port(L4 protocol);
  // Sets the pool's forwarding mode and its members' flags.
  void use_mode(sluice_forwarding_mode mode, L4 protocol = L4::tcp,
                std::vector<std::string> members = {});

  Packet from_client(L4 protocol = L4::tcp, std::uint8_t flags = SYN,
                     std::uint16_t port = 40000) const;
  // The client's packet as the member must get it in fullnat or dnat.
  Packet at_member(const Packet& sent, int member = 1, bool keeps_client = false) const;
  // A member's packet toward the VIP (fullnat) or the client (dnat).
  Packet from_member(int member = 1, L4 protocol = L4::tcp, std::uint8_t flags = SYN | ACK,
                     std::uint16_t client_port = 40000, bool keeps_client = false) const;
  Packet at_client(const Packet& sent, std::uint16_t client_port = 40000) const;
  // In fullnat members see this address in place of the VIP from now on.
  void use_snat(const std::string& address, L4 protocol, sluice_listener with);
  // Opens a connection to member 1 with the protocol's full handshake, so that the flow is
  // established.
  void establish(L4 protocol = L4::tcp, std::uint16_t port = 40000, bool keeps_client = false);

  std::string snat_;  // what use_snat() has set
};

// A test for both IP versions.
class BothFamilies : public Traffic, public ::testing::WithParamInterface<int> {
 protected:
  int family() const override { return GetParam(); }
};

// A test for both IP versions and the three protocols.
class AllProtocols : public Traffic, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }
};

// A member's flags in a pool of this mode.
std::uint32_t mode_flags(sluice_forwarding_mode mode);

// A segment without data that the data plane sends back to the packet's sender.
Packet answer_to(const Packet& packet, std::uint8_t flags);

std::string family_name(const ::testing::TestParamInfo<int>& info);
std::string family_and_protocol(const ::testing::TestParamInfo<std::tuple<int, L4>>& info);

#define FOR_BOTH_FAMILIES(suite) \
  INSTANTIATE_TEST_SUITE_P(, suite, ::testing::Values(4, 6), family_name)
// Instantiates a suite for one IP version only.
#define FOR_FAMILY(suite, family) \
  INSTANTIATE_TEST_SUITE_P(, suite, ::testing::Values(family), family_name)
#define FOR_ALL_PROTOCOLS(suite)                                                                  \
  INSTANTIATE_TEST_SUITE_P(                                                                       \
      , suite,                                                                                    \
      ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp, L4::udp, L4::sctp)), \
      family_and_protocol)

}  // namespace sluice::test
