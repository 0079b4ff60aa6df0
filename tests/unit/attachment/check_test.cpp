// What check() finds on NICs and hosts that are made up here.
#include "attachment/check.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::attachment {
namespace {

NicFacts good_nic() {
  NicFacts nic;
  nic.name = "eth0";
  nic.driver = "ice";
  nic.channels = Channels{.rx = 0, .tx = 0, .combined = 4, .most_combined = 8};
  nic.rp_filter = 0;
  return nic;
}

HostFacts good_host() {
  HostFacts host;
  host.kernel = {6, 12};
  host.cpus = 4;
  host.takes_xdp = host.takes_loop = host.jit = true;
  return host;
}

// The finding about the subject; its subject is empty if there is none.
Finding about(const std::string& subject, const NicFacts& nic,
              const HostFacts& host = good_host()) {
  for (auto& finding : check(nic, host)) {
    if (finding.subject == subject) return finding;
  }
  return {};
}

// "warn: ethtool -K eth0 lro off"
std::string judged(const std::string& subject, const NicFacts& nic,
                   const HostFacts& host = good_host()) {
  const auto finding = about(subject, nic, host);
  if (finding.subject.empty()) return "-";
  const std::string verdict = to_string(finding.verdict);
  return finding.mend.empty() ? verdict : verdict + ": " + finding.mend;
}

TEST(CheckTest, a_good_nic_on_a_good_host_is_ok_throughout) {
  for (const auto& finding : check(good_nic(), good_host())) {
    EXPECT_EQ(finding.verdict, Verdict::ok) << finding.subject << ": " << finding.found;
    EXPECT_EQ(finding.mend, "") << finding.subject;
  }
}

TEST(CheckTest, each_subject_comes_once) {
  auto nic = good_nic();
  nic.kind = "veth";
  nic.master = NeighborLink{"br0", "bridge"};
  nic.vlans = {"eth0.5"};
  nic.xdp_program = 7;
  auto host = good_host();
  host.nftables_chains = 2;
  std::vector<std::string> subjects;
  for (const auto& finding : check(nic, host)) subjects.push_back(finding.subject);
  auto once = subjects;
  std::ranges::sort(once);
  EXPECT_EQ(std::ranges::adjacent_find(once), once.end());
  EXPECT_EQ(subjects.front(), "kind");
}

TEST(CheckTest, interfaces_without_ethernet_frames_fail) {
  auto nic = good_nic();
  nic.ethernet = false;
  nic.kind = "wireguard";
  EXPECT_EQ(judged("kind", nic), "fail");
  EXPECT_NE(about("kind", nic).found.find("wireguard"), std::string::npos);
  EXPECT_EQ(judged("mtu", nic), "-") << "nothing else about it matters";
}

TEST(CheckTest, vlan_and_macvlan_interfaces_lead_to_their_parent) {
  for (const auto* kind : {"vlan", "macvlan", "ipvlan"}) {
    auto nic = good_nic();
    nic.kind = kind;
    EXPECT_EQ(judged("kind", nic), "warn") << "a parent in another namespace can't be named";
    nic.parent = NeighborLink{"eth7", ""};
    EXPECT_EQ(judged("kind", nic), "warn: sluice-loader attach eth7");
  }
}

TEST(CheckTest, a_bond_is_attached_as_a_whole_and_a_team_by_its_ports) {
  auto nic = good_nic();
  nic.kind = "bond";
  EXPECT_EQ(judged("kind", nic), "fail") << "without ports";
  nic.ports = {"eth1", "eth2"};
  EXPECT_EQ(judged("kind", nic), "ok");
  nic.kind = "team";
  EXPECT_EQ(judged("kind", nic), "warn: sluice-loader attach eth1 eth2");
}

TEST(CheckTest, ports_lead_to_what_they_are_ports_of) {
  auto nic = good_nic();
  EXPECT_EQ(judged("master", nic), "-");
  nic.master = NeighborLink{"br0", "bridge"};
  EXPECT_EQ(judged("master", nic), "fail: sluice-loader attach br0");
  nic.master = NeighborLink{"bond0", "bond"};
  EXPECT_EQ(judged("master", nic), "warn: sluice-loader attach bond0 --mode native");
  nic.master = NeighborLink{"team0", "team"};
  EXPECT_EQ(judged("master", nic), "warn");
  nic.master = NeighborLink{"vrf0", "vrf"};
  EXPECT_EQ(judged("master", nic), "-");
}

TEST(CheckTest, an_mtu_beyond_one_buffer_is_too_large_for_some_drivers) {
  auto nic = good_nic();
  nic.mtu = 9000;
  EXPECT_EQ(judged("mtu", nic), "ok") << "ice takes packets of several buffers";
  nic.driver = "ena";
  EXPECT_EQ(judged("mtu", nic), "warn: ip link set eth0 mtu 3498");
  nic.mtu = 3498;
  EXPECT_EQ(judged("mtu", nic), "ok");
  nic.driver = "gve";
  EXPECT_EQ(judged("mtu", nic), "warn: ip link set eth0 mtu 2032");
  auto host = good_host();
  host.kernel = {6, 1};
  nic.mtu = 9000;
  for (const auto* driver : {"virtio_net", "ice", "i40e"}) {
    nic.driver = driver;
    EXPECT_EQ(judged("mtu", nic), "ok") << driver;
    EXPECT_EQ(judged("mtu", nic, host), "warn: ip link set eth0 mtu 3498") << driver;
  }
}

TEST(CheckTest, offloads_that_change_frames_before_xdp_are_named) {
  auto nic = good_nic();
  nic.lro = true;
  EXPECT_EQ(judged("lro", nic), "warn: ethtool -K eth0 lro off");
  nic.strips_vlans = true;
  EXPECT_EQ(judged("vlans", nic), "-") << "no VLANs, no tags";
  nic.vlans = {"eth0.5"};
  EXPECT_EQ(judged("vlans", nic), "warn: ethtool -K eth0 rxvlan off");
  nic.strips_vlans = false;
  EXPECT_EQ(judged("vlans", nic), "ok");
}

TEST(CheckTest, queues_are_compared_with_cpus) {
  auto nic = good_nic();
  auto host = good_host();
  host.cpus = 6;
  EXPECT_EQ(judged("queues", nic, host), "warn: ethtool -L eth0 combined 6");
  host.cpus = 16;
  EXPECT_EQ(judged("queues", nic, host), "warn: ethtool -L eth0 combined 8")
      << "as many as there are";
  nic.channels->combined = 8;
  EXPECT_EQ(judged("queues", nic, host), "warn") << "the NIC has no more";
  nic.channels = Channels{.rx = 4, .tx = 4, .combined = 0, .most_combined = 4};
  EXPECT_EQ(judged("queues", nic), "warn: ethtool -L eth0 rx 0 tx 0 combined 4");
  nic.channels = Channels{.rx = 4, .tx = 4, .combined = 0, .most_combined = 0};
  EXPECT_EQ(judged("queues", nic), "ok") << "a driver that has no others (veth)";
  nic.channels.reset();
  EXPECT_EQ(judged("queues", nic), "-");
}

TEST(CheckTest, cloud_drivers_need_half_of_their_queues_for_what_xdp_sends) {
  for (const auto* driver : {"ena", "gve"}) {
    auto nic = good_nic();
    nic.driver = driver;
    nic.channels = Channels{.rx = 0, .tx = 0, .combined = 8, .most_combined = 8};
    auto host = good_host();
    host.cpus = 8;
    EXPECT_EQ(judged("queues", nic, host), "warn: ethtool -L eth0 combined 4");
    nic.channels->combined = 4;
    EXPECT_EQ(judged("queues", nic, host), "warn") << "as many as native XDP can have";
    host.cpus = 4;
    EXPECT_EQ(judged("queues", nic, host), "ok");
  }
  auto nic = good_nic();
  nic.driver = "hv_netvsc";
  EXPECT_EQ(about("driver", nic).verdict, Verdict::warn);
}

TEST(CheckTest, virtio_wants_a_queue_for_each_cpu_beside_those_that_receive) {
  auto nic = good_nic();
  nic.driver = "virtio_net";
  nic.channels = Channels{.rx = 0, .tx = 0, .combined = 8, .most_combined = 8};
  EXPECT_EQ(judged("queues", nic), "warn: ethtool -L eth0 combined 4");
  nic.xdp_program = 7;
  EXPECT_EQ(judged("queues", nic), "ok") << "four of them are the program's";
  nic.xdp_program = 0;
  nic.channels->combined = 4;
  EXPECT_EQ(judged("queues", nic), "ok");
  nic.channels->most_combined = 4;
  EXPECT_EQ(judged("queues", nic), "warn") << "as usual in clouds: there are no others";
}

TEST(CheckTest, a_veth_needs_senders_that_compute_checksums) {
  auto nic = good_nic();
  nic.kind = nic.driver = "veth";
  EXPECT_EQ(judged("veth", nic), "warn: (there) ethtool -K PEER tx off tso off gso off");
  nic.peer = "far0";
  nic.peer_offloads = true;
  EXPECT_EQ(judged("veth", nic), "fail: ethtool -K far0 tx off tso off gso off");
  nic.peer_offloads = false;
  EXPECT_EQ(judged("veth", nic), "ok");
}

TEST(CheckTest, virtio_needs_a_control_queue_and_offloads_that_can_change) {
  auto nic = good_nic();
  nic.driver = "virtio_net";
  constexpr std::uint64_t checksum = 1U << 1, change = 1U << 2, tso4 = 1U << 7, control = 1U << 17;
  const auto verdict = [&](std::uint64_t features) {
    nic.virtio_features = features;
    return about("virtio", nic).verdict;
  };
  EXPECT_EQ(verdict(0), Verdict::warn);
  EXPECT_EQ(verdict(control), Verdict::ok);
  EXPECT_EQ(verdict(control | tso4), Verdict::warn);
  EXPECT_EQ(verdict(control | checksum), Verdict::warn);
  EXPECT_EQ(verdict(control | checksum | tso4 | change), Verdict::ok);
}

TEST(CheckTest, another_program_on_the_nic_fails_and_our_own_does_not) {
  auto nic = good_nic();
  nic.xdp_program = 7;
  EXPECT_EQ(judged("program", nic), "fail: sluice-loader attach eth0 --shared");
  nic.xdp_is_ours = true;
  EXPECT_EQ(judged("program", nic), "ok");
}

TEST(CheckTest, settings_of_the_host_on_the_way) {
  auto nic = good_nic();
  nic.rp_filter = 1;
  EXPECT_EQ(judged("rp_filter", nic),
            "warn: sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=2");
  nic.rp_filter = 2;
  EXPECT_EQ(judged("rp_filter", nic), "-");
  nic.forwards_ipv4 = false;
  EXPECT_EQ(judged("forwarding", nic), "ok") << "attach turns it on";
  nic.up = false;
  EXPECT_EQ(judged("link", nic), "warn: ip link set eth0 up");
  auto host = good_host();
  host.nftables_chains = 3;
  EXPECT_EQ(about("firewall", nic, host).verdict, Verdict::warn);
  host.nftables_chains = 0;
  EXPECT_EQ(judged("firewall", nic, host), "-");
  host.iptables_legacy = true;
  EXPECT_EQ(about("firewall", nic, host).verdict, Verdict::warn);
}

TEST(CheckTest, a_machine_whose_loads_keep_no_order) {
  auto host = good_host();
  EXPECT_EQ(judged("machine", good_nic(), host), "-");
  host.machine = "aarch64";
  EXPECT_EQ(judged("machine", good_nic(), host), "fail");
}

TEST(CheckTest, a_kernel_that_lacks_something) {
  const auto verdict = [](auto change) {
    auto host = good_host();
    change(host);
    return judged("kernel", good_nic(), host);
  };
  EXPECT_EQ(verdict([](HostFacts& host) { host.takes_xdp = false; }), "fail");
  EXPECT_EQ(verdict([](HostFacts& host) { host.takes_loop = false; }), "fail");
  EXPECT_EQ(verdict([](HostFacts& host) { host.jit = false; }),
            "warn: sysctl -w net.core.bpf_jit_enable=1");
  EXPECT_EQ(verdict([](HostFacts& host) { host.takes_xdp.reset(); }),
            "warn: sudo sluice-loader check eth0");
  auto host = good_host();
  host.bpf_file_system = false;
  EXPECT_EQ(judged("pins", good_nic(), host), "warn: mount -t bpf bpf /sys/fs/bpf");
}

}  // namespace
}  // namespace sluice::attachment
