#include "peers/intake.hpp"

#include <algorithm>
#include <utility>

#include "peers/tuple_hash.hpp"

namespace sluice::peers {

std::uint64_t Intake::hash(const sluice_flow_image& image) const {
  return tuple_hash(image, seed_);
}

std::shared_ptr<Holdings> Intake::hold() {
  return holdings_.emplace_back(std::make_shared<Holdings>(seed_));
}

bool Intake::is_held(const sluice_flow_image& image) const {
  return std::ranges::any_of(
      holdings_, [&](const auto& holdings) { return holdings->connections.contains(image); });
}

void Intake::add(const std::shared_ptr<Holdings>& from, const dataplane::FlowChange& change) {
  const auto connection = hash(change.image);
  later_.erase(connection);
  if (change.event == dataplane::FlowEvent::ends) {
    puts_.erase(connection);
    ends_.insert_or_assign(connection, change.image);
    for (const auto& holdings : holdings_) holdings->connections.erase(change.image);
    ++from->ended;
  } else {
    puts_.insert_or_assign(connection, Pending{from, change.image, from->round});
  }
}

void Intake::sweep(Holdings& holdings) {
  std::erase_if(later_, [&](const auto& entry) {
    return entry.second.from.get() == &holdings && entry.second.round != holdings.round;
  });
  for (const auto& image : holdings.connections.take_others(holdings.round)) {
    const auto connection = hash(image);
    if (puts_.contains(connection) || later_.contains(connection)) continue;  // told again
    if (is_held(image)) continue;  // it moved to a node that has told of it
    ends_.insert_or_assign(connection, image);
  }
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

bool Intake::may_have(const Pending& pending) const {
  auto& from = *pending.from;
  if (from.connections.size() < share_ || from.connections.contains(pending.image)) return true;
  ++from.over_share;
  return false;
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
  std::vector<PendingByHash::node_type> tried;
  for (auto at = puts_.begin(); at != puts_.end();) {
    if (!may_have(at->second)) {
      at = puts_.erase(at);
      continue;
    }
    images.push_back(at->second.image);
    images.back().result = SLUICE_PUT_NOT_TRIED;
    tried.push_back(puts_.extract(at++));
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
      ++pending.from->put;
      pending.from->connections.set(pending.image, pending.round);
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
  ++pending.from->refused[std::min<std::size_t>(result, SLUICE_PUT_UNFIT)];
}

}  // namespace sluice::peers
