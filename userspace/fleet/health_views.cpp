#include "fleet/health_views.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "model/relations.hpp"
#include "model/status.hpp"

namespace sluice::fleet {
namespace json = boost::json;
namespace {

json::array to_json(const std::set<Uuid>& members) {
  json::array ids;
  for (const auto& id : members) ids.emplace_back(to_string(id));
  return ids;
}

std::set<Uuid> members_at(const json::object& object, std::string_view name) {
  std::set<Uuid> members;
  const auto* found = object.if_contains(name);
  if (!found || !found->is_array()) return members;
  for (const auto& id : found->get_array()) {
    if (const auto uuid = id.is_string() ? parse_uuid(id.get_string()) : std::nullopt)
      members.insert(*uuid);
  }
  return members;
}

}  // namespace

std::string HealthView::text() const {
  json::object told{{"down", to_json(down)}, {"unknown", to_json(unknown)}};
  if (applied) told["applied"] = *applied;
  return json::serialize(told);
}

bool HealthView::knows(const Uuid& member, std::uint64_t generation) const {
  return down.contains(member) ||
         (!unknown.contains(member) && (!applied || *applied >= generation));
}

std::optional<HealthView> HealthView::parse(const std::string& text) {
  boost::system::error_code error;
  const auto value = json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  const auto& object = value.get_object();
  HealthView view{members_at(object, "down"), members_at(object, "unknown")};
  const auto* applied = object.if_contains("applied");
  if (applied && applied->is_int64())
    view.applied = static_cast<std::uint64_t>(applied->get_int64());
  return view;
}

HealthView view_of(const model::Model& model, const model::HealthTable& health) {
  HealthView view;
  const model::Relations relations(model);
  for (const auto& [id, member] : model.members) {
    const auto* known = health.lookup(id);
    if (known && *known == model::Health::down) view.down.insert(id);
    if (!known && model::probed(relations, member)) view.unknown.insert(id);
  }
  return view;
}

void HealthViews::reset(std::int64_t revision, const std::vector<KeyValue>& all) {
  revision_ = revision;
  views_.clear();
  for (const auto& [key, value, modified] : all) {
    if (!key.starts_with(keys_.health())) continue;
    if (auto view = HealthView::parse(value))
      views_.insert_or_assign(key.substr(keys_.health().size()), std::move(*view));
  }
}

void HealthViews::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (entry.modified <= revision_ || !entry.key.starts_with(keys_.health())) continue;
    const auto name = entry.key.substr(keys_.health().size());
    auto view = removed ? std::nullopt : HealthView::parse(entry.value);
    if (view) {
      views_.insert_or_assign(name, std::move(*view));
    } else {
      views_.erase(name);
    }
  }
}

model::HealthTable majority(const model::HealthTable& own,
                            const std::vector<const HealthView*>& others) {
  std::map<Uuid, std::size_t> votes;  // that it is down
  for (const auto& [id, health] : own) {
    if (health == model::Health::down) votes[id]++;
  }
  for (const auto* view : others) {
    for (const auto& id : view->down) votes[id]++;
  }
  auto judged = own;
  const auto nodes = others.size() + 1;
  for (const auto& [id, down] : votes) {
    const auto* known = own.lookup(id);
    if (2 * down > nodes) {
      judged.insert_or_assign(id, model::Health::down);
    } else if (known && *known == model::Health::down) {
      judged.insert_or_assign(id, model::Health::up);
    }
  }
  return judged;
}

}  // namespace sluice::fleet
