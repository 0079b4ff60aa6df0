// Plan: the smallest list of requests that leads from the present state to a manifest's.
//
// Items are matched by what can't change: a load balancer by its VIP (by its name if the file
// leaves the VIP to sluiced), a listener by protocol and port, a pool by name and protocol, a
// member by address and port, a health monitor by its type. Items without a match are created or
// removed.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "sluicectl/manifest/item.hpp"

namespace sluice::ctl {

struct Step {
  // The parts in the order in which they must be carried out: what is removed frees addresses.
  enum class Rank {
    removed_floating_ips,
    removed_load_balancer,
    load_balancer,
    reserved_floating_ips
  };

  boost::json::object request;  // as POST /v1/batch takes it
  std::string text;             // for people: "~ member 10.0.0.4:80 of pool web: weight 1 -> 5"
  const Item* cause = nullptr;  // in the manifest; null for removals
  Rank rank = Rank::load_balancer;
  const Item* part = nullptr;  // the load balancer that it is a part of; null: none
};

// Steps of one load balancer, which refer to each other only.
struct Part {
  std::string title;  // "load balancer web"
  std::vector<Step> steps;
};

// Makes the steps, which both must outlive. Errors name `file`: two items are the same object, or a
// default pool is missing.
Result<std::vector<Step>> plan(const std::string& file, const Item& wanted, const Item& there);

// The same steps, load balancer by load balancer.
std::vector<Part> parts_of(const std::vector<Step>& steps);

}  // namespace sluice::ctl
