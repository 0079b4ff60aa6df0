#include "api/server/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <iterator>
#include <vector>

namespace sluice::api {
namespace {

// Beyond loopback whoever reaches the address could change everything, and read the token on the
// way.
Result<void> check_exposure(const EndpointOptions& options, const TcpAddress& where) {
  std::vector<std::string> missing;
  if (options.token_file.empty() && options.client_ca.empty()) {
    missing.push_back("--token-file");
  }
  if (options.certificate.empty()) missing.push_back("--tls-certificate");
  if (options.key.empty()) missing.push_back("--tls-key");
  if (where.address.is_loopback() || missing.empty()) return {};
  return fail(
      ErrorKind::invalid,
      fmt::format("listen on {}: the API beyond loopback wants a token and TLS, and {} {} missing",
                  where.to_string(), fmt::join(missing, ", "), missing.size() == 1 ? "is" : "are"),
      fmt::format("give {} too, or listen on 127.0.0.1:{}", missing.size() == 1 ? "it" : "them",
                  where.port));
}

// A page that leads a browser here by a name can't have one of the certificate's, so these are ours
// without being told.
Result<Access> make_access(const EndpointOptions& options, const IpAddress& listener,
                           boost::asio::ssl::context* tls) {
  auto names = options.api_hosts;
  if (tls) std::ranges::copy(certificate_names(*tls), std::back_inserter(names));
  if (!options.token_file.empty()) {
    auto tokens = Tokens::read(options.token_file);
    if (!tokens) return tl::unexpected(tokens.error());
    return Access::with_tokens(listener, std::move(names), std::move(*tokens));
  }
  if (!options.client_ca.empty()) return Access::with_certificates(listener, std::move(names));
  return Access::local(listener, std::move(names));
}

Result<TcpEndpoint> open_tcp(const EndpointOptions& options) {
  const auto where = parse_tcp_address(options.listen);
  if (!where) return fail(where.error(), "--listen");
  if (auto safe = check_exposure(options, *where); !safe) return tl::unexpected(safe.error());
  if (options.certificate.empty() != options.key.empty()) {
    return fail(ErrorKind::invalid, "--tls-certificate and --tls-key go together");
  }
  if (!options.client_ca.empty() && options.certificate.empty()) {
    return fail(ErrorKind::invalid, "--tls-client-ca needs --tls-certificate and --tls-key");
  }
  std::shared_ptr<boost::asio::ssl::context> tls;
  if (!options.certificate.empty()) {
    auto made = make_tls(options.certificate, options.key, options.client_ca);
    if (!made) return tl::unexpected(made.error());
    tls = std::move(*made);
  }
  auto access = make_access(options, where->address, tls.get());
  if (!access) return tl::unexpected(access.error());
  auto socket = TcpSocket::listen(*where);
  if (!socket) return tl::unexpected(socket.error());
  return TcpEndpoint{std::move(*socket), std::move(*access), std::move(tls)};
}

Result<TcpSocket> open_metrics(const std::string& address) {
  const auto where = parse_tcp_address(address);
  if (!where) return fail(where.error(), "--metrics");
  return TcpSocket::listen(*where);
}

}  // namespace

Result<Endpoints> Endpoints::open(const EndpointOptions& options) {
  std::optional<TcpEndpoint> tcp;
  if (!options.listen.empty()) {
    auto opened = open_tcp(options);
    if (!opened) return tl::unexpected(opened.error());
    tcp = std::move(*opened);
  }
  std::optional<TcpSocket> metrics;
  if (!options.metrics.empty()) {
    auto opened = open_metrics(options.metrics);
    if (!opened) return tl::unexpected(opened.error());
    metrics = std::move(*opened);
  }
  auto socket = UnixSocket::listen(options.socket);
  if (!socket) return tl::unexpected(socket.error());
  return Endpoints{std::move(*socket), std::move(tcp), std::move(metrics)};
}

}  // namespace sluice::api
