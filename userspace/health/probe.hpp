// Probe: one health check of one member, while it is under way. Prober starts them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "health/vip_probes.hpp"
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
  std::string reason;                  // "HTTP 200", "connection refused", "timeout after 1 s"
  std::uint32_t weight_percent = 100;  // what a healthy member asks for of its weight
};

// Judges an errno of a probe's socket: it is about the member, or about this machine.
ProbeResult failure(int error);

class Probe {
 public:
  using Done = std::function<void(ProbeResult)>;

  explicit Probe(Done done) : done_(std::move(done)) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  virtual ~Probe() = default;  // ends it at once; `done` isn't called then

  // How much longer it may take although its time is over, because it had to wait for its turn.
  virtual std::chrono::steady_clock::duration extra_time(std::chrono::milliseconds /*time*/) const {
    return {};
  }
  // The result of a probe that isn't done when its time is over.
  virtual ProbeResult timed_out(std::chrono::milliseconds time) const;

  // Says whether its packets have gone as it was asked: to the member's own address, or to the VIP
  // there.
  bool went_as_asked() const { return !ticket_ || ticket_->used(); }

 protected:
  // Has the socket's packets go to the VIP at the member, if `lead` isn't empty. Returns a result
  // if they can't.
  std::optional<ProbeResult> lead_to_vip(const Lead& lead, int socket, std::uint8_t protocol,
                                         std::uint32_t echo = 0);

  // A probe calls this last: the owner destroys it meanwhile.
  void finish(ProbeResult result) {
    const auto done = std::move(done_);
    done(std::move(result));
  }

 private:
  Done done_;
  std::unique_ptr<VipProbes::Ticket> ticket_;
};

}  // namespace sluice::health
