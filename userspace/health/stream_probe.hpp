// StreamProbe: the TCP connection that TCP, TLS-HELLO, HTTP and HTTPS probes share.
//
// How a probe ends matters at 10,000 probes a second: the side that closes a TCP connection first
// keeps it in TIME_WAIT for a minute, which would be 600,000 sockets. So, as HAProxy does:
//  - every probe closes with a reset (SO_LINGER 0): its result is known and nothing is owed to the
//    peer;
//  - the last ACK of the handshake is delayed: the request carries it, which saves a packet and one
//    wakeup of the server; after a TCP probe, which asks nothing, the reset comes instead, so the
//    member's kernel drops the half-open connection and its application never sees (or logs) it.
#pragma once

#include <optional>
#include <string_view>

#include "health/poller.hpp"
#include "health/probe.hpp"
#include "health/socket.hpp"

namespace sluice::health {

class StreamProbe : public Probe, private Poller::Handler {
 public:
  using Probe::Probe;

  // Connects; returns a result if the probe can't begin. `preface` is sent before the first bytes
  // of the probe's own, if it sends any; it outlives the probe.
  std::optional<ProbeResult> connect(Poller& poller, const Endpoint& member, const Lead& lead = {},
                                     std::string_view preface = {});

  ProbeResult timed_out(std::chrono::milliseconds time) const override;

 protected:
  // Each of these returns the result if the event ended the probe.
  virtual std::optional<ProbeResult> connected() = 0;
  virtual std::optional<ProbeResult> received(std::string_view bytes) = 0;
  // The peer closed its side.
  virtual std::optional<ProbeResult> ended() = 0;
  // The result when the connection breaks or time is over: `why`, unless the verdict was clear
  // before.
  virtual ProbeResult broken(ProbeResult why) const { return why; }

  std::optional<ProbeResult> send(std::string_view bytes);

 private:
  void ready(std::uint32_t events) final;
  std::optional<ProbeResult> step(std::uint32_t events);
  std::optional<ProbeResult> receive(std::uint32_t events);

  Socket socket_;
  std::string_view preface_;  // what of it was not sent yet
  bool connected_ = false;
};

// Makes a probe that is healthy once it is connected.
std::unique_ptr<StreamProbe> make_tcp_probe(Probe::Done done);

// Makes a probe that sends `hello` (a TLS ClientHello). Like the real service it takes any TLS
// answer for healthy, even an alert. No key is ever computed.
std::unique_ptr<StreamProbe> make_tls_hello_probe(std::string hello, Probe::Done done);

}  // namespace sluice::health
