#include "tests/bench/field.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/mman.h>
#include <time.h>

#include <cmath>
#include <cstring>

#include "maps/counters.h"
#include "maps/flow.h"
#include "maps/interface.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/runtime.h"
#include "maps/vip.h"
#include "tests/bench/subject.hpp"

namespace sluice::bench {
namespace {

using test::Bytes;
using test::L4;
using test::Packet;

constexpr std::uint32_t quiet = 1, attacked = 0;  // indices of listeners and pools
constexpr std::uint32_t members_apart = 16;       // indices of a pool's members
constexpr test::Mac our_mac{0x02, 0, 0, 0, 0, 0x09}, router_mac{0x02, 0, 0, 0, 0, 0x01};

struct Place {
  const char *vip, *quiet_vip, *members;
};
constexpr Place places4{"10.0.0.16", "10.0.0.18", "10.9.0."};
constexpr Place places6{"2001:db8::16", "2001:db8::18", "2001:db8:9::"};

sluice_address parsed(const std::string& text) {
  sluice_address address{};
  inet_pton(text.find(':') == std::string::npos ? AF_INET : AF_INET6, text.c_str(), &address);
  return address;
}

// The flows' clock, in seconds.
double tick_seconds() {
  timespec jiffy{};
  clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy);
  const double jiffies = 1e9 / static_cast<double>(jiffy.tv_nsec);
  return std::exp2(std::round(std::log2(SLUICE_TICK_SECONDS * jiffies))) / jiffies;
}

// The memory of an array that programs and user space share.
class Memory {
 public:
  Memory(int map, std::size_t bytes)
      : bytes_(bytes), at_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0)) {
    check(at_ != MAP_FAILED, "map an array's memory");
  }
  ~Memory() { munmap(at_, bytes_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* get() const { return at_; }

 private:
  std::size_t bytes_;
  void* at_;
};

bpf_map_info info_of(int map) {
  bpf_map_info info{};
  std::uint32_t length = sizeof info;
  check(bpf_obj_get_info_by_fd(map, &info, &length) == 0, "ask for a map");
  return info;
}

std::string text_of(int family, const std::uint8_t* address) {
  char text[INET6_ADDRSTRLEN]{};
  inet_ntop(family == 4 ? AF_INET : AF_INET6, address, text, sizeof text);
  return text;
}

Loaded load(int family, std::uint32_t flows, const std::optional<OtherObject>& other) {
  auto ours = load_ours(family == 4 ? kernel::LoadOptions{.flows = flows, .flows6 = 1024}
                                    : kernel::LoadOptions{.flows = 1024, .flows6 = flows});
  if (!other) return ours;
  const std::uint32_t zero = 0;
  sluice_flow_table table{};
  check(bpf_map_lookup_elem(ours.map_fd("flow_table"), &zero, &table) == 0,
        "read the tables' dimensions");
  return load_other(*other, table);
}

}  // namespace

Field::Field(int family, std::uint32_t flows, const std::optional<OtherObject>& other)
    : family_(family),
      loaded_(load(family, flows, other)),
      ingress_{if_nametoindex("lan0"), if_nametoindex("dmz0")} {
  for (const auto index : ingress_) {
    sluice_interface interface {};
    interface.ifindex = index;
    std::memcpy(interface.mac, our_mac.data(), our_mac.size());
    fill("interfaces", std::uint32_t{index % SLUICE_MAX_INTERFACES}, interface);
  }
}

const std::string& Field::vip(bool quiet_service) const {
  static const std::string vips[] = {places4.vip, places4.quiet_vip, places6.vip,
                                     places6.quiet_vip};
  return vips[(family_ == 4 ? 0 : 2) + (quiet_service ? 1 : 0)];
}

// An older version may lack a map, but what it has must be what this build writes.
template <typename Key, typename Value>
void Field::fill(const char* map, const Key& key, const Value& value) {
  const int fd = loaded_.map_fd(map);
  if (fd < 0) return;
  const auto info = info_of(fd);
  if (info.value_size != sizeof value || info.key_size != sizeof key)
    die(fmt::format("{} is laid out differently in that version: it can't be configured", map));
  put(fd, key, value);
}

