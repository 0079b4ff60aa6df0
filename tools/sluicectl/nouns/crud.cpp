#include "sluicectl/nouns/crud.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>
#include <charconv>
#include <cstdlib>

#include "sluicectl/grammar/checks.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/output/json_text.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

std::string in_case(std::string text, int (*convert)(int)) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [convert](unsigned char c) { return static_cast<char>(convert(c)); });
  return text;
}

// Precondition: the parser has checked that it is a number.
std::int64_t integer(const std::string& text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

json::array array_of(const std::vector<std::string>& texts) {
  json::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

// The paths that the command line names: the collection's and the target's.
struct Place {
  std::string collection;
  std::string target;  // empty for verbs without one
};

Result<std::string> resolve(Client& client, const Resource& resource,
                            const std::string& name_or_id) {
  return client.resolve(resource, resource.path, name_or_id, resource.command + " list");
}

Result<Place> find_place(const Call& call) {
  const auto& resource = *call.noun.resource;
  Place place{resource.path, {}};
  std::string see = resource.command + " list";
  for (const auto& positional : call.verb.positionals) {
    const auto& typed = call.invocation.positionals.at(positional.name);
    if (positional.role == Role::parent) {
      const auto id = resolve(call.client, *positional.resource, typed);
      if (!id) return tl::unexpected(id.error());
      place.collection = with_parent(resource.path, *id);
      see += " " + typed;
    } else if (positional.role == Role::target) {
      const auto id = call.client.resolve(resource, place.collection, typed, see);
      if (!id) return tl::unexpected(id.error());
      place.target = place.collection + "/" + *id;
    }
  }
  return place;
}

// Adds the subject to an error: "create listener '80_listener'".
Error about_object(const Call& call, Error error) {
  std::string what = call.verb.name + " " + call.noun.resource->singular;
  std::string object = call.invocation.value("name");
  for (const auto& positional : call.verb.positionals)
    if (positional.role == Role::target) object = call.invocation.positionals.at(positional.name);
  if (!object.empty()) what += " '" + object + "'";
  return about(what, std::move(error));
}

// Computes the object's new tags from its present ones.
Result<json::array> changed_tags(const Call& call, const std::string& target) {
  std::vector<std::string> tags;
  if (!call.invocation.has("no-tag") && !call.invocation.has("all-tag")) {
    const auto object = call.client.fetch(target, call.noun.resource->wrapper);
    if (!object) return tl::unexpected(object.error());
    if (const auto* current = object->if_contains("tags"); current && current->is_array())
      for (const auto& tag : current->get_array())
        if (tag.is_string()) tags.emplace_back(tag.get_string());
  }
  for (const auto& option : call.verb.options) {
    for (const auto& tag : call.invocation.values(option.name)) {
      if (option.kind == Kind::add_tag || option.kind == Kind::drop_tag) std::erase(tags, tag);
      if (option.kind == Kind::add_tag) tags.push_back(tag);
    }
  }
  return array_of(tags);
}

// "subnet-id=private,ip-address=10.0.0.9" -> {"subnet_id": "<id>", "ip_address": "10.0.0.9"}.
// Precondition: the parser has checked the form.
Result<json::value> object_of(const Call& call, const std::string& pairs) {
  json::object out;
  for (std::size_t at = 0; at < pairs.size();) {
    const auto end = std::min(pairs.find(',', at), pairs.size());
    const auto equals = pairs.find('=', at);
    auto key = pairs.substr(at, equals - at);
    auto value = pairs.substr(equals + 1, end - equals - 1);
    std::replace(key.begin(), key.end(), '-', '_');
    if (key == "subnet_id") {
      auto id = resolve(call.client, subnet_resource(), value);
      if (!id) return tl::unexpected(id.error());
      value = std::move(*id);
    }
    out[key] = value;
    at = end + 1;
  }
  return out;
}

Result<json::value> objects_of(const Call& call, const std::vector<std::string>& all) {
  json::array out;
  for (const auto& pairs : all) {
    auto object = object_of(call, pairs);
    if (!object) return object;
    out.push_back(std::move(*object));
  }
  return out;
}

Result<json::value> attribute_value(const Call& call, const Option& option,
                                    const std::string& target) {
  const auto typed = call.invocation.value(option.name);
  switch (option.kind) {
    case Kind::integer:
      return json::value(integer(typed));
    case Kind::ports:
      return json::value(ports_in(typed)->first);
    case Kind::decimal:
      return json::value(std::strtod(typed.c_str(), nullptr));
    case Kind::upper:
      return json::value(in_case(typed, std::toupper));
    case Kind::lower:
      return json::value(in_case(typed, std::tolower));
    case Kind::list:
      return json::value(array_of(call.invocation.values(option.name)));
    case Kind::pairs:
      return object_of(call, typed);
    case Kind::pairs_list:
      return objects_of(call, call.invocation.values(option.name));
    case Kind::reference:
      return resolve(call.client, *option.resource, typed).map([](const std::string& id) {
        return json::value(id);
      });
    case Kind::flag_true:
      return json::value(true);
    case Kind::flag_false:
      return json::value(false);
    case Kind::flag_null:
      return json::value(nullptr);
    case Kind::add_tag:
    case Kind::drop_tag:
    case Kind::no_tags:
      return changed_tags(call, target).map([](json::array tags) {
        return json::value(std::move(tags));
      });
    case Kind::text:
    case Kind::local:
      break;
  }
  return json::value(typed);
}

}  // namespace

Result<json::object> attributes(const Call& call, const std::string& target) {
  json::object out;
  for (const auto& positional : call.verb.positionals) {
    if (positional.role != Role::attribute) continue;
    const auto id =
        resolve(call.client, *positional.resource, call.invocation.positionals.at(positional.name));
    if (!id) return tl::unexpected(id.error());
    out[positional.attribute] = *id;
  }
  for (const auto& option : call.verb.options) {
    if (option.kind == Kind::local || !call.invocation.has(option.name)) continue;
    auto value = attribute_value(call, option, target);
    if (!value) return tl::unexpected(value.error());
    out[option.attribute] = std::move(*value);
    if (option.kind != Kind::ports) continue;
    if (const auto last = ports_in(call.invocation.value(option.name))->last)
      out[option.attribute + "_range"] = *last;
  }
  return out;
}

namespace {

// Makes the query from the filters.
Result<Query> filters(const Call& call) {
  const auto wanted = attributes(call, {});
  if (!wanted) return tl::unexpected(wanted.error());
  Query query;
  for (const auto& [key, value] : *wanted) {
    query.emplace_back(key, value.is_string() ? std::string(value.get_string())
                            : value.is_bool() ? (value.get_bool() ? "True" : "False")
                                              : json::serialize(value));
  }
  return query;
}

Result<Answer> shown(const Call& call, Result<json::object> object, const std::string& path) {
  const auto& resource = *call.noun.resource;
  if (object && call.invocation.has("wait"))
    object = call.client.wait_until_settled(path, resource.wrapper);
  if (!object) return tl::unexpected(about_object(call, object.error()));
  return to_record(*object, resource);
}

}  // namespace

Result<Answer> create(const Call& call) {
  const auto& resource = *call.noun.resource;
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  auto body = attributes(call, {});
  if (!body) return tl::unexpected(body.error());
  auto made = call.client.send("POST", place->collection, resource.wrapper, std::move(*body));
  std::string path = place->collection + "/";
  if (made && made->contains("id") && made->at("id").is_string())
    path += made->at("id").get_string();
  return shown(call, std::move(made), path);
}

Result<Answer> list(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  const auto query = filters(call);
  if (!query) return tl::unexpected(query.error());
  const auto& resource = *call.noun.resource;
  auto objects = call.client.list(place->collection, resource.collection, *query);
  if (!objects) return tl::unexpected(about("list " + resource.singular + "s", objects.error()));
  return to_listing(*objects, resource, call.verb.columns);
}

Result<Answer> show(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  auto object = call.client.fetch(place->target, call.noun.resource->wrapper);
  if (!object) return tl::unexpected(about_object(call, object.error()));
  return to_record(*object, *call.noun.resource);
}

Result<Answer> set(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  auto body = attributes(call, place->target);
  if (!body) return tl::unexpected(body.error());
  auto changed =
      call.client.send("PUT", place->target, call.noun.resource->wrapper, std::move(*body));
  return shown(call, std::move(changed), place->target);
}

Result<Answer> remove(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  const std::string query = call.invocation.has("cascade") ? "?cascade=True" : "";
  const auto removed = call.client.request("DELETE", place->target + query);
  if (!removed) return tl::unexpected(about_object(call, removed.error()));
  if (call.invocation.has("wait")) {
    const auto gone = call.client.wait_until_gone(place->target, call.noun.resource->wrapper);
    if (!gone) return tl::unexpected(about_object(call, gone.error()));
  }
  return Answer{};
}

Result<Answer> failover(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  const auto started = call.client.request("PUT", place->target + "/failover");
  if (!started) return tl::unexpected(about_object(call, started.error()));
  if (call.invocation.has("wait")) {
    const auto& wrapper = call.noun.resource->wrapper;
    const auto settled = call.client.wait_until_settled(place->target, wrapper);
    if (!settled) return tl::unexpected(about_object(call, settled.error()));
  }
  return Answer{};
}

const std::vector<std::string>& stats_rows() {
  static const std::vector<std::string> rows = {"active_connections", "bytes_in", "bytes_out",
                                                "request_errors", "total_connections"};
  return rows;
}

Result<Answer> show_stats(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  const auto stats = call.client.fetch(place->target + "/stats", "stats");
  if (!stats) return tl::unexpected(about_object(call, stats.error()));
  Resource shape;
  shape.rows = stats_rows();
  return to_record(*stats, shape);
}

Result<Answer> show_status(const Call& call) {
  const auto place = find_place(call);
  if (!place) return tl::unexpected(place.error());
  const auto tree = call.client.fetch(place->target + "/status", "statuses");
  if (!tree) return tl::unexpected(about_object(call, tree.error()));
  return Answer{pretty(*tree, 4) + "\n"};
}

}  // namespace sluice::ctl
