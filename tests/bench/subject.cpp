#include "tests/bench/subject.hpp"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>

#include "dataplane/area.hpp"
#include "dataplane/flow_list.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/address_filter.h"
#include "maps/counters.h"
#include "maps/flow.h"
#include "maps/interface.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/runtime.h"
#include "maps/snat.h"
#include "maps/vip.h"

namespace sluice::bench {
namespace {

constexpr std::uint32_t member_count = 256;  // a member has 64,512 source ports per VIP
constexpr std::uint32_t clients_ports = 16384;

// The clients' router is on one NIC, the members' on the other. Both NICs have the same MAC, and so
// have both routers, so that one template of a frame fits both directions.
const char* const build_network = R"(set -e
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
for i in lan dmz; do
  ip link add ${i}0 address 02:00:00:00:00:09 type veth peer name ${i}1
  ip link set ${i}0 up; ip link set ${i}1 up
  sysctl -qw net.ipv4.conf.${i}0.forwarding=1 net.ipv6.conf.${i}0.forwarding=1
done
ip -6 addr add 2001:db8::9/64 dev lan0 nodad
ip -6 addr add 2001:db8:1::9/64 dev dmz0 nodad
ip -6 route add default via 2001:db8::1 dev lan0
ip -6 route add 2001:db8:9::/64 via 2001:db8:1::1 dev dmz0
ip -6 neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip -6 neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:01 dev dmz0 nud permanent
ip addr add 10.0.0.9/24 dev lan0
ip addr add 10.1.0.9/24 dev dmz0
ip route add default via 10.0.0.1
ip route add 10.9.0.0/16 via 10.1.0.1
ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev lan0 nud permanent
ip neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev dmz0 nud permanent
)";

sluice_address ip(const char* text) {
  sluice_address address{};
  inet_pton(std::strchr(text, ':') ? AF_INET6 : AF_INET, text, &address);
  return address;
}
// Number n of a network.
sluice_address numbered(int family, std::uint32_t ipv4, const char* ipv6, std::uint32_t n) {
  sluice_address address = family == 4 ? sluice_address{} : ip(ipv6);
  if (family == 4) {
    address.ipv4 = htonl(ipv4 + n);
  } else {
    address.words[3] = htonl(n + 1);
  }
  return address;
}
// The ports as they are in a packet.
__be32 ports(__be16 source, __be16 destination) {
  return static_cast<__be32>(destination) << 16 | source;
}

bench_tuple tuple_of(const sluice_flow4& slot) {
  bench_tuple tuple{};
  tuple.source.ipv4 = slot.source;
  tuple.destination.ipv4 = slot.destination;
  tuple.ports = ports(slot.source_port, slot.destination_port);
  return tuple;
}

bool is_mapped(const sluice_address& address) {
  return address.words[0] == 0 && address.words[1] == 0 && address.words[2] == htonl(0xffff);
}
sluice_address mapped(const sluice_address& ipv4) {
  sluice_address address{};
  address.words[2] = htonl(0xffff);
  address.words[3] = ipv4.ipv4;
  return address;
}
sluice_address unmapped(const sluice_address& address) {
  sluice_address ipv4{};
  ipv4.ipv4 = address.words[3];
  return is_mapped(address) ? ipv4 : address;
}

bench_tuple tuple_of(const sluice_flow6& slot) {
  return {unmapped(slot.source), unmapped(slot.destination),
          ports(slot.source_port, slot.destination_port), 0, 0};
}

// Writes once to every page of a flow table. A virtual machine may get a page's memory only then (7
// us each, seen under Firecracker), which doesn't happen in a table that has been in use for a
// while.
template <typename Bucket>
void touch_pages(int map, std::uint32_t buckets) {
  constexpr std::uint32_t page = 4096;
  const Bucket empty{};
  for (std::uint32_t i = 0; i < buckets; i += page / sizeof empty) put(map, i, empty);
}

}  // namespace

void enter_network() {
  check(unshare(CLONE_NEWNET) == 0, "make a network namespace (run as root)");
  if (std::system(build_network) != 0) die("can't build the bench's network");
}

