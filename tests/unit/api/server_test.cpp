// The server over a real unix socket: framing, limits, and clients that misbehave beside ones that
// don't.
#include "api/server/server.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "api/language/pieces.hpp"
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

using Protocol = boost::asio::local::stream_protocol;

// A blocking client.
class Client {
 public:
  explicit Client(const std::filesystem::path& path) : socket_(io_) {
    socket_.connect(Protocol::endpoint(path.string()));
  }
  void write(const std::string& bytes) {
    boost::system::error_code ignored;  // the server may have answered and closed already
    boost::asio::write(socket_, boost::asio::buffer(bytes), ignored);
  }
  // Reads until the server closes.
  std::string read_all() {
    std::string bytes;
    boost::system::error_code end;
    boost::asio::read(socket_, boost::asio::dynamic_buffer(bytes), end);
    return bytes;
  }
  void end_sending() { socket_.shutdown(Protocol::socket::shutdown_send); }
  // Reads some of an answer, to know that it came.
  void read_some() {
    std::array<char, 4096> bytes;
    boost::system::error_code ignored;
    socket_.read_some(boost::asio::buffer(bytes), ignored);
  }

 private:
  boost::asio::io_context io_;
  Protocol::socket socket_;
};

class ServerTest : public ApiTest {
 protected:
  ServerTest() {
    Options options;
    options.on_exchange = [this](const Exchange& exchange) { exchanges_.push_back(exchange); };
    auto endpoints = Endpoints::open({.socket = path_});
    if (!endpoints) throw std::runtime_error(endpoints.error().text());
    server_.emplace(io_, controller(), std::move(*endpoints), options);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~ServerTest() override { stop(); }

  // Ends the server on its own thread, as the daemon does.
  void stop() {
    if (!thread_.joinable()) return;
    boost::asio::post(io_, [this] { server_.reset(); });
    thread_.join();
  }
  std::string ask(const std::string& bytes) {
    Client client(path_);
    client.write(bytes);
    return client.read_all();
  }

  const std::filesystem::path path_ = directory_.path() / "api.sock";
  boost::asio::io_context io_;
  std::optional<Server> server_;
  std::vector<Exchange> exchanges_;
  std::thread thread_;
};

const std::string last_headers = "Host: x\r\nConnection: close\r\n\r\n";

// When a disk hangs for a minute, the change is stored once it recovers, so the client must be
// told.
TEST(HttpListenerTest, an_answer_may_take_longer_than_a_client_may) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "api.sock";
  auto socket = UnixSocket::listen(path).value();
  boost::asio::io_context io;
  boost::asio::steady_timer thaw(io);
  using std::chrono::milliseconds;
  std::optional<HttpListener> listener;
  listener.emplace(
      io, HttpListenerOptions{.descriptor = socket.release_descriptor(),
                              .respond =
                                  [&](const Request&, const Peer&, HttpListenerOptions::Done done) {
                                    thaw.expires_after(milliseconds(3000));
                                    thaw.async_wait([done = std::move(done)](const auto&) {
                                      Response response;
                                      response.status = 201;
                                      done(std::move(response));
                                    });
                                  },
                              .patience = milliseconds(2000)});
  std::thread thread([&] { io.run(); });
  Client client(path);
  client.write("GET / HTTP/1.1\r\n" + last_headers);
  const auto answer = client.read_all();
  boost::asio::post(io, [&] { listener.reset(); });
  thread.join();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 201")) << answer;
}

// A large body is sent apart from its head; the answer to HEAD has neither.
TEST(HttpListenerTest, an_answer_of_any_size_comes_whole) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "api.sock";
  auto socket = UnixSocket::listen(path).value();
  boost::asio::io_context io;
  std::optional<HttpListener> listener;
  listener.emplace(io, HttpListenerOptions{.descriptor = socket.release_descriptor(),
                                           .respond = [](const Request& request, const Peer&,
                                                         const HttpListenerOptions::Done& done) {
                                             Response response;
                                             response.body.assign(
                                                 std::stoul(request.target.substr(1)), 'x');
                                             done(std::move(response));
                                           }});
  std::thread thread([&] { io.run(); });
  for (const std::size_t size : {1U, 262'143U, 262'144U, 3'000'000U}) {
    for (const std::string method : {"GET", "HEAD"}) {
      Client client(path);
      client.write(method + " /" + std::to_string(size) +
                   " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      const auto answer = client.read_all();
      const auto end = answer.find("\r\n\r\n") + 4;
      EXPECT_NE(answer.find("Content-Length: " + std::to_string(size) + "\r\n"), answer.npos);
      EXPECT_EQ(answer.substr(end), std::string(method == "GET" ? size : 0, 'x'))
          << method << " of " << size;
    }
  }
  boost::asio::post(io, [&] { listener.reset(); });
  thread.join();
}

