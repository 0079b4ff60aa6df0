// Model: computes the fate of each packet in plain C++. It is written from the contract
// (bpf/README.md), not from the data plane's code. It is for tests only: slow, without time, on one
// CPU.
//
// If the contract leaves a choice (a source port when the client's own is taken; the member of a
// hash; which flow is evicted from a full table; by how much the answer to a SYN lags behind), the
// model asks for the data plane's choice and accepts it if it is allowed.
//
// It can't decide three things. It doesn't know which flows share a window, so it doesn't say that
// one had to be evicted, only that the one that is gone was allowed to be. It has no time, so
// whether an answer to a SYN exceeds its network's rate is the data plane's choice once so many
// were sent, and what was proven stays proven. And it doesn't know which of two clients' words in
// proof_numbers have the same place: one of a million pairs has.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "reference/view.hpp"

namespace sluice::test::reference {

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
// alone or reset; the time of its drain is over; it was removed.
enum class Standing { usable, drained, down, given_up, drained_out, removed };

struct Member {
  Address address;
  std::uint16_t port = 0;
  Standing standing = Standing::usable;
  std::optional<std::size_t> most{};  // connections that are confirmed and not over
  bool is_usable() const { return standing == Standing::usable; }
  // Says whether it is down, removed, or drained for long enough.
  bool is_gone() const { return standing > Standing::drained; }
  bool is_given_up() const {
    return standing == Standing::given_up || standing == Standing::drained_out;
  }
};
enum class Algorithm { round_robin, least_connections, source_ip, source_ip_port };

struct Pool {
  Mode mode = Mode::fullnat;
  std::vector<std::size_t> members;
  Algorithm algorithm = Algorithm::round_robin;
  std::vector<std::size_t> weights{};  // least connections: of each member
  bool proxied = false;                // of protocol PROXYV2
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
  bool resets = false;               // tells clients that there is no member
  bool per_packet = false;           // schedules datagrams, without flows
  std::optional<Address> allowed;    // the only client that may open connections
  std::vector<Address> sources{};    // that members of fullnat pools see; none: the VIP
  std::optional<std::size_t> limit;  // of connections that are confirmed and not over
  // The number of connections that a source may open. The model has no time, so the number is never
  // reset.
  std::optional<std::size_t> source_limit;
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

std::optional<Way> way_to(const Configuration& configuration, const Address& address);

// Source and destination of a packet.
struct Tuple {
  Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t protocol = 0;
  Tuple turned() const { return {destination, source, destination_port, source_port, protocol}; }
  auto all() const {
    return std::tie(source, destination, source_port, destination_port, protocol);
  }
  bool operator<(const Tuple& other) const { return all() < other.all(); }
};

// Says whether a packet of this end has ended the connection, and none has refuted that since.
enum class End { no, fin, reset };

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
  bool lost = false;  // a sweep found its member given up, and no packet was forwarded since
  bool lost_by_member = false;  // the same of one that is alive, and no packet of its was forwarded
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

// The data plane's choice for the flow of this client's tuple; nullopt: it has no such flow.
struct Choice {
  std::uint16_t source_port = 0;  // toward the member
  Address destination;            // the member's, if packets are addressed to it
  Address source;                 // toward the member
};
using Choices = std::function<std::optional<Choice>(const Tuple& at_client)>;

// The number that the data plane's answer to the present packet, a SYN, acknowledges; nullopt: that
// has not been answered.
using SynAnswer = std::function<std::optional<std::uint32_t>()>;

// Says whether the data plane still has this number, which a client is to show. Clients share its
// places for them, so another client may have taken one (bpf/proof.h).
using Remembers = std::function<bool(std::uint32_t number)>;

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
  Model(Configuration configuration, Choices choices, SynAnswer syn_answer, Remembers remembers)
      : configuration_(std::move(configuration)),
        choices_(std::move(choices)),
        syn_answer_(std::move(syn_answer)),
        remembers_(std::move(remembers)) {}

  Fate receive(const Bytes& frame, const std::string& interface);
  // Sets the member's standing, and sweeps.
  void turn(std::size_t member, Standing standing);
  void set_up(const Address& vip, bool up) { configuration_.vips.at(vip).up = up; }
  void forget_everything();

  const Configuration& configuration() const { return configuration_; }
  const std::vector<Flow>& flows() const { return flows_; }
  // The last SYN of each client that was asked to prove that it hears us.
  const std::map<Tuple, Asked>& asked() const { return asked_; }
  std::optional<std::uint32_t> proof(const Tuple& client) const;
  std::optional<Pending> pending(const Tuple& client) const;
  std::size_t flows_that_made_way() const { return made_way_; }  // ever

 private:
  struct Arrival {
    const Bytes& frame;
    const std::string& interface;
    View view;
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
  std::optional<Tuple> tuple_of(const View& view) const;
  void remember_fragment(const View& view);
  bool gives_way(const Flow& flow, const View& view) const;
  bool is_given_up(const Flow& flow) const;
  bool is_over_for_member(const Flow& flow) const;
  void sweep();
  Fate give_up(const Arrival& a, std::size_t flow);
  void forget(std::size_t flow);
  std::optional<Way> way_to_client(const Arrival& a) const;
  void track(Flow& flow, bool to_client, const View& view);
  bool shows(const View& view, std::uint32_t told) const;
  bool believes(const Arrival& a, const Flow& flow, bool to_client) const;
  Translation translation(const Flow& flow, bool to_client) const;
  std::optional<std::size_t> choose(std::size_t pool, const Arrival& a);
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
  void unconfirmed_port_makes_way(const Flow& flow);
  bool is_crowded(const Flow& flow) const;
  bool one_gave_way(const Address& client, bool half_open);
  std::optional<std::uint16_t> source_port(const Flow& flow) const;
  Address source_toward_member(const Listener& listener, const Flow& flow) const;
  Fate forward(const Arrival& a, const Translation& t, const std::string& reason, bool to_client);
  Fate send(const Arrival& a, Bytes frame, const Translation& t, const std::string& reason) const;
  bool is_vip(const Address& address) const { return configuration_.vips.count(address) > 0; }
  bool answers_for(const Address& address) const {
    return is_vip(address) && !configuration_.vips.at(address).standby;
  }

  Configuration configuration_;
  Choices choices_;
  SynAnswer syn_answer_;
  Remembers remembers_;
  std::vector<Flow> flows_;
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
  // The choices of hashes by pool, client, client's port (0 if it doesn't matter), usable members,
  // and those of them that are not full.
  std::map<std::tuple<std::size_t, Address, std::uint16_t, std::vector<std::size_t>,
                      std::vector<std::size_t>>,
           std::size_t>
      hashed_;
  std::map<std::tuple<Address, Address, std::uint32_t, std::uint8_t>,
           std::pair<std::uint16_t, std::uint16_t>>
      fragments_;
};

}  // namespace sluice::test::reference
