// Endpoints: where sluiced can be reached, opened and checked before anything else is touched: a
// socket that another sluiced serves, an address that would expose the API, or an unreadable
// certificate ends the start while all is still as it was.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/server/access.hpp"
#include "api/server/tcp_socket.hpp"
#include "api/server/tls.hpp"
#include "api/server/unix_socket.hpp"
#include "base/result.hpp"

namespace sluice::api {

struct EndpointOptions {
  std::filesystem::path socket = "/run/sluice/api.sock";
  // The API over TCP; empty: not at all. An address beyond loopback wants TLS, and tokens or a CA
  // of clients.
  std::string listen = {};
  std::filesystem::path token_file = {};
  std::filesystem::path certificate = {};
  std::filesystem::path key = {};
  // Certificates that sign clients' certificates, as an alternative to tokens; empty: none.
  std::filesystem::path client_ca = {};
  // Names that the API is called by, beside its address, localhost and those of the certificate.
  std::vector<std::string> api_hosts = {};
  // Serves /identity too: users of the token file sign in by name and secret.
  bool identity = false;
  // How clients call the API: "https://lb.example:9876"; empty: by its address.
  std::string public_endpoint = {};
  // Metrics over TCP for a Prometheus server, to everyone who reaches the address; empty: not at
  // all.
  std::string metrics = {};
};

// The API on TCP.
struct TcpEndpoint {
  // What its access lets in by.
  struct Doors {
    std::string public_endpoint;                // without a slash at its end
    std::shared_ptr<const Tokens> users = {};   // of the token file; null: there is none
    std::shared_ptr<IssuedTokens> issued = {};  // null: no identity service
  };

  TcpSocket socket;
  Access access;
  std::shared_ptr<boost::asio::ssl::context> tls;  // null: plain
  Doors doors;
};

struct Endpoints {
  UnixSocket socket;
  std::optional<TcpEndpoint> tcp;
  std::optional<TcpSocket> metrics;

  // From here on connections are accepted by the kernel; they are served when a Server takes over.
  static Result<Endpoints> open(const EndpointOptions& options);
};

}  // namespace sluice::api
