// Connections whose member has another IP version than the VIP (bpf/other_version.h): the parameter
// is the client's IP version.
#include <algorithm>
#include <optional>

#include "dataplane/flow_images.hpp"
#include "dataplane/flow_list.hpp"
#include "packet/passing_time.hpp"
#include "packet/traffic.hpp"

namespace sluice::test {
namespace {

class OtherVersion : public AllProtocols {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    put_member(other_member, member(), 8080);
    put_pool(other_pool, SLUICE_FULLNAT, {other_member});
    put_listeners();
  }
  void put_listeners(std::uint32_t more_flags = 0) {
    auto with = listener(other_pool, pool(protocol()));
    with.flags |= SLUICE_LISTENER_SNAT | more_flags;
    put_snat_sources(with.index, {source()}, names(6).vip);
    if (family() == 6) {
      put_vip(source(), true, SLUICE_VIP_SNAT | SLUICE_VIP_MIXED);
      put_listener(net().vip, listener_port(protocol()), protocol(), with);
      return;
    }
    put_vip(net().vip, true, SLUICE_VIP_MIXED);
    put_vip(mapped(net().vip));
    put_listener(mapped(net().vip), listener_port(protocol()), protocol(), with);
    with.flags = SLUICE_LISTENER_TO_IPV6 | SLUICE_LISTENER_MIXED;
    with.pool = pool(protocol());
    put_listener(net().vip, listener_port(protocol()), protocol(), with);
  }
  static constexpr std::uint32_t other_pool = 70, other_member = 170;
  int member_family() const { return 10 - family(); }
  std::string member() const { return names(member_family()).member1; }
  std::string source() const { return family() == 6 ? "10.0.0.30" : "2001:db8::30"; }
  static std::string mapped(const std::string& address) { return "::ffff:" + address; }

  // A member of the client's version, which sees a source of its own.
  static constexpr std::uint32_t own_member = 171;
  std::string own_source() const { return family() == 4 ? "10.0.0.31" : "2001:db8::31"; }
  void put_own_member(const std::string& address) {
    put_member(own_member, address, 8080);
    put_snat_sources(pool(protocol()), {own_source()}, names(6).vip);
    put_vip(own_source(), true, SLUICE_VIP_SNAT | (family() == 4 ? SLUICE_VIP_MIXED : 0));
  }

  // The client's packet as the member must get it.
  Packet seen_by_member(const Packet& sent) const {
    auto p = sent;
    p.source_mac = lan_mac;
    p.destination_mac = member1_mac;
    p.source = source();
    p.destination = member();
    p.destination_port = member_port(protocol());
    --p.ttl;
    return p;
  }
  Packet of_member(std::uint8_t flags, std::uint16_t to_port = 40000,
                   const std::string& data = "") const {
    auto p = from_client(protocol(), flags, 0);
    p.source_mac = member1_mac;
    p.destination_mac = lan_mac;
    p.source = member();
    p.destination = source();
    p.source_port = member_port(protocol());
    p.destination_port = to_port;
    p.ttl = 64;
    if (!data.empty()) p.data = text(data);
    return p;
  }
  Packet seen_by_client(const Packet& sent, std::uint16_t port = 40000) const {
    auto p = sent;
    p.source_mac = lan_mac;
    p.destination_mac = router_mac;
    p.source = net().vip;
    p.destination = net().client;
    p.source_port = listener_port(protocol());
    p.destination_port = port;
    --p.ttl;
    return p;
  }
  // An IPv4 packet that may be fragmented has an id that nobody can foretell.
  static ::testing::AssertionResult as_expected(const Bytes& frame, Packet expected) {
    if (!expected.is_v6() && expected.ip_bytes().size() <= 1260) {
      expected.dont_fragment = false;
      if (frame.size() > 20) expected.id = static_cast<std::uint16_t>(frame[18] << 8 | frame[19]);
    }
    return same_frame(frame, expected.bytes());
  }
  void open(std::uint16_t port = 40000) {
    EXPECT_EQ(receive(from_client(protocol(), SYN, port)).reason, "flow_created");
    EXPECT_EQ(receive(of_member(SYN | ACK, port)).reason, "replied");
    EXPECT_EQ(receive(from_client(protocol(), ACK, port)).reason, "forwarded");
  }
};
INSTANTIATE_TEST_SUITE_P(, OtherVersion,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::udp)),
                         family_and_protocol);

