// DataPlane: the controller's interface to a data plane: its state as values, and operations that
// change it.
//
// control/ declares this; dataplane/ implements it over BPF maps; tests use a recording fake.
// Objects are named by their ids; indices into maps are the implementation's business.
#pragma once

#include <boost/container/flat_map.hpp>
#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/inspection.hpp"
#include "model/objects.hpp"
#include "model/supported.hpp"
#include "store/store.hpp"

namespace sluice::control {

struct VipEntry {
  Uuid load_balancer{};  // nil: a SNAT address of a node (node_snat.hpp)
  bool up = true;        // false: the address stays ours, but its packets are dropped
  bool resets = false;   // tells clients of ports without listener, and of unknown connections
  bool standby = false;  // another node of the link answers ARP, ND and pings
  bool snat = false;     // a SNAT address, which has no listeners
  // A SNAT address that was taken away: it is answered for until no connection has it any more.
  bool leaving = false;
  bool mixed = false;  // IPv4: connections to members of the other IP version may have this address

  bool operator==(const VipEntry&) const = default;
};

struct MemberEntry {
  IpAddress address;
  std::uint16_t port =
      0;                // host byte order; 0: packets keep the port to which the client connected
  bool usable = false;  // is in its pool's ring
  bool failed = false;  // its monitor says that it is down
  model::ForwardingMode forwarding_mode = model::ForwardingMode::fullnat;  // its pool's
  bool given_up =
      false;           // failed, or drained for long enough: clients that still send to it are told
  bool keeps = false;  // its pool leaves clients of members that are down alone
  std::uint32_t max_connections = 0;  // 0: any number
  bool proxied = false;  // its pool is a PROXYV2 pool: its connections begin with a header
  // How long its connections may go on once it is removed: to the end of the drain that is under
  // way, else for these seconds. Neither: until they end.
  std::optional<std::chrono::sys_seconds> drained_until = {};
  std::optional<std::uint32_t> drain_seconds = {};
  Uuid load_balancer = {};

  bool operator==(const MemberEntry&) const = default;
};

// A pool has an entry for each IP version of its load balancer's VIPs, and for that of members that
// serve the VIPs of the other one. The ring has the members of that version.
struct PoolKey {
  // The conversion is implicit, because most pools are of IPv4 load balancers and named by their
  // id.
  PoolKey(const Uuid& pool = {}, bool v6 = false) : id(pool), ipv6(v6) {}  // NOLINT

  Uuid id{};
  bool ipv6 = false;

  bool operator==(const PoolKey&) const = default;
  bool operator<(const PoolKey& other) const {
    return std::tie(id, ipv6) < std::tie(other.id, other.ipv6);
  }
};

struct PoolEntry {
  model::ForwardingMode forwarding_mode = model::ForwardingMode::fullnat;
  // Member ids, in an order that depends on the algorithm (balancing/). Empty: no member is usable.
  std::vector<Uuid> ring;
  model::Algorithm algorithm = model::Algorithm::round_robin;
  std::vector<std::uint16_t> weights = {};  // least connections: of each member of the ring
  std::uint32_t persistence_seconds = 0;    // 0: none
  std::uint8_t persistence_bits = 0;        // leading bits of an address that count as one client

  bool operator==(const PoolEntry&) const = default;
};

struct ListenerKey {
  IpAddress address;
  std::uint16_t port = 0;                           // the first one, host byte order
  model::Protocol protocol = model::Protocol::tcp;  // a transport()

  auto operator<=>(const ListenerKey& other) const {
    if (address != other.address) {
      return address < other.address ? std::strong_ordering::less : std::strong_ordering::greater;
    }
    if (auto order = port <=> other.port; order != 0) return order;
    return protocol <=> other.protocol;
  }
  bool operator==(const ListenerKey&) const = default;
};

struct ListenerEntry {
  Uuid listener{};
  Uuid pool{};            // its entry of the address's IP version; nil: no default pool
  IpAddress snat_source;  // the VIP: the source without SNAT addresses; IPv6: whose flows get them
  std::vector<IpNetwork> allowed_cidrs = {};  // sorted, without repetition; empty: everybody
  std::int32_t connection_limit = -1;         // -1: none
  std::int32_t new_connection_limit = -1;     // per second and source address; -1: none
  bool resets = false;                        // tells clients that there is no usable member
  model::SynAuthentication syn_authentication = model::SynAuthentication::automatic;
  std::uint32_t idle_seconds = 0;  // of silence that end a connection; 0: the usual
  bool idle_resets = false;        // both ends are reset then
  // In which a member has to answer a SYN or INIT, in tenths of a second; the client's next one
  // after that goes to another member. 0: as long as the client tries.
  std::uint32_t connect_tenths = 0;
  bool recorded = true;         // its connections are, if any are
  bool per_packet = false;      // each datagram is scheduled by itself
  std::uint16_t last_port = 0;  // of a range that begins with the key's port; 0: that port alone
  std::vector<IpAddress> snat_addresses = {};  // sources of fullnat flows; none: the VIP
  // New connections go to members of the other IP version. Those to an IPv4 address find them in
  // the entry of its mapped address (::ffff:10.0.0.16).
  bool other_version = false;
  // Members of both IP versions serve its connections side by side. These are the sources toward
  // IPv4 ones; snat_addresses are those toward the others. Not in the entry of an IPv4 address.
  bool both_versions = false;
  std::vector<IpAddress> snat_addresses4 = {};
  // Its load balancer's members may have clients of both IP versions, so one source may be that of
  // entries of both.
  bool mixed = false;
  Uuid load_balancer = {};  // whose members its pools have

