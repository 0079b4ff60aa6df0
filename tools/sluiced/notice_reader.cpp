#include "notice_reader.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>

namespace sluice::daemon {
namespace {

// Notices are read in batches, because a flood of packets to unresolved neighbours is a flood of
// notices.
constexpr auto between_batches = std::chrono::milliseconds(5);

}  // namespace

NoticeReader::NoticeReader(boost::asio::io_context& loop, dataplane::BpfDataPlane& data_plane,
                           network::NeighborKeeper& neighbors, control::Follower& follower)
    : neighbors_(neighbors), follower_(follower), notices_(loop), pause_(loop) {
  read(data_plane);
}

void NoticeReader::read(dataplane::BpfDataPlane& data_plane) {
  data_plane_ = &data_plane;
  ++reading_;
  pause_.cancel();
  boost::system::error_code ignored;
  notices_.close(ignored);
  const int fd = data_plane.notices_fd();
  if (fd < 0) return;
  notices_.assign(fcntl(fd, F_DUPFD_CLOEXEC, 0));  // the data plane owns the original
  wait();
}

void NoticeReader::wait() {
  notices_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this, now = reading_](const boost::system::error_code& error) {
                        if (!error && now == reading_) pass_on();
                      });
}

void NoticeReader::pass_on() {
  const auto notices = data_plane_->take_notices();
  if (!notices) {
    spdlog::error("take the data plane's notices: {}", notices.error().text());
  } else {
    for (const auto& request : notices->requests)
      neighbors_.resolve(request.interface_index, request.address);
    for (const auto& suspicion : notices->suspicions)
      follower_.suspect(suspicion.member, suspicion.many, suspicion.what);
  }
  pause_.expires_after(between_batches);
  pause_.async_wait([this, now = reading_](const boost::system::error_code& error) {
    if (!error && now == reading_) wait();
  });
}

}  // namespace sluice::daemon
