#include "records/ipfix_collector.hpp"

#include "records/datagrams.hpp"

namespace sluice::records {

Result<IpfixCollector> IpfixCollector::open(const TcpAddress& address, std::uint32_t domain) {
  auto socket = udp_socket_to(address, "the collector");
  if (!socket) return tl::unexpected(std::move(socket.error()));
  return IpfixCollector(std::move(*socket), domain);
}

void IpfixCollector::send(const Bytes& message) {
  const iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};
  ++(send_datagram(socket_.get(), std::span(&part, 1)) ? datagrams_ : failures_);
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
