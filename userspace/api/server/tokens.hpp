// Tokens: the credentials of callers over TCP, each with a name and a role.
//
// The file has a line per token; lines that begin with # are comments:
//
//   # NAME    ROLE    [PROJECT]                         SECRET
//   alice     admin                                     sha256:9f86d081884c7d65...
//   bob       member  eac679e4896146e6827ce29d755fe289  scrypt:16384:8:5:d81e...:c08a...
//   ci        member  eac679e4896146e6827ce29d755fe289  sha256:60303ae22b998861...
//   grafana   reader                                    sha256:fd61a03af4f77d87...
//   operator  admin                                     certificate
//
// The file has the SHA-256 of a token, so that its readers can't use it: tokens are random words,
// which no dictionary has. A password, which somebody might guess, is hashed as secret.hpp tells;
// its user signs in with it and gets a token (keystone.hpp). `certificate` lets in the holder of a
// client certificate of that common name. A file of a single word is the token itself of an
// administrator called "token".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/language/identity.hpp"
#include "api/server/secret.hpp"
#include "base/result.hpp"

namespace sluice::api {

class Tokens {
 public:
  // Reads the file; refuses one that every user may read.
  static Result<Tokens> read(const std::filesystem::path& file);

  struct Entry {
    Identity identity;
    std::optional<Secret> secret;  // unset: a certificate's
  };

  // Identifies the holder of a token, in constant time. Passwords are not considered, because
  // checking them takes too long.
  std::optional<Identity> find(std::string_view token) const;
  // Identifies the holder of a valid certificate of this common name.
  std::optional<Identity> find_certificate(std::string_view common_name) const;

  // The user of this name; null if there is none.
  const Entry* find_user(std::string_view name) const;
  const std::vector<Entry>& users() const { return entries_; }

  bool empty() const { return entries_.empty(); }

 private:
  static Result<Entry> parse_line(std::string_view line);

  std::vector<Entry> entries_;
};

}  // namespace sluice::api
