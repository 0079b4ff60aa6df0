#include "peers/outgoing.hpp"

#include <algorithm>

namespace sluice::peers {

void Outgoing::begin_stream() {
  ++stream_;
  has_stream_ = is_walking_ = true;
  has_told_own_ = false;
  kept_.clear();
  wanted_.clear();
  writer4_ = BatchWriter(4);
  writer6_ = BatchWriter(6);
  next_ = unsent_ = records_behind_ = 0;
}

void Outgoing::add(const dataplane::FlowChange& change) {
  if (!has_stream_) return;
  auto& writer = change.image.family == 4 ? writer4_ : writer6_;
  if (writer.add(change)) return;
  close(writer);
  writer.add(change);
}

void Outgoing::close_batches() {
  close(writer4_);
  close(writer6_);
}

void Outgoing::close(BatchWriter& writer) {
  if (writer.is_empty() || !has_stream_) return;
  if (kept_.size() >= limit_) {
    has_stream_ = false;
    kept_.clear();
    wanted_.clear();
    return;
  }
  const auto records = writer.records();
  records_ += records;
  records_behind_ += records;
  kept_.push_back({writer.take(stream_, next_++), records});
}

void Outgoing::send(const Send& send) {
  if (!has_stream_) return;
  const auto first = next_ - kept_.size();
  for (const auto sequence : wanted_) {
    if (sequence < first) continue;
    send(kept_[sequence - first].part);
    ++repaired_;
  }
  wanted_.clear();
  for (; unsent_ < next_; ++unsent_) send(kept_[unsent_ - first].part);
}

void Outgoing::acknowledged(const Acknowledgement& acknowledgement) {
  if (!has_stream_ || acknowledgement.stream != stream_ || acknowledgement.next > unsent_) return;
  forget_before(acknowledgement.next);
  const auto first = next_ - kept_.size();
  for (const auto& range : acknowledgement.missing) {
    const auto end = std::min(range.end, unsent_);
    for (auto sequence = std::max(range.first, first); sequence < end; ++sequence)
      wanted_.insert(sequence);
  }
}

void Outgoing::forget_before(std::uint64_t sequence) {
  while (!kept_.empty() && next_ - kept_.size() < sequence) {
    records_behind_ -= kept_.front().records;
    kept_.pop_front();
  }
}

}  // namespace sluice::peers
