// The status page: its files, headers and sessions, what it tells, and the limits of its streams.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <fstream>
#include <thread>

#include "api/language/feed.hpp"
#include "api/page/page.hpp"
#include "api/page/readings.hpp"
#include "api/page/survey.hpp"
#include "api/server/server.hpp"
#include "api/server/sessions.hpp"
#include "api_fixture.hpp"
#include "tests/support/fake_fleet.hpp"

namespace sluice::api {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::ip::tcp;
using std::chrono::hours;
using std::chrono::seconds;
using std::chrono::steady_clock;

const std::string admins = "0123456789abcdef0123456789abcdef";

// ---- sessions ----

TEST(SessionsTest, the_holder_of_a_session_reads_and_its_word_is_a_secret) {
  Sessions sessions;
  const auto word = sessions.open({.name = "alice", .role = Role::admin}, admins);
  EXPECT_GE(word.size(), 43U);
  EXPECT_NE(word, sessions.open({.name = "alice"}, admins));
  const auto who = sessions.find(word);
  ASSERT_TRUE(who);
  EXPECT_EQ(who->name, "alice");
  EXPECT_EQ(who->role, Role::reader) << "whatever the token permits";
  EXPECT_FALSE(sessions.find(word.substr(1)));
  EXPECT_FALSE(sessions.find(""));
  sessions.close(word);
  EXPECT_FALSE(sessions.find(word));
}

TEST(SessionsTest, a_session_ends_after_its_lifetime) {
  Sessions sessions;
  const auto now = steady_clock::now();
  const auto word = sessions.open({}, admins, now);
  EXPECT_TRUE(sessions.find(word, now + Sessions::lifetime - seconds(1)));
  EXPECT_FALSE(sessions.find(word, now + Sessions::lifetime));
}

TEST(SessionsTest, a_session_ends_with_the_token_that_it_was_issued_for) {
  const auto issued = std::make_shared<IssuedTokens>();
  Sessions sessions(issued);
  const auto given = issued->issue({.name = "bob"}, "password", {});
  const auto word = sessions.open({.name = "bob"}, given.secret);
  EXPECT_TRUE(sessions.find(word));
  EXPECT_FALSE(sessions.find(word, steady_clock::now() + IssuedTokens::lifetime + seconds(1)));
  issued->revoke(given.secret);
  EXPECT_FALSE(sessions.find(word));
}

TEST(SessionsTest, there_are_so_many_at_most_and_the_oldest_makes_room) {
  Sessions sessions;
  const auto now = steady_clock::now();
  const auto first = sessions.open({}, admins, now);
  const auto second = sessions.open({}, admins, now + seconds(1));
  for (std::size_t i = 2; i <= Sessions::most; ++i) sessions.open({}, admins, now + seconds(2));
  EXPECT_EQ(sessions.size(), Sessions::most);
  EXPECT_FALSE(sessions.find(first, now + seconds(2)));
  EXPECT_TRUE(sessions.find(second, now + seconds(2)));
}

TEST(SessionsTest, a_cookie_is_found_among_others_and_made_for_the_page_only) {
  EXPECT_EQ(session_in("a=b; sluice_page=word; c=d"), "word");
  EXPECT_EQ(session_in("sluice_page=word"), "word");
  EXPECT_EQ(session_in("xsluice_page=word; sluice_pages=word"), "");
  EXPECT_EQ(session_in(""), "");
  EXPECT_EQ(session_in("; ;;  "), "");
  const auto plain = cookie_for("word", false), secure = cookie_for("word", true);
  EXPECT_EQ(plain, "sluice_page=word; Path=/ui/; HttpOnly; SameSite=Strict; Max-Age=43200");
  EXPECT_EQ(secure, plain + "; Secure");
  EXPECT_NE(cookie_for("", false).find("Max-Age=0"), std::string::npos);
}

// ---- what is told ----

Event event_of_project(const std::string& project, const std::string& message) {
  auto event = about_member("health", message, nullptr);
  event.peer = "192.0.2.1";
  event.project = project;
  return event;
}

class SurveyTest : public ApiTest {
 protected:
  SurveyTest() {
    balancer_ = create_load_balancer();
    listener_ = create_listener(balancer_);
    pool_ = create_pool(listener_);
    members_ = {create_member(pool_, "10.0.0.4"), create_member(pool_, "10.0.0.6")};
    data_plane_.attached = {{1, "eth0"}};
    data_plane_.reasons = {{"flow_created", "forward", "A connection was opened.", 7}};
  }
  static Uuid id(const std::string& text) { return *parse_uuid(text); }
  control::Counters& of_member(std::size_t i) { return data_plane_.member_counts[id(members_[i])]; }

