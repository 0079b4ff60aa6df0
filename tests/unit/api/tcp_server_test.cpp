// The server over TCP: with and without TLS and a token, its metrics, and hostile clients.
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <thread>

#include "api/server/secret.hpp"
#include "api/server/server.hpp"
#include "api_fixture.hpp"
#include "self_signed.hpp"

namespace sluice::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

const std::string secret = "0123456789abcdef0123456789abcdef";
const std::string closing = "Host: 127.0.0.1\r\nConnection: close\r\n\r\n";

// Reads until the server closes.
template <typename Stream>
std::string talk(Stream& stream, const std::string& bytes) {
  boost::system::error_code ignored;
  asio::write(stream, asio::buffer(bytes), ignored);
  std::string answer;
  asio::read(stream, asio::dynamic_buffer(answer), ignored);
  return answer;
}

class TcpServerTest : public ApiTest {
 protected:
  ~TcpServerTest() override { stop(); }

  // Tests may read the server's notes once it has stopped.
  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] { server_.reset(); });
    thread_.join();
  }

  std::filesystem::path write(const std::string& name, const std::string& text) {
    const auto path = directory_.path() / name;
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    return path;
  }

  void start(EndpointOptions options) {
    options.socket = directory_.path() / "api.sock";
    auto endpoints = Endpoints::open(options);
    ASSERT_TRUE(endpoints) << endpoints.error().text();
    if (endpoints->tcp) port_ = endpoints->tcp->socket.address().port;
    if (endpoints->metrics) metrics_port_ = endpoints->metrics->address().port;
    server_.emplace(
        io_, controller(), std::move(*endpoints),
        Options{.on_exchange =
                    [this](const Exchange& exchange) { peers_.push_back(exchange.peer.address); },
                .on_denied = [this](const Denied& one) { denied_.push_back(one); },
                .events = &events_});
    thread_ = std::thread([this] { io_.run(); });
  }
  void start_with_tls(bool token) {
    const auto [certificate, key] = self_signed();
    start({.listen = "127.0.0.1:0",
           .token_file = token ? write("token", secret) : std::filesystem::path(),
           .certificate = write("cert.pem", certificate),
           .key = write("key.pem", key)});
  }

  // The client's certificate is its own CA.
  void start_with_client_ca() {
    const auto [certificate, key] = self_signed();
    client_ = self_signed();
    start({.listen = "127.0.0.1:0",
           .certificate = write("cert.pem", certificate),
           .key = write("key.pem", key),
           .client_ca = write("ca.pem", client_->certificate)});
  }

  tcp::socket connect(std::uint16_t port) {
    tcp::socket socket(client_io_);
    socket.connect({asio::ip::address_v4::loopback(), port});
    return socket;
  }
  std::string ask(const std::string& head, std::uint16_t port = 0, const std::string& body = {}) {
    auto socket = connect(port ? port : port_);
    return talk(socket, head + "\r\n" + closing + body);
  }
  std::string ask_in_tls(const std::string& head, const CertificateAndKey* who = nullptr) {
    asio::ssl::context context(asio::ssl::context::tls_client);
    if (who) {
      context.use_certificate(asio::buffer(who->certificate), asio::ssl::context::pem);
      context.use_private_key(asio::buffer(who->key), asio::ssl::context::pem);
    }
    asio::ssl::stream<tcp::socket> stream(connect(port_), context);
    boost::system::error_code error;
    stream.handshake(asio::ssl::stream_base::client, error);
    return error ? error.message() : talk(stream, head + "\r\n" + closing);
  }

  asio::io_context io_, client_io_;
  std::uint16_t port_ = 0, metrics_port_ = 0;
  std::optional<Server> server_;
  std::vector<std::string> peers_;
  std::vector<Denied> denied_;
  std::optional<CertificateAndKey> client_;
  std::thread thread_;
};

