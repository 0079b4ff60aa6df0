// Syslog messages: what stands before the line, and where they go.
#include "records/syslog.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace sluice::records {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t at = 1'796'015'126'000'042'999;  // 2026-11-30, 05:05:26 UTC

std::string received(int socket) {
  std::array<char, 2048> bytes{};
  const auto count = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
  return count < 0 ? "nothing" : std::string(bytes.data(), static_cast<std::size_t>(count));
}

// Reads messages as journald does, at a path of its own.
class LocalSyslog : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "sluice-syslog-XXXXXX";
    ASSERT_TRUE(mkdtemp(name.data()));
    directory_ = name;
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string path() const { return directory_ / "log"; }
  UniqueFd reader() const {
    fs::remove(path());
    UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof(address.sun_path) - 1);
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return socket;
  }
  fs::path directory_;
};

TEST(Syslog, AMessageToAnotherHostBeginsAsRfc5424Says) {
  EXPECT_EQ(syslog_head(at, "lb1", 42),
            "<30>1 2026-11-30T05:05:26.000042Z lb1 sluiced 42 connection - ");
  EXPECT_EQ(syslog_head(at, "", 42),
            "<30>1 2026-11-30T05:05:26.000042Z - sluiced 42 connection - ");
}

TEST(Syslog, AMessageToThisHostBeginsAsLibcsDo) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ(local_syslog_head(at, 42), "<30>Nov 30 05:05:26 sluiced[42]: ");
  EXPECT_EQ(local_syslog_head(at - 25 * 86'400'000'000'000, 42),
            "<30>Nov  5 05:05:26 sluiced[42]: ");
}

TEST(Syslog, EachLineIsADatagram) {
  const UniqueFd server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  auto syslog =
      Syslog::open({boost::asio::ip::make_address("127.0.0.1"), ntohs(address.sin_port)}, "lb1");
  ASSERT_TRUE(syslog) << syslog.error().text();
  syslog->send("{\"a\":1}\n{\"a\":2}\n", at);
  const auto head = syslog_head(at, "lb1", ::getpid());
  EXPECT_EQ(received(server.get()), head + "{\"a\":1}");
  EXPECT_EQ(received(server.get()), head + "{\"a\":2}");
  EXPECT_EQ(syslog->messages(), 2U);
}

TEST_F(LocalSyslog, WaitsForNobodyAndFindsOneThatWasRestarted) {
  auto syslog = Syslog::open_local(path());
  ASSERT_TRUE(syslog) << syslog.error().text();
  syslog->send("{}\n", at);
  EXPECT_EQ(syslog->failures(), 1U) << "nobody reads";
  {
    const auto first = reader();
    syslog->send("{\"a\":1}\n", at);
    EXPECT_EQ(received(first.get()), local_syslog_head(at, ::getpid()) + "{\"a\":1}");
  }
  const auto second = reader();
  syslog->send("{\"a\":2}\n", at);
  EXPECT_EQ(received(second.get()), local_syslog_head(at, ::getpid()) + "{\"a\":2}");
  EXPECT_EQ(syslog->failures(), 1U);
}

TEST_F(LocalSyslog, OneThatDoesNotReadCostsMessagesNotTime) {
  const auto idle = reader();
  auto syslog = Syslog::open_local(path());
  ASSERT_TRUE(syslog);
  for (int i = 0; i < 10'000 && syslog->failures() == 0; ++i) syslog->send("{}\n", at);
  EXPECT_EQ(syslog->failures(), 1U);
}

}  // namespace
}  // namespace sluice::records
