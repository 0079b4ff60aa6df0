// SNAT addresses: members of fullnat pools see one of several sources in place of the VIP, so that
// one member may have more connections than an address has ports.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <tuple>

#include "dataplane/leaving_sources.hpp"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class Snat : public BothFamilies {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    use_sources(sources(2));
  }
  // The first of six sources.
  std::vector<std::string> sources(int count) const {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i)
      all.push_back((family() == 4 ? "10.0.0.3" : "2001:db8::3") + std::to_string(i));
    return all;
  }
  // All listeners of this IP version have the same.
  void use_sources(const std::vector<std::string>& addresses) {
    for (const L4 protocol : {L4::tcp, L4::udp, L4::sctp}) {
      auto with = listener(pool(protocol), pool(protocol));
      with.flags |= SLUICE_LISTENER_SNAT;
      put_snat_sources(with.index, addresses);
      put_listener(net().vip, listener_port(protocol), protocol, with);
    }
  }
  std::string source_of(const Bytes& frame) const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(family() == 4 ? AF_INET : AF_INET6, frame.data() + (family() == 4 ? 26 : 22),
              text.data(), text.size());
    return text.data();
  }
  std::uint16_t source_port_of(const Bytes& frame) const {
    const std::size_t at = family() == 4 ? 34 : 54;
    return static_cast<std::uint16_t>(frame[at] << 8 | frame[at + 1]);
  }
  // As at_member(), from the address that the data plane has chosen.
  Packet seen_by_member(const Packet& sent, const std::string& source) const {
    auto packet = at_member(sent);
    packet.source = source;
    return packet;
  }
  Packet to_source(const std::string& source, L4 protocol = L4::tcp, std::uint8_t flags = SYN | ACK,
                   std::uint16_t port = 40000) const {
    auto packet = from_member(1, protocol, flags, port);
    packet.destination = source;
    return packet;
  }
  // Opens a connection with all that belongs to it; returns its source toward the member.
  std::string open(L4 protocol = L4::tcp, std::uint16_t port = 40000) {
    const auto out = receive(from_client(protocol, SYN, port));
    EXPECT_EQ(out.reason, "flow_created");
    const auto source = source_of(out.frame);
    EXPECT_EQ(receive(to_source(source, protocol, SYN | ACK, port)).reason, "replied");
    EXPECT_EQ(receive(from_client(protocol, ACK, port)).reason, "forwarded");
    return source;
  }
};
FOR_BOTH_FAMILIES(Snat);

TEST_P(Snat, TheMemberSeesASnatAddressAndTheClientTheVip) {
  for (const L4 protocol : {L4::tcp, L4::udp, L4::sctp}) {
    const auto syn = from_client(protocol);
    const auto out = receive(syn);
    ASSERT_EQ(out.reason, "flow_created");
    const auto source = source_of(out.frame);
    EXPECT_EQ(std::ranges::count(sources(2), source), 1) << source;
    EXPECT_TRUE(same_frame(out.frame, seen_by_member(syn, source).bytes()));
    const auto accept = to_source(source, protocol);
    EXPECT_TRUE(same_frame(receive(accept).frame, at_client(accept).bytes()));
    const auto data = from_client(protocol, ACK);
    for (int times = 0; times < 2; ++times) {
      EXPECT_TRUE(same_frame(receive(data).frame, seen_by_member(data, source).bytes()));
      const auto answer = to_source(source, protocol, ACK);
      EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
    }
  }
}

// It is answered for until none has it.
TEST_P(Snat, TheConnectionsOfAnAddressThatWasTakenAwayAreCounted) {
  const auto connections = [&] {
    const auto counted = dataplane::connections_of_leaving(program());
    EXPECT_TRUE(counted && *counted);
    std::map<std::string, std::uint64_t> all;
    for (const auto& [address, count] : **counted) all[address.to_string()] = count;
    return all;
  };
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  use_sources(sources(1));
  for (const L4 protocol : {L4::tcp, L4::udp, L4::sctp}) open(protocol);
  EXPECT_TRUE(connections().empty());
  const auto source = sources(1).front();
  put_vip(source, true, SLUICE_VIP_SNAT | SLUICE_VIP_LEAVING);
  use_sources({sources(2).back()});
  open(L4::tcp, 41000);
  EXPECT_EQ(connections(), (std::map<std::string, std::uint64_t>{{source, 3}}));
  flush_all(family());
  EXPECT_EQ(connections(), (std::map<std::string, std::uint64_t>{{source, 0}}));
  put_vip(source, true, SLUICE_VIP_SNAT);
  EXPECT_TRUE(connections().empty()) << "it has come back";
}

