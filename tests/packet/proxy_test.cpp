// PROXY protocol, version 2: a connection to a PROXYV2 pool's member begins with a header that
// names the client. Numbers here: the client's SYN is 1000, so its first byte F is 1001; the
// member's SYN is 5000.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <sys/socket.h>

#include "maps/proxy.h"
#include "packet/traffic.hpp"
#include "packet/whole_map.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t syn_number = 1000, first_byte = 1001, member_syn = 5000,
                        member_first = 5001;
constexpr std::uint8_t urg = 0x20;

const Bytes timestamps{1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9};

class Proxy : public BothFamilies {
 protected:
  void SetUp() override {
    Traffic::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    put_member(member_index(1), net().member1, 8080, true, SLUICE_MEMBER_PROXY);
    put_pool(pool(), SLUICE_FULLNAT, {member_index(1)});
  }

  std::uint32_t header_bytes() const { return family() == 4 ? 28 : 52; }
  // The header as the protocol's text has it (2.2), for this client's port.
  Bytes header(std::uint16_t port = 40000) const {
    Bytes bytes{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21};
    const auto put = [&](const Bytes& more) {
      bytes.insert(bytes.end(), more.begin(), more.end());
    };
    Bytes source(family() == 4 ? 4 : 16), destination(source.size());
    inet_pton(family() == 4 ? AF_INET : AF_INET6, net().client.c_str(), source.data());
    inet_pton(family() == 4 ? AF_INET : AF_INET6, net().vip.c_str(), destination.data());
    put({static_cast<std::uint8_t>(family() == 4 ? 0x11 : 0x21), 0,
         static_cast<std::uint8_t>(family() == 4 ? 12 : 36)});
    put(source);
    put(destination);
    put({static_cast<std::uint8_t>(port >> 8), static_cast<std::uint8_t>(port), 0, 80});
    return bytes;
  }

  Packet client_sends(std::uint8_t flags, std::uint32_t sequence,
                      const std::string& data = "") const {
    auto p = from_client(L4::tcp, flags);
    p.sequence = sequence;
    p.acknowledgement = flags & ACK ? member_first : 0;
    p.data = text(data);
    return p;
  }
  Packet member_sends(std::uint8_t flags, std::uint32_t acknowledges,
                      const std::string& data = "") const {
    auto p = from_member(1, L4::tcp, flags);
    p.sequence = flags & SYN ? member_syn : member_first;
    p.acknowledgement = acknowledges;
    p.data = text(data);
    return p;
  }
  // The client's packet at the member, with the header in front.
  Packet with_header(const Packet& sent) const {
    auto p = at_member(sent);
    p.sequence = first_byte - header_bytes();
    auto data = header(sent.source_port);
    data.insert(data.end(), p.data.begin(), p.data.end());
    p.data = data;
    return p;
  }
  void expect(const Packet& sent, const Packet& received, const char* reason) {
    const auto out = receive(sent);
    EXPECT_EQ(out.reason, reason);
    EXPECT_TRUE(same_frame(out.frame, received.bytes()));
  }
  void expect_dropped(const Packet& sent, const char* reason) {
    const auto out = receive(sent);
    EXPECT_EQ(out.reason, reason);
    EXPECT_EQ(out.action, static_cast<std::uint32_t>(XDP_DROP));
  }

  // The client's SYN, and the member's answer.
  void open() {
    const auto syn = client_sends(SYN, syn_number);
    auto there = at_member(syn);
    there.sequence -= header_bytes();
    expect(syn, there, "flow_created");
    member_accepts();
  }
  void member_accepts() {
    const auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
    auto here = at_client(answer);
    here.acknowledgement = first_byte;
    here.window = static_cast<std::uint16_t>(answer.window - header_bytes());
    expect(answer, here, "replied");
  }
  void send_header() {
    const auto ack = client_sends(ACK, first_byte);
    expect(ack, with_header(ack), "forwarded");
  }
  void acknowledge_header() {
    const auto ack = member_sends(ACK, first_byte);
    expect(ack, at_client(ack), "replied");
  }
  void open_and_confirm() {
    open();
    send_header();
    acknowledge_header();
  }

