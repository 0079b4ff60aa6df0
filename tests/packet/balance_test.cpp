// Round robin: exact, smooth, and undisturbed by changes.
#include <thread>

#include "packet/world.hpp"

namespace sluice::test {
namespace {

using Balance = World;

TEST_F(Balance, TwoEqualMembersAlternateStrictly) {
  for (int i = 0; i < 20; ++i) {
    receive(from_client(SYN, 41000 + i));
    EXPECT_EQ(member_counters(i % 2).flows_opened, static_cast<std::uint64_t>(i / 2 + 1));
  }
}

TEST_F(Balance, WeightsThreeToOneAreExactInEveryRound) {
  put_pool(0, SLUICE_FULLNAT, {0, 0, 1, 0});
  for (int round = 1; round <= 5; ++round) {
    for (int i = 0; i < 4; ++i) receive(from_client(SYN, 41000 + round * 4 + i));
    EXPECT_EQ(member_counters(0).flows_opened, 3U * round);
    EXPECT_EQ(member_counters(1).flows_opened, 1U * round);
  }
}

TEST_F(Balance, ANewRingGoesOnWhereTheOldOneWas) {
  receive(from_client(SYN, 41000));
  ASSERT_EQ(member_counters(0).flows_opened, 1U);
  put_pool(0, SLUICE_FULLNAT, {0, 1});
  receive(from_client(SYN, 41001));
  EXPECT_EQ(member_counters(1).flows_opened, 1U) << "the first member must not be served again";
}

TEST_F(Balance, ParallelClientsOnAllCpusAreSplitExactly) {
  // Each thread gives the program one SYN after another on its own CPU; the flows are only counted.
  // 4 x 12 = 48 connections fit into the table.
  put_pool(0, SLUICE_FULLNAT, {0, 0, 1, 0});
  std::vector<std::thread> clients;
  for (int thread = 0; thread < 4; ++thread) {
    clients.emplace_back([this, thread] {
      for (int i = 0; i < 12; ++i)
        receive_repeatedly(from_client(SYN, 42000 + 100 * thread + i).bytes(), 1);
    });
  }
  for (auto& thread : clients) thread.join();
  EXPECT_EQ(member_counters(0).flows_opened, 36U);
  EXPECT_EQ(member_counters(1).flows_opened, 12U);
}

TEST_F(Balance, TheSameSynOnTwoCpusOpensOneConnection) {
  for (int attempt = 0; attempt < 20; ++attempt) {
    const Bytes syn = from_client(SYN, 43000 + attempt).bytes();
    std::vector<std::thread> cpus;
    for (int i = 0; i < 4; ++i) cpus.emplace_back([&] { receive_repeatedly(syn, 50); });
    for (auto& cpu : cpus) cpu.join();
    EXPECT_EQ(listener_counters(0).flows_opened, static_cast<std::uint64_t>(attempt + 1));
    EXPECT_EQ(flows().size(), 2U * (attempt + 1));
  }
}

}  // namespace
}  // namespace sluice::test
