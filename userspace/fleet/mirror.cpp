#include "fleet/mirror.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <set>

#include "fleet/json_fields.hpp"
#include "model/references.hpp"
#include "store/object_json.hpp"

namespace sluice::fleet {
namespace {

namespace json = boost::json;

tl::unexpected<Error> not_understood(const std::string& key) {
  return fail(ErrorKind::invalid, fmt::format("etcd's key {} can't be understood", key),
              "was it written by a newer version of Sluice, or by hand?");
}

// Only load balancers have it.
void take_change_failed(model::LoadBalancer& object, const model::LoadBalancer& known) {
  object.change_failed = known.change_failed;
}
void take_change_failed(model::Object&, const model::Object&) {}

// Gives an object from etcd the status that it has here, or makes it pending.
template <typename T>
void set_status(T& object, const T* known) {
  if (!known) {
    object.provisioning_status = model::ProvisioningStatus::pending_create;
    return;
  }
  object.provisioning_status = known->provisioning_status;
  object.provisioning_error = known->provisioning_error;
  take_change_failed(object, *known);
  if (object == *known) return;
  object.provisioning_status = model::ProvisioningStatus::pending_update;
  object.provisioning_error.clear();
}

// Says whether both are the same part of the fleet's state.
template <typename T>
bool is_same_state(const T& one, const T& other) {
  auto like_one = other;
  like_one.provisioning_status = one.provisioning_status;
  like_one.provisioning_error = one.provisioning_error;
  take_change_failed(like_one, one);
  return like_one == one;
}

// What of an object's JSON this version would not write.
template <typename T>
json::object strange_attributes(const json::object& read) {
  static const auto known = store::known_attributes<T>();
  json::object strange;
  for (const auto& [name, value] : read) {
    if (name != "generation" && !known.contains(name)) strange.emplace(name, value);
  }
  return strange;
}

// Calls `visit` with the table of the kind that a key below objects() names, and the object's id;
// returns false if there is no such kind.
template <typename Visit>
bool with_table(model::Model& model, std::string_view below, Visit visit) {
  const auto slash = below.find('/');
  const auto id = parse_uuid(below.substr(slash == below.npos ? below.size() : slash + 1));
  if (!id) return false;
  bool found = false;
  model::for_each_kind(model, [&]<typename T>(model::Table<T>& table) {
    if (kind_word<T>() != below.substr(0, slash)) return;
    found = true;
    visit(table, *id);
  });
  return found;
}

}  // namespace

std::string Head::text() const {
  return json::serialize(json::object{{"store", to_string(store)},
                                      {"generation", generation},
                                      {"request", to_string(request)},
                                      {"node", node}});
}

std::optional<Head> Head::parse(const std::string& text) {
  const auto object = parse_object(text);
  if (!object) return std::nullopt;
  const auto store = parse_uuid(text_at(*object, "store"));
  const auto request = parse_uuid(text_at(*object, "request"));
  const auto generation = number_at(*object, "generation");
  if (!store || !request || generation == 0) return std::nullopt;
  return Head{*store, generation, *request, text_at(*object, "node")};
}

Result<std::optional<Head>> head_in(const std::vector<KeyValue>& all, const Keys& keys) {
  for (const auto& entry : all) {
    if (entry.key != keys.generation()) continue;
    auto head = Head::parse(entry.value);
    if (!head) return not_understood(entry.key);
    return head;
  }
  return std::nullopt;
}

std::uint64_t Mirror::generation_of(const Uuid& object) const {
  const auto* found = generations_.lookup(object);
  return found ? *found : 0;
}

Result<void> Mirror::put(State& state, const std::string& key, const std::string& value) const {
  const bool is_object = key.starts_with(keys_.objects());
  if (!is_object && key != keys_.generation() && key != keys_.quotas() &&
      key != keys_.drained_nodes())
    return {};
  const auto read = parse_object(value);
  if (!read) return not_understood(key);
  if (key == keys_.generation()) {
    state.head = Head::parse(value);
    return state.head ? Result<void>() : not_understood(key);
  }
  if (key == keys_.quotas()) {
    const auto quotas = store::quotas_from_json(*read);
    if (!quotas) return not_understood(key);
    if (*quotas != state.model.quotas) state.model.quotas = *quotas;
    return {};
  }
  if (key == keys_.drained_nodes()) {
    const auto nodes = store::drained_nodes_from_json(*read);
    if (!nodes) return not_understood(key);
    if (*nodes != state.model.drained_nodes) state.model.drained_nodes = *nodes;
    return {};
  }
  bool understood = true;
  with_table(state.model, std::string_view(key).substr(keys_.objects().size()),
             [&]<typename T>(model::Table<T>& table, const Uuid& id) {
               auto object = store::from_json<T>(*read);
               understood = object && object->id == id;
               if (!understood) return;
               state.generations.insert_or_assign(id, number_at(*read, "generation"));
               if (auto strange = strange_attributes<T>(*read); !strange.empty()) {
                 state.strange[id] = std::move(strange);
               } else {
                 state.strange.erase(id);
               }
               const auto* known = table.lookup(id);
               set_status(*object, known);
               if (!known || *known != *object) table.put(std::move(*object));
             });
  return understood ? Result<void>() : not_understood(key);
}

void Mirror::remove(State& state, const std::string& key) const {
  if (key == keys_.generation()) state.head.reset();
  if (key == keys_.quotas()) state.model.quotas = {};
  if (key == keys_.drained_nodes()) state.model.drained_nodes = {};
  if (!key.starts_with(keys_.objects())) return;
  with_table(state.model, std::string_view(key).substr(keys_.objects().size()),
             [&](auto& table, const Uuid& id) {
               table.erase(id);
               state.generations.erase(id);
               state.strange.erase(id);
             });
}

Result<void> Mirror::take(State state, std::int64_t revision) {
  if (auto complete = model::check_references(state.model); !complete) {
    complete.error().hint = "was an object of the fleet changed by hand?";
    return fail(std::move(complete.error()), "the state in etcd");
  }
  model_ = std::move(state.model);
  head_ = std::move(state.head);
  generations_ = std::move(state.generations);
  strange_ = std::move(state.strange);
  revision_ = revision;
  return {};
}

Result<void> Mirror::reset(std::int64_t revision, const std::vector<KeyValue>& all) {
  std::set<std::string_view> keys;
  for (const auto& entry : all) keys.insert(entry.key);
  State state{model_, std::nullopt, {}, {}};
  if (!keys.contains(keys_.quotas())) state.model.quotas = {};
  if (!keys.contains(keys_.drained_nodes())) state.model.drained_nodes = {};
  model::for_each_kind(state.model, [&]<typename T>(model::Table<T>& table) {
    model::erase_if(table, [&](const auto& entry) {
      return !keys.contains(
          fmt::format("{}{}/{}", keys_.objects(), kind_word<T>(), to_string(entry.first)));
    });
  });
  for (const auto& entry : all) {
    if (auto done = put(state, entry.key, entry.value); !done) return done;
  }
  return take(std::move(state), revision);
}

Result<void> Mirror::follow(std::int64_t revision, const std::vector<Change>& changes) {
  if (revision <= revision_) return {};
  auto next = state();
  for (const auto& [entry, removed] : changes) {
    if (removed) {
      remove(next, entry.key);
    } else if (auto done = put(next, entry.key, entry.value); !done) {
      return done;
    }
  }
  return take(std::move(next), revision);
}

Mirror::Operations Mirror::operations(const model::Changes& changes,
                                      std::uint64_t generation) const {
  Operations operations;
  model::for_each_kind(
      model_, changes,
      [&]<typename T>(const model::Table<T>& table, const model::ChangesOf<T>& changed) {
        const auto key_of = [&](const Uuid& id) {
          return fmt::format("{}{}/{}", keys_.objects(), kind_word<T>(), to_string(id));
        };
        for (const auto& id : changed.removed) operations.removals.push_back(key_of(id));
        for (const auto& [id, object] : changed.put) {
          const auto* known = table.lookup(id);
          if (known && is_same_state(*known, object)) continue;
          const auto strange = strange_.find(id);
          auto written =
              store::to_json(object, strange == strange_.end() ? json::object() : strange->second);
          written["generation"] = generation;
          operations.puts.push_back({key_of(id), json::serialize(written)});
        }
      });
  if (changes.quotas)
    operations.puts.push_back(
        {keys_.quotas(), json::serialize(store::quotas_to_json(*changes.quotas))});
  if (changes.drained_nodes)
    operations.puts.push_back({keys_.drained_nodes(), json::serialize(store::drained_nodes_to_json(
                                                          *changes.drained_nodes))});
  return operations;
}

void Mirror::take_status(const model::Changes& changes) {
  model::for_each_kind(model_, changes,
                       [&]<typename T>(model::Table<T>& table, const model::ChangesOf<T>& changed) {
                         for (const auto& [id, object] : changed.put) {
                           const auto* known = table.lookup(id);
                           if (known && is_same_state(*known, object)) table.put(object);
                         }
                       });
}

void Mirror::take_own(const model::Changes& changes, Head head, std::int64_t revision) {
  model::for_each_kind(
      model_, changes,
      [&]<typename T>(const model::Table<T>& table, const model::ChangesOf<T>& changed) {
        for (const auto& id : changed.removed) {
          generations_.erase(id);
          strange_.erase(id);
        }
        for (const auto& [id, object] : changed.put) {
          const auto* known = table.lookup(id);
          if (!known || !is_same_state(*known, object))
            generations_.insert_or_assign(id, head.generation);
        }
      });
  model::apply(model_, changes);
  head_ = std::move(head);
  revision_ = revision;
}

}  // namespace sluice::fleet