  std::uint64_t phase() {
    std::uint64_t found = ~0ULL;
    change_states([&](__u64& state) {
      if (!(state & SLUICE_FLOW_TO_CLIENT)) found = sluice_flow_phase(state);
    });
    return found;
  }
  unsigned pending() {
    unsigned count = 0;
    sluice_proxy_key key{}, next{};
    for (const void* from = nullptr; bpf_map_get_next_key(map("proxy_pending"), from, &next) == 0;
         from = &key, ++count)
      key = next;
    return count;
  }
  void forget_pending() { empty_hash(map("proxy_pending")); }
};
FOR_BOTH_FAMILIES(Proxy);

TEST_P(Proxy, TheHandshakesAckCarriesTheHeaderAndAllThatFollowsIsUnchanged) {
  open();
  EXPECT_EQ(pending(), 1U);
  send_header();
  EXPECT_EQ(phase(), SLUICE_PHASE_ANSWERED) << "only the member knows whether the header came";
  acknowledge_header();
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
  EXPECT_EQ(pending(), 0U);
  const auto request = client_sends(ACK | PSH, first_byte, "GET /");
  expect(request, at_member(request), "forwarded");
  const auto answer = member_sends(ACK | PSH, first_byte + 5, "200 OK");
  expect(answer, at_client(answer), "replied");
}

// What an IPv6 packet left behind in the journey's addresses once made IPv4 entries of it.
TEST_P(Proxy, ConnectionsOfTheOtherIpVersionInBetweenChangeNothing) {
  const auto& other = names(10 - family());
  put_member(900, other.member2, 8080);
  put_pool(90, SLUICE_FULLNAT, {900});
  put_vip(other.vip);
  put_listener(other.vip, 80, L4::tcp, listener(90, 10));
  std::uint16_t port = 50000;
  const auto in_between = [&] {
    auto syn = from_client(L4::tcp, SYN, ++port);
    syn.source = other.client;
    syn.destination = other.vip;
    EXPECT_EQ(receive(syn).reason, "flow_created");
    auto answer = from_member(2, L4::tcp, SYN | ACK, port);
    answer.source = other.member2;
    answer.destination = other.vip;
    EXPECT_EQ(receive(answer).reason, "replied");
  };
  in_between();
  const auto syn = client_sends(SYN, syn_number);
  EXPECT_EQ(receive(syn).reason, "flow_created");
  in_between();
  member_accepts();
  in_between();
  send_header();
  in_between();
  acknowledge_header();
  EXPECT_EQ(pending(), 0U);
}

TEST_P(Proxy, EveryPacketAtTheFirstByteCarriesTheHeaderUntilTheMemberHasAcknowledgedIt) {
  open();
  send_header();
  const auto request = client_sends(ACK | PSH, first_byte, "GET /");
  expect(request, with_header(request), "forwarded");
  const auto rest = client_sends(ACK | PSH, first_byte + 5, " HTTP/1.1");
  expect(rest, at_member(rest), "forwarded");
  expect(request, with_header(request), "forwarded");
  const auto ack = member_sends(ACK, first_byte + 14);
  expect(ack, at_client(ack), "replied");
  expect(request, at_member(request), "forwarded");
}

TEST_P(Proxy, ALostHeaderComesAgainWithTheAnswerToTheMembersNextSynAck) {
  open();
  send_header();  // and is lost
  member_accepts();
  send_header();
  acknowledge_header();
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
}

TEST_P(Proxy, ARetransmittedSynGoesToTheMemberAsTheFirstOneDid) {
  const auto syn = client_sends(SYN, syn_number);
  auto there = at_member(syn);
  there.sequence -= header_bytes();
  expect(syn, there, "flow_created");
  expect(syn, there, "forwarded");
  member_accepts();
  expect(syn, there, "forwarded");
  send_header();
}

