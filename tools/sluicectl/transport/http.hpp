// Transport: sends one HTTP request to sluiced, over a unix socket or TCP; tests use another one.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.hpp"

namespace sluice::ctl {

struct HttpRequest {
  std::string method;  // "GET"
  std::string target;  // path and query
  std::string body;    // empty for none
  std::string content_type = "application/json";
  std::string id = {};  // x-openstack-request-id; empty: the server makes one
  std::chrono::seconds limit = std::chrono::seconds(10);
};

struct HttpAnswer {
  int status = 0;  // 0: the request was sent, but its answer was lost; `body` says how
  std::string body;
  std::string request_id;  // x-openstack-request-id; may be empty
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Sends the request. An error says that the server was not reached (ErrorKind::system), or that
  // the answer to a request without id was lost; all that the server says is an answer.
  virtual Result<HttpAnswer> exchange(const HttpRequest& request) = 0;
};

// sluiced's address: a unix socket, or TCP if `host` is set.
struct Endpoint {
  std::string socket = "/run/sluice/api.sock";
  std::string host;
  std::string port;
  std::string prefix;  // of every path behind the URL; no slash at the end
  bool tls = false;    // https
  std::string cacert;  // a file of certificates to trust; empty: the system's
};

// Parses "http://127.0.0.1:9876" or https, with or without a path or the "/v2.0" of OpenStack's
// clients.
Result<Endpoint> parse_endpoint(const std::string& url);

// Makes a transport with a connection per request.
std::unique_ptr<Transport> make_transport(Endpoint endpoint, std::string token);

}  // namespace sluice::ctl
