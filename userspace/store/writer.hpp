// Writer: hands commits to a store without making the event loop wait for the disk.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "base/worker.hpp"
#include "store/store.hpp"

namespace sluice::store {

class Writer {
 public:
  // Gets the commit's outcome: the new generation, or why nothing of it was stored.
  using Done = std::function<void(Result<std::uint64_t>)>;

  virtual ~Writer() = default;
  // Says whether other nodes store their changes where this one does. Then a change's updated_at is
  // a part of it, and each node finds out provisioning status for itself.
  virtual bool is_shared() const { return false; }
  // Says whether changes of objects may be stored now, as far as is known. Otherwise that health or
  // events were stored says nothing about it.
  virtual bool takes_changes() const { return true; }
  // Commits, in the order of the calls. `done` is called on the caller's thread, within the call or
  // later.
  virtual void commit(Commit commit, Done done) = 0;
  // Store::load(), Store::events(), Store::back_up() and Store::read_backup(), likewise.
  using LoadDone = std::function<void(Result<Contents>)>;
  virtual void load(LoadDone done) = 0;
  using EventsDone = std::function<void(Result<std::vector<model::EventRecord>>)>;
  virtual void events(model::EventQuery query, EventsDone done) = 0;
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
  void load(LoadDone done) override { done(store_.load()); }
  void events(model::EventQuery query, EventsDone done) override { done(store_.events(query)); }
  void back_up(BackUpDone done) override { done(store_.back_up()); }
  void read_backup(std::string file, ReadDone done) override { done(store_.read_backup(file)); }

 private:
  Store& store_;
};

// A writer with a thread of its own. As long as it lives nobody else may use the store.
//
// Its end waits until everything that was handed over is committed, even for a disk that hangs:
// otherwise commits that only this process knows would be lost.
class WriterThread final : public Writer {
 public:
  using Post = Worker::Post;

  WriterThread(Store& store, Post post) : store_(store), worker_(std::move(post)) {}

  void commit(Commit commit, Done done) override;
  void load(LoadDone done) override;
  void events(model::EventQuery query, EventsDone done) override;
  void back_up(BackUpDone done) override;
  void read_backup(std::string file, ReadDone done) override;
  // Calls `close` on the thread that has the store, because closing writes, too, after everything
  // that was handed over; nothing may be handed over any more. Returns false if that takes longer
  // than `patience`: the disk hangs, and this object and the store must be left as they are.
  bool finish(const std::function<void()>& close, std::chrono::milliseconds patience);

 private:
  Store& store_;
  Worker worker_;  // last: its end uses the store
};

}  // namespace sluice::store
