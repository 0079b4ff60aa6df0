#include "control/controller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "control/apply.hpp"
#include "control/settlement.hpp"
#include "control/store_age.hpp"
#include "model/changes.hpp"
#include "model/edit.hpp"
#include "model/status.hpp"

namespace sluice::control {
namespace {

constexpr auto store_has_recovered = "the store takes changes again";

// The operations that are still to do after an attempt, each with the data plane's reason.
std::vector<Refusal> still_missing(const DataPlaneState& desired, const DataPlaneState& actual,
                                   std::vector<Refusal> refusals) {
  std::vector<Refusal> result;
  for (auto& operation : diff(desired, actual)) {
    const auto refusal =
        std::find_if(refusals.begin(), refusals.end(),
                     [&](const Refusal& candidate) { return candidate.operation == operation; });
    auto why = refusal != refusals.end()
                   ? std::move(refusal->error)
                   : Error{ErrorKind::internal, "the data plane does not hold it", "", 0};
    result.push_back({std::move(operation), std::move(why)});
  }
  return result;
}

// After more operations than these, the whole state is read back.
constexpr std::size_t most_read_one_by_one = 1000;

// Work on the way of a change to the data plane that isn't divided further.
constexpr std::size_t checked_at_once = 64, changes_found_at_once = 64, pools_in_a_slice = 64,
                      read_back_at_once = 16;

// Returns the members whose probing may have ended with the change from one model to the other.
std::set<Uuid> perhaps_unprobed(const model::Model& before, const model::Model& after) {
  std::set<Uuid> members;
  const auto add_all_of = [&](const Uuid& pool) {
    for (const auto* member : after.members.with(model::Facet::parent, pool)) {
      members.insert(member->id);
    }
  };
  const auto enabled = [](const auto* object) { return object && object->admin_state_up; };
  using Members = model::Table<model::Member>;
  Members::for_each_difference(before.members, after.members,
                               [&](const Uuid& id, const auto*, const auto*) {
                                 members.insert(id);
                                 return true;
                               });
  using Pools = model::Table<model::Pool>;
  Pools::for_each_difference(before.pools, after.pools,
                             [&](const Uuid& id, const auto* old, const auto* now) {
                               if (enabled(old) != enabled(now)) add_all_of(id);
                               return true;
                             });
  using Monitors = model::Table<model::HealthMonitor>;
  Monitors::for_each_difference(before.health_monitors, after.health_monitors,
                                [&](const Uuid&, const auto* old, const auto* now) {
                                  if (enabled(old) != enabled(now)) {
                                    add_all_of((old ? old : now)->pool_id);
                                  }
                                  return true;
                                });
  return members;
}

// Removes the health of members that are no longer probed: results of a monitor that was removed
// are obsolete.
model::HealthTable without_unprobed(model::HealthTable health, const model::Model& before,
                                    const model::Model& after) {
  if (health.empty()) return health;
  const model::Relations relations(after);
  for (const auto& id : perhaps_unprobed(before, after)) {
    if (!health.contains(id)) continue;
    const auto* member = after.members.lookup(id);
    if (!member || !model::probed(relations, *member)) health.erase(id);
  }
  return health;
}

model::Timestamp now() {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

// Writes the time of a change into what it has changed, for other nodes to take it over as it is.
void stamp(model::Model& model, const model::Changes& changes, model::Timestamp now) {
  model::for_each_kind(model, changes, [&](auto& objects, const auto& changed) {
    for (const auto& [id, object] : changed.put) objects.change(id)->updated_at = now;
  });
}

std::string about_reload(const Reloaded& done) {
  return fmt::format("data plane reloaded: program {} replaced by {} ({})", done.old_program,
                     done.new_program,
                     done.interfaces.empty() ? "no interface is attached"
                                             : fmt::format("{}", fmt::join(done.interfaces, ", ")));
}

struct Repair {
  const DataPlaneState& found;

  std::string operator()(const PutVip& o) const { return put(found.vips.contains(o.address)); }
  std::string operator()(const PutListener& o) const {
    return put(found.listeners.contains(o.key));
  }
  std::string operator()(const PutPool& o) const { return put(found.pools.contains(o.key)); }
  std::string operator()(const PutMember& o) const { return put(found.members.contains(o.id)); }
  template <typename Removal>
  std::string operator()(const Removal&) const {
    return "belonged to nobody: removed";
  }

  static std::string put(bool existed) {
    return existed ? "differed: put right" : "was missing: put back";
  }
};

}  // namespace

Controller::Controller(store::Contents contents, store::Writer& writer, DataPlane& data_plane)
    : writer_(&writer),
      data_plane_(&data_plane),
      model_(contents.model),
      health_(contents.health),
      stored_(std::move(contents)) {}

model::FullListeners Controller::full_listeners() {
  model::FullListeners full;
  model().listeners.walk(model::Facet::limited, {}, [&](const model::Listener& listener) {
    const auto counters = data_plane_->listener_counters(listener.id);
    if (counters &&
        counters->active_flows() >= static_cast<std::uint64_t>(listener.connection_limit))
      full.insert(listener.id);
    return true;
  });
  return full;
}

Result<std::unique_ptr<Controller>> Controller::start(store::Contents contents,
                                                      store::Writer& writer, DataPlane& data_plane,
                                                      Age age, bool standby, NodeSnat node_snat) {
  std::unique_ptr<Controller> controller(new Controller(std::move(contents), writer, data_plane));
  controller->standby_ = standby;
  controller->node_snat_ = std::move(node_snat);
  // A data plane that can't be read is reported below.
  const auto carried = data_plane.store_position().value_or(store::Position{});
  if (auto present = data_plane.read()) {
    auto fits = check_store_age(controller->stored_, carried, *present);
    if (!fits && age == Age::check) return tl::unexpected(std::move(fits.error()));
    controller->actual_ = std::move(*present);
  }
  // An accepted state is the newest from now on, so that a copy of the other one is refused later.
  if (carried.store == controller->stored_.position.store &&
      carried.generation > controller->stored_.position.generation) {
    controller->generation_at_least_ = carried.generation + 1;
    controller->unsaved_ = true;
  }
  controller->prune_health({});
  controller->follow_up(Verify::read_back);
  if (controller->generation_at_least_ == 0) controller->note_position();
  controller->proceed();
  return controller;
}

void Controller::submit(Request request, Done done) {
  submit_long(
      [request = std::move(request)] { return request().map([] { return Progress::done; }); },
      std::move(done));
}

void Controller::submit_long(LongRequest request, Done done) {
  waiting_.push_back({std::move(request), std::move(done)});
  proceed();
}

Result<void> Controller::change(const Edit& edit) {
  if (!staged_) return fail(ErrorKind::internal, "a change outside of a request");
  // A transaction keeps what was before it, and ends with the first error.
  if (in_transaction_) return edit(*staged_);
  return or_as_before([&] { return edit(*staged_); });
}

// Restores `staged_` and `reloads_` if `edit` fails.
Result<void> Controller::or_as_before(const std::function<Result<void>()>& edit) {
  auto before = *staged_;
  const auto reloads_before = reloads_.size();
  auto done = edit();
  if (done) return done;
  staged_ = std::move(before);
  reloads_.resize(reloads_before);
  return done;
}

// Checks what the edits don't: whether an object is busy, and what this version can do. Changes of
// earlier requests of the group were checked then, and make no object busy.
Result<model::SupportCheck> Controller::begin_to_permit(const model::Model& next) const {
  if (auto free = model::refuse_busy(model_, next); !free)
    return tl::unexpected(std::move(free.error()));
  auto supported = data_plane_->supported();
  if (checks_) supported.checks = checks_->names;
  return model::SupportCheck(std::move(supported), before_request(), next);
}

Result<void> Controller::permit(const model::Model& next) const {
  auto check = begin_to_permit(next);
  if (!check) return tl::unexpected(std::move(check.error()));
  while (true) {
    const auto done = check->step(checked_at_once);
    if (!done) return tl::unexpected(done.error());
    if (*done) return {};
  }
}

Result<void> Controller::transaction(const Request& changes, Ending ending) {
  if (!staged_) return fail(ErrorKind::internal, "a transaction outside of a request");
  bool permitted = false;
  auto done = or_as_before([&]() -> Result<void> {
    in_transaction_ = true;
    auto carried_out = changes();
    in_transaction_ = false;
    if (!carried_out || ending == Ending::commit) return carried_out;
    if (auto may = permit(*staged_); !may) return may;
    permitted = true;
    return fail(ErrorKind::internal, "a rehearsal leaves no trace");
  });
  return permitted ? Result<void>() : done;
}

Result<Controller::Progress> Controller::rehearse() {
  if (!staged_ || !planning_) return fail(ErrorKind::internal, "a rehearsal outside of a request");
  auto& rehearsal = planning_->rehearsal;
  Result<bool> done = false;
  if (rehearsal) {
    done = rehearsal->step(checked_at_once);
  } else if (auto begun = begin_to_permit(*staged_)) {
    rehearsal.emplace(std::move(*begun));
  } else {
    done = tl::unexpected(std::move(begun.error()));
  }
  if (done == false) return Progress::more;
  rehearsal.reset();
  staged_ = planning_->before;
  reloads_.resize(planning_->reloads_before);
  return done.map([](bool) { return Progress::done; });
}

// Says whether the next commit must wait: for the requests that it is made of, or for the one
// before it until the data plane has it.
bool Controller::is_busy() const {
  return committing_ || staged_ || planning_ || applying_;
}

// Gives the store its next commit, if it is ready and there is anything to store. A caller that is
// refused may submit again at once, but that request waits until this group has gone to the store.
void Controller::proceed() {
  if (std::exchange(proceeding_, true)) return;
  while (!is_busy() && (outdated_ || unsaved_ || !waiting_.empty())) {
    if (outdated_) {
      fetch_changes();
      continue;
    }
    unsaved_ = false;
    begin_group();
    slices_.run([this] { return carry_on(); }, [this] { commit_group(); });
  }
  proceeding_ = false;
}

void Controller::begin_group() {
  planning_.emplace(Planning{});  // clang takes emplace() for impossible within the class
  planning_->group.before = planning_->group.next = model_;
  planning_->waiting = std::exchange(waiting_, {});
}

// Runs the waiting requests, each on the result of those before it, and a part of one with each
// call. Returns whether none is left. A request that is refused is answered before the commit and
// leaves no trace.
bool Controller::carry_on() {
  auto& planning = *planning_;
  if (planning.waiting.empty()) return true;
  if (planning.judgement) {
    const auto done = planning.judgement->step(checked_at_once);
    if (done != false) end_request(done.map([](bool) {}));
    return planning.waiting.empty();
  }
  if (!std::exchange(planning.has_begun, true)) {
    planning.before = planning.group.next;
    planning.events_before = recorded_.size();
    planning.reloads_before = reloads_.size();
  }
  staged_ = std::move(planning.group.next);
  before_request_ = planning.before;
  auto outcome = planning.waiting.front().request();
  if (outcome != Progress::more) judge(std::move(outcome));
  planning.group.next = std::move(*staged_);
  staged_.reset();
  before_request_.reset();
  return planning.waiting.empty();
}

// Begins to judge what the request has changed.
void Controller::judge(Result<Progress> outcome) {
  if (!outcome) return end_request(tl::unexpected(std::move(outcome.error())));
  auto begun = begin_to_permit(*staged_);
  if (!begun) return end_request(tl::unexpected(std::move(begun.error())));
  planning_->judgement.emplace(std::move(*begun));
}

void Controller::end_request(Result<void> judged) {
  auto& planning = *planning_;
  auto waiting = std::move(planning.waiting.front());
  planning.waiting.pop_front();
  planning.has_begun = false;
  planning.rehearsal.reset();
  planning.judgement.reset();
  if (judged) return planning.group.accepted.push_back(std::move(waiting));
  (staged_ ? *staged_ : planning.group.next) = planning.before;
  recorded_.resize(planning.events_before);
  reloads_.resize(planning.reloads_before);
  planning.refusals.push_back(
      [done = std::move(waiting.done), judged = std::move(judged)] { done(judged); });
}

// Hands what the requests have changed, and what else the store lacks, over to the store.
void Controller::commit_group() {
  auto& group = planning_->group;
  if (writer_->is_shared())
    stamp(group.next, model::changes_between(group.before, group.next), now());
  group.has_changed = group.before != group.next;
  group.events = std::exchange(recorded_, {});
  group.reloads = std::exchange(reloads_, {});
  // A caller that submits again at once has to wait for this commit.
  for (const auto& refuse : planning_->refusals) refuse();
  const auto changes = std::make_shared<model::ChangeFinder>(stored_.model, group.next);
  const auto store = [this, changes] {
    auto planned = std::move(planning_->group);
    planning_.reset();
    auto missing = missing_in_store(planned);
    missing.commit.objects = changes->take();
    add_events(missing, planned);
    if (missing.commit.empty()) {
      stored_.model = missing.model;  // equal, and now they share everything
      for (const auto& one : planned.accepted) one.done({});
      return proceed();
    }
    committing_ = true;
    committing_since_ = std::chrono::steady_clock::now();
    commits_++;
    auto commit = std::move(missing.commit);
    writer_->commit(std::move(commit),
                    [this, group = std::move(planned),
                     missing = std::move(missing)](Result<std::uint64_t> outcome) mutable {
                      committed(std::move(group), missing, std::move(outcome));
                    });
  };
  slices_.run([changes] { return changes->step(changes_found_at_once); }, store);
}

// Collects what the store lacks, but for the changes of the model: those of health since its last
// commit.
Controller::Missing Controller::missing_in_store(const Group& group) const {
  Missing missing{.commit = {},
                  .model = group.next,
                  .health = without_unprobed(health_, model_, group.next),
                  .notes = {}};
  missing.commit.generation_at_least = generation_at_least_;
  model::HealthTable::for_each_difference(
      stored_.health, missing.health,
      [&](const Uuid& id, const model::Health*, const model::Health* now) {
        // A removed member's health is removed, too.
        if (now) {
          missing.commit.health.emplace(id, *now);
        } else if (group.next.members.contains(id)) {
          missing.commit.health.emplace(id, std::nullopt);
        }
        return true;
      });
  return missing;
}

// Adds the notes to a commit that is made anyway, or that store_notes() has asked for.
void Controller::add_events(Missing& missing, Group& group) {
  auto& commit = missing.commit;
  commit.events = std::move(group.events);
  if (commit.empty() && !notes_due_) return;
  notes_due_ = false;
  missing.notes = {notes_.begin(), notes_.end()};
  for (auto& note : std::exchange(notes_, {})) commit.events.push_back(std::move(note));
}

// Keeps the notes of a failed commit for the next one.
void Controller::take_notes_back(const Missing& missing) {
  notes_.insert(notes_.begin(), missing.notes.begin(), missing.notes.end());
  forget_surplus_notes();
}

void Controller::record(std::vector<model::EventRecord> events) {
  if (!staged_) return;
  recorded_.insert(recorded_.end(), std::make_move_iterator(events.begin()),
                   std::make_move_iterator(events.end()));
}

void Controller::reload_for(const Uuid& load_balancer) {
  if (staged_) reloads_.push_back(load_balancer);
}

void Controller::note(model::EventRecord event) {
  notes_.push_back(std::move(event));
  forget_surplus_notes();
}

void Controller::store_notes() {
  if (notes_.empty()) return;
  notes_due_ = unsaved_ = true;
  proceed();
}

void Controller::forget_surplus_notes() {
  for (; notes_.size() > most_unstored_events; notes_.pop_front()) forgotten_notes_++;
}

void Controller::committed(Group group, const Missing& stored, Result<std::uint64_t> outcome) {
  if (!outcome && outcome.error().kind == ErrorKind::conflict)
    return clashed(std::move(group), stored, outcome.error());
  committing_ = false;
  clashes_ = 0;
  if (!outcome) {
    take_notes_back(stored);
    note_store_failure(outcome.error());
    for (const auto& one : group.accepted) one.done(tl::unexpected(outcome.error()));
    return proceed();
  }
  note_stored(stored, *outcome);
  if (!group.has_changed) return end_of_commit(std::move(group));
  apply_group(std::move(group));
}

// Takes the stored changes over and has the data plane hold them. Until that is done the next
// commit waits.
void Controller::apply_group(Group group) {
  const auto before = model_;
  // Meanwhile a status may have changed. Otherwise the two go on sharing what they can.
  if (group.before == model_) {
    model_ = group.next;
  } else {
    model::apply(model_, model::changes_between(group.before, group.next));
  }
  prune_health(before);
  awaiting_reload_.insert(group.reloads.begin(), group.reloads.end());
  if (!group.reloads.empty()) {  // what an earlier attempt has left is read
    disturbances_++;
    actual_.reset();
  }
  auto end = [this, whole = std::make_shared<Group>(std::move(group))] {
    notify();
    end_of_commit(std::move(*whole));
  };
  if (hook_() == Hook::hold) return end();
  begin_to_apply();
  const auto read_back = [this, end] {
    slices_.run([this] { return read_some_back(); }, [this, end] { end_applying(end); });
  };
  const auto carry_out = [this, read_back] {
    plan_is_made();
    slices_.run([this] { return go_on_applying(); }, read_back);
  };
  slices_.run([this] { return plan_some(); }, carry_out);
}

void Controller::end_of_commit(Group group) {
  note_position();
  answer(std::move(group));
  start_reload();
  proceed();
}

void Controller::answer(Group group) const {
  if (!group.has_changed) {
    for (const auto& one : group.accepted) one.done({});
    return;
  }
  before_answer_(stored_.position.generation, [accepted = std::move(group.accepted)] {
    for (const auto& one : accepted) one.done({});
  });
}

void Controller::changed_elsewhere() {
  outdated_ = true;
  proceed();
}

// Takes over what somebody else has stored. If it can't be read, whoever told of it will tell
// again.
void Controller::fetch_changes() {
  outdated_ = false;
  committing_ = true;  // until it is there, nothing goes to the store
  committing_since_ = std::chrono::steady_clock::now();
  writer_->load([this](Result<store::Contents> contents) {
    committing_ = false;
    if (contents) {
      take_over(std::move(*contents));
    } else {
      event("read what another node has stored: " + contents.error().text());
    }
    proceed();
  });
}

// Reads what somebody else has stored. Until it is there, nothing else goes to the store.
void Controller::clashed(Group group, const Missing& stored, const Error& error) {
  take_notes_back(stored);
  clashes_++;
  writer_->load([this, error, group = std::move(group)](Result<store::Contents> contents) mutable {
    committing_ = false;
    if (!contents) {
      note_store_failure(contents.error());
      for (const auto& one : group.accepted) one.done(tl::unexpected(contents.error()));
      return proceed();
    }
    outdated_ = false;
    take_over(std::move(*contents));
    // Health and statuses alone aren't worth an endless race: the next drift check tries again.
    if (clashes_ >= most_clashes) {
      unsaved_ = false;
      note_store_failure(error);
    }
    carry_out_again(std::move(group));
    proceed();
  });
}

// Puts the requests before those that have come later, each unless it has clashed too often.
void Controller::carry_out_again(Group group) {
  std::vector<Waiting> given_up;
  for (auto one = group.accepted.rbegin(); one != group.accepted.rend(); ++one) {
    one->clashes++;
    if (one->clashes < most_clashes) {
      waiting_.push_front(std::move(*one));
    } else {
      given_up.insert(given_up.begin(), std::move(*one));
    }
  }
  for (const auto& one : given_up) {
    one.done(
        fail(ErrorKind::conflict,
             fmt::format("Somebody else changed the state at the same time, {} times in a row.",
                         most_clashes),
             "try again"));
  }
}

// Makes a state that somebody else has stored ours. What probes have found here stays.
void Controller::take_over(store::Contents contents) {
  const auto before = model_;
  model_ = contents.model;
  stored_ = std::move(contents);
  prune_health(before);
  unsaved_ = true;
  if (hook_() != Hook::hold) follow_up(Verify::read_back);
  notify();
  note_position();
}

// Notes the store's position in the data plane, after the commit was applied. A kill in between
// leaves a store that is ahead, which does no harm.
void Controller::note_position() {
  if (auto noted = data_plane_->note_store_position(stored_.position); !noted)
    event("note the store's position: " + noted.error().text());
}

void Controller::note_stored(const Missing& stored, std::uint64_t generation) {
  stored_.model = stored.model;
  stored_.health = stored.health;
  stored_.position.generation = generation;
  generation_at_least_ = 0;
  if (writer_->takes_changes() && !std::exchange(store_failure_, {}).empty())
    event(store_has_recovered);
}

// What it has missed is stored now.
void Controller::store_takes_changes() {
  if (std::exchange(store_failure_, {}).empty()) return;
  event(store_has_recovered);
  unsaved_ = true;
  proceed();
}

// The commit's health and statuses go into the next one, which isn't begun for them alone: a disk
// that is full now will still be full in a millisecond.
void Controller::note_store_failure(const Error& error) {
  if (error.text() != store_failure_) event("the store refuses changes: " + error.text());
  store_failure_ = error.text();
}

void Controller::set_health(const model::HealthTable& changes) {
  model::HealthTable news;
  const model::Relations relations(model_);
  for (const auto& [member, health] : changes) {
    const auto object = model_.members.find(member);
    if (object == model_.members.end()) continue;
    if (!model::probed(relations, object->second)) continue;  // a result that comes too late
    const auto known = health_.find(member);
    if (known == health_.end() || known->second != health) news.emplace(member, health);
  }
  if (news.empty()) return;
  for (const auto& [member, health] : news) health_[member] = health;
  // A dead member must leave its ring even if the disk is full or hangs; a restart may forget its
  // health.
  follow_up(Verify::trust);
  notify();
  unsaved_ = true;
  proceed();
}

void Controller::set_suspects(Suspects suspects) {
  if (suspects == suspects_) return;
  suspects_ = std::move(suspects);
  follow_up(Verify::trust);
  proceed();
}

void Controller::set_reduced(Reduced reduced) {
  if (reduced == reduced_) return;
  reduced_ = std::move(reduced);
  follow_up(Verify::trust);
  proceed();
}

void Controller::set_checks(Checks checks) {
  checks_ = std::move(checks);
  judged_monitors_ = {};
  unknown_checks_.clear();
  follow_up(Verify::trust);
  notify();
  proceed();
}

// Returns the monitors that nobody here can carry out. Only those that have changed since the last
// time are looked at.
const std::map<Uuid, std::string>& Controller::unknown_checks() {
  if (!checks_) return unknown_checks_;
  using Monitors = model::Table<model::HealthMonitor>;
  Monitors::for_each_difference(
      judged_monitors_, model_.health_monitors, [&](const Uuid& id, const auto*, const auto* now) {
        unknown_checks_.erase(id);
        if (now && now->type == model::MonitorType::external &&
            !checks_->names.contains(now->check)) {
          unknown_checks_.emplace(
              id, fmt::format("node {} declares no check '{}' (check = {}=/path/to/program in its "
                              "sluiced.conf)",
                              checks_->node, now->check, now->check));
        }
        return true;
      });
  judged_monitors_ = model_.health_monitors;
  return unknown_checks_;
}

void Controller::set_overdue(Overdue overdue) {
  if (overdue == overdue_) return;
  overdue_ = std::move(overdue);
  follow_up(Verify::trust);
  proceed();
}

std::optional<SlowStart::Time> Controller::continue_slow_starts() {
  const auto before = slow_start_.shares();
  known();
  if (slow_start_.shares() != before) {
    follow_up(Verify::trust);
    proceed();
  }
  return slow_start_.next();
}

std::optional<SlowStart::Time::duration> Controller::slow_start_left(const Uuid& member) const {
  const auto full_at = slow_start_.full_at(member);
  if (!full_at) return std::nullopt;
  return std::max(*full_at - clock_(), SlowStart::Time::duration::zero());
}

void Controller::set_standby(bool standby) {
  if (standby == standby_) return;
  standby_ = standby;
  // Nor are the SNAT addresses that are leaving. Beside a change that is on its way they are
  // compared at its end.
  in_line_ = false;
  follow_up(applying_ ? Verify::read_back : Verify::trust);
  notify();
  proceed();
}

void Controller::set_node_snat(NodeSnat node_snat) {
  if (node_snat == node_snat_) return;
  node_snat_ = std::move(node_snat);
  follow_up(Verify::read_back);
  notify();
  proceed();
}

std::optional<std::map<IpAddress, NodeSnatAddress>> Controller::held_node_snat() const {
  std::map<IpAddress, NodeSnatAddress> held;
  if (lost_) return held;
  if (!actual_) return std::nullopt;
  for (const auto& [address, of_node] : node_snat_.addresses) {
    const auto wanted = desired_.state().vips.find(address);
    const auto found = actual_->vips.find(address);
    if (wanted != desired_.state().vips.end() && wanted->second.load_balancer.is_nil() &&
        found != actual_->vips.end() && found->second == wanted->second)
      held.emplace(address, of_node);
  }
  return held;
}

void Controller::note_leaving_sources(const std::map<IpAddress, std::uint64_t>& connections) {
  const auto before = std::exchange(leaving_sources_, connections);
  if (connections.empty() || lost_ || !actual_) return;
  const auto unused = [&](const auto& counts, const IpAddress& address) {
    const auto found = counts.find(address);
    return found != counts.end() && found->second == 0;
  };
  std::vector<Operation> over;
  for (const auto& [address, count] : connections) {
    const auto found = actual_->vips.find(address);
    if (found == actual_->vips.end() || !found->second.leaving) continue;
    const auto& owner = found->second.load_balancer;
    const bool owned = owner.is_nil() || model_.load_balancers.lookup(owner) != nullptr;
    if (!owned || (unused(connections, address) && unused(before, address)))
      over.push_back(RemoveVip{address});
  }
  if (!over.empty()) disturbances_++;
  apply_all(*data_plane_, over, *actual_);
  for (const auto& operation : over) {
    const auto& address = std::get<RemoveVip>(operation).address;
    if (actual_->vips.contains(address)) continue;  // at the next sweep
    leaving_sources_.erase(address);
    event(fmt::format("SNAT address {} has left: {}", address.to_string(),
                      unused(connections, address) ? "no connection has it any more"
                                                   : "its load balancer was deleted"));
  }
  if (!over.empty()) notify();
}

void Controller::adopt(DataPlane& data_plane) {
  data_plane_ = &data_plane;
  disturbances_++;
  if (drift_check_) drift_check_->reading.reset();
  if (applying_) applying_->compare_all = true;
  lost_.reset();
  actual_.reset();
  if (hook_() != Hook::hold) follow_up(Verify::read_back);
  if (!committing_) note_position();  // the next commit does, too
  notify();
  proceed();
}

void Controller::lose_data_plane(const Error& why) {
  if (lost_ && lost_->text() == why.text()) return;
  lost_ = why;
  disturbances_++;
  follow_up(Verify::trust);
  notify();
  proceed();
}

std::optional<std::map<IpAddress, Uuid>> Controller::held_vips() const {
  std::map<IpAddress, Uuid> held;
  if (lost_) return held;
  if (!actual_) return std::nullopt;
  for (const auto& [address, entry] : desired_.state().vips) {
    if (is_mapped(address)) continue;  // nobody asks for it
    const auto found = actual_->vips.find(address);
    if (entry.load_balancer.is_nil()) continue;  // a node's
    if (entry.up && found != actual_->vips.end() && found->second == entry)
      held.emplace(address, entry.load_balancer);
  }
  for (const auto& [address, entry] : actual_->vips)
    if (entry.leaving && entry.up && !(entry.load_balancer.is_nil() && entry.standby))
      held.emplace(address, entry.load_balancer);
  return held;
}

Result<std::vector<std::string>> Controller::repair_drift() {
  if (hook_() == Hook::hold) return std::vector<std::string>{};
  if (!store_failure_.empty()) unsaved_ = true;  // to try again what it has missed
  proceed();
  // A change on its way to the data plane is no drift: the next check will come.
  if (lost_ || applying_) return std::vector<std::string>{};
  auto found = data_plane_->read();
  if (!found) return fail(std::move(found.error()), "read the data plane");
  actual_ = *found;
  if (!committing_) note_position();  // the maps may be others than those of the last commit

  in_line_ = false;
  const auto planned = missing_operations();
  in_line_ = planned.empty();
  if (planned.empty() && !any_unsettled(model_)) return std::vector<std::string>{};
  const auto attempt = bring_in_line(Verify::read_back);
  const auto& refusals = attempt.refusals;
  std::vector<std::string> lines;
  for (const auto& operation : planned) {
    const auto refusal =
        std::find_if(refusals.begin(), refusals.end(),
                     [&](const Refusal& candidate) { return candidate.operation == operation; });
    const auto outcome = refusal == refusals.end() ? std::visit(Repair{*found}, operation)
                                                   : "cannot be repaired: " + refusal->error.text();
    lines.push_back(fmt::format("{} {}", subject(operation), outcome));
  }
  settle(attempt);
  notify();
  proceed();
  return lines;
}

// Says whether the data plane must be compared at once: its state isn't known, or something is to
// be done that no change has brought about.
bool Controller::is_repair_due() {
  if (!actual_ || !in_line_ || any_unsettled(model_) || hook_() != Hook::none) return true;
  if (!for_leaving(*actual_, standby_).empty()) return true;
  in_line_ = missing_operations().empty();
  return !in_line_;
}

void Controller::check_drift(Repaired done) {
  constexpr int most_disturbed_checks = 20;
  if (drift_check_) return done(std::vector<std::string>{});
  if (lost_ || applying_ || disturbed_checks_ >= most_disturbed_checks || is_repair_due()) {
    disturbed_checks_ = 0;
    return done(repair_drift());
  }
  auto reading = data_plane_->begin_to_read();
  if (!reading) return done(repair_drift());
  if (!store_failure_.empty()) unsaved_ = true;  // to try again what it has missed
  proceed();
  drift_check_.emplace(DriftCheck{.reading = std::move(reading), .disturbances = disturbances_});
  slices_.run([this] { return check_some(); }, [this, done = std::move(done)] { end_check(done); });
}

namespace {

// Says whether all entries of `found` are the same in `known`, and counts them.
template <typename Map>
bool are_the_same(const Map& found, const Map& known, std::size_t& count) {
  count += found.size();
  return std::ranges::all_of(found, [&](const auto& entry) {
    const auto same = known.find(entry.first);
    return same != known.end() && same->second == entry.second;
  });
}

}  // namespace

// Reads a part and compares it; returns whether the check is over. Each entry is let go again at
// once: to keep all until the end would cost more than to read them.
bool Controller::check_some() {
  auto& check = *drift_check_;
  if (check.disturbances != disturbances_) return true;
  const auto read = check.reading->step();
  if (!read) {
    check.error = read.error();
    return true;
  }
  const auto found = check.reading->take();
  const auto& known = *actual_;
  check.differs = !are_the_same(found.vips, known.vips, check.vips) ||
                  !are_the_same(found.listeners, known.listeners, check.listeners) ||
                  !are_the_same(found.pools, known.pools, check.pools) ||
                  !are_the_same(found.members, known.members, check.members);
  if (*read && !check.differs) {
    check.differs = check.vips != known.vips.size() || check.listeners != known.listeners.size() ||
                    check.pools != known.pools.size() || check.members != known.members.size();
  }
  return *read || check.differs;
}

void Controller::end_check(const Repaired& done) {
  const auto check = std::exchange(drift_check_, {});
  if (check->disturbances != disturbances_) {
    disturbed_checks_++;
    return done(std::vector<std::string>{});
  }
  disturbed_checks_ = 0;
  if (check->error) return done(fail(Error(*check->error), "read the data plane"));
  if (check->differs) return done(repair_drift());
  if (!committing_) note_position();  // the maps may be others than those of the last commit
  done(std::vector<std::string>{});
}

// Returns what the desired state depends on beside the model, at this moment.
Knowledge Controller::known() {
  slow_start_.follow(model_, health_, clock_());
  return {health_, suspects_, overdue_, slow_start_.shares(), standby_, reduced_, node_snat_};
}

// The outcome without a data plane that packets meet: each of its objects counts as refused.
Attempt Controller::nothing_of_it(const Error& why) {
  disturbances_++;
  actual_.reset();
  desired_.follow(model_, known());
  Attempt attempt;
  for (auto& operation : diff(desired_.state(), {}))
    attempt.refusals.push_back({std::move(operation), why});
  return attempt;
}

// Returns the operations that the data plane lacks, as far as we know its state. If it held all
// that was desired before, only what has changed since is compared.
std::vector<Operation> Controller::missing_operations() {
  const auto changed = desired_.follow(model_, known());
  if (!in_line_) {
    auto operations = diff(desired_.state(), *actual_);
    std::ranges::move(for_leaving(*actual_, standby_), std::back_inserter(operations));
    return operations;
  }
  return diff(part_of(desired_.state(), changed), part_of(*actual_, changed));
}

// Tells of the SNAT addresses that these operations take away.
void Controller::tell_of_leaving(const std::vector<Operation>& operations) {
  for (const auto& operation : operations) {
    const auto* put = std::get_if<PutVip>(&operation);
    if (!put || !put->entry.leaving) continue;
    const auto present = actual_->vips.find(put->address);
    if (present != actual_->vips.end() && !present->second.leaving)
      event(fmt::format(
          "SNAT address {} was taken away: it is answered for until no connection has it",
          put->address.to_string()));
  }
}

// Makes the data plane hold the desired state, and tells the objects how that went. While a stored
// change is on its way there, only what has changed since is done now, and the rest when it has
// arrived.
void Controller::follow_up(Verify verify) {
  if (!applying_) return settle(bring_in_line(verify));
  auto& compare_all = applying_->compare_all;
  compare_all = compare_all || lost_ || !actual_ || verify == Verify::read_back;
  if (!compare_all) keep_up();
}

// Brings what has changed in line, beside a change that is on its way. A ring's members may be on
// their way, too, and come before it.
void Controller::keep_up() {
  auto changed = desired_.follow_news(model_, known());
  const auto& desired = desired_.state();
  for (const auto& key : changed.pools) {
    const auto pool = desired.pools.find(key);
    if (pool == desired.pools.end()) continue;
    changed.members.insert(pool->second.ring.begin(), pool->second.ring.end());
  }
  apply_beside(diff(part_of(desired, changed), part_of(*actual_, changed)));
}

// Carries operations out at once that are not those of the change on its way.
void Controller::apply_beside(const std::vector<Operation>& operations) {
  disturbances_++;
  auto refusals = apply_all(*data_plane_, operations, *actual_);
  applying_->application.others_came();
  applying_->read_back = 0;
  auto& all = applying_->application.refusals();
  all.insert(all.end(), std::make_move_iterator(refusals.begin()),
             std::make_move_iterator(refusals.end()));
}

// Begins to find the operations of a stored change. Where the data plane's state is not known, it
// is compared as a whole at the end.
void Controller::begin_to_apply() {
  const bool comparable = !lost_ && actual_ && in_line_ && hook_() == Hook::none;
  applying_.emplace(Applying{.compare_all = !comparable});
  if (comparable) desired_.note(model_, known());
}

// Finds the operations of some objects; returns whether those were the last ones.
bool Controller::plan_some() {
  auto& applying = *applying_;
  if (applying.compare_all || desired_.is_done()) return true;
  const auto changed = desired_.step(known());
  applying.difference.add(part_of(desired_.state(), changed), part_of(*actual_, changed));
  return desired_.is_done();
}

void Controller::plan_is_made() {
  auto& applying = *applying_;
  auto operations = applying.compare_all ? std::vector<Operation>() : applying.difference.take();
  tell_of_leaving(operations);
  applying.application.plan(std::move(operations), pools_in_a_slice);
}

bool Controller::go_on_applying() {
  auto& applying = *applying_;
  if (applying.compare_all || applying.application.is_done()) return true;
  disturbances_++;
  applying.application.step(*data_plane_, *actual_, desired_.state());
  return applying.application.is_done();
}

// Reads back what the operations have put. Objects that were not touched are unchanged, or the
// drift check finds them: reading all would make a change cost more, the more objects there are.
bool Controller::read_some_back() {
  auto& applying = *applying_;
  const auto& application = applying.application;
  applying.doubtful = !application.refusals().empty();
  const auto left = application.size() - applying.read_back;
  if (applying.compare_all || applying.doubtful || left == 0) return true;
  const auto count = std::min(left, read_back_at_once);
  const auto held =
      data_plane_->holds(application.some(applying.read_back, count, desired_.state()));
  applying.doubtful = !held || !held->value_or(false);
  applying.read_back += count;
  return applying.doubtful;
}

void Controller::end_applying(const std::function<void()>& then) {
  const auto is_there = [this] {
    return !applying_->compare_all && !applying_->doubtful &&
           applying_->application.refusals().empty();
  };
  const auto compare = [this, then] {
    auto applying = std::move(*applying_);
    applying_.reset();
    if (applying.compare_all) {
      in_line_ = false;
      settle(bring_in_line(Verify::read_back));
    } else {
      settle(read_what_is_missing(std::move(applying.application.refusals())));
    }
    then();
  };
  if (!is_there()) return compare();
  const auto end = [this, is_there, compare, then] {
    // No status leads to operations, but members that start slowly may have got further.
    auto operations = applying_->difference.take();
    if (!applying_->compare_all && !operations.empty()) apply_beside(operations);
    if (!is_there()) return compare();  // something else has failed meanwhile
    applying_.reset();
    then();
  };
  // The desired state must know the new statuses, too. There may be thousands, and the next
  // eviction or drift check would have to look at all of them first.
  const auto follow = [this, end] {
    if (!applying_->compare_all) desired_.note(model_, known());
    slices_.run([this] { return plan_some(); }, end);
  };
  const auto settlement = std::make_shared<Settlement>(begin_to_settle({}));
  slices_.run([this, settlement] { return settlement->step(model_); },
              [this, settlement, follow] {
                end_settling(*settlement);
                follow();
              });
}

// Makes the data plane hold the desired state; returns what it lacks afterwards, with reasons.
Attempt Controller::bring_in_line(Verify verify) {
  if (lost_) return nothing_of_it(*lost_);
  if (hook_() == Hook::fail) {
    return {.refusals = {},
            .unreadable = Error{ErrorKind::internal, "a test's hook fails every attempt", "", 0},
            .counts_as_refused = true};
  }
  if (!actual_) {
    auto read = data_plane_->read();
    if (!read) return {.refusals = {}, .unreadable = std::move(read.error())};
    actual_ = std::move(*read);
    in_line_ = false;
  }
  const auto operations = missing_operations();
  in_line_ = true;
  if (operations.empty()) return {};
  tell_of_leaving(operations);
  disturbances_++;
  auto refusals = apply_all(*data_plane_, operations, *actual_);
  in_line_ = refusals.empty();
  if (refusals.empty() && verify == Verify::trust) return {};
  // Objects that were not touched are unchanged, or the drift check finds them. Reading all would
  // make a change cost more, the more objects there are.
  if (refusals.empty() && operations.size() <= most_read_one_by_one) {
    const auto held = data_plane_->holds(operations);
    if (held && held->value_or(false)) return {};
  }

  return read_what_is_missing(std::move(refusals));
}

// Reads the whole state; returns what it lacks, each operation with its reason if it was refused.
Attempt Controller::read_what_is_missing(std::vector<Refusal> refusals) {
  disturbances_++;
  actual_.reset();  // until it is read: a refused operation may have left anything behind
  auto read = data_plane_->read();
  if (!read) return {.refusals = std::move(refusals), .unreadable = std::move(read.error())};
  actual_ = std::move(*read);
  Attempt attempt{.refusals = still_missing(desired_.state(), *actual_, std::move(refusals)),
                  .unreadable = {}};
  in_line_ = attempt.refusals.empty();
  return attempt;
}

void Controller::finish() {
  if (!applying_) return;
  applying_->compare_all = true;
  end_applying([] {});
}

// Loads the data plane's program anew, if anybody waits for that. Who comes later waits for the one
// that is under way.
void Controller::start_reload() {
  if (awaiting_reload_.empty() || std::exchange(reloading_, true)) return;
  data_plane_->reload([this](const Result<Reloaded>& outcome) { reloaded(outcome); });
}

void Controller::reloaded(const Result<Reloaded>& outcome) {
  reloading_ = false;
  awaiting_reload_.clear();
  event(outcome ? about_reload(*outcome) : "data plane not reloaded: " + outcome.error().text());
  if (hook_() != Hook::hold) follow_up(Verify::read_back);
  notify();
  proceed();
}

// Writes the attempt's outcome into the objects' provisioning status.
void Controller::settle(Attempt attempt) {
  auto settlement = begin_to_settle(std::move(attempt));
  while (!settlement.step(model_)) continue;
  end_settling(settlement);
}

Settlement Controller::begin_to_settle(Attempt attempt) {
  attempt.unfinished = awaiting_reload_;
  attempt.impossible = unknown_checks();
  static const DataPlaneState nothing;
  return {model_, std::move(attempt), actual_ ? std::as_const(*actual_) : nothing,
          writer_->is_shared() ? std::nullopt : std::optional(now())};
}

void Controller::end_settling(Settlement& settlement) {
  const auto& unreadable = settlement.attempt().unreadable;
  if (!unreadable && !lost_) applied_generation_ = stored_.position.generation;
  if (unreadable) event("read the data plane: " + unreadable->text());
  for (auto& line : settlement.take_lines()) event(std::move(line));
  if (settlement.has_changed()) unsaved_ = true;
}

void Controller::prune_health(const model::Model& before) {
  auto probed = without_unprobed(health_, before, model_);
  if (!health_.shares_all_with(probed)) unsaved_ = true;
  health_ = std::move(probed);
}

void Controller::on_change(std::function<void()> observer) {
  observers_.push_back(std::move(observer));
}

void Controller::notify() {
  for (const auto& observer : observers_) observer();
}

void Controller::on_event(std::function<void(const std::string&)> listener) {
  for (const auto& line : unheard_) listener(line);
  unheard_.clear();
  listeners_.push_back(std::move(listener));
}

void Controller::event(std::string line) {
  if (listeners_.empty()) {
    unheard_.push_back(std::move(line));
    return;
  }
  for (const auto& listener : listeners_) listener(line);
}

}  // namespace sluice::control