void die(const std::string& what) {
  throw std::runtime_error(what);
}
void check(bool ok, const std::string& what) {
  if (!ok) die(what + ": " + std::strerror(errno));
}

// The other IP version's table is not used here and small.
Subject::Subject(Kind kind, std::uint32_t flows)
    : kind_(kind),
      capacity_(flows),
      loaded_(load_ours(kind.table_family() == 4
                            ? kernel::LoadOptions{.flows = flows, .flows6 = 1024}
                            : kernel::LoadOptions{.flows = 1024, .flows6 = flows})) {
  touch_tables();
  configure();
}

Subject::Subject(const Subject& like, const OtherObject& other)
    : kind_(like.kind_),
      capacity_(like.capacity_),
      name_(std::filesystem::path(other.file).filename()) {
  const std::uint32_t zero = 0;
  sluice_flow_table table{};
  check(bpf_map_lookup_elem(like.loaded_.map_fd("flow_table"), &zero, &table) == 0,
        "read the tables' dimensions");
  loaded_ = load_other(other, table);
  touch_tables();
  configure();
}

void Subject::fit_area(std::uint32_t connections) const {
  if (!loaded_.rehome) return;
  const bool ipv4 = kind_.table_family() == 4;
  dataplane::TableLoad load;
  load.homes = ipv4 ? SLUICE_FLOW_HOMES4(capacity_) : SLUICE_FLOW_HOMES6(capacity_);
  load.bucket_slots = ipv4 ? SLUICE_BUCKET_SLOTS4 : SLUICE_BUCKET_SLOTS6;
  load.connections = connections;
  sluice_flow_rehome request{};
  request.family = static_cast<std::uint32_t>(kind_.table_family());
  request.shift = dataplane::fitting_area(load);
  request.buckets = ~0U;
  do {
    const auto ran = kernel::rehome_flows(loaded_.rehome.get(), request);
    if (!ran) die(ran.error().text());
  } while (request.first != 0 || request.left != 0);
}

void Subject::touch_tables() {
  if (kind_.table_family() == 4) {
    touch_pages<sluice_bucket4>(loaded_.map_fd("flows4"),
                                SLUICE_FLOW_BUCKETS(SLUICE_FLOW_HOMES4(capacity_)));
  } else {
    touch_pages<sluice_bucket6>(loaded_.map_fd("flows6"),
                                SLUICE_FLOW_BUCKETS(SLUICE_FLOW_HOMES6(capacity_)));
  }
}

// An older version may lack a map, but what it has must be what this build writes.
template <typename Key, typename Value>
void Subject::fill(const char* map, const Key& key, const Value& value) {
  const int fd = loaded_.map_fd(map);
  if (fd < 0) return;
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  check(bpf_obj_get_info_by_fd(fd, &info, &length) == 0, "ask for a map");
  // A map of maps takes a descriptor.
  if (info.value_size != sizeof value || info.key_size != sizeof key)
    die(fmt::format("{} of {} is laid out differently: it can't be configured", map, name_));
  put(fd, key, value);
}

// Behind the members' router.
sluice_address Subject::member_address(std::uint32_t number) const {
  return numbered(kind_.member_family(), 0x0a090000, "2001:db8:9::", number);
}

