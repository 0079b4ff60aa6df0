#include "sluicectl/transport/http.hpp"

#include <gmock/gmock.h>

namespace sluice::ctl {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace sluice::ctl
