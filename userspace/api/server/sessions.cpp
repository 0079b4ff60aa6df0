#include "api/server/sessions.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::api {

std::string Sessions::open(Identity who, std::string_view token, Time now) {
  std::erase_if(sessions_, [&](const auto& one) { return has_ended(one.second, now); });
  if (sessions_.size() >= most) {
    sessions_.erase(
        std::ranges::min_element(sessions_, {}, [](const auto& one) { return one.second.end; }));
  }
  const auto digest = Secret::digest_of(token);
  const bool is_issued = issued_ && issued_->find(digest);
  auto word = random_word();
  sessions_[Secret::digest_of(word)] = {std::move(who), now + lifetime,
                                        is_issued ? std::optional(digest) : std::nullopt};
  return word;
}

bool Sessions::has_ended(const Session& session, Time now) const {
  return session.end <= now || (session.issued && !issued_->find(*session.issued, {.steady = now}));
}

std::optional<Identity> Sessions::find(std::string_view word, Time now) const {
  if (word.empty()) return std::nullopt;
  const auto found = sessions_.find(Secret::digest_of(word));
  if (found == sessions_.end() || has_ended(found->second, now)) return std::nullopt;
  auto who = found->second.who;
  if (who.role == Role::admin) who.role = Role::reader;
  return who;
}

void Sessions::close(std::string_view word) {
  sessions_.erase(Secret::digest_of(word));
}

std::string_view session_in(std::string_view cookies) {
  while (!cookies.empty()) {
    auto one = cookies.substr(0, cookies.find(';'));
    cookies.remove_prefix(std::min(one.size() + 1, cookies.size()));
    one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
    if (one.starts_with(session_cookie) && one.substr(session_cookie.size()).starts_with('=')) {
      return one.substr(session_cookie.size() + 1);
    }
  }
  return {};
}

std::string cookie_for(std::string_view word, bool tls) {
  const auto seconds = std::chrono::seconds(Sessions::lifetime).count();
  return fmt::format("{}={}; Path=/ui/; HttpOnly; SameSite=Strict; Max-Age={}{}", session_cookie,
                     word, word.empty() ? 0 : seconds, tls ? "; Secure" : "");
}

}  // namespace sluice::api
