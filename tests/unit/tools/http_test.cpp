#include "sluicectl/transport/http.hpp"

#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

namespace sluice::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Listens on a unix socket for one client, reads its request, sends `answer` and closes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) : answer_(std::move(answer)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneAnswer() {
    finish();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
  }
  OneAnswer(const OneAnswer&) = delete;
  OneAnswer& operator=(const OneAnswer&) = delete;

  std::string path() const { return directory_ + "/socket"; }

  Result<HttpAnswer> to(HttpRequest request, const std::string& token = {}) {
    Endpoint endpoint;
    endpoint.socket = path();
    // The limit is short only if the test waits for it: 64 MiB take more than a second on a busy
    // machine.
    request.limit = std::chrono::seconds(answer_ == "silence" ? 1 : 100);
    auto answer = make_transport(endpoint, token)->exchange(request);
    finish();
    return answer;
  }
  std::string error() {
    const auto answer = to({"GET", "/", ""});
    return answer ? "no error" : answer.error().text();
  }
  const std::string& request() const { return request_; }

 private:
  static std::string new_directory() {
    char name[] = "/tmp/sluicectl-http-XXXXXX";
    return ::mkdtemp(name);
  }
  void finish() {
    if (thread_.joinable()) thread_.join();
  }
  bool is_whole() const {
    const auto head = request_.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const auto length = request_.find("Content-Length: ");
    return length == std::string::npos ||
           request_.size() >= head + 4 + std::stoul(request_.substr(length + 16));
  }
  void serve() {
    const int client = ::accept(listener_, nullptr, nullptr);
    char buffer[4096];
    for (ssize_t got; !is_whole() && (got = ::read(client, buffer, sizeof buffer)) > 0;)
      request_.append(buffer, static_cast<std::size_t>(got));
    if (answer_ == "silence") {
      while (::read(client, buffer, sizeof buffer) > 0) continue;
    } else {
      ::send(client, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
    ::close(client);
  }

  std::string answer_;
  std::string request_;
  std::string directory_ = new_directory();
  int listener_ = -1;
  std::thread thread_;
};

TEST(Endpoint, IsAUrlWithOrWithoutThePathOfTheApi) {
  const auto plain = parse_endpoint("http://127.0.0.1:9876");
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, "9876");
  EXPECT_EQ(plain->prefix, "");
  EXPECT_EQ(parse_endpoint("http://lb.example/v2.0/")->prefix, "");
  EXPECT_EQ(parse_endpoint("http://lb.example/load-balancer/")->prefix, "/load-balancer");
  EXPECT_EQ(parse_endpoint("http://lb.example")->port, "80");
  EXPECT_EQ(parse_endpoint("http://[::1]:80")->host, "::1");
}

TEST(Endpoint, HttpsIsTlsOnItsOwnPort) {
  const auto endpoint = parse_endpoint("https://lb.example");
  ASSERT_TRUE(endpoint.has_value());
  EXPECT_TRUE(endpoint->tls);
  EXPECT_EQ(endpoint->port, "443");
  EXPECT_FALSE(parse_endpoint("http://lb.example")->tls);
}

TEST(Endpoint, OthersAreRefusedWithTheValue) {
  for (const auto* wrong : {"", "127.0.0.1:9876", "ftp://lb.example", "http://", "unix:/x"})
    EXPECT_THAT(parse_endpoint(wrong).error().text(), HasSubstr("'" + std::string(wrong) + "'"));
}

TEST(Transport, WithoutASocketSaysHowToStartSluiced) {
  Endpoint nowhere;
  nowhere.socket = "/nonexistent/sluice.sock";
  const auto answer = make_transport(nowhere, "")->exchange({"GET", "/", ""});
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, ErrorKind::system);
  EXPECT_EQ(answer.error().text(),
            "no sluiced answers on /nonexistent/sluice.sock: no such file (start it with 'sudo "
            "sluiced', or pass --socket)");
}

TEST(Transport, ASocketPathThatIsTooLongIsSaidSo) {
  Endpoint endpoint;
  endpoint.socket = "/" + std::string(200, 'x');
  EXPECT_THAT(make_transport(endpoint, "")->exchange({"GET", "/", ""}).error().text(),
              HasSubstr("longer than the kernel allows"));
}

