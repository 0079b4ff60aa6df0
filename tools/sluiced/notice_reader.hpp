// NoticeReader: passes on what the data plane tells: next hops whose MAC it misses, members that
// new connections find dead.
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
  // Everything must outlive the NoticeReader.
  NoticeReader(boost::asio::io_context& loop, dataplane::BpfDataPlane& data_plane,
               network::NeighborKeeper& neighbors, control::Follower& follower);

  // Reads this one's notices from now on.
  void read(dataplane::BpfDataPlane& data_plane);

 private:
  void wait();
  void pass_on();

  dataplane::BpfDataPlane* data_plane_;
  unsigned reading_ = 0;  // counts data planes; handlers of one before the last do nothing
  network::NeighborKeeper& neighbors_;
  control::Follower& follower_;
  boost::asio::posix::stream_descriptor notices_;
  boost::asio::steady_timer pause_;
};

}  // namespace sluice::daemon