TEST_P(OtherVersion, BothEndsSeeThePacketsOfTheirOwnVersion) {
  const auto syn = from_client(protocol());
  auto out = receive(syn);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_EQ(out.action, transmitted);
  EXPECT_TRUE(as_expected(out.frame, seen_by_member(syn)));
  const auto accept = of_member(SYN | ACK);
  out = receive(accept);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(as_expected(out.frame, seen_by_client(accept)));
  for (int times = 0; times < 2; ++times) {
    auto data = from_client(protocol(), ACK);
    data.data = text("question");
    data.tos = 0x28;
    out = receive(data);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_TRUE(as_expected(out.frame, seen_by_member(data)));
    auto answer = of_member(ACK, 40000, "answer");
    answer.tos = 0xb8;
    out = receive(answer);
    EXPECT_EQ(out.reason, "replied");
    EXPECT_TRUE(as_expected(out.frame, seen_by_client(answer)));
  }
  EXPECT_TRUE(flows().empty());
  EXPECT_EQ(flows6().size(), 2U);
}

TEST_P(OtherVersion, OptionsAndExtensionHeadersAreLeftOut) {
  auto syn = from_client(protocol());
  auto expected = seen_by_member(syn);
  if (family() == 4) {
    syn.ip_options = {1, 1, 1, 0};
  } else {
    syn.extensions = {{60, 0, 1, 4, 0, 0, 0, 0}};
  }
  EXPECT_TRUE(as_expected(receive(syn).frame, expected));
}

TEST_P(OtherVersion, AConnectionIsRemovedAsAWhole) {
  open();
  EXPECT_EQ(flush_all(6), 1U);
  EXPECT_TRUE(flows6().empty());
  EXPECT_EQ(listener_counters(pool(protocol())).flows_opened,
            listener_counters(pool(protocol())).flows_ended);
  open();
  make_all_older(SLUICE_TIMEOUT_ESTABLISHED_SECONDS + 100);
  EXPECT_EQ(expire().expired, 1U);
  EXPECT_TRUE(flows6().empty());
}

TEST_P(OtherVersion, BothEndsLearnWhatARouterSays) {
  open();
  const auto code = [](int family) { return static_cast<std::uint8_t>(family == 4 ? 4 : 0); };
  const auto type = [](int family) { return static_cast<std::uint8_t>(family == 4 ? 3 : 2); };
  // 1,300 bytes at a router of the member's network are 20 more or fewer at the client.
  const std::uint32_t at_client = family() == 6 ? 1320 : 1280;
  const auto question = from_client(protocol(), ACK);
  auto quoted = seen_by_member(question);
  quoted.dont_fragment = true;
  auto error = icmp_error(names(member_family()).other_client, source(), type(member_family()),
                          code(member_family()), 1300, quoted.ip_bytes());
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  auto told = question;
  --told.ttl;
  told.id = 0;
  auto expected = icmp_error(net().vip, net().client, type(family()), code(family()), at_client,
                             told.ip_bytes());
  expected.source_mac = lan_mac;
  expected.destination_mac = router_mac;
  --expected.ttl;
  auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(as_expected(out.frame, expected));

  const auto answer = of_member(ACK, 40000, "answer");
  quoted = seen_by_client(answer);
  error = icmp_error(net().other_client, net().vip, type(family()), code(family()), 1300,
                     quoted.ip_bytes());
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  told = answer;
  --told.ttl;
  told.id = 0;
  expected = icmp_error(source(), member(), type(member_family()), code(member_family()),
                        family() == 4 ? 1320 : 1280, told.ip_bytes());
  expected.source_mac = lan_mac;
  expected.destination_mac = member1_mac;
  --expected.ttl;
  out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(as_expected(out.frame, expected));
}

