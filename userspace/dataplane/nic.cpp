#include "dataplane/nic.hpp"

#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "dataplane/fd.hpp"
#include "dataplane/libbpf_log.hpp"

namespace sluice::dataplane {
namespace {

std::string forwarding_file(const std::string& interface) {
  return "/proc/sys/net/ipv4/conf/" + interface + "/forwarding";
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

Result<bool> forwarding(const std::string& interface) {
  std::ifstream file(forwarding_file(interface));
  int value = 0;
  if (!(file >> value))
    return fail_errno(errno ? errno : EIO, "read " + forwarding_file(interface));
  return value != 0;
}

Result<void> set_forwarding(const std::string& interface, bool enabled) {
  std::ofstream file(forwarding_file(interface));
  file << (enabled ? 1 : 0) << std::flush;
  if (!file) return fail_bpf(errno ? errno : EIO, "write " + forwarding_file(interface));
  return {};
}

Result<RunningXdp> running_xdp(std::uint32_t interface_index) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (const int error = bpf_xdp_query(static_cast<int>(interface_index), 0, &query)) {
    return fail_bpf(error,
                    "ask which XDP program runs on interface " + std::to_string(interface_index));
  }
  // A NIC may run one program per mode; the ones in the driver come first on the packet's way.
  if (query.drv_prog_id) return RunningXdp{XdpMode::native, query.drv_prog_id};
  if (query.hw_prog_id) return RunningXdp{XdpMode::hardware, query.hw_prog_id};
  if (query.skb_prog_id) return RunningXdp{XdpMode::generic, query.skb_prog_id};
  return RunningXdp{mode_of(query.attach_mode), query.prog_id};
}

}  // namespace sluice::dataplane
