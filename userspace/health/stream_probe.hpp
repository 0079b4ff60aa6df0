// StreamProbe: what TCP, TLS-HELLO, HTTP and HTTPS probes share: a TCP connection.
//
// How a probe says goodbye matters at 10,000 probes a second: whoever closes a TCP connection first
// keeps it for a minute in TIME_WAIT, which would be 600,000 sockets. So, as HAProxy does:
//  - every probe closes with a reset (SO_LINGER 0): its result is known and nothing is owed to the
//    peer;
//  - the last ACK of the handshake is delayed: the request carries it, which saves a packet and one
//    wakeup of the server; after a TCP probe, which asks nothing, the reset comes instead of it:
//    the member's kernel drops the half-open connection and its application never sees (or logs)
//    it.
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

  // A result at once if it can't begin.
  std::optional<ProbeResult> connect(Poller& poller, const Endpoint& member);

  ProbeResult timed_out(std::chrono::milliseconds time) const override;

 protected:
  // Each returns the result if this ended the probe.
  virtual std::optional<ProbeResult> connected() = 0;
  virtual std::optional<ProbeResult> received(std::string_view bytes) = 0;
  // The peer closed its side.
  virtual std::optional<ProbeResult> ended() = 0;
  // What remains to be said when the connection breaks or time is over: `why`, unless the verdict
  // was clear before.
  virtual ProbeResult broken(ProbeResult why) const { return why; }

  std::optional<ProbeResult> send(std::string_view bytes);

 private:
  void ready(std::uint32_t events) final;
  std::optional<ProbeResult> step(std::uint32_t events);
  std::optional<ProbeResult> receive(std::uint32_t events);

  Socket socket_;
  bool connected_ = false;
};

// Healthy once connected.
std::unique_ptr<StreamProbe> make_tcp_probe(Probe::Done done);

// Sends `hello` (a TLS ClientHello); healthy when TLS answers, even with an alert, as the real
// service has it: there is something that speaks TLS. No key is ever computed.
std::unique_ptr<StreamProbe> make_tls_hello_probe(std::string hello, Probe::Done done);

}  // namespace sluice::health
