// ListQuery: parses the query string of a list, and applies it to the list.
//
// Every shown attribute is a filter ("?name=web&admin_state_up=True"); a list of ids answers to its
// singular ("loadbalancer_id" for "loadbalancers"). `tags`, `tags-any`, `not-tags` and
// `not-tags-any` take comma-separated words, `fields` (repeatable) names what to show. `sort` is
// "name:desc,id" (or `sort_key` and `sort_dir`); without it the oldest comes first. `limit` and
// `marker` (the id of the last object seen) page, `page_reverse` pages backwards. A filter that
// does not fit the objects is an error, not an empty list.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sluice::api {

using Query = std::vector<std::pair<std::string, std::string>>;

struct Page {
  boost::json::array objects;
  boost::json::array links;  // [{"rel": "next", "href": ...}]
};

class ListQuery {
 public:
  // `sample` is any rendered object, for the names of the attributes.
  static Result<ListQuery> parse(const Query& query, const boost::json::object& sample);

  // Says whether the page depends on nothing but the order of creation. Then pick() tells before
  // rendering which objects are on it, and apply() takes only these.
  bool follows_creation() const { return filters_.empty() && keys_.empty(); }
  // Returns the places of the page's objects among `count` that come oldest first. `place_of` finds
  // an object's place by its id; nullopt: it isn't in the list. `is_shown` is asked of no more
  // places than the page needs.
  using PlaceOf = std::function<std::optional<std::size_t>(const std::string& id)>;
  using IsShown = std::function<bool(std::size_t)>;
  Result<std::vector<std::size_t>> pick(std::size_t count, const PlaceOf& place_of,
                                        const IsShown& is_shown) const;
  // The page of these objects, which come oldest first. `url` is the links' URL without query.
  Result<Page> apply(std::vector<boost::json::object> objects, std::string_view url) const;
  // Reduces the object to the fields that were asked for.
  boost::json::object project(boost::json::object object) const;

 private:
  struct SortKey {
    std::string name;
    bool descending = false;
  };

  Result<void> set_paging(const std::string& name, const std::string& value);
  void add_filter(const std::string& name, const std::string& value);
  Result<void> set_sorting(const boost::json::object& sample);
  Result<void> add_sort_key(const boost::json::object& sample, const std::string& name,
                            const std::string& direction);
  bool matches(const boost::json::object& object) const;
  void sort(std::vector<boost::json::object>& objects) const;
  boost::json::array links(const std::vector<boost::json::object>& page,
                           std::string_view url) const;

  Query filters_;
  std::vector<std::string> fields_;
  std::vector<SortKey> keys_;
  std::string sort_, sort_key_, sort_dir_, marker_;
  std::optional<std::size_t> limit_;
  bool backwards_ = false;
};

// Says what is wrong with `limit` or a sort direction; empty if they are right. The real service
// checks them on every GET before it looks at the path's object.
std::string paging_problem(const Query& query);

// Says whether the real service takes the text for true in "?cascade=".
bool is_true(std::string_view text);

}  // namespace sluice::api