// RFC 7915, 4.2 and 5.2.
struct Error {
  std::uint8_t type, code;
  std::uint32_t rest = 0xabcd;  // the word behind the checksum, which most messages don't use
};
struct Translation {
  Error sent;
  std::optional<Error> told;
};
const std::vector<Translation>& translations_to(int family) {
  static const Error no_route{1, 0, 0}, prohibited{1, 1, 0}, host{3, 1, 0};
  static const std::vector<Translation> to_ipv6{{{3, 0}, no_route},
                                                {{3, 1}, no_route},
                                                {{3, 2}, Error{4, 1, 6}},
                                                {{3, 3}, Error{1, 4, 0}},
                                                {{3, 5}, no_route},
                                                {{3, 6}, no_route},
                                                {{3, 7}, no_route},
                                                {{3, 8}, no_route},
                                                {{3, 9}, prohibited},
                                                {{3, 10}, prohibited},
                                                {{3, 11}, no_route},
                                                {{3, 12}, no_route},
                                                {{3, 13}, prohibited},
                                                {{3, 14}, {}},
                                                {{3, 15}, prohibited},
                                                {{3, 16}, {}},
                                                {{11, 0}, Error{3, 0, 0}},
                                                {{11, 1}, Error{3, 1, 0}},
                                                {{12, 0}, {}}};
  static const std::vector<Translation> to_ipv4{{{1, 0}, host},
                                                {{1, 1}, Error{3, 10, 0}},
                                                {{1, 2}, host},
                                                {{1, 3}, host},
                                                {{1, 4}, Error{3, 3, 0}},
                                                {{1, 5}, {}},
                                                {{1, 6}, {}},
                                                {{2, 0, 70'000}, Error{3, 4, 65'535}},
                                                {{3, 0}, Error{11, 0, 0}},
                                                {{3, 1}, Error{11, 1, 0}},
                                                {{4, 0}, {}},
                                                {{4, 1}, Error{3, 2, 0}},
                                                {{4, 2}, {}}};
  return family == 4 ? to_ipv4 : to_ipv6;
}

TEST_P(OtherVersion, ErrorsHaveTheirNamesOfTheOtherVersionOrNone) {
  open();
  const auto question = from_client(protocol(), ACK);
  auto quoted = question;
  --quoted.ttl;
  quoted.id = 0;
  for (const auto& [sent, told] : translations_to(family())) {
    SCOPED_TRACE(testing::Message() << int{sent.type} << ", " << int{sent.code});
    auto error = icmp_error(names(member_family()).other_client, source(), sent.type, sent.code,
                            sent.rest, seen_by_member(question).ip_bytes());
    error.source_mac = member1_mac;
    error.destination_mac = lan_mac;
    const auto out = receive(error);
    if (!told) {
      EXPECT_EQ(out.reason, "other_version_packet");
      continue;
    }
    auto expected =
        icmp_error(net().vip, net().client, told->type, told->code, told->rest, quoted.ip_bytes());
    expected.source_mac = lan_mac;
    expected.destination_mac = router_mac;
    --expected.ttl;
    EXPECT_EQ(out.reason, "icmp_forwarded");
    EXPECT_TRUE(as_expected(out.frame, expected));
  }
}

TEST_P(OtherVersion, APacketWhoseTimeIsOverIsAnsweredInItsOwnVersion) {
  open();
  for (const bool from_member : {false, true}) {
    auto late = from_member ? of_member(ACK, 40000, "answer") : from_client(protocol(), ACK);
    late.ttl = 1;
    const int version = from_member ? member_family() : family();
    auto quoted = late;
    quoted.id = 0;
    auto expected =
        icmp_error(late.destination, late.source, version == 4 ? 11 : 3, 0, 0, quoted.ip_bytes());
    expected.source_mac = lan_mac;
    expected.destination_mac = late.source_mac;
    expected.ttl = 64;
    const auto out = receive(late);
    EXPECT_EQ(out.reason, "time_exceeded_sent");
    EXPECT_EQ(out.action, transmitted);
    EXPECT_TRUE(as_expected(out.frame, expected)) << from_member;
  }
}

