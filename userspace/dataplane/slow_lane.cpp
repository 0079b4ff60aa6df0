#include "dataplane/slow_lane.hpp"

#include <utility>

namespace sluice::dataplane {

SlowLane::~SlowLane() {
  const std::lock_guard lock(mutex_);
  asked_.clear();
  first_.clear();
}

bool SlowLane::ask(Worker::Work work, const control::Asker& asker) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(asked_, [](const Waiting& one) { return one.asker.is_gone(); });
    if (asked_.size() >= most_waiting) return false;
    asked_.push_back({std::move(work), asker});
  }
  worker_.run([this] { return carry_out_next(); });
  return true;
}

void SlowLane::go_first(Worker::Work work) {
  {
    const std::lock_guard lock(mutex_);
    first_.push_back(std::move(work));
  }
  worker_.run([this] { return carry_out_next(); });
}

// May find nothing to do: ask() removes the work of askers that have gone.
std::function<void()> SlowLane::carry_out_next() {
  Waiting next;
  {
    const std::lock_guard lock(mutex_);
    if (!first_.empty()) {
      next.work = std::move(first_.front());
      first_.pop_front();
    } else if (!asked_.empty()) {
      next = std::move(asked_.front());
      asked_.pop_front();
    }
  }
  if (!next.work || next.asker.is_gone()) return {};
  return next.work();
}

}  // namespace sluice::dataplane
