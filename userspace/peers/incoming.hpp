// Incoming: which batches of one peer have come, and which are missing. Pure.
//
// Batches are good in whatever order they come, because a connection should not wait for the news
// of others. Only what is late by the sender's count may not undo what came before it: as long as
// batches are missing, the later changes are remembered.
#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>

#include "peers/datagram.hpp"

namespace sluice::peers {

class Incoming {
 public:
  enum class Verdict { fresh, repeated, too_old };
  Verdict take(std::uint32_t stream, std::uint64_t sequence);
  // To be asked for each change of a fresh batch: false if a later one makes it void. That is one
  // of the same connection, and, if it does not end, one of a connection that has its member's
  // side. Both are told by their hashes.
  bool may_apply(std::uint64_t connection, std::uint64_t member_side, bool ends,
                 std::uint64_t sequence);
  void heard(const Status& status);

  // Has everything told anew.
  void want_everything() { ++wanted_; }
  Acknowledgement acknowledgement() const;
  bool misses_any() const { return !missing_.empty(); }
  std::uint64_t missing() const;
  // The peer's resynchronisation is over.
  bool is_complete() const { return is_complete_; }
  // So is what it told of its own connections, and nothing of that is missing.
  bool has_its_own() const { return (is_complete_ || has_told_own_) && !misses_any(); }
  std::uint32_t stream() const { return stream_; }

 private:
  static constexpr std::size_t most_gaps = 4096;

  void begin(std::uint32_t stream);
  bool extend(std::uint64_t end);
  void found(std::map<std::uint64_t, std::uint64_t>::iterator gap, std::uint64_t sequence);

  std::uint32_t stream_ = 0;                        // 0: none yet
  std::uint64_t end_ = 0;                           // one past the latest that came, or is known of
  std::map<std::uint64_t, std::uint64_t> missing_;  // first -> end
  std::unordered_map<std::uint64_t, std::uint64_t> latest_;  // hash -> sequence
  std::uint32_t wanted_ = 0;
  bool is_complete_ = false, has_told_own_ = false;
};

}  // namespace sluice::peers
