#include "packet/world.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "dataplane/pending_sweep.hpp"
#include "kernel/map.hpp"
#include "maps/address_filter.h"
#include "maps/fragment.h"
#include "maps/interface.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/proxy.h"
#include "maps/runtime.h"
#include "maps/vip.h"
#include "packet/whole_map.hpp"

namespace sluice::test {
namespace {

const char* const build_network = R"(set -e
ip link add lan0 address 02:00:00:00:00:09 type veth peer name lan1
ip link add dmz0 address 02:00:00:00:01:09 type veth peer name dmz1
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
# The other ends stay silent: whatever they said would be counted beside the tests' packets.
sysctl -qw net.ipv6.conf.lan1.disable_ipv6=1 net.ipv6.conf.dmz1.disable_ipv6=1
sysctl -qw net.ipv6.conf.lan0.accept_ra=0 net.ipv6.conf.dmz0.accept_ra=0
for i in lan0 lan1 dmz0 dmz1; do ip link set $i up; done
# Stands for a VLAN interface, which not every kernel has: all that the data plane knows of one is its index.
ip link add lan0.100 address 02:00:00:00:00:09 type veth peer name lan1.100
ip link set lan1.100 addrgenmode none
ip link set lan0.100 up
ip link set lan1.100 up
sysctl -qw net.ipv4.conf.lan0.forwarding=1 net.ipv4.conf.dmz0.forwarding=1
sysctl -qw net.ipv6.conf.lan0.forwarding=1 net.ipv6.conf.dmz0.forwarding=1
ip -6 addr add 2001:db8::9/64 dev lan0 nodad
ip -6 addr add 2001:db8:1::9/64 dev dmz0 nodad
ip -6 addr add 2001:db8:4::9/64 dev lan0.100 nodad
ip -6 route add default via 2001:db8::1 dev lan0
ip -6 route add 2001:db8:2::/64 via 2001:db8:1::1
ip -6 route add 2001:db8:5::/64 via 2001:db8:1::1 mtu lock 1400
ip -6 neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip -6 neigh add 2001:db8::4 lladdr 02:00:00:00:00:04 dev lan0 nud permanent
ip -6 neigh add 2001:db8::6 lladdr 02:00:00:00:00:06 dev lan0 nud permanent
ip -6 neigh add 2001:db8:1::4 lladdr 02:00:00:00:01:04 dev dmz0 nud permanent
ip -6 neigh add 2001:db8:1::1 lladdr 02:00:00:00:01:01 dev dmz0 nud permanent
ip -6 neigh add 2001:db8:4::4 lladdr 02:00:00:00:04:04 dev lan0.100 nud permanent
ip addr add 10.4.0.9/24 dev lan0.100
ip neigh add 10.4.0.4 lladdr 02:00:00:00:04:04 dev lan0.100 nud permanent
ip addr add 10.0.0.9/24 dev lan0
ip addr add 10.1.0.9/24 dev dmz0
ip route add default via 10.0.0.1
ip route add 10.2.0.0/24 via 10.1.0.1
ip route add blackhole 10.3.0.0/24
ip -6 route add blackhole 2001:db8:3::/64
ip route add 10.5.0.0/24 via 10.1.0.1 mtu lock 1400
ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip neigh add 10.0.0.4 lladdr 02:00:00:00:00:04 dev lan0 nud permanent
ip neigh add 10.0.0.6 lladdr 02:00:00:00:00:06 dev lan0 nud permanent
ip neigh add 10.1.0.4 lladdr 02:00:00:00:01:04 dev dmz0 nud permanent
ip neigh add 10.1.0.1 lladdr 02:00:00:00:01:01 dev dmz0 nud permanent
)";

// Enters a network namespace of our own, once per process.
bool enter_network() {
  static const bool entered = [] {
    if (unshare(CLONE_NEWNET) != 0) return false;
    return std::system(build_network) == 0;
  }();
  return entered;
}

__be32 be32(const std::string& address) {
  in_addr parsed{};
  EXPECT_EQ(inet_pton(AF_INET, address.c_str(), &parsed), 1) << address;
  return parsed.s_addr;
}

sluice_address to_address(const std::string& text) {
  sluice_address address{};
  const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
  EXPECT_EQ(inet_pton(family, text.c_str(), &address), 1) << text;
  return address;
}

bool is_v6(const std::string& text) {
  return text.find(':') != std::string::npos;
}

template <typename Key, typename Value>
void put(int map, const Key& key, const Value& value) {
  ASSERT_EQ(bpf_map_update_elem(map, &key, &value, BPF_ANY), 0) << std::strerror(errno);
}

template <typename Counter>
std::vector<Counter> per_cpu(int map, std::uint32_t index) {
  std::vector<Counter> values(libbpf_num_possible_cpus());
  EXPECT_EQ(bpf_map_lookup_elem(map, &index, values.data()), 0) << std::strerror(errno);
  return values;
}

sluice_counters sum(int map, std::uint32_t index) {
  sluice_counters total{};
  for (const auto& c : per_cpu<sluice_counters>(map, index)) {
    total.packets_in += c.packets_in;
    total.bytes_in += c.bytes_in;
    total.packets_out += c.packets_out;
    total.bytes_out += c.bytes_out;
    total.flows_opened += c.flows_opened;
    total.flows_ended += c.flows_ended;
    total.flows_failed += c.flows_failed;
    total.flows_refused += c.flows_refused;
  }
  return total;
}

#define SLUICE_LABEL(name, verdict, label, sentence) label,
const char* const labels[] = {SLUICE_REASONS(SLUICE_LABEL)};
#undef SLUICE_LABEL

}  // namespace