  bool operator==(const ListenerEntry&) const = default;
};

// Returns the pool's entry that the listener's entry names.
inline PoolKey pool_entry_of(const ListenerKey& key, const ListenerEntry& entry) {
  return {entry.pool, key.address.is_v6() && !entry.other_version};
}

// The address under which connections of an IPv4 client to members with IPv6 addresses are known.
inline IpAddress mapped(const IpAddress& ipv4) {
  return boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, ipv4.to_v4());
}

inline bool is_mapped(const IpAddress& address) {
  return address.is_v6() && address.to_v6().is_v4_mapped();
}

// Returns the address that the client knows.
inline IpAddress unmapped(const IpAddress& address) {
  if (!is_mapped(address)) return address;
  return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
}

// Everything that the controller owns in the maps.
struct DataPlaneState {
  std::map<IpAddress, VipEntry> vips;
  std::map<ListenerKey, ListenerEntry> listeners;
  std::map<PoolKey, PoolEntry> pools;
  std::map<Uuid, MemberEntry> members;

  bool operator==(const DataPlaneState&) const = default;
};

// Put creates or replaces. Each operation is atomic for packets, which meet the state before or
// after it.
struct PutVip {
  IpAddress address;
  VipEntry entry;
  bool operator==(const PutVip&) const = default;
};
struct RemoveVip {
  IpAddress address;
  bool operator==(const RemoveVip&) const = default;
};
struct PutListener {
  ListenerKey key;
  ListenerEntry entry;  // its pool exists
  bool operator==(const PutListener&) const = default;
};
struct RemoveListener {
  ListenerKey key;
  bool operator==(const RemoveListener&) const = default;
};
struct PutPool {
  PoolKey key;
  PoolEntry entry;  // the ring's members exist
  bool operator==(const PutPool&) const = default;
};
struct RemovePool {
  PoolKey key;  // no listener names it
  bool operator==(const RemovePool&) const = default;
};
struct PutMember {
  Uuid id{};
  MemberEntry entry;
  bool operator==(const PutMember&) const = default;
};
struct RemoveMember {
  Uuid id{};  // in no ring; its flows live on until they end
  bool operator==(const RemoveMember&) const = default;
};
using Operation = std::variant<PutVip, RemoveVip, PutListener, RemoveListener, PutPool, RemovePool,
                               PutMember, RemoveMember>;

// The operation's subject for logs and errors: "member 10.0.0.4:80", "VIP 10.0.0.16", "pool
// 2b2a...".
std::string subject(const Operation& operation);
// Applies the operation to a state in memory.
void apply_to(DataPlaneState& state, const Operation& operation);

// Sums over all CPUs since the object was first put.
struct Counters {
  std::uint64_t packets_in = 0, bytes_in = 0;    // from clients
  std::uint64_t packets_out = 0, bytes_out = 0;  // to clients
  std::uint64_t flows_opened = 0, flows_ended = 0;
  std::uint64_t flows_failed = 0;   // ended without having been established
  std::uint64_t flows_refused = 0;  // never created

  std::uint64_t active_flows() const { return flows_opened - flows_ended; }
  bool operator==(const Counters&) const = default;
};

// A member that was removed and still has connections.
struct RemovedMember {
  Uuid id{};
  IpAddress address;
  std::uint16_t port = 0;                    // host byte order
  std::uint64_t connections = 0;             // that are left
  std::optional<std::chrono::seconds> left;  // until they are given up; nullopt: until they end
};

// What became of removed members since the last call of give_up_removed().
struct RemovedMembersOver {
  std::vector<RemovedMember> given_up;
  std::optional<std::chrono::nanoseconds> next;  // when to call again; nullopt: when one is removed
};

// The times that a member took to answer a SYN or INIT, for a sample of its connections.
struct HandshakeTimes {
  struct Bucket {
    std::uint64_t at_most_ns = 0;  // above the previous bucket's; UINT64_MAX: no limit
    std::uint64_t answers = 0;
  };
  std::vector<Bucket> buckets;  // shortest first; none: nothing is known
  std::uint64_t sum_ns = 0;
};

