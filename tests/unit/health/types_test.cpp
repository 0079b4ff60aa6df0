// Probes of the types that are not plain HTTP or TCP, against real servers on loopback. PING and
// SCTP need CAP_NET_RAW and are skipped without.
#include <gmock/gmock.h>
#include <netinet/in.h>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "health/poller.hpp"
#include "health/prober.hpp"
#include "health/raw_socket.hpp"
#include "health/sctp_packet.hpp"
#include "sctp_bytes.hpp"
#include "tls_server.hpp"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::udp;
using model::MonitorType;
using testing::HasSubstr;
using testing::Lt;
using testing::StartsWith;
using Verdict = ProbeResult::Verdict;

class Types : public testing::Test {
 protected:
  ProbeResult run(MonitorType type, const std::string& address, std::uint16_t port,
                  std::chrono::milliseconds timeout = 60s) {
    settings.type = type;
    std::optional<ProbeResult> result;
    const auto start = std::chrono::steady_clock::now();
    auto probe = prober.start(parse_ip_address(address).value(), port, settings,
                              [&](ProbeResult value) { result = std::move(value); });
    if (!probe) return probe.error();
    boost::asio::steady_timer timer(context, timeout);
    timer.async_wait([&](const boost::system::error_code& error) {
      if (!error) result = (*probe)->timed_out(timeout);
    });
    while (!result) context.run_one();
    took = std::chrono::steady_clock::now() - start;
    return *result;
  }

  boost::asio::io_context context;
  Prober prober{context.get_executor()};
  model::HealthMonitor settings;
  std::chrono::steady_clock::duration took{};
};

