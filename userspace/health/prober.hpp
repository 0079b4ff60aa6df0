// Prober: starts health checks of all types on the event loop.
//
// Everything is a non-blocking socket and a small state machine: no thread, no coroutine, no timer
// of its own. At 10,000 probes a second the kernel's work is what counts, so each type makes as few
// system calls and packets as its question allows; the files of the types say how.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <tl/expected.hpp>

#include "health/probe.hpp"

namespace sluice::health {

// What comes before a TCP-based probe's own bytes: nothing, or the header by which a PROXYV2 pool's
// member knows that nobody's connection follows (PROXY protocol, version 2, 2.2: the command
// LOCAL). A probe that only connects sends nothing, so its member's application never sees it.
enum class Preface { none, proxy };

class ExternalProber;

class Prober {
 public:
  // `checks` carries out EXTERNAL monitors; null: nobody does. `vips` has probes ask for VIPs.
  explicit Prober(boost::asio::any_io_executor executor, ExternalProber* checks = nullptr,
                  VipProbes* vips = nullptr);
  ~Prober();  // after all its probes

  // Starts a probe from the host's own address. `done` is called once, on the executor and never
  // from within start(); it may destroy its own probe, not others. The settings are read during
  // this call only. A result instead of a probe says that it could not begin. With `way` the probe
  // asks for that VIP at the member; SCTP and EXTERNAL can't.
  tl::expected<std::unique_ptr<Probe>, ProbeResult> start(
      const IpAddress& address, std::uint16_t port, const model::HealthMonitor& settings,
      Probe::Done done, Preface preface = Preface::none, const std::optional<VipWay>& way = {});

 private:
  struct Shared;
  std::unique_ptr<Shared> shared_;
};

// The time that a probe may take: the settings' timeout (0 counts as 1). A UDP-CONNECT probe waits
// for an error that a healthy member never sends, so it takes at most a second. `second` is the
// length of a second.
std::chrono::milliseconds time_limit(const model::HealthMonitor& settings,
                                     std::chrono::milliseconds second);

}  // namespace sluice::health
