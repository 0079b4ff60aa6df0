// NoticeReader: passes on the data plane's notices: next hops without a MAC, and members at which
// new connections fail.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "control/follower.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "network/neighbor_keeper.hpp"

namespace sluice::daemon {

class NoticeReader {
 public:
  // All arguments must outlive the NoticeReader.
  NoticeReader(boost::asio::io_context& loop, dataplane::BpfDataPlane& data_plane,
               network::NeighborKeeper& neighbors, control::Follower& follower);

  // Reads this data plane's notices from now on.
  void read(dataplane::BpfDataPlane& data_plane);

 private:
  void wait();
  void pass_on();

  dataplane::BpfDataPlane* data_plane_;
  unsigned reading_ = 0;  // counts data planes; handlers of an earlier one do nothing
  network::NeighborKeeper& neighbors_;
  control::Follower& follower_;
  boost::asio::posix::stream_descriptor notices_;
  boost::asio::steady_timer pause_;
};

}  // namespace sluice::daemon
