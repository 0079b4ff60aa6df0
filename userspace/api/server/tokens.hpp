// Tokens: the secrets that let callers in over TCP, each with a name and a role.
//
// The file has a line per token; what begins with # is a comment:
//
//   # NAME    ROLE    [PROJECT]                         SECRET
//   alice     admin                                     sha256:9f86d081884c7d65...
//   bob       member  eac679e4896146e6827ce29d755fe289  scrypt:16384:8:5:d81e...:c08a...
//   ci        member  eac679e4896146e6827ce29d755fe289  sha256:60303ae22b998861...
//   grafana   reader                                    sha256:fd61a03af4f77d87...
//   operator  admin                                     certificate
//
// A secret stands there as its SHA-256, so that who reads the file can't use it: tokens are random
// words, which no dictionary has. A password, which somebody might guess, stands there as
// secret.hpp tells; its user signs in with it and gets a token (keystone.hpp). `certificate` lets
// in who shows a client certificate of that common name. A file of one single word, the token
// itself, is an administrator's called "token".
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
  // A file that every user may read is refused.
  static Result<Tokens> read(const std::filesystem::path& file);

  struct Entry {
    Identity identity;
    std::optional<Secret> secret;  // unset: a certificate's
  };

  // Who sends this token; not a password, which takes too long to check. The time it takes tells
  // nothing about how near it came to one.
  std::optional<Identity> find(std::string_view token) const;
  // Who shows a valid certificate of this common name.
  std::optional<Identity> find_certificate(std::string_view common_name) const;

  // The user of this name; null: there is none.
  const Entry* find_user(std::string_view name) const;
  const std::vector<Entry>& users() const { return entries_; }

  bool empty() const { return entries_.empty(); }

 private:
  static Result<Entry> parse_line(std::string_view line);

  std::vector<Entry> entries_;
};

}  // namespace sluice::api
