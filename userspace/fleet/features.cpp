#include "fleet/features.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "fleet/mirror.hpp"
#include "store/object_json.hpp"

namespace sluice::fleet {
namespace json = boost::json;
namespace {

template <typename T>
std::string lacking_of(const json::object& known, const model::ChangesOf<T>& changes) {
  const auto* attributes = known.if_contains(kind_word<T>());
  if (changes.put.empty() || !attributes || !attributes->is_object()) return {};
  static const auto defaults = store::to_json(T{});
  for (const auto& [id, object] : changes.put) {
    for (const auto& [name, value] : store::to_json(object)) {
      const auto* words = attributes->get_object().if_contains(name);
      if (!words && value != defaults.at(name)) return std::string(name);
      if (words && words->is_array() && value.is_string() &&
          std::ranges::count(words->get_array(), value) == 0)
        return std::string(name) + " " + std::string(value.get_string());
    }
  }
  return {};
}

}  // namespace

std::string known_features() {
  json::object known;
  const model::Model none;
  model::for_each_kind(none, [&]<typename T>(const model::Table<T>&) {
    known[kind_word<T>()] = store::known_attributes<T>();
  });
  return json::serialize(known);
}

std::string lacking(const std::string& known, const model::Changes& changes) {
  boost::system::error_code error;
  const auto list = json::parse(known, error);
  if (error || !list.is_object()) return {};
  std::string found;
  const model::Model none;
  model::for_each_kind(none, changes,
                       [&]<typename T>(const model::Table<T>&, const model::ChangesOf<T>& of_kind) {
                         if (found.empty()) found = lacking_of(list.get_object(), of_kind);
                       });
  return found;
}

void Features::reset(std::int64_t revision, const std::vector<KeyValue>& all) {
  revision_ = revision;
  others_.clear();
  for (const auto& [key, value, modified] : all) {
    if (key.starts_with(keys_.features()) && value != own_)
      others_[key.substr(keys_.features().size())] = value;
  }
}

void Features::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (entry.modified <= revision_ || !entry.key.starts_with(keys_.features())) continue;
    const auto name = entry.key.substr(keys_.features().size());
    if (removed || entry.value == own_) {
      others_.erase(name);
    } else {
      others_[name] = entry.value;
    }
  }
}

std::string Features::lacking_at(const std::set<std::string>& nodes,
                                 const model::Changes& changes) const {
  for (const auto& [name, known] : others_) {
    if (!nodes.contains(name)) continue;
    if (auto what = lacking(known, changes); !what.empty()) return name + ": " + what;
  }
  return {};
}

}  // namespace sluice::fleet
