// Host: the addresses, links and gateways of this network namespace as values, and whether they
// leave an address free.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "network/mac_address.hpp"

namespace sluice::network {

struct HostLink {
  std::uint32_t index = 0;
  std::string name;
  std::optional<MacAddress> mac;  // nullopt: no Ethernet
  std::uint32_t parent = 0;       // of a VLAN interface: what it is on top of
};

struct HostAddress {
  IpAddress address;
  IpNetwork subnet;
  std::uint32_t interface_index = 0;
};

struct HostGateway {
  IpAddress address;
  std::uint32_t interface_index = 0;
};

struct Host {
  std::vector<HostLink> links;
  std::vector<HostAddress> addresses;
  std::vector<HostGateway> gateways;  // of all routes, each once
};

// At most so many routes are read. A host with a full routing table has few gateways, and they are
// near its beginning; a gateway that is missed answers for itself when it is asked.
constexpr std::size_t max_routes_read = 20000;

Result<Host> read_host();

// To follow "is": "this host's own (eth0)"; nullopt: it is not.
std::optional<std::string> own_on(const Host& host, const IpAddress& address);

// The holder of the address as far as this host knows, to follow "is": this host, or "the gateway
// of a route of this host (eth0)"; nullopt: nobody.
std::optional<std::string> holder_on(const Host& host, const IpAddress& address);

// A place to ask who has an address.
struct Question {
  std::uint32_t interface_index = 0;
  IpAddress source;  // our own there
  IpAddress address;
};

// The attached NICs, and VLAN interfaces on them, that have a subnet with the address.
std::vector<Question> questions(const Host& host, const std::vector<std::uint32_t>& attached,
                                const IpAddress& address);

}  // namespace sluice::network