bool has_status(const std::string& answer, int status) {
  return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

TEST_F(TcpServerTest, loopback_is_served_without_a_token) {
  start({.listen = "127.0.0.1:0"});
  EXPECT_TRUE(has_status(ask("GET /v2.0/lbaas/pools HTTP/1.1"), 200));
  ASSERT_EQ(peers_.size(), 1U);
  EXPECT_TRUE(peers_[0].starts_with("127.0.0.1:")) << peers_[0];
}

TEST_F(TcpServerTest, a_page_that_leads_a_browser_here_by_name_gets_nothing) {
  start({.listen = "127.0.0.1:0"});
  auto socket = connect(port_);
  const auto answer = talk(
      socket, "GET /v2.0/lbaas/pools HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(has_status(answer, 403)) << answer;
}

TEST_F(TcpServerTest, a_hostile_page_neither_posts_a_batch_nor_looks) {
  start({.listen = "127.0.0.1:0"});
  const std::string body = R"({"requests": []})";
  const auto length = "\r\nContent-Length: " + std::to_string(body.size());
  const auto post = [&](const std::string& headers) {
    auto socket = connect(port_);
    return talk(socket, "POST /v1/batch HTTP/1.1" + length + headers + "\r\n" + closing + body);
  };
  const std::string json = "\r\nContent-Type: application/json";
  EXPECT_TRUE(has_status(post(json), 200)) << "curl sends no Origin";
  EXPECT_TRUE(has_status(post(json + "\r\nOrigin: http://evil.example"), 403));
  EXPECT_TRUE(has_status(post(json + "\r\nSec-Fetch-Site: cross-site"), 403));
  EXPECT_TRUE(has_status(post("\r\nContent-Type: text/plain"), 415)) << "what a form can send";
  EXPECT_TRUE(has_status(ask("GET /v1/flows HTTP/1.1\r\nSec-Fetch-Site: cross-site"), 403));
}

TEST_F(TcpServerTest, the_unix_socket_asks_for_none_of_it) {
  start({.listen = "127.0.0.1:0"});
  asio::local::stream_protocol::socket local(client_io_);
  local.connect(asio::local::stream_protocol::endpoint((directory_.path() / "api.sock").string()));
  EXPECT_TRUE(has_status(talk(local,
                              "GET /v2 HTTP/1.1\r\nHost: anything\r\nOrigin: http://x\r\n"
                              "Connection: close\r\n\r\n"),
                         200));
}

TEST_F(TcpServerTest, metrics_are_not_for_web_pages) {
  start({.metrics = "127.0.0.1:0"});
  EXPECT_TRUE(
      has_status(ask("GET /metrics HTTP/1.1\r\nOrigin: http://evil.example", metrics_port_), 403));
}

TEST_F(TcpServerTest, a_request_whose_end_cant_be_told_ends_the_connection) {
  start({.listen = "127.0.0.1:0"});
  // A proxy that knows the encoding takes all of it for one request; a server that reads two would
  // take the second from an attacker.
  const std::string smuggled = "GET /v2.0/lbaas/pools HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (const auto& [encoding, status] : {std::pair("gzip", 501),
                                         {"identity", 501},
                                         {"chunked, gzip", 501},
                                         {"xchunked", 501},
                                         {"chunked\r\nContent-Length: 5", 400},
                                         {"chunked\r\nTransfer-Encoding: chunked", 501}}) {
    auto socket = connect(port_);
    const auto answer = talk(socket,
                             "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                             "application/json\r\nTransfer-Encoding: " +
                                 std::string(encoding) + "\r\n\r\n" + smuggled);
    EXPECT_TRUE(has_status(answer, status) || has_status(answer, 400)) << encoding << answer;
    EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << "a second answer: " << answer;
    EXPECT_NE(answer.find("Connection: close"), std::string::npos) << answer;
  }
}