void World::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "loading BPF programs needs root";
  ASSERT_TRUE(enter_network()) << "can't build the test's network namespace";
  auto options = load_options();
  options.fast_path = std::getenv("SLUICE_TEST_SLOW_PATH") == nullptr;
  const auto loaded = Loaded::with(options);
  ASSERT_TRUE(loaded) << loaded.error().text();
  loaded_ = *loaded;

  for (const char* name : {"lan0", "dmz0"}) {
    const auto attached = loaded_->attach(name);
    ASSERT_TRUE(attached) << attached.error().text();
    sluice_interface interface {};
    interface.ifindex = index_of(name);
    const Mac& mac = std::string(name) == "lan0" ? lan_mac : dmz_mac;
    std::memcpy(interface.mac, mac.data(), mac.size());
    const bool lan = std::string(name) == "lan0";
    interface.ipv4 = be32(lan ? "10.0.0.9" : "10.1.0.9");
    interface.ipv6 = to_address(lan ? "2001:db8::9" : "2001:db8:1::9");
    put(map("interfaces"), std::uint32_t{interface.ifindex % SLUICE_MAX_INTERFACES}, interface);
  }
  // VLAN 100 on top of lan0, as attaching finds it.
  sluice_interface vlan{};
  vlan.ifindex = index_of("lan0.100");
  std::memcpy(vlan.mac, lan_mac.data(), lan_mac.size());
  vlan.tags = 1;
  vlan.parent = index_of("lan0");
  vlan.tag[0] = {htons(ETH_P_8021Q), htons(100)};
  put(map("interfaces"), std::uint32_t{vlan.ifindex % SLUICE_MAX_INTERFACES}, vlan);
  put_member(0, member1, 8080);
  put_member(1, member2, 8080);
  put_pool(0, SLUICE_FULLNAT, {0, 1});
  put_listener(vip, 80, 0);
  put_vip(vip);
}

// Loaded restores only the beginning of large arrays.
void World::TearDown() {
  if (!loaded_) return;
  const std::uint32_t none = 0;
  for (const auto index : listeners_) {
    for (const auto* name : {"listener_active", "listener_half_open", "listener_confirmed",
                             "listener_idle", "listener_records"})
      put(map(name), index, none);
    put(map("snat_vips"), index, sluice_address{});
    const kernel::CounterMap<sluice_counters> counters(map("listener_counters"), "counters");
    EXPECT_TRUE(counters.set_to_zero(index));
  }
}

std::uint32_t World::index_of(const std::string& interface) const {
  return if_nametoindex(interface.c_str());
}

int World::map(const char* name) const {
  const int fd = loaded_->program().map_fd(name);
  EXPECT_GE(fd, 0) << "no map named " << name;
  return fd;
}

std::map<std::string, std::uint64_t> World::reason_counts() {
  std::map<std::string, std::uint64_t> counts;
  for (std::uint32_t i = 0; i < SLUICE_REASON_COUNT; ++i) {
    const bool is_later = i >= SLUICE_FIRST_REASONS;
    const int counters = map(is_later ? "later_reason_counters" : "reason_counters");
    for (auto packets : per_cpu<std::uint64_t>(counters, is_later ? i - SLUICE_FIRST_REASONS : i))
      counts[labels[i]] += packets;
  }
  return counts;
}

