// Exchange: ties sessions, streams and the data plane together. No socket, no thread, no clock of
// its own: it gets datagrams and the time, and hands datagrams over.
//
// A peer is told everything (walks over the flow tables) when its session begins, when it is too
// far behind, when it asks for it, and when the data plane had no room for a change. One walk
// serves all peers that wait for one when it begins.
//
// Everything is this node's own connections and, by a second walk, the replicas that it keeps:
// those that no node that is heard of carries, because theirs has rebooted or died. Otherwise a
// connection without packets would be lost when the last node that was there in its time reboots.
// Which ones are kept is known when all peers have told their own connections, so the second walk
// waits for that; nobody waits for a second walk, so no two nodes wait for each other.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/peers.hpp"
#include "model/objects.hpp"
#include "peers/incoming.hpp"
#include "peers/intake.hpp"
#include "peers/outgoing.hpp"
#include "peers/session.hpp"

namespace sluice::peers {

using Address = std::string;  // "10.0.0.2:9877"

class Exchange {
 public:
  struct Settings {
    std::string name;  // of this node
    std::size_t kept = Outgoing::most_kept;
    std::uint64_t seed = 0;  // of hashes; secret
  };
  struct Callbacks {
    // False: the socket takes nothing at present.
    std::function<bool(const Address& to, const Bytes& datagram)> send;
    std::function<void(std::string line)> log;
  };
  // How often tick() should be called: what a change waits at most.
  static constexpr auto between_ticks = std::chrono::milliseconds(5);

  Exchange(Keys keys, Settings settings, Callbacks callbacks);

  // The data plane from now on, and how many connections each peer may have in it. It must live
  // until the next call.
  void use(dataplane::Replicas* replicas, std::size_t share);
  // From now on these are the peers. One that is left out is a peer as long as it speaks.
  void set_peers(const std::vector<Address>& peers, Time now);
  void exchange_keys(const Keys& keys);
  // Packets may come to other nodes than before: those that no connection is known for yet are not
  // answered for a while.
  void routes_changed();
  // The listeners and members from now on. Connections that could not be put for lack of theirs are
  // asked for again.
  void know(model::Model model);

  // Says whether the datagram was one of the peer's present session, and new.
  bool receive(const Address& from, View datagram, Time now);
  // Carries out what has come. To be called when there is nothing more to receive at present.
  void settle(Time now);
  void tick(Time now);

  control::PeersState state() const;

 private:
  enum class Walk { none, own, kept };  // which connections it is for
  struct Peer {
    Peer(const Keys& keys, const Settings& settings, std::shared_ptr<Holdings> its)
        : session(keys), outgoing(settings.kept), holdings(std::move(its)) {}

    Session session;
    Outgoing outgoing;
    Incoming incoming;
    std::shared_ptr<Holdings> holdings;
    std::uint32_t stream = 0;  // of the present round
    bool is_swept = true;
    bool was_asked = false;  // whether its tables are new
    std::string name;
    bool is_configured = true;
    bool is_silent = true;
    bool wants_everything = true;  // it has to be told everything
    bool wants_kept = false;       // it was told this node's own connections, and not yet the rest
    std::uint32_t wanted = 0;      // as it asked last
    std::uint64_t homeless = 0;    // records without listener or member when all was asked for last
    bool has_news = false;         // to acknowledge
    Time heard{}, told{}, greeted{};
    std::optional<Time> complained, told_all;
    std::uint64_t sent_datagrams = 0, unsent = 0, received = 0, received_datagrams = 0;
    std::uint64_t resynchronisations = 0;
    std::array<std::uint64_t, refusals> refused{};
  };

  void refuse(const Address& address, Peer& peer, Refusal why, Time now);
  void begin_session(const Address& address, Peer& peer, Time now);
  void hear(const Address& address, Peer& peer, Body& body, Time now);
  void take(Peer& peer, Batch& batch);
  void begin_round(Peer& peer);
  void sweep(Peer& peer);
  void hear_status(Peer& peer, const Status& status);
  void send(const Address& address, Peer& peer, View body);
  void look_for_unfinished(const Peer& peer, Time now);
  void tell_newcomers_again(Time now);
  void look_for_silence(Time now);
  void read_changes();
  void look_at_losses(Time now);
  void walk(Time now);
  void begin_walk(Walk walk, Time now);
  void end_walk(bool is_complete, Time now);
  void tell_walked(const std::vector<Outgoing*>& listeners);
  static bool is_heard(const Peer& peer);
  bool is_walk_wanted() const;
  bool is_kept_wanted() const;
  bool knows_all_own(Time now) const;
  bool is_carried_by_peer(const sluice_flow_image& image) const;
  bool is_in_walk(const Peer& peer) const;
  void ask_the_others(Time now);
  void tell(const Address& address, Peer& peer, Time now);
  void tell_standing(const Address& address, Peer& peer, Time now);
  void greet(const Address& address, Peer& peer, const Salt& to);
  void note_fault(const Result<void>& result);
  std::string word(const Peer& peer) const;

  Keys keys_;
  Settings settings_;
  Callbacks callbacks_;
  dataplane::Replicas* replicas_ = nullptr;
  model::Model model_;
  std::map<Address, Peer> peers_;
  Intake intake_;
  bool is_table_new_ = false;
  bool is_grace_due_ = false;
  Walk walk_ = Walk::none;
  std::uint64_t cursor_ = 0;
  std::vector<sluice_flow_image> walked_;
  Time next_walk_{}, next_look_{}, told_own_{};
  std::optional<Time> ask_the_others_;  // for everything
  std::uint64_t lost_ = 0, strangers_ = 0;
  std::string last_fault_;
};

}  // namespace sluice::peers