TEST_P(OtherVersion, WhoSendsTooMuchLearnsWhatFitsInItsOwnVersion) {
  put_member(other_member, names(member_family()).narrow_member, 8080);  // 1,400 bytes
  EXPECT_EQ(receive(from_client(protocol())).reason, "flow_created");
  auto big = from_client(protocol(), ACK);
  big.data = Bytes(1380, 'x');
  // All that the quoted packet has of its own, less the difference of the headers.
  auto quoted = big;
  quoted.id = 0;
  const auto quote = cut(quoted.ip_bytes(), family() == 4 ? 108 : 128);
  auto expected = icmp_error(net().vip, net().client, family() == 4 ? 3 : 2, family() == 4 ? 4 : 0,
                             family() == 4 ? 1380 : 1420, quote);
  expected.source_mac = lan_mac;
  expected.destination_mac = router_mac;
  auto out = receive(big);
  EXPECT_EQ(out.reason, "too_big_sent");
  EXPECT_TRUE(as_expected(out.frame, expected));
  big.data.resize(protocol() == L4::tcp ? 1340 : 1352);  // 1,380 bytes of IPv4, 1,400 of IPv6
  EXPECT_EQ(receive(big).reason, "forwarded");
}

TEST_P(OtherVersion, AConnectionOutlivesItsTable) {
  open();
  std::vector<sluice_flow_image> images;
  const auto keep = [&](auto batch) {
    images.insert(images.end(), batch.begin(), batch.end());
    return true;
  };
  ASSERT_TRUE(dataplane::walk_images(program().walk_fd(), 6, keep));
  ASSERT_EQ(images.size(), 1U);
  forget_flows();
  ASSERT_TRUE(dataplane::put_images(program().put_fd(), images, dataplane::Counted::already));
  EXPECT_EQ(images.front().result, SLUICE_PUT_DONE);
  for (int times = 0; times < 2; ++times) {
    const auto question = from_client(protocol(), ACK);
    EXPECT_TRUE(as_expected(receive(question).frame, seen_by_member(question)));
    const auto answer = of_member(ACK);
    EXPECT_TRUE(as_expected(receive(answer).frame, seen_by_client(answer)));
  }
}

TEST_P(OtherVersion, TheListNamesTheAddressesOfBothEnds) {
  open();
  int listed = 0;
  const auto visit = [&](const dataplane::FoundFlow& found) {
    ++listed;
    EXPECT_EQ(found.flow.client.address.to_string(), net().client);
    EXPECT_EQ(found.flow.vip.address.to_string(), net().vip);
    return true;
  };
  const auto names = dataplane::FlowNames::read(program());
  ASSERT_TRUE(names);
  const auto client = *parse_ip_address(net().client);
  ASSERT_TRUE(
      dataplane::for_each_flow(program(), *names, {.client = client, .client_prefix = 128}, visit));
  EXPECT_EQ(listed, 1);
  const auto model_protocol = protocol() == L4::tcp ? model::Protocol::tcp : model::Protocol::udp;
  const dataplane::FlowKey key{
      model_protocol, {client, 40000}, {*parse_ip_address(net().vip), listener_port(protocol())}};
  const auto found = dataplane::find_flow(program(), *names, key);
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->first.member.address.to_string(), member());
}

TEST_P(OtherVersion, WithoutAMacThePacketIsLeftToTheKernel) {
  put_member(other_member, member_family() == 4 ? "10.0.0.99" : "2001:db8::99", 8080);
  const auto syn = from_client(protocol());
  const auto out = receive(syn);
  EXPECT_EQ(out.reason, "next_hop_unresolved");
  EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_PASS));
  auto expected = seen_by_member(syn);
  expected.destination = member_family() == 4 ? "10.0.0.99" : "2001:db8::99";
  expected.source_mac = syn.source_mac;
  expected.destination_mac = syn.destination_mac;
  ++expected.ttl;
  EXPECT_TRUE(as_expected(out.frame, expected));
}

TEST_P(OtherVersion, MembersOfBothVersionsServeSideBySide) {
  put_own_member(net().member1);
  put_pool(other_pool, SLUICE_FULLNAT, {other_member, own_member});
  int others = 0;
  for (std::uint16_t port = 40000; port < 40004; ++port) {
    const auto syn = from_client(protocol(), SYN, port);
    auto seen = seen_by_member(syn);
    auto out = receive(syn);
    EXPECT_EQ(out.reason, "flow_created");
    const bool is_own = out.frame.at(12) == (family() == 4 ? 0x08 : 0x86);
    auto accept = of_member(SYN | ACK, port);
    if (is_own) {
      seen.source = accept.destination = own_source();
      seen.destination = accept.source = net().member1;
    }
    others += !is_own;
    EXPECT_TRUE(as_expected(out.frame, seen)) << is_own;
    out = receive(accept);
    EXPECT_EQ(out.reason, "replied");
    EXPECT_TRUE(as_expected(out.frame, seen_by_client(accept, port))) << is_own;
    EXPECT_EQ(receive(from_client(protocol(), ACK, port)).reason, "forwarded");
  }
  EXPECT_EQ(others, 2);
}

