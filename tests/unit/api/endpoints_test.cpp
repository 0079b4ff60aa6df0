// Endpoints: which addresses need TLS and credentials.
#include "api/server/endpoints.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "self_signed.hpp"
#include "temporary_directory.hpp"

namespace sluice::api {
namespace {

class EndpointsTest : public testing::Test {
 protected:
  EndpointsTest() {
    const auto [certificate, key] = self_signed();
    write("cert.pem", certificate);
    write("key.pem", key);
    write("token", std::string(32, 't'));
    std::filesystem::permissions(at("token"), std::filesystem::perms::owner_read);
  }
  std::filesystem::path at(const std::string& name) { return directory_.path() / name; }
  void write(const std::string& name, const std::string& text) { std::ofstream(at(name)) << text; }
  std::string refusal(EndpointOptions options) {
    options.socket = at("api.sock");
    const auto endpoints = Endpoints::open(options);
    return endpoints ? "" : endpoints.error().text();
  }

  TemporaryDirectory directory_;
};

TEST_F(EndpointsTest, by_default_there_is_only_the_unix_socket) {
  const auto endpoints = Endpoints::open({.socket = at("api.sock")});
  ASSERT_TRUE(endpoints);
  EXPECT_FALSE(endpoints->tcp);
  EXPECT_FALSE(endpoints->metrics);
}

TEST_F(EndpointsTest, loopback_needs_nothing_else) {
  for (const auto* address : {"127.0.0.1:0", "127.0.0.2:0", "[::1]:0"}) {
    EXPECT_EQ(refusal({.listen = address}), "") << address;
  }
}

TEST_F(EndpointsTest, any_other_address_wants_a_token_and_tls_and_says_what_is_missing) {
  EXPECT_EQ(refusal({.listen = "0.0.0.0:9876"}),
            "listen on 0.0.0.0:9876: the API beyond loopback wants a token and TLS, and "
            "--token-file, --tls-certificate, --tls-key are missing (give them too, or listen on "
            "127.0.0.1:9876)");
  EXPECT_EQ(
      refusal({.listen = "[::]:9876", .token_file = at("token"), .certificate = at("cert.pem")}),
      "listen on [::]:9876: the API beyond loopback wants a token and TLS, and --tls-key is "
      "missing (give it too, or listen on 127.0.0.1:9876)");
  EXPECT_EQ(refusal({.listen = "0.0.0.0:0",
                     .token_file = at("token"),
                     .certificate = at("cert.pem"),
                     .key = at("key.pem")}),
            "");
}

TEST_F(EndpointsTest, metrics_may_be_public) {
  EXPECT_EQ(refusal({.metrics = "0.0.0.0:0"}), "");
}

TEST_F(EndpointsTest, what_is_no_address_and_port_is_named) {
  for (const std::string bad :
       {"9876", "localhost:9876", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1",
        "::1:9876", "[127.0.0.1]:1", ":9876", "127.0.0.1:"}) {
    EXPECT_NE(refusal({.listen = bad}).find("--listen: '" + bad + "' is not"), std::string::npos)
        << bad;
    EXPECT_NE(refusal({.metrics = bad}).find("--metrics: '" + bad + "' is not"), std::string::npos);
  }
}

TEST_F(EndpointsTest, an_address_in_use_is_named) {
  const auto first = Endpoints::open({.socket = at("first.sock"), .listen = "127.0.0.1:0"});
  ASSERT_TRUE(first);
  const auto address = first->tcp->socket.address().to_string();
  const auto text = refusal({.listen = address});
  EXPECT_NE(text.find("listen on " + address + ": Address already in use"), std::string::npos)
      << text;
}

TEST_F(EndpointsTest, files_that_are_no_certificate_or_not_its_key_are_named) {
  EndpointOptions options{
      .listen = "127.0.0.1:0", .certificate = at("cert.pem"), .key = at("key.pem")};
  options.certificate = at("token");
  EXPECT_NE(refusal(options).find("TLS certificate " + at("token").string()), std::string::npos);
  options.certificate = at("nothing.pem");
  EXPECT_NE(refusal(options).find("TLS certificate " + at("nothing.pem").string()),
            std::string::npos);
  options.certificate = at("cert.pem");
  write("other.pem", self_signed().key);
  options.key = at("other.pem");
  EXPECT_NE(refusal(options).find("TLS key " + at("other.pem").string()), std::string::npos);
  options.key.clear();
  EXPECT_EQ(refusal(options), "--tls-certificate and --tls-key go together");
}

TEST_F(EndpointsTest, signing_in_wants_users_tcp_and_a_url_that_clients_can_be_sent_to) {
  EXPECT_EQ(refusal({.identity = true}), "--identity needs --listen (it is served over TCP)");
  EXPECT_EQ(refusal({.listen = "127.0.0.1:0", .identity = true}),
            "--identity needs --token-file (its users are those of the file)");
  EXPECT_EQ(refusal({.listen = "127.0.0.1:0", .token_file = at("token"), .identity = true}), "");
  EXPECT_EQ(refusal({.listen = "0.0.0.0:0",
                     .token_file = at("token"),
                     .certificate = at("cert.pem"),
                     .key = at("key.pem"),
                     .identity = true}),
            "--identity on 0.0.0.0:0 needs --public-endpoint (clients are sent to that URL: "
            "https://NAME:PORT)");
  for (const auto* bad : {"lb.example", "ftp://lb.example", "https://", "https://lb.example?x",
                          "https://me@lb.example", "https://lb.example/#x", "a b"}) {
    EXPECT_EQ(refusal({.listen = "127.0.0.1:0", .public_endpoint = bad}),
              std::string("--public-endpoint '") + bad +
                  "' is no URL of a service (it is http:// or https://, a name or address and a "
                  "port)");
  }
  EXPECT_EQ(refusal({.listen = "127.0.0.1:0", .public_endpoint = "https://lb.example/api"}),
            "--public-endpoint 'https://lb.example/api' has a path (clients ask for / there)");
  EXPECT_EQ(refusal({.listen = "127.0.0.1:0", .public_endpoint = "https://lb.example:9876/"}), "");
}

}  // namespace
}  // namespace sluice::api