// Says whether to rehearse this packet: the first ones of each test and some of the others. Copying
// all state for each packet of a flood would take minutes.
bool World::is_rehearsed() {
  static const bool wanted = std::getenv("SLUICE_TEST_REHEARSAL") != nullptr;
  constexpr std::uint32_t all_of_first = 6, one_of_later = 64;
  const auto number = received_++;
  return wanted && (number < all_of_first || number % one_of_later == 0);
}

namespace {

// Where the IP header begins, behind a VLAN tag too.
std::size_t ip_offset(const Bytes& frame) {
  return frame.size() > 18 && frame[12] == 0x81 ? 18 : 14;
}

bool is_ipv4(const Bytes& frame) {
  const auto offset = ip_offset(frame);
  return frame.size() >= offset + 20 && frame[offset] >> 4 == 4;
}

// Says whether the frame is IPv4 with an id of its own, which the one received had not. It is
// random if the packet was IPv6 on the way (bpf/other_version.h), so nobody can foretell it.
bool has_new_id(const Bytes& frame, const Bytes& received) {
  const auto at = ip_offset(frame), before = ip_offset(received);
  return is_ipv4(frame) && (frame[at + 6] & 0x40) == 0 &&
         !(is_ipv4(received) && std::equal(&frame[at + 4], &frame[at + 6], &received[before + 4]));
}

Bytes with_id_of(Bytes frame, const Bytes& other) {
  const auto header = frame.begin() + static_cast<std::ptrdiff_t>(ip_offset(frame));
  std::copy_n(other.begin() + static_cast<std::ptrdiff_t>(ip_offset(other)) + 4, 2, header + 4);
  header[10] = header[11] = 0;
  const auto checksum = internet_checksum(Bytes(header, header + 20));
  header[10] = static_cast<std::uint8_t>(checksum >> 8);
  header[11] = static_cast<std::uint8_t>(checksum);
  return frame;
}

}  // namespace

Outcome World::receive(const Bytes& frame, const std::string& interface) {
  const auto index = index_of(interface);
  if (!is_rehearsed()) return receive_really(frame, index);
  const auto beside = loaded_->rehearsal();
  EXPECT_TRUE(beside) << beside.error().text();
  if (!beside) return {};
  const auto foretold = (*beside)->receive(frame, index);
  EXPECT_TRUE(foretold) << foretold.error().text();
  const auto outcome = receive_really(frame, index);
  if (!foretold) return outcome;
  EXPECT_EQ(labels[foretold->reason], outcome.reason) << "foretold, and what became of it";
  EXPECT_EQ(foretold->action, outcome.action);
  if (outcome.action != XDP_DROP) {
    const bool is_random = has_new_id(outcome.frame, frame) && has_new_id(foretold->frame, frame);
    EXPECT_TRUE(same_frame(
        outcome.frame, is_random ? with_id_of(foretold->frame, outcome.frame) : foretold->frame));
  }
  return outcome;
}

Outcome World::receive_really(const Bytes& frame, std::uint32_t interface_index) {
  const auto before = reason_counts();
  Outcome outcome;
  outcome.frame.resize(frame.size() + 256);
  xdp_md context{};
  context.data_end = frame.size();
  context.ingress_ifindex = interface_index;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = outcome.frame.data(),
              .data_size_in = static_cast<__u32>(frame.size()),
              .data_size_out = static_cast<__u32>(outcome.frame.size()), .ctx_in = &context,
              .ctx_size_in = sizeof context);
  const int entry = entry_ < 0 ? loaded_->program().xdp_fd() : entry_;
  EXPECT_EQ(bpf_prog_test_run_opts(entry, &options), 0) << std::strerror(errno);
  outcome.action = options.retval;
  outcome.frame.resize(options.data_size_out);

  std::uint64_t counted = 0;
  for (const auto& [label, packets] : reason_counts()) {
    const auto more = packets - before.at(label);
    counted += more;
    if (more) outcome.reason += (outcome.reason.empty() ? "" : " + ") + label;
  }
  EXPECT_EQ(counted, 1U) << "a packet has exactly one reason, this one has: " << outcome.reason;
  return outcome;
}

