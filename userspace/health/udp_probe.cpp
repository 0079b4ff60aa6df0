#include "health/udp_probe.hpp"

#include <sys/epoll.h>

#include <cerrno>

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

ProbeResult refusal(int error) {
  if (error == ECONNREFUSED) return {Verdict::failed, "port unreachable"};
  return failure(error);
}

}  // namespace

std::optional<ProbeResult> UdpProbe::connect(Poller& poller, const Endpoint& member,
                                             const Lead& lead) {
  static constexpr std::uint8_t datagram[] = {'X'};
  socket_ = Socket(member.protocol().family(), SOCK_DGRAM, IPPROTO_UDP);
  if (!socket_) return failure(errno);
  if (auto failed = lead_to_vip(lead, socket_.descriptor(), IPPROTO_UDP)) return failed;
  if (const int error = socket_.connect(member)) return refusal(error);
  if (const int error = socket_.send(datagram)) return refusal(error);
  if (const int error = poller.add(socket_.descriptor(), EPOLLIN, *this)) return failure(error);
  return std::nullopt;
}

void UdpProbe::ready(std::uint32_t events) {
  if ((events & EPOLLERR) != 0) return finish(refusal(socket_.take_error()));
  finish({Verdict::healthy, "answered"});
}

ProbeResult UdpProbe::timed_out(std::chrono::milliseconds) const {
  return {Verdict::healthy, "not refused"};
}

}  // namespace sluice::health
