#include "control/controller.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "control/apply.hpp"
#include "model/edit.hpp"
#include "model/status.hpp"

namespace sluice::control {
namespace {

// What is still to do after an attempt, each with the reason that the data plane gave.
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

Controller::Controller(store::Store& store, DataPlane& data_plane)
    : store_(&store), data_plane_(&data_plane) {}

model::FullListeners Controller::full_listeners() {
  model::FullListeners full;
  for (const auto& [id, listener] : model_.listeners) {
    if (listener.connection_limit < 0) continue;
    const auto counters = data_plane_->listener_counters(id);
    if (counters &&
        counters->active_flows() >= static_cast<std::uint64_t>(listener.connection_limit))
      full.insert(id);
  }
  return full;
}

Result<Controller> Controller::start(store::Store& store, DataPlane& data_plane) {
  Controller controller(store, data_plane);
  auto model = store.load();
  if (!model) return tl::unexpected(std::move(model.error()));
  auto health = store.load_health();
  if (!health) return tl::unexpected(std::move(health.error()));
  controller.model_ = std::move(*model);
  controller.health_ = std::move(*health);
  controller.prune_health();
  controller.settle(controller.bring_in_line(Verify::read_back));
  return controller;
}

Result<void> Controller::change(const Edit& edit) {
  if (staging_) return edit(model_);  // judged, and undone if need be, by the transaction
  auto next = model_;
  if (auto done = edit(next); !done) return done;
  if (auto may = permit(next); !may) return may;
  if (auto saved = store_->save(model_, next); !saved) return saved;

  model_ = std::move(next);
  prune_health();
  if (hook_() != Hook::hold) settle(bring_in_line(Verify::read_back));
  notify();
  return {};
}

// What the edits don't judge: whether an object is busy, and what this version can do.
Result<void> Controller::permit(const model::Model& next) const {
  if (auto free = model::refuse_busy(model_, next); !free) return free;
  return model::check_supported(data_plane_->supported(), model_, next);
}

Result<void> Controller::transaction(const std::function<Result<void>()>& changes, Ending ending) {
  const auto before = model_;
  staging_ = true;
  auto done = changes();
  staging_ = false;
  auto next = std::exchange(model_, before);
  if (!done) return done;
  if (ending == Ending::rehearse) return permit(next);
  return change([&](model::Model& model) -> Result<void> {
    model = std::move(next);
    return {};
  });
}

void Controller::set_health(const model::HealthTable& changes) {
  model::HealthTable news;
  for (const auto& [member, health] : changes) {
    const auto object = model_.members.find(member);
    if (object == model_.members.end()) continue;
    if (!model::probed(model_, object->second)) continue;  // a result that comes too late
    const auto known = health_.find(member);
    if (known == health_.end() || known->second != health) news.emplace(member, health);
  }
  if (news.empty()) return;
  for (const auto& [member, health] : news) health_[member] = health;
  // A dead member must go even if the disk is full: what is lost is only the memory of it at a
  // restart.
  if (auto saved = store_->save_health(news); !saved) event(saved.error().text());
  settle(bring_in_line(Verify::trust));
  notify();
}

void Controller::set_suspects(Suspects suspects) {
  if (suspects == suspects_) return;
  suspects_ = std::move(suspects);
  settle(bring_in_line(Verify::trust));
}

Result<std::vector<std::string>> Controller::repair_drift() {
  if (hook_() == Hook::hold) return std::vector<std::string>{};
  auto found = data_plane_->read();
  if (!found) return fail(std::move(found.error()), "read the data plane");
  actual_ = *found;

  const auto planned = diff(desired_state(model_, health_, suspects_), *found);
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
  return lines;
}

// Makes the data plane hold the desired state; what it does not hold afterwards comes back, with
// reasons.
Attempt Controller::bring_in_line(Verify verify) {
  if (hook_() == Hook::fail) {
    return {{}, Error{ErrorKind::internal, "a test's hook fails every attempt", "", 0}};
  }
  if (!actual_) {
    auto read = data_plane_->read();
    if (!read) return {{}, std::move(read.error())};
    actual_ = std::move(*read);
  }
  const auto desired = desired_state(model_, health_, suspects_);
  const auto operations = diff(desired, *actual_);
  if (operations.empty()) return {};
  auto refusals = apply_all(*data_plane_, operations, *actual_);
  if (refusals.empty() && verify == Verify::trust) return {};

  actual_.reset();  // until it is read: a refused operation may have left anything behind
  auto read = data_plane_->read();
  if (!read) return {std::move(refusals), std::move(read.error())};
  actual_ = std::move(*read);
  return {still_missing(desired, *actual_, std::move(refusals)), std::nullopt};
}

// Writes the attempt's outcome into the objects' provisioning status.
void Controller::settle(const Attempt& attempt) {
  auto settled = model_;
  auto lines = settle_provisioning(settled, attempt, actual_ ? *actual_ : DataPlaneState{});
  if (attempt.unreadable) event("read the data plane: " + attempt.unreadable->text());
  for (auto& line : lines) event(std::move(line));
  if (settled == model_) return;
  // What stays PENDING on disk is tried again at the next start: nothing is lost but the status.
  if (auto saved = store_->save(model_, settled); !saved) event(saved.error().text());
  model_ = std::move(settled);
}

// Only probed members have health: a result from before a monitor went says nothing about today.
void Controller::prune_health() {
  std::vector<Uuid> forgotten;
  for (const auto& [id, health] : health_) {
    const auto member = model_.members.find(id);
    if (member == model_.members.end() || !model::probed(model_, member->second)) {
      forgotten.push_back(id);
    }
  }
  if (forgotten.empty()) return;
  for (const auto& id : forgotten) health_.erase(id);
  if (auto saved = store_->forget_health(forgotten); !saved) event(saved.error().text());
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
