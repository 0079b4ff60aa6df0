#include "attachment/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "kernel/machine.hpp"

namespace sluice::attachment {
namespace {

using MaybeFinding = std::optional<Finding>;

Finding ok(std::string subject, std::string found) {
  return {std::move(subject), Verdict::ok, std::move(found), {}};
}
Finding warn(std::string subject, std::string found, std::string mend = {}) {
  return {std::move(subject), Verdict::warn, std::move(found), std::move(mend)};
}
Finding fail(std::string subject, std::string found, std::string mend = {}) {
  return {std::move(subject), Verdict::fail, std::move(found), std::move(mend)};
}

template <std::size_t N>
bool among(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

// ---- what kind of interface it is ----

MaybeFinding check_stacked(const NicFacts& nic) {
  const auto on_parent = nic.parent ? "sluice-loader attach " + nic.parent->name : std::string();
  if (nic.kind == "vlan") {
    return warn("kind",
                "is a VLAN interface, which has no native XDP: attach to its parent, whose VLANs "
                "Sluice knows",
                on_parent);
  }
  if (nic.kind == "macvlan" || nic.kind == "ipvlan") {
    return warn(
        "kind",
        fmt::format("is a {} interface, which has no native XDP: attach to its parent", nic.kind),
        on_parent);
  }
  return std::nullopt;
}

Finding check_bond(const NicFacts& nic) {
  if (nic.ports.empty()) return fail("kind", "is a bond without ports");
  return ok("kind", fmt::format("is a bond: native XDP runs on its ports {}, if the driver of each "
                                "has it (--mode native makes sure)",
                                fmt::join(nic.ports, ", ")));
}

Finding check_kind(const NicFacts& nic) {
  if (!nic.ethernet) {
    return fail("kind",
                nic.kind.empty()
                    ? "is not Ethernet: attach to the NIC that carries the traffic"
                    : fmt::format("is a {} interface and not Ethernet: attach to the NIC that "
                                  "carries the traffic",
                                  nic.kind));
  }
  if (auto stacked = check_stacked(nic)) return std::move(*stacked);
  if (nic.kind == "bond") return check_bond(nic);
  if (nic.kind == "team") {
    return warn("kind", "is a team, which has no native XDP: attach to its ports",
                nic.ports.empty()
                    ? std::string()
                    : fmt::format("sluice-loader attach {}", fmt::join(nic.ports, " ")));
  }
  if (nic.kind == "bridge") {
    return warn("kind",
                "is a bridge, which has no native XDP: its ports and it work together in "
                "generic mode only",
                fmt::format("sluice-loader attach {} --mode generic", nic.name));
  }
  return ok("kind",
            nic.driver.empty() ? "is Ethernet" : fmt::format("is Ethernet, driver {}", nic.driver));
}

MaybeFinding check_master(const NicFacts& nic) {
  if (!nic.master) return std::nullopt;
  const auto& [name, kind] = *nic.master;
  const auto attach = "sluice-loader attach " + name;
  if (kind == "bridge" || kind == "openvswitch") {
    return fail(
        "master",
        fmt::format("is a port of {0}, which has the host's addresses and routes, and which "
                    "XDP can't send to: attach {0} instead",
                    name),
        attach);
  }
  if (kind == "bond") {
    return warn("master",
                fmt::format("is a port of bond {}: attach to the bond in native mode, or to all of "
                            "its ports",
                            name),
                attach + " --mode native");
  }
  if (kind == "team") {
    return warn("master", fmt::format("is a port of team {}: attach to all of its ports", name));
  }
  return std::nullopt;
}

MaybeFinding check_link(const NicFacts& nic) {
  if (nic.up) return std::nullopt;
  return warn("link", "is down", fmt::format("ip link set {} up", nic.name));
}

MaybeFinding check_occupied(const NicFacts& nic) {
  if (nic.xdp_program == 0) return std::nullopt;
  if (nic.xdp_is_ours) return ok("program", "carries Sluice already");
  return fail("program",
              fmt::format("carries XDP program {}: take it off, or run both (--shared), if it was "
                          "loaded through libxdp",
                          nic.xdp_program),
              fmt::format("sluice-loader attach {} --shared", nic.name));
}

// ---- the driver ----

// Drivers whose native XDP takes packets of several buffers, as Sluice's program does, and so any
// MTU; and the kernel since which they do.
constexpr std::array<std::pair<std::string_view, KernelVersion>, 8> takes_any_mtu = {{
    {"veth", {5, 18}},
    {"mvneta", {5, 18}},
    {"mlx5_core", {5, 18}},
    {"bnxt_en", {5, 19}},
    {"virtio_net", {6, 3}},
    {"ice", {6, 3}},
    {"i40e", {6, 4}},
    {"bonding", {5, 18}},  // its ports decide
}};

bool takes_any(std::string_view driver, KernelVersion kernel) {
  return std::ranges::any_of(takes_any_mtu, [&](const auto& known) {
    return known.first == driver && kernel >= known.second;
  });
}

// What is left of a page for others.
constexpr std::uint32_t most_of_a_page = 3498;

std::uint32_t native_mtu(std::string_view driver) {
  return driver == "gve" ? 2032 : most_of_a_page;
}

MaybeFinding check_mtu(const NicFacts& nic, const HostFacts& host) {
  if (takes_any(nic.driver, host.kernel) || nic.mtu <= native_mtu(nic.driver)) {
    return ok("mtu", fmt::format("MTU {}", nic.mtu));
  }
  return warn("mtu",
              fmt::format("MTU {} may be too large for native XDP, whose packets fit one buffer "
                          "with this driver and kernel: then attach falls back to generic mode",
                          nic.mtu),
              fmt::format("ip link set {} mtu {}", nic.name, native_mtu(nic.driver)));
}

Finding check_lro(const NicFacts& nic) {
  if (!nic.lro) return ok("lro", "large receive offload is off");
  return warn("lro",
              "large receive offload is on: the NIC joins packets, and most drivers refuse native "
              "XDP meanwhile",
              fmt::format("ethtool -K {} lro off", nic.name));
}

// Drivers that need as many free queues for what XDP sends as there are in use.
constexpr std::array<std::string_view, 2> wants_half_of_the_queues = {"ena", "gve"};

MaybeFinding check_channels(const NicFacts& nic, const HostFacts& host) {
  if (!nic.channels) return std::nullopt;
  const auto& [rx, tx, combined, most] = *nic.channels;
  const bool halves = among(nic.driver, wants_half_of_the_queues);
  const auto usable = halves ? most / 2 : most;
  const auto wanted = std::min(host.cpus, usable);
  const auto command = fmt::format("ethtool -L {} combined {}", nic.name, wanted);
  if (combined == 0 && rx > 0 && most > 0) {
    return warn("queues",
                fmt::format("{} receive and {} transmit queues are separate: XDP sends by the "
                            "queue of the CPU that received",
                            rx, tx),
                fmt::format("ethtool -L {} rx 0 tx 0 combined {}", nic.name, wanted));
  }
  const auto receives = std::max(rx, combined);
  // While a program runs, those that it sends by are among the queues in use.
  if (nic.driver == "virtio_net" && nic.xdp_program == 0 && combined + host.cpus > most) {
    const bool can_spare = most > host.cpus;
    return warn(
        "queues",
        fmt::format("{} of {} queues are in use, and native XDP of virtio-net wants one more "
                    "for each of {} CPUs: without them what it sends waits for a lock (the "
                    "hypervisor's queues={})",
                    combined, most, host.cpus, 2 * host.cpus),
        can_spare ? fmt::format("ethtool -L {} combined {}", nic.name,
                                std::min(host.cpus, most - host.cpus))
                  : std::string());
  }
  if (halves && combined > usable && usable > 0) {
    return warn("queues",
                fmt::format("{} of {} queues are in use: native XDP of {} needs the other half for "
                            "what it sends",
                            combined, most, nic.driver),
                command);
  }
  if (receives >= host.cpus) {
    return ok("queues", fmt::format("{} receive queues for {} CPUs", receives, host.cpus));
  }
  const bool has_more = wanted > receives;
  return warn("queues",
              fmt::format("{} CPUs, but receive queues for {}{}: the others balance no packets",
                          host.cpus, receives, has_more ? "" : ", and the NIC has no more"),
              has_more ? command : std::string());
}

MaybeFinding check_vlans(const NicFacts& nic) {
  if (nic.vlans.empty()) return std::nullopt;
  const auto names = fmt::format("{}", fmt::join(nic.vlans, ", "));
  if (!nic.strips_vlans) return ok("vlans", "VLAN tags of " + names + " stay in frames");
  return warn(
      "vlans",
      fmt::format("takes VLAN tags off frames before native XDP sees them, which then takes "
                  "the traffic of {} for untagged",
                  names),
      fmt::format("ethtool -K {} rxvlan off", nic.name));
}

Finding check_veth(const NicFacts& nic) {
  const auto there = nic.peer.empty() ? std::string("PEER") : nic.peer;
  const auto command = fmt::format("ethtool -K {} tx off tso off gso off", there);
  if (nic.peer_offloads && !*nic.peer_offloads)
    return ok("veth", fmt::format("is a veth whose other end {} computes checksums itself", there));
  const std::string why =
      "senders there must compute checksums and segments themselves, or nothing gets through";
  if (nic.peer_offloads)
    return fail("veth",
                fmt::format("is a veth whose other end {} leaves checksums open: {}", there, why),
                command);
  return warn("veth",
              "is a veth whose other end is in another network namespace, where this can't look: " +
                  why + ", and it needs an XDP program, too, to receive what XDP sends",
              "(there) " + command);
}

// Bits of virtio-net's features (linux/virtio_net.h).
constexpr std::uint64_t guest_checksum = 1U << 1, guest_offloads_can_change = 1U << 2,
                        guest_tso = (1U << 7) | (1U << 8), control_queue = 1U << 17;

Finding check_virtio(const NicFacts& nic) {
  const auto features = *nic.virtio_features;
  if (!(features & control_queue)) {
    return warn("virtio",
                "virtio-net without a control queue: offloads and queues can't be changed, and "
                "native XDP may be refused (the hypervisor's ctrl_vq=on)");
  }
  if ((features & (guest_tso | guest_checksum)) && !(features & guest_offloads_can_change)) {
    return warn(
        "virtio",
        "the hypervisor joins packets or leaves checksums open and can't be told not to, so "
        "that native XDP is refused (its guest_tso4=off,guest_tso6=off,guest_csum=off, or "
        "ctrl_guest_offloads=on)");
  }
  return ok("virtio", "virtio-net with what native XDP needs");
}

MaybeFinding check_driver(const NicFacts& nic) {
  if (nic.kind == "veth") return check_veth(nic);
  if (nic.virtio_features) return check_virtio(nic);
  if (nic.driver == "hv_netvsc") {
    return warn("driver",
                "hv_netvsc: with accelerated networking the packets come by a second NIC (a VF) "
                "under it, whose driver gets the program; compare both counters after attaching",
                "sluicectl drops");
  }
  return std::nullopt;
}

// ---- the host ----

MaybeFinding check_rp_filter(const NicFacts& nic) {
  if (!nic.rp_filter || *nic.rp_filter != 1) return std::nullopt;
  return warn(
      "rp_filter",
      "strict reverse path filter: the kernel drops what Sluice passes on to it (answers to "
      "probes, ICMP) when the way back leads by another interface",
      fmt::format("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{}.rp_filter=2",
                  nic.name));
}

Finding check_forwarding(const NicFacts& nic) {
  if (nic.forwards_ipv4) return ok("forwarding", "the kernel forwards, as next-hop lookups need");
  return ok("forwarding",
            "off; attach turns it on for this interface, and detach off again: a firewall decides "
            "what else it forwards");
}

MaybeFinding check_machine(const HostFacts& host) {
  const auto taken = kernel::require_machine(host.machine);
  if (taken) return std::nullopt;
  return fail("machine", taken.error().message);
}

Finding check_kernel(const NicFacts& nic, const HostFacts& host) {
  if (host.takes_xdp && !*host.takes_xdp) {
    return fail("kernel", "takes no XDP programs (CONFIG_BPF_SYSCALL, CONFIG_NET)");
  }
  if (host.takes_loop && !*host.takes_loop) {
    return fail("kernel", "has no bpf_loop: Linux 6.1 or later is needed");
  }
  if (host.jit && !*host.jit) {
    return warn("kernel", "interprets BPF programs, which is many times slower",
                "sysctl -w net.core.bpf_jit_enable=1");
  }
  if (!host.takes_xdp)
    return warn("kernel", "can't be asked without root", "sudo sluice-loader check " + nic.name);
  return ok("kernel", "has what the program needs");
}

Finding check_pins(const HostFacts& host) {
  if (host.bpf_file_system) return ok("pins", "the BPF file system is mounted");
  return warn("pins",
              "there is no BPF file system where programs are to be pinned; attach mounts "
              "/sys/fs/bpf, but no other",
              "mount -t bpf bpf /sys/fs/bpf");
}

MaybeFinding check_firewall(const HostFacts& host) {
  if (host.nftables_chains == 0 && !host.iptables_legacy) return std::nullopt;
  const auto what = host.nftables_chains > 0
                        ? fmt::format("{} nftables chains", host.nftables_chains)
                        : std::string("iptables' tables");
  return warn("firewall",
              what +
                  " will not see balanced packets: XDP is before them. Say who may connect in "
                  "the listener",
              "sluicectl loadbalancer listener set --allowed-cidr CIDR LISTENER");
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::warn:
      return "warn";
    case Verdict::fail:
      break;
  }
  return "fail";
}

std::vector<Finding> check(const NicFacts& nic, const HostFacts& host) {
  std::vector<Finding> findings{check_kind(nic)};
  const auto add = [&](MaybeFinding finding) {
    if (finding) findings.push_back(std::move(*finding));
  };
  add(check_master(nic));
  add(check_link(nic));
  add(check_occupied(nic));
  if (nic.ethernet) {
    add(check_mtu(nic, host));
    add(check_lro(nic));
    add(check_channels(nic, host));
    add(check_vlans(nic));
    add(check_driver(nic));
    add(check_rp_filter(nic));
    add(check_forwarding(nic));
  }
  add(check_machine(host));
  add(check_kernel(nic, host));
  add(check_pins(host));
  add(check_firewall(host));
  return findings;
}

}  // namespace sluice::attachment
