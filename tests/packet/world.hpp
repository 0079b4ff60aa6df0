// World: a small network around the real XDP program, for tests that send one packet and check the
// result.
//
//   client 203.0.113.5 ── router 10.0.0.1 ─┐
//   on-link client 10.0.0.77 ──────────────┼── lan0 (10.0.0.9, the load balancer)
//   members 10.0.0.4, 10.0.0.6 ────────────┘
//   member 10.1.0.4 ────────────────────────── dmz0 (10.1.0.9)
//   member 10.2.0.4 behind the gateway 10.1.0.1
//
// The same network speaks IPv6: clients 2001:db8:c::5 behind router 2001:db8::1, the load balancer
// 2001:db8::9, members 2001:db8::4 and ::6, 2001:db8:1::4 on dmz0, 2001:db8:2::4 behind the gateway
// 2001:db8:1::1. Members 10.4.0.4 and 2001:db8:4::4 are in VLAN 100 of lan0; 10.5.0.4 and
// 2001:db8:5::4 are behind the dmz's gateway too, and the way there has an MTU of 1400.
//
// With SLUICE_TEST_REHEARSAL in the environment each packet is rehearsed first
// (userspace/dataplane/rehearsal.hpp, by which `sluicectl explain` answers), and the real result
// must be the same.
//
// The test process moves into a network namespace of its own; each World gets a restored program
// (loaded.hpp; nothing is pinned) and passes packets to it with BPF_PROG_TEST_RUN. VIP 10.0.0.16
// has a listener on port 80 with the members 10.0.0.4:8080 and 10.0.0.6:8080.
#pragma once

#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "maps/counters.h"
#include "maps/flow.h"
#include "maps/listener.h"
#include "maps/listener_bank.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/snat.h"
#include "maps/vip.h"
#include "packet/loaded.hpp"
#include "support/packet.hpp"

namespace sluice::test {

inline constexpr Mac lan_mac{0x02, 0, 0, 0, 0, 0x09};
inline constexpr Mac dmz_mac{0x02, 0, 0, 0, 1, 0x09};
inline constexpr Mac router_mac{0x02, 0, 0, 0, 0, 0x01};
inline constexpr Mac member1_mac{0x02, 0, 0, 0, 0, 0x04};
inline constexpr Mac member2_mac{0x02, 0, 0, 0, 0, 0x06};
inline constexpr Mac dmz_member_mac{0x02, 0, 0, 0, 1, 0x04};
inline constexpr Mac dmz_gateway_mac{0x02, 0, 0, 0, 1, 0x01};
inline constexpr Mac neighbour_mac{0x02, 0, 0, 0, 0, 0x77};

inline const std::string vip = "10.0.0.16";
inline const std::string client = "203.0.113.5";
inline const std::string member1 = "10.0.0.4";
inline const std::string member2 = "10.0.0.6";

// Jiffies per second of the data plane's clock, for tests that must not depend on their own speed
// (LoadOptions::jiffies_per_second). The kernel has at most 1000, so one of its seconds lasts eight
// or more: no rate limit is reset meanwhile, and nothing times out. A tick is eight of them.
inline constexpr std::uint32_t slow_clock = 1U << 13;

// The action of a packet that leaves where it came in; EXPECT_EQ() wants the type of
// Outcome::action.
inline constexpr auto transmitted = static_cast<std::uint32_t>(XDP_TX);

// The result of one packet.
struct Outcome {
  std::uint32_t action = 0;  // XDP_*
  Bytes frame;
  std::string reason;  // the one label whose counter went up; all of them if not exactly one did
};

class World : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Lets one packet arrive on an interface of the load balancer.
  Outcome receive(const Bytes& frame, const std::string& interface = "lan0");
  Outcome receive(const TcpFrame& frame, const std::string& interface = "lan0") {
    return receive(frame.bytes(), interface);
  }
  Outcome receive(const Packet& packet, const std::string& interface = "lan0") {
    return receive(packet.bytes(), interface);
  }
  // Gives the same packet to the program `times` times on one CPU.
  void receive_repeatedly(const Bytes& frame, int times);
  // From now on packets meet this program instead of the loaded one; -1: the loaded one again.
  void receive_by(int program) { entry_ = program; }

