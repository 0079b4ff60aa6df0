#include "fleet/cluster_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace sluice::fleet {
namespace {

// A call takes two seconds at most; so a leader's death, which takes one or two, is outlasted.
constexpr int most_sendings = 4;
constexpr auto pause_between_sendings = std::chrono::milliseconds(150);
constexpr auto pause_before_watching = std::chrono::milliseconds(300);
constexpr auto time_between_looks = std::chrono::seconds(3);
constexpr auto time_between_looks_when_cut_off = std::chrono::seconds(1);

// A fleet that changes all the time makes some ten thousand revisions in an hour. Ten times as many
// take about a tenth of the space that etcd has.
constexpr std::int64_t longest_history = 100'000;
constexpr auto time_between_looks_at_history = std::chrono::hours(1);

// What is tried, the most first.
constexpr std::size_t rehearsed_operations[] = {4096, 1024, 512};

std::string text_of(const std::optional<Head>& head) {
  return head ? head->text() : std::string();
}

std::string objects(const model::Model& model) {
  const auto count = model.load_balancers.size() + model.listeners.size() + model.pools.size() +
                     model.members.size() + model.health_monitors.size() +
                     model.floating_ips.size();
  return fmt::format("{} objects", count);
}

}  // namespace

Error unavailable(std::string message, std::string hint) {
  return {ErrorKind::system, std::move(message), std::move(hint), EHOSTUNREACH};
}

bool is_unavailable(const Error& error) {
  return error.kind == ErrorKind::system && error.system_errno == EHOSTUNREACH;
}

ClusterWriter::ClusterWriter(Etcd& etcd, store::Writer& copy, const store::Contents& contents,
                             Settings settings)
    : etcd_(etcd),
      copy_(copy),
      settings_(std::move(settings)),
      mirror_(settings_.keys, contents.model),
      given_("what the copy has"),
      copied_(contents.model),
      health_(contents.health),
      position_(contents.position) {}

void ClusterWriter::start(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  read_all();
  etcd_.after(time_between_looks, [this] { look_again(); });
}

// ---- commits ----

void ClusterWriter::commit(store::Commit commit, Done done) {
  if (commit.objects.empty() && commit.generation_at_least <= position_.generation)
    return commit_here(std::move(commit), std::move(done));
  if (standing_ == Standing::connecting && reading_) {
    after_reading_.push_back([this, commit = std::move(commit), done = std::move(done)]() mutable {
      commit_when_connected(std::move(commit), std::move(done));
    });
    return;
  }
  commit_when_connected(std::move(commit), std::move(done));
}

void ClusterWriter::commit_when_connected(store::Commit commit, Done done) {
  const bool is_up_to_date = given_ == text_of(mirror_.head());
  if (standing_ == Standing::following && !is_up_to_date) {
    return done(fail(ErrorKind::conflict, "another node has changed the state"));
  }
  auto attempt = begin(std::move(commit), std::move(done));
  const auto& transaction = attempt->transaction;
  if (transaction.operations() == 0 && attempt->commit.generation_at_least == 0)
    return commit_here(std::move(attempt->commit), std::move(attempt->done));
  if (standing_ != Standing::following) {
    if (attempt->commit.objects.empty()) {  // a generation, which can wait
      attempt->commit.generation_at_least = 0;
      return commit_here(std::move(attempt->commit), std::move(attempt->done));
    }
    return attempt->done(tl::unexpected(
        unavailable(standing_ == Standing::refused ? reason_ : "nothing was stored: " + reason_,
                    standing_ == Standing::refused ? "sluicectl cluster restore" : "")));
  }
  attempt->transaction.puts.push_back({settings_.keys.generation(), attempt->head.text()});
  attempt->transaction.puts.push_back(
      {settings_.keys.commit_of(settings_.node), to_string(attempt->head.request)});
  if (transaction.operations() > most_operations_) {
    return attempt->done(tl::unexpected(
        unavailable(fmt::format("nothing was stored: the change is {} operations, and etcd takes "
                                "{} in a transaction",
                                transaction.operations(), most_operations_),
                    "start etcd with --max-txn-ops=4096 --max-request-bytes=8388608")));
  }
  attempt_ = attempt;
  send(attempt);
}