TEST_P(OtherVersion, ConnectionsOfAnAddressThatIsDownGoOn) {
  open();
  put_vip(net().vip, false, family() == 4 ? SLUICE_VIP_MIXED : 0);
  if (family() == 4) put_vip(mapped(net().vip), false);
  EXPECT_EQ(receive(from_client(protocol(), ACK)).reason, "forwarded");
  EXPECT_EQ(receive(of_member(ACK)).reason, "replied");
  EXPECT_EQ(receive(from_client(protocol(), SYN, 40001)).reason, "vip_down");
}

// IPv6 has no link with a smaller MTU, so nobody would believe that (RFC 8201, 4).
TEST_P(OtherVersion, NoMtuIsSmallerThanIpv6Permits) {
  open();
  const bool from_member = family() == 6;
  const auto lost = from_member ? seen_by_member(from_client(protocol(), ACK))
                                : seen_by_client(of_member(ACK, 40000, "answer"));
  auto error = icmp_error(names(4).other_client, lost.source, 3, 4, 576, lost.ip_bytes());
  error.source_mac = from_member ? member1_mac : router_mac;
  error.destination_mac = lan_mac;
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_EQ(out.frame.at(14 + 40), 2);
  EXPECT_EQ(out.frame.at(14 + 40 + 6) << 8 | out.frame.at(14 + 40 + 7), 1280);
}

TEST_P(OtherVersion, TagsComeAndGo) {
  auto syn = from_client(protocol());
  syn.tags = {{0x8100, 100}};
  auto expected = seen_by_member(syn);
  expected.tags.clear();
  EXPECT_TRUE(as_expected(receive(syn).frame, expected));
}

// The expected frames are made of the whole packet that the receiver puts together.
TEST_P(OtherVersion, FragmentsStayFragments) {
  auto question = from_client(protocol());
  question.data = Bytes(1500, 'q');
  question.id = 0xabcd;
  auto answer = of_member(SYN | ACK);
  answer.data = Bytes(1500, 'a');
  answer.id = 0xfedc;
  const auto all_arrive = [&](const Packet& sent, const Packet& expected, const char* first) {
    auto out = receive(sent.fragment(0, 640, true));
    EXPECT_EQ(out.reason, first);
    EXPECT_TRUE(same_frame(out.frame, expected.fragment(0, 640, true)));
    const auto* later = std::string(first) == "replied" ? "replied" : "forwarded";
    out = receive(sent.fragment(640, 320, true));
    EXPECT_EQ(out.reason, later);
    EXPECT_TRUE(same_frame(out.frame, expected.fragment(640, 320, true)));
    out = receive(sent.fragment(960, 2000, false));
    EXPECT_EQ(out.reason, later);
    EXPECT_TRUE(same_frame(out.frame, expected.fragment(960, 2000, false)));
  };
  all_arrive(question, seen_by_member(question), "flow_created");
  all_arrive(answer, seen_by_client(answer), "replied");
  all_arrive(question, seen_by_member(question), "forwarded");
}

TEST_P(OtherVersion, ALaterFragmentWithoutItsFirstIsDropped) {
  open();
  for (const auto& sent : {from_client(protocol(), ACK), of_member(ACK)}) {
    auto big = sent;
    big.data = Bytes(400, 'x');
    EXPECT_EQ(receive(big.fragment(208, 200, false)).reason, "fragment_without_first");
    receive(big.fragment(0, 208, true));
    ++big.id;
    EXPECT_EQ(receive(big.fragment(208, 200, false)).reason, "fragment_without_first");
  }
}

