// Endpoints: sluiced's sockets. They are opened and checked first: a socket that another sluiced
// serves, an address that would expose the API, or an unreadable certificate ends the start before
// anything has changed.
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
  // The API's address on TCP; empty: none. An address beyond loopback needs TLS, and tokens or a CA
  // of clients.
  std::string listen = {};
  std::filesystem::path token_file = {};
  std::filesystem::path certificate = {};
  std::filesystem::path key = {};
  // Certificates that sign clients' certificates, as an alternative to tokens; empty: none.
  std::filesystem::path client_ca = {};
  // The API's names beside its address, localhost and those of the certificate.
  std::vector<std::string> api_hosts = {};
  // Serves /identity too: users of the token file sign in by name and secret.
  bool identity = false;
  // The API's URL for clients: "https://lb.example:9876"; empty: made of its address.
  std::string public_endpoint = {};
  // The address of the metrics for Prometheus, which everyone who reaches it may read; empty: none.
  std::string metrics = {};
};

// The API on TCP.
struct TcpEndpoint {
  // The credentials by which callers are let in.
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

  // Opens the sockets. The kernel accepts connections from now on; a Server serves them later.
  static Result<Endpoints> open(const EndpointOptions& options);
};

}  // namespace sluice::api