TEST_F(TcpServerTest, who_was_not_let_in_is_told_with_its_address_but_not_without_end) {
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  for (int i = 0; i < 25; ++i) {
    ask("GET /v2.0/lbaas/pools?secret=x HTTP/1.1\r\nX-Auth-Token: guess" + std::to_string(i));
  }
  stop();
  ASSERT_EQ(denied_.size(), 10U);
  EXPECT_EQ(denied_[0].status, 401U);
  EXPECT_TRUE(denied_[0].peer.address.starts_with("127.0.0.1:"));
  EXPECT_EQ(denied_[0].target, "/v2.0/lbaas/pools") << "without what may be a secret";
  const auto events = events_.find({.limit = 100, .kind = "denied"});
  ASSERT_EQ(events.size(), 10U);
  EXPECT_EQ(events[0]->peer, denied_[0].peer.address);
}

TEST_F(TcpServerTest, changes_and_refusals_are_told_with_the_tokens_name) {
  const auto load_balancer = create_load_balancer();
  const auto before = events_.last();  // the load balancer's creation
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  const auto put = [&](const std::string& body) {
    return ask("PUT /v2/lbaas/loadbalancers/" + load_balancer +
                   " HTTP/1.1\r\nContent-Type: application/json\r\nX-Auth-Token: " + secret +
                   "\r\nContent-Length: " + std::to_string(body.size()),
               0, body);
  };
  EXPECT_TRUE(has_status(put(R"({"loadbalancer": {"name": "new"}})"), 200));
  EXPECT_TRUE(has_status(put(R"({"loadbalancer": {"colour": "red"}})"), 400));
  stop();
  const auto events = events_.find({.after = before, .limit = 100});
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0]->kind, "change");
  EXPECT_EQ(events[0]->who, "token");
  EXPECT_TRUE(events[0]->peer.starts_with("127.0.0.1:"));
  EXPECT_EQ(events[0]->after.at("name"), "new");
  EXPECT_EQ(events[1]->kind, "refused");
  EXPECT_NE(events[1]->message.find("400 Unknown attribute"), std::string::npos)
      << events[1]->message;
}

TEST_F(TcpServerTest, versions_are_told_to_clients_that_have_no_token_yet) {
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  EXPECT_TRUE(has_status(ask("GET / HTTP/1.1"), 200));
  EXPECT_TRUE(has_status(ask("GET /healthcheck HTTP/1.1"), 200));
  EXPECT_TRUE(has_status(ask("GET /v2.0/lbaas/pools HTTP/1.1"), 401));
}

TEST_F(TcpServerTest, a_client_certificate_serves_instead_of_a_token) {
  start_with_client_ca();
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1", &*client_), 200));
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1"), 401)) << "no certificate at all";
  const auto stranger = self_signed();
  EXPECT_FALSE(ask_in_tls("GET /v2 HTTP/1.1", &stranger).starts_with("HTTP/1.1 2"))
      << "signed by somebody else";
}

TEST_F(TcpServerTest, only_suites_with_forward_secrecy_are_spoken) {
  start_with_tls(false);
  const auto handshake = [&](const char* suites) {
    asio::ssl::context context(asio::ssl::context::tlsv12_client);
    SSL_CTX_set_cipher_list(context.native_handle(), suites);
    asio::ssl::stream<tcp::socket> stream(connect(port_), context);
    boost::system::error_code error;
    stream.handshake(asio::ssl::stream_base::client, error);
    return !error;
  };
  EXPECT_TRUE(handshake("ECDHE+AESGCM"));
  EXPECT_TRUE(handshake("ECDHE+CHACHA20"));
  EXPECT_FALSE(handshake("ECDHE+AES:!AESGCM:!AESCCM")) << "CBC";
  EXPECT_FALSE(handshake("kRSA+AESGCM"));
}

