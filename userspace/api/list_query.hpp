// ListQuery: what the query string of a list asks for.
//
// Every shown attribute is a filter ("?name=web&admin_state_up=True"); a list of ids answers to its
// singular ("loadbalancer_id" for "loadbalancers"). `tags` wants all of its comma-separated words,
// `fields` (repeatable) names what to show. A filter that the objects don't have is an error, not
// an empty list.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace sluice::api {

class ListQuery {
 public:
  // `sample` is any rendered object: it tells which attributes there are.
  static Result<ListQuery> parse(const std::vector<std::pair<std::string, std::string>>& query,
                                 const boost::json::object& sample);

  bool matches(const boost::json::object& object) const;
  // The object cut down to the fields that were asked for.
  boost::json::object project(boost::json::object object) const;

 private:
  std::vector<std::pair<std::string, std::string>> filters_;
  std::vector<std::string> fields_;
};

}  // namespace sluice::api
