#include "dataplane/load_balancer_banks.hpp"

#include <algorithm>

#include "maps/listener_bank.h"

namespace sluice::dataplane {

LoadBalancerBanks::LoadBalancerBanks(std::uint32_t listeners, std::uint32_t members)
    : banks_(std::max<std::uint32_t>(1, sluice_bank_of_listener(listeners))),
      listeners_(listeners),
      members_(members) {}

// Members come before listeners, and many load balancers may come together. So those without
// listeners count, too.
std::uint32_t LoadBalancerBanks::least_used() const {
  const auto found = std::ranges::min_element(
      banks_, {}, [](const Bank& bank) { return bank.listeners + bank.load_balancers; });
  return static_cast<std::uint32_t>(found - banks_.begin());
}

std::uint32_t LoadBalancerBanks::bank_of(const Uuid& load_balancer) const {
  const auto found = places_.find(load_balancer);
  return found == places_.end() ? least_used() : found->second.bank;
}

std::uint32_t LoadBalancerBanks::most_listeners_of(const Uuid& load_balancer) const {
  const auto found = places_.find(load_balancer);
  const auto own = found == places_.end() ? 0 : found->second.listeners;
  const auto others = banks_[bank_of(load_balancer)].listeners - own;
  return static_cast<std::uint32_t>(SLUICE_BANK_LISTENERS) - others;
}

void LoadBalancerBanks::put_listener(std::uint32_t index, const Uuid& load_balancer) {
  put(listeners_, index, load_balancer, sluice_bank_of_listener(index));
}
void LoadBalancerBanks::put_member(std::uint32_t index, const Uuid& load_balancer,
                                   std::uint32_t bank) {
  put(members_, index, load_balancer, bank);
}
void LoadBalancerBanks::remove_listener(std::uint32_t index) {
  remove(listeners_, index);
}
void LoadBalancerBanks::remove_member(std::uint32_t index) {
  remove(members_, index);
}

void LoadBalancerBanks::put(Owners& owners, std::uint32_t index, const Uuid& load_balancer,
                            std::uint32_t bank) {
  auto& owner = owners[index];
  const bool is_new = !owner.is_owned || owner.load_balancer != load_balancer;
  if (!is_new && owner.is_used) return;
  if (is_new) {
    auto& place = places_.try_emplace(load_balancer, Place{bank, 0, 0, 0}).first->second;
    ++place.indices;
    if (owner.is_used) remove(owners, index);
    if (const auto former = owner.is_owned ? places_.find(owner.load_balancer) : places_.end();
        former != places_.end() && --former->second.indices == 0) {
      places_.erase(former);
    }
    owner = {load_balancer, true, false};
  }
  owner.is_used = true;
  count(owners, places_.at(load_balancer), 1);
}

void LoadBalancerBanks::remove(Owners& owners, std::uint32_t index) {
  auto& owner = owners[index];
  if (!owner.is_used) return;
  owner.is_used = false;
  count(owners, places_.at(owner.load_balancer), -1);
}

void LoadBalancerBanks::count(const Owners& owners, Place& place, int change) {
  auto& bank = banks_[place.bank];
  const auto add = [change](std::uint32_t& to) { to += static_cast<std::uint32_t>(change); };
  if (place.objects == 0) ++bank.load_balancers;
  add(place.objects);
  if (place.objects == 0) --bank.load_balancers;
  if (&owners != &listeners_) return;
  add(place.listeners);
  add(bank.listeners);
}

}  // namespace sluice::dataplane
