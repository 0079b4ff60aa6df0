#include "store/writer.hpp"

#include <utility>

namespace sluice::store {

WriterThread::WriterThread(Store& store, Post post)
    : store_(store), post_(std::move(post)), thread_([this] { work(); }) {}

WriterThread::~WriterThread() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void WriterThread::commit(Commit commit, Done done) {
  run([this, commit = std::move(commit), done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.commit(commit)] { done(outcome); };
  });
}

void WriterThread::back_up(BackUpDone done) {
  run([this, done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.back_up()] { done(outcome); };
  });
}

void WriterThread::read_backup(std::string file, ReadDone done) {
  run([this, file = std::move(file), done = std::move(done)]() mutable {
    return [done = std::move(done), outcome = store_.read_backup(file)] { done(outcome); };
  });
}

void WriterThread::run(std::function<std::function<void()>()> work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  news_.notify_one();
}

void WriterThread::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    news_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    post_(work());
    work = nullptr;  // frees what it holds before the lock is taken again
    lock.lock();
  }
}

}  // namespace sluice::store