TEST_F(TcpServerTest, a_token_is_asked_for_before_the_body_is_read) {
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  const std::string list = "GET /v2.0/lbaas/pools HTTP/1.1";
  EXPECT_TRUE(has_status(ask(list), 401));
  EXPECT_TRUE(has_status(ask(list + "\r\nX-Auth-Token: wrong"), 401));
  EXPECT_TRUE(has_status(ask(list + "\r\nX-Auth-Token: " + secret), 200));
  EXPECT_TRUE(has_status(ask(list + "\r\nAuthorization: Bearer " + secret), 200));
  const auto answer = ask("POST /v2.0/lbaas/pools HTTP/1.1\r\nContent-Length: 1000000");
  EXPECT_TRUE(has_status(answer, 401)) << answer;
  EXPECT_NE(answer.find("WWW-Authenticate: Bearer"), std::string::npos);
}

TEST_F(TcpServerTest, tls_is_spoken_and_plain_text_is_not) {
  start_with_tls(true);
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1\r\nX-Auth-Token: " + secret), 200));
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1"), 401));
  EXPECT_FALSE(ask("GET /v2 HTTP/1.1\r\nX-Auth-Token: " + secret).starts_with("HTTP"));
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1\r\nX-Auth-Token: " + secret), 200));
}

TEST_F(TcpServerTest, clients_that_never_shake_hands_do_not_block_others) {
  start_with_tls(false);
  std::vector<tcp::socket> silent;
  for (int i = 0; i < 40; ++i) silent.push_back(connect(port_));
  EXPECT_TRUE(has_status(ask_in_tls("GET /v2 HTTP/1.1"), 200));
}

TEST_F(TcpServerTest, connections_that_hold_all_places_make_room_when_they_keep_us_waiting) {
  start({.listen = "127.0.0.1:0"});
  std::vector<tcp::socket> idle;
  for (int i = 0; i < 64; ++i) idle.push_back(connect(port_));
  // Newcomers have a second from when they are accepted, which may be late on a busy machine.
  for (int i = 0; i < 1000 && !has_status(ask("GET /v2 HTTP/1.1"), 200); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(has_status(ask("GET /v2 HTTP/1.1"), 200)) << i;
}

TEST_F(TcpServerTest,
       strangers_that_open_connections_all_the_time_do_not_crowd_out_who_has_a_token) {
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  // A client that keeps its connection, and one that comes anew each time.
  auto kept = connect(port_);
  const auto head = "GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Auth-Token: " + secret;
  const auto ask_again = [&] {
    boost::system::error_code error;
    asio::write(kept, asio::buffer(head + "\r\n\r\n"), error);
    std::string answer;
    asio::read_until(kept, asio::dynamic_buffer(answer), "\"v2\"", error);
    return answer;
  };
  ASSERT_TRUE(has_status(ask_again(), 200));
  std::vector<tcp::socket> strangers;
  for (int i = 0; i < 400; ++i) {
    strangers.push_back(connect(port_));
    if (i % 20 != 0) continue;
    ASSERT_TRUE(has_status(ask("GET /v2 HTTP/1.1\r\nX-Auth-Token: " + secret), 200)) << i;
    ASSERT_TRUE(has_status(ask_again(), 200)) << i;
  }
}

TEST_F(TcpServerTest, tcp_clients_leave_the_unix_socket_its_own_places) {
  start({.listen = "127.0.0.1:0"});
  std::vector<tcp::socket> idle;
  for (int i = 0; i < 64; ++i) idle.push_back(connect(port_));
  asio::local::stream_protocol::socket local(client_io_);
  local.connect(asio::local::stream_protocol::endpoint((directory_.path() / "api.sock").string()));
  EXPECT_TRUE(has_status(talk(local, "GET /v2 HTTP/1.1\r\n" + closing), 200));
}

TEST_F(TcpServerTest, metrics_are_served_to_everyone_and_nothing_else_is) {
  data_plane_.reasons = {{"no_listener", "drop", "Nobody listens there.", 42}};
  const auto listener = create_listener(create_load_balancer());
  data_plane_.listener_counts[*parse_uuid(listener)].flows_opened = 7;
  start({.metrics = "127.0.0.1:0"});
  const auto page = ask("GET /metrics HTTP/1.1", metrics_port_);
  EXPECT_TRUE(has_status(page, 200)) << page;
  EXPECT_NE(page.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(page.find("\nsluice_packets_total{reason=\"no_listener\",verdict=\"drop\"} 42\n"),
            std::string::npos);
  EXPECT_NE(page.find("\nsluice_listener_connections_total{id=\"" + listener +
                      "\",listener=\"80_listener\",load_balancer=\"lb_test_1\",protocol=\"TCP\","
                      "port=\"80\"} 7\n"),
            std::string::npos)
      << page;
  EXPECT_TRUE(has_status(ask("GET /v2.0/lbaas/loadbalancers HTTP/1.1", metrics_port_), 404));
  EXPECT_TRUE(has_status(ask("DELETE /metrics HTTP/1.1", metrics_port_), 404));
}

TEST_F(TcpServerTest, metrics_tell_who_is_suspected) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto suspect = create_member(pool, "10.0.0.4");
  const auto other = create_member(pool, "10.0.0.5");
  controller().set_suspects({*parse_uuid(suspect)});
  start({.metrics = "127.0.0.1:0"});
  const auto page = ask("GET /metrics HTTP/1.1", metrics_port_);
  const auto value_of = [&](const std::string& member) {
    const auto at = page.find("\nsluice_member_suspected{id=\"" + member);
    return at == std::string::npos ? '?' : page[page.find('\n', at + 1) - 1];
  };
  EXPECT_EQ(value_of(suspect), '1') << page;
  EXPECT_EQ(value_of(other), '0');
}

TEST_F(TcpServerTest, metrics_have_a_histogram_of_how_long_members_take_to_answer) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto timed = create_member(pool, "10.0.0.4");
  create_member(pool, "10.0.0.5");
  data_plane_.handshakes[*parse_uuid(timed)] = {
      {{16'384, 3}, {32'768, 1}, {65'536, 0}, {UINT64_MAX, 2}}, 1'500'000'000};
  start({.metrics = "127.0.0.1:0"});
  const auto page = ask("GET /metrics HTTP/1.1", metrics_port_);
  std::string samples;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("sluice_member_handshake_seconds")) continue;
    EXPECT_NE(line.find(timed), std::string::npos) << "members that were never timed have none";
    const auto kind = line.substr(31, line.find('{') - 31);
    const auto limit = line.find("le=");
    samples +=
        kind + ' ' + line.substr(limit == std::string::npos ? line.rfind(' ') : limit) + '\n';
  }
  EXPECT_EQ(samples,
            "_bucket le=\"1.6384e-05\"} 3\n"
            "_bucket le=\"6.5536e-05\"} 4\n"
            "_bucket le=\"+Inf\"} 6\n"
            "_sum  1.5\n"
            "_count  6\n");
}

