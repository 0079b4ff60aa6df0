// Messages: an HTTP exchange as plain values, so that routes, handlers and their tests need no
// socket.
#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/language/identity.hpp"
#include "base/result.hpp"
#include "base/turn_times.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "control/peers.hpp"
#include "control/vip_routes.hpp"

namespace sluice::api {

class AddressClaims;
class AddressHolders;
class Events;
class Feed;
class Pieces;
struct EventSearch;

struct Request {
  std::string method;  // "GET"
  std::string target;  // path and query as sent: "/v2.0/lbaas/listeners?name=web"
  std::string body;
  std::string content_type = "application/json";
  std::string host = "localhost";  // for the links of version discovery and of lists
  std::string scheme = "http";     // "https" where the client came in TLS
  std::string accept = {};         // the Accept header
  Identity who = {};               // the caller, as access.hpp found out
  std::string id = {};             // X-Openstack-Request-Id; empty: the server makes one
  std::string subject_token = {};  // X-Subject-Token: the token to read or to end
  std::string cookies = {};        // Cookie
  std::string known_version = {};  // If-None-Match: the version that a browser has already
  // The contents of a restore's body, once it is read.
  std::shared_ptr<const model::Model> backup = {};
  control::Asker asker = {};  // the client, which may go before its answer comes
};

// A target without its query: "/v2.0/lbaas/listeners".
inline std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

struct Response {
  unsigned status = 200;
  std::string body;            // empty for 204
  std::string request_id;      // x-openstack-request-id
  std::string allow;           // the Allow header of a 405
  std::string internal_error;  // what went wrong inside, for the daemon's log; empty below 500
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};  // others
  std::shared_ptr<Feed> feed = {};      // if set, what the body is made of, as it comes (feed.hpp)
  std::shared_ptr<Pieces> pieces = {};  // if set, the body, made while it is sent (pieces.hpp)
};

// How clients connect over TCP, for their configuration files.
struct Entrance {
  std::string endpoint;  // as the operator configured it; empty: there is no TCP
  bool with_token = false;
  bool with_identity = false;  // by name and password, too
  std::vector<Identity> users = {};
};

// The world of a handler.
struct Context {
  control::Controller& controller;
  std::string default_project_id;
  Events& events;
  Entrance entrance = {};
  AddressHolders* holders = nullptr;               // null: every address is free
  AddressClaims* claims = nullptr;                 // of the present request
  const control::VipRoutes* vip_routes = nullptr;  // null: VIPs are not announced to routers
  std::string node = {};                           // this node's name
  EventSearch* event_search = nullptr;    // set by the handler of GET /v1/events; may be null
  const TurnTimes* turns = nullptr;       // the event loop's; null: there is none
  control::Fleet* fleet = nullptr;        // null: this node is alone
  const control::Peers* peers = nullptr;  // null: nobody is told of connections
};

// A request with its route's parameters.
struct Call {
  const Context& context;
  const Request& request;
  std::vector<std::string> ids;                            // the {…} of the path, in order
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
};

// A handler's result on success; an Error becomes a fault (fault.hpp).
struct Reply {
  unsigned status = 200;
  std::optional<boost::json::value> body;
  // If this is not JSON, `body` is a string with the text.
  std::string_view content_type = "application/json";

  // If set, the reply is what this function returns. It runs on the slow lane and may touch nothing
  // that belongs to the event loop.
  std::function<Result<Reply>(control::Inspection&)> inspect = {};
  // If set, the reply is what this function makes of what the other nodes of the fleet count.
  struct Asked {
    std::set<Uuid> listeners;
    bool connections = false;
    std::function<Result<Reply>(const control::FleetCounts&)> reply;
  };
  std::shared_ptr<Asked> asked = {};
  // If set in a reply of `inspect`, the reply is what this function returns. It runs on the event
  // loop and may look at the model.
  std::function<Result<Reply>()> afterwards = {};
  // If set, the reply is what this function returns, which does the next part of the request's
  // work. The request and its context live until the whole is done.
  std::function<Result<Reply>()> resume = {};

  bool is_json() const { return content_type == "application/json"; }
};

using Handler = Result<Reply> (*)(const Call& call);

}  // namespace sluice::api