  json::object whole() {
    survey_.look();
    return json::parse(survey_.whole()).as_object();
  }
  json::object changes() {
    EXPECT_FALSE(survey_.look());
    return json::parse(survey_.changes()).as_object();
  }
  static std::int64_t number(const json::object& whole, std::size_t row, std::size_t at) {
    return whole.at("rows").at(row).at("numbers").at(at).to_number<std::int64_t>();
  }

  std::string balancer_, listener_, pool_;
  std::vector<std::string> members_;
  Readings readings_{controller(), events_};
  Survey survey_{controller(), events_, readings_};
  const Tracks::Time begin_ = steady_clock::now();
};

TEST_F(SurveyTest, rows_stand_below_their_parents_and_have_what_operators_look_for) {
  readings_.read_counters(begin_);
  const auto told = whole();
  const auto& rows = told.at("rows").as_array();
  ASSERT_EQ(rows.size(), 5U);
  std::vector<std::string> kinds;
  for (const auto& row : rows) kinds.push_back(text(row.at("kind")) + text(row.at("parent")));
  EXPECT_EQ(kinds, (std::vector<std::string>{"loadbalancer-1", "listener0", "pool1", "member2",
                                             "member2"}));
  EXPECT_EQ(text(rows[0].at("address")), "10.0.0.16");
  EXPECT_EQ(text(rows[3].at("address")), "10.0.0.4:80");
  EXPECT_EQ(text(rows[3].at("provisioning")), "ACTIVE");
  EXPECT_EQ(text(told.at("problem")), "");
  EXPECT_EQ(text(told.at("states").at(static_cast<std::size_t>(number(told, 3, 0)))), "NO_MONITOR");
  EXPECT_EQ(text(told.at("reasons").at(0).at("description")), "A connection was opened.");
  EXPECT_FALSE(told.at("events").as_array().empty());
}

TEST_F(SurveyTest, rates_are_those_between_two_readings_and_parents_have_the_sums) {
  of_member(0) = {.flows_opened = 1000, .flows_ended = 990};
  readings_.read_counters(begin_);
  EXPECT_EQ(number(whole(), 3, 2), 0) << "what was counted before is no rate";
  of_member(0) = {.bytes_in = 500, .flows_opened = 1010, .flows_ended = 995};
  of_member(1) = {.bytes_in = 700, .flows_opened = 5, .flows_ended = 2, .flows_failed = 1};
  readings_.read_counters(begin_ + seconds(1));
  const auto told = whole();
  EXPECT_EQ(number(told, 3, 1), 15) << "connections now";
  EXPECT_EQ(number(told, 3, 2), 100) << "opened, in tenths";
  EXPECT_EQ(number(told, 2, 1), 18);
  EXPECT_EQ(number(told, 2, 2), 150);
  EXPECT_EQ(number(told, 2, 3), 1200);
  EXPECT_EQ(number(told, 2, 5), 10);
  EXPECT_EQ(number(told, 1, 1), 0) << "a listener counts for itself";
}

TEST_F(SurveyTest, counters_that_begin_again_are_no_rate) {
  of_member(0) = {.flows_opened = 1000};
  readings_.read_counters(begin_);
  of_member(0) = {.flows_opened = 10};
  readings_.read_counters(begin_ + seconds(1));
  EXPECT_EQ(number(whole(), 3, 2), 0);
}

TEST_F(SurveyTest, changes_have_only_what_differs_from_what_was_told) {
  readings_.read_counters(begin_);
  whole();
  EXPECT_TRUE(changes().at("rows").as_array().empty());
  of_member(1).flows_opened = 3;
  readings_.read_counters(begin_ + seconds(1));
  const auto told = changes();
  const auto& rows = told.at("rows").as_array();
  ASSERT_EQ(rows.size(), 2U) << "the member and its pool";
  EXPECT_EQ(text(rows[0].at(0)), "2");
  EXPECT_EQ(text(rows[1].at(0)), "4");
  EXPECT_FALSE(told.contains("points"));
  EXPECT_TRUE(changes().at("rows").as_array().empty());
}

TEST_F(SurveyTest, a_member_that_goes_down_is_told_with_its_reason) {
  create_monitor(pool_);
  readings_.read_counters(begin_);
  whole();
  events_.add(about_member("health", "member web is down: connection refused",
                           controller().model().members.lookup(id(members_[0]))));
  controller().set_health(model::HealthTable{{id(members_[0]), model::Health::down}});
  const auto told = changes();
  EXPECT_EQ(told.at("events").as_array().size(), 1U);
  EXPECT_EQ(text(told.at("rows").as_array().at(0).at(0)), "0") << "its load balancer, too";
  const auto after = whole();
  EXPECT_EQ(text(after.at("states").at(static_cast<std::size_t>(number(after, 3, 0)))), "ERROR");
  EXPECT_EQ(text(after.at("rows").at(3).at("change")), "member web is down: connection refused");
  EXPECT_GT(after.at("rows").at(3).at("changed").as_int64(), 1'600'000'000'000);
}

TEST_F(SurveyTest, a_suspected_member_and_one_that_drains_are_told_as_such) {
  control::Suspects suspects;
  suspects.insert(id(members_[0]));
  controller().set_suspects(suspects);
  put("/v2/lbaas/pools/" + pool_, R"({"pool": {"drain_timeout": 60}})");
  put("/v2/lbaas/pools/" + pool_ + "/members/" + members_[1], R"({"member": {"weight": 0}})");
  of_member(1) = {.flows_opened = 4};
  readings_.read_counters(begin_);
  const auto told = whole();
  EXPECT_EQ(number(told, 3, 0) & 8, 8);
  EXPECT_EQ(text(told.at("states").at(static_cast<std::size_t>(number(told, 4, 0)))), "DRAINING");
  EXPECT_EQ(number(told, 4, 1), 4) << "what is left";
  EXPECT_TRUE(told.at("rows").at(4).as_object().contains("drain_until"));
}

TEST_F(SurveyTest, a_page_that_is_opened_later_has_the_last_ten_minutes) {
  readings_.read_counters(begin_);
  for (int i = 1; i <= 70; ++i) {
    of_member(0).flows_opened += static_cast<std::uint64_t>(10 * i);
    readings_.read_counters(begin_ + i * Tracks::step);
  }
  const auto told = whole();
  const auto& history = told.at("history").as_array();
  ASSERT_EQ(history.size(), 1U) << "rows with nothing to tell are left out";
  EXPECT_EQ(text(history[0].at(0)), "3");
  const auto& opened = history[0].at(1).as_array();
  ASSERT_EQ(opened.size(), Track::points);
  EXPECT_EQ(opened.front().to_number<int>(), 110) << "the eleventh step, in tenths";
  EXPECT_EQ(opened.back().to_number<int>(), 700);
  of_member(0).flows_opened += 50;
  readings_.read_counters(begin_ + 71 * Tracks::step);
  const auto next = changes();
  ASSERT_TRUE(next.contains("points"));
  EXPECT_EQ(json::serialize(next.at("points")), "[[3,50,0]]");
}

TEST_F(SurveyTest, handshake_times_are_those_of_the_last_minutes) {
  of_member(0) = {};
  auto& times = data_plane_.handshakes[id(members_[0])];
  times.buckets = {{1'000'000, 100}, {2'000'000, 0}, {4'000'000, 0}, {UINT64_MAX, 0}};
  readings_.read_counters(begin_);
  EXPECT_EQ(number(whole(), 3, 6), 0) << "they are older than the first reading";
  times.buckets[1].answers = 98;
  times.buckets[2].answers = 2;
  readings_.read_counters(begin_ + seconds(1));
  const auto told = whole();
  EXPECT_EQ(number(told, 3, 6), 2000);
  EXPECT_EQ(number(told, 3, 7), 4000);
  readings_.read_counters(begin_ + seconds(301));
  readings_.read_counters(begin_ + seconds(602));
  EXPECT_EQ(number(whole(), 3, 6), 0) << "nothing was answered for ten minutes";
}

TEST_F(SurveyTest, a_data_plane_that_cannot_be_read_is_a_problem_that_is_named) {
  data_plane_.read_error = Error{ErrorKind::internal, "the maps are gone", {}, 0};
  readings_.read_counters(begin_);
  EXPECT_EQ(text(whole().at("problem")), "the maps are gone");
  data_plane_.read_error.reset();
  data_plane_.attached.clear();
  readings_.read_counters(begin_ + seconds(1));
  EXPECT_NE(text(whole().at("problem")).find("no NIC"), std::string::npos);
}

struct FakePeers : control::Peers {
  control::PeersState state() const override {
    control::PeerState peer;
    peer.name = "<lb2>";
    peer.replicas = 5;
    return {.lost = 0, .strangers = 0, .peers = {peer}};
  }
};

TEST_F(SurveyTest, a_fleet_is_told_when_it_is_other_than_before) {
  EXPECT_FALSE(whole().contains("fleet")) << "of a node alone";
  EXPECT_FALSE(changes().contains("fleet"));
  test::FakeFleet fleet;
  fleet.now.nodes[1].name = "<lb2>";
  fleet.now.nodes[1].version = "2";
  FakePeers peers;
  Survey survey(controller(), events_, readings_, {}, "1", &fleet, &peers);
  survey.look();
  const auto told = json::parse(survey.whole()).at("fleet");
  EXPECT_EQ(text(told.at("cluster").at("state")), "FOLLOWING");
  EXPECT_EQ(told.at("cluster").at("replicas").at("<lb2>"), 5);
  const auto& other = told.at("nodes").at(1);
  EXPECT_EQ(text(other.at("name")), "<lb2>");
  EXPECT_EQ(text(other.at("version")), "2");
  EXPECT_EQ(other.at("applied_generation"), 6);
  EXPECT_EQ(other.at("errors"), 1);
  EXPECT_EQ(other.at("drained"), false);
  EXPECT_FALSE(json::parse(survey.changes()).as_object().contains("fleet"))
      << "nothing has changed";
  fleet.now.state = "CUT_OFF";
  fleet.now.reason = "no quorum";
  const auto cluster = json::parse(survey.changes()).at("fleet").at("cluster");
  EXPECT_EQ(text(cluster.at("reason")), "no quorum");
  EXPECT_FALSE(json::parse(survey.changes()).as_object().contains("fleet")) << "it was told";
}

TEST_F(SurveyTest, whatever_a_name_has_arrives_as_it_is) {
  const std::string name = R"(</script><img src=x onerror=alert(1)>"\)";
  ASSERT_EQ(put("/v2/lbaas/pools/" + pool_,
                json::serialize(json::object{{"pool", json::object{{"name", name}}}}))
                .status,
            200U);
  readings_.read_counters(begin_);
  EXPECT_EQ(text(whole().at("rows").at(2).at("name")), name);
}