TEST_F(TcpServerTest, metrics_tell_pools_without_usable_members_and_how_full_tables_are) {
  const auto pool = create_pool(create_listener(create_load_balancer()));
  create_monitor(pool);
  const auto dead = create_member(pool, "10.0.0.4");
  create_member(pool, "10.0.0.5");
  controller().set_health({{*parse_uuid(dead), model::Health::down}});
  data_plane_.can.room.members = 16'384;
  data_plane_.tables = {{"flows4", 7, 1'000}};
  start({.metrics = "127.0.0.1:0"});
  const auto page = ask("GET /metrics HTTP/1.1", metrics_port_);
  const auto labels = "{id=\"" + pool + "\",pool=\"80_pool\",load_balancer=\"lb_test_1\"} ";
  for (const auto& sample :
       {"sluice_pool_listeners" + labels + '1', "sluice_pool_members" + labels + '2',
        "sluice_pool_usable_members" + labels + '1',
        std::string("sluice_table_entries{table=\"members\"} 2"),
        std::string("sluice_table_capacity_entries{table=\"members\"} 16384"),
        std::string("sluice_table_entries{table=\"flows4\"} 7"),
        std::string("sluice_table_capacity_entries{table=\"flows4\"} 1000"),
        std::string("sluice_store_up 1"), std::string("sluice_store_commit_wait_seconds 0")}) {
    EXPECT_NE(page.find('\n' + sample + '\n'), std::string::npos) << sample << " in\n" << page;
  }
  EXPECT_EQ(page.find("sluice_tls_certificate"), std::string::npos);
}

TEST_F(TcpServerTest, metrics_tell_when_the_certificate_ends) {
  start_with_tls(false);
  const auto page = ask_in_tls("GET /metrics HTTP/1.1");
  const std::string name = "\nsluice_tls_certificate_not_after_timestamp_seconds ";
  const auto at = page.find(name);
  ASSERT_NE(at, std::string::npos) << page;
  const auto end = std::stoll(page.substr(at + name.size()));
  EXPECT_NEAR(static_cast<double>(end - std::time(nullptr)), 3600, 60);
}

TEST_F(TcpServerTest, the_api_has_the_metrics_too) {
  start({.listen = "127.0.0.1:0"});
  EXPECT_NE(ask("GET /metrics HTTP/1.1").find("sluice_scrape_errors 0\n"), std::string::npos);
}

// Signing in over the wire, for users of the token file, with the requests of Keystone's clients.
constexpr auto ci_project = "eac679e4896146e6827ce29d755fe289";

class IdentityServerTest : public TcpServerTest {
 protected:
  void start() {
    const auto hash = Secret::of_password("open sesame").value();
    TcpServerTest::start(
        {.listen = "127.0.0.1:0",
         .token_file = write("users", "alice admin " + hash + "\nci member " + ci_project + " " +
                                          hash + "\ngrafana reader " + hash + "\n"),
         .identity = true,
         .public_endpoint = "https://lb.example:9876/"});
  }

  struct SignedIn {
    int status = 0;
    std::string token;
    boost::json::value body;
  };
  SignedIn sign_in(const std::string& identity, const std::string& scope = "") {
    const auto body = R"({"auth": {"identity": )" + identity +
                      (scope.empty() ? "" : R"(, "scope": )" + scope) + "}}";
    const auto answer =
        ask("POST /identity/v3/auth/tokens HTTP/1.1\r\nContent-Type: "
            "application/json\r\nContent-Length: " +
                std::to_string(body.size()),
            0, body);
    SignedIn result;
    result.status = std::stoi(answer.substr(9, 3));
    if (const auto at = answer.find("X-Subject-Token: "); at != answer.npos) {
      result.token = answer.substr(at + 17, answer.find('\r', at) - at - 17);
    }
    if (const auto at = answer.find("\r\n\r\n"); at + 4 < answer.size()) {
      result.body = boost::json::parse(answer.substr(at + 4));
    }
    return result;
  }
  SignedIn with_password(const std::string& name, const std::string& password = "open sesame",
                         const std::string& scope = "") {
    return sign_in(R"({"methods": ["password"], "password": {"user": {"name": ")" + name +
                       R"(", "domain": {"id": "default"}, "password": ")" + password + "\"}}}",
                   scope);
  }
  SignedIn with_token(const std::string& token, const std::string& scope = "") {
    return sign_in(R"({"methods": ["token"], "token": {"id": ")" + token + "\"}}", scope);
  }
  int status_of(const std::string& request, const std::string& token,
                const std::string& subject = "") {
    const auto answer = ask(request + " HTTP/1.1\r\nX-Auth-Token: " + token +
                            (subject.empty() ? "" : "\r\nX-Subject-Token: " + subject));
    return std::stoi(answer.substr(9, 3));
  }
};