std::shared_ptr<ClusterWriter::Attempt> ClusterWriter::begin(store::Commit commit, Done done) {
  const auto& before = mirror_.head();
  auto attempt = std::make_shared<Attempt>();
  attempt->head = {before ? before->store : position_.store,
                   std::max((before ? before->generation : position_.generation) + 1,
                            std::max(commit.generation_at_least, least_generation_)),
                   new_uuid(), settings_.node};
  auto operations = mirror_.operations(commit.objects, attempt->head.generation);
  attempt->transaction.key = settings_.keys.generation();
  if (before) attempt->transaction.expected = before->text();
  attempt->transaction.puts = std::move(operations.puts);
  attempt->transaction.removals = std::move(operations.removals);
  attempt->transaction.read_otherwise = {settings_.keys.generation(),
                                         settings_.keys.commit_of(settings_.node)};
  attempt->commit = std::move(commit);
  attempt->done = std::move(done);
  return attempt;
}

void ClusterWriter::send(const std::shared_ptr<Attempt>& attempt) {
  attempt->sendings++;
  etcd_.transact(attempt->transaction, [this, attempt](Answer<TransactionReply> answer) {
    if (attempt == attempt_) answered(attempt, std::move(answer));
  });
}

void ClusterWriter::answered(const std::shared_ptr<Attempt>& attempt,
                             Answer<TransactionReply> answer) {
  if (!answer) return not_answered(attempt, answer.error());
  if (!answer->happened) return not_happened(attempt, *answer);
  happened(answer->header.revision);
}

// Somebody else was faster, or an earlier sending has happened.
void ClusterWriter::not_happened(const std::shared_ptr<Attempt>& attempt,
                                 const TransactionReply& reply) {
  must_reach_ = std::max(must_reach_, reply.header.revision);
  for (const auto& entry : reply.read) {
    if (entry.key == settings_.keys.generation()) must_reach_ = entry.modified;
    if (entry.key == settings_.keys.commit_of(settings_.node) &&
        entry.value == to_string(attempt->head.request))
      return happened(entry.modified);
  }
  finish(fail(ErrorKind::conflict, "another node was faster"));
}

void ClusterWriter::not_answered(const std::shared_ptr<Attempt>& attempt, const Failure& failure) {
  attempt->perhaps_it_happened = attempt->perhaps_it_happened || failure.perhaps_it_happened;
  if (attempt->sendings < most_sendings && !failure.refused) {
    etcd_.after(pause_between_sendings, [this, attempt] {
      if (attempt == attempt_) send(attempt);
    });
    return;
  }
  if (failure.refused)
    refuses_changes_ = true;
  else
    set_standing(Standing::cut_off, failure.text);
  finish(tl::unexpected(
      unavailable((attempt->perhaps_it_happened ? "it is not known whether this was stored: "
                                                : "nothing was stored: ") +
                      failure.text,
                  attempt->perhaps_it_happened ? "look before you try again" : "")));
}

// The attempt's transaction has happened, at this revision.
void ClusterWriter::happened(std::int64_t revision) {
  const auto attempt = std::exchange(attempt_, nullptr);
  refuses_changes_ = false;
  if (revision > mirror_.revision()) {
    mirror_.take_own(attempt->commit.objects, attempt->head, revision);
  } else {
    mirror_.take_status(attempt->commit.objects);  // the rest has come otherwise already
  }
  given_ = attempt->head.text();
  const auto generation = attempt->head.generation;
  write_copy(std::move(attempt->commit),
             [done = std::move(attempt->done), generation] { done(generation); });
  caught_up();
}

void ClusterWriter::finish(Result<std::uint64_t> outcome) {
  const auto attempt = std::exchange(attempt_, nullptr);
  attempt->done(std::move(outcome));
}