TEST_F(SurveyTest, a_project_has_its_own_rows_and_events_and_nothing_of_the_node) {
  who_ = {.name = "ci", .role = Role::member, .project = "ours"};
  create_load_balancer("10.0.0.17", "lb-ours");
  test::FakeFleet fleet;
  Survey survey(controller(), events_, readings_, "ours", "1", &fleet);
  readings_.read_counters(begin_);
  survey.look();
  const auto whole_text = survey.whole();
  const auto told = json::parse(whole_text).as_object();
  EXPECT_EQ(text(told.at("project")), "ours");
  ASSERT_EQ(told.at("rows").as_array().size(), 1U);
  EXPECT_EQ(text(told.at("rows").at(0).at("name")), "lb-ours");
  ASSERT_EQ(told.at("events").as_array().size(), 1U);
  EXPECT_EQ(text(told.at("events").at(0).at("object").at("name")), "lb-ours");
  EXPECT_TRUE(told.at("reasons").as_array().empty());
  for (const auto* of_the_node : {"interfaces", "fleet"}) EXPECT_FALSE(told.contains(of_the_node));
  for (const auto& others : {balancer_, listener_, pool_, members_[0]})
    EXPECT_EQ(whole_text.find(others), std::string::npos);

  data_plane_.attached.clear();
  data_plane_.reasons[0].packets = 8;
  of_member(0).flows_opened = 3;
  events_.add(event_of_project("theirs", "theirs"));
  events_.add(event_of_project("ours", "its own"));
  readings_.read_counters(begin_ + seconds(1));
  EXPECT_FALSE(survey.look());
  const auto changes = json::parse(survey.changes()).as_object();
  EXPECT_TRUE(changes.at("rows").as_array().empty());
  EXPECT_TRUE(changes.at("reasons").as_array().empty());
  ASSERT_EQ(changes.at("events").as_array().size(), 1U);
  EXPECT_EQ(text(changes.at("events").at(0).at("message")), "its own");
  EXPECT_EQ(text(changes.at("events").at(0).at("peer")), "");
  EXPECT_EQ(text(changes.at("problem")).find("NIC"), std::string::npos);
  EXPECT_NE(text(changes.at("problem")), "") << "that something is wrong is told";
  EXPECT_TRUE(json::parse(survey.changes()).at("events").as_array().empty()) << "it was told";
}

