// A network interface of this network namespace, with what attaching needs to know.
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
  // Its first addresses that are valid beyond the link: tunnels start from these.
  std::optional<IpAddress> ipv4 = {}, ipv6 = {};
};
// ErrorKind::not_found for an unknown name, ErrorKind::unsupported for one that isn't Ethernet.
Result<Nic> find_nic(const std::string& name);
// The NIC's name; nullopt if there is no such index here.
std::optional<std::string> nic_name(std::uint32_t index);
// The NIC's index; 0 if there is no such name here.
std::uint32_t nic_index(const std::string& name);

// bpf_fib_lookup answers for an interface only while that forwards (net.ipv4.conf.IF.forwarding and
// net.ipv6.conf.IF.forwarding). A forwarding interface accepts router advertisements only if
// accept_ra is 2, so 1 is raised to 2. A kernel without IPv6 counts as one that forwards it
// already.
//
// forwarding() returns the present state as SLUICE_IPV4_FORWARDED_BEFORE and
// SLUICE_IPV6_FORWARDED_BEFORE (maps/interface.h).
Result<std::uint8_t> forwarding(const std::string& interface);
// Turns on what `before` lacks; returns `before`, with SLUICE_ACCEPT_RA_RAISED if accept_ra was
// raised.
Result<std::uint8_t> enable_forwarding(const std::string& interface, std::uint8_t before);
// Lists what enable_forwarding() changed, given what it returned, in sysctl's form:
// "net.ipv4.conf.eth0.forwarding=1". With `back`, lists what restore_forwarding() sets.
std::vector<std::string> forwarding_changes(const std::string& interface, std::uint8_t before,
                                            bool back);
// Undoes what enable_forwarding() changed.
Result<void> restore_forwarding(const std::string& interface, std::uint8_t before);

// The XDP program that the interface runs.
struct RunningXdp {
  XdpMode mode = XdpMode::none;
  std::uint32_t program_id = 0;
};
Result<RunningXdp> running_xdp(std::uint32_t interface_index);

}  // namespace sluice::attachment
