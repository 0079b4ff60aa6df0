#include "api/server/access.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "api/server/keystone.hpp"
#include "base/printable.hpp"

namespace sluice::api {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

// "Bearer x" -> x
std::string_view bearer(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (!equals_ignoring_case(authorization.substr(0, scheme.size()), scheme)) return {};
  return authorization.substr(scheme.size());
}

// "[::1]:9876" -> "::1", "lb.example:9876" -> "lb.example"
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    return end == host.npos ? std::string_view() : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

// Says whether the host fits a certificate's name, in which "*" stands for one label.
bool fits(std::string_view name, std::string_view host) {
  if (!name.starts_with("*.")) return equals_ignoring_case(name, host);
  const auto dot = host.find('.');
  return dot != host.npos && dot > 0 && equals_ignoring_case(name.substr(1), host.substr(dot));
}

}  // namespace

bool is_from_a_foreign_page(const Credentials& credentials) {
  const auto& site = credentials.fetch_site;
  if (!site.empty() && site != "same-origin" && site != "none") return true;
  if (credentials.origin.empty()) return false;
  const auto ours = fmt::format("{}://{}", credentials.tls ? "https" : "http", credentials.host);
  return !equals_ignoring_case(credentials.origin, ours);
}

Access::Access(Mode mode, IpAddress listener, Names names)
    : mode_(mode), listener_(listener), names_(std::move(names)) {}

Access Access::local(IpAddress listener, Names names) {
  return {Mode::local, listener, std::move(names)};
}

Access Access::with_tokens(IpAddress listener, Names names, std::shared_ptr<const Tokens> tokens,
                           std::shared_ptr<const IssuedTokens> issued) {
  Access access(Mode::tokens, listener, std::move(names));
  access.tokens_ = std::move(tokens);
  access.issued_ = std::move(issued);
  access.sessions_ = std::make_shared<Sessions>(access.issued_);
  return access;
}

// Says whether anybody may use the route: versions, which clients read before they have a token,
// the daemon's health, signing in, and the status page without its data.
bool Access::is_open(const Credentials& credentials) const {
  const auto path = path_of(credentials.target);
  if (issued_ && Keystone::is_open(credentials.method, path)) return true;
  if (path == page_paths::session) return true;
  if (credentials.method != "GET" && credentials.method != "HEAD") return false;
  return path == "/" || path == "/healthcheck" || path == "/ui" ||
         (path.starts_with(page_paths::root) && !path.starts_with(page_paths::data));
}

// Says whether a session's cookie counts: for reading what is below the page's root.
bool may_use_session(const Credentials& credentials) {
  return credentials.method == "GET" && path_of(credentials.target).starts_with(page_paths::root);
}

tl::expected<Access::Opened, Denial> Access::open_session(std::string_view token) const {
  if (!takes_tokens()) return tl::unexpected(Denial{404, "No token is needed here."});
  auto who = holder_of(token);
  if (!who) return tl::unexpected(Denial{401, "This is no token of sluiced's token file."});
  const auto name = who->name;
  return Opened{sessions_->open(std::move(*who), token), name};
}

bool Access::has_session(std::string_view word) const {
  return sessions_ && sessions_->find(word).has_value();
}

void Access::close_session(std::string_view word) const {
  if (sessions_) sessions_->close(word);
}

Access Access::with_certificates(IpAddress listener, Names names) {
  return {Mode::certificates, listener, std::move(names)};
}

bool Access::is_our_host(std::string_view host) const {
  host = without_port(host);
  if (equals_ignoring_case(host, "localhost") ||
      std::ranges::any_of(names_, [&](const auto& name) { return fits(name, host); })) {
    return true;
  }
  if (const auto address = parse_ip_address(host)) {
    // A browser that names an address was not led here by a name; the address only has to be ours.
    return listener_.is_unspecified() || *address == listener_ ||
           (listener_.is_loopback() && address->is_loopback());
  }
  return false;
}

std::optional<Denial> Access::judge_sender(const Credentials& credentials) const {
  if (!is_our_host(credentials.host)) {
    return Denial{403,
                  fmt::format("The Host '{}' is no name of this service: call it by its address or "
                              "'localhost', or start sluiced with --api-host NAME.",
                              printable(credentials.host))};
  }
  if (is_from_a_foreign_page(credentials)) {
    return Denial{403, fmt::format("A web page ({}) may not use this service.",
                                   printable(credentials.origin.empty() ? "Sec-Fetch-Site"
                                                                        : credentials.origin))};
  }
  return std::nullopt;
}

std::optional<Identity> Access::holder_of(std::string_view token) const {
  if (!tokens_ || token.empty()) return std::nullopt;
  if (const auto* issued = issued_ ? issued_->find(token) : nullptr) return issued->who;
  return tokens_->find(token);
}

std::optional<Identity> Access::identify(const Credentials& credentials) const {
  if (mode_ == Mode::local) return Identity{};
  if (!credentials.certificate.empty()) {
    if (mode_ == Mode::certificates) return Identity{.name = std::string(credentials.certificate)};
    if (auto who = tokens_->find_certificate(credentials.certificate)) return who;
  }
  if (auto who = holder_of(credentials.token)) return who;
  if (auto who = holder_of(bearer(credentials.authorization))) return who;
  if (!sessions_ || !may_use_session(credentials)) return std::nullopt;
  return sessions_->find(session_in(credentials.cookies));
}

// Accepts JSON, and a backup's type where one is sent: a web page can't send either without asking
// first.
bool is_expected_type(const Credentials& credentials) {
  const auto path = path_of(credentials.target);
  return credentials.content_type.starts_with("application/json") ||
         (path == "/v1/restore" && credentials.content_type == "application/vnd.sqlite3");
}

tl::expected<Identity, Denial> Access::admit(const Credentials& credentials) const {
  if (auto denied = judge_sender(credentials)) return tl::unexpected(std::move(*denied));
  auto who = identify(credentials);
  if (!who && is_open(credentials)) who = Identity{.name = "", .role = Role::reader};
  if (who) {
    // A page may send forms and text without asking first.
    if (credentials.has_body && !is_expected_type(credentials)) {
      return tl::unexpected(
          Denial{415, fmt::format("Unknown mimetype: '{}' (send Content-Type: application/json)",
                                  printable(credentials.content_type))});
    }
    return std::move(*who);
  }
  return tl::unexpected(Denial{
      401,
      mode_ == Mode::certificates
          ? "The request you have made requires authentication: show a client certificate that "
            "sluiced's --tls-client-ca has signed."
          : "The request you have made requires authentication: send a token of sluiced's "
            "token file as X-Auth-Token."});
}

}  // namespace sluice::api