void Field::clear(const char* map) {
  const int fd = loaded_.map_fd(map);
  if (fd < 0) return;
  const auto info = info_of(fd);
  if (info.map_flags & BPF_F_MMAPABLE) {
    const auto bytes = std::size_t{info.max_entries} * ((info.value_size + 7U) / 8 * 8);
    const Memory memory(fd, bytes);
    std::memset(memory.get(), 0, bytes);
    return;
  }
  const std::vector<std::uint8_t> zero(info.value_size);
  for (std::uint32_t i = 0; i < info.max_entries; ++i)
    check(bpf_map_update_elem(fd, &i, zero.data(), BPF_EXIST) == 0, std::string("clear ") + map);
}

void Field::begin(const Service& service) {
  for (const char* map :
       {"flows4", "flows6", "half_open", "listener_active", "member_active", "listener_half_open",
        "listener_confirmed", "member_half_open", "member_confirmed", "pool_cursors",
        "proof_numbers", "member_failures", "member_silences"})
    clear(map);
  service_ = service;
  put_service(vip(false), service, attacked);
  put_service(vip(true), {.members = 2}, quiet);
}

void Field::put_service(const std::string& vip, const Service& service, std::uint32_t index) {
  const auto known = [&](const sluice_address& address) {
    const std::uint32_t zero = 0;
    sluice_runtime runtime{};
    check(bpf_map_lookup_elem(loaded_.map_fd("runtime"), &zero, &runtime) == 0, "read a map");
    if (family_ == 4) {
      sluice_address_filter_add4(&runtime, address.ipv4);
    } else {
      sluice_address_filter_add6(&runtime, &address);
    }
    fill("runtime", zero, runtime);
  };
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP);
  const UniqueFd ring(
      bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", 4, 4, service.members + 1, &options));
  put(ring.get(), std::uint32_t{SLUICE_RING_LENGTH}, service.members);
  for (std::uint32_t i = 0; i < service.members; ++i) {
    const std::uint32_t member_index = index * members_apart + i;
    sluice_member member{};
    member.address = parsed(
        fmt::format("{}{}", family_ == 4 ? places4.members : places6.members, member_index + 1));
    member.port = htons(port);
    member.flags = SLUICE_MEMBER_USABLE | (family_ == 6 ? SLUICE_MEMBER_IPV6 : 0) |
                   (service.mode == SLUICE_DSR    ? SLUICE_MEMBER_DSR
                    : service.mode == SLUICE_DNAT ? SLUICE_MEMBER_DNAT
                                                  : 0);
    known(member.address);
    fill("members", member_index, member);
    put(ring.get(), i + SLUICE_RING_FIRST, member_index);
  }
  fill("pool_rings", index, ring.get());
  sluice_pool pool{};
  pool.forwarding_mode = service.mode;
  pool.algorithm = service.algorithm;
  fill("pools", index, pool);
  const auto address = parsed(vip);
  known(address);
  sluice_listener listener{};
  listener.index = listener.pool = index;
  listener.snat_source = address.ipv4;
  listener.connection_limit = service.connection_limit;
  listener.flags = service.authenticates ? SLUICE_LISTENER_AUTHENTICATES : 0;
  listener.new_connection_limit = SLUICE_NO_LIMIT;
  const auto protocol = static_cast<std::uint8_t>(service.protocol);
  sluice_vip up{};
  up.flags = SLUICE_VIP_UP;
  if (family_ == 4) {
    fill("listeners4", sluice_listener4_key{address.ipv4, htons(port), protocol, 0}, listener);
    fill("vips4", address.ipv4, up);
  } else {
    fill("listeners6", sluice_listener6_key{address, htons(port), protocol, {}}, listener);
    fill("vips6", address, up);
  }
}

