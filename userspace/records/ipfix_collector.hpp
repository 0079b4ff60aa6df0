// IpfixCollector: sends records to a collector, as IPFIX over UDP.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/tcp_address.hpp"
#include "records/ipfix.hpp"

namespace sluice::records {

class IpfixCollector {
 public:
  // RFC 7011, 10.3.6: templates are sent again now and then, because UDP loses some.
  static constexpr auto between_templates = std::chrono::seconds(30);

  // The address is the collector's; over UDP, in spite of its type's name.
  static Result<IpfixCollector> open(const TcpAddress& address, std::uint32_t domain);

  void add(const Connection& connection, std::int64_t wall_offset);
  // Sends what there is, and the templates if it is time.
  void flush(std::int64_t wall_nanoseconds, std::chrono::steady_clock::time_point now);

  std::uint64_t datagrams() const { return datagrams_; }
  std::uint64_t failures() const { return failures_; }  // datagrams that could not be sent

 private:
  IpfixCollector(UniqueFd socket, std::uint32_t domain)
      : socket_(std::move(socket)), messages_(domain) {}
  void send(const Bytes& message);

  UniqueFd socket_;
  IpfixMessages messages_;
  std::chrono::steady_clock::time_point next_templates_{};
  std::uint64_t datagrams_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace sluice::records
