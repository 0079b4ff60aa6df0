// Model: computes the fate of each packet in plain C++. It is written from the contract
// (bpf/README.md), not from the data plane's code. It is for tests only: slow, on one CPU.
//
// Its clock stands still until it is told that time passes. Sweeps are told, too: what is idle
// stays until then.
//
// If the contract leaves a choice (a source port when the client's own is taken; the member of a
// hash; which flow is evicted from a full table; by how much the answer to a SYN lags behind; the
// id of a packet that was IPv6), the model asks for the data plane's choice and accepts it if it is
// allowed.
//
// It can't decide three things. It doesn't know which flows share a window, so it doesn't say that
// one had to be evicted, only that the one that is gone was allowed to be. The clock of SYN
// authentication stands still for ever, so whether an answer to a SYN exceeds its network's rate is
// the data plane's choice once so many were sent, and what was proven stays proven. And it doesn't
// know which of two connections have the same place in proof_numbers or record_handshakes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "reference/other_version.hpp"
#include "reference/view.hpp"

namespace sluice::test::reference {

// Half seconds, which is what a marked slot tells. A packet's stamp tells its tick.
using Time = std::uint64_t;
constexpr Time second = 2;
constexpr Time tick = 8 * second;
// For so many ticks late packets of a connection that is over may come.
constexpr Time ticks_of_late_packets = 2;

// The way to a next hop.
struct Way {
  std::string interface;  // of ours
  Mac source_mac{}, next_mac{};
  std::uint32_t mtu = 1500;
  std::vector<Tag> tags{};
  bool resolved = true;  // false: its MAC is not known
};

enum class Mode { fullnat, dnat, dsr, ipip, gue };
// Says whether members answer clients directly.
constexpr bool is_direct(Mode mode) {
  return mode != Mode::fullnat && mode != Mode::dnat;
}

// A member's standing: it takes connections; it is drained; it is down, and its clients are left
// alone or reset; the time of its drain is over; it was removed, and has its time, or that is over,
// or it was down then.
enum class Standing {
  usable,
  drained,
  down,
  given_up,
  drained_out,
  removed,
  removed_and_over,
  removed_while_down
};

struct Member {
  Address address;
  std::uint16_t port = 0;
  Standing standing = Standing::usable;
  std::optional<std::size_t> most{};  // connections that are confirmed and not over
  bool is_usable() const { return standing == Standing::usable; }
  // Says whether it is down, removed, or drained for long enough.
  bool is_gone() const { return standing > Standing::drained; }
  bool is_given_up() const {
    return is_gone() && standing != Standing::down && standing != Standing::removed;
  }
  // Says whether it is reset like its clients: it is alive, but its time is over.
  bool is_told() const {
    return standing == Standing::drained_out || standing == Standing::removed_and_over;
  }
};
enum class Algorithm { round_robin, least_connections, source_ip, source_ip_port };

struct Pool {
  Mode mode = Mode::fullnat;
  std::vector<std::size_t> members;
  Algorithm algorithm = Algorithm::round_robin;
  std::vector<std::size_t> weights{};  // least connections: of each member
  bool proxied = false;                // of protocol PROXYV2
  Time persistence = 0;  // a client's connections go to one member until it was away for so long
  bool hashes() const {
    return algorithm == Algorithm::source_ip || algorithm == Algorithm::source_ip_port;
  }
};
// Whose SYNs have to be authenticated: nobody's; all, while more than half of the listener's share
// of the half-open room is taken; all.
enum class Authentication { off, crowded, always };

struct Listener {
  std::size_t pool = 0;
  std::uint16_t last_port =
      0;  // of a range that begins with the service's port; 0: that port alone
  Authentication authentication = Authentication::off;
  bool resets = false;                      // tells clients that there is no member
  bool per_packet = false;                  // schedules datagrams, without flows
  std::optional<Address> allowed;           // the only client that may open connections
  std::vector<Address> sources{};           // that members of fullnat pools see; none: the VIP
  std::vector<Address> other_sources{};     // and members of another IP version than the VIP
  std::optional<std::size_t> limit;         // of connections that are confirmed and not over
  std::optional<std::size_t> source_limit;  // of connections that a source opens in a second
  unsigned idle_seconds = 0;                // 0: as usual
  bool resets_idle = false;                 // TCP connections end with resets when they are idle
  Time connect_time = 0;  // in which a member has to answer a SYN; 0: as long as the client tries
};
// The table's limits in each IP version.
struct Room {
  std::size_t half_open = SIZE_MAX;
  std::size_t window = SIZE_MAX;  // slots that a tuple may be in
};
struct Vip {
  bool up = true;
  bool rejects = false;  // tells clients that there is no listener
  bool standby = false;  // another node answers those who look for it
};
struct Interface {
  Mac mac{};
  Address ipv4, ipv6;  // the host's
};
// A route; the one with the longest matching prefix counts.
struct Route {
  Address prefix;
  unsigned bits = 0;
  std::optional<Way> way;  // nothing: there is none
  bool on_link = false;    // the next hop is the address itself; its MAC is a neighbour's
};
// A service: address, port (of a range the first one), IP protocol.
using Service = std::tuple<Address, std::uint16_t, std::uint8_t>;

struct Configuration {
  std::map<std::string, Interface> interfaces;
  std::map<Address, Vip> vips;
  std::map<Service, Listener> listeners;
  std::vector<Pool> pools;
  std::vector<Member> members;
  std::vector<Route> routes;
  std::map<Address, Mac> neighbours;
  Room ipv4, ipv6;
};

// A way to a mapped address is that of the IPv4 packet; its MTU is for the IPv6 packet before that.
std::optional<Way> way_to(const Configuration& configuration, const Address& address);

// Source and destination of a packet.
struct Tuple {
  Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t protocol = 0;
  Tuple turned() const { return {destination, source, destination_port, source_port, protocol}; }
  Tuple mapped() const {
    auto t = *this;
    t.source = reference::mapped(source);
    t.destination = reference::mapped(destination);
    return t;
  }
  Tuple unmapped() const {
    auto t = *this;
    t.source = reference::unmapped(source);
    t.destination = reference::unmapped(destination);
    return t;
  }
  auto all() const {
    return std::tie(source, destination, source_port, destination_port, protocol);
  }
  bool operator<(const Tuple& other) const { return all() < other.all(); }
};

// Says whether a packet of this end has ended the connection, and none has refuted that since.
enum class End { no, fin, reset };

// The time of an end's last packet, as far as it is known: its tick, or if its slot is marked, when
// the short sweep has found its stamp.
struct Seen {
  Time at = 0;
  bool marked = false;
};

// Between two IP versions it is one of IPv6, whose IPv4 addresses are mapped.
struct Flow {
  Tuple at_client;  // the client's packets when they come
  Tuple at_member;  // and when they have left
  Mode mode = Mode::fullnat;
  Service service;
  std::size_t member = 0;
  Way client_way;
  bool adopted = false;  // it began before we saw it
  bool proxied = false;  // of a PROXYV2 pool
  bool replied = false, established = false;
  std::uint32_t told = 0;  // by its member; what its client can show only if it hears that
  bool refused = false;    // reset before it was established
  End client_end = End::no, member_end = End::no;
  bool forgotten = false;
  // A sweep has taken away this end's next hop, because the connection is idle or its member given
  // up, and no packet of this end was forwarded since.
  bool lost = false, lost_by_member = false;
  Seen client_seen{}, member_seen{};
  std::optional<Time> opened{};  // when its SYN or INIT came, if it began with one
  bool both_ended() const { return client_end != End::no && member_end != End::no; }
  bool is_over() const {
    return forgotten || refused || both_ended() || client_end == End::reset ||
           member_end == End::reset;
  }
};

enum class Action : std::uint32_t { drop = 1, pass = 2, transmit = 3, redirect = 4 };

struct Fate {
  Action action = Action::pass;
  std::string reason;
  Bytes frame;  // as it leaves; meaningless if it is dropped
};

// The data plane's choice for a flow.
struct Choice {
  std::uint16_t source_port = 0;  // toward the member
  Address destination;            // the member's, if packets are addressed to it
  Address source;                 // toward the member
};

// What the model has to ask the data plane.
struct Questions {
  // The choice for the flow of this client's tuple; nullopt: it has no such flow.
  std::function<std::optional<Choice>(const Tuple& at_client)> choice;
  // The number that the answer to the present packet, a SYN, acknowledges; nullopt: that has not
  // been answered.
  std::function<std::optional<std::uint32_t>()> syn_answer;
  // Says whether this number is still known, which a client is to show. Clients share the places
  // for them, so another client may have taken one (bpf/proof.h).
  std::function<bool(std::uint32_t number)> remembers;
  // Says whether it was still known before the present packet when this flow's SYN came, or that an
  // answer with this tuple is late. They share places, too (bpf/connect_time.h).
  std::function<bool(const Flow&)> knows_begin;
  std::function<bool(const Tuple& of_member)> expects_late;
  // The id of the present packet as it leaves, which is IPv4.
  std::function<std::uint16_t()> id;
};

// A connection of a PROXYV2 pool whose member has not acknowledged the header.
struct Pending {
  std::uint32_t first = 0;  // the number of the client's first byte
  bool answered = false;    // by the member's SYN-ACK
  bool sent = false;        // the header was
  bool ended = false;       // by the client's FIN
  unsigned window_shift = 0;
};

// A SYN that was answered instead of forwarded.
struct Asked {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledged = 0;
};

class Model {
 public:
  Model(Configuration configuration, Questions questions)
      : configuration_(std::move(configuration)), ask_(std::move(questions)) {}

