// Server: the Load Balancer API v2 as JSON over HTTP on sluiced's endpoints, and its metrics.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/language/address_holders.hpp"
#include "api/language/events.hpp"
#include "api/server/endpoints.hpp"
#include "api/server/http_listener.hpp"
#include "base/turn_times.hpp"
#include "control/controller.hpp"

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

// A request that was turned away for who sent it.
struct Denied {
  std::string method;
  std::string target;
  unsigned status = 0;
  Peer peer;
  std::string reason;
  std::size_t unreported = 0;  // others, since the last one that was told
};

struct Options {
  std::string default_project_id = no_project_id;
  // Who else may have the address of a new VIP; null: nobody is asked. Must outlive the server.
  AddressHolders* holders = nullptr;
  // Called after each answer of the API (on the context's thread).
  std::function<void(const Exchange&)> on_exchange = {};
  // Called for requests without the right credentials or from a foreign web page, but not more than
  // ten times a minute: everybody who reaches the port can cause it.
  std::function<void(const Denied&)> on_denied = {};
  // Of the event loop, for the metrics; null: not told. Must outlive the server.
  const TurnTimes* turns = nullptr;
  // What happens is noted here; must outlive the controller's changes. Null: a list that
  // nobody reads.
  Events* events = nullptr;
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
