// Inquiry: asks on the wire who has some addresses, three times within 200 ms (RFC 5227 probes,
// neighbour solicitations), on the event loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.hpp"
#include "network/host.hpp"
#include "network/neighbor_claim.hpp"

namespace sluice::network {

class Inquiry {
 public:
  static constexpr int repetitions = 3;
  static constexpr auto between = std::chrono::milliseconds(60);
  static constexpr auto patience = std::chrono::milliseconds(200);

  // Gets each address's first answer, after `patience` or once all have been answered. Answers of
  // `own` don't count: they are this host's MACs, whose data plane may answer on another NIC of the
  // same wire.
  using Done = std::function<void(std::vector<NeighborClaim>)>;
  static Result<void> start(const boost::asio::any_io_executor& executor,
                            std::vector<Question> questions, std::vector<MacAddress> own,
                            Done done);
};

}  // namespace sluice::network
