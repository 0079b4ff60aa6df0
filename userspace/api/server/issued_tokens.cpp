#include "api/server/issued_tokens.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include "base/uuid.hpp"

namespace sluice::api {

std::string random_word() {
  std::array<unsigned char, 32> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw std::runtime_error("no random numbers");
  }
  return fmt::format("{:02x}", fmt::join(bytes, ""));
}

IssuedTokens::Given IssuedTokens::issue(Identity who, std::string method, TokenTime now,
                                        const IssuedToken* of) {
  IssuedToken token{.who = std::move(who),
                    .method = std::move(method),
                    .audit_id = to_string(new_uuid()).substr(0, 22),
                    .issued_at = now.wall,
                    .expires_at = of ? of->expires_at : now.wall + lifetime,
                    .expiry = of ? of->expiry : now.steady + lifetime};
  make_room(token.who.name, now);
  auto secret = random_word();
  tokens_.insert_or_assign(Secret::digest_of(secret), token);
  return {std::move(secret), std::move(token)};
}

void IssuedTokens::make_room(const std::string& user, TokenTime now) {
  std::erase_if(tokens_, [&](const auto& one) { return one.second.expiry <= now.steady; });
  std::size_t count = 0;
  auto first = tokens_.end();
  for (auto one = tokens_.begin(); one != tokens_.end(); ++one) {
    if (one->second.who.name != user) continue;
    ++count;
    if (first == tokens_.end() || one->second.expiry < first->second.expiry) first = one;
  }
  if (count >= most_of_a_user) tokens_.erase(first);
}

const IssuedToken* IssuedTokens::find(std::string_view secret, TokenTime now) const {
  return find(Secret::digest_of(secret), now);
}

const IssuedToken* IssuedTokens::find(const Secret::Digest& digest, TokenTime now) const {
  const auto found = tokens_.find(digest);
  return found == tokens_.end() || found->second.expiry <= now.steady ? nullptr : &found->second;
}

bool IssuedTokens::revoke(std::string_view secret) {
  return tokens_.erase(Secret::digest_of(secret)) != 0;
}

}  // namespace sluice::api
