// Secret: a hash, as the token file has it, of a word that only its holder knows.
//
//   sha256:HASH               of a token, a random word that no dictionary has. Quick to check, so
//   it
//                             may come with every request
//   scrypt:N:R:P:SALT:HASH    of a password, which somebody might guess: checking one takes a CPU a
//                             fifth of a second and 16 MiB (RFC 7914). Good for signing in only
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace sluice::api {

class Secret {
 public:
  using Digest = std::array<unsigned char, 32>;

  // Parses either form; nullopt for other texts, and if checking would take more than 64 MiB.
  static std::optional<Secret> parse(std::string_view text);
  static Secret of_token(std::string_view token);
  // Makes the file's text for a password, with a new salt.
  static Result<std::string> of_password(std::string_view password);
  // A password that nobody has, so that an attempt with an unknown name takes as long.
  static const Secret& nobodys();

  static Digest digest_of(std::string_view token);

  bool is_token() const { return cost_ == 0; }
  // Compares in constant time. Checking a password takes too long for the event loop.
  bool fits(std::string_view word) const;
  bool fits_token(const Digest& digest) const;

 private:
  Digest hash_{};
  std::uint64_t cost_ = 0;  // scrypt's N; 0: a token
  std::uint64_t block_size_ = 0, parallel_ = 0;
  std::vector<unsigned char> salt_;
};

}  // namespace sluice::api
