// Listeners with many ports, and members that keep the client's port.
#include <arpa/inet.h>
#include <bpf/bpf.h>

#include <memory>

#include "dataplane/record_source.hpp"
#include "maps/flow_image.h"
#include "packet/traffic.hpp"
#include "records/connection.hpp"

namespace sluice::test {
namespace {

constexpr std::uint16_t first_port = 30000, last_port = 30099;
constexpr std::uint32_t range_listener = 9;

class RangeTest : public Traffic {
 protected:
  virtual L4 protocol() const = 0;

  // The pool of the protocol in this mode, whose members keep the port, behind the ports
  // `first_port` to `last_port` of the VIP.
  void open_ports(sluice_forwarding_mode mode, std::uint16_t member_port = 0) {
    use_mode(mode, protocol());
    for (const int member : {1, 2}) {
      put_member(member_index(member, protocol()), member == 1 ? net().member1 : net().member2,
                 member_port, true, mode_flags(mode));
    }
    put_listener(net().vip, first_port, last_port, protocol(),
                 listener(pool(protocol()), range_listener));
  }
  Packet to_port(std::uint16_t port, std::uint8_t flags = SYN,
                 std::uint16_t source_port = 40000) const {
    auto p = from_client(protocol(), flags, source_port);
    p.destination_port = port;
    return p;
  }
  // The packet as member 1 gets it (dsr, ipip: without what is in front).
  Packet kept(Packet p, sluice_forwarding_mode mode) const {
    const auto port = p.destination_port;
    const bool direct = mode == SLUICE_DSR || mode == SLUICE_IPIP;
    p = at_member(p, 1, mode != SLUICE_FULLNAT);
    p.destination_port = port;
    if (direct) p.destination = net().vip;
    return p;
  }
  std::string reason(std::uint16_t port, std::uint16_t source_port = 40000) {
    return receive(to_port(port, SYN, source_port)).reason;
  }
};

using RangeCase = std::tuple<int, L4, sluice_forwarding_mode>;

class RangeInMode : public RangeTest, public ::testing::WithParamInterface<RangeCase> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const override { return std::get<1>(GetParam()); }
  static sluice_forwarding_mode mode() { return std::get<2>(GetParam()); }
};
std::string range_name(const ::testing::TestParamInfo<RangeCase>& info) {
  static const char* const modes[] = {"Fullnat", "Dnat", "Dsr", "Ipip"};
  const auto [family, protocol, mode] = info.param;
  const std::string name = protocol == L4::tcp ? "Tcp" : protocol == L4::udp ? "Udp" : "Sctp";
  return name + (family == 4 ? "OverIPv4In" : "OverIPv6In") + modes[mode];
}
INSTANTIATE_TEST_SUITE_P(
    , RangeInMode,
    ::testing::Combine(::testing::Values(4, 6), ::testing::Values(L4::tcp, L4::udp, L4::sctp),
                       ::testing::Values(SLUICE_FULLNAT, SLUICE_DNAT, SLUICE_DSR, SLUICE_IPIP)),
    range_name);

TEST_P(RangeInMode, EachOfItsPortsLeadsToTheSamePortOfAMember) {
  open_ports(mode());
  std::uint64_t opened = 0;
  for (const std::uint16_t port :
       {first_port, static_cast<std::uint16_t>(first_port + 63), last_port}) {
    put_pool(pool(protocol()), mode(), {member_index(1, protocol())});
    const auto sent = to_port(port);
    const auto out = receive(sent);
    EXPECT_EQ(out.reason, "flow_created") << port;
    auto frame = out.frame;
    if (mode() == SLUICE_IPIP) {  // direct_test.cpp looks at the header in front
      const auto head = frame.begin() + 14;
      frame.erase(head, head + (family() == 4 ? 20 : 40));
    }
    EXPECT_TRUE(same_frame(frame, kept(sent, mode()).bytes())) << port;
    EXPECT_EQ(receive(to_port(port, ACK)).reason, "forwarded");
    EXPECT_EQ(listener_counters(range_listener).flows_opened, ++opened);
  }
  EXPECT_EQ(reason(first_port - 1), "no_listener");
  EXPECT_EQ(reason(last_port + 1), "no_listener");
}

class Range : public RangeTest, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const override { return std::get<1>(GetParam()); }

  Packet answer(std::uint16_t port, std::uint8_t flags) const {
    auto p = from_member(1, protocol(), flags);
    p.source_port = port;
    return p;
  }
};
FOR_ALL_PROTOCOLS(Range);

TEST_P(Range, AnswersComeFromThePortToWhichTheClientConnected) {
  open_ports(SLUICE_FULLNAT);
  ASSERT_EQ(reason(30050), "flow_created");
  for (const auto flags : {SYN | ACK, ACK | 0}) {
    const auto back = answer(30050, static_cast<std::uint8_t>(flags));
    auto expected = at_client(back);
    expected.source_port = 30050;
    const auto out = receive(back);
    EXPECT_EQ(out.reason, "replied");
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
    EXPECT_EQ(receive(to_port(30050, ACK)).reason, "forwarded");
  }
}

