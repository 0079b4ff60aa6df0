#include "health/sctp_prober.hpp"

#include <netinet/in.h>

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

// Picks a port above those that the kernel gives out by itself.
std::uint16_t some_port(std::mt19937& random) {
  return std::uniform_int_distribution<std::uint16_t>(61000, 65535)(random);
}

}  // namespace

class SctpProber::Association final : public Probe {
 public:
  Association(SctpProber& prober, RawSocket& raw, const Endpoint& member, std::uint32_t tag,
              Done done)
      : Probe(std::move(done)), prober_(prober), raw_(raw), member_(member), tag_(tag) {
    prober_.waiting_.emplace(tag_, this);
  }
  ~Association() override { prober_.waiting_.erase(tag_); }

  int send(const std::vector<std::uint8_t>& packet) {
    return raw_.socket().send_to({member_.address(), 0}, packet);
  }
  sctp::Ports ports() const { return {prober_.source_port_, member_.port()}; }

  void answered(const IpAddress& from, const sctp::Answer& answer) {
    const auto [source, destination] = ports();
    if (from != member_.address() || answer.ports != sctp::Ports{destination, source}) return;
    if (!answer.peer_tag) return finish({Verdict::failed, "connection refused"});
    send(sctp::make_abort(ports(), *answer.peer_tag));
    finish({Verdict::healthy, "INIT acknowledged"});
  }

 private:
  SctpProber& prober_;
  RawSocket& raw_;
  Endpoint member_;
  std::uint32_t tag_;
};

SctpProber::SctpProber(Poller& poller)
    : poller_(poller),
      v4_([this](const auto& from, auto packet) { received(from, packet); }),
      v6_([this](const auto& from, auto packet) { received(from, packet); }),
      source_port_(some_port(random_)) {}

std::uint32_t SctpProber::new_tag() {
  for (;;) {
    const auto tag = static_cast<std::uint32_t>(random_());
    if (tag != 0 && !waiting_.contains(tag)) return tag;
  }
}

tl::expected<std::unique_ptr<Probe>, ProbeResult> SctpProber::start(const Endpoint& member,
                                                                    Probe::Done done) {
  const bool v6 = member.address().is_v6();
  auto& raw = v6 ? v6_ : v4_;
  if (const int error = raw.open(poller_, v6 ? AF_INET6 : AF_INET, IPPROTO_SCTP)) {
    return tl::unexpected(failure(error));
  }
  const auto tag = new_tag();
  auto probe = std::make_unique<Association>(*this, raw, member, tag, std::move(done));
  if (const int error = probe->send(sctp::make_init(probe->ports(), tag))) {
    return tl::unexpected(failure(error));
  }
  return probe;
}

void SctpProber::received(const IpAddress& from, RawSocket::Bytes packet) {
  const auto answer = sctp::parse_answer(packet);
  if (!answer) return;
  const auto found = waiting_.find(answer->tag);
  if (found != waiting_.end()) found->second->answered(from, *answer);
}

}  // namespace sluice::health
