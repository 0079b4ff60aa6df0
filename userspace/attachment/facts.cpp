#include "attachment/facts.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/magic.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "attachment/attachment.hpp"
#include "attachment/nic.hpp"
#include "base/fd.hpp"
#include "base/free_with.hpp"
#include "kernel/machine.hpp"

namespace sluice::attachment {
namespace {

using Socket = std::unique_ptr<nl_sock, FreeWith<nl_socket_free>>;
using Links = std::unique_ptr<nl_cache, FreeWith<nl_cache_free>>;
using Link = std::unique_ptr<rtnl_link, FreeWith<rtnl_link_put>>;

Socket open_netlink(int protocol) {
  Socket socket(nl_socket_alloc());
  if (socket && nl_connect(socket.get(), protocol) < 0) socket.reset();
  return socket;
}

// ---- links ----

Result<Links> all_links() {
  const auto socket = open_netlink(NETLINK_ROUTE);
  nl_cache* cache = nullptr;
  const int error = socket ? rtnl_link_alloc_cache(socket.get(), AF_UNSPEC, &cache) : -NLE_BAD_SOCK;
  if (error < 0) {
    return sluice::fail(ErrorKind::internal,
                        fmt::format("list the interfaces: {}", nl_geterror(error)));
  }
  return Links(cache);
}

std::string kind_of(rtnl_link* link) {
  const char* kind = rtnl_link_get_type(link);
  return kind ? kind : "";
}

NeighborLink neighbor(rtnl_link* link) {
  return {rtnl_link_get_name(link), kind_of(link)};
}

// The link below or at the other end; null if there is none in this network namespace.
Link lower_link(nl_cache* links, rtnl_link* link) {
  std::int32_t namespace_id = 0;
  const int index = rtnl_link_get_link(link);
  const bool elsewhere = rtnl_link_get_link_netnsid(link, &namespace_id) == 0;
  if (index == 0 || elsewhere) return nullptr;
  return Link(rtnl_link_get(links, index));
}

template <typename Visit>
void for_each_link(nl_cache* links, Visit visit) {
  for (auto* at = nl_cache_get_first(links); at != nullptr; at = nl_cache_get_next(at))
    visit(reinterpret_cast<rtnl_link*>(at));
}

void read_relations(NicFacts& facts, nl_cache* links, rtnl_link* link) {
  const int index = rtnl_link_get_ifindex(link);
  if (const Link master(rtnl_link_get(links, rtnl_link_get_master(link))); master)
    facts.master = neighbor(master.get());
  const auto below = lower_link(links, link);
  if (below && facts.kind == "veth") facts.peer = rtnl_link_get_name(below.get());
  if (below && facts.kind != "veth") facts.parent = neighbor(below.get());
  for_each_link(links, [&](rtnl_link* other) {
    if (rtnl_link_get_master(other) == index) facts.ports.emplace_back(rtnl_link_get_name(other));
    if (kind_of(other) != "vlan") return;
    const auto carrier = lower_link(links, other);
    if (carrier && rtnl_link_get_ifindex(carrier.get()) == index)
      facts.vlans.emplace_back(rtnl_link_get_name(other));
  });
}

// ---- ethtool ----

// Fills in `command`, whose first field says what is asked; false: the driver doesn't tell.
template <typename Command>
bool ask_driver(const std::string& interface, Command& command) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&command);
  return socket && ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

// virtio-net's features, from the device that ethtool names by its bus. Neither depends on the
// network namespace, as /sys/class/net does.
std::optional<std::uint64_t> virtio_features(const std::string& bus_info) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (const auto& device : fs::directory_iterator("/sys/bus/virtio/devices", error)) {
    const auto path = fs::canonical(device.path(), error).string();
    if (path.find("/" + bus_info + "/") == path.npos && !path.ends_with("/" + bus_info)) continue;
    std::ifstream file(path + "/features");
    std::string bits;  // the lowest first
    if (!(file >> bits)) continue;
    std::uint64_t features = 0;
    for (std::size_t bit = 0; bit < bits.size() && bit < 64; ++bit)
      features |= std::uint64_t{bits[bit] == '1'} << bit;
    return features;
  }
  return std::nullopt;
}

void read_driver(NicFacts& facts) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  if (ask_driver(facts.name, info)) facts.driver = info.driver;
  if (facts.driver == "virtio_net") facts.virtio_features = virtio_features(info.bus_info);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (ask_driver(facts.name, channels)) {
    facts.channels = Channels{channels.rx_count, channels.tx_count, channels.combined_count,
                              channels.max_combined};
  }
  ethtool_value flags{};
  flags.cmd = ETHTOOL_GFLAGS;
  if (ask_driver(facts.name, flags)) {
    facts.lro = (flags.data & ETH_FLAG_LRO) != 0;
    facts.strips_vlans = (flags.data & ETH_FLAG_RXVLAN) != 0;
  }
  if (facts.peer.empty()) return;
  ethtool_value checksums{};
  checksums.cmd = ETHTOOL_GTXCSUM;
  if (ask_driver(facts.peer, checksums)) facts.peer_offloads = checksums.data != 0;
}

