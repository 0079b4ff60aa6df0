#include "resolver.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>

namespace sluice::daemon {
namespace {

// A flood of packets to unresolved neighbours is a flood of requests: they are taken in batches.
constexpr auto between_batches = std::chrono::milliseconds(5);

}  // namespace

Resolver::Resolver(boost::asio::io_context& loop, dataplane::BpfDataPlane& data_plane,
                   network::NeighborKeeper& neighbors)
    : data_plane_(data_plane), neighbors_(neighbors), requests_(loop), pause_(loop) {
  const int fd = data_plane_.resolve_requests_fd();
  if (fd < 0) return;
  requests_.assign(fcntl(fd, F_DUPFD_CLOEXEC, 0));  // the original belongs to the data plane
  wait();
}

void Resolver::wait() {
  requests_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [this](const boost::system::error_code& error) {
                         if (!error) serve();
                       });
}

void Resolver::serve() {
  const auto requests = data_plane_.take_resolve_requests();
  if (!requests) {
    spdlog::error("take the data plane's requests for next hops: {}", requests.error().text());
  } else {
    for (const auto& request : *requests)
      neighbors_.resolve(request.interface_index, request.address);
  }
  pause_.expires_after(between_batches);
  pause_.async_wait([this](const boost::system::error_code& error) {
    if (!error) wait();
  });
}

}  // namespace sluice::daemon
