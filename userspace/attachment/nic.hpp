// A network interface of this network namespace, as far as attaching to it needs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attachment/attachment.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::attachment {

using MacAddress = std::array<std::uint8_t, 6>;

struct Nic {
  std::uint32_t index = 0;
  std::string name;
  MacAddress mac{};
  // Its first addresses that are good beyond the link; from these tunnels start.
  std::optional<IpAddress> ipv4 = {}, ipv6 = {};
};
// ErrorKind::not_found for an unknown name, ErrorKind::unsupported for one that isn't Ethernet.
Result<Nic> find_nic(const std::string& name);
// nullopt: no such index here.
std::optional<std::string> nic_name(std::uint32_t index);
// The bridge that the NIC is a port of; nullopt: none.
std::optional<std::string> bridge_of(const std::string& name);
bool is_veth(const std::string& name);
// 0: no such name here.
std::uint32_t nic_index(const std::string& name);

// bpf_fib_lookup answers for an interface only while it forwards: net.ipv4.conf.IF.forwarding and
// net.ipv6.conf.IF.forwarding. A forwarding interface takes router advertisements only where
// accept_ra is 2, so 1 becomes 2. A kernel without IPv6 counts as one that forwards it already.
//
// SLUICE_IPV4_FORWARDED_BEFORE and SLUICE_IPV6_FORWARDED_BEFORE (maps/interface.h), as they are
// now.
Result<std::uint8_t> forwarding(const std::string& interface);
// Turns on what is not in `before`; returns `before` with SLUICE_ACCEPT_RA_RAISED if that was done.
Result<std::uint8_t> enable_forwarding(const std::string& interface, std::uint8_t before);
// What enable_forwarding() changed, given what it returned, as sysctl would have it:
// "net.ipv4.conf.eth0.forwarding=1". With `back` as restore_forwarding() sets it.
std::vector<std::string> forwarding_changes(const std::string& interface, std::uint8_t before,
                                            bool back);
// Puts back what enable_forwarding() changed.
Result<void> restore_forwarding(const std::string& interface, std::uint8_t before);

// The XDP program that the interface runs.
struct RunningXdp {
  XdpMode mode = XdpMode::none;
  std::uint32_t program_id = 0;
};
Result<RunningXdp> running_xdp(std::uint32_t interface_index);

}  // namespace sluice::attachment
