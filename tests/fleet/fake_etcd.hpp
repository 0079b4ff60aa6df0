// FakeEtcd: etcd in memory, as far as fleet/etcd.hpp asks, and a network to it that loses, delays
// and repeats.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fleet/etcd.hpp"
#include "tests/fleet/scheduler.hpp"

namespace sluice::fleet::test {

// Faults of a fleet that are planted, to see that the simulation finds them.
enum class Fault {
  none,
  compares_nothing,     // a commit is made on whatever there is by then
  watch_has_a_gap,      // a watch that begins anew misses a change
  knows_no_requests,    // a commit without an answer is taken for one that has not happened
  reserves_no_address,  // an address is chosen before the commit that takes it
};

class FakeEtcd {
 public:
  struct Snapshot {
    std::map<std::string, KeyValue> keys;
    std::int64_t revision = 1;
  };

  explicit FakeEtcd(Scheduler& scheduler) : scheduler_(scheduler) {}

  // Is called after each transaction that has happened.
  std::function<void(const std::map<std::string, KeyValue>&)> on_change;
  std::size_t most_operations = 128;
  bool has_quorum = true;
  bool is_full = false;
  Fault fault = Fault::none;

  const std::map<std::string, KeyValue>& keys() const { return keys_; }
  Header header() const { return {cluster_, revision_}; }

  Answer<TransactionReply> transact(const Transaction& transaction) {
    if (std::max(transaction.operations(), transaction.read_otherwise.size()) > most_operations)
      return tl::unexpected(Failure{"too many operations in txn request", false, true});
    if (is_full && !transaction.puts.empty())
      return tl::unexpected(Failure{"etcdserver: mvcc: database space exceeded", false, true});
    for (const auto& put : transaction.puts) {
      if (put.lease != 0 && !leases_.contains(put.lease))
        return tl::unexpected(Failure{"etcdserver: requested lease not found", false, false});
    }
    const auto found = keys_.find(transaction.key);
    const auto value = found == keys_.end() ? std::nullopt : std::optional(found->second.value);
    TransactionReply reply{
        header(), value == transaction.expected || fault == Fault::compares_nothing, {}};
    if (!reply.happened) {
      for (const auto& key : transaction.read_otherwise) {
        if (fault == Fault::knows_no_requests && key.find("/commits/") != key.npos) continue;
        if (const auto at = keys_.find(key); at != keys_.end()) reply.read.push_back(at->second);
      }
      return reply;
    }
    std::vector<Change> changes;
    for (const auto& key : transaction.removals) {
      if (keys_.erase(key) != 0) changes.push_back({{key, "", revision_ + 1}, true});
    }
    for (const auto& put : transaction.puts) {
      keys_[put.key] = {put.key, put.value, revision_ + 1};
      for (auto& [id, lease] : leases_) lease.keys.erase(put.key);
      if (put.lease != 0) leases_[put.lease].keys.insert(put.key);
      changes.push_back({keys_[put.key], false});
    }
    publish(std::move(changes));
    reply.header = header();
    if (on_change) on_change(keys_);
    return reply;
  }

  Reading read(const std::string& key, Etcd::Extent extent) const {
    Reading reading{header(), {}};
    for (const auto& [name, entry] : keys_) {
      if (extent == Etcd::Extent::key ? name == key : name.starts_with(key))
        reading.found.push_back(entry);
    }
    return reading;
  }

  bool remembers(std::int64_t revision) const { return revision >= compacted_; }

  std::int64_t grant(std::chrono::seconds life) {
    const auto lease = ++last_lease_;
    leases_[lease] = {life, {}, 0};
    renew(lease);
    return lease;
  }
  bool renew(std::int64_t lease) {
    const auto found = leases_.find(lease);
    if (found == leases_.end()) return false;
    const auto renewal = ++found->second.renewal;
    scheduler_.after(found->second.life, [this, lease, renewal] { end(lease, renewal); });
    return true;
  }

  // A watch gets the changes since its beginning, unless they are forgotten, and those to come.
  struct Watch {
    std::string prefix;
    std::function<void(Header, std::vector<Change>)> changed;
    bool is_broken = false;
  };
  // Returns false if the history does not go back so far.
  bool watch(const std::shared_ptr<Watch>& watch, std::int64_t from) {
    if (from <= compacted_) return false;
    for (const auto& [revision, changes] : history_) {
      if (revision >= from) tell(*watch, changes);
    }
    watches_.push_back(watch);
    return true;
  }

