// A network interface of this network namespace, as far as attaching to it needs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "dataplane/attachment.hpp"

namespace sluice::dataplane {

using MacAddress = std::array<std::uint8_t, 6>;

struct Nic {
  std::uint32_t index = 0;
  std::string name;
  MacAddress mac{};
};
// ErrorKind::not_found for an unknown name, ErrorKind::unsupported for one that isn't Ethernet.
Result<Nic> find_nic(const std::string& name);
// nullopt: no such index here.
std::optional<std::string> nic_name(std::uint32_t index);
// 0: no such name here.
std::uint32_t nic_index(const std::string& name);

// net.ipv4.conf.IF.forwarding
Result<bool> forwarding(const std::string& interface);
Result<void> set_forwarding(const std::string& interface, bool enabled);

// The XDP program that the interface runs.
struct RunningXdp {
  XdpMode mode = XdpMode::none;
  std::uint32_t program_id = 0;
};
Result<RunningXdp> running_xdp(std::uint32_t interface_index);

}  // namespace sluice::dataplane
