// Tokens: the secrets that let callers in over TCP, each with a name and a role.
//
// The file has a line per token; what begins with # is a comment:
//
//   # NAME    ROLE    [PROJECT]                         SECRET
//   alice     admin                                     sha256:9f86d081884c7d65...
//   ci        member  eac679e4896146e6827ce29d755fe289  sha256:60303ae22b998861...
//   grafana   reader                                    sha256:fd61a03af4f77d87...
//   operator  admin                                     certificate
//
// A secret stands there as its SHA-256, so that who reads the file can't use it: tokens are random
// words, which no dictionary has. `certificate` lets in who shows a client certificate of that
// common name. A file of one single word, the token itself, is an administrator's called "token".
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/language/identity.hpp"
#include "base/result.hpp"

namespace sluice::api {

class Tokens {
 public:
  // A file that every user may read is refused.
  static Result<Tokens> read(const std::filesystem::path& file);

  // Who sends this token. The time it takes tells nothing about how near it came to one.
  std::optional<Identity> find(std::string_view token) const;
  // Who shows a valid certificate of this common name.
  std::optional<Identity> find_certificate(std::string_view common_name) const;

  bool empty() const { return entries_.empty(); }

 private:
  using Digest = std::array<unsigned char, 32>;
  struct Entry {
    Identity identity;
    std::optional<Digest> digest;  // unset: a certificate's
  };

  static Digest digest_of(std::string_view token);
  static std::optional<Digest> parse_digest(std::string_view hex);
  static Result<Entry> parse_line(std::string_view line);

  std::vector<Entry> entries_;
};

}  // namespace sluice::api