void World::receive_repeatedly(const Bytes& frame, int times) {
  xdp_md context{};
  context.data_end = frame.size();
  context.ingress_ifindex = index_of("lan0");
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
              .data_size_in = static_cast<__u32>(frame.size()), .ctx_in = &context,
              .ctx_size_in = sizeof context, .repeat = times);
  ASSERT_EQ(bpf_prog_test_run_opts(loaded_->program().xdp_fd(), &options), 0)
      << std::strerror(errno);
}

void World::add_to_address_filter(const std::string& address) {
  const std::uint32_t zero = 0;
  sluice_runtime runtime{};
  ASSERT_EQ(bpf_map_lookup_elem(map("runtime"), &zero, &runtime), 0) << std::strerror(errno);
  const auto bytes = to_address(address);
  if (is_v6(address)) {
    sluice_address_filter_add6(&runtime, &bytes);
  } else {
    sluice_address_filter_add4(&runtime, bytes.ipv4);
  }
  put(map("runtime"), zero, runtime);
}

void World::put_large_filter(const std::vector<std::string>& addresses,
                             std::uint64_t complete_for) {
  const std::uint32_t zero = 0;
  auto filter = std::make_unique<sluice_address_filter>();
  filter->complete_for = complete_for;
  for (const auto& text : addresses) {
    const auto address = to_address(text);
    const auto hash =
        is_v6(text) ? sluice_large_filter_hash6(&address) : sluice_large_filter_hash4(address.ipv4);
    filter->words[SLUICE_LARGE_FILTER_WORD(hash)] |= SLUICE_LARGE_FILTER_BITS(hash);
  }
  put(map("address_filter"), zero, *filter);
  sluice_runtime runtime{};
  ASSERT_EQ(bpf_map_lookup_elem(map("runtime"), &zero, &runtime), 0) << std::strerror(errno);
  runtime.large_filter = 1;
  put(map("runtime"), zero, runtime);
}

void World::put_vip(const std::string& address, bool up, std::uint32_t more_flags) {
  add_to_address_filter(address);
  sluice_vip value{};
  value.flags = (up ? SLUICE_VIP_UP : 0) | more_flags;
  if (is_v6(address)) {
    put(map("vips6"), to_address(address), value);
  } else {
    put(map("vips4"), be32(address), value);
  }
}

sluice_listener World::listener(std::uint32_t pool, std::uint32_t index) {
  sluice_listener value{};
  value.index = index;
  value.pool = pool;
  value.snat_source = be32(vip);
  value.connection_limit = value.new_connection_limit = SLUICE_NO_LIMIT;
  return value;
}

void World::put_snat_sources(std::uint32_t listener, const std::vector<std::string>& addresses,
                             const std::string& vip6) {
  const sluice_snat_key key{listener, is_v6(addresses.front()) ? 6U : 4U};
  sluice_snat_sources sources{};
  for (const auto& address : addresses) {
    put_vip(address, true, SLUICE_VIP_SNAT);
    sources.addresses[sources.count++] = to_address(address);
  }
  put(map("snat_sources"), key, sources);
  put(map("snat_vips"), listener, to_address(vip6));
}

void World::allow(std::uint32_t listener, const std::string& network, unsigned bits) {
  sluice_allowed_key key{};
  key.listener = listener;
  const auto address = to_address(network);
  if (is_v6(network)) {
    std::memcpy(key.address, &address, 16);
  } else {
    key.address[10] = key.address[11] = 0xff;
    std::memcpy(key.address + 12, &address, 4);
    bits += 96;
  }
  key.prefix_bits = SLUICE_ALLOWED_PREFIX_BITS(bits);
  put(map("allowed_sources"), key, std::uint32_t{1});
}

void World::put_listener(const std::string& address, std::uint16_t port, L4 protocol,
                         const sluice_listener& value) {
  const auto number = static_cast<std::uint8_t>(protocol);
  listeners_.insert(value.index);
  if (is_v6(address)) {
    put(map("listeners6"), sluice_listener6_key{to_address(address), htons(port), number, {}},
        value);
  } else {
    put(map("listeners4"), sluice_listener4_key{be32(address), htons(port), number, 0}, value);
  }
}

