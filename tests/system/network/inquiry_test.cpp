// Inquiry on a real wire between two network namespaces.
#include "network/inquiry.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdlib>

namespace sluice::network {
namespace {

using namespace std::chrono_literals;

// nic0 of the asker's namespace and far0 of another one, with an address of each family.
class WhoHas : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "making a network namespace needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const int far = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    run("ip link set lo up");
    run("ip link add far0 address 02:00:00:00:00:04 type veth peer name nic0 address "
        "02:00:00:00:00:09");
    run("ip address add 10.9.0.4/24 dev far0");
    run("ip address add 2001:db8:9::4/64 dev far0 nodad");
    run("ip link set far0 up");
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    const int near = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    // The near end of the wire moves here, from the namespace that the other descriptor keeps.
    const auto here = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(near);
    ASSERT_EQ(setns(far, CLONE_NEWNET), 0);
    run("ip link set nic0 netns " + here);
    ASSERT_EQ(setns(near, CLONE_NEWNET), 0);
    close(near);
    far_ = far;
    run("ip address add 10.9.0.9/24 dev nic0");
    run("ip address add 2001:db8:9::9/64 dev nic0 nodad");
    run("ip link set nic0 up");
    run("for i in $(seq 1000); do ip link show nic0 up | grep -q 'state UP' && exit; sleep 0.01; "
        "done; exit 1");
  }
  void TearDown() override {
    if (far_ >= 0) close(far_);
  }
  static void run(const std::string& command) {
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }

  // Returns the answers and the time that they took.
  std::vector<NeighborClaim> ask(std::vector<IpAddress> addresses,
                                 std::vector<MacAddress> own = {}) {
    const auto host = read_host();
    EXPECT_TRUE(host);
    std::vector<Question> all;
    for (const auto& address : addresses) {
      for (auto& question : questions(*host, {if_nametoindex("nic0")}, address))
        all.push_back(std::move(question));
    }
    EXPECT_EQ(all.size(), addresses.size());
    boost::asio::io_context loop;
    std::optional<std::vector<NeighborClaim>> answers;
    const auto before = std::chrono::steady_clock::now();
    const auto started = Inquiry::start(loop.get_executor(), std::move(all), std::move(own),
                                        [&](auto claims) { answers = std::move(claims); });
    EXPECT_TRUE(started) << started.error().text();
    loop.run();
    took_ = std::chrono::steady_clock::now() - before;
    EXPECT_TRUE(answers);
    return answers.value_or(std::vector<NeighborClaim>());
  }
  static IpAddress ip(const char* text) { return parse_ip_address(text).value(); }

  static constexpr MacAddress holder_ = {0x02, 0, 0, 0, 0, 0x04};
  std::chrono::steady_clock::duration took_{};
  int far_ = -1;
};

TEST_F(WhoHas, ANeighborAnswersForItsAddresses) {
  EXPECT_EQ(ask({ip("10.9.0.4")}), (std::vector{NeighborClaim{ip("10.9.0.4"), holder_}}));
  EXPECT_EQ(ask({ip("2001:db8:9::4")}), (std::vector{NeighborClaim{ip("2001:db8:9::4"), holder_}}));
}

TEST_F(WhoHas, NobodyAnswersForAFreeAddress) {
  EXPECT_TRUE(ask({ip("10.9.0.5"), ip("2001:db8:9::5")}).empty());
  EXPECT_GE(took_, Inquiry::patience);
}

TEST_F(WhoHas, OneInquiryTellsFreeAndTakenAddressesApart) {
  const auto answers = ask({ip("10.9.0.5"), ip("10.9.0.4"), ip("2001:db8:9::5")});
  EXPECT_EQ(answers, (std::vector{NeighborClaim{ip("10.9.0.4"), holder_}}));
}

TEST_F(WhoHas, OurOwnNicsOnTheSameWireDoNotCount) {
  EXPECT_TRUE(ask({ip("10.9.0.4"), ip("2001:db8:9::4")}, {holder_}).empty());
}

TEST_F(WhoHas, HostAndGatewaysAreReadFromTheKernel) {
  run("ip route add default via 10.9.0.4");
  run("ip -6 route add 2001:db8:a::/48 via 2001:db8:9::4");
  run("ip route add 10.8.0.0/24 nexthop via 10.9.0.7 nexthop via 10.9.0.8");
  const auto host = read_host();
  ASSERT_TRUE(host) << host.error().text();
  EXPECT_EQ(holder_on(*host, ip("10.9.0.9")), "this host's own (nic0)");
  EXPECT_EQ(holder_on(*host, ip("2001:db8:9::9")), "this host's own (nic0)");
  for (const auto* gateway : {"10.9.0.4", "2001:db8:9::4", "10.9.0.7", "10.9.0.8"})
    EXPECT_EQ(holder_on(*host, ip(gateway)), "the gateway of a route of this host (nic0)")
        << gateway;
  EXPECT_EQ(holder_on(*host, ip("10.9.0.16")), std::nullopt);
}

}  // namespace
}  // namespace sluice::network
