// Access: who may use the API over TCP. On the unix socket the file's mode decides; over TCP a
// secret token does, or, on loopback, being on this machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::api {

// The parts of a request's head that decide.
struct Credentials {
  std::string_view host;           // the Host header
  std::string_view token;          // X-Auth-Token
  std::string_view authorization;  // Authorization
};

class Access {
 public:
  // For whoever has the token that the file holds: one line, which only root (and a group) may
  // read.
  static Result<Access> with_token(const std::filesystem::path& file);

  // For every local process. Web pages are kept out: a browser that was led to our port by a host
  // name sends that name, so the Host must be an address or "localhost".
  static Access local() { return Access(); }

  bool wants_token() const { return !token_.empty(); }

  // Why the request is turned away; nullopt when it may pass.
  std::optional<std::string> refusal(const Credentials& credentials) const;

 private:
  std::string token_;  // empty: local
};

}  // namespace sluice::api