// Stores what concerns this node only.
void ClusterWriter::commit_here(store::Commit commit, Done done) {
  mirror_.take_status(commit.objects);
  write_copy(std::move(commit), [this, done = std::move(done)] { done(position_.generation); });
}

// Makes the copy equal to the mirror, and adds the commit's health and events. A copy that can't be
// written keeps nobody from anything: the state is in etcd, and the next time writes it all.
void ClusterWriter::write_copy(store::Commit commit, std::function<void()> then) {
  const auto model = mirror_.model();
  commit.objects = model::changes_between(copied_, model);
  commit.generation_at_least = 0;
  if (const auto& head = mirror_.head()) position_ = {head->store, head->generation};
  commit.copy_of = position_;
  for (const auto& [member, health] : commit.health) {
    if (health) {
      health_.insert_or_assign(member, *health);
    } else {
      health_.erase(member);
    }
  }
  for (const auto& id : commit.objects.members.removed) health_.erase(id);
  std::erase_if(commit.health, [&](const auto& one) { return !model.members.contains(one.first); });
  copy_.commit(std::move(commit),
               [this, model, then = std::move(then)](const Result<std::uint64_t>& outcome) {
                 if (outcome) copied_ = model;
                 const auto failure = outcome ? std::string() : outcome.error().text();
                 if (failure != copy_failure_)
                   event(outcome ? "the copy of the fleet's state is written again"
                                 : "write the copy of the fleet's state: " + failure,
                         outcome ? Tone::news : Tone::trouble);
                 copy_failure_ = failure;
                 then();
               });
}

void ClusterWriter::load(LoadDone done) {
  if (standing_ == Standing::following && mirror_.revision() >= must_reach_) return give(done);
  after_reading_.push_back([this, done = std::move(done)] {
    if (standing_ == Standing::following) return load(done);  // perhaps the reading began too early
    done(tl::unexpected(unavailable("nothing was stored: " + reason_)));
  });
  read_all();
}

void ClusterWriter::give(const LoadDone& done) {
  given_ = text_of(mirror_.head());
  store::Contents contents{mirror_.model(), health_, position_};
  if (const auto& head = mirror_.head()) contents.position = {head->store, head->generation};
  write_copy({}, [done, contents = std::move(contents)] { done(contents); });
}

// ---- reading everything ----

void ClusterWriter::read_all() {
  if (std::exchange(reading_, true)) return;
  etcd_.read(settings_.keys.all(), Etcd::Extent::prefix, [this](Answer<Reading> answer) {
    reading_ = false;
    was_read(std::move(answer));
    after_reading();
  });
}

void ClusterWriter::was_read(Answer<Reading> answer) {
  if (!answer) return set_standing(Standing::cut_off, answer.error().text);
  const bool another = is_another_cluster(answer->header);
  if (another) must_reach_ = 0;
  if (another || standing_ == Standing::cut_off) {
    watching_ = false;  // the old one may be silent for ever
    watches_++;
  }
  if (!another && standing_ != Standing::refused && answer->header.revision < mirror_.revision()) {
    set_standing(Standing::following, "");  // the watch was faster
    if (!watching_) watch();
    return;
  }
  cluster_ = answer->header.cluster;
  newest_ = answer->header.revision;
  if (callbacks_.nodes_read) callbacks_.nodes_read(answer->header.revision, answer->found);
  const auto head = head_in(answer->found, settings_.keys);
  if (!head) return refuse(head.error());
  if (auto may = may_take_over(*head); !may) return refuse(may.error());
  if (auto done = mirror_.reset(answer->header.revision, answer->found); !done)
    return refuse(done.error());
  if (settings_.accept_older_state) least_generation_ = known_position().generation + 1;
  settings_.accept_older_state = false;
  set_standing(Standing::following, "");
  if (!watching_) {
    watched_ = answer->header.revision;
    watch();
  }
  watched_ = std::max(watched_, answer->header.revision);
  if (settings_.rehearses) rehearse(0);
  if (!std::exchange(looks_at_history_, true)) look_at_history();
  settle_attempt(answer->found);
  caught_up();
}