  Fate receive(const Bytes& frame, const std::string& interface);
  // Sets the member's standing, and sweeps.
  void turn(std::size_t member, Standing standing);
  void set_up(const Address& vip, bool up) { configuration_.vips.at(vip).up = up; }
  // Forgets all that packets have left, at this time.
  void start_again(Time now);
  void pass(Time ticks);
  void sweep();
  void sweep_short();

  const Configuration& configuration() const { return configuration_; }
  const std::vector<Flow>& flows() const { return flows_; }
  // The last SYN of each client that was asked to prove that it hears us.
  const std::map<Tuple, Asked>& asked() const { return asked_; }
  std::optional<std::uint32_t> proof(const Tuple& client) const;
  std::optional<Pending> pending(const Tuple& client) const;
  std::size_t flows_that_made_way() const { return made_way_; }  // ever
  // The members' answers that are late, and when the clients went elsewhere.
  const std::map<Tuple, Time>& late_answers() const { return late_answers_; }
  bool is_present(const Flow& flow) const { return !flow.forgotten; }
  // Ticks without a packet until a sweep removes the flow, or ends it.
  Time ticks_left(const Flow& flow) const;
  bool waits_for_member(const Flow& flow) const;

 private:
  struct Arrival {
    const Bytes& frame;
    const std::string& interface;
    View view;
  };
  struct FirstFragment {
    std::uint16_t source_port, destination_port;
    Time at;
  };
  struct Direction {
    std::size_t flow;
    bool to_client;
  };
  struct Translation {
    Tuple to;
    Way way;
    std::optional<Address> tunnel;
    bool in_udp = false;
  };

