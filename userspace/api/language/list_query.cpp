#include "api/language/list_query.hpp"

#include <algorithm>
#include <boost/algorithm/string/case_conv.hpp>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>
#include <charconv>

#include "api/language/fault.hpp"

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

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  boost::split(words, text, boost::is_any_of(","));
  return words;
}

// The tag filters of OpenStack's API guidelines: all of the words, any of them, and their
// opposites.
constexpr std::string_view tag_filters[] = {"tags", "tags-any", "not-tags", "not-tags-any"};

bool is_tag_filter(std::string_view name) {
  return std::ranges::find(tag_filters, name) != std::end(tag_filters);
}

bool matches_tags(const json::array& tags, std::string_view filter, const std::string& wanted) {
  const auto words = split(wanted);
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

constexpr std::string_view paging_words[] = {"limit",    "marker",   "page_reverse", "sort",
                                             "sort_key", "sort_dir", "fields"};

bool is_paging(std::string_view name) {
  return std::ranges::find(paging_words, name) != std::end(paging_words);
}

// Compares values of one attribute: they are all of one kind, or null, which comes first.
bool less(const json::value& a, const json::value& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && !b.is_null();
  if (a.is_string() && b.is_string()) return a.get_string() < b.get_string();
  if (a.is_bool() && b.is_bool()) return a.get_bool() < b.get_bool();
  if (a.is_number() && b.is_number()) return a.to_number<double>() < b.to_number<double>();
  return false;
}

const json::value& attribute(const json::object& object, const std::string& name) {
  static const json::value none;
  const auto* value = object.if_contains(name);
  return value ? *value : none;
}

bool is_integer(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

std::string encoded(std::string_view text) {
  return boost::urls::encode(text, boost::urls::unreserved_chars + ":,");
}

std::string id_of(const json::object& object) {
  return std::string(object.at("id").as_string());
}

}  // namespace

bool is_true(std::string_view text) {
  for (auto yes : {"1", "t", "true", "on", "y", "yes"}) {
    if (boost::iequals(text, yes)) return true;
  }
  return false;
}

std::string paging_problem(const Query& query) {
  const auto direction = [](const std::string& word) -> std::string {
    if (boost::iequals(word, "asc") || boost::iequals(word, "desc")) return {};
    return "Supplied sort direction '" + boost::to_lower_copy(word) + "' is not valid.";
  };
  std::vector<std::string> directions;
  for (const auto& [name, value] : query) {
    if (name == "limit" && value != "infinite" && !is_integer(value)) {
      return "Supplied pagination limit '" + value + "' is not valid.";
    }
    if (name == "sort_dir" && !value.empty()) directions = split(value);
    if (name != "sort" || value.empty()) continue;
    for (const auto& word : split(value)) {
      const auto colon = word.find(':');
      if (colon != std::string::npos) directions.push_back(word.substr(colon + 1));
    }
  }
  for (const auto& word : directions) {
    if (auto problem = direction(word); !problem.empty()) return problem;
  }
  return {};
}

Result<ListQuery> ListQuery::parse(const Query& query, const json::object& sample) {
  ListQuery out;
  for (const auto& [name, value] : query) {
    if (is_paging(name)) {
      if (auto set = out.set_paging(name, value); !set) return tl::unexpected(set.error());
    } else if (is_filter(sample, name)) {
      out.add_filter(name, value);
    } else {
      return fail(ErrorKind::invalid, "One or more arguments are either duplicate or invalid",
                  name);
    }
  }
  if (auto set = out.set_sorting(sample); !set) return tl::unexpected(set.error());
  return out;
}

// A tag filter that is repeated is one with all of the words: `tags-any=a&tags-any=b` asks for
// either.
void ListQuery::add_filter(const std::string& name, const std::string& value) {
  const auto former = std::ranges::find(filters_, name, &Query::value_type::first);
  if (is_tag_filter(name) && former != filters_.end()) {
    former->second += "," + value;
  } else {
    filters_.emplace_back(name, value);
  }
}

Result<void> ListQuery::set_paging(const std::string& name, const std::string& value) {
  if (name == "fields") {
    fields_.push_back(value);
  } else if (name == "limit") {
    std::int64_t limit = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
    if (error != std::errc() || end != value.data() + value.size()) limit = 0;  // "infinite"
    if (limit > 0) limit_ = static_cast<std::size_t>(limit);
  } else if (name == "page_reverse") {
    backwards_ = is_true(value);
  } else if (name == "marker") {
    marker_ = value;
  } else {
    (name == "sort" ? sort_ : name == "sort_key" ? sort_key_ : sort_dir_) = value;
  }
  return {};
}

Result<void> ListQuery::set_sorting(const json::object& sample) {
  if (!sort_.empty()) {
    for (const auto& word : split(sort_)) {
      const auto colon = word.find(':');
      const auto direction = colon == std::string::npos ? "asc" : word.substr(colon + 1);
      if (auto added = add_sort_key(sample, word.substr(0, colon), direction); !added) return added;
    }
  } else if (!sort_key_.empty()) {
    const auto directions = sort_dir_.empty() ? std::vector<std::string>() : split(sort_dir_);
    std::size_t at = 0;
    for (const auto& name : split(sort_key_)) {
      const auto direction = at < directions.size() ? directions[at] : "asc";
      if (auto added = add_sort_key(sample, name, direction); !added) return added;
      at++;
    }
  }
  return {};
}

Result<void> ListQuery::add_sort_key(const json::object& sample, const std::string& name,
                                     const std::string& direction) {
  const bool descending = boost::iequals(direction, "desc");
  const auto* value = sample.if_contains(name);
  if (!value || value->is_array() || value->is_object()) {
    return fail(ErrorKind::invalid, "Supplied sort key '" + name + "' is not valid.");
  }
  keys_.push_back({name, descending});
  return {};
}

bool ListQuery::matches(const json::object& object) const {
  return std::ranges::all_of(filters_, [&](const auto& filter) {
    return matches_one(object, filter.first, filter.second);
  });
}

// Sorts by the least important key first, with stable sorts, so equal objects stay in the order of
// their creation. The real time of creation is finer than the second that is shown, so sorting by
// it gives that order or its reverse.
void ListQuery::sort(std::vector<json::object>& objects) const {
  for (auto key = keys_.rbegin(); key != keys_.rend(); ++key) {
    if (key->name == "created_at") {
      if (key->descending) std::ranges::reverse(objects);
      continue;
    }
    std::ranges::stable_sort(objects, [&](const json::object& a, const json::object& b) {
      const auto& left = attribute(a, key->name);
      const auto& right = attribute(b, key->name);
      return key->descending ? less(right, left) : less(left, right);
    });
  }
}

// Pages backwards begin at the marker.
Result<std::vector<std::size_t>> ListQuery::pick(std::size_t count, const PlaceOf& place_of,
                                                 const IsShown& is_shown) const {
  std::vector<std::size_t> page;
  const auto most = limit_.value_or(count);
  const auto add = [&](std::size_t place) {
    if (is_shown(place)) page.push_back(place);
  };
  std::size_t first = 0;
  if (!marker_.empty()) {
    const auto marked = place_of(marker_);
    if (!marked) {
      return fail(ErrorKind::invalid, "Supplied pagination marker '" + marker_ + "' is not valid.");
    }
    if (backwards_) {
      for (auto at = *marked; at > 0 && page.size() < most;) add(--at);
      std::ranges::reverse(page);
      return page;
    }
    first = *marked + 1;
  }
  for (auto at = first; at < count && page.size() < most; ++at) add(at);
  return page;
}

Result<Page> ListQuery::apply(std::vector<json::object> objects, std::string_view url) const {
  if (!follows_creation()) {
    // The marker may be any object of the list; the limit counts those that match.
    sort(objects);
    auto first = objects.begin(), last = objects.end();
    if (!marker_.empty()) {
      const auto marked = std::ranges::find_if(
          objects, [&](const json::object& object) { return id_of(object) == marker_; });
      if (marked == objects.end()) {
        return fail(ErrorKind::invalid,
                    "Supplied pagination marker '" + marker_ + "' is not valid.");
      }
      (backwards_ ? last : first) = backwards_ ? marked : std::next(marked);
    }
    std::vector<json::object> wanted;
    std::copy_if(std::make_move_iterator(first), std::make_move_iterator(last),
                 std::back_inserter(wanted),
                 [&](const json::object& object) { return matches(object); });
    objects = std::move(wanted);
    if (limit_ && objects.size() > *limit_) {
      const auto surplus = static_cast<std::ptrdiff_t>(objects.size() - *limit_);
      const bool nearest_to_marker = backwards_ && !marker_.empty();
      objects.erase(nearest_to_marker ? objects.begin() : objects.end() - surplus,
                    nearest_to_marker ? objects.begin() + surplus : objects.end());
    }
  }
  Page page;
  page.links = links(objects, url);
  for (auto& object : objects) page.objects.push_back(project(std::move(object)));
  return page;
}

// Makes "next" if the page is full, and "previous" if it is not the first, as in the real service.
// Unlike there, the links keep filters and fields.
json::array ListQuery::links(const std::vector<json::object>& page, std::string_view url) const {
  json::array links;
  if (page.empty() || !limit_) return links;
  std::string common = std::string(url) + "?limit=" + std::to_string(*limit_);
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) common.append("&").append(name).append("=").append(encoded(value));
  };
  add("sort", sort_);
  add("sort_key", sort_key_);
  add("sort_dir", sort_dir_);
  for (const auto& [name, value] : filters_) add(name, value);
  for (const auto& name : fields_) add("fields", name);
  if (!marker_.empty()) {
    links.push_back(json::object{
        {"rel", "previous"},
        {"href", common + "&marker=" + id_of(page.front()) + "&page_reverse=True"},
    });
  }
  if (page.size() >= *limit_) {
    links.push_back(
        json::object{{"rel", "next"}, {"href", common + "&marker=" + id_of(page.back())}});
  }
  return links;
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