  void compact(std::int64_t revision) {
    compacted_ = std::max(compacted_, std::min(revision, revision_));
    history_.erase(history_.begin(), history_.upper_bound(compacted_));
  }

  // Others make so many revisions.
  void age(std::int64_t revisions) { revision_ += revisions; }

  Snapshot snapshot() const { return {keys_, revision_}; }
  // A new cluster with the snapshot's keys. Watches of the old one are silent for ever.
  void restore(const Snapshot& snapshot) {
    keys_ = snapshot.keys;
    revision_ = snapshot.revision;
    compacted_ = revision_;
    history_.clear();
    watches_.clear();
    leases_.clear();
    cluster_++;
  }

 private:
  struct Lease {
    std::chrono::seconds life{};
    std::set<std::string> keys;
    std::uint64_t renewal = 0;
  };

  // Ends the lease, if it was not renewed since. Without a quorum none ends, and a new leader
  // begins them all anew.
  void end(std::int64_t lease, std::uint64_t renewal, bool had_quorum = true) {
    const auto at = leases_.find(lease);
    if (at == leases_.end() || at->second.renewal != renewal) return;
    if (!has_quorum)
      return scheduler_.after(Time(100), [this, lease, renewal] { end(lease, renewal, false); });
    if (!had_quorum) return void(renew(lease));
    std::vector<Change> changes;
    for (const auto& key : at->second.keys) {
      if (keys_.erase(key) != 0) changes.push_back({{key, "", revision_ + 1}, true});
    }
    leases_.erase(at);
    publish(std::move(changes));
  }
  void publish(std::vector<Change> changes) {
    if (changes.empty()) return;
    history_[++revision_] = changes;
    std::erase_if(watches_, [](const auto& watch) { return watch.expired(); });
    for (const auto& watch : watches_) tell(*watch.lock(), changes);
  }
  void tell(const Watch& watch, const std::vector<Change>& changes) const {
    std::vector<Change> wanted;
    for (const auto& change : changes) {
      if (change.entry.key.starts_with(watch.prefix)) wanted.push_back(change);
    }
    if (!wanted.empty() && !watch.is_broken) watch.changed(header(), std::move(wanted));
  }

  Scheduler& scheduler_;
  std::map<std::string, KeyValue> keys_;
  std::int64_t revision_ = 1;
  std::int64_t compacted_ = 0;
  std::uint64_t cluster_ = 1;
  std::map<std::int64_t, std::vector<Change>> history_;
  std::vector<std::weak_ptr<Watch>> watches_;
  std::map<std::int64_t, Lease> leases_;
  std::int64_t last_lease_ = 0;
};

// How bad a network is, in percent of the calls.
struct Weather {
  unsigned lost_requests = 0;
  unsigned lost_answers = 0;
  unsigned late_requests = 0;  // etcd gets them when their sender has given up
  unsigned repeated_requests = 0;
  unsigned broken_watches = 0;
  unsigned silent_watches = 0;  // they break and nobody is told
};

// One node's connection to etcd, from a start of the node to its crash.
class FakeClient final : public Etcd {
 public:
  FakeClient(Scheduler& scheduler, FakeEtcd& etcd, const Weather& weather)
      : scheduler_(scheduler), etcd_(etcd), weather_(weather) {}
  ~FakeClient() override { *alive_ = false; }

  bool partitioned = false;

  void transact(Transaction transaction, Done<TransactionReply> done) override {
    call<TransactionReply>([&etcd = etcd_, transaction] { return etcd.transact(transaction); },
                           std::move(done));
  }
  void read(std::string key, Extent extent, Done<Reading> done) override {
    call<Reading>(
        [&etcd = etcd_, key, extent]() -> Answer<Reading> { return etcd.read(key, extent); },
        std::move(done));
  }
  void remembers(std::string, std::int64_t revision, Done<bool> done) override {
    call<bool>([&etcd = etcd_, revision]() -> Answer<bool> { return etcd.remembers(revision); },
               std::move(done));
  }
  void grant(std::chrono::seconds life, Done<std::int64_t> done) override {
    call<std::int64_t>([&etcd = etcd_, life]() -> Answer<std::int64_t> { return etcd.grant(life); },
                       std::move(done));
  }
  void renew(std::int64_t lease, Done<bool> done) override {
    call<bool>([&etcd = etcd_, lease]() -> Answer<bool> { return etcd.renew(lease); },
               std::move(done));
  }
  void after(std::chrono::milliseconds wait, std::function<void()> then) override {
    later(scheduler_.now() + wait, std::move(then));
  }