void World::put_listener(const std::string& address, std::uint16_t first, std::uint16_t last,
                         L4 protocol, const sluice_listener& value) {
  put_listener(address, first, protocol, value);
  const sluice_ranges_key key{to_address(address),
                              static_cast<__u8>(is_v6(address) ? 6 : 4),
                              static_cast<__u8>(protocol),
                              {}};
  sluice_ranges ranges{};
  bpf_map_lookup_elem(map("listener_ranges"), &key, &ranges);
  ASSERT_LT(ranges.count, SLUICE_RANGES_ROOM);
  ranges.ranges[ranges.count++] = {first, last, value.index};
  put(map("listener_ranges"), key, ranges);
}

void World::set_idle_time(std::uint32_t listener, std::uint32_t seconds) {
  listeners_.insert(listener);
  put(map("listener_idle"), listener, seconds);
}

void World::remove_listener(const std::string& address, std::uint16_t port) {
  const sluice_listener4_key key{be32(address), htons(port), IPPROTO_TCP, 0};
  ASSERT_EQ(bpf_map_delete_elem(map("listeners4"), &key), 0) << std::strerror(errno);
}

void World::put_pool(std::uint32_t pool, sluice_forwarding_mode mode,
                     const std::vector<std::uint32_t>& ring, sluice_algorithm algorithm,
                     std::uint32_t persistence_seconds) {
  pools_.insert(pool);
  auto& kept = loaded_->rings()[pool];
  if (!kept.fd || kept.capacity < ring.size()) {
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
    kept.capacity = std::max<std::size_t>(ring.size(), 8);
    kept.fd =
        UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, kept.capacity + 1, &options));
    ASSERT_TRUE(kept.fd) << std::strerror(errno);
    put(map("pool_rings"), pool, kept.fd.get());
  }
  put(kept.fd.get(), std::uint32_t{SLUICE_RING_LENGTH}, static_cast<std::uint32_t>(ring.size()));
  write_entries(kept.fd.get(), SLUICE_RING_FIRST, ring);
  sluice_pool value{};
  value.forwarding_mode = mode;
  value.algorithm = algorithm;
  value.persistence_seconds = persistence_seconds;
  value.persistence_bits = 128;
  put(map("pools"), pool, value);
}

void World::put_bank(std::uint32_t member, std::uint8_t bank) {
  const auto memory = kernel::map_memory_of(kernel::RawMap(map("listener_banks"), "listener_banks"),
                                            sizeof(sluice_listener_banks), kernel::Access::write);
  ASSERT_TRUE(memory) << memory.error().text();
  auto* banks = static_cast<sluice_listener_banks*>(const_cast<void*>(memory->get()));
  banks->of_member[member] = bank;
}

void World::put_member(std::uint32_t index, const std::string& address, std::uint16_t port,
                       bool usable, std::uint32_t more_flags, std::uint32_t max_connections) {
  add_to_address_filter(address);
  sluice_member value{};
  value.address = to_address(address);
  value.port = htons(port);
  value.flags = static_cast<__u16>((usable ? SLUICE_MEMBER_USABLE : 0) |
                                   (is_v6(address) ? SLUICE_MEMBER_IPV6 : 0) | more_flags);
  value.max_connections = max_connections;
  put(map("members"), index, value);
}

void World::raise_next_hop_generation() {
  std::uint32_t zero = 0;
  sluice_runtime value{};
  ASSERT_EQ(bpf_map_lookup_elem(map("runtime"), &zero, &value), 0);
  ++value.next_hop_generation;
  put(map("runtime"), zero, value);
}

sluice_counters World::listener_counters(std::uint32_t index) {
  return sum(map("listener_counters"), index);
}
sluice_counters World::member_counters(std::uint32_t index) {
  return sum(map("member_counters"), index);
}

std::vector<World::Flow> World::flows() {
  std::vector<Flow> all;
  sluice_bucket4 bucket{};
  for (std::uint32_t i = 0; bpf_map_lookup_elem(map("flows4"), &i, &bucket) == 0; ++i) {
    for (std::uint32_t slot = 0; slot < SLUICE_BUCKET_SLOTS4; ++slot) {
      if (SLUICE_STATE_GET(bucket.slots[slot].state, PROTOCOL))
        all.push_back({i, slot, bucket.slots[slot]});
    }
  }
  return all;
}

std::vector<sluice_flow6> World::flows6() {
  std::vector<sluice_flow6> all;
  sluice_bucket6 bucket{};
  for (std::uint32_t i = 0; bpf_map_lookup_elem(map("flows6"), &i, &bucket) == 0; ++i) {
    if (SLUICE_STATE_GET(bucket.slots[0].state, PROTOCOL)) all.push_back(bucket.slots[0]);
  }
  return all;
}

