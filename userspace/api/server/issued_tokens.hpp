// IssuedTokens: the tokens that signing in gave out. They live for an hour and in memory: after a
// restart clients are answered 401 and sign in again, as they do when one has expired.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "api/language/identity.hpp"
#include "api/server/secret.hpp"

namespace sluice::api {

// What a token says: whose it is and until when.
struct IssuedToken {
  using Expiry = std::chrono::steady_clock::time_point;  // unmoved when the clock is set

  Identity who;
  std::string method;    // how its holder signed in first: "password"
  std::string audit_id;  // names it in logs without opening anything
  std::chrono::system_clock::time_point issued_at = {}, expires_at = {};  // as clients are told
  Expiry expiry = {};
};

// One moment by both clocks.
struct TokenTime {
  std::chrono::steady_clock::time_point steady = std::chrono::steady_clock::now();
  std::chrono::system_clock::time_point wall = std::chrono::system_clock::now();
};

class IssuedTokens {
 public:
  static constexpr std::chrono::hours lifetime{1};
  // One user's; the one that expires first makes room for another.
  static constexpr std::size_t most_of_a_user = 4096;

  struct Given {
    std::string secret;  // what its holder sends
    IssuedToken token;
  };
  // `of`: the token that asked for this one, whose end it keeps.
  Given issue(Identity who, std::string method, TokenTime now, const IssuedToken* of = nullptr);
  // Null: there is no such token, or no more.
  const IssuedToken* find(std::string_view secret, TokenTime now = {}) const;
  bool revoke(std::string_view secret);

 private:
  void make_room(const std::string& user, TokenTime now);

  std::map<Secret::Digest, IssuedToken> tokens_;  // a copy of memory opens nothing
};

}  // namespace sluice::api