TEST(Transport, HandsOverStatusBodyAndTheRequestsId) {
  OneAnswer server(
      "HTTP/1.1 404 Not Found\r\nX-OpenStack-Request-ID: req-1\r\nContent-Length: 2\r\n\r\n{}");
  const auto answer = server.to({"GET", "/v2.0/lbaas/pools?name=a%20b", ""});
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->body, "{}");
  EXPECT_EQ(answer->request_id, "req-1");
  EXPECT_THAT(server.request(),
              StartsWith("GET /v2.0/lbaas/pools?name=a%20b HTTP/1.1\r\nHost: localhost\r\n"));
  EXPECT_THAT(server.request(), Not(HasSubstr("X-Auth-Token")));
}

TEST(Transport, SendsAJsonBodyInOnePieceWithTheToken) {
  OneAnswer server("HTTP/1.1 204 No Content\r\n\r\n");
  const std::string body(2 << 20, ' ');  // large enough for "Expect: 100-continue"
  const auto answer = server.to({"PUT", "/v1/x", body}, "secret");
  ASSERT_TRUE(answer) << answer.error().text();
  EXPECT_EQ(answer->status, 204);
  EXPECT_EQ(answer->body, "");
  EXPECT_THAT(server.request(), StartsWith("PUT /v1/x HTTP/1.1\r\n"));
  EXPECT_THAT(server.request(), HasSubstr("\r\nX-Auth-Token: secret\r\n"));
  EXPECT_THAT(server.request(), HasSubstr("\r\nContent-Type: application/json\r\n"));
  EXPECT_THAT(server.request(), Not(HasSubstr("100-continue")));
  EXPECT_EQ(server.request().size(), server.request().find("\r\n\r\n") + 4 + body.size());
}

TEST(Transport, APostWithoutABodySaysSo) {
  OneAnswer server("HTTP/1.1 202 Accepted\r\n\r\n");
  ASSERT_TRUE(server.to({"POST", "/v1/x", ""}));
  EXPECT_THAT(server.request(), HasSubstr("\r\nContent-Length: 0\r\n"));
  EXPECT_THAT(server.request(), Not(HasSubstr("Content-Type")));
}

TEST(Transport, DeleteIsSentAsSuch) {
  OneAnswer server("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(server.to({"DELETE", "/v1/x", ""}));
  EXPECT_THAT(server.request(), StartsWith("DELETE /v1/x HTTP/1.1\r\n"));
}

TEST(Transport, AProxyFromTheEnvironmentIsNotForUs) {
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  OneAnswer server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const auto answer = server.to({"GET", "/", ""});
  ::unsetenv("http_proxy");
  EXPECT_TRUE(answer) << answer.error().text();
}

TEST(Transport, ALostAnswerToARequestWithAnIdIsToldFromAServerThatWasNotReached) {
  for (const auto& [bytes, how] : std::vector<std::pair<std::string, std::string>>{
           {"", "the connection was closed before an answer came"},
           {"silence", "no answer in time"}}) {
    OneAnswer server(bytes);
    const auto answer = server.to({"POST", "/v2/lbaas/pools", "{}", "application/json", "req-1"});
    ASSERT_TRUE(answer) << answer.error().text();
    EXPECT_EQ(answer->status, 0);
    EXPECT_EQ(answer->body, how);
    EXPECT_THAT(server.request(), HasSubstr("X-Openstack-Request-Id: req-1\r\n"));
  }
  Endpoint nobody;
  nobody.socket = "/tmp/there-is-no-such-socket";
  EXPECT_FALSE(make_transport(nobody, "")->exchange({"POST", "/", "", "", "req-1"}));
}

TEST(Transport, ASocketThatOthersListenOnIsTold) {
  const std::string start = "no sluiced answers on ";
  const std::string hint =
      " (if it is sluiced that listens there, its log tells more; else pass --socket)";
  for (const auto& [bytes, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "the connection was closed before an answer came"},
           {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "the answer was cut short"},
           {"silence", "no answer in time"},
           {"HTTP/1.1 200 OK\r\n\r\n" + std::string((64 << 20) + 1, ' '),
            "the answer is larger than 64 MiB"}}) {
    OneAnswer server(bytes);
    EXPECT_EQ(server.error(), start + server.path() + ": " + why + hint);
  }
  OneAnswer stranger("220 mail.example ESMTP\r\n");
  EXPECT_THAT(stranger.error(), HasSubstr(": what answers does not speak HTTP ("));
}

}  // namespace
}  // namespace sluice::ctl