namespace {

// By the slow clock a tick is as long as it should be.
void make_state_older(__u64& state, std::uint32_t seconds) {
  const auto seen = SLUICE_STATE_GET(state, SEEN) - seconds / SLUICE_TICK_SECONDS;
  state = (state & SLUICE_STATE_CLEAR(SEEN)) | SLUICE_STATE_PUT(SEEN, seen);
}

}  // namespace

void World::make_older(const Flow& flow, std::uint32_t seconds) {
  sluice_bucket4 bucket{};
  ASSERT_EQ(bpf_map_lookup_elem(map("flows4"), &flow.bucket, &bucket), 0);
  make_state_older(bucket.slots[flow.slot].state, seconds);
  put(map("flows4"), flow.bucket, bucket);
}

void World::make_all_older(std::uint32_t seconds) {
  change_states([&](__u64& state) { make_state_older(state, seconds); });
}

void World::make_members_silent(std::uint32_t seconds) {
  change_states([&](__u64& state) {
    if (state & SLUICE_FLOW_TO_CLIENT) make_state_older(state, seconds);
  });
}

void World::change_states(const std::function<void(__u64& state)>& change) {
  for (const Flow& flow : flows()) {
    sluice_bucket4 bucket{};
    ASSERT_EQ(bpf_map_lookup_elem(map("flows4"), &flow.bucket, &bucket), 0);
    change(bucket.slots[flow.slot].state);
    put(map("flows4"), flow.bucket, bucket);
  }
  sluice_bucket6 bucket{};
  for (std::uint32_t i = 0; bpf_map_lookup_elem(map("flows6"), &i, &bucket) == 0; ++i) {
    if (!SLUICE_STATE_GET(bucket.slots[0].state, PROTOCOL)) continue;
    change(bucket.slots[0].state);
    put(map("flows6"), i, bucket);
  }
}

void World::forget_flows() {
  for (const auto* name : {"flows4", "flows6", "half_open", "flow_areas", "member_active",
                           "member_confirmed", "member_half_open"})
    clear_array(map(name));
  const std::uint32_t none = 0;
  const std::uint64_t first_slot = 0;
  for (const auto index : listeners_) {
    for (const auto* name :
         {"listener_active", "listener_half_open", "listener_confirmed", "listener_idle"})
      put(map(name), index, none);
  }
  for (const auto index : pools_) put(map("pool_cursors"), index, first_slot);
  for (const auto* name : {"fragments", "proxy_pending", "source_rates"}) empty_hash(map(name));
}

void World::expire_slice(sluice_flow_sweep& slice) {
  const auto ran = kernel::sweep_flows(loaded_->program().sweep_fd(), slice);
  if (!ran) ADD_FAILURE() << ran.error().text();
}

sluice_flow_sweep World::expire() {
  sluice_flow_sweep slice{};
  slice.slice_us = 1;
  do expire_slice(slice);
  while (slice.stage != SLUICE_SWEEP_OVER && !HasFailure());
  dataplane::PendingSweep pending(loaded_->program().map_fd("proxy_pending"), slice.began,
                                  slice.hz);
  for (bool goes_on = true; goes_on && !HasFailure();) {
    const auto proceeded = pending.proceed();
    EXPECT_TRUE(proceeded) << proceeded.error().text();
    goes_on = proceeded && *proceeded;
  }
  return slice;
}

sluice_flow_expire_short World::expire_short() {
  sluice_flow_expire_short all{};
  for (const std::uint32_t family : {4U, 6U}) {
    sluice_flow_expire_short sweep{};
    sweep.family = family;
    sweep.slice_us = 1;
    do {
      const auto ran = kernel::expire_short(loaded_->program().expire_short_fd(), sweep);
      EXPECT_TRUE(ran) << ran.error().text();
      if (!ran) return all;
    } while (sweep.first != 0);
    all.marked += sweep.marked;
    all.expired += sweep.expired;
    all.over += sweep.over;
    tick_of_marks_ = sweep.now_ticks;
  }
  return all;
}

