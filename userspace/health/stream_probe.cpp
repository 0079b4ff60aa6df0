#include "health/stream_probe.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <array>
#include <cerrno>

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

constexpr std::uint32_t end_or_error = EPOLLRDHUP | EPOLLHUP | EPOLLERR;

class TcpProbe final : public StreamProbe {
 public:
  using StreamProbe::StreamProbe;

 private:
  std::optional<ProbeResult> connected() override {
    return ProbeResult{Verdict::healthy, "connected"};
  }
  std::optional<ProbeResult> received(std::string_view) override { return std::nullopt; }
  std::optional<ProbeResult> ended() override { return std::nullopt; }
};

class TlsHelloProbe final : public StreamProbe {
 public:
  TlsHelloProbe(std::string hello, Done done)
      : StreamProbe(std::move(done)), hello_(std::move(hello)) {}

 private:
  std::optional<ProbeResult> connected() override { return send(hello_); }

  // The first byte of a TLS record is its type.
  std::optional<ProbeResult> received(std::string_view bytes) override {
    constexpr char alert = 21, handshake = 22;
    if (bytes.front() == handshake) return ProbeResult{Verdict::healthy, "TLS hello answered"};
    if (bytes.front() == alert)
      return ProbeResult{Verdict::healthy, "TLS hello answered with an alert"};
    return ProbeResult{Verdict::failed, "the answer is not TLS"};
  }
  std::optional<ProbeResult> ended() override {
    return ProbeResult{Verdict::failed, "connection closed before an answer"};
  }

  std::string hello_;
};

}  // namespace

std::optional<ProbeResult> StreamProbe::connect(Poller& poller, const Endpoint& member,
                                                const Lead& lead, std::string_view preface) {
  preface_ = preface;
  socket_ = Socket(member.protocol().family(), SOCK_STREAM, IPPROTO_TCP);
  if (!socket_) return failure(errno);
  // These options are best effort: without them there are more packets.
  socket_.set(SOL_SOCKET, SO_LINGER, linger{.l_onoff = 1, .l_linger = 0});
  socket_.set(IPPROTO_TCP, TCP_QUICKACK, int{0});
  // Answers come from the VIP, whichever member they are of, so its port must tell them apart.
  const int error = lead ? socket_.bind_any(member.protocol().family()) : 0;
  if (error != 0) return failure(error);
  if (auto failed = lead_to_vip(lead, socket_.descriptor(), IPPROTO_TCP)) return failed;
  if (const int error = socket_.connect(member)) return failure(error);
  if (const int error = poller.add(socket_.descriptor(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, *this)) {
    return failure(error);
  }
  return std::nullopt;
}

void StreamProbe::ready(std::uint32_t events) {
  if (auto result = step(events)) finish(std::move(*result));
}

std::optional<ProbeResult> StreamProbe::step(std::uint32_t events) {
  if (!connected_) {
    if ((events & EPOLLERR) != 0) return failure(socket_.take_error());
    if ((events & EPOLLOUT) == 0) return std::nullopt;
    connected_ = true;
    if (auto result = connected()) return result;
  }
  if ((events & (EPOLLIN | end_or_error)) == 0) return std::nullopt;
  return receive(events);
}

// Reads all there is, because no event tells of it again. A read that doesn't fill the buffer has
// emptied the socket, unless the peer's end can be read next.
std::optional<ProbeResult> StreamProbe::receive(std::uint32_t events) {
  std::array<char, 16384> buffer;
  for (;;) {
    const auto size = recv(socket_.descriptor(), buffer.data(), buffer.size(), 0);
    if (size == 0) return ended();
    if (size < 0) {
      if (errno == EAGAIN) return std::nullopt;
      return broken(failure(errno));
    }
    const auto count = static_cast<std::size_t>(size);
    if (auto result = received({buffer.data(), count})) return result;
    if (count < buffer.size() && (events & end_or_error) == 0) return std::nullopt;
  }
}

std::optional<ProbeResult> StreamProbe::send(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  std::string both;
  if (!preface_.empty()) {
    both = fmt::format("{}{}", std::exchange(preface_, {}), bytes);
    bytes = both;  // in one packet
  }
  const int error =
      socket_.send({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  if (error != 0) return broken(failure(error));
  return std::nullopt;
}

ProbeResult StreamProbe::timed_out(std::chrono::milliseconds time) const {
  return broken(Probe::timed_out(time));
}

std::unique_ptr<StreamProbe> make_tcp_probe(Probe::Done done) {
  return std::make_unique<TcpProbe>(std::move(done));
}

std::unique_ptr<StreamProbe> make_tls_hello_probe(std::string hello, Probe::Done done) {
  return std::make_unique<TlsHelloProbe>(std::move(hello), std::move(done));
}

}  // namespace sluice::health
