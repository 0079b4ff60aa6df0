#include "health/http_probe.hpp"

#include <fmt/format.h>

#include <sstream>

#include "health/expected_codes.hpp"
#include "health/http_answer.hpp"

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

std::string make_request(const Endpoint& member, const model::HealthMonitor& settings) {
  constexpr std::string_view agent = "User-Agent: sluice-health\r\n";
  if (settings.http_version != "1.1") {
    return fmt::format("{} {} HTTP/1.0\r\n{}\r\n", settings.http_method, settings.url_path, agent);
  }
  std::ostringstream address;
  if (!settings.domain_name) address << member;
  return fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n{}Connection: close\r\n\r\n",
                     settings.http_method, settings.url_path,
                     settings.domain_name.value_or(address.str()), agent);
}

class HttpProbe final : public StreamProbe {
 public:
  HttpProbe(const Endpoint& member, const model::HealthMonitor& settings, TlsContext* tls,
            Done done)
      : StreamProbe(std::move(done)),
        request_(make_request(member, settings)),
        expected_(settings.expected_codes),
        answer_(settings.http_method == "HEAD") {
    if (tls == nullptr) return;
    std::ostringstream peer;
    peer << member << ' ' << settings.domain_name.value_or("");
    tls_ = std::make_unique<TlsSession>(*tls, settings.domain_name, peer.str());
  }

 private:
  std::optional<ProbeResult> connected() override {
    if (!tls_) return send(request_);
    tls_->shake_hands();
    return send(tls_->output());
  }

  std::optional<ProbeResult> received(std::string_view bytes) override {
    return tls_ ? decrypt(bytes) : answered(bytes);
  }

  std::optional<ProbeResult> ended() override { return broken({Verdict::failed, answer_.error()}); }

  // The verdict depends on the header only: what happens to the body doesn't change it.
  ProbeResult broken(ProbeResult why) const override { return verdict().value_or(std::move(why)); }

  std::optional<ProbeResult> decrypt(std::string_view bytes) {
    std::string plain;
    tls_->take(bytes, plain);
    if (tls_->established() && !asked_) {
      asked_ = true;
      tls_->write(request_);
    }
    if (auto result = send(tls_->output())) return result;
    if (!plain.empty()) {
      if (auto result = answered(plain)) return result;
    }
    if (!tls_->error().empty()) return broken({Verdict::failed, "TLS: " + tls_->error()});
    if (tls_->ended()) return ended();
    return std::nullopt;
  }

  std::optional<ProbeResult> answered(std::string_view bytes) {
    if (!answer_.take(bytes)) return std::nullopt;
    return broken({Verdict::failed, answer_.error()});
  }

  std::optional<ProbeResult> verdict() const {
    const auto code = answer_.status();
    if (!code) return std::nullopt;
    const auto expected = ExpectedCodes::parse(expected_);
    if (expected && expected->contains(*code)) {
      return ProbeResult{Verdict::healthy, fmt::format("HTTP {}", *code)};
    }
    return ProbeResult{Verdict::failed, fmt::format("HTTP {}, expected {}", *code, expected_)};
  }

  std::string request_;
  std::string expected_;
  HttpAnswer answer_;
  std::unique_ptr<TlsSession> tls_;
  bool asked_ = false;
};

}  // namespace

std::unique_ptr<StreamProbe> make_http_probe(const Endpoint& member,
                                             const model::HealthMonitor& settings, TlsContext* tls,
                                             Probe::Done done) {
  return std::make_unique<HttpProbe>(member, settings, tls, std::move(done));
}

}  // namespace sluice::health
