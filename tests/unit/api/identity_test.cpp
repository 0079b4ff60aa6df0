// Signing in: secrets, tokens that expire, guesses that are counted, and requests.
#include <gtest/gtest.h>

#include "api/server/failed_sign_ins.hpp"
#include "api/server/issued_tokens.hpp"
#include "api/server/secret.hpp"
#include "api/server/sign_in.hpp"

namespace sluice::api {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// openssl kdf -keylen 32 -kdfopt pass:pleaseletmein -kdfopt salt:SodiumChlorideXX -kdfopt n:16384
//     -kdfopt r:8 -kdfopt p:1 SCRYPT
constexpr auto of_please_let_me_in =
    "scrypt:16384:8:1:536f6469756d43686c6f726964655858:"
    "aa83b9b8f9a7d5994c12fff92d5600cb6de0882ada07ec33e92f276938eb4665";

TEST(SecretTest, a_password_stands_in_the_file_as_scrypt_and_fits_itself_only) {
  const auto line = Secret::of_password("correct horse");
  ASSERT_TRUE(line);
  EXPECT_NE(*line, Secret::of_password("correct horse")) << "each has a salt of its own";
  const auto secret = Secret::parse(*line);
  ASSERT_TRUE(secret) << *line;
  EXPECT_TRUE(secret->fits("correct horse"));
  EXPECT_FALSE(secret->fits("correct horsf"));
  EXPECT_FALSE(secret->fits(""));
  EXPECT_FALSE(secret->is_token());
  EXPECT_FALSE(secret->fits_token(Secret::digest_of("correct horse")));
  EXPECT_FALSE(Secret::nobodys().fits("correct horse"));
}

TEST(SecretTest, what_openssls_own_command_makes_is_understood) {
  const auto secret = Secret::parse(of_please_let_me_in);
  ASSERT_TRUE(secret);
  EXPECT_TRUE(secret->fits("pleaseletmein"));
}

TEST(SecretTest, a_line_that_would_take_the_machine_down_or_makes_no_sense_is_none) {
  const std::string salt(32, 'a'), hash(64, 'b');
  EXPECT_TRUE(Secret::parse("scrypt:16384:8:5:" + salt + ":" + hash));
  for (const auto& line :
       {"scrypt:16384:8:5:" + salt + ":" + hash.substr(2),  // a short hash
        "scrypt:16384:8:5:" + salt.substr(2) + ":" + hash,  // a short salt
        "scrypt:16383:8:5:" + salt + ":" + hash,            // no power of two
        "scrypt:1:8:5:" + salt + ":" + hash,                // no work
        "scrypt:16384:0:5:" + salt + ":" + hash, "scrypt:16384:8:17:" + salt + ":" + hash,
        "scrypt:131072:8:1:" + salt + ":" + hash,  // 128 MiB
        "scrypt:18446744073709551615:8:1:" + salt + ":" + hash,
        "scrypt:16384:18446744073709551615:1:" + salt + ":" + hash,
        "scrypt:16384:8:" + salt + ":" + hash, "bcrypt:" + hash, std::string("sha256:12"),
        std::string("scrypt"), std::string()}) {
    EXPECT_FALSE(Secret::parse(line)) << line;
  }
}

TEST(IssuedTokensTest, a_token_is_hexadecimal_so_no_command_takes_it_for_an_option) {
  const auto word = random_word();
  EXPECT_EQ(word.size(), 64u);
  EXPECT_EQ(word.find_first_not_of("0123456789abcdef"), std::string::npos) << word;
  EXPECT_NE(word, random_word());
}

TEST(IssuedTokensTest, a_token_ends_after_an_hour) {
  IssuedTokens tokens;
  const TokenTime begin;
  const auto given = tokens.issue({.name = "alice"}, "password", begin);
  const auto at = [&](auto later) { return TokenTime{begin.steady + later, begin.wall}; };
  ASSERT_NE(tokens.find(given.secret, at(minutes(59))), nullptr);
  EXPECT_EQ(tokens.find(given.secret, at(minutes(59)))->who.name, "alice");
  EXPECT_EQ(tokens.find(given.secret, at(minutes(60))), nullptr);
  EXPECT_EQ(tokens.find(given.secret + "x", begin), nullptr);
  EXPECT_EQ(tokens.find("", begin), nullptr);
}

TEST(IssuedTokensTest, one_that_a_token_asked_for_keeps_the_first_ones_end) {
  IssuedTokens tokens;
  const TokenTime begin;
  const TokenTime later{begin.steady + minutes(50), begin.wall + minutes(50)};
  const TokenTime end{begin.steady + minutes(61), begin.wall + minutes(61)};
  const auto first = tokens.issue({.name = "alice"}, "password", begin);
  const auto second = tokens.issue({.name = "alice"}, "password", later, &first.token);
  EXPECT_EQ(second.token.expires_at, first.token.expires_at);
  EXPECT_NE(tokens.find(second.secret, later), nullptr);
  EXPECT_EQ(tokens.find(second.secret, end), nullptr);
}

TEST(IssuedTokensTest, a_user_who_never_stops_signing_in_loses_its_own_first_token_only) {
  IssuedTokens tokens;
  TokenTime now;
  const auto others = tokens.issue({.name = "bob"}, "password", now);
  const auto first = tokens.issue({.name = "alice"}, "password", now);
  now.steady += seconds(1);
  for (std::size_t more = 1; more < IssuedTokens::most_of_a_user; ++more) {
    tokens.issue({.name = "alice"}, "password", now);
  }
  EXPECT_NE(tokens.find(first.secret, now), nullptr);
  const auto last = tokens.issue({.name = "alice"}, "password", now);
  EXPECT_EQ(tokens.find(first.secret, now), nullptr);
  EXPECT_NE(tokens.find(last.secret, now), nullptr);
  EXPECT_NE(tokens.find(others.secret, now), nullptr);
}

TEST(FailedSignInsTest, five_wrong_guesses_in_a_minute_are_all_that_an_address_has) {
  FailedSignIns failed;
  const FailedSignIns::Time begin{};
  const auto here = *parse_ip_address("192.0.2.7"), there = *parse_ip_address("192.0.2.8");
  for (int guess = 0; guess < 5; ++guess) {
    EXPECT_TRUE(failed.may_try(here, begin + seconds(guess)));
    failed.note(here, begin + seconds(guess));
  }
  EXPECT_FALSE(failed.may_try(here, begin + seconds(5)));
  EXPECT_FALSE(failed.may_try(here, begin + seconds(59)));
  EXPECT_TRUE(failed.may_try(there, begin + seconds(5))) << "others are not kept out";
  EXPECT_TRUE(failed.may_try(here, begin + seconds(60))) << "the first is a minute ago";
  failed.note(here, begin + seconds(60));
  EXPECT_FALSE(failed.may_try(here, begin + seconds(60)));
}

TEST(FailedSignInsTest, a_network_of_ipv6_addresses_guesses_as_one) {
  FailedSignIns failed;
  const FailedSignIns::Time now{};
  for (const auto* from :
       {"2001:db8::1", "2001:db8::2", "2001:db8::ffff:3", "2001:db8:0:0:a::", "2001:db8::5"}) {
    failed.note(*parse_ip_address(from), now);
  }
  EXPECT_FALSE(failed.may_try(*parse_ip_address("2001:db8::6"), now));
  EXPECT_TRUE(failed.may_try(*parse_ip_address("2001:db8:0:1::6"), now));
  failed.note(*parse_ip_address("::ffff:192.0.2.1"), now);
  EXPECT_TRUE(failed.may_try(*parse_ip_address("::ffff:192.0.2.2"), now))
      << "IPv4 addresses are told apart on a socket for both";
}

TEST(FailedSignInsTest, more_addresses_than_there_are_places_take_no_memory_and_no_more_guesses) {
  FailedSignIns failed;
  const FailedSignIns::Time now{};
  const auto address = [](unsigned number) {
    return IpAddress(boost::asio::ip::address_v4(0x0a000000 + number));
  };
  for (unsigned number = 0; number < FailedSignIns::most_addresses + 5; ++number) {
    failed.note(address(number), now);
  }
  EXPECT_FALSE(failed.may_try(address(999999), now)) << "they share one place";
  EXPECT_TRUE(failed.may_try(address(1), now)) << "who has its own keeps it";
  EXPECT_TRUE(failed.may_try(address(999999), now + minutes(1)));
}

TEST(SignInTest, a_password_a_credential_and_a_token_say_who_asks) {
  const auto password = parse_sign_in(R"({"auth": {"identity": {"methods": ["password"],
      "password": {"user": {"name": "alice", "domain": {"name": "Default"}, "password": "x"}}},
      "scope": {"project": {"name": "p", "domain": {"id": "default"}}}}})");
  ASSERT_TRUE(password) << password.error().text();
  EXPECT_EQ(password->user, "alice");
  EXPECT_EQ(password->secret, "x");
  EXPECT_EQ(password->project, "p");
  EXPECT_TRUE(password->at_home);
  const auto credential = parse_sign_in(R"({"auth": {"identity": {"methods":
      ["application_credential"], "application_credential": {"id": "ci", "secret": "y"}}}})");
  ASSERT_TRUE(credential) << credential.error().text();
  EXPECT_EQ(credential->user, "ci");
  EXPECT_EQ(credential->secret, "y");
  EXPECT_EQ(credential->project, std::nullopt);
  const auto token = parse_sign_in(
      R"({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}}, "scope": "unscoped"}})");
  ASSERT_TRUE(token) << token.error().text();
  EXPECT_EQ(token->secret, "t");
}

