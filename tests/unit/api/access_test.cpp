// Access to the API over TCP.
#include "api/server/access.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "temporary_directory.hpp"

namespace sluice::api {
namespace {

namespace fs = std::filesystem;

const auto loopback = parse_ip_address("127.0.0.1").value();
const auto anywhere = parse_ip_address("0.0.0.0").value();
const std::string secret = "0123456789abcdef0123456789abcdef";

class TokenTest : public testing::Test {
 protected:
  fs::path file_with(const std::string& text, fs::perms mode = fs::perms::owner_read) {
    const auto path = directory_.path() / "token";
    fs::remove(path);
    std::ofstream(path) << text;
    fs::permissions(path, mode);
    return path;
  }
  Access access_with(const std::string& text, Access::Names names = {}) {
    auto tokens = Tokens::read(file_with(text));
    if (!tokens) throw std::runtime_error(tokens.error().text());
    return Access::with_tokens(loopback, std::move(names),
                               std::make_shared<const Tokens>(std::move(*tokens)));
  }
  std::string refusal(const std::string& text) {
    const auto tokens = Tokens::read(file_with(text));
    return tokens ? "" : tokens.error().text();
  }
  TemporaryDirectory directory_;
};

Credentials with_token(std::string_view token) {
  return {.target = "/v2.0/lbaas/pools", .host = "127.0.0.1:9876", .token = token};
}

unsigned status(const tl::expected<Identity, Denial>& admitted) {
  return admitted ? 200 : admitted.error().status;
}

// SHA-256 of "alice-alice-alice", "ci-ci-ci-ci-ci-ci" and "look-look-look-look".
constexpr auto three_tokens = R"(# NAME ROLE [PROJECT] SECRET
alice admin sha256:ALICE

ci member eac679e4896146e6827ce29d755fe289 sha256:CI   # the pipeline's
grafana reader sha256:LOOK
)";

std::string sha256(const std::string& text) {
  // sha256sum computes it independently of the code under test.
  auto* pipe = ::popen(("printf %s '" + text + "' | sha256sum | cut -c1-64").c_str(), "r");
  std::string out(64, '\0');
  const auto got = std::fread(out.data(), 1, out.size(), pipe);
  ::pclose(pipe);
  return got == out.size() ? out : "";
}

std::string filled_in() {
  std::string text = three_tokens;
  for (const auto& [mark, token] : {std::pair("sha256:ALICE", "alice-alice-alice"),
                                    {"sha256:CI", "ci-ci-ci-ci-ci-ci"},
                                    {"sha256:LOOK", "look-look-look-look"}}) {
    text.replace(text.find(mark), std::strlen(mark), "sha256:" + sha256(token));
  }
  return text;
}

TEST_F(TokenTest, a_file_of_one_word_is_an_administrators_token) {
  const auto access = access_with(secret + "\n");
  EXPECT_TRUE(access.wants_credentials());
  const auto who = access.admit(with_token(secret));
  ASSERT_TRUE(who) << who.error().text;
  EXPECT_EQ(who->name, "token");
  EXPECT_EQ(who->role, Role::admin);
  auto bearer = with_token("");
  const auto authorization = "Bearer " + secret, basic = "Basic " + secret;
  bearer.authorization = authorization;
  EXPECT_EQ(status(access.admit(bearer)), 200U);
  bearer.authorization = basic;
  EXPECT_EQ(status(access.admit(bearer)), 401U);
  bearer.authorization = secret;
  EXPECT_EQ(status(access.admit(bearer)), 401U);
  for (const auto& wrong : {std::string(), secret + "0", secret.substr(1)}) {
    EXPECT_EQ(status(access.admit(with_token(wrong))), 401U) << wrong;
  }
}

TEST_F(TokenTest, each_token_has_a_name_and_a_role_and_stands_in_the_file_as_its_hash) {
  const auto access = access_with(filled_in());
  const auto alice = access.admit(with_token("alice-alice-alice"));
  ASSERT_TRUE(alice) << alice.error().text;
  EXPECT_EQ(alice->name, "alice");
  EXPECT_EQ(alice->role, Role::admin);
  const auto ci = access.admit(with_token("ci-ci-ci-ci-ci-ci"));
  ASSERT_TRUE(ci);
  EXPECT_EQ(ci->role, Role::member);
  EXPECT_EQ(ci->project, "eac679e4896146e6827ce29d755fe289");
  const auto grafana = access.admit(with_token("look-look-look-look"));
  ASSERT_TRUE(grafana);
  EXPECT_EQ(grafana->role, Role::reader);
  EXPECT_EQ(status(access.admit(with_token(sha256("alice-alice-alice")))), 401U)
      << "the hash opens nothing";
}

TEST_F(TokenTest, a_line_that_says_nothing_sensible_is_named) {
  const auto hash = "sha256:" + sha256("x");
  for (const auto& [line, why] :
       {std::pair("alice root " + hash, "'root' is none of admin, member, reader"),
        {"alice member " + hash, "a member needs its project"},
        {"alice admin project " + hash, "only a member has a project"},
        {"alice admin sha256:abcd", "the secret is neither"},
        {"alice admin plain-secret-that-is-long", "the secret is neither"},
        {"alice admin", "a line is NAME ROLE"},
        {"alice admin " + hash + "\nalice reader " + hash, "there is another alice"}}) {
    const auto text = refusal("# tokens\n" + line);
    EXPECT_NE(text.find(why), std::string::npos) << line << ": " << text;
    EXPECT_NE(text.find(", line "), std::string::npos) << text;
    EXPECT_EQ(text.find("plain-secret"), std::string::npos) << "may be a secret: " << text;
  }
}

TEST_F(TokenTest, a_file_that_every_user_may_read_keeps_no_secret) {
  const auto tokens =
      Tokens::read(file_with(secret, fs::perms::owner_read | fs::perms::others_read));
  ASSERT_FALSE(tokens);
  EXPECT_NE(tokens.error().text().find("every user may read"), std::string::npos);
  EXPECT_NE(tokens.error().hint.find("chmod 600"), std::string::npos);
}

TEST_F(TokenTest, a_group_may_read_the_file) {
  EXPECT_TRUE(Tokens::read(file_with(secret, fs::perms::owner_read | fs::perms::group_read)));
}

TEST_F(TokenTest, what_is_no_good_as_a_token_is_refused) {
  for (const auto& text : {std::string(), std::string("\n"), std::string("# nothing\n"),
                           std::string("short"), secret + " " + secret, std::string(5000, 'x')}) {
    EXPECT_NE(refusal(text).find(directory_.path().string()), std::string::npos) << text;
  }
}

TEST_F(TokenTest, a_file_that_is_not_there_is_named) {
  const auto tokens = Tokens::read(directory_.path() / "nothing");
  ASSERT_FALSE(tokens);
  EXPECT_NE(tokens.error().text().find("nothing: No such file"), std::string::npos);
}

TEST_F(TokenTest, a_certificates_name_stands_in_the_file_too) {
  const auto access = access_with("operator admin certificate\n");
  Credentials credentials{.target = "/v2/lbaas/pools", .host = "localhost"};
  EXPECT_EQ(status(access.admit(credentials)), 401U);
  credentials.certificate = "operator";
  EXPECT_EQ(status(access.admit(credentials)), 200U);
  credentials.certificate = "somebody";
  EXPECT_EQ(status(access.admit(credentials)), 401U);
  EXPECT_EQ(status(access.admit(with_token("operator"))), 401U) << "a name is no token";
}

TEST_F(TokenTest, versions_and_health_are_told_without_a_token_and_nothing_else_is) {
  const auto access = access_with(secret);
  for (const auto* open : {"/", "/?x", "/healthcheck"}) {
    EXPECT_EQ(status(access.admit({.target = open, .host = "localhost"})), 200U) << open;
  }
  for (const auto* closed : {"/v2", "/metrics", "/v1/events", "//", "/healthcheck/x"}) {
    EXPECT_EQ(status(access.admit({.target = closed, .host = "localhost"})), 401U) << closed;
  }
  EXPECT_EQ(status(access.admit({.method = "POST", .target = "/", .host = "localhost"})), 401U);
}

TEST(Host, programs_of_this_machine_call_a_loopback_listener_by_address_or_localhost) {
  const auto access = Access::local(loopback);
  for (const auto* host :
       {"127.0.0.1:9876", "127.0.0.1", "localhost:9876", "LOCALHOST", "[::1]:9876"}) {
    EXPECT_EQ(status(access.admit({.host = host})), 200U) << host;
  }
  EXPECT_EQ(status(access.admit({.host = "10.0.0.9:8080"})), 403U);
}

TEST(Host, a_browser_that_was_led_here_by_a_name_gets_nothing) {
  const auto access = Access::local(loopback);
  for (const auto* host : {"evil.example:9876", "localhost.evil.example", "127.0.0.1.evil.example",
                           "", ":9876", "[::1", "lb.example"}) {
    EXPECT_EQ(status(access.admit({.host = host})), 403U) << host;
  }
}

TEST(Host, the_operators_names_are_ours) {
  const auto access = Access::local(loopback, {"lb.example", "*.cluster.example"});
  for (const auto* host : {"lb.example", "LB.example:9876", "one.cluster.example:443"}) {
    EXPECT_EQ(status(access.admit({.host = host})), 200U) << host;
  }
  for (const auto* host :
       {"xlb.example", "cluster.example", "a.b.cluster.example", ".cluster.example"}) {
    EXPECT_EQ(status(access.admit({.host = host})), 403U) << host;
  }
}

TEST(Host, a_listener_on_all_addresses_is_called_by_any_of_them) {
  const auto access = Access::local(anywhere);
  EXPECT_EQ(status(access.admit({.host = "192.0.2.7:9876"})), 200U);
  EXPECT_EQ(status(access.admit({.host = "[2001:db8::7]:9876"})), 200U);
  EXPECT_EQ(status(access.admit({.host = "evil.example"})), 403U);
}

TEST(WebPage, only_a_page_of_the_service_itself_may_send_requests) {
  const auto access = Access::local(loopback);
  Credentials from{.host = "127.0.0.1:9876"};
  from.origin = "http://127.0.0.1:9876";
  EXPECT_EQ(status(access.admit(from)), 200U);
  for (const auto* origin : {"http://evil.example", "http://127.0.0.1:8080", "null",
                             "https://127.0.0.1:9876", "http://localhost:9876"}) {
    from.origin = origin;
    EXPECT_EQ(status(access.admit(from)), 403U) << origin;
  }
}

TEST(WebPage, an_image_in_a_page_sends_no_origin_but_tells_where_it_stands) {
  const auto access = Access::local(loopback);
  for (const auto* site : {"cross-site", "same-site", "anything"}) {
    EXPECT_EQ(
        status(access.admit({.target = "/v1/explain?x", .host = "localhost", .fetch_site = site})),
        403U)
        << site;
  }
  for (const auto* site : {"", "none", "same-origin"}) {
    EXPECT_EQ(status(access.admit({.host = "localhost", .fetch_site = site})), 200U) << site;
  }
}

TEST(WebPage, a_body_that_a_form_can_send_is_none_of_ours) {
  const auto access = Access::local(loopback);
  Credentials batch{.method = "POST", .target = "/v1/batch", .host = "localhost", .has_body = true};
  for (const auto* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "multipart/form-data; boundary=x", "text/json"}) {
    batch.content_type = type;
    EXPECT_EQ(status(access.admit(batch)), 415U) << type;
  }
  batch.content_type = "application/json; charset=utf-8";
  EXPECT_EQ(status(access.admit(batch)), 200U);
}

TEST(WebPage, a_token_does_not_make_a_foreign_page_welcome) {
  const auto access = Access::with_certificates(loopback, {});
  EXPECT_EQ(status(access.admit({.host = "localhost", .certificate = "alice"})), 200U);
  EXPECT_EQ(status(access.admit(
                {.host = "localhost", .origin = "http://evil.example", .certificate = "alice"})),
            403U);
}

}  // namespace
}  // namespace sluice::api
