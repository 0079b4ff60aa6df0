// The data plane against the reference model (tests/reference): random sequences of packets, many
// of them damaged; verdict, reason and every byte must be the same.
//
// The suite has fixed seeds; scripts/fuzz continues with others. A finding is printed as the lines
// of a test that fails, without the packets that don't matter.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <optional>
#include <set>
#include <utility>

#include "kernel/map.hpp"
#include "maps/proof.h"
#include "maps/reasons.h"
#include "maps/record.h"
#include "packet/passing_time.hpp"
#include "packet/traffic.hpp"
#include "packet/whole_map.hpp"
#include "reference/generator.hpp"

namespace sluice::test {
namespace {

using reference::Action;
using reference::address_of;
using reference::Arrives;
using reference::Choice;
using reference::Fate;
using reference::Model;
using reference::Passes;
using reference::Step;
using reference::Sweeps;
using reference::SweepsShort;
using reference::Tuple;
using reference::Turns;

struct Members {
  const char *near, *far, *tagged, *narrow, *silent, *unreachable;
};
const Members& members(int family) {
  static const Members v4{"10.0.0.4", "10.2.0.4", "10.4.0.4", "10.5.0.4", "10.0.0.5", "10.3.0.4"};
  static const Members v6{"2001:db8::4",   "2001:db8:2::4", "2001:db8:4::4",
                          "2001:db8:5::4", "2001:db8::5",   "2001:db8:3::4"};
  return family == 4 ? v4 : v6;
}

// Describes the world's network (world.hpp) to the model.
void describe_network(reference::Configuration& c) {
  const Mac tagged_mac{0x02, 0, 0, 0, 4, 4};
  const reference::Way lan{"lan0", lan_mac}, dmz{"dmz0", dmz_mac};
  const reference::Way router{"lan0", lan_mac, router_mac},
      gateway{"dmz0", dmz_mac, dmz_gateway_mac};
  const reference::Way narrow{"dmz0", dmz_mac, dmz_gateway_mac, 1400};
  const reference::Way vlan{"lan0", lan_mac, {}, 1500, {Tag{0x8100, 100}}};
  const auto route = [&](const char* prefix, unsigned bits, std::optional<reference::Way> way,
                         bool on_link = false) {
    c.routes.push_back({address_of(prefix), bits, std::move(way), on_link});
  };
  route("0.0.0.0", 0, router);
  route("10.0.0.0", 24, lan, true);
  route("10.1.0.0", 24, dmz, true);
  route("10.4.0.0", 24, vlan, true);
  for (const char* local :
       {"10.0.0.9", "10.1.0.9", "10.4.0.9", "10.0.0.255", "10.1.0.255", "10.4.0.255"})
    route(local, 32, {});
  route("10.2.0.0", 24, gateway);
  route("10.3.0.0", 24, {});
  route("10.5.0.0", 24, narrow);
  route("::", 0, router);
  route("2001:db8::", 64, lan, true);
  route("2001:db8:1::", 64, dmz, true);
  route("2001:db8:4::", 64, vlan, true);
  for (const char* local : {"2001:db8::9", "2001:db8:1::9", "2001:db8:4::9"}) route(local, 128, {});
  route("2001:db8:2::", 64, gateway);
  route("2001:db8:3::", 64, {});
  route("2001:db8:5::", 64, narrow);
  c.neighbours = {
      {address_of("10.0.0.1"), router_mac},          {address_of("10.0.0.4"), member1_mac},
      {address_of("10.0.0.6"), member2_mac},         {address_of("10.1.0.1"), dmz_gateway_mac},
      {address_of("10.1.0.4"), dmz_member_mac},      {address_of("10.4.0.4"), tagged_mac},
      {address_of("2001:db8::1"), router_mac},       {address_of("2001:db8::4"), member1_mac},
      {address_of("2001:db8::6"), member2_mac},      {address_of("2001:db8:1::1"), dmz_gateway_mac},
      {address_of("2001:db8:1::4"), dmz_member_mac}, {address_of("2001:db8:4::4"), tagged_mac}};
}

// What the listeners' connections may be silent for, in turn.
struct Idle {
  unsigned seconds;
  bool resets;
};
constexpr Idle idle_times[] = {{0, false},  {40, false},    {7, true},   {100, true},
                               {16, false}, {39, true},     {0, false},  {14'000, false},
                               {1, false},  {14'000, true}, {600, false}};
// How long their members have for an answer.
constexpr unsigned connect_times[] = {0, 12, 0, 5, 20};

class Differential : public World {
 protected:
  void SetUp() override;
  kernel::LoadOptions load_options() const override {
    auto options = World::load_options();
    options.jiffies_per_second = passing_clock;
    return options;
  }

  // Forgets all flows and plays the steps; returns the index of the first one that differs.
  std::optional<std::size_t> play(const std::vector<Step>& steps);
  // Plays as many generated steps; returns the steps up to the first one that differs, or none.
  std::vector<Step> generate_and_play(std::uint64_t seed);
  // Compares sequences of one seed after the other, until the time is over if one is set. Each of
  // the reasons must occur.
  void compare(const std::set<std::string>& reasons);
  // Removes the steps that are not needed to show the difference. It stays between the same
  // reasons: fewer steps may show another one, even one that says nothing.
  std::vector<Step> reduced(std::vector<Step> steps);
  std::string as_test(const std::vector<Step>& steps, std::uint64_t seed);

  const Model& model() const { return *model_; }

  int packets_per_sequence_ = 130;
  int sequences_ = 100;  // in the suite
  bool many_clients_ = false;
  std::uint32_t syns_ = 4;  // see Generator
  const char* test_macro_ = "TEST_F(Differential";

 private:
  reference::Configuration describe();
  std::string address(int family, int number) const {
    return (family == 4 ? "10.0.0." : "2001:db8::") + std::to_string(number);
  }
  std::size_t add_pool(reference::Configuration& c, reference::Mode mode,
                       const std::vector<const char*>& members, std::uint16_t port);
  void add_listener(reference::Configuration& c, int family, int vip, L4 protocol,
                    std::uint16_t port, std::size_t pool);
  void add_services(reference::Configuration& c, int family);
  void add_mixed_services(reference::Configuration& c, int family);
  // Each pool stands for a load balancer, with the listeners that have it.
  static std::uint8_t bank_of(std::size_t pool) {
    return static_cast<std::uint8_t>(pool % SLUICE_LISTENER_BANKS);
  }
  void write_configuration();
  void write_pool(std::size_t pool);
  void start_again();
  std::uint32_t clock() const;
  bool time_stood_still() const;
  bool comes_out_as_expected(const Step& step);
  bool happens_as_expected(const Arrives& arrives);
  bool happens_as_expected(const Turns& turns);
  bool happens_as_expected(const Passes& passes);
  bool happens_as_expected(const Sweeps& sweeps);
  bool happens_as_expected(const SweepsShort& sweeps);
  bool sweep_all();
  bool sweep_short();
  bool pass(reference::Time ticks);
  bool flows_are_alike(const char* after);
  std::set<Tuple> clients_of_flows();
  bool knows_begin(const reference::Flow& flow) const;
  bool expects_late(const Tuple& of_member) const;
  bool is_noted(std::uint32_t listener, std::uint32_t member, std::uint32_t name) const;
  void note_handshakes(const Bytes& frame);
  void keep_handshakes_young();
  template <typename Value>
  void look_into(std::optional<kernel::MappedArray<Value>>& array, const char* name);
  template <typename Play>
  auto while_time_stands_still(const Play& play);
  std::optional<std::size_t> play_once(const std::vector<Step>& steps);
  std::vector<Step> generate_and_play_once(std::uint64_t seed);
  std::optional<Choice> chosen_for(const Tuple& at_client);
  Choice choice_in(const sluice_flow6& slot) const;
  std::optional<std::uint32_t> acknowledged_by_answer() const;
  std::uint16_t id_of_last() const;
  bool remembers(std::uint32_t number);
  void forget_authentication();

  std::unique_ptr<Model> model_;
  std::map<reference::Service, std::uint32_t> listener_indices_;
  std::uint32_t began_ = 0;                 // by clock()
  std::uint32_t handshakes_looked_at_ = 0;  // by microseconds_now()
  std::optional<kernel::MappedArray<sluice_bucket4>> flows4_;
  std::optional<kernel::MappedArray<sluice_bucket6>> flows6_;
  std::optional<kernel::MappedArray<sluice_record_handshake>> handshakes_;
  std::vector<sluice_record_handshake> handshakes_before_;  // the packet
  Outcome last_;  // of the packet that the model is asked about
  std::string difference_;
  std::string kind_;             // of the difference: the two reasons
  std::size_t overwritten_ = 0;  // numbers that other clients' had taken the place of when shown
  std::map<std::string, int> seen_;  // packets by reason
};

std::size_t Differential::add_pool(reference::Configuration& c, reference::Mode mode,
                                   const std::vector<const char*>& members, std::uint16_t port) {
  reference::Pool pool;
  pool.mode = mode;
  for (const auto* member : members) {
    pool.members.push_back(c.members.size());
    c.members.push_back({address_of(member), port});
  }
  c.pools.push_back(pool);
  return c.pools.size() - 1;
}

void Differential::add_listener(reference::Configuration& c, int family, int vip, L4 protocol,
                                std::uint16_t port, std::size_t pool) {
  c.listeners[{address_of(address(family, vip)), port, static_cast<std::uint8_t>(protocol)}].pool =
      pool;
}

// Their members have the other IP version, and see sources that other connections have, too.
void Differential::add_mixed_services(reference::Configuration& c, int family) {
  using reference::Algorithm;
  using reference::Mode;
  const auto& all = members(10 - family);
  const std::vector<const char*> usual{all.near, all.far, all.tagged, all.narrow};
  const auto add = [&](L4 protocol, std::uint16_t port, std::size_t pool, bool has_sources = true) {
    add_listener(c, family, 16, protocol, port, pool);
    if (!has_sources) return;
    for (const int number : {30, 31})
      c.listeners.at({address_of(address(family, 16)), port, static_cast<std::uint8_t>(protocol)})
          .other_sources.push_back(address_of(address(10 - family, number)));
  };
  for (const L4 protocol : {L4::tcp, L4::udp}) {
    add(protocol, 140, add_pool(c, Mode::fullnat, usual, 8080));
    add(protocol, 141, add_pool(c, Mode::fullnat, {all.silent, all.unreachable, all.near}, 8080));
    const auto hashing = add_pool(c, Mode::fullnat, usual, 8080);
    c.pools[hashing].algorithm = Algorithm::source_ip_port;
    add(protocol, 142, hashing);
    const auto persistent = add_pool(c, Mode::fullnat, usual, 0);
    c.pools[persistent].weights = {1, 1, 1, 1};
    c.pools[persistent].persistence = 20 * reference::second;
    add(protocol, 143, persistent);
    add(protocol, 144, add_pool(c, Mode::fullnat, usual, 8080), false);
  }
  add(L4::tcp, 145, add_pool(c, Mode::dnat, usual, 8080));
  add(L4::sctp, 145, add_pool(c, Mode::fullnat, usual, 145));
}

void Differential::add_services(reference::Configuration& c, int family) {
  using reference::Mode;
  const auto& all = members(family);
  const std::vector<const char*> usual{all.near, all.far, all.tagged, all.narrow};
  int vip = 16;
  for (const auto mode : {Mode::fullnat, Mode::dnat, Mode::dsr, Mode::ipip}) {
    c.vips[address_of(address(family, vip))] = {};
    add_listener(c, family, vip, L4::tcp, 80, add_pool(c, mode, usual, 8080));
    add_listener(c, family, vip, L4::udp, 53, add_pool(c, mode, usual, 8080));
    add_listener(c, family, vip, L4::sctp, 5000, add_pool(c, mode, usual, 5000));
    // The way to each of these fails.
    add_listener(c, family, vip, L4::tcp, 82,
                 add_pool(c, mode, {all.silent, all.unreachable, all.near}, 8080));
    add_listener(c, family, vip, L4::sctp, 5002, add_pool(c, mode, {all.near}, 5003));
    ++vip;
  }
  // If a full table may have refused the flow, the model can't know the hash's choice.
  const auto by_source = add_pool(c, Mode::dnat, usual, 8080);
  c.pools[by_source].algorithm = reference::Algorithm::source_ip;
  if (!many_clients_) add_listener(c, family, 17, L4::tcp, 84, by_source);
  const auto by_port = add_pool(c, Mode::fullnat, usual, 8080);
  c.pools[by_port].algorithm = reference::Algorithm::source_ip_port;
  add_listener(c, family, 16, L4::tcp, 92, by_port);
  add_listener(c, family, 16, L4::udp, 92, by_port);
  const auto least = add_pool(c, Mode::fullnat, usual, 8080);
  c.pools[least].algorithm = reference::Algorithm::least_connections;
  c.pools[least].weights = {1, 2, 1, 5};
  add_listener(c, family, 16, L4::tcp, 96, least);
  add_listener(c, family, 16, L4::udp, 96, least);
  // Each client may open one connection.
  const auto slow = add_pool(c, Mode::dsr, usual, 8080);
  for (const L4 protocol : {L4::tcp, L4::udp}) {
    add_listener(c, family, 18, protocol, 98, slow);
    c.listeners[{address_of(address(family, 18)), 98, static_cast<std::uint8_t>(protocol)}]
        .source_limit = 1;
  }
  // One connection is allowed at a time.
  const auto limited = add_pool(c, Mode::fullnat, usual, 8080);
  for (const L4 protocol : {L4::tcp, L4::udp}) {
    add_listener(c, family, 16, protocol, 94, limited);
    c.listeners[{address_of(address(family, 16)), 94, static_cast<std::uint8_t>(protocol)}].limit =
        1;
  }
  // The first member may have one connection at a time; it is the only one, or there is another.
  for (const std::uint16_t others : {0, 1}) {
    const auto filled = add_pool(
        c, Mode::fullnat, others ? std::vector{all.near, all.far} : std::vector{all.near}, 8080);
    c.members[c.pools[filled].members[0]].most = 1;
    if (others) c.pools[filled].algorithm = reference::Algorithm::source_ip_port;
    for (const L4 protocol : {L4::tcp, L4::udp})
      add_listener(c, family, 16, protocol, static_cast<std::uint16_t>(100 + others), filled);
  }
  // A client's connections go to one member until it was away for 20 seconds.
  const auto persistent = [&](int on, L4 protocol, std::uint16_t port, Mode mode,
                              reference::Algorithm algorithm) {
    const auto pool = add_pool(c, mode, usual, 8080);
    c.pools[pool].algorithm = algorithm;
    c.pools[pool].weights = {1, 1, 1, 1};
    c.pools[pool].persistence = 20 * reference::second;
    add_listener(c, family, on, protocol, port, pool);
  };
  using reference::Algorithm;
  persistent(16, L4::tcp, 104, Mode::fullnat, Algorithm::round_robin);
  persistent(16, L4::udp, 104, Mode::fullnat, Algorithm::round_robin);
  persistent(17, L4::tcp, 104, Mode::dnat, Algorithm::least_connections);
  persistent(18, L4::tcp, 104, Mode::dsr, Algorithm::round_robin);
  if (!many_clients_) persistent(16, L4::tcp, 105, Mode::fullnat, Algorithm::source_ip_port);
  // Their connections begin with a header; of the second listener's one at a time.
  for (const std::uint16_t port : {130, 131}) {
    const auto proxied = add_pool(c, Mode::fullnat, usual, 8080);
    c.pools[proxied].proxied = true;
    add_listener(c, family, 16, L4::tcp, port, proxied);
    if (port == 131) c.listeners[{address_of(address(family, 16)), port, 6}].limit = 1;
  }
  // These authenticate SYNs, always or while crowded.
  using reference::Authentication;
  const auto authenticate = [&](int on, L4 protocol, std::uint16_t port, Mode mode,
                                Authentication how) {
    add_listener(c, family, on, protocol, port, add_pool(c, mode, usual, 8080));
    c.listeners[{address_of(address(family, on)), port, static_cast<std::uint8_t>(protocol)}]
        .authentication = how;
  };
  authenticate(16, L4::tcp, 110, Mode::fullnat, Authentication::always);
  authenticate(17, L4::tcp, 110, Mode::dnat, Authentication::always);
  authenticate(18, L4::tcp, 110, Mode::dsr, Authentication::always);
  authenticate(16, L4::tcp, 111, Mode::fullnat, Authentication::crowded);
  authenticate(16, L4::udp, 111, Mode::fullnat, Authentication::always);  // UDP is not asked
  // Some connections meet at one member, where the clients' ports must tell them apart, or can't.
  for (const std::uint16_t port : {88, 89, 90, 91})
    add_listener(c, family, 17, L4::tcp, port, add_pool(c, Mode::dnat, {all.near}, 8080));
  for (const std::uint16_t port : {5088, 5089, 5090, 5091})
    add_listener(c, family, 16, L4::sctp, port, add_pool(c, Mode::fullnat, {all.near}, port));
  // These have many ports; the members keep them, or have one of their own.
  const auto many_ports = [&](int on, Mode mode, L4 protocol, std::uint16_t first,
                              std::uint16_t at_member) {
    add_listener(c, family, on, protocol, first, add_pool(c, mode, usual, at_member));
    c.listeners[{address_of(address(family, on)), first, static_cast<std::uint8_t>(protocol)}]
        .last_port = static_cast<std::uint16_t>(first + 3);
  };
  many_ports(16, Mode::fullnat, L4::tcp, 30000, 0);
  many_ports(17, Mode::dnat, L4::udp, 30000, 0);
  many_ports(17, Mode::dnat, L4::tcp, 31000, 8080);
  many_ports(18, Mode::dsr, L4::sctp, 30000, 0);
  many_ports(19, Mode::ipip, L4::udp, 30000, 0);
  // In tunnels with a UDP header.
  c.vips[address_of(address(family, 22))] = {};
  const auto in_udp = add_pool(c, Mode::gue, usual, 8080);
  for (const L4 protocol : {L4::tcp, L4::udp}) add_listener(c, family, 22, protocol, 80, in_udp);
  // These schedule each datagram.
  for (const auto& [on, mode] :
       {std::pair{17, Mode::dnat}, std::pair{18, Mode::dsr}, std::pair{22, Mode::gue}}) {
    add_listener(c, family, on, L4::udp, 514,
                 add_pool(c, mode, usual, mode == Mode::dnat ? 8080 : 514));
    c.listeners[{address_of(address(family, on)), 514, IPPROTO_UDP}].per_packet = true;
  }
  // Members see these sources in place of the VIP, each of which has ports of its own.
  const auto with_sources = [&](L4 protocol, std::uint16_t port) {
    auto& sources =
        c.listeners.at({address_of(address(family, 16)), port, static_cast<std::uint8_t>(protocol)})
            .sources;
    for (const int number : {30, 31}) sources.push_back(address_of(address(family, number)));
  };
  for (const int number : {30, 31}) c.vips[address_of(address(family, number))] = {};
  for (const std::uint16_t port : {92, 96}) with_sources(L4::udp, port);
  for (const std::uint16_t port : {92, 110, 130}) with_sources(L4::tcp, port);
  for (const std::uint16_t port : {5088, 5089}) with_sources(L4::sctp, port);
  add_mixed_services(c, family);
  // Only one client may connect.
  add_listener(c, family, 16, L4::tcp, 86, add_pool(c, Mode::fullnat, usual, 8080));
  c.listeners[{address_of(address(family, 16)), 86, 6}].allowed =
      address_of(family == 4 ? "203.0.113.5" : "2001:db8:c::5");
  c.vips[address_of(address(family, 19))].standby = true;
  c.vips[address_of(address(family, 20))].up = false;
  add_listener(c, family, 20, L4::tcp, 80, add_pool(c, Mode::fullnat, usual, 8080));
  // These have no member or listener; some clients are told, others not.
  c.vips[address_of(address(family, 21))].rejects = true;
  const auto empty = add_pool(c, Mode::fullnat, {}, 0);
  for (const L4 protocol : {L4::tcp, L4::udp, L4::sctp}) {
    add_listener(c, family, 21, protocol, 80, empty);
    add_listener(c, family, 21, protocol, 82, empty);
    c.listeners[{address_of(address(family, 21)), 80, static_cast<std::uint8_t>(protocol)}].resets =
        true;
  }
}

reference::Configuration Differential::describe() {
  reference::Configuration c;
  c.interfaces["lan0"] = {lan_mac, address_of("10.0.0.9"), address_of("2001:db8::9")};
  c.interfaces["dmz0"] = {dmz_mac, address_of("10.1.0.9"), address_of("2001:db8:1::9")};
  describe_network(c);
  for (const int family : {4, 6}) add_services(c, family);
  std::size_t turn = 0;
  for (auto& [service, listener] : c.listeners) {
    const auto& idle = idle_times[turn % std::size(idle_times)];
    listener.idle_seconds = idle.seconds;
    listener.resets_idle = idle.resets;
    listener.connect_time = connect_times[turn % std::size(connect_times)] * reference::second;
    ++turn;
  }
  const auto options = load_options();
  const auto half_open =
      [](std::uint32_t flows) {  // even in the smallest table some handshakes fit
        return std::max<std::size_t>(flows / SLUICE_HALF_OPEN_SHARE, 16);
      };
  c.ipv4 = {half_open(options.flows), SLUICE_FLOW_WINDOW * SLUICE_BUCKET_SLOTS4};
  c.ipv6 = {half_open(options.flows6), SLUICE_FLOW_WINDOW * SLUICE_BUCKET_SLOTS6};
  return c;
}

sluice_forwarding_mode map_value(reference::Mode mode) {
  static const sluice_forwarding_mode modes[] = {SLUICE_FULLNAT, SLUICE_DNAT, SLUICE_DSR,
                                                 SLUICE_IPIP, SLUICE_GUE};
  return modes[static_cast<int>(mode)];
}

sluice_algorithm map_value(reference::Algorithm algorithm) {
  static const sluice_algorithm algorithms[] = {SLUICE_ROUND_ROBIN, SLUICE_LEAST_CONNECTIONS,
                                                SLUICE_SOURCE_IP, SLUICE_SOURCE_IP_PORT};
  return algorithms[static_cast<int>(algorithm)];
}

std::uint32_t flags_of(reference::Standing standing) {
  using reference::Standing;
  switch (standing) {
    case Standing::down:
      return SLUICE_MEMBER_FAILED;
    case Standing::given_up:
      return SLUICE_MEMBER_FAILED | SLUICE_MEMBER_GIVEN_UP;
    case Standing::drained_out:
      return SLUICE_MEMBER_GIVEN_UP;
    case Standing::removed:
      return SLUICE_MEMBER_REMOVED;
    case Standing::removed_and_over:
      return SLUICE_MEMBER_REMOVED | SLUICE_MEMBER_GIVEN_UP;
    case Standing::removed_while_down:
      return SLUICE_MEMBER_REMOVED | SLUICE_MEMBER_GIVEN_UP | SLUICE_MEMBER_FAILED;
    default:
      return 0;
  }
}

std::uint32_t flags_of(reference::Authentication authentication) {
  using reference::Authentication;
  return authentication == Authentication::always    ? SLUICE_LISTENER_AUTHENTICATES_ALWAYS
         : authentication == Authentication::crowded ? SLUICE_LISTENER_AUTHENTICATES
                                                     : 0;
}

void Differential::write_pool(std::size_t number) {
  const auto& c = model_->configuration();
  const auto& pool = c.pools[number];
  std::vector<std::uint32_t> ring;
  for (std::size_t i = 0; i < pool.members.size(); ++i) {
    const auto& member = c.members[pool.members[i]];
    const auto slot = static_cast<std::uint32_t>(pool.members[i]);
    const auto weight = pool.weights.empty() ? 0 : pool.weights[i];
    put_bank(slot, bank_of(number));
    put_member(slot, reference::text_of(member.address), member.port, member.is_usable(),
               mode_flags(map_value(pool.mode)) | flags_of(member.standing) |
                   (pool.proxied ? SLUICE_MEMBER_PROXY : 0),
               static_cast<std::uint32_t>(member.most.value_or(0)));
    if (member.is_usable()) ring.push_back(SLUICE_RING_WEIGHTED(slot, weight));
  }
  put_pool(static_cast<std::uint32_t>(number), map_value(pool.mode), ring,
           map_value(pool.algorithm),
           static_cast<std::uint32_t>(pool.persistence / reference::second));
}

bool has_ipv6_members(const reference::Configuration& c, std::size_t pool) {
  const auto& members = c.pools[pool].members;
  return !members.empty() && c.members[members.front()].address.size() == 16;
}

void Differential::write_configuration() {
  const auto& c = model_->configuration();
  // Every IPv4 address may be of a connection between the IP versions, as far as the model knows.
  for (const auto& [vip, state] : c.vips)
    put_vip(reference::text_of(vip), state.up,
            (state.rejects ? SLUICE_VIP_REJECTS : 0) | (state.standby ? SLUICE_VIP_STANDBY : 0) |
                (vip.size() == 4 ? SLUICE_VIP_MIXED : 0));
  for (std::size_t pool = 0; pool < c.pools.size(); ++pool) write_pool(pool);
  std::uint32_t number = 0;
  for (const auto& [service, described] : c.listeners) {
    const auto& [vip, port, protocol] = service;
    const auto index = number++ + bank_of(described.pool) * SLUICE_BANK_LISTENERS;
    listener_indices_[service] = index;
    auto value = listener(static_cast<std::uint32_t>(described.pool), index);
    value.flags |= static_cast<std::uint32_t>(described.connect_time / reference::second * 10)
                   << SLUICE_LISTENER_CONNECT_SHIFT;
    if (vip.size() == 4) std::memcpy(&value.snat_source, vip.data(), vip.size());
    if (described.resets) value.flags |= SLUICE_LISTENER_RESETS;
    if (described.per_packet) value.flags |= SLUICE_LISTENER_PER_PACKET;
    value.flags |= flags_of(described.authentication);
    if (described.source_limit)
      value.new_connection_limit = static_cast<std::uint32_t>(*described.source_limit);
    if (described.limit) value.connection_limit = static_cast<std::uint32_t>(*described.limit);
    if (described.allowed) {
      value.flags |= SLUICE_LISTENER_RESTRICTED;
      allow(value.index, reference::text_of(*described.allowed), vip.size() == 4 ? 32 : 128);
    }
    for (const auto* addresses : {&described.sources, &described.other_sources}) {
      if (addresses->empty()) continue;
      value.flags |= SLUICE_LISTENER_SNAT | SLUICE_LISTENER_MIXED;
      std::vector<std::string> sources;
      for (const auto& source : *addresses) sources.push_back(reference::text_of(source));
      put_snat_sources(value.index, sources);
    }
    const auto l4 = static_cast<L4>(protocol);
    if (vip.size() == 4 && has_ipv6_members(c, described.pool)) {
      put_listener(reference::text_of(reference::mapped(vip)), port, l4, value);
      value.flags |= SLUICE_LISTENER_TO_IPV6;
    }
    if (described.last_port) {
      put_listener(reference::text_of(vip), port, described.last_port, l4, value);
    } else {
      put_listener(reference::text_of(vip), port, l4, value);
    }
  }
  for (const int number : {30, 31}) put_vip(address(4, number), true, SLUICE_VIP_MIXED);
  put_vip(reference::text_of(reference::mapped(address_of(address(4, 16)))));
}

std::uint64_t flow_protocol(std::uint8_t ip_protocol) {
  return ip_protocol == IPPROTO_TCP   ? SLUICE_FLOW_TCP
         : ip_protocol == IPPROTO_UDP ? SLUICE_FLOW_UDP
                                      : SLUICE_FLOW_SCTP;
}

template <typename Slot>
bool is_slot_of(const Slot& slot, const Tuple& tuple) {
  static_assert(sizeof slot.source == sizeof slot.destination);
  return std::memcmp(&slot.source, tuple.source.data(), tuple.source.size()) == 0 &&
         std::memcmp(&slot.destination, tuple.destination.data(), tuple.destination.size()) == 0 &&
         ntohs(slot.source_port) == tuple.source_port &&
         ntohs(slot.destination_port) == tuple.destination_port &&
         SLUICE_STATE_GET(slot.state, PROTOCOL) == flow_protocol(tuple.protocol);
}

// The place of an address of so many bytes.
reference::Address address_at(const void* place, std::size_t bytes) {
  const auto* first = static_cast<const std::uint8_t*>(place);
  return {first, first + bytes};
}

// Says what the slot says and what it leaves out (maps/flow.h).
Choice Differential::choice_in(const sluice_flow6& slot) const {
  const auto& member = model_->configuration().members[SLUICE_STATE_GET(slot.state, MEMBER)];
  const auto other = address_at(&slot.other, sizeof slot.other);
  const bool has_snat = slot.state & SLUICE_FLOW_KEEPS_CLIENT &&
                        model_->configuration().vips.count(reference::unmapped(other)) > 0 &&
                        other != address_at(&slot.destination, sizeof slot.destination);
  return {ntohs(slot.new_source_port), has_snat ? member.address : other,
          has_snat ? other : reference::Address()};
}

std::optional<Choice> Differential::chosen_for(const Tuple& at_client) {
  if (at_client.source.size() == 16) {
    for (const auto& bucket : *flows6_)
      if (is_slot_of(bucket.slots[0], at_client)) return choice_in(bucket.slots[0]);
    return {};
  }
  for (const auto& bucket : *flows4_)
    for (const auto& slot : bucket.slots)
      if (is_slot_of(slot, at_client))
        return Choice{ntohs(slot.new_source_port), address_at(&slot.new_destination, 4),
                      address_at(&slot.new_source, 4)};
  return {};
}

std::optional<std::uint32_t> Differential::acknowledged_by_answer() const {
  if (last_.reason != "syn_answered") return {};
  const auto answer = reference::look_at(last_.frame);
  return answer.accepts ? std::optional(answer.shown) : std::nullopt;
}

std::uint16_t Differential::id_of_last() const {
  const auto view = reference::look_at(last_.frame);
  return view.ip && view.family == 4 ? reference::read16(last_.frame, view.l3 + 4) : 0;
}

// A number is random, so it is in the table only if its client's was not overwritten.
bool Differential::remembers(std::uint32_t number) {
  const auto pairs = kernel::MappedArray<sluice_proofs>::open(program(), "proof_numbers");
  if (!pairs) {
    ADD_FAILURE() << pairs.error().text();
    return true;
  }
  // Tags of SCTP are there as they lie in the packet.
  const auto tag = htonl(number);
  const bool found = std::any_of(pairs->begin(), pairs->end(), [&](const auto& pair) {
    return std::any_of(std::begin(pair.numbers), std::end(pair.numbers),
                       [&](auto one) { return one == number || one == tag; });
  });
  overwritten_ += !found;
  return found;
}

std::uint32_t folded(const reference::Address& address) {
  std::uint32_t all = address.size() == 4 ? htonl(0xffff) : 0;
  for (std::size_t at = 0; at < address.size(); at += sizeof all) {
    std::uint32_t word = 0;
    std::memcpy(&word, address.data() + at, sizeof word);
    all ^= word;
  }
  return all;
}

std::uint32_t last_word(const reference::Address& address) {
  std::uint32_t word = 0;
  std::memcpy(&word, address.data() + address.size() - sizeof word, sizeof word);
  return word;
}

std::uint32_t ports_of(const Tuple& tuple) {
  const std::uint16_t both[] = {htons(tuple.source_port), htons(tuple.destination_port)};
  std::uint32_t ports = 0;
  std::memcpy(&ports, both, sizeof ports);
  return ports;
}

// The time by which the data plane stamps handshakes (bpf/handshake.h).
std::uint32_t microseconds_now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint32_t>(time.tv_sec * 1'000'000 + time.tv_nsec / 1000);
}

bool Differential::is_noted(std::uint32_t listener, std::uint32_t member,
                            std::uint32_t name) const {
  const auto mark = sluice_handshake_mark(listener, member, name);
  return handshakes_before_.at(sluice_handshake_place(mark)).mark == (mark | 1);
}

// See bpf/handshake.h.
bool Differential::knows_begin(const reference::Flow& flow) const {
  const auto& client = flow.at_client;
  return is_noted(listener_indices_.at(flow.service) % SLUICE_BANK_LISTENERS,
                  static_cast<std::uint32_t>(flow.member),
                  (last_word(client.source) ^ ports_of(client)) | 1);
}

// See bpf/connect_time.h.
bool Differential::expects_late(const Tuple& of_member) const {
  const auto theirs =
      folded(of_member.source) + static_cast<std::uint32_t>(flow_protocol(of_member.protocol));
  return is_noted(
      SLUICE_STATE_LISTENER_IN_BANK_MASK, SLUICE_STATE_MEMBER_MASK,
      ports_of(of_member) ^ theirs * 0x9e3779b1U ^ folded(of_member.destination) * 0x85ebca6bU);
}

// Handshakes don't grow older while the model's clock stands still, however slow this machine is.
void Differential::keep_handshakes_young() {
  const auto time = microseconds_now();
  const auto passed = time - std::exchange(handshakes_looked_at_, time);
  const auto memory = kernel::map_memory_of(kernel::RawMap(program(), "record_handshakes"),
                                            sizeof(sluice_record_handshake), kernel::Access::write);
  ASSERT_TRUE(memory) << memory.error().text();
  auto* const first = static_cast<sluice_record_handshake*>(const_cast<void*>(memory->get()));
  for (auto* one = first; one != first + memory->get_deleter().entries; ++one) {
    const auto age = time - one->microseconds;  // modulo 2^32, as the data plane's
    if (one->mark != 0) one->microseconds += std::min(age, passed);
  }
}

// Only packets that open or accept a connection ask for this.
void Differential::note_handshakes(const Bytes& frame) {
  const auto view = reference::look_at(frame);
  if (!view.opens && !view.accepts) return;
  keep_handshakes_young();
  handshakes_before_.assign(handshakes_->begin(), handshakes_->end());
}

template <typename Value>
void Differential::look_into(std::optional<kernel::MappedArray<Value>>& array, const char* name) {
  auto opened = kernel::MappedArray<Value>::open(program(), name);
  ASSERT_TRUE(opened) << opened.error().text();
  array = std::move(*opened);
}

void Differential::SetUp() {
  World::SetUp();
  if (IsSkipped() || HasFatalFailure()) return;
  remove_listener(vip, 80);
  model_ = std::make_unique<Model>(
      describe(),
      reference::Questions{
          .choice = [this](const Tuple& t) { return chosen_for(t); },
          .syn_answer = [this] { return acknowledged_by_answer(); },
          .remembers = [this](std::uint32_t number) { return remembers(number); },
          .knows_begin = [this](const reference::Flow& flow) { return knows_begin(flow); },
          .expects_late = [this](const Tuple& of_member) { return expects_late(of_member); },
          .id = [this] { return id_of_last(); }});
  write_configuration();
  look_into(flows4_, "flows4");
  look_into(flows6_, "flows6");
  look_into(handshakes_, "record_handshakes");
}

// Forgets what clients have proven in sequences before.
void Differential::forget_authentication() {
  empty_hash(map("proven_sources"));
  clear_array(map("proof_numbers"));
}

std::uint32_t Differential::clock() const {
  const auto now = PassingTime(program()).now();
  if (!now) ADD_FAILURE() << now.error().text();
  return now.value_or(0);
}

void Differential::start_again() {
  forget_flows();
  forget_authentication();
  empty_hash(map("persistence"));
  clear_array(map("record_handshakes"));
  const auto& c = model_->configuration();
  for (const auto& [service, listener] : c.listeners)
    set_idle_time(listener_indices_.at(service),
                  listener.idle_seconds | (listener.resets_idle ? SLUICE_IDLE_RESETS : 0));
  handshakes_looked_at_ = microseconds_now();
  began_ = clock();
  // Earlier times are above zero.
  model_->start_again(began_ + (1U << 20));
  for (std::size_t pool = 0; pool < c.pools.size(); ++pool) {
    bool changed = false;
    for (const auto member : c.pools[pool].members) {
      changed = changed || !c.members[member].is_usable();
      model_->turn(member, reference::Standing::usable);
    }
    if (changed) write_pool(pool);
  }
}

// Says whether only such time has passed as no test can tell: the data plane's clock shows the same
// sixteenth of a tick.
bool Differential::time_stood_still() const {
  return clock() == began_;
}

const char* name_of(Action action) {
  static const char* const names[] = {"aborted", "drop", "pass", "transmit", "redirect"};
  return static_cast<std::uint32_t>(action) < 5 ? names[static_cast<std::uint32_t>(action)] : "?";
}

// The first lines have what matters of a frame.
std::string described(const Fate& fate) {
  const auto head = fate.action == Action::drop ? Bytes{} : cut(fate.frame, 144);
  return fmt::format("{}, {}, {} bytes\n{}\n", name_of(fate.action), fate.reason, fate.frame.size(),
                     hex_dump(head));
}

std::string first_difference(const Bytes& a, const Bytes& b) {
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return fmt::format("the frames are alike up to offset {:#06x}\n", at - a.begin());
}

std::set<Tuple> Differential::clients_of_flows() {
  std::set<Tuple> clients;
  const auto add = [&](const auto& slot, std::size_t bytes) {
    static const std::uint8_t protocols[] = {0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
    const auto protocol = SLUICE_STATE_GET(slot.state, PROTOCOL);
    if (!protocol || slot.state & SLUICE_FLOW_TO_CLIENT) return;
    clients.insert({address_at(&slot.source, bytes), address_at(&slot.destination, bytes),
                    ntohs(slot.source_port), ntohs(slot.destination_port), protocols[protocol]});
  };
  for (const auto& bucket : *flows4_)
    for (const auto& slot : bucket.slots) add(slot, 4);
  for (const auto& bucket : *flows6_) add(bucket.slots[0], 16);
  return clients;
}

std::string described(const Tuple& t) {
  return fmt::format("{} {} to {} {}, protocol {}", reference::text_of(t.source), t.source_port,
                     reference::text_of(t.destination), t.destination_port, t.protocol);
}

// Compares which connections there are.
bool Differential::flows_are_alike(const char* after) {
  auto only_here = clients_of_flows();
  difference_.clear();
  for (const auto& flow : model_->flows())
    if (model_->is_present(flow) && !only_here.erase(flow.at_client))
      difference_ += "only the model has " + described(flow.at_client) + "\n";
  for (const auto& client : only_here)
    difference_ += "only the data plane has " + described(client) + "\n";
  kind_ = after;
  return difference_.empty();
}

bool Differential::sweep_all() {
  expire();
  model_->sweep();
  return flows_are_alike("after a sweep");
}

bool Differential::sweep_short() {
  expire_short();
  model_->sweep_short();
  return flows_are_alike("after a short sweep");
}

bool Differential::pass(reference::Time ticks) {
  keep_handshakes_young();
  const auto passed = PassingTime(program()).pass(static_cast<std::uint32_t>(ticks));
  if (!passed) ADD_FAILURE() << passed.error().text();
  model_->pass(ticks);
  return sweep_short();
}

// Short sweeps run all the time. No slot is marked once marks can tell no more; from then on time
// passes in larger steps, after each of which there is a sweep but for the last.
bool Differential::happens_as_expected(const Passes& passes) {
  constexpr reference::Time marks_last = SLUICE_MARK_SPAN >> SLUICE_MARK_BITS, longest = 40;
  auto left = passes.ticks;
  for (; left > 0 && passes.ticks - left < marks_last; --left)
    if (!pass(1)) return false;
  while (left > longest) {
    if (!pass(longest) || !sweep_all()) return false;
    left -= longest;
  }
  return left == 0 || pass(left);
}

bool Differential::happens_as_expected(const Sweeps&) {
  return sweep_all();
}

bool Differential::happens_as_expected(const SweepsShort&) {
  return sweep_short();
}

bool Differential::happens_as_expected(const Turns& turns) {
  model_->turn(turns.member, turns.standing);
  const auto& pools = model_->configuration().pools;
  for (std::size_t pool = 0; pool < pools.size(); ++pool) {
    const auto& members = pools[pool].members;
    if (std::count(members.begin(), members.end(), turns.member)) write_pool(pool);
  }
  expire();
  return flows_are_alike("after a member's turn");
}

bool Differential::happens_as_expected(const Arrives& arrives) {
  note_handshakes(arrives.frame);
  forget_answers();  // the model's have no limit
  const auto& out = last_ = receive(arrives.frame, arrives.interface);
  const Fate expected = model_->receive(arrives.frame, arrives.interface);
  ++seen_[expected.reason];
  const bool same = out.reason == expected.reason &&
                    out.action == static_cast<std::uint32_t>(expected.action) &&
                    (expected.action == Action::drop || out.frame == expected.frame);
  if (!same) {
    kind_ = out.reason + ", " + expected.reason;
    difference_ = "the data plane: " + described({Action{out.action}, out.reason, out.frame}) +
                  "the model:      " + described(expected) +
                  first_difference(out.frame, expected.frame);
  }
  return same;
}

bool Differential::comes_out_as_expected(const Step& step) {
  return std::visit([this](const auto& one) { return happens_as_expected(one); }, step);
}

std::optional<std::size_t> Differential::play_once(const std::vector<Step>& steps) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (!comes_out_as_expected(steps[i])) return i;
  }
  return {};
}

std::vector<Step> Differential::generate_and_play_once(std::uint64_t seed) {
  reference::Generator generator(seed, *model_, many_clients_, syns_);
  std::vector<Step> steps;
  for (int i = 0; i < packets_per_sequence_; ++i) {
    steps.push_back(generator.next());
    if (!comes_out_as_expected(steps.back())) return steps;
  }
  return {};
}

// A sequence in which the clock went on is played again, because the model's clock stands still.
template <typename Play>
auto Differential::while_time_stands_still(const Play& play) {
  constexpr int most_tries = 100;
  for (int i = 0; i < most_tries; ++i) {
    start_again();
    const auto result = play();
    if (time_stood_still()) return result;
  }
  ADD_FAILURE() << "this machine is too slow: no sequence was over before the clock went on";
  return play();
}

std::optional<std::size_t> Differential::play(const std::vector<Step>& steps) {
  return while_time_stands_still([&] { return play_once(steps); });
}

std::vector<Step> Differential::generate_and_play(std::uint64_t seed) {
  return while_time_stands_still([&] { return generate_and_play_once(seed); });
}

std::vector<Step> Differential::reduced(std::vector<Step> steps) {
  const auto kind = kind_;
  for (std::size_t i = steps.size() - 1; i-- > 0;) {
    auto fewer = steps;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (play(fewer) == fewer.size() - 1 && kind_ == kind) steps = fewer;
  }
  play(steps);
  return steps;
}

std::string as_source(const Turns& turns) {
  return fmt::format("Turns{{{}, static_cast<reference::Standing>({})}}", turns.member,
                     static_cast<int>(turns.standing));
}
std::string as_source(const Passes& passes) {
  return fmt::format("Passes{{{}}}", passes.ticks);
}
std::string as_source(const Sweeps&) {
  return "Sweeps{}";
}
std::string as_source(const SweepsShort&) {
  return "SweepsShort{}";
}
std::string as_source(const Arrives& arrives) {
  std::string bytes;
  for (const auto byte : arrives.frame) bytes += fmt::format("{:02x}", byte);
  return fmt::format("Arrives{{\"{}\", unhex(\"{}\")}}", arrives.interface, bytes);
}

std::string Differential::as_test(const std::vector<Step>& steps, std::uint64_t seed) {
  std::string text = fmt::format("\n{}, Seed{}) {{\n  EXPECT_FALSE(play({{\n", test_macro_, seed);
  for (const auto& step : steps)
    text += "      " + std::visit([](const auto& one) { return as_source(one); }, step) + ",\n";
  return text + "  }));\n}\n" + difference_;
}

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

#define SLUICE_LABEL(name, verdict, label, sentence) label,
const char* const all_reasons[] = {SLUICE_REASONS(SLUICE_LABEL)};
#undef SLUICE_LABEL

void Differential::compare(const std::set<std::string>& reasons) {
  const auto first = number_from_environment("SLUICE_FUZZ_SEED", 1);
  const auto seconds = number_from_environment("SLUICE_FUZZ_SECONDS", 0);
  const auto sequences = seconds ? UINT64_MAX - first : static_cast<std::uint64_t>(sequences_);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  overwritten_ = 0;
  std::uint64_t seed = first;
  for (; seed < first + sequences; ++seed) {
    if (seconds && std::chrono::steady_clock::now() > end) break;
    const auto steps = generate_and_play(seed);
    if (!steps.empty()) {
      const auto met = difference_;
      FAIL() << as_test(reduced(steps), seed) << "\nBefore it was reduced, " << met;
    }
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  std::cout << fmt::format(
      "seeds {} to {}: {} packets, no difference; {} numbers were overwritten\n", first, seed - 1,
      (seed - first) * static_cast<std::uint64_t>(packets_per_sequence_), overwritten_);
  for (const char* const reason : all_reasons) {
    std::cout << fmt::format("{:>10} {}\n", seen_[reason], reason);
    EXPECT_TRUE(seen_[reason] > 0 || !reasons.count(reason))
        << "no packet came to this, so nothing was compared: " << reason;
  }
}

TEST_F(Differential, TheDataPlaneDoesWhatTheModelDoes) {
  std::set<std::string> reasons(std::begin(all_reasons), std::end(all_reasons));
  // Both NICs are known and in native mode and leave room before a frame, all flows have room, and
  // no node of a fleet comes or goes.
  for (const char* out_of_reach :
       {"unknown_interface", "malformed_ethernet", "no_headroom", "flow_table_full",
        "half_open_full", "forwarded_without_flow", "egress_not_native", "proxy_full", "in_grace"})
    reasons.erase(out_of_reach);
  reasons.erase(
      "source_half_open");  // needs more connections of one client than these sequences have
  compare(reasons);
}

// Most packets are SYNs that have to be authenticated, and what follows on the answers.
class DifferentialAuthentication : public Differential {
 protected:
  DifferentialAuthentication() {
    packets_per_sequence_ = 500;
    sequences_ = 6;
    many_clients_ = true;
    syns_ = 85;
    test_macro_ = "TEST_F(DifferentialAuthentication";
  }
};

TEST_F(DifferentialAuthentication, TheDataPlaneAsksWhomTheModelAsks) {
  compare({"syn_answered", "syn_proven", "syn_answer_limit", "source_half_open", "flow_created"});
}

// More connections than the table has room for. Their places differ in each run.
struct Crowd {
  const char* name;
  std::uint32_t flows;            // the table is made for
  std::set<std::string> reasons;  // that must be met
};
void PrintTo(const Crowd& crowd, std::ostream* out) {
  *out << crowd.name;
}

class DifferentialCrowd : public Differential, public ::testing::WithParamInterface<Crowd> {
 protected:
  DifferentialCrowd() {
    packets_per_sequence_ = 400;
    sequences_ = 12;
    many_clients_ = true;
    test_macro_ = "TEST_P(DifferentialCrowd";
  }
  kernel::LoadOptions load_options() const override {
    auto options = Differential::load_options();
    options.flows = options.flows6 = GetParam().flows;
    return options;
  }
};

TEST_P(DifferentialCrowd, WithoutRoomTheDataPlaneDoesWhatTheModelDoes) {
  compare(GetParam().reasons);
  EXPECT_GT(model().flows_that_made_way(), 0U);
}

INSTANTIATE_TEST_SUITE_P(, DifferentialCrowd,
                         ::testing::Values(Crowd{"NoSlots", 1, {}},
                                           Crowd{"TooManyHalfOpen", 12, {}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace sluice::test
