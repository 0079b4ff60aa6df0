#include "peers/exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/printable.hpp"
#include "peers/namesakes.hpp"
#include "peers/tuple_hash.hpp"

namespace sluice::peers {
namespace {

using namespace std::chrono_literals;

constexpr auto between_greetings = 500ms;
constexpr auto between_answers = 50ms;  // to greetings
// How often a peer hears how this node stands: when there is nothing new, when something was told
// on either side, when something is missing.
constexpr auto keepalive = 200ms, acknowledging = 20ms, repairing = 10ms;
constexpr auto silence = 1s;
constexpr auto forgetting = 60s;  // of a silent peer that isn't one of the configured any more
constexpr auto between_looks = 100ms;
constexpr auto between_walks = 1s;
constexpr auto longest_wait_for_own = 5s;  // of the peers
constexpr auto until_all_notice = 1s;      // that a peer is silent
constexpr auto between_complaints = 60s;
constexpr auto grace = 3s;

constexpr std::size_t changes_at_a_time = 4096, most_readings = 16;  // in a tick
constexpr unsigned most_steps = 8;                                   // of a walk, in a tick

const char* explain(Refusal why) {
  switch (why) {
    case Refusal::version:
      return "they are of a release that this one doesn't understand";
    case Refusal::key:
      return "they are sealed with a key that this node doesn't have (--peer-key-file)";
    case Refusal::forged:
      return "their seal is broken: somebody else sends in its name, or changes what it sends";
    default:
      return nullptr;
  }
}

}  // namespace

Exchange::Exchange(Keys keys, Settings settings, Callbacks callbacks)
    : keys_(std::move(keys)),
      settings_(std::move(settings)),
      callbacks_(std::move(callbacks)),
      intake_(settings_.seed) {}

// Another data plane has none of the replicas, and its connections may be others than were told.
void Exchange::use(dataplane::Replicas* replicas, std::size_t share) {
  if (walk_ != Walk::none) end_walk(false, {});
  replicas_ = replicas;
  intake_.forget();
  intake_.set_share(share);
  for (auto& [address, peer] : peers_) {
    peer.holdings->connections.clear();
    peer.incoming.want_everything();
    peer.wants_everything = true;
  }
  if (!replicas_) return;
  const auto tells = replicas_->tells();
  is_table_new_ = tells && !*tells;
  note_fault(replicas_->tell_changes(true));
  if (const auto lost = replicas_->lost()) lost_ = *lost;
}

void Exchange::set_peers(const std::vector<Address>& addresses, Time now) {
  for (auto& [address, peer] : peers_) {
    const bool stays = std::ranges::find(addresses, address) != addresses.end();
    if (peer.is_configured != std::exchange(peer.is_configured, stays)) is_grace_due_ = true;
  }
  for (const auto& address : addresses) {
    if (peers_.contains(address)) continue;
    peers_.try_emplace(address, keys_, settings_, intake_.hold()).first->second.heard = now;
    is_grace_due_ = true;
  }
}

void Exchange::exchange_keys(const Keys& keys) {
  keys_ = keys;
  for (auto& [address, peer] : peers_) peer.session.exchange(keys);
}

void Exchange::routes_changed() {
  is_grace_due_ = true;
}

void Exchange::know(model::Model model) {
  model_ = std::move(model);
  intake_.hurry();
  for (auto& [address, peer] : peers_) {
    const auto& refused = peer.holdings->refused;
    const auto homeless = refused[SLUICE_PUT_NO_LISTENER] + refused[SLUICE_PUT_NO_MEMBER];
    if (homeless != std::exchange(peer.homeless, homeless)) peer.incoming.want_everything();
  }
}

bool Exchange::receive(const Address& from, View datagram, Time now) {
  const auto found = peers_.find(from);
  if (found == peers_.end()) {
    ++strangers_;
    return false;
  }
  auto& peer = found->second;
  auto opened = peer.session.open(datagram);
  if (!opened) {
    refuse(from, peer, opened.error(), now);
    return false;
  }
  if (opened->is_new) begin_session(from, peer, now);
  ++peer.received_datagrams;
  hear(from, peer, opened->body, now);
  return true;
}

void Exchange::refuse(const Address& address, Peer& peer, Refusal why, Time now) {
  if (why == Refusal::greeting) {
    if (now - peer.greeted < between_answers) return;
    peer.greeted = now;
    return greet(address, peer, *peer.session.greeting());
  }
  ++peer.refused[static_cast<std::size_t>(why)];
  const auto* explanation = explain(why);
  if (!explanation || (peer.complained && now - *peer.complained < between_complaints)) return;
  peer.complained = now;
  callbacks_.log(fmt::format("peer {}: datagrams are refused: {}", address, explanation));
}

void Exchange::greet(const Address& address, Peer& peer, const Salt& to) {
  auto body = begin_body(to);
  append_hello(body, settings_.name);
  send(address, peer, body);
}

// The peer's process is another one than before.
void Exchange::begin_session(const Address& address, Peer& peer, Time now) {
  callbacks_.log(fmt::format("peer {}: connections are told from now on", address));
  look_for_unfinished(peer, now);
  peer.incoming = Incoming();
  peer.stream = 0;
  peer.wanted = 0;
  peer.wants_everything = true;
  peer.was_asked = false;
  peer.holdings->begin_round();
  if (std::exchange(peer.is_silent, false)) is_grace_due_ = true;
}

void Exchange::hear(const Address& address, Peer& peer, Body& body, Time now) {
  peer.heard = now;
  if (body.name) peer.name = printable(*body.name);
  if (std::exchange(peer.is_silent, false)) {
    is_grace_due_ = true;
    callbacks_.log(fmt::format("peer {} ({}) is heard of again", address, peer.name));
  }
  if (const auto& told = body.acknowledgement) {
    if (told->wanted > std::exchange(peer.wanted, told->wanted)) peer.wants_everything = true;
    peer.outgoing.acknowledged(*told);
  }
  for (auto& batch : body.batches) take(peer, batch);
  if (body.status) hear_status(peer, *body.status);
}

// A peer whose tables are new knows nothing of what it told before: that has not ended, but goes
// through another node by now, or will as soon as it has packets.
void Exchange::hear_status(Peer& peer, const Status& status) {
  peer.incoming.heard(status);
  begin_round(peer);
  if (!std::exchange(peer.was_asked, true) && status.is_table_new)
    peer.holdings->connections.take_others(peer.holdings->round);
  sweep(peer);
}

// With another stream the peer tells everything anew.
void Exchange::begin_round(Peer& peer) {
  if (peer.incoming.stream() == std::exchange(peer.stream, peer.incoming.stream())) return;
  peer.holdings->begin_round();
  peer.is_swept = false;
}

// What it has not told when it is through has ended.
void Exchange::sweep(Peer& peer) {
  if (!peer.incoming.is_complete() || peer.incoming.misses_any()) return;
  if (!std::exchange(peer.is_swept, true)) intake_.sweep(*peer.holdings);
}

void Exchange::take(Peer& peer, Batch& batch) {
  if (peer.incoming.take(batch.stream, batch.sequence) != Incoming::Verdict::fresh) return;
  begin_round(peer);
  peer.has_news = true;
  peer.received += batch.changes.size();
  for (auto& change : batch.changes) {
    const auto seed = settings_.seed;
    find_namesakes(model_, change.image);
    if (peer.incoming.may_apply(tuple_hash(change.image, seed),
                                member_side_hash(change.image, seed),
                                change.event == dataplane::FlowEvent::ends, batch.sequence))
      intake_.add(peer.holdings, change);
  }
  sweep(peer);
}

void Exchange::settle(Time now) {
  if (!replicas_) return intake_.forget();
  if (std::exchange(is_grace_due_, false)) note_fault(replicas_->grace(grace));
  note_fault(intake_.apply(*replicas_, now));
}

void Exchange::send(const Address& address, Peer& peer, View body) {
  if (callbacks_.send(address, peer.session.seal(body))) {
    ++peer.sent_datagrams;
  } else {
    ++peer.unsent;
  }
}

void Exchange::tick(Time now) {
  if (now >= next_look_) {
    next_look_ = now + between_looks;
    look_for_silence(now);
    ask_the_others(now);
    look_at_losses(now);
  }
  settle(now);  // which may end connections of this node's own: that is told at once
  if (replicas_) {
    read_changes();
    walk(now);
  }
  for (auto& [address, peer] : peers_) tell(address, peer, now);
}

// A peer is away before it has told everything. The rest may be known to the others, who tell it as
// soon as they don't hear of that peer, either.
void Exchange::look_for_unfinished(const Peer& peer, Time now) {
  if (peer.incoming.stream() != 0 && !peer.incoming.is_complete())
    ask_the_others_ = now + until_all_notice;
}

// Whoever was told everything while the peer that is silent now was still taken for the carrier of
// its connections may not have heard of that peer at all.
void Exchange::tell_newcomers_again(Time now) {
  for (auto& [address, peer] : peers_) {
    if (is_heard(peer) && peer.told_all && now - *peer.told_all < 2 * silence)
      peer.wants_everything = true;
  }
}

void Exchange::ask_the_others(Time now) {
  if (!ask_the_others_ || now < *ask_the_others_) return;
  ask_the_others_.reset();
  for (auto& [address, peer] : peers_) {
    if (!peer.is_silent) peer.incoming.want_everything();
  }
}

void Exchange::look_for_silence(Time now) {
  for (auto& [address, peer] : peers_) {
    if (peer.is_silent || now - peer.heard < silence) continue;
    peer.is_silent = is_grace_due_ = true;
    look_for_unfinished(peer, now);
    tell_newcomers_again(now);
    if (peer.outgoing.is_walking()) peer.wants_everything = true;
    callbacks_.log(
        fmt::format("peer {} ({}) has not been heard of for a second", address, peer.name));
  }
  std::erase_if(peers_, [&](const auto& entry) {
    const auto& peer = entry.second;
    return !peer.is_configured && peer.is_silent && now - peer.heard > forgetting;
  });
}

// The changes that found no room are told by a walk. It can't tell which connections ended: their
// replicas idle away.
void Exchange::look_at_losses(Time now) {
  if (!replicas_) return;
  const auto lost = replicas_->lost();
  if (!lost) return note_fault(tl::unexpected(lost.error()));
  if (*lost <= std::exchange(lost_, *lost)) return;
  callbacks_.log("changes of connections were lost: peers are told all connections again");
  next_walk_ = std::max(next_walk_, now + between_walks);
  for (auto& [address, peer] : peers_) peer.wants_everything = true;
}

// Empties the ring, whether or not anybody is there to be told.
void Exchange::read_changes() {
  for (std::size_t i = 0; i < most_readings; ++i) {
    const auto changes = replicas_->take(changes_at_a_time);
    if (!changes) return note_fault(tl::unexpected(changes.error()));
    for (auto& [address, peer] : peers_) {
      for (const auto& change : *changes) peer.outgoing.add(change);
    }
    if (changes->size() < changes_at_a_time) return;
  }
}

// Says whether something can be told to the peer at present.
bool Exchange::is_heard(const Peer& peer) {
  return !peer.is_silent && peer.session.is_established();
}

bool Exchange::is_walk_wanted() const {
  return std::ranges::any_of(peers_, [](const auto& entry) {
    return entry.second.wants_everything && is_heard(entry.second);
  });
}

bool Exchange::is_kept_wanted() const {
  return std::ranges::any_of(peers_, [](const auto& entry) {
    const auto& peer = entry.second;
    return peer.wants_kept && !peer.wants_everything && is_heard(peer);
  });
}

// Says whether all peers have told which connections they carry. One that can't is not waited for.
bool Exchange::knows_all_own(Time now) const {
  return now - told_own_ > longest_wait_for_own || std::ranges::all_of(peers_, [](const auto& one) {
           const auto& peer = one.second;
           return !is_heard(peer) || (peer.was_asked && peer.incoming.has_its_own());
         });
}

bool Exchange::is_carried_by_peer(const sluice_flow_image& image) const {
  return std::ranges::any_of(peers_, [&](const auto& entry) {
    return is_heard(entry.second) && entry.second.holdings->connections.contains(image);
  });
}

// Says whether the present walk is for the peer, too.
bool Exchange::is_in_walk(const Peer& peer) const {
  return peer.outgoing.is_walking() && !peer.wants_everything &&
         peer.wants_kept == (walk_ == Walk::kept);
}

void Exchange::begin_walk(Walk walk, Time now) {
  walk_ = walk;
  cursor_ = 0;
  next_walk_ = now + between_walks;
  if (walk == Walk::kept) return;
  for (auto& [address, peer] : peers_) {
    if (!peer.wants_everything || !is_heard(peer)) continue;
    peer.wants_everything = peer.wants_kept = false;
    peer.outgoing.begin_stream();
    ++peer.resynchronisations;
  }
}

void Exchange::end_walk(bool is_complete, Time now) {
  next_walk_ = now + between_walks;
  for (auto& [address, peer] : peers_) {
    if (!is_in_walk(peer)) continue;
    if (!is_complete) {
      peer.wants_everything = true;
    } else if (walk_ == Walk::own) {
      peer.outgoing.told_own();
      peer.wants_kept = true;
      told_own_ = now;
    } else {
      peer.outgoing.end_walk();
      peer.wants_kept = false;
      peer.told_all = now;
    }
  }
  walk_ = Walk::none;
}

void Exchange::walk(Time now) {
  if (walk_ == Walk::none && is_walk_wanted() && now >= next_walk_) begin_walk(Walk::own, now);
  if (walk_ == Walk::none && is_kept_wanted() && knows_all_own(now)) begin_walk(Walk::kept, now);
  for (unsigned step = 0; walk_ != Walk::none && step < most_steps; ++step) {
    std::vector<Outgoing*> listeners;
    for (auto& [address, peer] : peers_) {
      if (!is_in_walk(peer)) continue;
      if (!peer.outgoing.has_room_for_walk()) return;
      listeners.push_back(&peer.outgoing);
    }
    if (listeners.empty()) return end_walk(false, now);
    if (const auto read = replicas_->walk(cursor_, walked_); !read) {
      note_fault(read);
      return end_walk(false, now);
    }
    tell_walked(listeners);
    if (cursor_ == 0) end_walk(true, now);
  }
}

// Tells what the walk has just read.
void Exchange::tell_walked(const std::vector<Outgoing*>& listeners) {
  const bool tells_kept = walk_ == Walk::kept;
  for (const auto& image : walked_) {
    if (dataplane::is_replica(image) != tells_kept) continue;
    if (tells_kept && is_carried_by_peer(image)) continue;
    const auto event = tells_kept ? dataplane::FlowEvent::kept : dataplane::FlowEvent::begins;
    for (auto* outgoing : listeners) outgoing->add({event, image});
  }
}

void Exchange::tell(const Address& address, Peer& peer, Time now) {
  if (!peer.session.is_established() || peer.is_silent) {
    if (now - peer.told < between_greetings) return;
    peer.told = now;
    return greet(address, peer, peer.session.to());
  }
  auto& outgoing = peer.outgoing;
  outgoing.close_batches();
  outgoing.send([&](const Bytes& part) {
    auto body = begin_body(peer.session.to());
    body.insert(body.end(), part.begin(), part.end());
    send(address, peer, body);
  });
  if (outgoing.needs_new_stream()) peer.wants_everything = true;
  tell_standing(address, peer, now);
}

// Acknowledges, and says what should have come.
void Exchange::tell_standing(const Address& address, Peer& peer, Time now) {
  const auto pause = peer.incoming.misses_any()                             ? repairing
                     : peer.has_news || peer.outgoing.batches_behind() != 0 ? acknowledging
                                                                            : keepalive;
  if (now - peer.told < pause) return;
  peer.told = now;
  peer.has_news = false;
  auto body = begin_body(peer.session.to());
  append_hello(body, settings_.name);
  auto status = peer.outgoing.status();
  status.is_table_new = is_table_new_;
  append(body, status);
  append(body, peer.incoming.acknowledgement());
  send(address, peer, body);
}

// Says a fault once, and its end.
void Exchange::note_fault(const Result<void>& result) {
  if (result) return;
  auto text = result.error().text();
  if (text == last_fault_) return;
  callbacks_.log("connections of peers: " + text);
  last_fault_ = std::move(text);
}

std::string Exchange::word(const Peer& peer) const {
  if (!peer.session.is_established()) return "CONNECTING";
  if (peer.is_silent) return "SILENT";
  const bool is_telling = peer.wants_everything || peer.outgoing.status().is_walking;
  return is_telling || !peer.incoming.is_complete() ? "RESYNCHRONISING" : "FOLLOWING";
}

control::PeersState Exchange::state() const {
  control::PeersState state{.lost = lost_, .strangers = strangers_, .peers = {}};
  for (const auto& [address, peer] : peers_) {
    control::PeerState one{.address = address,
                           .name = peer.name,
                           .state = word(peer),
                           .behind = peer.outgoing.records_behind(),
                           .sent = peer.outgoing.records(),
                           .sent_datagrams = peer.sent_datagrams,
                           .repaired = peer.outgoing.repaired(),
                           .unsent = peer.unsent,
                           .received = peer.received,
                           .received_datagrams = peer.received_datagrams,
                           .missing = peer.incoming.missing(),
                           .replicas = peer.holdings->connections.size(),
                           .resynchronisations = peer.resynchronisations,
                           .refused_datagrams = {},
                           .refused_records = {}};
    for (std::size_t i = 0; i < refusals; ++i) {
      const auto why = static_cast<Refusal>(i);
      if (why != Refusal::greeting) one.refused_datagrams.emplace(to_string(why), peer.refused[i]);
    }
    const auto& refused = peer.holdings->refused;
    one.refused_records = {{"no_listener", refused[SLUICE_PUT_NO_LISTENER]},
                           {"no_member", refused[SLUICE_PUT_NO_MEMBER]},
                           {"no_room", refused[SLUICE_PUT_NO_ROOM]},
                           {"port_taken", refused[SLUICE_PUT_PORT_TAKEN]},
                           {"share", peer.holdings->over_share},
                           {"unfit", refused[SLUICE_PUT_UNFIT]},
                           {"other", refused[SLUICE_PUT_LOCKED] + refused[SLUICE_PUT_NOT_TRIED]}};
    state.peers.push_back(std::move(one));
  }
  return state;
}

}  // namespace sluice::peers