// ---- the server ----

TEST(FeedTest, a_reader_that_does_not_keep_up_is_dropped) {
  Feed feed;
  const auto text = std::make_shared<const std::string>("event");
  for (std::size_t i = 0; i < Feed::most_waiting; ++i) feed.send(text);
  EXPECT_FALSE(feed.is_over());
  feed.send(text);
  EXPECT_TRUE(feed.is_over());
  EXPECT_EQ(feed.take(), nullptr);
  EXPECT_EQ(text.use_count(), 1) << "its texts are freed";
}

class PageServerTest : public ApiTest {
 protected:
  ~PageServerTest() override { stop(); }

  void stop() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] { server_.reset(); });
    thread_.join();
  }
  void start(const std::string& token_file) {
    const auto path = directory_.path() / "token";
    if (!token_file.empty()) {
      std::ofstream(path) << token_file;
      std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    }
    auto endpoints = Endpoints::open({.socket = directory_.path() / "api.sock",
                                      .listen = "127.0.0.1:0",
                                      .token_file = token_file.empty() ? "" : path});
    ASSERT_TRUE(endpoints) << endpoints.error().text();
    port_ = endpoints->tcp->socket.address().port;
    server_.emplace(
        io_, controller(), std::move(*endpoints),
        Options{.on_denied = [this](const Denied& one) { denied_.push_back(one.reason); },
                .events = &events_});
    thread_ = std::thread([this] { io_.run(); });
  }

  tcp::socket send(const std::string& head, const std::string& body = {}) {
    tcp::socket socket(client_io_);
    socket.connect({asio::ip::address_v4::loopback(), port_});
    const auto length = body.empty() ? ""
                                     : "Content-Type: application/json\r\nContent-Length: " +
                                           std::to_string(body.size()) + "\r\n";
    asio::write(socket,
                asio::buffer(head + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" +
                             length + cookie_ + "\r\n" + body));
    return socket;
  }
  static std::string read_all(tcp::socket socket) {
    std::string answer;
    boost::system::error_code ignored;
    asio::read(socket, asio::dynamic_buffer(answer), ignored);
    return answer;
  }
  // Reads until the server's next event has come as a whole.
  static std::string read_event(tcp::socket& socket, std::string& buffer) {
    boost::system::error_code ignored;
    const auto size = asio::read_until(socket, asio::dynamic_buffer(buffer), "}\n\n", ignored);
    auto text = buffer.substr(0, size);  // empty: the stream has ended
    buffer.erase(0, size);
    return text;
  }
  std::string ask(const std::string& head, const std::string& body = {}) {
    return read_all(send(head, body));
  }
  void sign_in(const std::string& token = admins) {
    const auto answer = ask("POST /ui/session", R"({"token": ")" + token + "\"}");
    const auto at = answer.find("Set-Cookie: ");
    ASSERT_NE(at, std::string::npos) << answer;
    cookie_ = "Cookie: " + answer.substr(at + 12, answer.find(';', at) - at - 12) + "\r\n";
  }

  asio::io_context io_, client_io_;
  std::uint16_t port_ = 0;
  std::string cookie_;
  std::optional<Server> server_;
  std::vector<std::string> denied_;
  std::thread thread_;
};

