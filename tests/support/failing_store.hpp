// FailingStore: a store in memory whose commits fail when a test wants it, and that a test can open
// again as after a kill.
#pragma once

#include <functional>

#include "store/store.hpp"

namespace sluice::test {

class FailingStore : public store::Store {
 public:
  store::Contents contents;
  std::size_t commits = 0;  // asked for
  std::vector<model::EventRecord> kept;
  // Returns an error for the commits that must fail (counted from 1).
  std::function<Result<void>(std::size_t number)> veto;
  // Changes of somebody else, each of which comes just before a commit, which then clashes.
  std::vector<std::function<void(model::Model&)>> intrusions;

  Result<store::Contents> load() override { return contents; }
  Result<std::uint64_t> commit(const store::Commit& commit) override {
    commits++;
    if (veto) {
      if (auto allowed = veto(commits); !allowed) return tl::unexpected(std::move(allowed.error()));
    }
    if (!intrusions.empty()) {
      intrusions.front()(contents.model);
      intrusions.erase(intrusions.begin());
      contents.position.generation++;
      return fail(ErrorKind::conflict, "somebody else was faster");
    }
    model::apply(contents.model, commit.objects);
    for (const auto& [member, health] : commit.health) {
      if (health) {
        contents.health[member] = *health;
      } else {
        contents.health.erase(member);
      }
    }
    for (const auto& id : commit.objects.members.removed) contents.health.erase(id);
    kept.insert(kept.end(), commit.events.begin(), commit.events.end());
    auto& generation = contents.position.generation;
    if (commit.copy_of) {
      contents.position = *commit.copy_of;
      return generation;
    }
    return generation = std::max(generation + 1, commit.generation_at_least);
  }
  Result<std::vector<model::EventRecord>> events(const model::EventQuery&) override { return kept; }
  Result<std::string> back_up() override { return std::string("a backup"); }
  Result<store::Contents> read_backup(const std::string&) override { return contents; }
};

// Holds commits until a test releases them, like a disk that hangs.
class HeldWriter : public store::Writer {
 public:
  explicit HeldWriter(store::Store& store) : store_(store) {}
  bool hold = false;
  std::size_t held() const { return queue_.size(); }

  void commit(store::Commit commit, Done done) override {
    queue_.push_back([this, commit = std::move(commit), done = std::move(done)] {
      done(store_.commit(commit));
    });
    if (!hold) let_through();
  }
  void load(LoadDone done) override { done(store_.load()); }
  void events(model::EventQuery query, EventsDone done) override { done(store_.events(query)); }
  void back_up(BackUpDone done) override { done(store_.back_up()); }
  void read_backup(std::string file, ReadDone done) override { done(store_.read_backup(file)); }
  void let_through() {
    hold = false;
    while (!queue_.empty()) {
      const auto next = std::move(queue_.front());
      queue_.erase(queue_.begin());
      next();
    }
  }

 private:
  store::Store& store_;
  std::vector<std::function<void()>> queue_;
};

}  // namespace sluice::test
