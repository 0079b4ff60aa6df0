// IssuedTokens: the tokens that signing in has issued. They live in memory, for an hour: after a
// restart clients get a 401 and sign in again, as they do when a token has expired.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "api/language/identity.hpp"
#include "api/server/secret.hpp"

namespace sluice::api {

// A token's owner and lifetime.
struct IssuedToken {
  using Expiry = std::chrono::steady_clock::time_point;  // unmoved when the clock is set

  Identity who;
  std::string method;    // how its holder has signed in: "password"
  std::string audit_id;  // identifies it in logs; gives no access
  std::chrono::system_clock::time_point issued_at = {}, expires_at = {};  // as clients are told
  Expiry expiry = {};
};

// One moment by both clocks.
struct TokenTime {
  std::chrono::steady_clock::time_point steady = std::chrono::steady_clock::now();
  std::chrono::system_clock::time_point wall = std::chrono::system_clock::now();
};

// Makes a word of 256 random bits, in hexadecimal digits: headers, URLs and cookies carry them, and
// none looks like an option where the word is a command's argument (openstack token revoke WORD).
std::string random_word();

class IssuedTokens {
 public:
  static constexpr std::chrono::hours lifetime{1};
  // A user has at most so many; the one that expires first makes room for another.
  static constexpr std::size_t most_of_a_user = 4096;

  struct Given {
    std::string secret;  // what its holder sends
    IssuedToken token;
  };
  // Issues a token. `of`: the token that asked for it, whose expiry it inherits.
  Given issue(Identity who, std::string method, TokenTime now, const IssuedToken* of = nullptr);
  // The token; null if it does not exist or has expired.
  const IssuedToken* find(std::string_view secret, TokenTime now = {}) const;
  const IssuedToken* find(const Secret::Digest& digest, TokenTime now = {}) const;
  bool revoke(std::string_view secret);

 private:
  void make_room(const std::string& user, TokenTime now);

  std::map<Secret::Digest, IssuedToken> tokens_;  // by digest: a memory dump gives no access
};

}  // namespace sluice::api
