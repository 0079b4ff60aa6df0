#include "api/list_query.hpp"

#include <algorithm>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "api/fault.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

bool equals(const json::value& value, const std::string& text) {
  if (value.is_string()) return std::string_view(value.get_string()) == text;
  if (value.is_bool()) {
    return value.get_bool() ? boost::iequals(text, "true") || text == "1"
                            : boost::iequals(text, "false") || text == "0";
  }
  if (value.is_null()) return false;
  return json::serialize(value) == text;
}

// The four tag filters of OpenStack's API guidelines: all of the words, any of them, and their
// opposites.
constexpr std::string_view tag_filters[] = {"tags", "tags-any", "not-tags", "not-tags-any"};

bool is_tag_filter(std::string_view name) {
  return std::ranges::find(tag_filters, name) != std::end(tag_filters);
}

bool matches_tags(const json::array& tags, std::string_view filter, const std::string& wanted) {
  std::vector<std::string> words;
  boost::split(words, wanted, boost::is_any_of(","));
  const auto present = [&](const std::string& word) {
    return std::ranges::any_of(tags,
                               [&](const json::value& tag) { return tag.as_string() == word; });
  };
  const bool holds = filter.ends_with("-any") ? std::ranges::any_of(words, present)
                                              : std::ranges::all_of(words, present);
  return holds != filter.starts_with("not-");
}

// "loadbalancer_id" -> the list "loadbalancers", where there is one.
const json::array* id_list(const json::object& object, std::string_view filter) {
  if (!filter.ends_with("_id")) return nullptr;
  const auto* list = object.if_contains(std::string(filter.substr(0, filter.size() - 3)) + "s");
  return list ? list->if_array() : nullptr;
}

bool is_filter(const json::object& sample, std::string_view name) {
  if (is_tag_filter(name)) return sample.contains("tags");
  if (id_list(sample, name)) return true;
  const auto* value = sample.if_contains(name);
  return value && !value->is_array() && !value->is_object();
}

bool matches_one(const json::object& object, const std::string& name, const std::string& wanted) {
  if (is_tag_filter(name)) return matches_tags(object.at("tags").as_array(), name, wanted);
  const auto* value = object.if_contains(name);
  if (value) return equals(*value, wanted);
  const auto* ids = id_list(object, name);
  return ids && std::ranges::any_of(
                    *ids, [&](const json::value& entry) { return equals(entry.at("id"), wanted); });
}

}  // namespace

Result<ListQuery> ListQuery::parse(const std::vector<std::pair<std::string, std::string>>& query,
                                   const json::object& sample) {
  ListQuery out;
  for (const auto& [name, value] : query) {
    if (name == "fields") {
      out.fields_.push_back(value);
    } else if (is_filter(sample, name)) {
      out.filters_.emplace_back(name, value);
    } else if (std::ranges::count(
                   std::initializer_list<std::string_view>{"limit", "marker", "sort", "sort_key",
                                                           "sort_dir", "page_reverse"},
                   name) > 0) {
      return tl::unexpected(
          unsupported_option("the query parameter " + name + " is not supported by this version"));
    } else {
      return fail(ErrorKind::invalid,
                  "One or more arguments are either duplicate or invalid: " + name);
    }
  }
  return out;
}

bool ListQuery::matches(const json::object& object) const {
  return std::ranges::all_of(filters_, [&](const auto& filter) {
    return matches_one(object, filter.first, filter.second);
  });
}

json::object ListQuery::project(json::object object) const {
  if (fields_.empty()) return object;
  json::object out;
  for (auto& [key, value] : object) {
    if (std::ranges::find(fields_, std::string_view(key)) != fields_.end()) {
      out.emplace(key, std::move(value));
    }
  }
  return out;
}

}  // namespace sluice::api
