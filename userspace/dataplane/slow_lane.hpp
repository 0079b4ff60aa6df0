// SlowLane: the thread on which inspections of data planes run (control/inspection.hpp).
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>

#include "base/worker.hpp"
#include "control/inspection.hpp"

namespace sluice::dataplane {

class SlowLane {
 public:
  // So many requests may wait; an explanation may take a second.
  static constexpr std::size_t most_waiting = 16;

  explicit SlowLane(Worker::Post post) : worker_(std::move(post)) {}
  // Drops what waits, and waits for what is under way: a load takes a few seconds at most.
  ~SlowLane();

  // Runs `work` after what waits, unless the asker is gone by then. False: too much waits.
  bool ask(Worker::Work work, const control::Asker& asker);
  // Runs `work` before the work of askers.
  void go_first(Worker::Work work);

 private:
  struct Waiting {
    Worker::Work work;
    control::Asker asker;
  };
  std::function<void()> carry_out_next();

  std::mutex mutex_;  // guards what follows
  std::deque<Waiting> asked_;
  std::deque<Worker::Work> first_;
  Worker worker_;  // last: it uses all of the above
};

}  // namespace sluice::dataplane