// In IPv6 each fragment is longer by 28 bytes than in IPv4.
TEST_P(OtherVersion, WhoSendsLargeFragmentsLearnsWhatFits) {
  put_member(other_member, names(member_family()).narrow_member, 8080);  // 1,400 bytes
  EXPECT_EQ(receive(from_client(protocol())).reason, "flow_created");
  auto big = from_client(protocol(), ACK);
  big.data = Bytes(2000, 'x');
  const auto out = receive(big.fragment(0, 1400, true));
  EXPECT_EQ(out.reason, "too_big_sent");
  const std::uint32_t fits = family() == 4 ? 1372 : 1420;
  const std::size_t mtu_at = family() == 4 ? 14 + 20 + 6 : 14 + 40 + 6;
  EXPECT_EQ(out.frame.at(mtu_at) << 8 | out.frame.at(mtu_at + 1), fits);
  EXPECT_EQ(receive(big.fragment(0, (fits - (family() == 4 ? 20 : 48)) / 8 * 8, true)).reason,
            "forwarded");
}

TEST_P(OtherVersion, WhoSentAFragmentLearnsThatItIsLost) {
  open();
  auto big = from_client(protocol(), ACK);
  big.data = Bytes(400, 'x');
  const auto quote = [](const Packet& packet) {
    const auto frame = packet.fragment(0, 64, true);
    return Bytes(frame.begin() + 14, frame.end());
  };
  // The time for the others to come is over.
  auto error =
      icmp_error(member(), source(), family() == 6 ? 11 : 3, 1, 0, quote(seen_by_member(big)));
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  auto told = big;
  --told.ttl;
  auto expected = icmp_error(net().vip, net().client, family() == 4 ? 11 : 3, 1, 0, quote(told));
  expected.source_mac = lan_mac;
  expected.destination_mac = router_mac;
  --expected.ttl;
  const auto out = receive(error);
  EXPECT_EQ(out.reason, "icmp_forwarded");
  EXPECT_TRUE(as_expected(out.frame, expected));
}

// A host that pretends to be one of such a connection's ends.
TEST_P(OtherVersion, MappedAddressesFromTheWireAreNotOurs) {
  open();
  Packet p = family() == 4 ? from_client(protocol(), ACK) : of_member(ACK);
  p.source = mapped(p.source);
  p.destination = mapped(p.destination);
  const auto out = receive(p);
  EXPECT_EQ(out.reason, "not_ours");
  EXPECT_TRUE(same_frame(out.frame, p.bytes()));
}

TEST_P(OtherVersion, WithoutASourceThereIsNoConnection) {
  put_listener(family() == 4 ? mapped(net().vip) : net().vip, listener_port(protocol()), protocol(),
               listener(other_pool, pool(protocol())));
  EXPECT_EQ(receive(from_client(protocol())).reason, "other_version_source");
  EXPECT_TRUE(flows6().empty());
}

TEST_P(OtherVersion, InModesOtherThanFullnatThereIsNoConnection) {
  put_pool(other_pool, SLUICE_DNAT, {other_member});
  EXPECT_EQ(receive(from_client(protocol())).reason, "no_member");
  EXPECT_TRUE(flows6().empty());
}

// IPv4 members may have clients of both versions: what they see is never the same for two.
class SharedMember : public OtherVersion {};
INSTANTIATE_TEST_SUITE_P(, SharedMember,
                         ::testing::Values(std::tuple{6, L4::tcp}, std::tuple{6, L4::udp}),
                         family_and_protocol);

TEST_P(SharedMember, NoSourcePortIsGivenToTwo) {
  auto plain = listener(other_pool, 9);
  plain.flags = SLUICE_LISTENER_SNAT | SLUICE_LISTENER_MIXED;
  put_snat_sources(9, {source()});
  put_vip(source(), true, SLUICE_VIP_SNAT | SLUICE_VIP_MIXED);
  put_listener(names(4).vip, listener_port(protocol()), protocol(), plain);
  auto ipv4 = from_client(protocol(), SYN);
  ipv4.source = names(4).client;
  ipv4.destination = names(4).vip;
  for (const bool ipv4_first : {false, true}) {
    forget_flows();
    const auto first = ipv4_first ? ipv4 : from_client(protocol());
    const auto second = ipv4_first ? from_client(protocol()) : ipv4;
    const auto seen = [&](const Packet& p) {
      const auto out = receive(p);
      EXPECT_EQ(out.reason, "flow_created");
      return out.frame[34] << 8 | out.frame[35];
    };
    const auto port = seen(first), other = seen(second);
    EXPECT_EQ(port, 40000);
    EXPECT_NE(other, port);
    auto answer = of_member(SYN | ACK, static_cast<std::uint16_t>(port));
    const auto out = receive(answer);
    EXPECT_EQ(out.reason, "replied");
    EXPECT_EQ(out.frame[12] << 8 | out.frame[13], ipv4_first ? 0x0800 : 0x86dd);
  }
}

