// Worker: a thread beside the event loop that carries out one piece of work after the other, and
// posts each outcome to the event loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace sluice {

class Worker {
 public:
  // Makes the event loop's thread run a function soon; called on the worker's thread.
  using Post = std::function<void(std::function<void()>)>;
  // Work runs on the worker's thread and returns what the event loop's thread then does with the
  // outcome, if anything. It may not throw.
  using Work = std::function<std::function<void()>()>;

  // The thread begins with the first piece of work: it has the privileges that are left by then.
  explicit Worker(Post post) : post_(std::move(post)) {}
  // Waits until everything that was handed over is carried out. The event loop may not get the
  // outcomes any more.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Carries the work out in the order of the calls, which come from one thread.
  void run(Work work);
  // Waits at most this long until nothing is left to do; returns false if something is.
  bool is_done_within(std::chrono::milliseconds patience);

 private:
  void work();

  Post post_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable news_;
  std::deque<Work> queue_;  // the first one is under way, or about to be
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sluice