void Subject::configure() {
  sluice_runtime runtime{};
  const auto known = [&](int family, const sluice_address& address) {
    if (family == 4) {
      sluice_address_filter_add4(&runtime, address.ipv4);
    } else {
      sluice_address_filter_add6(&runtime, &address);
    }
  };
  const auto vip = ip(kind_.vip());
  known(kind_.family, vip);
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
  UniqueFd ring(bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, member_count + 1, &options));
  put(ring.get(), std::uint32_t{SLUICE_RING_LENGTH}, member_count);
  for (std::uint32_t i = 0; i < member_count; ++i) {
    sluice_member member{};
    member.address = member_address(i);
    member.port = htons(8080);
    member.flags = SLUICE_MEMBER_USABLE | (kind_.member_family() == 6 ? SLUICE_MEMBER_IPV6 : 0);
    known(kind_.member_family(), member.address);
    fill("members", i, member);
    put(ring.get(), i + SLUICE_RING_FIRST, i);
  }
  for (const char* name : {"lan0", "dmz0"}) {
    const auto index = if_nametoindex(name);
    sluice_interface interface {};
    interface.ifindex = index;
    const std::uint8_t mac[] = {0x02, 0, 0, 0, 0, 0x09};
    std::memcpy(interface.mac, mac, sizeof mac);
    fill("interfaces", std::uint32_t{index % SLUICE_MAX_INTERFACES}, interface);
  }
  const std::uint32_t zero = 0;
  fill("pool_rings", zero, ring.get());
  fill("pools", zero, sluice_pool{});
  sluice_listener listener{};
  listener.snat_source = vip.ipv4;
  listener.connection_limit = listener.new_connection_limit = SLUICE_NO_LIMIT;
  if (kind_.snat || kind_.other_version) use_snat_addresses(listener);
  put_listener(listener);
  fill("runtime", zero, runtime);
}

// Of an IPv4 VIP with IPv6 members there are two entries (maps/listener.h).
void Subject::put_listener(sluice_listener listener) {
  const auto vip = ip(kind_.vip());
  const auto protocol = static_cast<std::uint8_t>(kind_.protocol);
  sluice_vip up{};
  up.flags = SLUICE_VIP_UP;
  const auto put6 = [&](const sluice_address& address) {
    fill("listeners6", sluice_listener6_key{address, htons(80), protocol, {}}, listener);
    fill("vips6", address, up);
  };
  if (kind_.family == 6) return put6(vip);
  if (kind_.other_version) {
    put6(mapped(vip));
    listener.flags = SLUICE_LISTENER_TO_IPV6 | SLUICE_LISTENER_MIXED;
    up.flags |= SLUICE_VIP_MIXED;
  }
  fill("listeners4", sluice_listener4_key{vip.ipv4, htons(80), protocol, 0}, listener);
  fill("vips4", vip.ipv4, up);
}

void Subject::use_snat_addresses(sluice_listener& listener) {
  const int family = kind_.member_family();
  sluice_snat_sources sources{};
  sluice_vip source{};
  source.flags = SLUICE_VIP_UP | SLUICE_VIP_MIXED;
  for (; sources.count < 4; ++sources.count) {
    auto& address = sources.addresses[sources.count];
    address = numbered(family, 0x0a000020, "2001:db8:20::", sources.count);
    if (kind_.other_version && family == 4) fill("vips4", address.ipv4, source);
  }
  fill("snat_sources", sluice_snat_key{listener.index, static_cast<__u32>(family)}, sources);
  if (kind_.family == 6) fill("snat_vips", listener.index, ip(kind_.vip()));
  listener.flags |= SLUICE_LISTENER_SNAT;
}

std::uint64_t Subject::reason(std::uint32_t why) const {
  std::vector<std::uint64_t> cpus(libbpf_num_possible_cpus());
  const bool is_later = why >= SLUICE_FIRST_REASONS;
  const int counters = loaded_.map_fd(is_later ? "later_reason_counters" : "reason_counters");
  const std::uint32_t place = is_later ? why - SLUICE_FIRST_REASONS : why;
  check(bpf_map_lookup_elem(counters, &place, cpus.data()) == 0, "read a counter");
  return std::accumulate(cpus.begin(), cpus.end(), std::uint64_t{0});
}

template <typename Bucket>
std::vector<bench_tuple> Subject::reverse_tuples_of(const char* map, bool unconfirmed) const {
  const auto buckets = kernel::MappedArray<Bucket>::open(kernel::RawMap(loaded_.map_fd(map), map));
  if (!buckets) die(buckets.error().text());
  std::vector<bench_tuple> tuples;
  for (const auto& bucket : *buckets) {
    for (const auto& slot : bucket.slots) {
      if (!SLUICE_STATE_GET(slot.state, PROTOCOL) || !(slot.state & SLUICE_FLOW_TO_CLIENT))
        continue;
      if (unconfirmed && slot.state & SLUICE_FLOW_ESTABLISHED) continue;
      tuples.push_back(tuple_of(slot));
    }
  }
  return tuples;
}

