// Server: the Load Balancer API v2 as JSON over HTTP on sluiced's endpoints, and its metrics.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "api/language/address_holders.hpp"
#include "api/language/events.hpp"
#include "api/server/endpoints.hpp"
#include "api/server/http_listener.hpp"
#include "base/turn_times.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "control/peers.hpp"
#include "control/vip_routes.hpp"
#include "records/recorder.hpp"

namespace sluice::api {

// One answered request, for the daemon's log.
struct Exchange {
  std::string method;
  std::string target;
  unsigned status = 0;
  std::string request_id;
  Peer peer;
  std::string internal_error;  // what went wrong inside sluiced; empty below status 500
  std::string who;             // the caller's name
};

// A request that was denied because of its sender.
struct Denied {
  std::string method;
  std::string target;
  unsigned status = 0;
  Peer peer;
  std::string reason;
  std::size_t unreported = 0;  // further ones since the last report
};

struct Options {
  std::string default_project_id = no_project_id;
  // Tells who may already have a new VIP's address; null: nobody is asked. Must outlive the server.
  AddressHolders* holders = nullptr;
  // Is called after each answer of the API (on the context's thread).
  std::function<void(const Exchange&)> on_exchange = {};
  // Is called for requests without the right credentials or from a foreign web page, at most ten
  // times a minute, because everybody who reaches the port can cause it.
  std::function<void(const Denied&)> on_denied = {};
  // Of the program, for the metrics; empty: left out.
  std::string_view version = {}, revision = {};
  // The event loop's turns, for the metrics; null: left out. Must outlive the server.
  const TurnTimes* turns = nullptr;
  // The list of events; must outlive the controller's changes. Null: a list that nobody reads.
  Events* events = nullptr;
  // How this node announces its VIPs; null: it doesn't. Must outlive the server.
  const control::VipRoutes* vip_routes = nullptr;
  // Of the recorder, for the metrics; null: nothing is recorded. Must outlive the server.
  const records::Recorder::Counts* records = nullptr;
  std::string node = {};  // its name
  // The other nodes with the same desired state; null: there are none. Must outlive the server.
  control::Fleet* fleet = nullptr;
  // The nodes that are told of connections; null: none. Must outlive the server.
  const control::Peers* peers = nullptr;
};

class Server {
 public:
  // Serves on the context's thread. The controller must outlive the server.
  Server(boost::asio::io_context& context, control::Controller& controller, Endpoints endpoints,
         Options options);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) = delete;
  ~Server();  // stops serving and removes the socket's file

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::api