bool may_open_raw_sockets() {
  return static_cast<bool>(Socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

TEST_F(Types, HttpsAsksThroughTlsAndTakesAnyCertificate) {
  TlsServer server(context, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
  settings.url_path = "/health";
  const auto result = run(MonitorType::https, "127.0.0.1", server.port());
  EXPECT_EQ(result.reason, "HTTP 200");
  EXPECT_EQ(result.verdict, Verdict::healthy);
  EXPECT_THAT(server.last_request(), StartsWith("GET /health HTTP/1.0\r\n"));
  EXPECT_EQ(server.last_server_name(), "");
}

TEST_F(Types, HttpsNamesTheDomainInTlsAndInTheRequest) {
  TlsServer server(context, "HTTP/1.1 204 No Content\r\n\r\n");
  settings.http_version = "1.1";
  settings.domain_name = "www.example.com";
  settings.expected_codes = "200-204";
  EXPECT_EQ(run(MonitorType::https, "127.0.0.1", server.port()).reason, "HTTP 204");
  EXPECT_EQ(server.last_server_name(), "www.example.com");
  EXPECT_THAT(server.last_request(), HasSubstr("\r\nHost: www.example.com\r\n"));
}

TEST_F(Types, HttpsResumesItsSessionWithAMemberAndWithThatOneOnly) {
  TlsServer server(context, "HTTP/1.0 200 OK\r\n\r\n"), other(context, "HTTP/1.0 200 OK\r\n\r\n");
  const auto probe = [&](const TlsServer& member) {
    EXPECT_EQ(run(MonitorType::https, "127.0.0.1", member.port()).reason, "HTTP 200");
    return member.resumed();
  };
  EXPECT_FALSE(probe(server));
  EXPECT_TRUE(probe(server));
  EXPECT_TRUE(probe(server));
  EXPECT_FALSE(probe(other));
  settings.domain_name = "www.example.com";
  EXPECT_FALSE(probe(server));
}

TEST_F(Types, HttpsToAMemberThatHasForgottenTheSessionShakesHandsInFull) {
  std::uint16_t port = 0;
  {
    TlsServer server(context, "HTTP/1.0 200 OK\r\n\r\n");
    port = server.port();
    run(MonitorType::https, "127.0.0.1", port);
  }
  TlsServer again(context, "HTTP/1.0 200 OK\r\n\r\n", port);
  EXPECT_EQ(run(MonitorType::https, "127.0.0.1", port).reason, "HTTP 200");
  EXPECT_FALSE(again.resumed());
  run(MonitorType::https, "127.0.0.1", port);
  EXPECT_TRUE(again.resumed());
}

TEST_F(Types, HttpsJudgesTheCode) {
  TlsServer server(context, "HTTP/1.0 503 Busy\r\n\r\n");
  const auto result = run(MonitorType::https, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_EQ(result.reason, "HTTP 503, expected 200");
}

TEST_F(Types, HttpsToAServerWithoutTlsFails) {
  PlainServer server(context, "HTTP/1.0 400 Bad Request\r\n\r\n");
  const auto result = run(MonitorType::https, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_THAT(result.reason, StartsWith("TLS: "));
}

TEST_F(Types, TlsHelloIsHealthyWhenTlsAnswers) {
  TlsServer server(context, "");
  const auto result = run(MonitorType::tls_hello, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::healthy);
  EXPECT_EQ(result.reason, "TLS hello answered");
}

TEST_F(Types, TlsHelloTakesAnAlertForAnAnswer) {
  PlainServer server(context, std::string("\x15\x03\x03\x00\x02\x02\x28", 7));
  EXPECT_EQ(run(MonitorType::tls_hello, "127.0.0.1", server.port()).verdict, Verdict::healthy);
}

TEST_F(Types, TlsHelloToAServerThatSpeaksSomethingElseFails) {
  PlainServer server(context, "SSH-2.0-OpenSSH_9.2\r\n");
  const auto result = run(MonitorType::tls_hello, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_EQ(result.reason, "the answer is not TLS");
}

TEST_F(Types, TlsHelloToAServerThatHangsUpFails) {
  PlainServer server(context, "");
  const auto result = run(MonitorType::tls_hello, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::failed);
}

TEST_F(Types, AGreetingBeforeTheRequestIsReadToo) {
  PlainServer server(context, "220 smtp.example.com ready\r\n", PlainServer::Speaks::first);
  const auto result = run(MonitorType::http, "127.0.0.1", server.port());
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_THAT(result.reason, HasSubstr("not HTTP"));
}

TEST_F(Types, TcpAndHttpReachIpv6Members) {
  PlainServer server(context, "HTTP/1.0 200 OK\r\n\r\n", PlainServer::Speaks::second, "::1");
  EXPECT_EQ(run(MonitorType::tcp, "::1", server.port()).reason, "connected");
  EXPECT_EQ(run(MonitorType::http, "::1", server.port()).reason, "HTTP 200");
}

TEST_F(Types, UdpConnectIsHealthyWhenNobodyRefuses) {
  for (const auto* address : {"127.0.0.1", "::1"}) {
    udp::socket server(context, udp::endpoint(parse_ip_address(address).value(), 0));
    const auto result =
        run(MonitorType::udp_connect, address, server.local_endpoint().port(), 100ms);
    EXPECT_EQ(result.verdict, Verdict::healthy);
    EXPECT_EQ(result.reason, "not refused");
    EXPECT_GE(took, 100ms);
    EXPECT_EQ(server.available(), 1U);
  }
}

TEST_F(Types, UdpConnectIsHealthyAtOnceWhenTheMemberAnswers) {
  udp::socket server(context, udp::endpoint(udp::v4(), 0));
  char byte = 0;
  udp::endpoint client;
  server.async_receive_from(boost::asio::buffer(&byte, 1), client, [&](auto, auto) {
    server.send_to(boost::asio::buffer("pong", 4), client);
  });
  EXPECT_EQ(run(MonitorType::udp_connect, "127.0.0.1", server.local_endpoint().port()).reason,
            "answered");
  EXPECT_THAT(took, Lt(60s));
}

TEST_F(Types, UdpConnectToAClosedPortFailsAtOnce) {
  for (const auto* address : {"127.0.0.1", "::1"}) {
    udp::socket server(context, udp::endpoint(parse_ip_address(address).value(), 0));
    const auto port = server.local_endpoint().port();
    server.close();
    const auto result = run(MonitorType::udp_connect, address, port);
    EXPECT_EQ(result.verdict, Verdict::failed);
    EXPECT_EQ(result.reason, "port unreachable");
  }
}

TEST_F(Types, PingIsHealthyOnTheReply) {
  if (!may_open_raw_sockets()) GTEST_SKIP() << "needs CAP_NET_RAW";
  for (const auto* address : {"127.0.0.1", "::1"}) {
    const auto result = run(MonitorType::ping, address, 0);
    EXPECT_EQ(result.verdict, Verdict::healthy) << address;
    EXPECT_EQ(result.reason, "echo reply");
  }
}

TEST_F(Types, PingDoesNotTakeARepliesToOthersForIts) {
  if (!may_open_raw_sockets()) GTEST_SKIP() << "needs CAP_NET_RAW";
  Prober other(context.get_executor());
  int replies = 0;
  settings.type = MonitorType::ping;
  const auto theirs = other.start(parse_ip_address("127.0.0.1").value(), 0, settings,
                                  [&](const ProbeResult&) { ++replies; });
  run(MonitorType::ping, "127.0.0.1", 0);
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (replies == 0 && std::chrono::steady_clock::now() < deadline) context.run_one_for(100ms);
  context.run_for(20ms);  // for a second one
  EXPECT_EQ(replies, 1);
}

// An SCTP peer on loopback: a raw socket that answers INITs to one port.
class SctpPeer {
 public:
  static constexpr std::uint16_t port = 5060;
  static constexpr std::uint32_t tag = 0xabad1dea;

  SctpPeer(Poller& poller, int family, std::uint8_t answer) : answer_(answer) {
    EXPECT_EQ(raw_.open(poller, family, IPPROTO_SCTP), 0);
  }
  bool aborted() const { return aborted_; }

 private:
  void received(const IpAddress& from, RawSocket::Bytes packet) {
    const auto theirs = SctpBytes::parse(packet);
    if (!theirs || theirs->destination != port) return;
    if (theirs->chunk == SctpBytes::abort) aborted_ = aborted_ || theirs->tag == tag;
    if (theirs->chunk != SctpBytes::init) return;
    const auto reply = SctpBytes::make(port, theirs->source, theirs->initiate_tag, answer_, tag);
    EXPECT_EQ(raw_.socket().send_to({from, 0}, reply), 0);
  }

  std::uint8_t answer_;
  bool aborted_ = false;
  RawSocket raw_{[this](const auto& from, auto packet) { received(from, packet); }};
};

TEST_F(Types, SctpIsHealthyWhenTheInitIsAcknowledgedAndIsAbortedThen) {
  if (!may_open_raw_sockets()) GTEST_SKIP() << "needs CAP_NET_RAW";
  for (const auto& [address, family] : {std::pair("127.0.0.1", AF_INET), {"::1", AF_INET6}}) {
    Poller poller(context.get_executor());
    SctpPeer peer(poller, family, SctpBytes::init_ack);
    const auto result = run(MonitorType::sctp, address, SctpPeer::port);
    EXPECT_EQ(result.verdict, Verdict::healthy) << address;
    EXPECT_EQ(result.reason, "INIT acknowledged");
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    while (!peer.aborted() && std::chrono::steady_clock::now() < deadline)
      context.run_one_for(100ms);
    EXPECT_TRUE(peer.aborted()) << address;
  }
}

TEST_F(Types, SctpThatIsAbortedIsRefusedAtOnce) {
  if (!may_open_raw_sockets()) GTEST_SKIP() << "needs CAP_NET_RAW";
  Poller poller(context.get_executor());
  SctpPeer peer(poller, AF_INET, SctpBytes::abort);
  const auto result = run(MonitorType::sctp, "127.0.0.1", SctpPeer::port);
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_EQ(result.reason, "connection refused");
}

TEST_F(Types, SctpToAnotherPortIsNotAnswered) {
  if (!may_open_raw_sockets()) GTEST_SKIP() << "needs CAP_NET_RAW";
  Poller poller(context.get_executor());
  SctpPeer peer(poller, AF_INET, SctpBytes::init_ack);
  EXPECT_EQ(run(MonitorType::sctp, "127.0.0.1", SctpPeer::port + 1, 50ms).reason,
            "timeout after 50 ms");
}

TEST_F(Types, AUdpConnectProbeWaitsASecondWhateverTheTimeout) {
  settings.timeout_seconds = 5;
  settings.type = MonitorType::udp_connect;
  EXPECT_EQ(time_limit(settings, 1s), 1s);
  settings.type = MonitorType::ping;
  EXPECT_EQ(time_limit(settings, 1s), 5s);
  settings.timeout_seconds = 0;
  EXPECT_EQ(time_limit(settings, 1s), 1s);
}

}  // namespace
}  // namespace sluice::health
