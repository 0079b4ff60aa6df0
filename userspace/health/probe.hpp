// probe: one health check of one member, as a coroutine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <string>

#include "model/objects.hpp"

namespace sluice::health {

struct ProbeResult {
  enum class Verdict {
    healthy,
    failed,
    none,  // this machine could not probe (no descriptors, no memory): says nothing about the
           // member
  };
  Verdict verdict = Verdict::none;
  std::string reason;  // "HTTP 200", "connection refused", "timeout after 1 s"
};

// Connects from the host's own address and, for an HTTP monitor, asks once. `timeout` covers
// everything. Never throws but for cancellation, which ends it at once and closes the connection.
boost::asio::awaitable<ProbeResult> probe(boost::asio::ip::tcp::endpoint member,
                                          const model::HealthMonitor& settings,
                                          std::chrono::milliseconds timeout);

}  // namespace sluice::health
