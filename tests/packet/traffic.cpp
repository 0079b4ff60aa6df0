#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

const Names names4{"10.0.0.16", "203.0.113.5", "198.51.100.7", "10.0.0.1", "10.0.0.4",
                   "10.0.0.6",  "10.2.0.4",    "10.4.0.4",     "10.5.0.4", "192.0.2.1"};
const Names names6{"2001:db8::16",  "2001:db8:c::5", "2001:db8:d::7", "2001:db8::1",
                   "2001:db8::4",   "2001:db8::6",   "2001:db8:2::4", "2001:db8:4::4",
                   "2001:db8:5::4", "2001:db8:e::1"};

const L4 protocols[] = {L4::tcp, L4::udp, L4::sctp};

}  // namespace

const Names& names(int family) {
  return family == 4 ? names4 : names6;
}

void Traffic::SetUp() {
  World::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  put_vip(net().vip);
  for (const L4 protocol : protocols) {
    use_mode(SLUICE_FULLNAT, protocol);
    put_listener(net().vip, listener_port(protocol), protocol, listener(pool(protocol), 9));
  }
}

std::uint32_t Traffic::pool(L4 protocol) const {
  const std::uint32_t place = protocol == L4::tcp ? 0 : protocol == L4::udp ? 1 : 2;
  return static_cast<std::uint32_t>(family()) * 10 + place;
}

std::uint32_t Traffic::member_index(int member, L4 protocol) const {
  return pool(protocol) * 10 + static_cast<std::uint32_t>(member - 1);
}

std::uint16_t Traffic::listener_port(L4 protocol) {
  return protocol == L4::tcp ? 80 : protocol == L4::udp ? 53 : 5000;
}

std::uint16_t Traffic::member_port(L4 protocol) {
  return protocol == L4::sctp ? 5000 : 8080;
}

void Traffic::use_mode(sluice_forwarding_mode mode, L4 protocol, std::vector<std::string> members) {
  if (members.empty()) members = {net().member1, net().member2};
  std::vector<std::uint32_t> ring;
  for (const auto& member : members) {
    ring.push_back(member_index(static_cast<int>(ring.size()) + 1, protocol));
    put_member(ring.back(), member, member_port(protocol), true, mode_flags(mode));
  }
  put_pool(pool(protocol), mode, ring);
}

Packet Traffic::from_client(L4 protocol, std::uint8_t flags, std::uint16_t port) const {
  Packet p;
  p.source_mac = router_mac;
  p.destination_mac = lan_mac;
  p.source = net().client;
  p.destination = net().vip;
  p.ttl = 57;
  p.protocol = protocol;
  p.source_port = port;
  p.destination_port = listener_port(protocol);
  p.flags = flags;
  // An INIT opens what a SYN opens, an ABORT is its RST.
  p.chunk = flags & SYN ? 1 : flags & RST ? 6 : 10;
  p.data = text("question");
  return p;
}

Packet Traffic::at_member(const Packet& sent, int member, bool keeps_client) const {
  Packet p = sent;
  p.source_mac = lan_mac;
  p.destination_mac = member == 1 ? member1_mac : member2_mac;
  if (!keeps_client) p.source = snat_.empty() ? net().vip : snat_;
  p.destination = member == 1 ? net().member1 : net().member2;
  p.destination_port = member_port(sent.protocol);
  --p.ttl;
  return p;
}

Packet Traffic::from_member(int member, L4 protocol, std::uint8_t flags, std::uint16_t client_port,
                            bool keeps_client) const {
  Packet p;
  p.source_mac = member == 1 ? member1_mac : member2_mac;
  p.destination_mac = lan_mac;
  p.source = member == 1 ? net().member1 : net().member2;
  p.destination = keeps_client ? net().client : snat_.empty() ? net().vip : snat_;
  p.protocol = protocol;
  p.source_port = member_port(protocol);
  p.destination_port = client_port;
  p.flags = flags;
  p.chunk = flags & SYN ? 2 : flags & RST ? 6 : 3;
  p.data = text("the answer");
  return p;
}

Packet Traffic::at_client(const Packet& sent, std::uint16_t client_port) const {
  Packet p = sent;
  p.source_mac = lan_mac;
  p.destination_mac = router_mac;
  p.source = net().vip;
  p.destination = net().client;
  p.source_port = listener_port(sent.protocol);
  p.destination_port = client_port;
  --p.ttl;
  return p;
}

void Traffic::use_snat(const std::string& address, L4 protocol, sluice_listener with) {
  with.flags |= SLUICE_LISTENER_SNAT;
  put_snat_sources(with.index, {address});
  put_listener(net().vip, listener_port(protocol), protocol, with);
  snat_ = address;
}

void Traffic::establish(L4 protocol, std::uint16_t port, bool keeps_client) {
  const auto syn = from_client(protocol, SYN, port);
  const auto out = receive(syn);
  ASSERT_EQ(out.reason, "flow_created");
  const bool first =
      static_cast<bool>(same_frame(out.frame, at_member(syn, 1, keeps_client).bytes()));
  ASSERT_TRUE(first) << "connections must begin with member 1 here\n" << hex_dump(out.frame);
  EXPECT_EQ(receive(from_member(1, protocol, SYN | ACK, port, keeps_client)).reason, "replied");
  EXPECT_EQ(receive(from_client(protocol, ACK, port)).reason, "forwarded");
  EXPECT_EQ(receive(from_member(1, protocol, ACK, port, keeps_client)).reason, "replied");
}

std::uint32_t mode_flags(sluice_forwarding_mode mode) {
  switch (mode) {
    case SLUICE_DSR:
      return SLUICE_MEMBER_DSR;
    case SLUICE_IPIP:
      return SLUICE_MEMBER_IPIP;
    case SLUICE_GUE:
      return SLUICE_MEMBER_IPIP | SLUICE_MEMBER_GUE;
    case SLUICE_DNAT:
      return SLUICE_MEMBER_DNAT;
    default:
      return 0;
  }
}

Packet answer_to(const Packet& packet, std::uint8_t flags) {
  Packet answer = packet;
  std::swap(answer.source, answer.destination);
  std::swap(answer.source_mac, answer.destination_mac);
  std::swap(answer.source_port, answer.destination_port);
  answer.flags = flags;
  answer.sequence = 0;
  answer.acknowledgement = 0;
  answer.window = 0;
  answer.ttl = 64;
  answer.id = 0;
  answer.data = {};
  return answer;
}

std::string family_name(const ::testing::TestParamInfo<int>& info) {
  return info.param == 4 ? "IPv4" : "IPv6";
}

std::string family_and_protocol(const ::testing::TestParamInfo<std::tuple<int, L4>>& info) {
  const auto [family, protocol] = info.param;
  const std::string name = protocol == L4::tcp ? "Tcp" : protocol == L4::udp ? "Udp" : "Sctp";
  return name + (family == 4 ? "OverIPv4" : "OverIPv6");
}

}  // namespace sluice::test
