// Real probes against real servers on loopback. Timeouts are short only where the test waits for
// them.
#include <gmock/gmock.h>

#include <boost/asio/steady_timer.hpp>

#include "health/prober.hpp"
#include "test_server.hpp"

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Lt;
using testing::Not;
using testing::StartsWith;
using Verdict = ProbeResult::Verdict;

class Probe : public testing::Test {
 protected:
  Probe() {
    http.type = model::MonitorType::http;
    tcp.type = model::MonitorType::tcp;
  }

  ProbeResult run(boost::asio::ip::tcp::endpoint endpoint, const model::HealthMonitor& settings,
                  std::chrono::milliseconds timeout = 60s, Preface preface = Preface::none) {
    std::optional<ProbeResult> result;
    const auto start = std::chrono::steady_clock::now();
    auto probe = prober.start(
        endpoint.address(), endpoint.port(), settings,
        [&](ProbeResult value) { result = std::move(value); }, preface);
    if (!probe) return probe.error();
    boost::asio::steady_timer timer(context, timeout);
    timer.async_wait([&](const boost::system::error_code& error) {
      if (!error) result = (*probe)->timed_out(timeout);
    });
    while (!result) context.run_one();
    took = std::chrono::steady_clock::now() - start;
    return *result;
  }
  ProbeResult ask(const std::string& text, std::chrono::milliseconds timeout = 60s) {
    TestServer server(context, answer(text));
    return run(server.endpoint(), http, timeout);
  }

  boost::asio::io_context context;
  Prober prober{context.get_executor()};
  model::HealthMonitor http, tcp;
  std::chrono::steady_clock::duration took{};
};

TEST_F(Probe, AnAnswerWithTheExpectedCodeIsHealthy) {
  const auto result = ask("HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nhealthy!");
  EXPECT_EQ(result.verdict, Verdict::healthy);
  EXPECT_EQ(result.reason, "HTTP 200");
}

TEST_F(Probe, AMemberThatWantsAProxyHeaderIsToldThatTheRequestIsNobodys) {
  using namespace std::string_literals;
  TestServer server(context, answer("HTTP/1.0 200 OK\r\n\r\n"));
  EXPECT_EQ(run(server.endpoint(), http, 60s, Preface::proxy).reason, "HTTP 200");
  EXPECT_THAT(server.last_request(),
              StartsWith("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET / HTTP/1.0\r\n"s));
  EXPECT_EQ(run(server.endpoint(), tcp, 60s, Preface::proxy).reason, "connected");
}

TEST_F(Probe, AnotherCodeIsAFailureThatNamesBoth) {
  const auto result = ask("HTTP/1.0 500 Oh no\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_EQ(result.reason, "HTTP 500, expected 200");
}

TEST_F(Probe, AllExpectedCodesAreHealthy) {
  http.expected_codes = "200-204";
  EXPECT_EQ(ask("HTTP/1.1 204 No Content\r\n\r\n").verdict, Verdict::healthy);
}

TEST_F(Probe, AConnectionRefusedFailsAtOnce) {
  for (const auto* settings : {&http, &tcp}) {
    const auto result = run(refusing_endpoint(context), *settings);
    EXPECT_EQ(result.verdict, Verdict::failed);
    EXPECT_EQ(result.reason, "connection refused");
    EXPECT_THAT(took, Lt(60s));
  }
}

TEST_F(Probe, AServerThatNeverAnswersTimesOut) {
  TestServer server(context, hang());
  const auto result = run(server.endpoint(), http, 60ms);
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_EQ(result.reason, "timeout after 60 ms");
}

TEST_F(Probe, TheTimeoutCoversTheWholeProbeSoADrippingHeaderDoesNotExtendIt) {
  TestServer server(context,
                    drip("HTTP/1.0 200 OK\r\nX-Padding: " + std::string(2000, 'x') + "\r\n\r\n"));
  const auto result = run(server.endpoint(), http, 100ms);
  // The server sends a byte per millisecond. If each byte extended the timeout, the header would
  // arrive.
  EXPECT_EQ(result.reason, "timeout after 100 ms");
}

TEST_F(Probe, AHeaderInManyPiecesIsFineWithinTheTimeout) {
  TestServer server(context, drip("HTTP/1.0 200 OK\r\n\r\n"));
  EXPECT_EQ(run(server.endpoint(), http).verdict, Verdict::healthy);
}

TEST_F(Probe, GarbageIsNotHttp) {
  const auto result = ask("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  EXPECT_EQ(result.verdict, Verdict::failed);
  EXPECT_THAT(result.reason, HasSubstr("not HTTP"));
}

TEST_F(Probe, AServerThatHangsUpWithoutAnAnswerFails) {
  EXPECT_EQ(ask("").reason, "connection closed before a whole answer");
  EXPECT_EQ(ask("HTTP/1.0 200 OK\r\nContent-").reason, "connection closed before a whole answer");
}

TEST_F(Probe, AnEndlessHeaderIsCutAt64KiB) {
  const auto result =
      ask("HTTP/1.0 200 OK\r\nX-Padding: " + std::string(100'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(result.reason, "header larger than 64 KiB");
}

TEST_F(Probe, ABigPageIsHealthyAndNotReadToItsEnd) {
  const auto result = ask("HTTP/1.0 200 OK\r\n\r\n" + std::string(8'000'000, 'x'));
  EXPECT_EQ(result.reason, "HTTP 200");
}

TEST_F(Probe, ABodyThatStallsDoesNotSpoilAHealthyHeader) {
  TestServer server(
      context, [](TestServer::Socket& socket, std::string request) -> boost::asio::awaitable<void> {
        co_await answer("HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf")(socket, request);
        co_await hang()(socket, request);
      });
  EXPECT_EQ(run(server.endpoint(), http, 60ms).reason, "HTTP 200");
}

TEST_F(Probe, AsksInHttp10WithoutHostByDefault) {
  http.url_path = "/health?deep=1";
  TestServer server(context, answer("HTTP/1.0 200 OK\r\n\r\n"));
  run(server.endpoint(), http);
  EXPECT_THAT(server.last_request(),
              AllOf(StartsWith("GET /health?deep=1 HTTP/1.0\r\n"), Not(HasSubstr("Host:"))));
}

TEST_F(Probe, Http11NamesTheDomain) {
  http.http_version = "1.1";
  http.domain_name = "www.example.com";
  TestServer server(context, answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(run(server.endpoint(), http).verdict, Verdict::healthy);
  EXPECT_THAT(server.last_request(),
              AllOf(StartsWith("GET / HTTP/1.1\r\n"), HasSubstr("Host: www.example.com\r\n"),
                    HasSubstr("Connection: close\r\n")));
}

TEST_F(Probe, AHeadProbeWaitsForNoBody) {
  http.http_method = "HEAD";
  TestServer server(
      context, [](TestServer::Socket& socket, std::string request) -> boost::asio::awaitable<void> {
        co_await answer("HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n")(socket, request);
        co_await hang()(socket, request);
      });
  EXPECT_EQ(run(server.endpoint(), http).reason, "HTTP 200");
  EXPECT_THAT(took, Lt(60s));
  EXPECT_THAT(server.last_request(), StartsWith("HEAD / HTTP/1.0\r\n"));
}

TEST_F(Probe, ATcpProbeIsHealthyOnceConnected) {
  TestServer server(context, hang());
  const auto result = run(server.endpoint(), tcp);
  EXPECT_EQ(result.verdict, Verdict::healthy);
  EXPECT_EQ(result.reason, "connected");
}

}  // namespace
}  // namespace sluice::health
