// Networks: the subnets from which addresses are allocated. They are not part of Model, because
// they come from sluiced's configuration, not from the API.
//
// A subnet is declared by one line of comma-separated words, the name first:
//
//   private-subnet,network=private,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99,gateway=10.0.0.1
//   public-subnet,network=public-net,cidr=172.24.4.0/24,external
//
// `network` is the subnet's name when it is left out, and subnets that name the same network share
// it. `range` bounds what is allocated, and defaults to the whole subnet without its first and last
// address and its gateway. `external` makes the network one that floating IPs are taken from. `id`
// and `network-id` set UUIDs; without them they follow from the names, the same at every start.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "model/objects.hpp"

namespace sluice::model {

struct Subnet {
  Uuid id{};
  std::string name;
  Uuid network_id{};
  IpNetwork cidr;
  IpAddress first, last;  // of the addresses that are allocated
  std::optional<IpAddress> gateway;

  bool operator==(const Subnet&) const = default;
};

struct Network {
  Uuid id{};
  std::string name;
  bool external = false;
  std::vector<Subnet> subnets;  // in the order of their declaration, at least one

  bool operator==(const Network&) const = default;
};

class Networks {
 public:
  // Declares a subnet. ErrorKind::invalid names the line and what is wrong in it.
  Result<void> declare(std::string_view line);

  const std::vector<Network>& all() const { return networks_; }
  bool empty() const { return networks_.empty(); }
  const Network* find_network(const Uuid& id) const;
  const Subnet* find_subnet(const Uuid& id) const;
  // The subnet that contains the address.
  const Subnet* subnet_of(const IpAddress& address) const;

 private:
  std::vector<Network> networks_;
};

// Returns the lowest free address of the subnet; ErrorKind::conflict if there is none. The caller
// must put the address into the same model before the next call.
Result<IpAddress> allocate_address(const Model& model, const Subnet& subnet);

}  // namespace sluice::model