void World::make_marks_older(std::uint32_t sixteenths) {
  // A mark may be eight ticks nearer than when it was made.
  constexpr auto nearest = SLUICE_MARK_AHEAD - (SLUICE_MARK_SPAN >> SLUICE_MARK_BITS);
  change_states([&](__u64& state) {
    if (!sluice_flow_is_marked(state, tick_of_marks_)) return;
    auto ahead = (SLUICE_STATE_GET(state, SEEN) - tick_of_marks_) & SLUICE_STATE_SEEN_MASK;
    ahead += ahead < sixteenths + nearest ? SLUICE_MARK_SPAN - sixteenths : -sixteenths;
    state = sluice_flow_with_stamp(state, static_cast<__u32>(tick_of_marks_ + ahead));
  });
}

unsigned World::flush_all(int family) {
  unsigned flushed = 0;
  const auto flush = [&](std::uint32_t index, std::uint64_t state) {
    if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT) return;
    sluice_flow_flush request{};
    request.family = static_cast<std::uint32_t>(family);
    request.index = index;
    request.state = state & SLUICE_STATE_FLOW;
    LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &request, .ctx_size_in = sizeof request);
    EXPECT_EQ(bpf_prog_test_run_opts(loaded_->program().flush_fd(), &options), 0)
        << std::strerror(errno);
    flushed += request.flushed;
  };
  if (family == 4) {
    for (const auto& flow : flows())
      flush(flow.bucket * SLUICE_BUCKET_SLOTS4 + flow.slot, flow.value.state);
  } else {
    sluice_bucket6 bucket{};
    for (std::uint32_t i = 0; bpf_map_lookup_elem(map("flows6"), &i, &bucket) == 0; ++i)
      flush(i, bucket.slots[0].state);
  }
  return flushed;
}

sluice_flow_rehome World::rehome(sluice_flow_rehome request) {
  const auto ran = kernel::rehome_flows(loaded_->program().rehome_fd(), request);
  EXPECT_TRUE(ran) << ran.error().text();
  return request;
}

TcpFrame World::from_client(std::uint8_t flags, std::uint16_t port, const std::string& data) const {
  TcpFrame frame;
  frame.ip.source_mac = router_mac;
  frame.ip.destination_mac = lan_mac;
  frame.ip.source = client;
  frame.ip.destination = vip;
  frame.ip.ttl = 57;
  frame.source_port = port;
  frame.destination_port = 80;
  frame.flags = flags;
  frame.data = data;
  return frame;
}

TcpFrame World::at_member(const TcpFrame& sent, int member, std::uint16_t source_port) const {
  TcpFrame frame = sent;
  frame.ip.source_mac = lan_mac;
  frame.ip.destination_mac = member == 1 ? member1_mac : member2_mac;
  frame.ip.source = vip;
  frame.ip.destination = member == 1 ? member1 : member2;
  --frame.ip.ttl;
  frame.source_port = source_port;
  frame.destination_port = 8080;
  return frame;
}

TcpFrame World::from_member(int member, std::uint16_t to_port, std::uint8_t flags,
                            const std::string& data) const {
  TcpFrame frame;
  frame.ip.source_mac = member == 1 ? member1_mac : member2_mac;
  frame.ip.destination_mac = lan_mac;
  frame.ip.source = member == 1 ? member1 : member2;
  frame.ip.destination = vip;
  frame.source_port = 8080;
  frame.destination_port = to_port;
  frame.flags = flags;
  frame.data = data;
  return frame;
}

TcpFrame World::at_client(const TcpFrame& sent, std::uint16_t client_port) const {
  TcpFrame frame = sent;
  frame.ip.source_mac = lan_mac;
  frame.ip.destination_mac = router_mac;
  frame.ip.source = vip;
  frame.ip.destination = client;
  --frame.ip.ttl;
  frame.source_port = 80;
  frame.destination_port = client_port;
  return frame;
}

int World::establish(std::uint16_t client_port) {
  const auto syn = receive(from_client(SYN, client_port));
  const int member =
      same_frame(syn.frame, at_member(from_client(SYN, client_port), 1, client_port).bytes()) ? 1
                                                                                              : 2;
  EXPECT_TRUE(
      same_frame(syn.frame, at_member(from_client(SYN, client_port), member, client_port).bytes()));
  EXPECT_EQ(receive(from_member(member, client_port, SYN | ACK)).reason, "replied");
  EXPECT_EQ(receive(from_client(ACK, client_port)).reason, "forwarded");
  return member;
}

::testing::AssertionResult same_frame(const Bytes& actual, const Bytes& expected) {
  if (actual == expected) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "frames differ; actual:\n"
                                       << hex_dump(actual) << "\nexpected:\n"
                                       << hex_dump(expected);
}

}  // namespace sluice::test
