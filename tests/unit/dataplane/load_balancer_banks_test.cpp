#include "dataplane/load_balancer_banks.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "maps/listener_bank.h"

namespace sluice::dataplane {
namespace {

class LoadBalancerBanksTest : public ::testing::Test {
 protected:
  // Puts a listener into its load balancer's bank.
  std::uint32_t add_listener(const Uuid& load_balancer) {
    const auto bank = banks.bank_of(load_balancer);
    const auto index = bank * SLUICE_BANK_LISTENERS + listeners_in_[bank]++;
    banks.put_listener(static_cast<std::uint32_t>(index), load_balancer);
    return static_cast<std::uint32_t>(index);
  }
  std::uint32_t add_member(const Uuid& load_balancer) {
    banks.put_member(members_, load_balancer, banks.bank_of(load_balancer));
    return members_++;
  }

  const Uuid a = new_uuid(), b = new_uuid();
  LoadBalancerBanks banks{SLUICE_MAX_LISTENERS, SLUICE_MAX_MEMBERS};

 private:
  std::map<std::uint32_t, std::uint32_t> listeners_in_;
  std::uint32_t members_ = 0;
};

TEST_F(LoadBalancerBanksTest, AllOfALoadBalancerIsInOneBank) {
  add_member(a);
  const auto bank = banks.bank_of(a);
  for (int i = 0; i < 100; ++i) add_listener(new_uuid());
  EXPECT_EQ(banks.bank_of(a), bank);
  EXPECT_EQ(sluice_bank_of_listener(add_listener(a)), bank);
}

// Members come before listeners, and those of all load balancers of a file before any listener.
TEST_F(LoadBalancerBanksTest, ManyLoadBalancersFitWhicheverOfTheirObjectsComeFirst) {
  std::vector<Uuid> load_balancers;
  for (int i = 0; i < 10'000; ++i) add_member(load_balancers.emplace_back(new_uuid()));
  std::map<std::uint32_t, std::uint32_t> listeners;
  for (const auto& id : load_balancers) {
    for (int i = 0; i < 3; ++i) ++listeners[banks.bank_of(id)];
  }
  ASSERT_EQ(listeners.size(), SLUICE_LISTENER_BANKS);
  for (const auto& [bank, count] : listeners) EXPECT_LE(count, SLUICE_BANK_LISTENERS) << bank;
}

TEST_F(LoadBalancerBanksTest, ABankIsChosenByItsListenersNotByThoseThatWereRemoved) {
  std::vector<std::uint32_t> indices;
  for (int i = 0; i < 20; ++i) indices.push_back(add_listener(a));
  EXPECT_NE(banks.bank_of(b), banks.bank_of(a));
  for (const auto index : indices) banks.remove_listener(index);
  EXPECT_EQ(banks.bank_of(b), 0U);
}

// A removed member's connections go on, and it may come back and get its index again.
TEST_F(LoadBalancerBanksTest, ALoadBalancerKeepsItsBankAsLongAsAnIndexIsItsOwn) {
  add_listener(b);
  const auto member = add_member(a);
  const auto bank = banks.bank_of(a);
  ASSERT_NE(bank, 0U);
  banks.remove_member(member);
  ASSERT_EQ(sluice_bank_of_listener(add_listener(new_uuid())), bank) << "nothing counts there";
  EXPECT_EQ(banks.bank_of(a), bank);
  banks.put_member(member, new_uuid(), 0);  // it has gone to another one
  EXPECT_EQ(banks.bank_of(a), 2U) << "the bank with the fewest";
}

TEST_F(LoadBalancerBanksTest, SaysHowManyListenersALoadBalancerMayHave) {
  EXPECT_EQ(banks.most_listeners_of(a), SLUICE_BANK_LISTENERS);
  add_member(a);
  add_listener(a);
  EXPECT_EQ(banks.most_listeners_of(a), SLUICE_BANK_LISTENERS);
  banks.put_member(100, b, banks.bank_of(a));
  for (int i = 0; i < 10; ++i) add_listener(b);
  EXPECT_EQ(banks.most_listeners_of(a), SLUICE_BANK_LISTENERS - 10);
  EXPECT_EQ(banks.most_listeners_of(b), SLUICE_BANK_LISTENERS - 1);
}

TEST_F(LoadBalancerBanksTest, ADataPlaneOfAnEarlierVersionHasOneBank) {
  LoadBalancerBanks one{SLUICE_BANK_LISTENERS, SLUICE_MAX_MEMBERS};
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto id = new_uuid();
    EXPECT_EQ(one.bank_of(id), 0U);
    one.put_listener(i, id);
  }
}

}  // namespace
}  // namespace sluice::dataplane