  void watch(std::string prefix, std::int64_t from, Listener listener) override {
    watch_.reset();
    if (unreachable()) return end_watch(std::move(listener), {"etcd can't be reached", false});
    later(scheduler_.now() + scheduler_.between(1, 20),
          [this, prefix, from, listener] { begin_watch(prefix, from, listener); });
  }

 private:
  static constexpr Time patience{2000};

  bool unreachable() const { return partitioned || !etcd_.has_quorum; }
  void later(Time when, std::function<void()> what) {
    scheduler_.at(when, [alive = alive_, what = std::move(what)] {
      if (*alive) what();
    });
  }

  // `carry_out` may happen although nobody waits for it any more, or the node has crashed.
  template <typename T>
  void call(std::function<Answer<T>()> carry_out, Done<T> done) {
    const auto answered = std::make_shared<bool>(false);
    const auto answer = [answered, done = std::move(done)](Answer<T> result) {
      if (!std::exchange(*answered, true)) done(std::move(result));
    };
    const auto sent = scheduler_.now();
    if (unreachable()) {
      const bool refused = scheduler_.chance(50);
      return later(sent + (refused ? Time(1) : patience), [answer, refused] {
        answer(tl::unexpected(Failure{"not reached", !refused}));
      });
    }
    later(sent + patience, [answer] { answer(tl::unexpected(Failure{"no answer", true})); });
    if (scheduler_.chance(weather_.lost_requests)) return;
    const bool late = scheduler_.chance(weather_.late_requests);
    const auto arrival = sent + (late ? scheduler_.between(1500, 6000) : scheduler_.between(1, 15));
    const bool lost = scheduler_.chance(weather_.lost_answers);
    scheduler_.at(arrival, [this, alive = alive_, carry_out, answer, lost] {
      auto result = carry_out();
      if (lost || !*alive) return;
      later(scheduler_.now() + scheduler_.between(1, 15),
            [answer, result = std::move(result)] { answer(result); });
    });
    if (scheduler_.chance(weather_.repeated_requests))
      scheduler_.at(arrival + scheduler_.between(1, 5000), [carry_out] { carry_out(); });
  }

  void begin_watch(const std::string& prefix, std::int64_t from, const Listener& listener) {
    watch_ = std::make_shared<FakeEtcd::Watch>();
    watch_->prefix = prefix;
    const std::weak_ptr<FakeEtcd::Watch> own = watch_;
    next_delivery_ = scheduler_.now();
    watch_->changed = [this, own, listener](Header header, std::vector<Change> changes) {
      if (unreachable() || scheduler_.chance(weather_.silent_watches)) return break_watch(own);
      if (scheduler_.chance(weather_.broken_watches)) {
        break_watch(own);
        return end_watch(listener, {"the connection broke", false});
      }
      next_delivery_ = std::max(next_delivery_, scheduler_.now() + scheduler_.between(1, 60));
      later(next_delivery_, [own, listener, header, changes = std::move(changes)] {
        if (!own.expired()) listener.changed(header, changes);
      });
    };
    const bool is_first = std::exchange(has_watched_, true);
    const bool has_gap = !is_first && etcd_.fault == Fault::watch_has_a_gap;
    if (etcd_.watch(watch_, from + (has_gap ? 1 : 0))) return;
    break_watch(own);
    end_watch(listener, {"compacted", true});
  }
  // What is under way may still come; nothing else will.
  void break_watch(const std::weak_ptr<FakeEtcd::Watch>& own) {
    if (const auto watch = own.lock()) watch->is_broken = true;
  }
  void end_watch(Listener listener, WatchEnd end) {
    later(scheduler_.now() + scheduler_.between(1, 100),
          [listener = std::move(listener), end = std::move(end)] { listener.ended(end); });
  }

  Scheduler& scheduler_;
  FakeEtcd& etcd_;
  const Weather& weather_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<FakeEtcd::Watch> watch_;
  bool has_watched_ = false;
  Time next_delivery_{0};
};

}  // namespace sluice::fleet::test