// So many pieces of one kind, and an empty one before each.
class ManyPieces : public Pieces {
 public:
  ManyPieces(std::size_t pieces, std::size_t size) : left_(pieces), piece_(size, 'x') {}
  bool append_next(std::string& out) override {
    if (left_ == 0) return true;
    if ((empty_ = !empty_)) return false;
    out += piece_;
    return --left_ == 0;
  }

 private:
  std::size_t left_;
  bool empty_ = false;
  const std::string piece_;
};

class PiecesTest : public testing::Test {
 protected:
  ~PiecesTest() override {
    boost::asio::post(io_, [&] { listener_.reset(); });
    thread_.join();
  }
  // GET /N/SIZE has N pieces of SIZE.
  static void respond(const Request& request, const Peer&, const HttpListenerOptions::Done& done) {
    const auto slash = request.target.find('/', 1);
    Response response;
    response.pieces = std::make_shared<ManyPieces>(std::stoul(request.target.substr(1)),
                                                   std::stoul(request.target.substr(slash + 1)));
    done(std::move(response));
  }
  std::string ask(const std::string& request) {
    Client client(path_);
    client.write(request);
    return client.read_all();
  }

  TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_.path() / "api.sock";
  UnixSocket socket_ = UnixSocket::listen(path_).value();
  boost::asio::io_context io_;
  std::optional<HttpListener> listener_{
      std::in_place, io_,
      HttpListenerOptions{.descriptor = socket_.release_descriptor(), .respond = respond}};
  std::thread thread_{[this] { io_.run(); }};
};

// Splits answers that stand one behind the other into heads and bodies, as RFC 9112, 7.1 says.
std::vector<std::pair<std::string, std::string>> chunked_answers(std::string_view bytes) {
  std::vector<std::pair<std::string, std::string>> answers;
  while (!bytes.empty()) {
    const auto end = bytes.find("\r\n\r\n") + 4;
    auto& [head, body] = answers.emplace_back(bytes.substr(0, end), "");
    bytes.remove_prefix(end);
    for (std::size_t size = 1; size != 0;) {
      size = std::stoul(std::string(bytes.substr(0, bytes.find("\r\n"))), nullptr, 16);
      bytes.remove_prefix(bytes.find("\r\n") + 2);
      body += bytes.substr(0, size);
      EXPECT_EQ(bytes.substr(size, 2), "\r\n");
      bytes.remove_prefix(size + 2);
    }
  }
  return answers;
}

