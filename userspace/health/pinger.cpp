#include "health/pinger.hpp"

#include <arpa/inet.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>

#include <cstring>

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

struct Echo {
  std::uint8_t type;
  std::uint8_t code;
  std::uint16_t checksum;  // the kernel fills in that of ICMPv6
  std::uint32_t number;    // identifier and sequence number
  std::uint64_t secret;
};
static_assert(sizeof(Echo) == 16);

std::uint16_t internet_checksum(const Echo& echo) {
  std::uint16_t words[sizeof echo / 2];
  std::memcpy(words, &echo, sizeof echo);
  std::uint32_t sum = 0;
  for (const auto word : words) sum += word;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~(sum + (sum >> 16)));
}

// The filter passes echo replies only, not all ICMP that the host gets.
void let_replies_through(Socket& socket, bool v6) {
  if (v6) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    socket.set(IPPROTO_ICMPV6, ICMP6_FILTER, filter);
  } else {
    socket.set(SOL_RAW, ICMP_FILTER, icmp_filter{.data = ~(1U << ICMP_ECHOREPLY)});
  }
}

}  // namespace

class Pinger::Ping final : public Probe {
 public:
  Ping(Pinger& pinger, const IpAddress& member, std::uint32_t number, Done done)
      : Probe(std::move(done)), pinger_(pinger), member_(member), number_(number) {
    pinger_.waiting_.emplace(number_, this);
  }
  ~Ping() override { pinger_.waiting_.erase(number_); }

  using Probe::lead_to_vip;
  void replied(const IpAddress& from) {
    if (from == member_) finish({Verdict::healthy, "echo reply"});
  }

 private:
  Pinger& pinger_;
  IpAddress member_;
  std::uint32_t number_;
};

Pinger::Pinger(Poller& poller)
    : poller_(poller),
      v4_([this](const auto& from, auto packet) { received(from, packet); }),
      v6_([this](const auto& from, auto packet) { received(from, packet); }) {}

tl::expected<RawSocket*, int> Pinger::socket_for(const IpAddress& member) {
  const bool v6 = member.is_v6();
  auto& raw = v6 ? v6_ : v4_;
  if (raw.socket()) return &raw;
  const int error =
      raw.open(poller_, v6 ? AF_INET6 : AF_INET, v6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP});
  if (error != 0) return tl::unexpected(error);
  let_replies_through(raw.socket(), v6);
  return &raw;
}

tl::expected<std::unique_ptr<Probe>, ProbeResult> Pinger::start(const IpAddress& member,
                                                                Probe::Done done,
                                                                const Lead& lead) {
  const auto raw = socket_for(member);
  if (!raw) return tl::unexpected(failure(raw.error()));

  while (waiting_.contains(++next_)) {
  }
  Echo echo{.type = member.is_v6() ? std::uint8_t{ICMP6_ECHO_REQUEST} : std::uint8_t{ICMP_ECHO},
            .code = 0,
            .checksum = 0,
            .number = next_,
            .secret = secret_};
  if (member.is_v4()) echo.checksum = internet_checksum(echo);
  auto probe = std::make_unique<Ping>(*this, member, next_, std::move(done));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&echo);
  const auto protocol = member.is_v6() ? std::uint8_t{IPPROTO_ICMPV6} : std::uint8_t{IPPROTO_ICMP};
  if (auto failed = probe->lead_to_vip(lead, (*raw)->socket().descriptor(), protocol, next_))
    return tl::unexpected(std::move(*failed));
  if (const int error = (*raw)->socket().send_to({member, 0}, {bytes, sizeof echo})) {
    return tl::unexpected(failure(error));
  }
  return probe;
}

void Pinger::received(const IpAddress& from, RawSocket::Bytes packet) {
  Echo echo;
  if (packet.size() != sizeof echo) return;
  std::memcpy(&echo, packet.data(), sizeof echo);
  const auto reply = from.is_v6() ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
  if (echo.type != reply || echo.secret != secret_) return;
  const auto found = waiting_.find(echo.number);
  if (found != waiting_.end()) found->second->replied(from);
}

}  // namespace sluice::health
