#include "peers/intake.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "peers/tuple_hash.hpp"

namespace sluice::peers {
namespace {

// Says whether two images with one tuple are of one connection.
bool goes_alike(const sluice_flow_image& one, const sluice_flow_image& other) {
  return one.source_port == other.source_port && one.member_port == other.member_port &&
         std::ranges::equal(one.source.halves, other.source.halves) &&
         std::ranges::equal(one.member.halves, other.member.halves);
}

}  // namespace

std::uint64_t Intake::hash(const sluice_flow_image& image) const {
  return tuple_hash(image, seed_);
}

std::shared_ptr<Holdings> Intake::hold() {
  std::erase_if(holdings_, [](const auto& one) { return one.expired(); });
  auto made = std::make_shared<Holdings>(seed_);
  holdings_.push_back(made);
  return made;
}

bool Intake::is_held(const sluice_flow_image& image) const {
  return std::ranges::any_of(holdings_, [&](const auto& one) {
    const auto holdings = one.lock();
    return holdings && holdings->connections.contains(image);
  });
}

void Intake::add(const std::shared_ptr<Holdings>& from, const dataplane::FlowChange& change) {
  switch (change.event) {
    case dataplane::FlowEvent::ends:
      return end(from, change.image);
    case dataplane::FlowEvent::kept:
      return keep(from, change.image);
    default:
      return begin(from, change.image);
  }
}

// A connection may go through two peers, or have moved from one to the other. Each of them that has
// told it has it here.
void Intake::begin(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image) {
  const auto connection = hash(image);
  Pending pending{.image = image, .tellers = {{from, from->round}}};
  for (auto* waiting : {&puts_, &later_}) {
    const auto found = waiting->find(connection);
    if (found == waiting->end()) continue;
    for (const auto& teller : found->second.tellers) {
      if (teller.peer != from && !found->second.is_kept && goes_alike(found->second.image, image))
        pending.tellers.push_back(teller);
    }
    waiting->erase(found);
  }
  puts_.emplace(connection, std::move(pending));
}

// Whoever carries the connection knows better. It is in nobody's holdings: this node will tell it
// to the next one that joins, as the teller does.
void Intake::keep(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image) {
  from->connections.erase(image);
  const auto connection = hash(image);
  if (ends_.contains(connection) || is_held(image)) return;
  for (auto* waiting : {&puts_, &later_}) {
    const auto found = waiting->find(connection);
    if (found == waiting->end()) continue;
    if (!found->second.is_kept) return;
    waiting->erase(found);
  }
  Pending pending{.image = image, .tellers = {{from, from->round}}, .is_kept = true};
  puts_.emplace(connection, std::move(pending));
}

// A peer's word ends what this peer told before, and the same connection if others told it; but not
// one that has its tuple since.
void Intake::end(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image) {
  const auto connection = hash(image);
  for (auto* waiting : {&puts_, &later_}) {
    const auto found = waiting->find(connection);
    if (found != waiting->end() &&
        (found->second.tellers.front().peer == from || goes_alike(found->second.image, image)))
      waiting->erase(found);
  }
  ends_.insert_or_assign(connection, image);
  for (const auto& one : holdings_) {
    if (const auto holdings = one.lock()) holdings->connections.erase(image);
  }
  ++from->ended;
}

void Intake::sweep(Holdings& holdings) {
  const auto is_old = [&](const Teller& teller) {
    return teller.peer.get() == &holdings && teller.round != holdings.round;
  };
  for (auto& [connection, pending] : later_) std::erase_if(pending.tellers, is_old);
  std::erase_if(later_, [](const auto& entry) { return entry.second.tellers.empty(); });
  for (const auto& image : holdings.connections.take_others(holdings.round)) {
    const auto connection = hash(image);
    if (puts_.contains(connection) || later_.contains(connection)) continue;  // told again
    if (is_held(image)) continue;  // it moved to a node that has told of it
    ends_.insert_or_assign(connection, image);
  }
}

void Intake::hurry() {
  for (auto& [connection, pending] : later_) {
    pending.tries = 0;
    pending.due = {};
  }
  next_look_ = {};
}

void Intake::forget() {
  puts_.clear();
  ends_.clear();
  later_.clear();
}

void Intake::collect_due(Time now) {
  if (now < next_look_) return;
  next_look_ = now + first_pause;
  for (auto at = later_.begin(); at != later_.end();) {
    if (at->second.due > now) {
      ++at;
      continue;
    }
    puts_.insert(later_.extract(at++));
  }
}

// Takes the puts for which their peers have room.
std::vector<Intake::PendingByHash::node_type> Intake::collect_puts() {
  std::vector<PendingByHash::node_type> puts;
  std::map<const Holdings*, std::size_t> added;
  while (!puts_.empty()) {
    auto put = puts_.extract(puts_.begin());
    const auto& pending = put.mapped();
    auto& peer = *pending.tellers.front().peer;
    if (!peer.connections.contains(pending.image) &&
        peer.connections.size() + peer.kept + added[&peer]++ >= share_) {
      --added[&peer];
      ++peer.over_share;
      continue;
    }
    puts.push_back(std::move(put));
  }
  return puts;
}

Result<void> Intake::apply(dataplane::Replicas& replicas, Time now) {
  collect_due(now);
  std::vector<sluice_flow_image> images;
  if (!ends_.empty()) {
    for (auto& [hash, image] : std::exchange(ends_, {})) images.push_back(image);
    if (auto ended = replicas.end(images); !ended) return ended;
    images.clear();
  }
  if (puts_.empty()) return {};
  auto tried = collect_puts();
  for (const auto& one : tried) {
    images.push_back(one.mapped().image);
    images.back().result = SLUICE_PUT_NOT_TRIED;
  }
  auto put = replicas.put(images);
  for (std::size_t i = 0; i < tried.size(); ++i) {
    tried[i].mapped().image.result = images[i].result;
    settle(tried[i].key(), std::move(tried[i].mapped()), now);
  }
  return put;
}

// Does what follows from the result that is in the image.
void Intake::settle(std::uint64_t hash, Pending pending, Time now) {
  const auto result = pending.image.result;
  switch (result) {
    case SLUICE_PUT_DONE:
    case SLUICE_PUT_REFRESHED:
    case SLUICE_PUT_EXISTS:  // its packets come to this node now
      ++pending.tellers.front().peer->put;
      if (pending.is_kept) {
        if (result == SLUICE_PUT_DONE) ++pending.tellers.front().peer->kept;
        return;
      }
      for (const auto& [peer, round] : pending.tellers) {
        if (peer->connections.size() < share_ || peer->connections.contains(pending.image))
          peer->connections.set(pending.image, round);
      }
      return;
    case SLUICE_PUT_NOT_TRIED:
    case SLUICE_PUT_LOCKED:
    case SLUICE_PUT_PORT_TAKEN:
    case SLUICE_PUT_NO_LISTENER:
    case SLUICE_PUT_NO_MEMBER:
      if (pending.tries == most_tries || later_.size() >= most_waiting) break;
      pending.due = now + first_pause * (1 << pending.tries++);
      later_.insert_or_assign(hash, std::move(pending));
      return;
    default:
      break;
  }
  ++pending.tellers.front().peer->refused[std::min<std::size_t>(result, SLUICE_PUT_UNFIT)];
}

}  // namespace sluice::peers