template <typename Bucket>
void Field::make_older(const char* map, std::uint32_t ticks) {
  const int fd = loaded_.map_fd(map);
  const auto buckets = info_of(fd).max_entries;
  const Memory memory(fd, std::size_t{buckets} * sizeof(Bucket));
  auto* const first = static_cast<Bucket*>(memory.get());
  for (auto* bucket = first; bucket != first + buckets; ++bucket) {
    for (auto& slot : bucket->slots) {
      if (!SLUICE_STATE_GET(slot.state, PROTOCOL)) continue;
      const auto seen = SLUICE_STATE_GET(slot.state, SEEN) - ticks;
      slot.state = (slot.state & SLUICE_STATE_CLEAR(SEEN)) | SLUICE_STATE_PUT(SEEN, seen);
    }
  }
}

void Field::pass(std::uint32_t seconds) {
  const auto ticks = static_cast<std::uint32_t>(seconds / tick_seconds());
  if (family_ == 4) {
    make_older<sluice_bucket4>("flows4", ticks);
  } else {
    make_older<sluice_bucket6>("flows6", ticks);
  }
  // An older version's program is over after one run.
  sluice_flow_sweep slice{};
  LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &slice, .ctx_size_in = sizeof slice);
  do check(bpf_prog_test_run_opts(loaded_.expire.get(), &options) == 0, "sweep");
  while (slice.stage != SLUICE_SWEEP_OVER);
}

std::optional<Bytes> Field::pass(const Packet& packet, Side from, bool goes_on) {
  const auto frame = packet.bytes();
  Bytes out(frame.size() + 64);
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.ingress_ifindex = ingress_[from == Side::clients ? 0 : 1];
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = out.data(),
              .data_size_in = static_cast<__u32>(frame.size()),
              .data_size_out = static_cast<__u32>(out.size()), .ctx_in = &context,
              .ctx_size_in = sizeof context);
  check(bpf_prog_test_run_opts(loaded_.xdp.get(), &options) == 0, "pass a packet to the program");
  if (options.retval != (goes_on ? XDP_REDIRECT : XDP_TX)) return std::nullopt;
  out.resize(options.data_size_out);
  return out;
}

std::optional<Seen> Field::to_member(const Packet& packet) {
  const auto frame = send(packet, Side::clients);
  if (!frame) return std::nullopt;
  const std::size_t addresses = family_ == 4 ? 14 + 12 : 14 + 8, length = family_ == 4 ? 4 : 16;
  const auto* ports = &frame->at(addresses + 2 * length);
  Seen seen;
  seen.client = text_of(family_, &frame->at(addresses));
  seen.member = text_of(family_, &frame->at(addresses + length));
  seen.client_port = static_cast<std::uint16_t>(ports[0] << 8 | ports[1]);
  seen.member_port = static_cast<std::uint16_t>(ports[2] << 8 | ports[3]);
  return seen;
}

Packet Field::from_client(const std::string& client, std::uint16_t client_port, std::uint8_t flags,
                          bool quiet_service) const {
  Packet p;
  p.source_mac = router_mac;
  p.destination_mac = our_mac;
  p.source = client;
  p.destination = vip(quiet_service);
  p.ttl = 57;
  p.protocol = quiet_service ? L4::tcp : service_.protocol;
  p.source_port = client_port;
  p.destination_port = port;
  p.flags = flags;
  p.chunk = flags & test::SYN ? 1 : flags & test::RST ? 6 : 10;  // INIT, ABORT, COOKIE ECHO
  return p;
}

Packet Field::from_member(const Seen& seen, std::uint8_t flags, L4 protocol) const {
  Packet p;
  p.source_mac = router_mac;
  p.destination_mac = our_mac;
  p.source = seen.member;
  p.destination = seen.client;
  p.protocol = protocol;
  p.source_port = seen.member_port;
  p.destination_port = seen.client_port;
  p.flags = flags;
  p.chunk = flags & test::SYN ? 2 : flags & test::RST ? 6 : 3;  // INIT ACK, ABORT, SACK
  return p;
}

// Up to 256 and 16 of them are in one /24 and /48.
std::string Field::source(std::uint32_t n) const {
  return family_ == 4 ? fmt::format("198.{}.{}.{}", 18 + (n >> 16 & 127), n >> 8 & 255, n & 255)
                      : fmt::format("2a00:{:x}:{:x}::{:x}", n >> 16, n >> 4 & 0xfff, 1 + (n & 0xf));
}

}  // namespace sluice::bench