// The attempt may be a part of what was read.
void ClusterWriter::settle_attempt(const std::vector<KeyValue>& found) {
  if (!attempt_) return;
  const auto key = settings_.keys.commit_of(settings_.node);
  for (const auto& entry : found) {
    if (entry.key == key && entry.value == to_string(attempt_->head.request))
      return happened(entry.modified);
  }
}

void ClusterWriter::after_reading() {
  for (const auto& one : std::exchange(after_reading_, {})) one();
}

// The position of the state that this node has.
store::Position ClusterWriter::known_position() const {
  const auto& head = mirror_.head();
  return head ? store::Position{head->store, head->generation} : position_;
}

// Says whether what etcd has may take the place of what this node has.
Result<void> ClusterWriter::may_take_over(const std::optional<Head>& head) const {
  const auto& mine = mirror_.model();
  const bool nothing_here = mine == model::Model{};
  const auto known = known_position();
  if (settings_.accept_older_state && head) return {};
  if (!head) {
    if (nothing_here) return {};
    return fail(ErrorKind::conflict,
                fmt::format("etcd is empty below {}, and this node has {}", settings_.keys.all(),
                            objects(mine)),
                "sluicectl cluster restore writes this node's state into etcd");
  }
  if (head->store != known.store) {
    if (nothing_here) return {};
    return fail(ErrorKind::conflict,
                fmt::format("etcd has another state below {}, and this node has {}",
                            settings_.keys.all(), objects(mine)),
                "sluiced --accept-older-state takes etcd's over once, sluicectl cluster restore "
                "writes this node's into etcd");
  }
  if (head->generation < known.generation) {
    return fail(ErrorKind::conflict,
                fmt::format("etcd's state is older than this node's (change {} of {}): was it "
                            "restored from a snapshot?",
                            head->generation, known.generation),
                "sluicectl cluster restore writes this node's state into etcd, sluiced "
                "--accept-older-state takes etcd's over once");
  }
  return {};
}

void ClusterWriter::refuse(const Error& error) {
  set_standing(Standing::refused, error.text());
}

// ---- the watch ----

void ClusterWriter::watch() {
  watching_ = true;
  const auto number = ++watches_;
  etcd_.watch(settings_.keys.all(), watched_ + 1,
              {.changed =
                   [this, number](const Header& header, std::vector<Change> changes) {
                     if (number == watches_) changed(header, std::move(changes));
                   },
               .ended =
                   [this, number](const WatchEnd& end) {
                     if (number == watches_) watch_ended(end);
                   }});
}

void ClusterWriter::changed(const Header& header, std::vector<Change> changes) {
  if (is_another_cluster(header)) return read_all();
  std::vector<Change> of_nodes;
  for (auto at = changes.begin(); at != changes.end();) {
    const auto revision = at->entry.modified;
    const auto end = std::find_if(
        at, changes.end(), [&](const Change& change) { return change.entry.modified != revision; });
    std::vector<Change> of_state;
    for (; at != end; ++at) {
      (settings_.keys.is_of_nodes(at->entry.key) ? of_nodes : of_state).push_back(std::move(*at));
    }
    watched_ = std::max(watched_, revision);
    if (!of_state.empty() && standing_ != Standing::refused) follow(revision, of_state);
  }
  if (!of_nodes.empty() && callbacks_.nodes_changed) callbacks_.nodes_changed(of_nodes);
  caught_up();
}

void ClusterWriter::follow(std::int64_t revision, const std::vector<Change>& changes) {
  if (revision <= mirror_.revision()) return;
  if (attempt_) {
    const auto own = std::find_if(changes.begin(), changes.end(), [&](const Change& change) {
      return change.entry.key == settings_.keys.generation() &&
             change.entry.value == attempt_->head.text();
    });
    if (own != changes.end()) return happened(revision);
  }
  if (auto may = may_follow(changes); !may) return refuse(may.error());
  if (auto done = mirror_.follow(revision, changes); !done) refuse(done.error());
}

