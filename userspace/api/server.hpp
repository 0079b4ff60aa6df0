// Server: the Load Balancer API v2 as JSON over HTTP on a unix socket.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "control/controller.hpp"

namespace sluice::api {

// One answered request, for the daemon's log.
struct Exchange {
  std::string method;
  std::string target;
  unsigned status = 0;
  std::string request_id;
  pid_t peer_pid = -1;  // who asked, as the kernel knows it; -1 where it doesn't
  uid_t peer_uid = static_cast<uid_t>(-1);
  std::string internal_error;  // what went wrong inside sluiced; empty below status 500
};

struct Options {
  std::filesystem::path socket = "/run/sluice/api.sock";
  std::string default_project_id = "00000000000000000000000000000000";
  // Called after each answer (on the context's thread).
  std::function<void(const Exchange&)> on_exchange = {};
};

class Server {
 public:
  // Listens on the socket (directory created, mode 0660, group `sluice` where that group exists; a
  // stale socket file is replaced, one that another sluiced answers on is an error) and serves on
  // the context's thread.
  static Result<Server> listen(boost::asio::io_context& context, control::Controller& controller,
                               Options options);

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // stops serving and removes the socket file

 private:
  struct State;
  explicit Server(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sluice::api
