// LoadBalancerBanks: the bank of each load balancer's listeners and members (maps/listener_bank.h).
// Pure.
//
// A load balancer keeps its bank as long as an index is its own, be it of a removed object that may
// come back. A new one gets the bank with the fewest listeners.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/uuid.hpp"

namespace sluice::dataplane {

class LoadBalancerBanks {
 public:
  LoadBalancerBanks(std::uint32_t listeners, std::uint32_t members);

  // The load balancer's bank; if it has none, the one that it gets with its first object.
  std::uint32_t bank_of(const Uuid& load_balancer) const;
  // How many listeners the load balancer may have, given those of the others in its bank.
  std::uint32_t most_listeners_of(const Uuid& load_balancer) const;

  // The index belongs to a listener or member of this load balancer, which is in this bank.
  void put_listener(std::uint32_t index, const Uuid& load_balancer);
  void put_member(std::uint32_t index, const Uuid& load_balancer, std::uint32_t bank);
  // The object was removed. Its index is the load balancer's until it goes to another one.
  void remove_listener(std::uint32_t index);
  void remove_member(std::uint32_t index);

 private:
  struct Owner {
    Uuid load_balancer{};
    bool is_owned = false;  // by a load balancer, perhaps by a nil one
    bool is_used = false;   // the object was not removed
  };
  struct Place {
    std::uint32_t bank = 0;
    std::uint32_t indices = 0;    // that are its own
    std::uint32_t objects = 0;    // that it has
    std::uint32_t listeners = 0;  // among them
  };
  using Owners = std::vector<Owner>;
  void put(Owners& owners, std::uint32_t index, const Uuid& load_balancer, std::uint32_t bank);
  void remove(Owners& owners, std::uint32_t index);
  // Notes one object more or less.
  void count(const Owners& owners, Place& place, int change);
  std::uint32_t least_used() const;

  struct Bank {
    std::uint32_t listeners = 0;
    std::uint32_t load_balancers = 0;  // those with objects, which may get listeners
  };
  std::vector<Bank> banks_;
  Owners listeners_, members_;  // by index
  std::map<Uuid, Place> places_;
};

}  // namespace sluice::dataplane