// A commit raises the generation. Who removes all keys, or puts an old state back, doesn't.
Result<void> ClusterWriter::may_follow(const std::vector<Change>& changes) const {
  for (const auto& [entry, removed] : changes) {
    if (entry.key != settings_.keys.generation()) continue;
    const auto head = removed ? std::nullopt : Head::parse(entry.value);
    if (auto may = may_take_over(head); !may) return may;
  }
  return {};
}

// The mirror may be ahead of what the controller has, or of what an attempt compares.
void ClusterWriter::caught_up() {
  if (standing_ != Standing::following) return;
  const auto head = text_of(mirror_.head());
  if (attempt_ && attempt_->transaction.expected.value_or("") != head)
    finish(fail(ErrorKind::conflict, "another node was faster"));
  if (given_ != head && callbacks_.changed_elsewhere) callbacks_.changed_elsewhere();
}

void ClusterWriter::watch_ended(const WatchEnd& end) {
  watching_ = false;
  if (end.compacted) return read_all();
  etcd_.after(pause_before_watching, [this] {
    if (!watching_) watch();
  });
}

// ---- is etcd still there? ----

// Reads one key, which needs a quorum, and shows whether the watch has kept up.
void ClusterWriter::look_again() {
  etcd_.read(settings_.keys.generation(), Etcd::Extent::key, [this](const Answer<Reading>& answer) {
    looked(answer);
    etcd_.after(standing_ == Standing::following
                    ? std::chrono::milliseconds(time_between_looks)
                    : std::chrono::milliseconds(time_between_looks_when_cut_off),
                [this] { look_again(); });
  });
}

void ClusterWriter::looked(const Answer<Reading>& answer) {
  if (!answer) return set_standing(Standing::cut_off, answer.error().text);
  if (standing_ != Standing::following || is_another_cluster(answer->header)) return read_all();
  newest_ = answer->header.revision;
  const auto newest = answer->found.empty() ? 0 : answer->found.front().modified;
  // A change that was under way at the last look has come by now, or never will.
  const bool lost = mirror_.revision() < std::exchange(lacked_, newest);
  const bool wiped = answer->found.empty() && mirror_.head();
  if (lost || wiped) {
    event("etcd's watch is silent: everything is read again");
    watching_ = false;
    read_all();
  }
  if (refuses_changes_) try_a_change();
}

// Finds out, without an effect, whether etcd takes changes again: its compare fails, but an etcd
// that is full refuses the put before that.
void ClusterWriter::try_a_change() {
  Transaction trial{.key = settings_.keys.rehearsal(0),
                    .expected = "never",
                    .puts = {{settings_.keys.rehearsal(0), "never"}},
                    .removals = {},
                    .read_otherwise = {}};
  etcd_.transact(std::move(trial), [this](const Answer<TransactionReply>& answer) {
    if (!answer || !std::exchange(refuses_changes_, false)) return;
    if (callbacks_.standing_changed) callbacks_.standing_changed();
  });
}

// Finds out, without an effect, how many operations etcd takes in a transaction: its compare fails,
// but too many are refused before that.
void ClusterWriter::rehearse(std::size_t at) {
  if (at == 0 && std::exchange(rehearsed_, true)) return;
  if (at == std::size(rehearsed_operations)) {
    event(
        "etcd takes 128 operations in a transaction, which is a load balancer with about 120 "
        "objects at most; start it with --max-txn-ops=4096 --max-request-bytes=8388608");
    return;
  }
  Transaction trial{.key = settings_.keys.rehearsal(0),
                    .expected = "never",
                    .puts = {},
                    .removals = {},
                    .read_otherwise = {}};
  for (std::size_t number = 0; number < rehearsed_operations[at]; number++)
    trial.removals.push_back(settings_.keys.rehearsal(number));
  etcd_.transact(std::move(trial), [this, at](const Answer<TransactionReply>& answer) {
    if (answer) {
      most_operations_ = rehearsed_operations[at];
    } else if (answer.error().refused) {
      rehearse(at + 1);
    } else {
      rehearsed_ = false;  // at the next reading
    }
  });
}

