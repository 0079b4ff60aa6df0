// Peering: starts what tells other nodes of this node's connections, if the options want it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "control/controller.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "fleet/membership.hpp"
#include "options.hpp"
#include "peers/channel.hpp"

namespace sluice::daemon {

class Peering {
 public:
  // Reads the keys, if they are in a file, and opens the socket.
  static Result<Peering> open(boost::asio::io_context& loop, const Options& options);

  // Exchanges the connections of this data plane from now on, or has it tell nothing. A data plane
  // that knows no replicas is told in the log.
  void follow(const dataplane::BpfDataPlane& data_plane);
  // Starts the thread. `membership`: knows the peers of a fleet, and its key; null: they are those
  // of the options. Both must outlive this. To be called before membership->start().
  Result<void> start(control::Controller& controller, fleet::Membership* membership);
  // Another node may get this one's packets, or this one another's.
  void routes_changed() {
    if (channel_) channel_->routes_changed();
  }

  // What this node lacks of its peers' connections, in words; empty: it has all of those that it
  // hears, or has no peers.
  std::string lacks() const;

  // Null: nobody is told anything.
  const control::Peers* peers() const { return channel_.get(); }

 private:
  Peering() = default;
  Result<void> use_keys_of(fleet::Membership& membership);

  std::vector<TcpAddress> peers_;    // of the options
  std::vector<TcpAddress> present_;  // and of the fleet
  std::filesystem::path key_copy_;   // of the fleet's key; empty: it is in a file of the options
  std::unique_ptr<peers::Channel> channel_;
};

}  // namespace sluice::daemon
