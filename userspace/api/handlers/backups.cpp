// Backups, in Sluice's own part of the API:
//
//   GET /v1/backup                                the whole state, as a SQLite file
//   POST /v1/restore?dry_run=true                 with such a file as body: what it would change
//   POST /v1/restore?difference=TEXT              and does it, if that is (still) what it changes
//
// Both answer {"dry_run": ..., "difference": TEXT, "changes": [...]}, the changes like events. The
// file is made and read on the thread that writes the store (routes.cpp): handlers never wait.
#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <functional>

#include "api/handlers/changes.hpp"
#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/policy.hpp"
#include "model/changes.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// Overwrites the backup's marks of progress by today's. An object that differs otherwise counts as
// updated now.
template <typename T>
void take_progress(const model::Table<T>& present, model::Table<T>& restored) {
  const auto wished = restored;
  for (const auto& [id, wish] : wished) {
    const auto* found = present.lookup(id);
    if (!found) continue;
    auto object = wish;
    object.provisioning_status = found->provisioning_status;
    object.provisioning_error = found->provisioning_error;
    object.updated_at = found->updated_at;
    if constexpr (std::is_same_v<T, model::LoadBalancer>)
      object.change_failed = found->change_failed;
    if (object != *found) object.updated_at = now();
    restored.put(std::move(object));
  }
}

model::Model with_todays_progress(model::Model restored, const model::Model& present) {
  model::for_each_kind(present, restored,
                       [](const auto& today, auto& objects) { take_progress(today, objects); });
  restored.drained_nodes = present.drained_nodes;  // not a part of what is balanced
  return restored;
}

json::array rendered(const std::vector<Event>& events) {
  json::array list;
  for (const auto& event : events) {
    list.push_back(json::object{{"message", event.message},
                                {"object", event.object},
                                {"before", event.before},
                                {"after", event.after}});
  }
  return list;
}

// Identifies a difference, so that a client can tell whether it is still the one that it has shown.
std::string name_of(const json::array& difference) {
  return fmt::format("{:016x}", std::hash<std::string>{}(json::serialize(difference)));
}

}  // namespace

// Answers whether the caller may have a backup; the file itself comes from the store.
Result<Reply> back_up(const Call&) {
  return Reply{200, std::nullopt};
}

Result<Reply> restore_backup(const Call& call) {
  if (!call.request.backup) {
    return fail(ErrorKind::invalid, "A restore wants a backup as its body.",
                "sluicectl restore FILE");
  }
  using Ending = control::Controller::Ending;
  const bool rehearse = is_true(query_value(call, "dry_run"));
  const auto expected = query_value(call, "difference");
  auto& controller = call.context.controller;
  const auto& before = controller.before_request();
  json::array difference;
  const auto replace = [&]() -> Result<void> {
    auto done = change(call, [&](model::Model& model) -> Result<void> {
      model = with_todays_progress(*call.request.backup, before);
      return {};
    });
    if (!done) return done;
    difference = rendered(changes(before, controller.model()));
    if (!rehearse && !expected.empty() && expected != name_of(difference)) {
      return fail(ErrorKind::conflict, "The state has changed since the difference was shown.",
                  "look at it again");
    }
    return {};
  };
  if (auto done = controller.transaction(replace, rehearse ? Ending::rehearse : Ending::commit);
      !done) {
    return tl::unexpected(done.error());
  }
  return Reply{200, json::object{{"dry_run", rehearse},
                                 {"difference", name_of(difference)},
                                 {"changes", std::move(difference)}}};
}

}  // namespace sluice::api
