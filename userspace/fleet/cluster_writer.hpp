// ClusterWriter: stores the desired state in etcd, where the other nodes of the fleet store theirs,
// and keeps a copy of it on this node's disk. No I/O of its own: see etcd.hpp.
//
// A commit is one transaction that compares the key `generation` with its value when the commit's
// requests were carried out. If somebody else was faster, the commit clashes and the controller
// carries its requests out again on the newer state. If no answer comes, the transaction is sent
// again: it can happen only once, because its success changes what it compares; and the id of the
// request, which it leaves under a key of this node's own, tells whether it was an earlier sending
// that happened.
//
// A watch brings the changes of other nodes. It begins again where it ended; if etcd has forgotten
// what was in between, or was restored from a snapshot, everything is read anew.
//
// Health, events and provisioning status are this node's own and go into the copy only. The copy is
// what a node starts with: etcd may come later, or not at all. While etcd can't be reached, commits
// of objects fail with is_unavailable(), and everything else goes on. A state in etcd that is older
// than the copy, another fleet's, or empty while the copy is not, is never taken over: REFUSED.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "fleet/mirror.hpp"
#include "store/writer.hpp"

namespace sluice::fleet {

// Makes the error of what can't be done while etcd is not there, and recognises it.
Error unavailable(std::string message, std::string hint = {});
bool is_unavailable(const Error& error);

enum class Standing {
  connecting,  // nothing has been read yet
  following,
  cut_off,  // etcd does not answer, or has no quorum
  refused,  // what etcd has is not taken over
};

class ClusterWriter final : public store::Writer {
 public:
  struct Settings {
    Keys keys;
    std::string node;
    bool accept_older_state = false;  // once: what etcd has, even if it is older than the copy
    bool rehearses = true;            // finds out etcd's limits at the start
  };
  struct Callbacks {
    // Another node has changed the state: load() has it.
    std::function<void()> changed_elsewhere;
    // The keys of live nodes: all of them as of a revision, or changes.
    std::function<void(std::int64_t revision, const std::vector<KeyValue>&)> nodes_read;
    std::function<void(const std::vector<Change>&)> nodes_changed;
    std::function<void()> standing_changed;
    // One line for the log.
    std::function<void(Tone, const std::string&)> event;
  };

  // `contents`: what the copy has.
  ClusterWriter(Etcd& etcd, store::Writer& copy, const store::Contents& contents,
                Settings settings);
  ClusterWriter(const ClusterWriter&) = delete;
  ClusterWriter& operator=(const ClusterWriter&) = delete;

  // Begins to follow etcd.
  void start(Callbacks callbacks);

  bool is_shared() const override { return true; }
  bool takes_changes() const override {
    return standing_ == Standing::following && !refuses_changes_;
  }
  void commit(store::Commit commit, Done done) override;
  void load(LoadDone done) override;
  void events(model::EventQuery query, EventsDone done) override {
    copy_.events(std::move(query), std::move(done));
  }
  void back_up(BackUpDone done) override { copy_.back_up(std::move(done)); }
  void read_backup(std::string file, ReadDone done) override {
    copy_.read_backup(std::move(file), std::move(done));
  }

  Standing standing() const { return standing_; }
  const std::string& reason() const { return reason_; }  // why it is cut off or refused
  const Mirror& mirror() const { return mirror_; }
  // Writes this node's state over what etcd has; only if that is refused.
  void restore(std::function<void(Result<void>)> done);

  // The operations that etcd takes in one transaction, as far as is known.
  std::size_t most_operations() const { return most_operations_; }

 private:
  // A commit that etcd has not answered.
  struct Attempt {
    store::Commit commit;
    Done done;
    Transaction transaction;
    Head head;
    int sendings = 0;
    bool perhaps_it_happened = false;
  };

  std::shared_ptr<Attempt> begin(store::Commit commit, Done done);
  void send(const std::shared_ptr<Attempt>& attempt);
  void answered(const std::shared_ptr<Attempt>& attempt, Answer<TransactionReply> answer);
  void not_happened(const std::shared_ptr<Attempt>& attempt, const TransactionReply& reply);
  void not_answered(const std::shared_ptr<Attempt>& attempt, const Failure& failure);
  void happened(std::int64_t revision);
  void finish(Result<std::uint64_t> outcome);
  void commit_here(store::Commit commit, Done done);
  void commit_when_connected(store::Commit commit, Done done);
  void write_copy(store::Commit commit, std::function<void()> then);
  void give(const LoadDone& done);

  void read_all();
  void was_read(Answer<Reading> answer);
  store::Position known_position() const;
  Result<void> may_take_over(const std::optional<Head>& head) const;
  Result<void> may_follow(const std::vector<Change>& changes) const;
  void take_over(const Reading& reading);
  void refuse(const Error& error);
  void after_reading();
  void settle_attempt(const std::vector<KeyValue>& found);

  void watch();
  void changed(const Header& header, std::vector<Change> changes);
  void follow(std::int64_t revision, const std::vector<Change>& changes);
  void watch_ended(const WatchEnd& end);
  void caught_up();

  void look_again();
  void looked(const Answer<Reading>& answer);
  void try_a_change();
  void rehearse(std::size_t at);
  void look_at_history();
  bool is_another_cluster(const Header& header);
  void set_standing(Standing standing, std::string reason);
  void put_restored(const Reading& found, const std::function<void(Result<void>)>& done);
  void event(const std::string& line, Tone tone = Tone::trouble) const {
    if (callbacks_.event) callbacks_.event(tone, line);
  }

  Etcd& etcd_;
  store::Writer& copy_;
  Settings settings_;
  Callbacks callbacks_;
  Mirror mirror_;
  Standing standing_ = Standing::connecting;
  std::string reason_;
  bool refuses_changes_ = false;  // etcd has refused the last commit, though it answers
  std::uint64_t cluster_ = 0;     // etcd's id; 0: not known yet
  std::string given_;             // the head of what the controller has
  std::int64_t must_reach_ = 0;   // the revision of what a commit has clashed with
  std::int64_t watched_ = 0;      // the revision up to which changes have come
  std::uint64_t watches_ = 0;     // begun so far
  bool watching_ = false;
  std::int64_t lacked_ = 0;  // the revision that the watch lacked at the last look; 0: none
  std::uint64_t least_generation_ = 0;  // of the next commit, after an older state was accepted
  std::size_t most_operations_ = 128;
  bool rehearsed_ = false;
  std::int64_t newest_ = 0;  // etcd's revision, as it was read last
  bool looks_at_history_ = false, history_is_long_ = false;

  model::Model copied_;  // what the copy has
  model::HealthTable health_;
  store::Position position_;
  std::string copy_failure_;

  std::shared_ptr<Attempt> attempt_;
  bool reading_ = false;
  std::vector<std::function<void()>> after_reading_;
};

}  // namespace sluice::fleet