TEST_P(Snat, ConnectionsUseAllAddresses) {
  use_sources(sources(3));
  std::map<std::string, int> seen;
  for (std::uint16_t port = 40000; port < 40090; ++port)
    seen[source_of(receive(from_client(L4::tcp, SYN, port)).frame)]++;
  EXPECT_EQ(seen.size(), 3U);
  for (const auto& [source, times] : seen) EXPECT_GT(times, 12) << source;
}

// SCTP ports can't change, so the address has to.
TEST_P(Snat, AConnectionWhoseFirstAddressHasNoPortTakesTheNext) {
  use_mode(SLUICE_FULLNAT, L4::sctp, {net().member1});
  std::set<std::string> seen;
  for (const auto& client : {net().client, net().other_client}) {
    auto init = from_client(L4::sctp);
    init.source = client;
    const auto out = receive(init);
    ASSERT_EQ(out.reason, "flow_created");
    EXPECT_EQ(source_port_of(out.frame), 40000);
    seen.insert(source_of(out.frame));
  }
  EXPECT_EQ(seen.size(), 2U);
  auto third = from_client(L4::sctp);
  third.source = family() == 4 ? "203.0.113.9" : "2001:db8:c::9";
  EXPECT_EQ(receive(third).reason, "no_port");
}

TEST_P(Snat, AnAddressIsAnsweredForAndHasNoListener) {
  const auto source = sources(1).front();
  auto syn = from_client();
  syn.destination = source;
  EXPECT_EQ(receive(syn).reason, "no_listener");
  EXPECT_EQ(receive(to_source(source)).reason, "no_listener") << "an answer to nobody";
  auto ping = from_client(family() == 4 ? L4::icmp : L4::icmpv6);
  ping.destination = source;
  ping.type = family() == 4 ? 8 : 128;
  EXPECT_EQ(receive(ping).reason, "echo_answered");
  auto forged = from_client();
  forged.source = source;
  EXPECT_EQ(receive(forged).reason, "martian_source") << "nobody else may have it";
}

TEST_P(Snat, AnErrorAboutAPacketFromASnatAddressReachesTheClient) {
  const auto source = open();
  auto sent = seen_by_member(from_client(L4::tcp, ACK), source);
  sent.ttl = 1;
  const bool v4 = family() == 4;
  auto error = icmp_error(net().router, source, v4 ? 11 : 3, 0, 0, cut(sent.ip_bytes(), 64));
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  auto quoted = from_client(L4::tcp, ACK);
  quoted.ttl = 1;
  auto expected =
      icmp_error(net().vip, net().client, v4 ? 11 : 3, 0, 0, cut(quoted.ip_bytes(), 64));
  expected.source_mac = lan_mac;
  expected.destination_mac = router_mac;
  expected.ttl = static_cast<std::uint8_t>(error.ttl - 1);
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
}

TEST_P(Snat, AConnectionKeepsAnAddressThatIsTakenAway) {
  const auto source = open();
  const auto other = sources(2)[source == sources(2)[0] ? 1 : 0];
  use_sources({other});
  const auto data = from_client(L4::tcp, ACK);
  EXPECT_TRUE(same_frame(receive(data).frame, seen_by_member(data, source).bytes()));
  const auto answer = to_source(source, L4::tcp, ACK);
  EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
  for (std::uint16_t port = 41000; port < 41020; ++port)
    EXPECT_EQ(source_of(receive(from_client(L4::tcp, SYN, port)).frame), other);
}

