// Facts: what the kernel tells about a NIC and this host, as values for check.hpp. Nothing is
// changed by looking.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sluice::attachment {

// A link beside the NIC: its bond, its parent, a VLAN on it.
struct NeighborLink {
  std::string name;
  std::string kind;  // "bond", "bridge"; empty for a NIC

  bool operator==(const NeighborLink&) const = default;
};

// Receive and transmit queues as the driver groups them (ethtool -l).
struct Channels {
  std::uint32_t rx = 0, tx = 0, combined = 0;
  std::uint32_t most_combined = 0;
};

struct NicFacts {
  std::string name;
  std::string kind;    // rtnetlink's: "veth", "bond", "vlan"; empty for a NIC
  std::string driver;  // ethtool's: "virtio_net"; empty: unknown
  bool ethernet = true;
  bool up = true;
  std::uint32_t mtu = 1500;
  std::optional<NeighborLink> master;  // the bond, team or bridge that it is a port of
  std::optional<NeighborLink> parent;  // of a VLAN or macvlan interface, in this namespace
  std::vector<std::string> ports;      // of a bond or team
  std::vector<std::string> vlans;      // VLAN interfaces on it
  std::optional<Channels> channels;    // unset: the driver doesn't tell
  bool lro = false;                    // large receive offload is on
  bool strips_vlans = false;           // its hardware takes tags off frames
  // A veth's other end sends packets whose checksums are not computed; unset: it is in another
  // network namespace, where we can't look.
  std::optional<bool> peer_offloads;
  std::string peer;  // the other end's name; empty: elsewhere
  // virtio's negotiated features, as bits; unset: not virtio.
  std::optional<std::uint64_t> virtio_features;
  std::optional<int> rp_filter;  // the stricter one of the NIC's own and that for all
  bool forwards_ipv4 = true;
  std::uint32_t xdp_program = 0;  // runs on it; 0: none
  bool xdp_is_ours = false;
};

struct KernelVersion {
  std::uint32_t major = 0, minor = 0;

  auto operator<=>(const KernelVersion&) const = default;
};

struct HostFacts {
  KernelVersion kernel;
  std::string machine = "x86_64";  // as uname(2) names it
  std::uint32_t cpus = 1;
  bool bpf_file_system = true;      // where programs are to be pinned
  std::optional<bool> takes_xdp;    // the kernel's BPF knows XDP programs; unset: may not be asked
  std::optional<bool> takes_loop;   // and bpf_loop (Linux 5.17)
  std::optional<bool> jit;          // unset: the kernel doesn't tell
  std::size_t nftables_chains = 0;  // base chains, which see packets
  bool iptables_legacy = false;     // has tables
};

// ErrorKind::not_found for an unknown name.
Result<NicFacts> nic_facts(const std::string& name, const std::string& pin_directory);
HostFacts host_facts(const std::string& pin_directory);

}  // namespace sluice::attachment
