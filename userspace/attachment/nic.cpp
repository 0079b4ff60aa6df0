#include "attachment/nic.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "base/fd.hpp"
#include "kernel/libbpf_log.hpp"
#include "maps/interface.h"

namespace sluice::attachment {
namespace {

std::string setting(int version, const std::string& interface, const char* name) {
  return "/proc/sys/net/ipv" + std::to_string(version) + "/conf/" + interface + "/" + name;
}

Result<int> read_setting(const std::string& path) {
  std::ifstream file(path);
  int value = 0;
  if (!(file >> value)) return fail_errno(errno ? errno : EIO, "read " + path);
  return value;
}

Result<void> write_setting(const std::string& path, int value) {
  std::ofstream file(path);
  file << value << std::flush;
  if (!file) return kernel::fail_bpf(errno ? errno : EIO, "write " + path);
  return {};
}

void find_addresses(Nic& nic) {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(list, freeifaddrs);
  for (const auto* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || nic.name != one->ifa_name) continue;
    if (one->ifa_addr->sa_family == AF_INET && !nic.ipv4) {
      nic.ipv4 = ipv4_from_be32(reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr.s_addr);
    } else if (one->ifa_addr->sa_family == AF_INET6 && !nic.ipv6) {
      boost::asio::ip::address_v6::bytes_type bytes;
      const auto& address = reinterpret_cast<sockaddr_in6*>(one->ifa_addr)->sin6_addr;
      std::copy(std::begin(address.s6_addr), std::end(address.s6_addr), bytes.begin());
      const boost::asio::ip::address_v6 found(bytes);
      if (!found.is_link_local()) nic.ipv6 = found;
    }
  }
}

XdpMode mode_of(std::uint8_t attach_mode) {
  switch (attach_mode) {
    case XDP_ATTACHED_DRV:
      return XdpMode::native;
    case XDP_ATTACHED_SKB:
      return XdpMode::generic;
    case XDP_ATTACHED_HW:
      return XdpMode::hardware;
    default:
      return XdpMode::none;
  }
}

}  // namespace

const char* to_string(XdpMode mode) {
  switch (mode) {
    case XdpMode::native:
      return "native";
    case XdpMode::generic:
      return "generic";
    case XdpMode::hardware:
      return "hardware";
    case XdpMode::none:
      break;
  }
  return "none";
}

Result<Nic> find_nic(const std::string& name) {
  Nic nic;
  nic.name = name;
  nic.index = nic_index(name);
  if (nic.index == 0) {
    return fail(ErrorKind::not_found, "there is no interface '" + name + "'",
                "list them with: ip -brief link");
  }
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "open a socket");
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) {
    return fail_errno(errno, "read the MAC address of " + name);
  }
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    return fail(ErrorKind::unsupported, "interface '" + name + "' is not Ethernet",
                "attach to the NIC that carries the traffic");
  }
  std::copy_n(request.ifr_hwaddr.sa_data, nic.mac.size(), nic.mac.begin());
  find_addresses(nic);
  return nic;
}

std::optional<std::string> nic_name(std::uint32_t index) {
  char name[IF_NAMESIZE];
  if (if_indextoname(index, name) == nullptr) return std::nullopt;
  return name;
}

std::uint32_t nic_index(const std::string& name) {
  return if_nametoindex(name.c_str());
}

Result<std::uint8_t> forwarding(const std::string& interface) {
  const auto v4 = read_setting(setting(4, interface, "forwarding"));
  if (!v4) return tl::unexpected(v4.error());
  unsigned flags = *v4 != 0 ? SLUICE_IPV4_FORWARDED_BEFORE : 0;
  const auto v6 = read_setting(setting(6, interface, "forwarding"));
  if (!v6 || *v6 != 0) flags |= SLUICE_IPV6_FORWARDED_BEFORE;
  return static_cast<std::uint8_t>(flags);
}

Result<std::uint8_t> enable_forwarding(const std::string& interface, std::uint8_t before) {
  if (!(before & SLUICE_IPV4_FORWARDED_BEFORE)) {
    if (auto set = write_setting(setting(4, interface, "forwarding"), 1); !set) {
      return tl::unexpected(std::move(set.error()));
    }
  }
  if (before & SLUICE_IPV6_FORWARDED_BEFORE) return before;
  // This setting comes first, so that no advertisement is missed between the two.
  const auto accept_ra = setting(6, interface, "accept_ra");
  if (const auto accepts = read_setting(accept_ra); accepts && *accepts == 1) {
    if (auto set = write_setting(accept_ra, 2); !set) return tl::unexpected(set.error());
    before |= SLUICE_ACCEPT_RA_RAISED;
  }
  if (auto set = write_setting(setting(6, interface, "forwarding"), 1); !set) {
    return tl::unexpected(std::move(set.error()));
  }
  return before;
}

std::vector<std::string> forwarding_changes(const std::string& interface, std::uint8_t before,
                                            bool back) {
  std::vector<std::string> changes;
  const auto add = [&](int version, const char* name, int changed, int was) {
    changes.push_back(
        fmt::format("net.ipv{}.conf.{}.{}={}", version, interface, name, back ? was : changed));
  };
  if (!(before & SLUICE_IPV4_FORWARDED_BEFORE)) add(4, "forwarding", 1, 0);
  if (!(before & SLUICE_IPV6_FORWARDED_BEFORE)) add(6, "forwarding", 1, 0);
  if (before & SLUICE_ACCEPT_RA_RAISED) add(6, "accept_ra", 2, 1);
  return changes;
}

Result<void> restore_forwarding(const std::string& interface, std::uint8_t before) {
  Result<void> result;
  const auto put_back = [&](int version, const char* name, int value) {
    auto set = write_setting(setting(version, interface, name), value);
    if (!set && result) result = std::move(set);
  };
  if (!(before & SLUICE_IPV4_FORWARDED_BEFORE)) put_back(4, "forwarding", 0);
  if (!(before & SLUICE_IPV6_FORWARDED_BEFORE)) put_back(6, "forwarding", 0);
  if (before & SLUICE_ACCEPT_RA_RAISED) put_back(6, "accept_ra", 1);
  return result;
}

Result<RunningXdp> running_xdp(std::uint32_t interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int error = bpf_xdp_query(static_cast<int>(interface_index), 0, &query)) {
    return kernel::fail_bpf(
        error, "ask which XDP program runs on interface " + std::to_string(interface_index));
  }
  // A NIC may run one program per mode; packets meet the driver's first.
  if (query.drv_prog_id) return RunningXdp{XdpMode::native, query.drv_prog_id};
  if (query.hw_prog_id) return RunningXdp{XdpMode::hardware, query.hw_prog_id};
  if (query.skb_prog_id) return RunningXdp{XdpMode::generic, query.skb_prog_id};
  return RunningXdp{mode_of(query.attach_mode), query.prog_id};
}

}  // namespace sluice::attachment
