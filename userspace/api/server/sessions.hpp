// Sessions: the browsers that have signed in to the status page. A browser shows a token once and
// gets a random word as a cookie. That word is good for reading below /ui/ only, and ends after
// twelve hours, with the token that it was issued for, or with sluiced: sessions live in memory.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/language/identity.hpp"
#include "api/server/issued_tokens.hpp"
#include "api/server/secret.hpp"

namespace sluice::api {

class Sessions {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::hours lifetime{12};
  // When there are so many, the one that ends first makes room for another.
  static constexpr std::size_t most = 1024;

  // `issued`: the tokens of the identity service; null: there is no such service.
  explicit Sessions(std::shared_ptr<const IssuedTokens> issued = nullptr)
      : issued_(std::move(issued)) {}

  // Opens a session for the holder of the token and returns its word.
  std::string open(Identity who, std::string_view token,
                   Time now = std::chrono::steady_clock::now());
  // The session's owner, as a reader; nullopt if there is no such session or it has ended.
  std::optional<Identity> find(std::string_view word,
                               Time now = std::chrono::steady_clock::now()) const;
  void close(std::string_view word);
  std::size_t size() const { return sessions_.size(); }

 private:
  struct Session {
    Identity who;
    Time end;
    std::optional<Secret::Digest> issued;  // of the identity service's token that opened it
  };
  bool has_ended(const Session& session, Time now) const;

  std::shared_ptr<const IssuedTokens> issued_;
  std::map<Secret::Digest, Session> sessions_;  // by digest: a memory dump gives no access
};

// The cookie's name and, of a Cookie header, its value; empty: it is not there.
inline constexpr std::string_view session_cookie = "sluice_page";
std::string_view session_in(std::string_view cookies);

// The Set-Cookie header that gives a browser the session, or with an empty word takes it away. Over
// plain HTTP, which is served on loopback only, the cookie can't be Secure: browsers would drop it.
std::string cookie_for(std::string_view word, bool tls);

}  // namespace sluice::api
