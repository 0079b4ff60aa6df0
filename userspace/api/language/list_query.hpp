// ListQuery: what the query string of a list asks for, and the list cut down to it.
//
// Every shown attribute is a filter ("?name=web&admin_state_up=True"); a list of ids answers to its
// singular ("loadbalancer_id" for "loadbalancers"). `tags`, `tags-any`, `not-tags` and
// `not-tags-any` take comma-separated words, `fields` (repeatable) names what to show. `sort` is
// "name:desc,id" (or `sort_key` and `sort_dir`); without it the oldest comes first. `limit` and
// `marker` (the id of the last object seen) page, `page_reverse` pages backwards. What does not fit
// the objects is an error, not an empty list.
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
  // `sample` is any rendered object: it tells which attributes there are.
  static Result<ListQuery> parse(const Query& query, const boost::json::object& sample);

  // Does the page depend on nothing but the objects' order of creation? Then window() tells which
  // of them are on it, before they are rendered, and apply() takes only these.
  bool follows_creation() const { return filters_.empty() && keys_.empty(); }
  struct Window {
    std::size_t first = 0, last = 0;  // behind the last
  };
  // `id_at` gives the id of an object by its place among `count`.
  Result<Window> window(std::size_t count,
                        const std::function<std::string(std::size_t)>& id_at) const;
  // The page of these objects, which come oldest first. `url` is what the links lead to.
  Result<Page> apply(std::vector<boost::json::object> objects, std::string_view url) const;
  // The object cut down to the fields that were asked for.
  boost::json::object project(boost::json::object object) const;

 private:
  struct SortKey {
    std::string name;
    bool descending = false;
  };

  Result<void> set_paging(const std::string& name, const std::string& value);
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

// What is wrong with `limit` or a sort direction, which the real service looks at on every GET
// before it looks at the path's object; empty when they are right.
std::string paging_problem(const Query& query);

// What the real service takes for true in "?cascade=".
bool is_true(std::string_view text);

}  // namespace sluice::api
