// What is taken out of a bundle, and what stays.
#include "sluicectl/bundle/redaction.hpp"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

std::string clean(const std::string& text) {
  return Redaction().clean(text);
}

const std::string hex64(64, 'a');

TEST(RedactionTest, what_was_learned_goes_wherever_it_stands) {
  Redaction redaction;
  redaction.learn("hunter2-hunter2");
  redaction.learn("hunter2-hunter2-long");
  redaction.learn("short");
  EXPECT_EQ(redaction.clean("a hunter2-hunter2-long,hunter2-hunter2 short"),
            "a [taken out],[taken out] short");
}

TEST(RedactionTest, secrets_of_a_file_are_learned_but_no_names) {
  Redaction redaction;
  redaction.learn_file(
      "# administrator9 is a comment\n"
      "alice-number-1 admin mysecret1234\n"
      "operator admin certificate\n"
      "onlyasecretword\n");
  EXPECT_EQ(
      redaction.clean("administrator9 alice-number-1 mysecret1234 certificate onlyasecretword"),
      "administrator9 alice-number-1 [taken out] certificate [taken out]");
}

TEST(RedactionTest, private_keys_go_and_certificates_stay) {
  EXPECT_EQ(clean("x\n-----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY-----\ny"),
            "x\n[taken out]\ny");
  EXPECT_EQ(clean("-----BEGIN PRIVATE KEY-----\nthe file ends"), "[taken out]");
  const std::string certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
  EXPECT_EQ(clean(certificate), certificate);
}

TEST(RedactionTest, hashes_of_tokens_and_passwords_go) {
  EXPECT_EQ(clean("alice admin sha256:" + hex64), "alice admin sha256:[taken out]");
  EXPECT_EQ(clean("bob admin scrypt:16384:8:5:7e0f:91ab x"), "bob admin scrypt:[taken out] x");
  EXPECT_EQ(clean("digest " + hex64), "digest [taken out]");
}

TEST(RedactionTest, values_of_secret_names_go) {
  EXPECT_EQ(clean("Environment=SLUICE_TOKEN=abc other"),
            "Environment=SLUICE_TOKEN=[taken out] other");
  EXPECT_EQ(clean(R"({"password": "abc", "name": "lb"})"),
            R"({"password": "[taken out]", "name": "lb"})");
  EXPECT_EQ(clean("sluicectl --token abc lb"), "sluicectl --token [taken out] lb");
  EXPECT_EQ(clean("sluicectl --token=abc lb"), "sluicectl --token=[taken out] lb");
  EXPECT_EQ(clean("Authorization: Bearer abc.def\n"), "Authorization: Bearer [taken out]\n");
  EXPECT_EQ(clean("X-Auth-Token: abc"), "X-Auth-Token: [taken out]");
}

TEST(RedactionTest, what_is_no_secret_stays) {
  for (const std::string text :
       {"token-file = /etc/sluice/tokens", "a token is missing", R"("token": false)",
        "eac679e4896146e6827ce29d755fe289", "2b2a1f6e-8f1c-4c58-9f0c-0f1d2c3b4a59",
        "sluice_packets_total{reason=\"no_listener\"} 42", "tag 3b185187f1855c4c", ""}) {
    EXPECT_EQ(clean(text), text);
  }
}

TEST(RedactionTest, a_configuration_names_its_files_of_secrets) {
  using Files = std::vector<std::string>;
  EXPECT_EQ(secret_files("#token-file = /no\n token-file=/etc/t\ntls-key =  /etc/k\nflows = 1\n",
                         "/usual"),
            (Files{"/etc/t", "/etc/k", "/usual"}));
  EXPECT_EQ(secret_files("hash-key-file = /h\n", "/usual"), Files{"/h"});
}

}  // namespace
}  // namespace sluice::ctl
