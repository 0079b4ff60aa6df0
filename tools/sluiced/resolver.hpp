// Resolver: serves the data plane's requests for next hops whose MAC it misses.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "dataplane/bpf_data_plane.hpp"
#include "network/neighbor_keeper.hpp"

namespace sluice::daemon {

class Resolver {
 public:
  // Both must outlive the Resolver.
  Resolver(boost::asio::io_context& loop, dataplane::BpfDataPlane& data_plane,
           network::NeighborKeeper& neighbors);

 private:
  void wait();
  void serve();

  dataplane::BpfDataPlane& data_plane_;
  network::NeighborKeeper& neighbors_;
  boost::asio::posix::stream_descriptor requests_;
  boost::asio::steady_timer pause_;
};

}  // namespace sluice::daemon