TEST_F(IdentityServerTest, a_password_gets_a_token_that_opens_what_its_user_may_see) {
  start();
  const auto ci = with_password("ci");
  ASSERT_EQ(ci.status, 201);
  const auto& token = ci.body.at("token").as_object();
  EXPECT_EQ(token.at("project").at("id"), ci_project);
  EXPECT_EQ(token.at("user").at("name"), "ci");
  EXPECT_EQ(token.at("roles").at(0).at("name"), "member");
  EXPECT_EQ(token.at("methods").at(0), "password");
  EXPECT_EQ(status_of("GET /v2.0/lbaas/pools", ci.token), 200);
  EXPECT_EQ(status_of("GET /v1/flows", ci.token), 403);
  EXPECT_EQ(status_of("GET /v1/flows", with_password("alice").token), 200);
  EXPECT_EQ(status_of("GET /v2.0/lbaas/pools", "open sesame"), 401) << "a password is no token";
  EXPECT_EQ(status_of("GET /v2.0/lbaas/pools", ci.token.substr(1)), 401);
}

TEST_F(IdentityServerTest, the_catalogue_names_what_the_operator_says_whatever_the_request_says) {
  start();
  std::vector<std::string> urls;
  const auto alice = with_password("alice");
  for (const auto& service : alice.body.at("token").at("catalog").as_array()) {
    ASSERT_EQ(service.at("endpoints").as_array().size(), 1U);
    urls.push_back(text(service.at("type")) + " " + text(service.at("endpoints").at(0).at("url")));
  }
  EXPECT_EQ(urls, (std::vector<std::string>{"load-balancer https://lb.example:9876",
                                            "network https://lb.example:9876",
                                            "identity https://lb.example:9876/identity"}));
  const auto version = ask("GET /identity/v3 HTTP/1.1");
  EXPECT_TRUE(has_status(version, 200)) << version;
  EXPECT_NE(version.find("https://lb.example:9876/identity/v3/"), version.npos) << version;
  EXPECT_TRUE(has_status(ask("GET /identity HTTP/1.1"), 300));
}