TEST_P(Proxy, OptionsOfTheAckStayInFrontOfTheHeader) {
  open();
  auto ack = client_sends(ACK | PSH, first_byte, "GET /");
  ack.options = timestamps;
  expect(ack, with_header(ack), "forwarded");
  ack.tags = {{0x8100, 7}};
  if (family() == 4)
    ack.ip_options = {1, 1, 1, 1};
  else
    ack.extensions = {{60, 0, 1, 4, 0, 0, 0, 0}};
  auto there = with_header(ack);
  there.tags.clear();
  expect(ack, there, "forwarded");
}

TEST_P(Proxy, TheUrgentPointerPointsAsFarBehindTheHeader) {
  open();
  auto data = client_sends(ACK | urg, first_byte, "now!");
  data.urgent = 2;
  auto there = with_header(data);
  there.urgent = static_cast<std::uint16_t>(2 + header_bytes());
  expect(data, there, "forwarded");
}

TEST_P(Proxy, AWrongChecksumStaysWrongByAsMuch) {
  open();
  auto data = client_sends(ACK, first_byte, "GET /");
  const auto right = data.l4_bytes();
  data.checksum = static_cast<std::uint16_t>((right[16] << 8 | right[17]) ^ 0x0101);
  const auto out = receive(data);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_FALSE(same_frame(out.frame, with_header(client_sends(ACK, first_byte, "GET /")).bytes()));
}

