#include "api/server/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ssl/context.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <iterator>
#include <vector>

#include "base/printable.hpp"

namespace sluice::api {
namespace {

// Refuses plain or open access beyond loopback, where anybody could change everything or read
// tokens on the wire.
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

// The certificate's names count as ours, because a hostile page can't have one of them.
Access make_access(const EndpointOptions& options, const IpAddress& listener,
                   boost::asio::ssl::context* tls, const TcpEndpoint::Doors& doors) {
  auto names = options.api_hosts;
  if (!options.public_endpoint.empty()) {
    names.emplace_back(boost::urls::url_view(doors.public_endpoint).host_address());
  }
  if (tls) std::ranges::copy(certificate_names(*tls), std::back_inserter(names));
  if (doors.users) {
    return Access::with_tokens(listener, std::move(names), doors.users, doors.issued);
  }
  if (!options.client_ca.empty()) return Access::with_certificates(listener, std::move(names));
  return Access::local(listener, std::move(names));
}

// The URL that clients are given: the operator's, or one made of the listener's own address.
Result<std::string> public_endpoint_of(const EndpointOptions& options, const TcpAddress& where) {
  if (options.public_endpoint.empty()) {
    if (options.identity && where.address.is_unspecified()) {
      return fail(ErrorKind::invalid,
                  fmt::format("--identity on {} needs --public-endpoint", where.to_string()),
                  "clients are sent to that URL: https://NAME:PORT");
    }
    return fmt::format("{}://{}", options.certificate.empty() ? "http" : "https",
                       where.to_string());
  }
  auto text = options.public_endpoint;
  while (text.ends_with('/')) text.pop_back();
  const auto url = boost::urls::parse_uri(text);
  const bool web = url && (url->scheme() == "http" || url->scheme() == "https");
  if (!web || url->host().empty() || url->has_query() || url->has_fragment() ||
      url->has_userinfo()) {
    return fail(ErrorKind::invalid,
                fmt::format("--public-endpoint '{}' is no URL of a service",
                            printable(options.public_endpoint)),
                "it is http:// or https://, a name or address and a port");
  }
  if (!url->encoded_path().empty()) {
    return fail(
        ErrorKind::invalid,
        fmt::format("--public-endpoint '{}' has a path", printable(options.public_endpoint)),
        "clients ask for / there");
  }
  return text;
}

// Decides by what credentials callers are let in.
Result<TcpEndpoint::Doors> make_doors(const EndpointOptions& options, const TcpAddress& where) {
  TcpEndpoint::Doors doors;
  auto endpoint = public_endpoint_of(options, where);
  if (!endpoint) return tl::unexpected(endpoint.error());
  doors.public_endpoint = std::move(*endpoint);
  if (options.identity && options.token_file.empty()) {
    return fail(ErrorKind::invalid, "--identity needs --token-file",
                "its users are those of the file");
  }
  if (options.token_file.empty()) return doors;
  auto tokens = Tokens::read(options.token_file);
  if (!tokens) return tl::unexpected(tokens.error());
  doors.users = std::make_shared<const Tokens>(std::move(*tokens));
  if (options.identity) doors.issued = std::make_shared<IssuedTokens>();
  return doors;
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
  auto doors = make_doors(options, *where);
  if (!doors) return tl::unexpected(doors.error());
  auto access = make_access(options, where->address, tls.get(), *doors);
  auto socket = TcpSocket::listen(*where);
  if (!socket) return tl::unexpected(socket.error());
  return TcpEndpoint{std::move(*socket), std::move(access), std::move(tls), std::move(*doors)};
}

Result<TcpSocket> open_metrics(const std::string& address) {
  const auto where = parse_tcp_address(address);
  if (!where) return fail(where.error(), "--metrics");
  return TcpSocket::listen(*where);
}

}  // namespace

Result<Endpoints> Endpoints::open(const EndpointOptions& options) {
  std::optional<TcpEndpoint> tcp;
  if (options.identity && options.listen.empty()) {
    return fail(ErrorKind::invalid, "--identity needs --listen", "it is served over TCP");
  }
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