TEST_P(Range, AnErrorAboutAnAnswerReachesTheMemberAtItsPort) {
  open_ports(SLUICE_FULLNAT);
  ASSERT_EQ(reason(30050), "flow_created");
  const auto back = answer(30050, SYN | ACK);
  const auto seen = receive(back).frame;
  auto error = icmp_error(net().other_client, net().vip, family() == 4 ? 3 : 1, 1, 0,
                          Bytes(seen.begin() + 14, seen.end()));
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  auto quoted = back;
  --quoted.ttl;
  auto expected = error;
  expected.source_mac = lan_mac;
  expected.destination_mac = member1_mac;
  expected.source = net().vip;
  expected.destination = net().member1;
  expected.data = quoted.ip_bytes();
  --expected.ttl;
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
}

TEST_P(Range, AllPortsAreOneRange) {
  open_ports(SLUICE_FULLNAT);
  const auto vip = family() == 4 ? "10.0.0.30" : "2001:db8::30";
  put_vip(vip);
  put_listener(vip, 1, 65535, protocol(), listener(pool(protocol()), range_listener));
  for (const std::uint16_t port : {1, 2, 127, 128, 30000, 32768, 65534, 65535}) {
    auto p = to_port(port, SYN, 41000);
    p.destination = vip;
    EXPECT_EQ(receive(p).reason, "flow_created") << port;
  }
}

// As many as there is room for; each is found, and nothing between them.
TEST_P(Range, OfManyTheRightOneIsFound) {
  open_ports(SLUICE_DSR);
  const auto vip = family() == 4 ? "10.0.0.30" : "2001:db8::30";
  put_vip(vip);
  constexpr std::uint16_t apart = 200;
  for (std::uint16_t n = 0; n < SLUICE_RANGES_ROOM; ++n) {
    const auto begin = static_cast<std::uint16_t>(1000 + n * apart);
    put_listener(vip, begin, static_cast<std::uint16_t>(begin + 9), protocol(),
                 listener(pool(protocol()), 100U + n));
  }
  for (std::uint16_t n = 0; n < SLUICE_RANGES_ROOM; ++n) {
    const auto begin = 1000 + n * apart;
    const auto why = [&](int port) {
      auto p = to_port(static_cast<std::uint16_t>(port), SYN, 41000);
      p.destination = vip;
      return receive(p).reason;
    };
    EXPECT_EQ(why(begin - 1), "no_listener") << n;
    EXPECT_EQ(why(begin + 10), "no_listener") << n;
    // The room for connections that nobody confirms is small here.
    if (n % 16 == 0) {
      EXPECT_EQ(why(begin + 9), "flow_created") << n;
      EXPECT_EQ(listener_counters(100U + n).flows_opened, 1U) << n;
    }
  }
}

// Between two writes of the controller a range may lead to another listener's port, or to none.
TEST_P(Range, ARangeWhoseListenerIsGoneLeadsNowhere) {
  open_ports(SLUICE_FULLNAT);
  put_listener(net().vip, first_port, protocol(), listener(pool(protocol()), 8));
  EXPECT_EQ(reason(30050), "no_listener");
  EXPECT_EQ(reason(first_port), "flow_created");
  put_listener(net().vip, first_port, protocol(), listener(pool(protocol()), range_listener));
  EXPECT_EQ(reason(30050), "flow_created");
}

TEST_P(Range, APortOfItsOwnWins) {
  open_ports(SLUICE_FULLNAT);
  put_listener(net().vip, 30050, protocol(), listener(pool(protocol()), 8));
  EXPECT_EQ(reason(30050), "flow_created");
  EXPECT_EQ(reason(30051), "flow_created");
  EXPECT_EQ(listener_counters(8).flows_opened, 1U);
  EXPECT_EQ(listener_counters(range_listener).flows_opened, 1U);
}

TEST_P(Range, ItsNetworksAndLimitsCountForAllItsPorts) {
  open_ports(SLUICE_FULLNAT);
  auto limited = listener(pool(protocol()), range_listener);
  limited.flags |= SLUICE_LISTENER_RESTRICTED;
  limited.connection_limit = 1;
  put_listener(net().vip, first_port, protocol(), limited);
  EXPECT_EQ(reason(30050), "not_allowed");
  allow(range_listener, family() == 4 ? "203.0.113.0" : "2001:db8:c::", family() == 4 ? 24 : 48);
  put_pool(pool(protocol()), SLUICE_FULLNAT, {member_index(1, protocol())});
  ASSERT_EQ(reason(30050), "flow_created");
  ASSERT_EQ(reason(30051, 40001), "flow_created") << "nobody has confirmed the first one";
  receive(answer(30050, SYN | ACK));
  receive(to_port(30050, ACK));
  receive(answer(30050, ACK));
  EXPECT_EQ(reason(30052, 40002), "connection_limit");
  // The second one is one too many once it is confirmed.
  auto other = answer(30051, SYN | ACK);
  other.destination_port = 40001;
  const auto why = receive(other).reason;
  if (protocol() == L4::udp) {
    EXPECT_EQ(why, "connection_limit");
  } else {
    EXPECT_EQ(why, "replied");
    EXPECT_EQ(receive(to_port(30051, ACK, 40001)).reason, "rejected");
  }
}

