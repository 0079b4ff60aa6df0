// Inspection: the slow functions of a data plane. They walk over all flows, or load programs, which
// the kernel must verify first.
//
// They run only on the slow lane, a thread beside the event loop, so that no eviction waits for
// them. DataPlane::inspect() leads there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/capture.hpp"
#include "control/flows.hpp"

namespace sluice::control {

struct ExpiryReport {
  std::uint32_t live = 0;     // connections in the table
  std::uint32_t expired = 0;  // removed by this sweep
  // Why the ends of connections that are over were not made to speak, so that they can't be reset.
  std::optional<Error> unprobed = {};
  // How many connections have each of the SNAT addresses that were taken away; unset: not counted.
  std::optional<std::map<IpAddress, std::uint64_t>> leaving_sources = {};
};

struct ShortExpiryReport {
  std::uint32_t expired = 0;           // removed by this sweep
  std::chrono::nanoseconds took{};     // CPU time
  std::optional<Error> unprobed = {};  // as above
};

// Ids of programs in the kernel, and the NICs that run the new one.
struct Reloaded {
  std::uint32_t old_program = 0, new_program = 0;
  std::vector<std::string> interfaces;
};

// The functions may be ErrorKind::unsupported.
class Inspection {
 public:
  virtual ~Inspection() = default;

  // Removes idle flows (one sweep), and ends captures and rehearsals that nobody uses any more.
  virtual Result<ExpiryReport> expire_flows() = 0;

  // Removes flows of listeners with short idle times that were silent for so long (one short
  // sweep).
  virtual Result<ShortExpiryReport> expire_short() { return ShortExpiryReport{}; }

  // Live connections that match the filter, at most `limit`, in no order.
  virtual Result<std::vector<Flow>> flows(const FlowFilter&, std::size_t /*limit*/) {
    return fail(ErrorKind::unsupported, "This data plane does not list its connections.");
  }
  // Removes those connections; returns their number. Their next packets belong to an unknown
  // connection.
  virtual Result<std::uint64_t> flush_flows(const FlowFilter&) {
    return fail(ErrorKind::unsupported, "This data plane does not forget connections by request.");
  }
  // Tells what would happen to a first packet, without counting or remembering anything.
  virtual Result<Explanation> explain(const Question&) {
    return fail(ErrorKind::unsupported, "This data plane does not explain itself.");
  }

  // Captures packets, at most one capture at a time (ErrorKind::conflict). It ends when it is
  // stopped, or by a sweep when nothing was taken for ten seconds. ErrorKind::invalid names an
  // unknown reason; the id of a capture that has ended is ErrorKind::not_found.
  virtual Result<Uuid> start_capture(const CaptureFilter&) {
    return fail(ErrorKind::unsupported, "This data plane does not capture packets.");
  }
  virtual Result<Captured> take_captured(const Uuid& capture, std::size_t /*limit*/) {
    return no_capture(capture);
  }
  virtual Result<void> stop_capture(const Uuid& capture) { return no_capture(capture); }

  // Loads the program anew over the same maps, and exchanges it under live traffic on all NICs or
  // none. Connections stay, because they are in the maps.
  virtual Result<Reloaded> reload() {
    return fail(ErrorKind::unsupported, "This data plane has no program to load anew.");
  }

 protected:
  static tl::unexpected<Error> no_capture(const Uuid& id) {
    return fail(ErrorKind::not_found, "Capture " + to_string(id) + " could not be found.");
  }
};

// Work for the slow lane. It returns a function that passes the outcome on, for the event loop; or
// none.
using Inspecting = std::function<std::function<void()>(Inspection&)>;

// The client that waits for an answer, and may go before it comes. Any thread may ask.
class Asker {
 public:
  Asker() = default;  // never goes
  explicit Asker(std::weak_ptr<const void> life) : may_go_(true), life_(std::move(life)) {}
  bool is_gone() const { return may_go_ && life_.expired(); }

 private:
  bool may_go_ = false;
  std::weak_ptr<const void> life_;
};

}  // namespace sluice::control