  // Configuration, written to the maps as the controller would.
  void put_vip(const std::string& address, bool up = true, std::uint32_t more_flags = 0);
  // The large address filter, in place of which the usual one is asked unless it is complete for
  // the present generation of next hops (plus one).
  void put_large_filter(const std::vector<std::string>& addresses, std::uint64_t complete_for);
  void put_listener(const std::string& address, std::uint16_t port, std::uint32_t pool,
                    std::uint32_t index = 0) {
    put_listener(address, port, L4::tcp, listener(pool, index));
  }
  void put_listener(const std::string& address, std::uint16_t port, L4 protocol,
                    const sluice_listener& value);
  // The same with the ports from `first` to `last`; ranges of an address come in this order.
  void put_listener(const std::string& address, std::uint16_t first, std::uint16_t last,
                    L4 protocol, const sluice_listener& value);
  // Without limits.
  static sluice_listener listener(std::uint32_t pool, std::uint32_t index = 0);
  // The sources that members of fullnat pools see. The listener needs SLUICE_LISTENER_SNAT. IPv6:
  // of connections to this VIP.
  void put_snat_sources(std::uint32_t listener, const std::vector<std::string>& addresses,
                        const std::string& vip6 = "2001:db8::16");
  void allow(std::uint32_t listener, const std::string& network, unsigned bits);
  // Sets how long the listener's connections may be silent; 0: as usual.
  void set_idle_time(std::uint32_t listener, std::uint32_t seconds);
  void remove_listener(const std::string& address, std::uint16_t port);
  void put_pool(std::uint32_t pool, sluice_forwarding_mode mode,
                const std::vector<std::uint32_t>& ring,
                sluice_algorithm algorithm = SLUICE_ROUND_ROBIN,
                std::uint32_t persistence_seconds = 0);
  void put_member(std::uint32_t index, const std::string& address, std::uint16_t port,
                  bool usable = true, std::uint32_t more_flags = 0,
                  std::uint32_t max_connections = 0);
  // The bank of the member's listeners; 0 unless it is set.
  void put_bank(std::uint32_t member, std::uint8_t bank);
  void raise_next_hop_generation();

  // State, read from the maps.
  sluice_counters listener_counters(std::uint32_t index);
  sluice_counters member_counters(std::uint32_t index);
  // One slot of the flow table: one direction of a connection.
  struct Flow {
    std::uint32_t bucket = 0;
    std::uint32_t slot = 0;
    sluice_flow4 value;
    bool to_member() const { return !(value.state & SLUICE_FLOW_TO_CLIENT); }
  };
  std::vector<Flow> flows();
  std::vector<sluice_flow6> flows6();
  // Ages the flow, as if its last packet had come so much earlier.
  void make_older(const Flow& flow, std::uint32_t seconds);
  // The same for either IP version: all flows, or the members' direction of each.
  void make_all_older(std::uint32_t seconds);
  void make_members_silent(std::uint32_t seconds);
  // Lets `change` change the state of every slot that holds a flow.
  void change_states(const std::function<void(__u64& state)>& change);
  // A sweep, in slices as short as can be.
  sluice_flow_sweep expire();
  // One slice of a sweep, which goes on where `slice` says.
  void expire_slice(sluice_flow_sweep& slice);
  // One short sweep over both tables.
  sluice_flow_expire_short expire_short();
  // Makes every slot that the last short sweep has marked look as if it were marked so much
  // earlier.
  void make_marks_older(std::uint32_t sixteenths);
  std::uint32_t tick() const { return tick_of_marks_; }  // of the last short sweep
  // Runs flow_flush for every connection of this IP version; returns how many it has removed.
  unsigned flush_all(int family);
  // Runs flow_rehome once.
  sluice_flow_rehome rehome(sluice_flow_rehome request);
  // Restores the state after loading: no flows, no fragments, every pool's turn at its first
  // member.
  void forget_flows();
  int map(const char* name) const;
  const kernel::Program& program() const { return loaded_->program(); }
  void forget_answers() { loaded_->forget_answers(); }

  // Frames of the usual connection: client 203.0.113.5:40000 to VIP port 80, through the router.
  TcpFrame from_client(std::uint8_t flags, std::uint16_t port = 40000,
                       const std::string& data = "") const;
  // The same frame as the chosen member must get it.
  TcpFrame at_member(const TcpFrame& sent, int member, std::uint16_t source_port) const;
  // A member's segment to the VIP, and as the client must get it.
  TcpFrame from_member(int member, std::uint16_t to_port, std::uint8_t flags,
                       const std::string& data = "") const;
  TcpFrame at_client(const TcpFrame& sent, std::uint16_t client_port = 40000) const;

  // Opens a connection from the client with a full handshake; returns the member (1 or 2).
  int establish(std::uint16_t client_port = 40000);

  // The table's size in either IP version: small enough to be filled.
  static constexpr std::uint32_t flow_capacity = 256;
  static constexpr std::uint32_t half_open_limit = flow_capacity / SLUICE_HALF_OPEN_SHARE;

  // Options with tables of this size. The clock is slow, because a machine that is busy with
  // something else takes minutes for a test's packets.
  static kernel::LoadOptions with_room(std::uint32_t flows, std::uint32_t flows6) {
    return {.flows = flows, .flows6 = flows6, .jiffies_per_second = slow_clock};
  }
  virtual kernel::LoadOptions load_options() const {
    return with_room(flow_capacity, flow_capacity);
  }

 private:
  std::set<std::uint32_t> listeners_, pools_;  // those that were put; forget_flows() forgets theirs
  Outcome receive_really(const Bytes& frame, std::uint32_t interface_index);
  bool is_rehearsed();
  void add_to_address_filter(const std::string& address);
  std::map<std::string, std::uint64_t> reason_counts();
  std::uint32_t index_of(const std::string& interface) const;

  std::uint32_t tick_of_marks_ = 0;
  Loaded* loaded_ = nullptr;
  int entry_ = -1;
  std::uint32_t received_ = 0;
};

// Compares whole frames, with a dump of both if they differ.
::testing::AssertionResult same_frame(const Bytes& actual, const Bytes& expected);

}  // namespace sluice::test