TEST_F(IdentityServerTest, whatever_is_wrong_the_answer_is_the_same_and_the_sixth_guess_waits) {
  start();
  const auto wrong = with_password("ci", "open says me");
  const auto unknown = with_password("nobody");
  const auto foreign = with_password("ci", "open sesame", R"({"project": {"name": "theirs"}})");
  const auto token = with_token("0123456789abcdef");
  for (const auto& answer : {wrong, unknown, foreign, token}) {
    EXPECT_EQ(answer.status, 401);
    EXPECT_EQ(answer.body, wrong.body);
    EXPECT_EQ(answer.token, "");
  }
  EXPECT_EQ(with_password("ci").status, 201) << "four guesses are not five";
  EXPECT_EQ(with_password("").status, 400) << "no guess";
  EXPECT_EQ(with_password("ci", "open says me").status, 401);
  EXPECT_EQ(with_password("ci").status, 429);
  stop();
  ASSERT_EQ(denied_.size(), 6U);
  EXPECT_EQ(denied_[0].reason, "sign in: a wrong secret for ci");
  EXPECT_EQ(denied_[1].reason, "sign in: an unknown user");
  EXPECT_EQ(denied_[5].reason, "sign in: too many failed attempts");
}

TEST_F(IdentityServerTest, many_guesses_at_once_are_no_more_guesses) {
  start();
  std::vector<std::thread> guessers;
  std::atomic<int> heard = 0, not_heard = 0;
  for (int one = 0; one < 12; ++one) {
    guessers.emplace_back([&] {
      asio::io_context io;
      tcp::socket socket(io);
      socket.connect({asio::ip::address_v4::loopback(), port_});
      const std::string body = R"({"auth": {"identity": {"methods": ["password"], "password":
          {"user": {"name": "ci", "password": "guess"}}}}})";
      const auto answer = talk(socket,
                               "POST /identity/v3/auth/tokens HTTP/1.1\r\nContent-Type: "
                               "application/json\r\nContent-Length: " +
                                   std::to_string(body.size()) + "\r\n" + closing + body);
      if (has_status(answer, 401)) ++heard;
      if (has_status(answer, 429)) ++not_heard;
    });
  }
  for (auto& guesser : guessers) guesser.join();
  EXPECT_EQ(heard, 5);
  EXPECT_EQ(not_heard, 7);
}

