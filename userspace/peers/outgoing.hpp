// Outgoing: what this node tells one peer: changes in batches, which are kept until the peer has
// them. Pure.
//
// Adding never fails and never waits. A peer that is so far behind that a batch it lacks is kept no
// more gets everything anew: another stream begins, and with it a walk over the flow tables.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>

#include "peers/datagram.hpp"

namespace sluice::peers {

class Outgoing {
 public:
  // Batches that are kept. Some 280,000 connections, a second of a very busy node.
  static constexpr std::size_t most_kept = 8192;
  // A walk waits while so many batches have not arrived: the peer has to carry them out, and there
  // has to be room for news.
  static constexpr std::size_t most_of_a_walk = 256;

  explicit Outgoing(std::size_t limit = most_kept) : limit_(limit) {}

  // Begins another stream. Until end_walk(), the peer doesn't have everything; until told_own(),
  // not even this node's own connections.
  void begin_stream();
  void told_own() { has_told_own_ = true; }
  void end_walk() { is_walking_ = false; }
  void add(const dataplane::FlowChange& change);
  // Closes the batches that are not full, so that send() has them.
  void close_batches();

  using Send = std::function<void(const Bytes& part)>;
  // Sends what has not been sent, and what is asked for again.
  void send(const Send& send);
  void acknowledged(const Acknowledgement& acknowledgement);

  bool has_room_for_walk() const { return kept_.size() < std::min(most_of_a_walk, limit_ / 2); }
  // There is no stream, or the peer is too far behind for this one.
  bool needs_new_stream() const { return !has_stream_; }
  bool is_walking() const { return is_walking_; }
  Status status() const {
    return {.stream = stream_,
            .next = next_,
            .is_walking = !has_stream_ || is_walking_,
            .has_told_own = has_stream_ && has_told_own_};
  }
  std::uint64_t batches_behind() const { return kept_.size(); }
  std::uint64_t records_behind() const { return records_behind_; }
  std::uint64_t records() const { return records_; }
  std::uint64_t repaired() const { return repaired_; }

 private:
  struct Kept {
    Bytes part;
    std::size_t records;
  };
  void close(BatchWriter& writer);
  void forget_before(std::uint64_t sequence);

  std::size_t limit_;
  bool has_stream_ = false;
  bool is_walking_ = false, has_told_own_ = false;
  std::uint32_t stream_ = 0;
  BatchWriter writer4_{4}, writer6_{6};
  std::deque<Kept> kept_;  // the last is next_ - 1
  std::uint64_t next_ = 0;
  std::uint64_t unsent_ = 0;        // the first that was never sent
  std::set<std::uint64_t> wanted_;  // again
  std::uint64_t records_behind_ = 0, records_ = 0, repaired_ = 0;
};

}  // namespace sluice::peers