// A protocol whose checksum covers the ports can't be sent to one port.
TEST_P(Range, AMembersOwnPortGetsThemAll) {
  open_ports(SLUICE_DNAT, 8080);
  if (protocol() == L4::sctp) {
    EXPECT_EQ(reason(30050), "sctp_ports");
    return;
  }
  put_pool(pool(protocol()), SLUICE_DNAT, {member_index(1, protocol())});
  const auto sent = to_port(30050);
  EXPECT_TRUE(same_frame(receive(sent).frame, at_member(sent, 1, true).bytes()));
  // The same client's port once more: the member must be able to tell them apart.
  const auto other = receive(to_port(30051));
  EXPECT_EQ(other.reason, "flow_created");
  const std::size_t ports = family() == 4 ? 34 : 54;
  EXPECT_NE(other.frame[ports] << 8 | other.frame[ports + 1], 40000);
}

// 80 and 443 of one pool: the client is known by its address, whatever listener it comes through.
TEST_P(Range, AClientOfOnePoolIsAtOneMemberOnAllPorts) {
  open_ports(SLUICE_FULLNAT);
  put_listener(net().vip, 443, protocol(), listener(pool(protocol()), 8));
  const auto m1 = member_index(1, protocol()), m2 = member_index(2, protocol());
  const auto member_of = [&](std::uint16_t port, std::uint16_t source_port) {
    const auto before = member_counters(m1).flows_opened;
    EXPECT_EQ(reason(port, source_port), "flow_created");
    return member_counters(m1).flows_opened > before ? 1 : 2;
  };
  std::uint16_t source_port = 41000;
  for (const auto persistence : {0U, 60U}) {
    put_pool(pool(protocol()), SLUICE_FULLNAT, {m1, m2, m1, m2, m1},
             persistence ? SLUICE_ROUND_ROBIN : SLUICE_SOURCE_IP, persistence);
    const auto member = member_of(30000, source_port++);
    for (const std::uint16_t port : {443, 30001, 443, 30099, 443})
      EXPECT_EQ(member_of(port, source_port++), member) << port;
  }
}

TEST_P(Range, AConnectionIsAnImageThatAnotherTableTakes) {
  open_ports(SLUICE_FULLNAT);
  auto named = listener(pool(protocol()), range_listener);
  named.id.bytes[0] = 7;
  put_listener(net().vip, first_port, protocol(), named);
  ASSERT_EQ(reason(30050), "flow_created");
  auto batch = std::make_unique<sluice_flow_batch>();
  const auto run = [&](int program) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = batch.get(), .ctx_size_in = sizeof *batch);
    EXPECT_EQ(bpf_prog_test_run_opts(program, &options), 0) << std::strerror(errno);
  };
  batch->version = SLUICE_FLOW_IMAGE_VERSION;
  batch->family = static_cast<__u32>(family());
  run(program().walk_fd());
  ASSERT_EQ(batch->count, 1U);
  EXPECT_EQ(batch->images[0].listener_id.bytes[0], 7);
  forget_flows();
  run(program().put_fd());
  EXPECT_EQ(batch->images[0].result, SLUICE_PUT_DONE);
  EXPECT_EQ(receive(to_port(30050, ACK)).reason, "forwarded");
}

TEST_P(Range, ItsRecordsNameIt) {
  open_ports(SLUICE_FULLNAT);
  auto named = listener(pool(protocol()), range_listener);
  named.id.bytes[0] = 7;
  put_listener(net().vip, first_port, protocol(), named);
  const auto source = dataplane::open_records(program());
  ASSERT_TRUE(source) << source.error().text();
  records::Connection c{};
  c.is_ipv6 = family() == 6;
  c.protocol = static_cast<std::uint8_t>(protocol());
  c.listener_in_bank = range_listener;
  inet_pton(family() == 4 ? AF_INET : AF_INET6, net().vip.c_str(), &c.vip.address);
  for (const auto& [port, known] :
       {std::pair{first_port, true}, {30050, true}, {last_port + 1, false}}) {
    c.vip.port = static_cast<std::uint16_t>(port);
    EXPECT_EQ((*source)->listener_id(c).is_nil(), !known) << port;
  }
}

}  // namespace
}  // namespace sluice::test