TEST_F(IdentityServerTest, a_token_for_a_token_is_no_wider_and_ends_with_the_first) {
  start();
  const auto ci = with_password("ci");
  const auto again =
      with_token(ci.token, std::string(R"({"project": {"id": ")") + ci_project + "\"}}");
  ASSERT_EQ(again.status, 201);
  EXPECT_EQ(again.body.at("token").at("expires_at"), ci.body.at("token").at("expires_at"));
  EXPECT_EQ(with_token(ci.token, R"({"project": {"id": "theirs"}})").status, 401);
  EXPECT_EQ(status_of("GET /v1/flows", again.token), 403);
}

TEST_F(IdentityServerTest, a_token_is_its_owners_business_and_an_administrators) {
  start();
  const auto ci = with_password("ci"), other = with_password("grafana"),
             alice = with_password("alice");
  const std::string tokens = "/identity/v3/auth/tokens";
  EXPECT_EQ(status_of("GET " + tokens, ci.token, ci.token), 200);
  EXPECT_EQ(status_of("HEAD " + tokens, ci.token, ci.token), 200);
  EXPECT_EQ(status_of("GET " + tokens, other.token, ci.token), 403);
  EXPECT_EQ(status_of("DELETE " + tokens, other.token, ci.token), 403);
  EXPECT_EQ(status_of("GET " + tokens, alice.token, ci.token), 200);
  EXPECT_EQ(status_of("GET " + tokens, alice.token, "nonsense"), 404);
  EXPECT_EQ(status_of("GET " + tokens, ci.token, "nonsense"), 403);
  EXPECT_EQ(status_of("GET " + tokens, "nonsense", ci.token), 401);
  EXPECT_EQ(status_of("DELETE " + tokens, ci.token, ci.token), 204);
  EXPECT_EQ(status_of("GET /v2.0/lbaas/pools", ci.token), 401);
}

TEST_F(IdentityServerTest, an_administrator_makes_things_in_the_project_that_it_signed_in_for) {
  start();
  const auto alice = with_password("alice", "open sesame", R"({"project": {"name": "shop"}})");
  ASSERT_EQ(alice.status, 201);
  const std::string body = R"({"loadbalancer": {"vip_address": "10.0.0.16"}})";
  const auto made =
      ask("POST /v2.0/lbaas/loadbalancers HTTP/1.1\r\nContent-Type: application/json" +
              std::string("\r\nX-Auth-Token: ") + alice.token +
              "\r\nContent-Length: " + std::to_string(body.size()),
          0, body);
  EXPECT_NE(made.find(R"("project_id":"shop")"), made.npos) << made;
}

TEST_F(IdentityServerTest, a_stranger_has_no_room_for_a_large_body_and_a_page_none_at_all) {
  start();
  const std::string large(20000, ' ');
  const auto post = [&](const std::string& headers, const std::string& body) {
    return ask("POST /identity/v3/auth/tokens HTTP/1.1\r\n" + headers +
                   "\r\nContent-Length: " + std::to_string(body.size()),
               0, body);
  };
  EXPECT_TRUE(has_status(post("Content-Type: application/json", large), 413));
  EXPECT_TRUE(has_status(post("Content-Type: text/plain", "{}"), 415));
  EXPECT_TRUE(
      has_status(post("Content-Type: application/json\r\nOrigin: http://evil.example", "{}"), 403));
}

TEST_F(TcpServerTest, without_identity_nobody_signs_in) {
  start({.listen = "127.0.0.1:0", .token_file = write("token", secret)});
  EXPECT_TRUE(has_status(ask("GET /identity/v3 HTTP/1.1"), 401));
  EXPECT_TRUE(has_status(ask("POST /identity/v3/auth/tokens HTTP/1.1"), 401));
  EXPECT_TRUE(has_status(ask("GET /identity/v3 HTTP/1.1\r\nX-Auth-Token: " + secret), 404));
}

}  // namespace
}  // namespace sluice::api
