#include "records/ipfix_collector.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <cerrno>

namespace sluice::records {

Result<IpfixCollector> IpfixCollector::open(const TcpAddress& address, std::uint32_t domain) {
  const boost::asio::ip::udp::endpoint endpoint(address.address, address.port);
  UniqueFd socket(
      ::socket(endpoint.data()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // There may be no way to it yet: then datagrams fail until there is one.
  if (!socket ||
      (::connect(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 &&
       errno != ENETUNREACH && errno != EHOSTUNREACH))
    return fail_errno(errno, "open a socket to the collector " + address.to_string());
  return IpfixCollector(std::move(socket), domain);
}

void IpfixCollector::send(const Bytes& message) {
  // A collector that is not there is told by an earlier datagram's error, which must not cost this
  // one.
  for (int i = 0; i < 2; ++i) {
    if (::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL) >= 0) {
      ++datagrams_;
      return;
    }
    if (errno != ECONNREFUSED) break;
  }
  ++failures_;
}

void IpfixCollector::add(const Connection& connection, std::int64_t wall_offset) {
  messages_.add(connection, wall_offset, [this](const Bytes& message) { send(message); });
}

void IpfixCollector::flush(std::int64_t wall_nanoseconds,
                           std::chrono::steady_clock::time_point now) {
  if (now >= next_templates_) {
    send(messages_.templates(wall_nanoseconds));
    next_templates_ = now + between_templates;
  }
  messages_.finish(wall_nanoseconds, [this](const Bytes& message) { send(message); });
}

}  // namespace sluice::records