TEST_F(PiecesTest, come_in_chunks_and_the_connection_goes_on) {
  const auto answers = chunked_answers(
      ask("GET /3/100000 HTTP/1.1\r\nHost: x\r\n\r\nGET /0/1 HTTP/1.1\r\nHost: x\r\n\r\n"
          "GET /1000/1 HTTP/1.1\r\n" +
          last_headers));
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_NE(answers[0].first.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(answers[0].first.find("Content-Length"), std::string::npos);
  EXPECT_EQ(answers[0].second, std::string(300'000, 'x'));
  EXPECT_EQ(answers[1].second, "");
  EXPECT_EQ(answers[2].second, std::string(1'000, 'x'));
}

TEST_F(PiecesTest, end_with_the_connection_for_a_client_that_knows_no_chunks) {
  const auto answer = ask("GET /3/100000 HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n");
  const auto end = answer.find("\r\n\r\n") + 4;
  EXPECT_EQ(answer.find("Transfer-Encoding"), std::string::npos);
  EXPECT_NE(answer.find("\r\nConnection: close\r\n"), std::string::npos);
  EXPECT_EQ(answer.substr(end), std::string(300'000, 'x'));
}

TEST_F(PiecesTest, are_not_made_for_head) {
  const auto answer = ask("HEAD /3/100000 HTTP/1.1\r\n" + last_headers);
  EXPECT_NE(answer.find("\r\nTransfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(answer.substr(answer.find("\r\n\r\n") + 4), "");
}

// Nothing is sent meanwhile that the connection would have to wait for.
TEST(HttpListenerTest, others_are_answered_between_two_pieces) {
  struct UntilAnother : Pieces {
    explicit UntilAnother(const bool& asked) : asked(asked) {}
    bool append_next(std::string& out) override {
      if (asked) out += "done";
      return asked;
    }
    const bool& asked;
  };
  TemporaryDirectory directory;
  const auto path = directory.path() / "api.sock";
  auto socket = UnixSocket::listen(path).value();
  bool asked = false;
  boost::asio::io_context io;
  std::optional<HttpListener> listener;
  listener.emplace(io, HttpListenerOptions{.descriptor = socket.release_descriptor(),
                                           .respond = [&](const Request& request, const Peer&,
                                                          const HttpListenerOptions::Done& done) {
                                             Response response;
                                             asked = request.target == "/other";
                                             if (!asked)
                                               response.pieces =
                                                   std::make_shared<UntilAnother>(asked);
                                             done(std::move(response));
                                           }});
  std::thread thread([&] { io.run(); });
  Client waiting(path), other(path);
  waiting.write("GET /pieces HTTP/1.1\r\n" + last_headers);
  waiting.read_some();  // the head
  other.write("GET /other HTTP/1.1\r\n" + last_headers);
  EXPECT_TRUE(other.read_all().starts_with("HTTP/1.1 200"));
  EXPECT_EQ(waiting.read_all(), "00000004\r\ndone\r\n0\r\n\r\n");
  boost::asio::post(io, [&] { listener.reset(); });
  thread.join();
}

bool starts_with_status(const std::string& answer, int status) {
  return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

TEST_F(ServerTest, a_request_is_answered_with_json_and_a_request_id) {
  const auto answer = ask("GET /v2.0/lbaas/pools HTTP/1.1\r\n" + last_headers);
  EXPECT_TRUE(starts_with_status(answer, 200)) << answer;
  EXPECT_NE(answer.find("x-openstack-request-id: req-"), std::string::npos);
  EXPECT_NE(answer.find("Content-Type: application/json"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("{\"pools\":[],\"pools_links\":[]}"));
}

TEST_F(ServerTest, a_request_may_bring_its_own_id) {
  const std::string id = "req-11111111-1111-4111-8111-111111111111";
  for (const auto* line :
       {"GET /v2.0/lbaas/pools", "GET /nonsense", "DELETE /v2.0/lbaas/pools/x"}) {
    const auto answer =
        ask(line + (" HTTP/1.1\r\nX-Openstack-Request-Id: " + id + "\r\n") + last_headers);
    EXPECT_NE(answer.find("x-openstack-request-id: " + id + "\r\n"), std::string::npos) << answer;
  }
  for (const auto* wrong : {"req-1", "11111111-1111-4111-8111-111111111111", ""}) {
    const auto answer = ask("GET /v2 HTTP/1.1\r\nX-Openstack-Request-Id: " + std::string(wrong) +
                            "\r\n" + last_headers);
    EXPECT_EQ(answer.find("x-openstack-request-id: " + std::string(wrong) + "\r\n"),
              std::string::npos)
        << answer;
  }
}

TEST_F(ServerTest, a_connection_is_kept_for_further_requests) {
  const std::string one = "GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto answer = ask(one + one + "GET /v2 HTTP/1.1\r\n" + last_headers);
  std::size_t answers = 0;
  for (auto at = answer.find("HTTP/1.1 200"); at != answer.npos;
       at = answer.find("HTTP/1.1 200", at + 1)) {
    ++answers;
  }
  EXPECT_EQ(answers, 3U);
}

TEST_F(ServerTest, a_body_that_is_too_large_is_413) {
  const auto answer = ask("POST /v2/lbaas/pools HTTP/1.1\r\nContent-Length: 1048577\r\n" +
                          last_headers + std::string(1048577, ' '));
  EXPECT_TRUE(starts_with_status(answer, 413)) << answer;
}

TEST_F(ServerTest, a_body_of_the_largest_size_is_read) {
  const auto answer =
      ask("POST /v2/lbaas/pools HTTP/1.1\r\nContent-Type: application/json\r\n"
          "Content-Length: 1048576\r\n" +
          last_headers + std::string(1048576, ' '));
  EXPECT_TRUE(starts_with_status(answer, 400)) << answer;
  EXPECT_NE(answer.find("Request is not in valid JSON format"), std::string::npos);
}

TEST_F(ServerTest, a_header_that_is_too_large_is_431) {
  const auto answer =
      ask("GET / HTTP/1.1\r\nX-Long: " + std::string(17000, 'x') + "\r\n" + last_headers);
  EXPECT_TRUE(starts_with_status(answer, 431)) << answer;
}

TEST_F(ServerTest, garbage_is_400_and_hurts_nobody) {
  EXPECT_TRUE(starts_with_status(ask(std::string("\x16\x03\x01\x00\xa5 hello\r\n\r\n", 15)), 400));
  EXPECT_TRUE(starts_with_status(ask("GET /v2 HTTP/1.1\r\n" + last_headers), 200));
}

TEST_F(ServerTest, clients_that_say_nothing_or_only_half_do_not_block_others) {
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 60; ++i) {
    slow.push_back(std::make_unique<Client>(path_));
    slow.back()->write(i % 2 ? "POST /v2/lbaas/pools HTTP/1.1\r\nContent-Le" : "");
  }
  EXPECT_TRUE(starts_with_status(ask("GET /v2 HTTP/1.1\r\n" + last_headers), 200));
}

TEST_F(ServerTest, the_65th_connection_is_turned_away_and_there_is_room_again_later) {
  std::vector<std::unique_ptr<Client>> idle;
  for (int i = 0; i < 64; ++i) {
    idle.push_back(std::make_unique<Client>(path_));
    idle.back()->write("GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  for (auto& client : idle) client->read_some();  // each was admitted
  for (auto& client : idle) {
    client->write("GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n");  // none has waited for long
  }
  Client one_too_many(path_);
  EXPECT_TRUE(starts_with_status(one_too_many.read_all(), 503));
  idle.clear();
  std::string answer;
  for (int tries = 0; tries < 100 && !starts_with_status(answer, 200); ++tries) {
    answer = ask("GET /v2 HTTP/1.1\r\n" + last_headers);
  }
  EXPECT_TRUE(starts_with_status(answer, 200));
}

TEST_F(ServerTest, a_client_that_leaves_before_its_answer_is_gone_for_the_slow_lane) {
  std::promise<control::Asker> asked;
  data_plane_.hold_inspection = [&](auto, const control::Asker& asker) {
    asked.set_value(asker);
    return true;
  };
  std::optional<Client> client(path_);
  client->write("GET /v1/flows HTTP/1.1\r\n" + last_headers);
  const auto asker = asked.get_future().get();
  EXPECT_FALSE(asker.is_gone());
  client.reset();
  while (!asker.is_gone()) std::this_thread::yield();
}

TEST_F(ServerTest, a_client_that_has_only_ended_its_sending_hears_the_answer) {
  std::promise<std::function<void()>> asked;
  data_plane_.hold_inspection = [&](auto work, const control::Asker&) {
    asked.set_value(std::move(work));
    return true;
  };
  Client client(path_);
  client.write("GET /v1/flows HTTP/1.1\r\n" + last_headers);
  client.end_sending();
  boost::asio::post(io_, asked.get_future().get());
  EXPECT_TRUE(starts_with_status(client.read_all(), 200));
}

TEST_F(ServerTest, each_exchange_is_told_with_who_asked) {
  ask("GET /v2 HTTP/1.1\r\n" + last_headers);
  ask("DELETE /v2 HTTP/1.1\r\n" + last_headers);
  stop();
  ASSERT_EQ(exchanges_.size(), 2U);
  EXPECT_EQ(exchanges_[0].method, "GET");
  EXPECT_EQ(exchanges_[0].status, 200U);
  EXPECT_EQ(exchanges_[0].peer.pid, ::getpid());
  EXPECT_EQ(exchanges_[0].peer.uid, ::getuid());
  EXPECT_EQ(exchanges_[1].target, "/v2");
  EXPECT_EQ(exchanges_[1].status, 405U);
}

TEST_F(ServerTest, stopping_ends_connections_and_removes_the_socket) {
  Client client(path_);
  stop();
  EXPECT_EQ(client.read_all(), "");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace sluice::api
