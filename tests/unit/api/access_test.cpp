// Who may use the API over TCP.
#include "api/server/access.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "temporary_directory.hpp"

namespace sluice::api {
namespace {

namespace fs = std::filesystem;

class TokenTest : public testing::Test {
 protected:
  fs::path file_with(const std::string& text, fs::perms mode = fs::perms::owner_read) {
    const auto path = directory_.path() / "token";
    fs::remove(path);
    std::ofstream(path) << text;
    fs::permissions(path, mode);
    return path;
  }
  TemporaryDirectory directory_;
};

const std::string secret = "0123456789abcdef0123456789abcdef";

TEST_F(TokenTest, only_who_sends_the_token_passes) {
  const auto access = Access::with_token(file_with(secret + "\n"));
  ASSERT_TRUE(access) << access.error().text();
  EXPECT_TRUE(access->wants_token());
  EXPECT_FALSE(access->refusal({"lb.example", secret, ""}));
  EXPECT_FALSE(access->refusal({"lb.example", "", "Bearer " + secret}));
  EXPECT_TRUE(access->refusal({"127.0.0.1", "", ""}));
  EXPECT_TRUE(access->refusal({"127.0.0.1", secret + "0", ""}));
  EXPECT_TRUE(access->refusal({"127.0.0.1", secret.substr(1), ""}));
  EXPECT_TRUE(access->refusal({"127.0.0.1", "", "Basic " + secret}));
  EXPECT_TRUE(access->refusal({"127.0.0.1", "", secret}));
}

TEST_F(TokenTest, a_file_that_every_user_may_read_keeps_no_secret) {
  const auto access =
      Access::with_token(file_with(secret, fs::perms::owner_read | fs::perms::others_read));
  ASSERT_FALSE(access);
  EXPECT_NE(access.error().text().find("every user may read"), std::string::npos);
  EXPECT_NE(access.error().hint.find("chmod 600"), std::string::npos);
}

TEST_F(TokenTest, a_group_may_read_the_file) {
  EXPECT_TRUE(Access::with_token(file_with(secret, fs::perms::owner_read | fs::perms::group_read)));
}

TEST_F(TokenTest, what_is_no_good_as_a_token_is_refused) {
  for (const auto& text : {std::string(), std::string("\n"), std::string("short"),
                           secret + " " + secret, std::string(5000, 'x')}) {
    const auto access = Access::with_token(file_with(text));
    ASSERT_FALSE(access) << text;
    EXPECT_NE(access.error().text().find(directory_.path().string()), std::string::npos);
  }
}

TEST_F(TokenTest, a_file_that_is_not_there_is_named) {
  const auto access = Access::with_token(directory_.path() / "nothing");
  ASSERT_FALSE(access);
  EXPECT_NE(access.error().text().find("nothing: No such file"), std::string::npos);
}

TEST(LocalAccess, programs_of_this_machine_pass_by_address_or_localhost) {
  const auto access = Access::local();
  for (const auto* host : {"127.0.0.1:9876", "127.0.0.1", "localhost:9876", "localhost",
                           "[::1]:9876", "10.0.0.9:8080"}) {
    EXPECT_FALSE(access.refusal({host, "", ""})) << host;
  }
}

TEST(LocalAccess, a_browser_that_was_led_here_by_a_name_does_not) {
  const auto access = Access::local();
  for (const auto* host : {"evil.example:9876", "localhost.evil.example", ""}) {
    EXPECT_TRUE(access.refusal({host, "", ""})) << host;
  }
}

}  // namespace
}  // namespace sluice::api
