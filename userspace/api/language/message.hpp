// One HTTP exchange as plain values, so that routes, handlers and their tests need no socket.
#pragma once

#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "control/controller.hpp"

namespace sluice::api {

struct Request {
  std::string method;  // "GET"
  std::string target;  // path and query as sent: "/v2.0/lbaas/listeners?name=web"
  std::string body;
  std::string content_type = "application/json";
  std::string host = "localhost";  // for the links of version discovery
};

struct Response {
  unsigned status = 200;
  std::string body;            // empty for 204
  std::string request_id;      // x-openstack-request-id
  std::string allow;           // the Allow header of a 405
  std::string internal_error;  // what went wrong inside, for the daemon's log; empty below 500
  std::string content_type = "application/json";
};

// What a handler works on. It lives as long as the server.
struct Context {
  control::Controller& controller;
  std::string default_project_id;
};

// A request that found its route.
struct Call {
  const Context& context;
  const Request& request;
  std::vector<std::string> ids;                            // the {…} of the path, in order
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
};

// What a handler gives back when all went well; an Error becomes a fault (fault.hpp).
struct Reply {
  unsigned status = 200;
  std::optional<boost::json::value> body;
};

using Handler = Result<Reply> (*)(const Call& call);

}  // namespace sluice::api