// An IPv6 slot names the VIP by the listener alone, so other addresses keep to themselves.
TEST_P(Snat, AFurtherIPv6AddressIsItsOwnSource) {
  if (family() == 4) GTEST_SKIP() << "an IPv4 slot has room for all addresses";
  const std::string further = "2001:db8::17";
  put_vip(further);
  auto with = listener(pool(), pool());
  with.flags |= SLUICE_LISTENER_SNAT;
  put_listener(further, listener_port(L4::tcp), L4::tcp, with);
  auto syn = from_client();
  syn.destination = further;
  EXPECT_TRUE(same_frame(receive(syn).frame, seen_by_member(syn, further).bytes()));
}

TEST_P(Snat, AConnectionEndsAndIsRemovedLikeAnyOther) {
  for (const L4 protocol : {L4::tcp, L4::udp}) use_mode(SLUICE_FULLNAT, protocol, {net().member1});
  const auto flows_left = [&] { return family() == 4 ? flows().size() : flows6().size(); };
  const auto source = open();
  receive(from_client(L4::tcp, RST));
  EXPECT_EQ(member_counters(member_index(1)).flows_ended, 1U);
  make_all_older(SLUICE_TIMEOUT_RESET_SECONDS + 60);
  expire();
  EXPECT_EQ(flows_left(), 0U);
  open(L4::udp);
  EXPECT_EQ(flush_all(family()), 1U);
  EXPECT_EQ(flows_left(), 0U);
  // Both slots are in their places after a change of the area, or at least where they are found.
  const auto again = open();
  sluice_flow_rehome request{};
  request.family = static_cast<__u32>(family());
  request.buckets = 1U << 20;
  request.shift = SLUICE_AREA_SHIFT_OF(SLUICE_SMALLEST_AREA_BITS);
  rehome(request);
  request.shift = 0;
  rehome(request);
  const auto answer = to_source(again, L4::tcp, ACK);
  EXPECT_TRUE(same_frame(receive(answer).frame, at_client(answer).bytes()));
  const auto data = from_client(L4::tcp, ACK);
  EXPECT_TRUE(same_frame(receive(data).frame, seen_by_member(data, again).bytes()));
}

TEST_P(Snat, ModesThatKeepTheClientsAddressHaveNoSnatAddress) {
  use_mode(SLUICE_DNAT);
  const auto syn = from_client();
  EXPECT_TRUE(same_frame(receive(syn).frame, at_member(syn, 1, true).bytes()));
}

// The tables have their usual size.
class ManyConnections : public Snat {
 protected:
  // The usual table has no room for as many of IPv6.
  std::uint32_t connections() const { return family() == 4 ? 300'000 : 150'000; }
  kernel::LoadOptions load_options() const override {
    return with_room(SLUICE_DEFAULT_FLOWS, SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE);
  }
  // A table of this size is unloaded instead of cleaned for the next test.
  void TearDown() override {
    Snat::TearDown();
    if (IsSkipped()) return;
    ASSERT_TRUE(Loaded::with(Snat::load_options()));
  }

  // A TCP packet whose address and port are exchanged for others.
  struct Frame {
    Bytes bytes;
    std::size_t address, port;
    bool is_v4() const { return bytes[13] == 0; }
    void set(const std::uint8_t* to, std::uint16_t number) {
      const std::uint8_t big_endian[] = {static_cast<std::uint8_t>(number >> 8),
                                         static_cast<std::uint8_t>(number)};
      const std::size_t tcp_sum = (is_v4() ? 34 : 54) + 16;
      put(address, to, is_v4() ? 4 : 16, {tcp_sum, is_v4() ? 24U : 0U});
      put(port, big_endian, sizeof big_endian, {tcp_sum, 0});
    }