TEST(SignInTest, another_domain_is_not_ours) {
  const auto asked = parse_sign_in(R"({"auth": {"identity": {"methods": ["password"],
      "password": {"user": {"name": "alice", "domain": {"name": "Corp"}, "password": "x"}}}}})");
  ASSERT_TRUE(asked);
  EXPECT_FALSE(asked->at_home);
}

TEST(SignInTest, a_body_without_the_parts_is_told_which) {
  const auto problem = [](std::string_view body) {
    const auto asked = parse_sign_in(body);
    return asked ? std::string() : asked.error().text();
  };
  EXPECT_EQ(problem(""), "Invalid input: auth.identity.methods is missing.");
  EXPECT_EQ(problem("[[[["), "Invalid input: auth.identity.methods is missing.");
  EXPECT_EQ(problem(R"({"auth": {"identity": {"methods": ["password", "token"]}}})"),
            "Invalid input: auth.identity.methods is not one method.");
  EXPECT_EQ(problem(R"({"auth": {"identity": {"methods": ["password"], "password": {}}}})"),
            "Invalid input: auth.identity.password.user is missing.");
  EXPECT_EQ(problem(R"({"auth": {"identity": {"methods": ["totp"]}}})"),
            "Attempted to authenticate with an unsupported method ('totp').");
  EXPECT_EQ(
      problem(R"({"auth": {"identity": {"methods": ["token"], "token": {"id": "t"}},
                        "scope": {"system": {"all": true}}}})"),
      "Invalid input: tokens are for a project here, so scope.project is all that a scope may "
      "have.");
}

}  // namespace
}  // namespace sluice::api
