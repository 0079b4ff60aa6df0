#include "health/prober.hpp"

#include <algorithm>

#include "health/external_prober.hpp"
#include "health/http_probe.hpp"
#include "health/pinger.hpp"
#include "health/poller.hpp"
#include "health/sctp_prober.hpp"
#include "health/tls_session.hpp"
#include "health/udp_probe.hpp"

namespace sluice::health {
namespace {

using Started = tl::expected<std::unique_ptr<Probe>, ProbeResult>;

// The signature, version 2 and LOCAL, no addresses, and the length of none.
constexpr std::string_view proxy_local("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);

std::string_view bytes_of(Preface preface) {
  return preface == Preface::proxy ? proxy_local : std::string_view();
}

template <typename T, typename... More>
Started connect(std::unique_ptr<T> probe, Poller& poller, const Endpoint& member,
                const More&... more) {
  if (auto result = probe->connect(poller, member, more...)) {
    return tl::unexpected(std::move(*result));
  }
  return probe;
}

Lead lead_to(VipProbes* vips, const IpAddress& member, const VipWay& way) {
  return [vips, member, way](int socket, std::uint8_t protocol,
                             std::uint32_t echo) -> Result<std::unique_ptr<VipProbes::Ticket>> {
    if (!vips) return fail(ErrorKind::unsupported, "nobody leads probes to VIPs here");
    return vips->lead({socket, protocol, echo, member}, way);
  };
}

// All members and probes get the same one, because no handshake ever comes of it.
std::string make_tls_hello(TlsContext& context) {
  TlsSession session(context, std::nullopt);
  session.shake_hands();
  return session.output();
}

}  // namespace

struct Prober::Shared {
  Shared(boost::asio::any_io_executor executor, ExternalProber* checks_, VipProbes* vips_)
      : poller(std::move(executor)), checks(checks_), vips(vips_) {}

  Poller poller;
  Pinger pinger{poller};
  SctpProber sctp{poller};
  ExternalProber* checks;
  VipProbes* vips;
  TlsContext tls;
  std::string tls_hello = make_tls_hello(tls);
};

Prober::Prober(boost::asio::any_io_executor executor, ExternalProber* checks, VipProbes* vips)
    : shared_(std::make_unique<Shared>(std::move(executor), checks, vips)) {}

Prober::~Prober() = default;

Started Prober::start(const IpAddress& address, std::uint16_t port,
                      const model::HealthMonitor& settings, Probe::Done done, Preface preface,
                      const std::optional<VipWay>& way) {
  using model::MonitorType;
  auto& poller = shared_->poller;
  const Endpoint member(address, port);
  const auto first = bytes_of(preface);
  const auto lead = way ? lead_to(shared_->vips, address, *way) : Lead();
  switch (settings.type) {
    case MonitorType::http:
      return connect(make_http_probe(member, settings, nullptr, std::move(done)), poller, member,
                     lead, first);
    case MonitorType::https:
      return connect(make_http_probe(member, settings, &shared_->tls, std::move(done)), poller,
                     member, lead, first);
    case MonitorType::tls_hello:
      return connect(make_tls_hello_probe(shared_->tls_hello, std::move(done)), poller, member,
                     lead, first);
    case MonitorType::tcp:
      return connect(make_tcp_probe(std::move(done)), poller, member, lead);
    case MonitorType::udp_connect:
      return connect(std::make_unique<UdpProbe>(std::move(done)), poller, member, lead);
    case MonitorType::ping:
      return shared_->pinger.start(address, std::move(done), lead);
    case MonitorType::sctp:
      return shared_->sctp.start(member, std::move(done));
    case MonitorType::external:
      if (!shared_->checks)
        return tl::unexpected(ProbeResult{ProbeResult::Verdict::none, "no check is declared here"});
      return shared_->checks->start(settings.check, member, settings.timeout_seconds,
                                    std::move(done));
  }
  return tl::unexpected(ProbeResult{ProbeResult::Verdict::none, "unknown type of monitor"});
}

std::chrono::milliseconds time_limit(const model::HealthMonitor& settings,
                                     std::chrono::milliseconds second) {
  if (settings.type == model::MonitorType::udp_connect) return second;
  return second * std::max(settings.timeout_seconds, 1U);
}

}  // namespace sluice::health