// ---- settings ----

std::optional<int> number_in(const std::string& path) {
  std::ifstream file(path);
  int value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

void read_settings(NicFacts& facts) {
  const std::string settings = "/proc/sys/net/ipv4/conf/";
  const auto own = number_in(settings + facts.name + "/rp_filter");
  const auto all = number_in(settings + "all/rp_filter");
  if (own && all) facts.rp_filter = std::max(*own, *all);  // as the kernel does
  facts.forwards_ipv4 = number_in(settings + facts.name + "/forwarding").value_or(1) != 0;
}

void read_xdp(NicFacts& facts, std::uint32_t index, const std::string& pin_directory) {
  const auto running = running_xdp(index);
  if (!running || running->mode == XdpMode::none) return;
  facts.xdp_program = running->program_id;
  const auto ours = attachments(pin_directory);
  facts.xdp_is_ours = ours && std::ranges::any_of(*ours, [&](const Attachment& one) {
                        return one.here && one.index == index;
                      });
}

// ---- nftables ----

// Counts the base chains of all tables, which are those with a hook. 0 if they can't be asked for.
std::size_t nftables_chains() {
  const auto socket = open_netlink(NETLINK_NETFILTER);
  const std::unique_ptr<nl_msg, FreeWith<nlmsg_free>> request(nlmsg_alloc_simple(
      (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETCHAIN, NLM_F_REQUEST | NLM_F_DUMP));
  nfgenmsg head{};
  if (!socket || !request || nlmsg_append(request.get(), &head, sizeof head, NLMSG_ALIGNTO) < 0)
    return 0;
  std::size_t chains = 0;
  const auto count = [](nl_msg* message, void* into) -> int {
    if (nlmsg_find_attr(nlmsg_hdr(message), sizeof(nfgenmsg), NFTA_CHAIN_HOOK) != nullptr)
      ++*static_cast<std::size_t*>(into);
    return NL_OK;
  };
  nl_socket_modify_cb(socket.get(), NL_CB_VALID, NL_CB_CUSTOM, count, &chains);
  nl_socket_disable_auto_ack(socket.get());
  if (nl_send_auto(socket.get(), request.get()) < 0 || nl_recvmsgs_default(socket.get()) < 0)
    return 0;
  return chains;
}

bool has_iptables_legacy() {
  for (const auto* list : {"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"}) {
    std::ifstream file(list);
    std::string table;
    if (file >> table) return true;
  }
  return false;
}

// ---- the kernel ----

// Is the path, or what there is of it, on a BPF file system?
bool is_on_bpf(std::filesystem::path path) {
  struct statfs info {};
  while (statfs(path.c_str(), &info) != 0) {
    if (path == path.parent_path()) return false;
    path = path.parent_path();
  }
  return info.f_type == BPF_FS_MAGIC;
}

std::optional<bool> probed(int answer) {
  if (answer < 0) return std::nullopt;
  return answer != 0;
}

KernelVersion kernel_version() {
  utsname names{};
  KernelVersion version;
  if (uname(&names) == 0) (void)std::sscanf(names.release, "%u.%u", &version.major, &version.minor);
  return version;
}

}  // namespace

Result<NicFacts> nic_facts(const std::string& name, const std::string& pin_directory) {
  const auto links = all_links();
  if (!links) return tl::unexpected(links.error());
  const Link link(rtnl_link_get_by_name(links->get(), name.c_str()));
  if (!link) {
    return sluice::fail(ErrorKind::not_found, "there is no interface '" + name + "'",
                        "list them with: ip -brief link");
  }
  NicFacts facts;
  facts.name = name;
  facts.kind = kind_of(link.get());
  facts.ethernet = rtnl_link_get_arptype(link.get()) == ARPHRD_ETHER;
  facts.up = (rtnl_link_get_flags(link.get()) & IFF_UP) != 0;
  facts.mtu = rtnl_link_get_mtu(link.get());
  read_relations(facts, links->get(), link.get());
  read_driver(facts);
  read_settings(facts);
  read_xdp(facts, static_cast<std::uint32_t>(rtnl_link_get_ifindex(link.get())), pin_directory);
  return facts;
}

HostFacts host_facts(const std::string& pin_directory) {
  HostFacts host;
  host.kernel = kernel_version();
  host.machine = kernel::machine();
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  host.cpus = cpus > 0 ? static_cast<std::uint32_t>(cpus) : 1;
  host.bpf_file_system = is_on_bpf(pin_directory);
  host.takes_xdp = probed(libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, nullptr));
  host.takes_loop = probed(libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, nullptr));
  if (const auto jit = number_in("/proc/sys/net/core/bpf_jit_enable")) host.jit = *jit != 0;
  host.nftables_chains = nftables_chains();
  host.iptables_legacy = has_iptables_legacy();
  return host;
}

}  // namespace sluice::attachment
