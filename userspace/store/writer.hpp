// Writer: hands commits to a store without making the event loop wait for the disk.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "store/store.hpp"

namespace sluice::store {

class Writer {
 public:
  // Gets the commit's outcome: the new generation, or why nothing of it was stored.
  using Done = std::function<void(Result<std::uint64_t>)>;

  virtual ~Writer() = default;
  // Commits, in the order of the calls. `done` is called on the caller's thread, within the call or
  // later.
  virtual void commit(Commit commit, Done done) = 0;
  // Store::back_up() and Store::read_backup(), likewise.
  using BackUpDone = std::function<void(Result<std::string>)>;
  virtual void back_up(BackUpDone done) = 0;
  using ReadDone = std::function<void(Result<Contents>)>;
  virtual void read_backup(std::string file, ReadDone done) = 0;
};

// A writer that commits within the call, for tests and where nothing else waits.
class DirectWriter final : public Writer {
 public:
  explicit DirectWriter(Store& store) : store_(store) {}
  void commit(Commit commit, Done done) override { done(store_.commit(commit)); }
  void back_up(BackUpDone done) override { done(store_.back_up()); }
  void read_backup(std::string file, ReadDone done) override { done(store_.read_backup(file)); }

 private:
  Store& store_;
};

// A writer with a thread of its own. As long as it lives nobody else may use the store.
class WriterThread final : public Writer {
 public:
  // Makes the event loop's thread run a function soon; called on the writer's thread.
  using Post = std::function<void(std::function<void()>)>;

  WriterThread(Store& store, Post post);
  // Waits until everything that was handed over is committed, even for a disk that hangs: otherwise
  // commits that only this process knows would be lost. Their outcome may not be reported any more.
  ~WriterThread() override;
  WriterThread(const WriterThread&) = delete;
  WriterThread& operator=(const WriterThread&) = delete;

  void commit(Commit commit, Done done) override;
  void back_up(BackUpDone done) override;
  void read_backup(std::string file, ReadDone done) override;
  // Runs `work` on the writer's thread, between commits, and posts what it returns.
  void run(std::function<std::function<void()>()> work);

 private:
  void work();

  Store& store_;
  Post post_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable news_;
  std::deque<std::function<std::function<void()>()>> queue_;
  bool ending_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace sluice::store
