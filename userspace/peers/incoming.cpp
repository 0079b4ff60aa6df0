#include "peers/incoming.hpp"

#include <algorithm>
#include <iterator>

namespace sluice::peers {

void Incoming::begin(std::uint32_t stream) {
  stream_ = stream;
  end_ = 0;
  missing_.clear();
  latest_.clear();
  is_complete_ = has_told_own_ = false;
}

// Notes that the batches before `end` exist. False: too many are missing to remember them.
bool Incoming::extend(std::uint64_t end) {
  if (end <= end_) return true;
  if (missing_.size() >= most_gaps) return false;
  missing_.emplace(end_, end);
  end_ = end;
  return true;
}

Incoming::Verdict Incoming::take(std::uint32_t stream, std::uint64_t sequence) {
  if (stream < stream_) return Verdict::too_old;
  if (stream > stream_) begin(stream);
  if (sequence >= end_) {
    if (sequence > end_ && !extend(sequence)) return Verdict::too_old;
    end_ = sequence + 1;
    return Verdict::fresh;
  }
  auto gap = missing_.upper_bound(sequence);
  if (gap == missing_.begin()) return Verdict::repeated;
  gap = std::prev(gap);
  if (sequence >= gap->second) return Verdict::repeated;
  found(gap, sequence);
  return Verdict::fresh;
}

// Takes one out of the range of missing ones that it is in.
void Incoming::found(std::map<std::uint64_t, std::uint64_t>::iterator gap, std::uint64_t sequence) {
  const auto [first, end] = *gap;
  if (sequence + 1 < end) missing_.emplace(sequence + 1, end);
  if (sequence == first) {
    missing_.erase(gap);
  } else {
    gap->second = sequence;
  }
}

bool Incoming::may_apply(std::uint64_t connection, std::uint64_t member_side, bool ends,
                         std::uint64_t sequence) {
  // This batch may have been the last one that was missing, and be late all the same.
  if (missing_.empty() && sequence + 1 == end_) {
    latest_.clear();
    return true;
  }
  auto& of_connection = latest_[connection];
  auto& of_member_side = latest_[member_side];
  const bool is_void = sequence < of_connection || (!ends && sequence < of_member_side);
  of_connection = std::max(of_connection, sequence);
  of_member_side = std::max(of_member_side, sequence);
  return !is_void;
}

void Incoming::heard(const Status& status) {
  if (status.stream < stream_) return;
  if (status.stream > stream_) begin(status.stream);
  extend(status.next);
  if (status.next != end_) return;  // it was overtaken
  is_complete_ = !status.is_walking;
  has_told_own_ = status.has_told_own;
}

std::uint64_t Incoming::missing() const {
  std::uint64_t sum = 0;
  for (const auto& [first, end] : missing_) sum += end - first;
  return sum;
}

Acknowledgement Incoming::acknowledgement() const {
  Acknowledgement told{.stream = stream_, .next = end_, .wanted = wanted_, .missing = {}};
  if (!missing_.empty()) told.next = missing_.begin()->first;
  for (const auto& [first, end] : missing_) {
    if (told.missing.size() == max_ranges) break;
    told.missing.push_back({first, end});
  }
  return told;
}

}  // namespace sluice::peers