bool has_status(const std::string& answer, int status) {
  return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

TEST_F(PageServerTest, its_files_are_open_to_all_and_say_how_they_may_be_used) {
  start(admins);
  for (const auto* file : {"/ui/", "/ui/main.js", "/ui/page.css", "/ui/icon.svg"}) {
    const auto answer = ask(std::string("GET ") + file);
    EXPECT_TRUE(has_status(answer, 200)) << file;
    for (const auto* header :
         {"Content-Security-Policy: default-src 'none'; script-src 'self'; ",
          "frame-ancestors 'none'", "X-Content-Type-Options: nosniff", "X-Frame-Options: DENY",
          "Referrer-Policy: no-referrer", "Cache-Control: no-cache"}) {
      EXPECT_NE(answer.find(header), std::string::npos) << file << ": " << header;
    }
    EXPECT_EQ(answer.find("unsafe"), std::string::npos);
  }
  EXPECT_TRUE(has_status(ask("GET /ui"), 308));
  EXPECT_TRUE(has_status(ask("GET /ui/../etc/passwd"), 404));
  EXPECT_TRUE(has_status(ask("GET /ui/nothing"), 404));
  EXPECT_TRUE(has_status(ask("HEAD /ui/"), 200));
  EXPECT_TRUE(has_status(ask("DELETE /ui/"), 401));
}

TEST_F(PageServerTest, nothing_in_its_files_is_inline_or_of_elsewhere) {
  start(admins);
  const auto page = ask("GET /ui/");
  const auto body = page.substr(page.find("\r\n\r\n"));
  for (const auto* bad : {"://", " style=", "<style", "onclick", "javascript:"}) {
    EXPECT_EQ(body.find(bad), std::string::npos) << bad;
  }
  EXPECT_NE(body.find("<script type=\"module\" src=\"main.js\"></script>"), std::string::npos);
}

TEST_F(PageServerTest, a_browser_that_has_a_file_is_told_so) {
  start(admins);
  const auto answer = ask("GET /ui/main.js");
  const auto at = answer.find("ETag: ") + 6;
  cookie_ = "If-None-Match: " + answer.substr(at, answer.find("\r\n", at) - at) + "\r\n";
  EXPECT_TRUE(has_status(ask("GET /ui/main.js"), 304));
}

TEST_F(PageServerTest, its_data_is_for_those_who_have_signed_in) {
  start(admins);
  for (const auto* data : {"snapshot", "live", "flows", "clients", "explain", "events"}) {
    EXPECT_TRUE(has_status(ask(std::string("GET /ui/data/") + data), 401)) << data;
  }
  EXPECT_NE(ask("GET /ui/session").find(R"({"who":null,"token":true,"session":false})"),
            std::string::npos);
  sign_in();
  EXPECT_NE(ask("GET /ui/session").find(R"({"who":"token","token":true,"session":true})"),
            std::string::npos);
  for (const auto* data : {"snapshot", "flows", "clients", "events"}) {
    EXPECT_TRUE(has_status(ask(std::string("GET /ui/data/") + data), 200)) << data;
  }
  EXPECT_NE(ask("GET /ui/data/snapshot").find("Cache-Control: no-store"), std::string::npos);
  EXPECT_TRUE(has_status(ask("GET /ui/data/nothing"), 404));
  EXPECT_TRUE(has_status(ask("DELETE /ui/session"), 204));
  EXPECT_TRUE(has_status(ask("GET /ui/data/snapshot"), 401)) << "it is ended, not only forgotten";
}

TEST_F(PageServerTest, a_session_is_good_for_reading_the_page_and_nothing_else) {
  start(admins);
  sign_in();
  for (const auto* other :
       {"GET /v2.0/lbaas/pools", "GET /v1/flows", "GET /metrics", "DELETE /v1/flows?all=true",
        "GET /uix/data/snapshot", "DELETE /ui/data/flows?all=true", "PUT /ui/data/snapshot"}) {
    EXPECT_TRUE(has_status(ask(other), 401)) << other;
  }
  EXPECT_TRUE(has_status(ask("POST /v2.0/lbaas/loadbalancers", "{}"), 401));
  EXPECT_TRUE(has_status(ask("GET /ui/data/../../v1/flows"), 404));
  cookie_ += "Origin: http://evil.example\r\n";
  EXPECT_TRUE(has_status(ask("GET /ui/data/snapshot"), 403)) << "other pages are turned away first";
}

TEST_F(PageServerTest, a_wrong_token_opens_nothing_and_is_told_without_the_token) {
  start(admins);
  const auto answer = ask("POST /ui/session", R"({"token": "guessguessguessguess"})");
  EXPECT_TRUE(has_status(answer, 401));
  EXPECT_EQ(answer.find("Set-Cookie"), std::string::npos);
  EXPECT_TRUE(has_status(ask("POST /ui/session", "[]"), 401));
  EXPECT_TRUE(has_status(ask("POST /ui/session", "{"), 401));
  stop();
  ASSERT_EQ(denied_.size(), 3U);
  EXPECT_EQ(denied_[0].find("guess"), std::string::npos);
}

TEST_F(PageServerTest, a_projects_member_follows_its_project_and_nothing_else) {
  const std::string project = "eac679e4896146e6827ce29d755fe289", secret = "ci-ci-ci-ci-ci-ci";
  create_load_balancer("10.0.0.16", "lb-theirs");
  who_ = {.name = "ci", .role = Role::member, .project = project};
  create_load_balancer("10.0.0.17", "lb-ours");
  std::string hash;
  for (const auto byte : Secret::digest_of(secret)) hash += fmt::format("{:02x}", byte);
  start("ci member " + project + " sha256:" + hash + "\n");
  sign_in(secret);
  auto socket = send("GET /ui/data/live");
  std::string buffer;
  auto heard = read_event(socket, buffer);
  EXPECT_NE(heard.find("lb-ours"), std::string::npos);
  asio::post(io_, [this, project] {
    events_.add(event_of_project("theirs", "of theirs"));
    events_.add(event_of_project(project, "of ours"));
  });
  for (int i = 0; i < 5 && heard.find("of ours") == std::string::npos; ++i)
    heard += read_event(socket, buffer);
  EXPECT_NE(heard.find("of ours"), std::string::npos) << heard;
  const auto snapshot = ask("GET /ui/data/snapshot"), events = ask("GET /ui/data/events");
  EXPECT_NE(snapshot.find("lb-ours"), std::string::npos);
  EXPECT_TRUE(has_status(events, 200));
  for (const auto& told : {heard, snapshot, events}) {
    EXPECT_EQ(told.find("theirs"), std::string::npos) << told;
  }
  for (const auto* of_the_node : {"flows", "clients", "explain"}) {
    EXPECT_TRUE(has_status(ask(std::string("GET /ui/data/") + of_the_node), 403)) << of_the_node;
  }
}

TEST_F(PageServerTest, without_tokens_every_local_process_reads_it) {
  start("");
  EXPECT_NE(ask("GET /ui/session").find(R"({"who":"local","token":false,"session":false})"),
            std::string::npos);
  EXPECT_TRUE(has_status(ask("GET /ui/data/snapshot"), 200));
  EXPECT_TRUE(has_status(ask("POST /ui/session", R"({"token": "x"})"), 404));
}

TEST_F(PageServerTest, a_stream_begins_with_everything_and_goes_on_with_changes) {
  create_load_balancer();
  start(admins);
  sign_in();
  auto socket = send("GET /ui/data/live");
  std::string buffer;
  const auto first = read_event(socket, buffer);
  EXPECT_NE(first.find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_EQ(first.find("Content-Length"), std::string::npos);
  EXPECT_NE(first.find("\r\n\r\nevent: whole\ndata: {\"version\""), std::string::npos) << first;
  EXPECT_TRUE(read_event(socket, buffer).starts_with("event: changes\ndata: {"));
  EXPECT_TRUE(has_status(ask("DELETE /ui/session"), 204));
  std::size_t more = 0;  // that the stream brings after its session's end
  while (more < 5 && !read_event(socket, buffer).empty()) ++more;
  EXPECT_LT(more, 5U) << "the session's end is the stream's";
}

TEST_F(PageServerTest, what_an_event_tells_of_is_not_waited_for) {
  start(admins);
  sign_in();
  auto socket = send("GET /ui/data/live");
  std::string buffer;
  read_event(socket, buffer);
  read_event(socket, buffer);  // the first second's
  asio::post(io_, [this] { events_.add(about_member("health", "something happened", nullptr)); });
  const auto begin = steady_clock::now();
  EXPECT_NE(read_event(socket, buffer).find("something happened"), std::string::npos);
  EXPECT_LT(steady_clock::now() - begin, std::chrono::milliseconds(900));
}

TEST_F(PageServerTest, streams_have_a_limit_of_their_own_and_take_no_place_of_others) {
  start(admins);
  sign_in();
  std::vector<tcp::socket> streams;
  std::string buffer;
  for (std::size_t i = 0; i < Page::most_readers; ++i) {
    streams.push_back(send("GET /ui/data/live"));
    ASSERT_TRUE(has_status(read_event(streams.back(), buffer = {}), 200)) << i;
  }
  auto another = send("GET /ui/data/live");
  asio::read_until(another, asio::dynamic_buffer(buffer = {}), "\r\n\r\n");
  const auto refused = buffer;
  EXPECT_TRUE(has_status(refused, 503));
  EXPECT_NE(refused.find("Retry-After"), std::string::npos);
  std::vector<tcp::socket> others;
  for (int i = 0; i < 20; ++i) {
    others.emplace_back(client_io_).connect({asio::ip::address_v4::loopback(), port_});
  }
  EXPECT_TRUE(has_status(ask("GET /ui/data/snapshot"), 200));
  for (auto& stream : streams) {
    EXPECT_TRUE(read_event(stream, buffer = {}).starts_with("event: changes")) << "none was closed";
  }
  streams.pop_back();
  const auto deadline = steady_clock::now() + seconds(30);
  bool again = false;
  while (!again && steady_clock::now() < deadline) {
    auto socket = send("GET /ui/data/live");
    again = has_status(read_event(socket, buffer = {}), 200);
  }
  EXPECT_TRUE(again) << "a reader that went makes room";
}

}  // namespace
}  // namespace sluice::api