// Counters by object. They are read and looked at all together, for which a sorted array is faster
// than a tree.
using CountersById = boost::container::flat_map<Uuid, Counters>;
using HandshakesById = std::map<Uuid, HandshakeTimes>;

// The counters of all objects that the data plane has.
struct AllCounters {
  CountersById listeners, members;
  HandshakesById handshakes;  // of members that were timed
};

// One line of `sluicectl drops`.
struct ReasonCount {
  std::string label;     // "no_listener"
  std::string verdict;   // "forward", "answer", "pass" or "drop"
  std::string sentence;  // what it means for the operator
  std::uint64_t packets = 0;
};

// How full a table of connections is.
struct TableFill {
  std::string table;  // the map's name: "flows4"
  std::uint64_t connections = 0;
  std::uint64_t capacity = 0;  // in connections; beyond it some may be refused
};

struct AttachedInterface {
  std::uint32_t index = 0;
  std::string name;
};

// The data plane's state while it is read in steps.
class Reading {
 public:
  virtual ~Reading() = default;
  // Reads the next part; returns whether that was the last one.
  virtual Result<bool> step() = 0;
  // Returns the entries that the steps since the last call have found: each one once, and whole.
  virtual DataPlaneState take() = 0;
};

class DataPlane {
 public:
  virtual ~DataPlane() = default;

  // The features that it supports; others are refused before they are stored.
  virtual model::Supported supported() const { return {}; }

  // Reads the maps' present state from the kernel.
  virtual Result<DataPlaneState> read() = 0;
  // The same in steps, which the data plane must outlive; null: it can only be read at once. Of
  // operations that are carried out in between it may have all, a part, or nothing.
  virtual std::unique_ptr<Reading> begin_to_read() { return nullptr; }
  // Carries out the operation. ErrorKind::conflict if a map is full (the error names map and
  // capacity).
  virtual Result<void> apply(const Operation& operation) = 0;
  // Announces operations that will be applied next, one by one, so that work that is cheaper for
  // many at once can be done now. Packets see no effect before apply(), and a failure shows up
  // there.
  virtual void expect(std::span<const Operation> /*operations*/) {}

  // Reads back from the kernel whether it holds what these operations have put; nullopt: only
  // read() can tell.
  virtual Result<std::optional<bool>> holds(const std::vector<Operation>&) {
    return std::optional<bool>();
  }

  // The store, and its position, from which the maps were filled; a nil store if nobody has noted
  // it.
  virtual Result<store::Position> store_position() { return store::Position{}; }
  virtual Result<void> note_store_position(const store::Position&) { return {}; }

  // Zeros for an object that the data plane does not have.
  virtual Result<Counters> listener_counters(const Uuid& listener) = 0;
  virtual Result<Counters> member_counters(const Uuid& member) = 0;
  // Read the counters of all objects together, which is cheaper than one by one.
  virtual Result<CountersById> all_listener_counters() = 0;
  virtual Result<CountersById> all_member_counters() = 0;
  virtual Result<HandshakesById> all_handshakes() = 0;
  // Reads all three.
  Result<AllCounters> all_counters();
  virtual Result<std::vector<ReasonCount>> reason_counters() = 0;

  // Members that were removed and still have connections.
  virtual Result<std::vector<RemovedMember>> removed_members() {
    return std::vector<RemovedMember>();
  }
  // Gives up the connections of removed members whose time is over (MemberEntry::drain_seconds).
  virtual Result<RemovedMembersOver> give_up_removed() { return RemovedMembersOver{}; }

  // The flow tables, as the last sweep found them. None before it.
  virtual Result<std::vector<TableFill>> flow_tables() { return std::vector<TableFill>(); }

  // Makes every flow look up its next hop in the kernel's FIB again.
  virtual Result<void> renew_next_hops() = 0;

  // Runs `work` on the slow lane, after what waits there; drops it if the asker has gone by then.
  // False: too much waits already.
  virtual bool inspect(Inspecting work, const Asker& asker) = 0;
  // Says whether a flow table has become crowded since the last sweep, which should not wait then:
  // it puts flows where packets find them fast.
  virtual bool wants_sweep() { return false; }
  // Runs a sweep there (Inspection::expire_flows), before what waits.
  virtual void expire_flows(std::function<void(Result<ExpiryReport>)> done) = 0;

  // Says whether flows are to be watched more closely than by sweeps, because their listeners' idle
  // times are short.
  virtual bool wants_short_sweep() { return false; }
  // Runs a short sweep there (Inspection::expire_short), before what waits.
  virtual void expire_short(std::function<void(Result<ShortExpiryReport>)> done) {
    done(ShortExpiryReport{});
  }

  // The attached NICs of this network namespace.
  virtual Result<std::vector<AttachedInterface>> interfaces() = 0;

  // Runs a reload (Inspection::reload) on the slow lane, before what waits. `done` is called once,
  // perhaps within the call.
  virtual void reload(std::function<void(Result<Reloaded>)> done) = 0;
};

}  // namespace sluice::control