  // The steps in the contract's order; each returns a fate, or nullopt to let the next one decide.
  std::optional<Fate> known_flow(const Arrival& a);
  std::optional<Fate> icmp_error(const Arrival& a);
  Fate decide(const Arrival& a);
  Fate decide_as_ipv6(const Arrival& a);
  bool is_of_ipv6_flow(const View& view) const;
  bool opens_ipv6_flow(const View& view) const;
  Fate in_own_version(Fate fate) const;
  Fate for_vip(const Arrival& a, const Vip& vip);
  Fate for_others(const Arrival& a);
  Fate open(const Arrival& a, const Service& service, bool adopted);
  const Service* service_for(const Tuple& tuple) const;
  std::optional<std::size_t> choose_for_datagram(std::size_t pool, const Arrival& a);

  // Steps of a handshake with a PROXYV2 pool's member; they change the frame.
  std::optional<Fate> shake(const Arrival& a, Direction direction, const Translation& t,
                            Bytes& frame);
  std::optional<Fate> shake_client(const Arrival& a, std::size_t flow, const Translation& t,
                                   Bytes& frame);
  std::optional<Fate> shake_member(const Arrival& a, std::size_t flow, Bytes& frame);
  std::optional<Fate> member_accepts(const Arrival& a, std::size_t flow, Bytes& frame);
  std::optional<Fate> admit_syn(const Arrival& a, Bytes& frame);
  void show_quoted(Bytes& frame, std::size_t l4, const Flow& flow, bool to_client) const;
  void expect(const Tuple& client, std::uint32_t first, bool answered);

