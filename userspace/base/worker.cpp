#include "base/worker.hpp"

namespace sluice {

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Worker::run(Work work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  news_.notify_all();
  if (!thread_.joinable()) thread_ = std::thread([this] { this->work(); });
}

bool Worker::is_done_within(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return news_.wait_for(lock, patience, [this] { return queue_.empty(); });
}

void Worker::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    lock.unlock();
    if (auto outcome = work()) post_(std::move(outcome));
    work = nullptr;  // frees what it holds before the lock is taken again
    lock.lock();
    queue_.pop_front();
    if (queue_.empty()) news_.notify_all();
  }
}

}  // namespace sluice