// Its members have both IP versions; IPv4 clients of IPv4 members, too, have IPv6 connections.
class SideBySide : public OtherVersion {};
INSTANTIATE_TEST_SUITE_P(, SideBySide,
                         ::testing::Values(std::tuple{4, L4::tcp}, std::tuple{4, L4::udp}),
                         family_and_protocol);

// The way to a member is kept for its next connection. What fits there is 20 bytes more for one
// whose packets are IPv6 ones in between.
TEST_P(SideBySide, WhatFitsOnTheWayIsNotWhatFitsAPlainConnection) {
  constexpr std::uint32_t plain_pool = 71;
  constexpr std::uint16_t plain_port = 1081;
  put_own_member(net().narrow_member);  // 1,400 bytes
  put_pool(other_pool, SLUICE_FULLNAT, {own_member});
  put_pool(plain_pool, SLUICE_FULLNAT, {own_member});
  put_listener(net().vip, plain_port, protocol(), listener(plain_pool, 9));
  for (const bool plain_first : {true, false}) {
    forget_flows();
    raise_next_hop_generation();
    for (const bool plain : {plain_first, !plain_first}) {
      auto packet = from_client(protocol());
      if (plain) packet.destination_port = plain_port;
      EXPECT_EQ(receive(packet).reason, "flow_created");
      packet.flags = ACK;
      packet.data = Bytes(1400 - (protocol() == L4::tcp ? 40 : 28), 'x');
      EXPECT_EQ(receive(packet).reason, "forwarded") << plain << plain_first;
      packet.data.push_back('x');
      EXPECT_EQ(receive(packet).reason, "too_big_sent") << plain << plain_first;
    }
  }
}

