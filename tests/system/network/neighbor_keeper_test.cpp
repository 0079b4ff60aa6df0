// The kernel's neighbour entries of members, in a network namespace of the test's own.
#include "network/neighbor_keeper.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/ip_address.hpp"

namespace sluice::network {
namespace {

using namespace std::chrono_literals;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 256> piece{};
  while (pipe && std::fgets(piece.data(), piece.size(), pipe)) text += piece.data();
  if (pipe) pclose(pipe);
  return text;
}

class Keeper : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "making a network namespace needs root";
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    for (const auto* command : {"ip link set lo up", "ip link add nic0 type veth peer name far0",
                                "ip address add 10.9.0.1/24 dev nic0",
                                "ip -6 address add 2001:db8:9::1/64 dev nic0 nodad",
                                "ip link set nic0 up", "ip link set far0 up"}) {
      ASSERT_EQ(std::system(command), 0) << command;
    }
  }
  // The entry after the keeper has kept this neighbour for a while.
  std::string entry_after_keeping(const std::string& address) {
    boost::asio::io_context loop;
    auto keeper = NeighborKeeper::start(loop.get_executor());
    EXPECT_TRUE(keeper);
    keeper->keep({parse_ip_address(address).value()});
    loop.run_for(1200ms);
    return output_of("ip neigh show to " + address + " dev nic0 nud all");
  }
};

TEST_F(Keeper, LeavesAnOperatorsPermanentEntryAlone) {
  for (const std::string address : {"10.9.0.2", "2001:db8:9::2"}) {
    ASSERT_EQ(
        std::system(("ip neigh add " + address + " lladdr 02:00:00:00:00:99 dev nic0 nud permanent")
                        .c_str()),
        0);
    const auto entry = entry_after_keeping(address);
    EXPECT_NE(entry.find("02:00:00:00:00:99"), std::string::npos) << entry;
    EXPECT_NE(entry.find("PERMANENT"), std::string::npos) << entry;
  }
}

TEST_F(Keeper, LeavesAnEntryThatNeedsNoResolutionAlone) {
  for (const std::string address : {"10.9.0.3", "2001:db8:9::3"}) {
    ASSERT_EQ(
        std::system(
            ("ip neigh add " + address + " lladdr 02:00:00:00:00:99 dev nic0 nud noarp").c_str()),
        0);
    const auto entry = entry_after_keeping(address);
    EXPECT_NE(entry.find("NOARP"), std::string::npos) << entry;
  }
}

TEST_F(Keeper, ResolvesANeighborThatNobodyKnows) {
  const auto entry = entry_after_keeping("10.9.0.4");
  // The entry is FAILED if the machine was busy during the seconds in which nobody answered.
  const bool asked = entry.find("INCOMPLETE") != entry.npos || entry.find("FAILED") != entry.npos;
  EXPECT_TRUE(asked) << entry;
}

}  // namespace
}  // namespace sluice::network