TEST_P(Proxy, AServerThatSpeaksFirstConfirmsOnlyWhatAcknowledgesTheHeader) {
  open();
  send_header();
  // It can't have the header yet, whatever it says.
  const auto early = member_sends(ACK | PSH, first_byte - header_bytes(), "220 hello");
  auto here = at_client(early);
  here.acknowledgement = first_byte;
  here.window = static_cast<std::uint16_t>(early.window - header_bytes());
  expect(early, here, "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_ANSWERED);
  const auto hello = member_sends(ACK | PSH, first_byte, "220 hello");
  expect(hello, at_client(hello), "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
}

TEST_P(Proxy, TheMssIsLoweredByTheHeaderAndTheWindowEndsWhereTheMembersEnds) {
  const auto syn = client_sends(SYN, syn_number);
  receive(syn);
  auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
  answer.options = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 3, 3, 7};
  auto here = at_client(answer);
  here.acknowledgement = first_byte;
  here.window = static_cast<std::uint16_t>(answer.window - header_bytes());
  const auto mss = static_cast<std::uint16_t>(1460 - header_bytes());
  here.options[2] = static_cast<std::uint8_t>(mss >> 8);
  here.options[3] = static_cast<std::uint8_t>(mss);
  expect(answer, here, "replied");
  // The same with the MSS at an odd offset.
  answer.options = {1, 2, 4, 0x05, 0xb4, 3, 3, 7};
  here.options = {1, 2, 4, static_cast<std::uint8_t>(mss >> 8), static_cast<std::uint8_t>(mss),
                  3, 3, 7};
  expect(answer, here, "replied");
  // Ten bytes of the header are missing: the shown window is less by one unit of 128 bytes.
  const auto part = member_sends(ACK, first_byte - 10);
  here = at_client(part);
  here.acknowledgement = first_byte;
  here.window = static_cast<std::uint16_t>(part.window - 1);
  expect(part, here, "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_ANSWERED);
}

TEST_P(Proxy, AWindowThatHoldsNoMoreThanTheHeaderIsShownAsZero) {
  receive(client_sends(SYN, syn_number));
  auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
  answer.window = 20;
  auto here = at_client(answer);
  here.acknowledgement = first_byte;
  here.window = 0;
  expect(answer, here, "replied");
  // A probe of one byte at F carries the header, too.
  const auto probe = client_sends(ACK, first_byte, "x");
  expect(probe, with_header(probe), "forwarded");
}

TEST_P(Proxy, ASackOfTheHeaderIsErasedAndOthersStay) {
  open();
  send_header();
  const auto number = [](Bytes& out, std::uint32_t n) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(n >> shift));
  };
  auto ack = member_sends(ACK, first_byte - header_bytes());
  Bytes sack{1, 1, 5, 10};
  number(sack, first_byte + 10);
  number(sack, first_byte + 20);
  ack.options = sack;
  auto here = at_client(ack);
  here.acknowledgement = first_byte;
  here.window = static_cast<std::uint16_t>(ack.window - header_bytes());
  expect(ack, here, "replied");
  // The header came twice.
  ack = member_sends(ACK, first_byte + 5);
  Bytes twice{1, 1, 5, 10};
  number(twice, first_byte - header_bytes());
  number(twice, first_byte);
  ack.options = twice;
  here = at_client(ack);
  here.options = Bytes(12, 1);
  expect(ack, here, "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
}

TEST_P(Proxy, AKeepaliveCarriesTheHeaderWhileItIsPendingAndIsUnchangedLater) {
  open();
  const auto keepalive = client_sends(ACK, first_byte - 1);
  expect(keepalive, with_header(keepalive), "forwarded");
  expect_dropped(client_sends(ACK, first_byte - 1, "x"), "proxy_header");
  acknowledge_header();
  expect(keepalive, at_member(keepalive), "forwarded");
}

TEST_P(Proxy, NoByteOfTheClientsReachesTheMemberWhereTheHeaderBelongs) {
  open();
  auto own = std::string(header_bytes(), 'P');
  for (const std::uint32_t before :
       {header_bytes(), header_bytes() + 1, 1U, 2U, 100000U, 0x7fffffffU}) {
    expect_dropped(client_sends(ACK | PSH, first_byte - before, own), "proxy_header");
    expect_dropped(client_sends(ACK | FIN, first_byte - before), "proxy_header");
  }
  const auto at_first = client_sends(ACK | PSH, first_byte, own);
  expect(at_first, with_header(at_first), "forwarded");
}

TEST_P(Proxy, WithoutItsPendingEntryAnUnconfirmedConnectionGetsNothingThrough) {
  open();
  forget_pending();
  for (const std::uint32_t sequence : {first_byte, first_byte + 1, first_byte - 1})
    expect_dropped(client_sends(ACK | PSH, sequence, "PROXY"), "proxy_header");
  // The member's next SYN-ACK brings it back.
  member_accepts();
  send_header();
  acknowledge_header();
}

TEST_P(Proxy, ASynAloneLetsNothingThrough) {
  receive(client_sends(SYN, syn_number));
  for (const std::uint32_t sequence : {first_byte, first_byte + 1})
    expect_dropped(client_sends(ACK | PSH, sequence, "PROXY"), "proxy_header");
  const auto reset = client_sends(RST, first_byte);
  auto there = at_member(reset);
  there.sequence -= header_bytes();
  expect(reset, there, "forwarded");
}

TEST_P(Proxy, TheMembersSynAckSaysWhichOfTheClientsSynsCounts) {
  receive(client_sends(SYN, syn_number - 700));  // the member never gets this one
  receive(client_sends(SYN, syn_number));
  member_accepts();
  // A later SYN changes nothing until the member accepts it.
  receive(client_sends(SYN, syn_number + 700));
  send_header();
}

TEST_P(Proxy, ASynAckFromAnotherNicIsNotBelieved) {
  receive(client_sends(SYN, syn_number));
  auto forged = member_sends(SYN | ACK, first_byte - header_bytes());
  forged.destination_mac = dmz_mac;
  EXPECT_EQ(receive(forged, "dmz0").reason, "proxy_answer");
  expect_dropped(client_sends(ACK | PSH, first_byte, "PROXY"), "proxy_header");
  member_accepts();
  send_header();
  auto ack = member_sends(ACK, first_byte);
  ack.destination_mac = dmz_mac;
  EXPECT_EQ(receive(ack, "dmz0").reason, "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_ANSWERED);
}

TEST_P(Proxy, SynsThatLeaveNoPlaceForTheHeaderAreRefused) {
  expect_dropped(client_sends(SYN, syn_number, "early"), "proxy_syn");
  auto syn = client_sends(SYN, syn_number);
  syn.options = Bytes(20, 1);
  syn.options[1] = 19;
  syn.options[2] = 18;  // TCP MD5
  expect_dropped(syn, "proxy_syn");
  syn.options[1] = 29;
  syn.options[2] = 16;  // TCP-AO
  expect_dropped(syn, "proxy_syn");
  EXPECT_EQ(phase(), ~0ULL) << "no flow";
  EXPECT_EQ(pending(), 0U);
  open();
  expect_dropped(client_sends(SYN, syn_number, "early"), "proxy_syn");
  expect_dropped(client_sends(SYN | ACK, syn_number, "early"), "proxy_syn");
  expect_dropped(client_sends(SYN | FIN, syn_number), "proxy_syn");
}

TEST_P(Proxy, FastOpenIsNotOffered) {
  auto syn = client_sends(SYN, syn_number);
  syn.options = {2, 4, 5, 0xb4, 34, 2, 1, 1};  // asks for a cookie
  auto there = at_member(syn);
  there.sequence -= header_bytes();
  there.options = {2, 4, 5, 0xb4, 1, 1, 1, 1};
  expect(syn, there, "flow_created");
  auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
  answer.options = {1, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1};
  auto here = at_client(answer);
  here.acknowledgement = first_byte;
  here.window = static_cast<std::uint16_t>(answer.window - header_bytes());
  here.options = Bytes(12, 1);
  expect(answer, here, "replied");
}

TEST_P(Proxy, ConnectionsBeyondThePendingOnesAreRefusedAtTheSyn) {
  std::vector<sluice_proxy_key> keys(SLUICE_MAX_PROXY_PENDING);
  for (std::uint32_t i = 0; i < keys.size(); ++i) keys[i].protocol = 100 + i;
  const std::vector<sluice_proxy_pending> values(keys.size());
  auto count = static_cast<std::uint32_t>(keys.size());
  ASSERT_EQ(bpf_map_update_batch(map("proxy_pending"), keys.data(), values.data(), &count, nullptr),
            0);
  expect_dropped(client_sends(SYN, syn_number), "proxy_full");
  EXPECT_EQ(phase(), ~0ULL) << "no flow";
  bpf_map_delete_elem(map("proxy_pending"), keys.data());
  open();
  count = static_cast<std::uint32_t>(keys.size());
  bpf_map_delete_batch(map("proxy_pending"), keys.data(), &count, nullptr);
}

TEST_P(Proxy, FragmentsGetThroughOnlyOnceTheHeaderIsAcknowledged) {
  open();
  const auto data = client_sends(ACK | PSH, first_byte, std::string(100, 'x'));
  EXPECT_EQ(receive(data.fragment(0, 64, true)).reason, "proxy_header");
  EXPECT_EQ(receive(data.fragment(64, 56, false)).reason, "proxy_header");
  send_header();
  acknowledge_header();
  EXPECT_EQ(receive(data.fragment(0, 64, true)).reason, "forwarded");
  EXPECT_EQ(receive(data.fragment(64, 56, false)).reason, "forwarded");
}

TEST_P(Proxy, AClientsResetHitsWhatTheMemberExpectsNext) {
  open();
  const auto reset = client_sends(RST, first_byte);
  auto there = at_member(reset);
  there.sequence -= header_bytes();
  expect(reset, there, "forwarded");
  send_header();
  expect(reset, at_member(reset), "forwarded");
}

TEST_P(Proxy, AMemberThatRefusesIsHeardByTheClient) {
  receive(client_sends(SYN, syn_number));
  const auto reset = member_sends(RST | ACK, first_byte - header_bytes());
  auto here = at_client(reset);
  here.acknowledgement = first_byte;
  expect(reset, here, "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_REFUSED);
}

TEST_P(Proxy, AClientThatHasNothingToSayEndsBehindTheHeader) {
  open();
  const auto fin = client_sends(FIN | ACK, first_byte);
  expect(fin, with_header(fin), "forwarded");
  EXPECT_EQ(phase(), SLUICE_PHASE_ANSWERED);
  const auto ack = member_sends(ACK, first_byte + 1);
  expect(ack, at_client(ack), "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_CLIENT_ENDED) << "its FIN came before the confirmation";
  const auto end = member_sends(FIN | ACK, first_byte + 1);
  expect(end, at_client(end), "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_OVER);
}

TEST_P(Proxy, AMemberThatEndsAsItAcknowledgesTheHeaderHasEnded) {
  open();
  send_header();
  const auto end = member_sends(FIN | ACK, first_byte);
  expect(end, at_client(end), "replied");
  EXPECT_EQ(phase(), SLUICE_PHASE_MEMBER_ENDED);
}

TEST_P(Proxy, AConnectionInThePlaceOfAnOlderOneBeginsWithItsOwnHeader) {
  open_and_confirm();
  const auto reset = client_sends(RST, first_byte);
  expect(reset, at_member(reset), "forwarded");
  // The reset may be forged, so the SYN goes to the member, who knows.
  const std::uint32_t later = syn_number + 500000;
  const auto syn = client_sends(SYN, later);
  auto there = at_member(syn);
  there.sequence -= header_bytes();
  expect(syn, there, "forwarded");
  // Without its answer bytes before the new header's place are the old connection's.
  const auto answer = member_sends(SYN | ACK, later + 1 - header_bytes());
  EXPECT_EQ(receive(answer).reason, "proxy_answer");
  EXPECT_EQ(receive(client_sends(ACK | PSH, later + 1 - header_bytes(), "PROXY")).reason,
            "no_flow");
  expect(syn, there, "flow_created");
}

TEST_P(Proxy, ALateDuplicateOfTheSynAckChangesNothing) {
  open_and_confirm();
  expect_dropped(member_sends(SYN | ACK, first_byte - header_bytes()), "proxy_answer");
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
  // Not even after a forged SYN.
  EXPECT_EQ(receive(client_sends(SYN, syn_number + 4711)).reason, "forwarded");
  expect_dropped(member_sends(SYN | ACK, first_byte - header_bytes()), "proxy_answer");
  EXPECT_EQ(phase(), SLUICE_PHASE_OPEN);
  const auto request = client_sends(ACK | PSH, first_byte, "GET /");
  expect(request, at_member(request), "forwarded");
}

TEST_P(Proxy, IcmpErrorsQuoteTheClientsOwnNumbers) {
  const std::string to_router = family() == 4 ? "10.0.0.1" : "2001:db8::1";
  const auto error_about = [&](const Packet& quoted) {
    auto error = icmp_error(to_router, net().vip, family() == 4 ? 3 : 1, family() == 4 ? 1 : 0, 0,
                            cut(quoted.ip_bytes(), (family() == 4 ? 20 : 40) + 8));
    error.source_mac = router_mac;
    error.destination_mac = lan_mac;
    return error;
  };
  const auto expect_quoted = [&](const Packet& at_them, const Packet& of_client) {
    const auto out = receive(error_about(at_them));
    EXPECT_EQ(out.reason, "icmp_forwarded");
    auto expected =
        icmp_error(net().vip, net().client, family() == 4 ? 3 : 1, family() == 4 ? 1 : 0, 0,
                   cut(of_client.ip_bytes(), (family() == 4 ? 20 : 40) + 8));
    expected.source_mac = lan_mac;
    expected.destination_mac = router_mac;
    --expected.ttl;
    EXPECT_TRUE(same_frame(out.frame, expected.bytes()));
  };
  const auto syn = client_sends(SYN, syn_number);
  receive(syn);
  auto there = at_member(syn);
  there.sequence -= header_bytes();
  auto quoted = syn;
  quoted.ttl = there.ttl;
  expect_quoted(there, quoted);
  member_accepts();
  const auto data = client_sends(ACK | PSH, first_byte, "GET /");
  receive(data);
  // The quoted length is the member's: who quotes 8 bytes doesn't say more.
  there = with_header(data);
  quoted = there;
  quoted.source = net().client;
  quoted.destination = net().vip;
  quoted.destination_port = 80;
  quoted.sequence = first_byte;
  expect_quoted(there, quoted);
  const auto later = client_sends(ACK | PSH, first_byte + 5, "HTTP");
  there = at_member(later);
  quoted = later;
  quoted.ttl = there.ttl;
  expect_quoted(there, quoted);
}

TEST_P(Proxy, APacketThatDoesNotFitTogetherWithTheHeaderIsSentSmallerOrBehindIt) {
  put_member(member_index(1), net().narrow_member, 8080, true, SLUICE_MEMBER_PROXY);
  const std::uint32_t headers = (family() == 4 ? 20 : 40) + 20, mtu = 1400;
  auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
  answer.source = net().narrow_member;
  answer.source_mac = dmz_gateway_mac;
  answer.destination_mac = dmz_mac;
  receive(client_sends(SYN, syn_number));
  EXPECT_EQ(receive(answer, "dmz0").reason, "replied");
  const auto full = client_sends(ACK | PSH, first_byte, std::string(mtu - headers, 'x'));
  const auto told = receive(full);
  EXPECT_EQ(told.reason, "too_big_sent");
  const std::size_t mtu_at = family() == 4 ? 14 + 20 + 6 : 14 + 40 + 6;
  EXPECT_EQ(told.frame.at(mtu_at) << 8 | told.frame.at(mtu_at + 1),
            static_cast<int>(mtu - header_bytes()));
  const auto less =
      client_sends(ACK | PSH, first_byte, std::string(mtu - headers - header_bytes(), 'x'));
  EXPECT_EQ(receive(less).reason, "forwarded");
  const auto out = receive(full);
  EXPECT_EQ(out.reason, "forwarded");
  EXPECT_EQ(out.frame.size(), full.bytes().size()) << "the header is under way already";
}

TEST_P(Proxy, WhatIsPendingGoesWithItsConnection) {
  open();
  EXPECT_EQ(pending(), 1U);
  EXPECT_EQ(flush_all(family()), 1U);
  EXPECT_EQ(pending(), 0U);
  open();
  make_all_older(100);
  expire();
  EXPECT_EQ(pending(), 0U);
  put_pool(pool(), SLUICE_FULLNAT, {});
  expect_dropped(client_sends(SYN, syn_number), "no_member");
  EXPECT_EQ(pending(), 0U);
}

TEST_P(Proxy, AForgottenEntryGoesInASweep) {
  sluice_proxy_key key{};
  sluice_proxy_pending value{};
  key.protocol = SLUICE_FLOW_TCP;
  open();
  ASSERT_EQ(bpf_map_get_next_key(map("proxy_pending"), nullptr, &key), 0);
  ASSERT_EQ(bpf_map_lookup_elem(map("proxy_pending"), &key, &value), 0);
  expire();
  EXPECT_EQ(pending(), 1U);
  key.client_port = 1;
  value.jiffies -= slow_clock * (SLUICE_PROXY_PENDING_SECONDS + 1);
  ASSERT_EQ(bpf_map_update_elem(map("proxy_pending"), &key, &value, BPF_ANY), 0);
  expire();
  EXPECT_EQ(pending(), 1U);
}

TEST_P(Proxy, AClientBeyondTheConnectionLimitIsResetAtItsAck) {
  auto limited = listener(pool(), 9);
  limited.connection_limit = 1;
  put_listener(net().vip, 80, L4::tcp, limited);
  open();
  auto other = client_sends(SYN, syn_number);
  other.source_port = 40001;
  EXPECT_EQ(receive(other).reason, "flow_created");
  auto answer = member_sends(SYN | ACK, first_byte - header_bytes());
  answer.destination_port = 40001;
  EXPECT_EQ(receive(answer).reason, "replied");
  send_header();
  acknowledge_header();
  auto ack = client_sends(ACK, first_byte);
  ack.source_port = 40001;
  const auto out = receive(ack);
  EXPECT_EQ(out.reason, "rejected");
  EXPECT_EQ(pending(), 0U);
}

TEST_P(Proxy, AMembersAnswerEndsWhereTheTtlDoes) {
  open();
  auto late = client_sends(ACK | PSH, first_byte, "GET /");
  late.ttl = 1;
  EXPECT_EQ(receive(late).reason, "time_exceeded_sent");
}

}  // namespace
}  // namespace sluice::test