  std::optional<Direction> find(const Tuple& tuple) const;
  bool is_taken(const Tuple& of_member) const;
  std::optional<Tuple> tuple_of(const View& view) const;
  void remember_fragment(const View& view);
  bool gives_way(const Flow& flow, const View& view) const;
  bool is_given_up(const Flow& flow) const;
  unsigned idle_seconds(const Flow& flow) const;
  bool ends_with_resets(const Flow& flow) const;
  Time ticks_since(const Seen& seen) const;
  Time silence(const Flow& flow) const;
  bool is_idle(const Flow& flow) const;
  bool is_member_silent(const Flow& flow) const;
  bool is_stranded(const Flow& flow) const;
  bool misses_hop(const Flow& flow, bool to_client) const;
  bool is_over(const Flow& flow, bool to_client) const;
  bool is_late(const Flow& flow, const View& view) const;
  Time noted_begin(const Flow& flow) const;
  bool is_late_answer(const View& view) const;
  void lose(Flow& flow, bool to_client);
  void sweep(std::size_t flow);
  void sweep_short(std::size_t flow);
  Time short_silence(const Seen& seen) const;
  void mark(Seen& seen, bool is_short) const;
  Fate give_up(const Arrival& a, std::size_t flow);
  void forget(std::size_t flow);
  std::optional<Way> way_to_client(const Arrival& a) const;
  void track(Flow& flow, bool to_client, const View& view);
  bool shows(const View& view, std::uint32_t told) const;
  bool believes(const Arrival& a, const Flow& flow, bool to_client) const;
  Translation translation(const Flow& flow, bool to_client) const;
  std::optional<std::size_t> choose(std::size_t pool, const Arrival& a);
  std::optional<std::size_t> choose_by_algorithm(std::size_t pool, const Arrival& a);
  std::optional<std::size_t> choose_by_ring(std::size_t pool, const Arrival& a);
  bool is_out(std::size_t member) const;
  bool is_full(std::size_t member) const;
  std::vector<std::size_t> usable_members(std::size_t pool) const;
  std::size_t by_hash(std::size_t pool, const Tuple& client, const std::vector<std::size_t>& ring,
                      const std::vector<std::size_t>& not_full);
  std::optional<std::size_t> by_connections(std::size_t pool, const std::vector<std::size_t>& ring);
  template <typename Predicate>
  std::size_t count_flows(Predicate is_counted) const;
  std::string refusal(const Service& service, const Listener& listener, const Address& source);
  const Room& room_of(const Address& address) const {
    return address.size() == 4 ? configuration_.ipv4 : configuration_.ipv6;
  }
  std::size_t confirmed(const Service& service) const;
  std::size_t half_open(const Address& client) const;
  std::size_t half_open(const Service& service) const;
  std::size_t share_of_listener(const Address& client) const;
  bool authenticates(const Service& service, const Listener& listener) const;
  std::optional<Fate> authenticate(const Arrival& a, const Listener& listener);
  Fate answer_syn(const Arrival& a);
  void source_confirms(const Flow& flow);
  bool is_above_limit(const Flow& flow) const;
  std::optional<std::size_t> guard_of_port(const Flow& flow) const;
  void port_makes_way(const Flow& flow);
  bool is_crowded(const Flow& flow) const;
  bool is_long_over(const Flow& flow) const;
  bool one_gave_way(const Flow& for_flow, bool half_open);
  std::optional<std::uint16_t> source_port(const Flow& flow) const;
  Address source_toward_member(const std::vector<Address>& sources, const Flow& flow) const;
  Fate forward(const Arrival& a, const Translation& t, const std::string& reason, bool to_client);
  Fate send(const Arrival& a, Bytes frame, const Translation& t, const std::string& reason) const;
  bool is_vip(const Address& address) const {
    return configuration_.vips.count(unmapped(address)) > 0;
  }
  bool answers_for(const Address& address) const {
    return is_vip(address) && !configuration_.vips.at(address).standby;
  }

  Configuration configuration_;
  Questions ask_;
  Time now_ = 0;
  std::vector<Flow> flows_;
  std::optional<std::size_t> passed_over_;  // it was too late for the present packet's client
  std::size_t made_way_ = 0;
  std::map<Tuple, Direction> slots_;  // every tuple that belongs to a flow
  std::map<std::size_t, std::uint64_t> cursors_;
  std::map<std::pair<Service, Address>, std::size_t> opened_by_;  // if there is a source limit
  // The last number that a client's member has told it, or that a reset of its had.
  std::map<Tuple, std::uint32_t> proofs_;
  std::map<Tuple, Asked> asked_;
  std::map<Tuple, Pending> pending_;
  // Of the answers to a client's SYNs, ever: the data plane, too, knows them by heart.
  std::map<Tuple, std::vector<std::uint32_t>> lags_;
  std::map<Address, std::size_t> authenticated_;  // connections that are not confirmed
  std::size_t answered_syns_ = 0;                 // ever
  std::map<Tuple, Time> late_answers_;
  // The member of a client's last connection, and when that began; by pool.
  std::map<std::pair<std::size_t, Address>, std::pair<std::size_t, Time>> persistence_;
  // The choices of hashes by pool, client, client's port (0 if it doesn't matter), usable members,
  // and those of them that are not full.
  std::map<std::tuple<std::size_t, Address, std::uint16_t, std::vector<std::size_t>,
                      std::vector<std::size_t>>,
           std::size_t>
      hashed_;
  std::map<std::tuple<Address, Address, std::uint32_t, std::uint8_t>, FirstFragment> fragments_;
};

}  // namespace sluice::test::reference