class OtherVersionOfTcp : public OtherVersion {
 protected:
  kernel::LoadOptions load_options() const override {
    auto options = OtherVersion::load_options();
    options.jiffies_per_second = passing_clock;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(, OtherVersionOfTcp,
                         ::testing::Values(std::tuple{4, L4::tcp}, std::tuple{6, L4::tcp}),
                         family_and_protocol);

TEST_P(OtherVersionOfTcp, TheLateAnswerOfAMemberThatWasTooSlowIsReset) {
  constexpr std::uint32_t second_member = 172;
  put_member(second_member, names(member_family()).member2, 8080);
  put_pool(other_pool, SLUICE_FULLNAT, {other_member, second_member});
  put_listeners(50U << SLUICE_LISTENER_CONNECT_SHIFT);  // five seconds
  receive(from_client(protocol()));
  ASSERT_TRUE(PassingTime(program()).pass(1));
  EXPECT_EQ(receive(from_client(protocol())).reason, "flow_created");
  const auto late = of_member(SYN | ACK);
  const auto out = receive(late);
  EXPECT_EQ(out.reason, "rejected");
  auto reset = answer_to(late, RST);
  reset.sequence = late.acknowledgement;
  EXPECT_TRUE(same_frame(out.frame, reset.bytes()));
  auto strangers = late;
  ++strangers.source_port;
  EXPECT_EQ(receive(strangers).reason, "no_listener");
}

class OtherVersionOfIpv6 : public OtherVersion {};
INSTANTIATE_TEST_SUITE_P(, OtherVersionOfIpv6, ::testing::Values(std::tuple{6, L4::udp}),
                         family_and_protocol);

// What follows the fragment header is part of what was fragmented, so it can't be left out.
TEST_P(OtherVersionOfIpv6, AFragmentWithAnExtensionHeaderInItIsDropped) {
  open();
  // The options' padding looks like a fragment's offset, or doesn't.
  for (const auto& extended : {Bytes{17, 0, 1, 4, 0, 0, 0, 0}, Bytes{17, 0, 0, 0, 0, 0, 0, 0}}) {
    auto frame = from_client(protocol(), ACK).fragment(0, 8, true);
    frame.insert(frame.begin() + 14 + 48, extended.begin(), extended.end());
    frame[14 + 5] = static_cast<std::uint8_t>(frame[14 + 5] + extended.size());
    frame[14 + 40] = 60;
    EXPECT_EQ(receive(frame).reason, "other_version_packet");
  }
}

// No packet of ours has any, and the place of what follows them is not looked for.
TEST_P(OtherVersionOfIpv6, AnErrorAboutAPacketWithOptionsIsDropped) {
  open();
  auto quoted = seen_by_member(from_client(protocol(), ACK));
  quoted.ip_options = {1, 1, 1, 0};
  auto error = icmp_error(names(4).other_client, source(), 3, 1, 0, quoted.ip_bytes());
  error.source_mac = member1_mac;
  error.destination_mac = lan_mac;
  EXPECT_EQ(receive(error).reason, "other_version_packet");
}

// A router behind us may fragment packets whose sender can't be told an MTU below 1,280 (RFC 7915,
// 5.1), longer ones not.
TEST_P(OtherVersionOfIpv6, OnlyShortPacketsMayBeFragmentedBehindUs) {
  open();
  auto p = from_client(protocol(), ACK);
  for (const std::size_t bytes : {1260U, 1261U}) {
    p.data = Bytes(bytes - 28, 'x');
    const auto out = receive(p);
    EXPECT_EQ(out.reason, "forwarded");
    EXPECT_EQ(out.frame.size(), 14 + bytes);
    EXPECT_EQ(out.frame.at(14 + 6), bytes == 1260 ? 0 : 0x40) << "don't fragment";
  }
}

class OtherVersionOfIpv4 : public OtherVersion {};
INSTANTIATE_TEST_SUITE_P(, OtherVersionOfIpv4, ::testing::Values(std::tuple{4, L4::udp}),
                         family_and_protocol);

TEST_P(OtherVersionOfIpv4, ADatagramWithoutAChecksumGetsOne) {
  auto p = from_client(protocol());
  p.data = text("odd");
  auto expected = seen_by_member(p);
  p.checksum = 0;
  EXPECT_TRUE(same_frame(receive(p).frame, expected.bytes()));
  // Zero would say that it has no sum: the client's or the member's datagram would have that.
  const auto sum_of = [](const Bytes& frame) { return Bytes(frame.end() - 4, frame.end() - 2); };
  for (auto whole : {from_client(protocol()), expected}) {
    whole.data = Bytes(2);
    p.data = expected.data = sum_of(whole.bytes());
    EXPECT_TRUE(same_frame(receive(p).frame, expected.bytes()));
  }
  p.data = Bytes(1600, 'x');
  EXPECT_EQ(receive(p).reason, "other_version_packet");
}

// The sum would be that of all fragments.
TEST_P(OtherVersionOfIpv4, AFragmentedDatagramWithoutAChecksumIsDropped) {
  open();
  auto p = from_client(protocol());
  p.data = Bytes(400, 'x');
  p.checksum = 0;
  EXPECT_EQ(receive(p.fragment(0, 208, true)).reason, "other_version_packet");
  EXPECT_EQ(receive(p.fragment(208, 200, false)).reason, "fragment_without_first");
}

TEST_P(OtherVersionOfIpv4, AnErrorThatDidNotGoToTheSenderIsDropped) {
  open();
  const auto answer = seen_by_client(of_member(ACK));
  put_vip("10.0.0.40", true, SLUICE_VIP_MIXED);
  auto error = icmp_error(net().other_client, "10.0.0.40", 3, 1, 0, answer.ip_bytes());
  error.source_mac = router_mac;
  error.destination_mac = lan_mac;
  EXPECT_EQ(receive(error).reason, "icmp_misdirected");
  error.destination = net().vip;
  error.source = "127.0.0.1";
  EXPECT_EQ(receive(error).reason, "martian_source");
}

TEST_P(OtherVersionOfIpv4, AHeaderWithAWrongChecksumIsDropped) {
  open();
  auto frame = from_client(protocol(), ACK).bytes();
  frame[24] ^= 1;
  EXPECT_EQ(receive(frame).reason, "ipv4_checksum");
}

}  // namespace
}  // namespace sluice::test
