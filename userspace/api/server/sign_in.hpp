// SignIn: a client's request to the identity service, parsed from the body of POST /v3/auth/tokens.
// Its secrets are not checked here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::api {

struct SignIn {
  std::string method;       // "password", "application_credential" or "token"
  std::string user = {};    // by name or id, which are the same here; empty for a token
  std::string secret = {};  // the password, the credential's secret, or the token
  bool at_home = true;      // user and project are of the one domain that there is
  std::optional<std::string> project = {};  // by name or id; unset: the user's own
};

// The id and the name of the only domain; clients use either.
constexpr std::string_view domain_id = "default";
constexpr std::string_view domain_name = "Default";

// Parses the body; an error says what is missing.
Result<SignIn> parse_sign_in(std::string_view body);

}  // namespace sluice::api