   private:
    // Writes the bytes, and changes the checksums at these places alike (RFC 1624).
    void put(std::size_t at, const std::uint8_t* from, std::size_t length,
             std::array<std::size_t, 2> sums) {
      std::uint32_t change = 0;
      for (std::size_t i = 0; i < length; i += 2) {
        change += static_cast<std::uint16_t>(~word(at + i));
        change += static_cast<std::uint32_t>(from[i] << 8 | from[i + 1]);
      }
      std::memcpy(bytes.data() + at, from, length);
      for (const auto place : sums) {
        if (place == 0) continue;
        auto sum = static_cast<std::uint16_t>(~word(place)) + change;
        while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
        bytes[place] = static_cast<std::uint8_t>(~sum >> 8);
        bytes[place + 1] = static_cast<std::uint8_t>(~sum);
      }
    }
    std::uint16_t word(std::size_t at) const {
      return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
    }
  };
  Frame at_source(const Packet& packet) const {
    return {packet.bytes(), family() == 4 ? 26U : 22U, family() == 4 ? 34U : 54U};
  }
  Frame at_destination(const Packet& packet) const {
    return {packet.bytes(), family() == 4 ? 30U : 38U, family() == 4 ? 36U : 56U};
  }
  // Whether the program sends it on; `out_` is what it sends.
  bool passes(const Frame& frame) {
    xdp_md context{};
    context.data_end = static_cast<__u32>(frame.bytes.size());
    context.ingress_ifindex = lan_;
    out_.resize(frame.bytes.size());
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes.data(), .data_out = out_.data(),
                .data_size_in = static_cast<__u32>(frame.bytes.size()),
                .data_size_out = static_cast<__u32>(out_.size()), .ctx_in = &context,
                .ctx_size_in = sizeof context);
    return bpf_prog_test_run_opts(program().xdp_fd(), &options) == 0 && options.retval == XDP_TX;
  }

  std::uint32_t lan_ = 0;
  Bytes out_;
};
FOR_BOTH_FAMILIES(ManyConnections);

TEST_P(ManyConnections, OfOneVipToOneMemberAreManyMoreThanAnAddressHasPorts) {
  use_mode(SLUICE_FULLNAT, L4::tcp, {net().member1});
  // Beyond two thirds of all ports a new connection may find none in its tries, once in some
  // hundred thousand.
  use_sources(sources(family() == 4 ? 8 : 4));
  lan_ = if_nametoindex("lan0");
  auto syn = at_source(from_client()), ack = at_source(from_client(L4::tcp, ACK));
  auto accept = at_destination(from_member());
  std::set<std::array<std::uint8_t, 18>> at_member;
  for (std::uint32_t i = 0; i < connections(); ++i) {
    std::array<std::uint8_t, 16> client{198, 18};
    client[family() == 4 ? 2 : 14] = static_cast<std::uint8_t>(i >> 8);
    client[family() == 4 ? 3 : 15] = static_cast<std::uint8_t>(i);
    client[1] = static_cast<std::uint8_t>(client[1] + (i >> 16));
    if (family() == 6) client[0] = 0x20;
    const auto port = static_cast<std::uint16_t>(1024 + i * 7919U % 40000);
    syn.set(client.data(), port);
    ack.set(client.data(), port);
    ASSERT_TRUE(passes(syn)) << i << ": " << receive(syn.bytes).reason;
    const auto source_port = source_port_of(out_);
    std::array<std::uint8_t, 18> tuple{};
    std::memcpy(tuple.data(), out_.data() + syn.address, family() == 4 ? 4 : 16);
    std::memcpy(tuple.data() + 16, out_.data() + syn.port, 2);
    ASSERT_TRUE(at_member.insert(tuple).second) << i << ": two connections look alike there";
    accept.set(tuple.data(), source_port);
    ASSERT_TRUE(passes(accept)) << i;
    ASSERT_EQ(std::memcmp(out_.data() + accept.address, client.data(), family() == 4 ? 4 : 16), 0);
    ASSERT_TRUE(passes(ack)) << i;
  }
  const auto index = member_index(1);
  std::uint32_t confirmed = 0;
  ASSERT_EQ(bpf_map_lookup_elem(map("member_confirmed"), &index, &confirmed), 0);
  EXPECT_EQ(confirmed, connections());
  EXPECT_EQ(member_counters(index).flows_opened, connections());
}

}  // namespace
}  // namespace sluice::test