std::vector<bench_tuple> Subject::reverse_tuples(bool unconfirmed) const {
  return kind_.table_family() == 4 ? reverse_tuples_of<sluice_bucket4>("flows4", unconfirmed)
                                   : reverse_tuples_of<sluice_bucket6>("flows6", unconfirmed);
}

template <typename Bucket>
void Subject::forget_flows_of(const char* map) {
  const auto buckets = kernel::MappedArray<Bucket>::open(kernel::RawMap(loaded_.map_fd(map), map));
  if (!buckets) die(buckets.error().text());
  std::uint32_t index = 0;
  for (const auto& bucket : *buckets) {
    for (const auto& slot : bucket.slots) {
      const dataplane::FlowSlot place{static_cast<std::uint32_t>(kind_.table_family()), index++,
                                      slot.state & SLUICE_STATE_FLOW};
      if (!SLUICE_STATE_GET(place.state, PROTOCOL) || place.state & SLUICE_FLOW_TO_CLIENT) continue;
      const auto flushed = dataplane::flush_flow(loaded_.flush.get(), place);
      if (!flushed || !*flushed) die("a connection is not forgotten");
    }
  }
}

void Subject::forget_flows() {
  return kind_.table_family() == 4 ? forget_flows_of<sluice_bucket4>("flows4")
                                   : forget_flows_of<sluice_bucket6>("flows6");
}

void Subject::know_addresses(std::uint32_t count) {
  std::vector<std::pair<int, sluice_address>> known{{kind_.family, ip(kind_.vip())}};
  for (std::uint32_t i = 0; i < std::max(count, member_count); ++i)
    known.emplace_back(kind_.member_family(), member_address(i));
  const std::uint32_t zero = 0;
  sluice_runtime runtime{};
  check(bpf_map_lookup_elem(loaded_.map_fd("runtime"), &zero, &runtime) == 0, "read a map");
  for (const auto& [family, address] : known) {
    if (family == 4) {
      sluice_address_filter_add4(&runtime, address.ipv4);
    } else {
      sluice_address_filter_add6(&runtime, &address);
    }
  }
  auto filter = std::make_unique<sluice_address_filter>();
  filter->complete_for = runtime.next_hop_generation + 1ULL;
  for (const auto& [family, address] : known) {
    const auto hash =
        family == 4 ? sluice_large_filter_hash4(address.ipv4) : sluice_large_filter_hash6(&address);
    filter->words[SLUICE_LARGE_FILTER_WORD(hash)] |= SLUICE_LARGE_FILTER_BITS(hash);
  }
  fill("address_filter", zero, *filter);
  runtime.large_filter = 1;  // an older version doesn't look at it
  fill("runtime", zero, runtime);
}

std::vector<bench_tuple> strangers_tuples(const Kind& kind, std::uint32_t count) {
  std::mt19937_64 random(4);
  std::vector<bench_tuple> tuples(count);
  for (auto& tuple : tuples) {
    for (auto* address : {&tuple.source, &tuple.destination}) {
      if (kind.family == 6) *address = numbered(6, 0, "2001:db8:5::", 0);
      address->words[0] = static_cast<std::uint32_t>(random());
    }
    tuple.ports = ports(htons(5000), htons(80));
  }
  return tuples;
}

// The flows from number `first` on.
std::vector<bench_tuple> client_tuples(const Kind& kind, const char* destination,
                                       std::uint32_t first, std::uint32_t flows) {
  std::vector<bench_tuple> tuples;
  for (std::uint32_t i = first; i < first + flows; ++i) {
    tuples.push_back(
        {numbered(kind.family, 0xcb000000, "2001:db8:c::", i / clients_ports), ip(destination),
         ports(htons(static_cast<std::uint16_t>(1024 + i % clients_ports)), htons(80)), 0, 0});
  }
  return tuples;
}

}  // namespace sluice::bench
