#include "api/handlers/changes.hpp"

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <type_traits>
#include <utility>

#include "api/handlers/collection.hpp"
#include "api/language/render.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

// Says whether the attribute changes without anybody's wish or belongs to another object.
bool is_derived(std::string_view attribute) {
  for (auto name : {"provisioning_status", "provisioning_error", "operating_status", "updated_at",
                    "created_at", "tenant_id", "listeners", "pools", "members", "healthmonitor_id",
                    "loadbalancers", "status"}) {
    if (attribute == name) return true;
  }
  return false;
}

json::object own_attributes(json::object rendered) {
  json::object own;
  for (auto& [key, value] : rendered) {
    if (!is_derived(key)) own.emplace(key, std::move(value));
  }
  return own;
}

// Removes the attributes that are equal in both.
void drop_equal(json::object& before, json::object& after) {
  std::vector<std::string> equal;
  for (const auto& [key, value] : before) {
    const auto* other = after.if_contains(key);
    if (other && *other == value) equal.emplace_back(key);
  }
  for (const auto& key : equal) {
    before.stable_erase(key);  // in their order, which is how they are shown
    after.stable_erase(key);
  }
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

// "weight 1 -> 2, name 'a' -> 'b'"
std::string sentence(const json::object& before, const json::object& after) {
  std::string text;
  for (const auto& [key, value] : after) {
    const auto* old = before.if_contains(key);
    text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", std::string_view(key),
                        old ? text_of(*old) : "nothing", text_of(value));
  }
  return text;
}

std::string title(std::string_view kind, const model::Object& object) {
  if (object.name.empty()) return fmt::format("{} {}", kind, to_string(object.id));
  return fmt::format("{} {} ({})", kind, object.name, to_string(object.id));
}

json::object quota_of(const std::string& project) {
  return {{"type", "quota"}, {"id", project}, {"project_id", project}};
}

// So many objects are described at once.
constexpr std::size_t most_at_once = 16;

}  // namespace

class ChangeReport::Comparison {
 public:
  // Copies share what they have in common, so both cost nothing.
  Comparison(model::Model before, model::Model after)
      : models_{std::move(before), std::move(after)},
        before_{models_.first, healthy_, {}},
        after_{models_.second, healthy_, {}} {
    compare<model::LoadBalancer>();
    compare<model::Listener>();
    compare<model::Pool>();
    compare<model::Member>();
    compare<model::HealthMonitor>();
    compare<model::FloatingIp>();
    to_do_.emplace_back([this] { compare_quotas(); });
    to_do_.emplace_back([this] { compare_nodes(); });
  }

  bool is_done() const { return to_do_.empty(); }

  std::vector<Event> next() {
    for (std::size_t count = 0; count < most_at_once && !to_do_.empty(); ++count) {
      to_do_.front()();
      to_do_.pop_front();
    }
    return std::exchange(events_, {});
  }

 private:
  // Notes what differs; it is described later. New and changed objects come before those that are
  // gone.
  template <typename T>
  void compare() {
    const auto& old_ones = before_.model.*Kind<T>::table;
    const auto& new_ones = after_.model.*Kind<T>::table;
    std::vector<const T*> gone;
    model::Table<T>::for_each_difference(
        old_ones, new_ones, [&](const Uuid&, const T* old, const T* object) {
          if (!object) {
            gone.push_back(old);
          } else if (old) {
            to_do_.emplace_back([this, old, object] { note_change(*old, *object); });
          } else {
            to_do_.emplace_back(
                [this, object] { add("created", *object, {}, own(after_, *object)); });
          }
          return true;
        });
    for (const auto* object : gone) {
      to_do_.emplace_back([this, object] { add("deleted", *object, own(before_, *object), {}); });
    }
  }

  void compare_quotas() {
    for (const auto& [project, quota] : after_.model.quotas) {
      const auto old = before_.model.quotas.find(project);
      if (old != before_.model.quotas.end() && old->second == quota) continue;
      events_.push_back({.kind = "change",
                         .message = "set the quota of project " + project,
                         .object = quota_of(project),
                         .before = {},
                         .after = {}});
    }
    for (const auto& [project, quota] : before_.model.quotas) {
      if (after_.model.quotas.contains(project)) continue;
      events_.push_back({.kind = "change",
                         .message = "reset the quota of project " + project,
                         .object = quota_of(project),
                         .before = {},
                         .after = {}});
    }
  }

  void compare_nodes() {
    const auto& before = before_.model.drained_nodes;
    const auto& after = after_.model.drained_nodes;
    for (const auto& [name, since] : after) {
      if (!before.contains(name)) note_node(name, "began to drain node " + name);
    }
    for (const auto& [name, since] : before) {
      if (!after.contains(name)) note_node(name, "ended the drain of node " + name);
    }
  }

  // Parents and children are not shown: they are not the object's own attributes, and finding them
  // would search all objects. A floating IP's port is its load balancer's.
  template <typename T>
  json::object own(const View& view, const T& object) const {
    if constexpr (std::is_same_v<T, model::FloatingIp>) return own_attributes(render(view, object));
    return own_attributes(render(View{nobody_, healthy_, {}}, object));
  }

  void note_node(const std::string& name, std::string message) {
    events_.push_back({.kind = "change",
                       .message = std::move(message),
                       .object = {{"type", "node"}, {"id", name}, {"name", name}},
                       .before = {},
                       .after = {}});
  }

  template <typename T>
  void note_change(const T& old, const T& object) {
    auto before = own(before_, old);
    auto after = own(after_, object);
    drop_equal(before, after);
    if (!before.empty() || !after.empty()) {
      add("updated", object, std::move(before), std::move(after));
    }
  }

  template <typename T>
  void add(std::string_view verb, const T& object, json::object before, json::object after) {
    auto message = fmt::format("{} {}", verb, title(kind_of(object), object));
    if (verb == "updated") message += ": " + sentence(before, after);
    events_.push_back({.kind = "change",
                       .message = std::move(message),
                       .object = {{"type", Kind<T>::words.singular},
                                  {"id", to_string(object.id)},
                                  {"name", object.name},
                                  {"project_id", object.project_id}},
                       .before = std::move(before),
                       .after = std::move(after)});
  }

  const std::pair<model::Model, model::Model> models_;
  const model::Model nobody_;
  const model::HealthTable healthy_;
  View before_, after_;
  std::deque<std::function<void()>> to_do_;
  std::vector<Event> events_;
};

ChangeReport::ChangeReport(const model::Model& before, const model::Model& after)
    : comparison_(std::make_unique<Comparison>(before, after)) {}
ChangeReport::~ChangeReport() = default;
ChangeReport::ChangeReport(ChangeReport&&) noexcept = default;
ChangeReport& ChangeReport::operator=(ChangeReport&&) noexcept = default;

bool ChangeReport::is_done() const {
  return comparison_->is_done();
}
std::vector<Event> ChangeReport::next() {
  return comparison_->next();
}

std::vector<Event> changes(const model::Model& before, const model::Model& after) {
  ChangeReport report(before, after);
  std::vector<Event> events;
  while (!report.is_done()) {
    auto more = report.next();
    std::ranges::move(more, std::back_inserter(events));
  }
  return events;
}

}  // namespace sluice::api