// Nobody can ask etcd whether it compacts its history by itself, but what it still remembers can be
// asked: now, and every hour, because a new etcd has no history yet.
void ClusterWriter::look_at_history() {
  etcd_.after(time_between_looks_at_history, [this] { look_at_history(); });
  const auto old = newest_ - longest_history;
  if (old <= 0) return;
  etcd_.remembers(settings_.keys.generation(), old, [this](const Answer<bool>& remembers) {
    if (!remembers || std::exchange(history_is_long_, *remembers) == *remembers) return;
    if (!*remembers) return event("etcd's history is compacted again", Tone::news);
    event(
        fmt::format("etcd keeps more than {} old revisions, and takes no changes any more when "
                    "they fill it; start it with --auto-compaction-retention=1",
                    longest_history));
  });
}

bool ClusterWriter::is_another_cluster(const Header& header) {
  if (cluster_ == 0 || header.cluster == 0 || header.cluster == cluster_) return false;
  event("etcd is another cluster than before (was it restored from a snapshot?)");
  return true;
}

void ClusterWriter::set_standing(Standing standing, std::string reason) {
  if (standing == Standing::cut_off && standing_ == Standing::refused) return;
  const bool news = standing != standing_;
  standing_ = standing;
  reason_ = std::move(reason);
  if (!news) return;
  if (standing == Standing::following) event("follows the fleet's state in etcd", Tone::news);
  if (standing == Standing::cut_off)
    event("etcd can't be reached, so nothing can be changed: " + reason_);
  if (standing == Standing::refused) event("etcd's state is not taken over: " + reason_);
  if (callbacks_.standing_changed) callbacks_.standing_changed();
}

// ---- restoring ----

void ClusterWriter::restore(std::function<void(Result<void>)> done) {
  if (standing_ != Standing::refused) {
    return done(fail(ErrorKind::conflict, standing_ == Standing::following
                                              ? "This node follows the state in etcd already."
                                              : "etcd can't be reached: " + reason_));
  }
  etcd_.read(settings_.keys.all(), Etcd::Extent::prefix,
             [this, done = std::move(done)](const Answer<Reading>& answer) {
               if (!answer) return done(tl::unexpected(unavailable(answer.error().text)));
               put_restored(*answer, done);
             });
}

void ClusterWriter::put_restored(const Reading& found,
                                 const std::function<void(Result<void>)>& done) {
  const auto& keys = settings_.keys;
  const auto head = head_in(found.found, keys);
  Transaction transaction{
      .key = keys.generation(), .expected = {}, .puts = {}, .removals = {}, .read_otherwise = {}};
  for (const auto& entry : found.found) {
    if (entry.key == keys.generation()) transaction.expected = entry.value;
    if (entry.key.starts_with(keys.objects()) || entry.key == keys.quotas() ||
        entry.key == keys.drained_nodes())
      transaction.removals.push_back(entry.key);
  }
  const auto in_etcd = head && *head ? (*head)->generation : 0;
  const Head next{position_.store, std::max(in_etcd, position_.generation) + 1, new_uuid(),
                  settings_.node};
  auto operations =
      Mirror(keys, {}).operations(model::changes_between({}, mirror_.model()), next.generation);
  transaction.puts = std::move(operations.puts);
  transaction.puts.push_back({keys.generation(), next.text()});
  for (const auto& put : transaction.puts) std::erase(transaction.removals, put.key);
  etcd_.transact(std::move(transaction), [this, done](const Answer<TransactionReply>& answer) {
    if (!answer) return done(tl::unexpected(unavailable(answer.error().text)));
    if (!answer->happened)
      return done(
          fail(ErrorKind::conflict, "another node was faster", "look at what is there now"));
    after_reading_.push_back([this, done] {
      if (standing_ == Standing::following) return done({});
      done(tl::unexpected(unavailable(reason_)));
    });
    read_all();
  });
}

}  // namespace sluice::fleet
