#include "peers/session.hpp"

#include <algorithm>
#include <utility>

namespace sluice::peers {

const char* to_string(Refusal why) {
  switch (why) {
    case Refusal::malformed:
      return "malformed";
    case Refusal::version:
      return "version";
    case Refusal::key:
      return "key";
    case Refusal::forged:
      return "forged";
    case Refusal::stale:
      return "stale";
    case Refusal::repeated:
      return "repeated";
    case Refusal::greeting:
      return "greeting";
  }
  return "";
}

Session::Session(const Keys& keys)
    : keys_([&] {
        std::vector<Named> named;
        for (const auto& key : keys.all()) named.push_back({key, id_of(key)});
        return named;
      }()),
      mine_(new_salt()),
      cipher_(own_cipher()) {}

Cipher Session::own_cipher() const {
  return {keys_.front().key, keys_.front().id, mine_};
}

// The counter goes on, although another key would allow it to begin anew.
void Session::exchange(const Keys& keys) {
  keys_.clear();
  for (const auto& key : keys.all()) keys_.push_back({key, id_of(key)});
  cipher_ = own_cipher();
}

std::optional<Cipher> Session::cipher_for(const Head& head) const {
  const auto found = std::ranges::find(keys_, head.key, &Named::id);
  if (found == keys_.end()) return std::nullopt;
  return Cipher(found->key, found->id, head.salt);
}

tl::expected<Session::Opened, Refusal> Session::open(View datagram) {
  const auto head = parse_head(datagram);
  if (!head) {
    return tl::unexpected(head.error() == HeadFault::version ? Refusal::version
                                                             : Refusal::malformed);
  }
  if (head->salt == mine_ || retired_.contains(head->salt)) return tl::unexpected(Refusal::stale);
  const bool is_present = theirs_ && theirs_->salt == head->salt;
  std::optional<Cipher> made;  // for a salt that isn't known, or another key
  if (!is_present || theirs_->cipher.key() != head->key) {
    made = cipher_for(*head);
    if (!made) return tl::unexpected(Refusal::key);
  }
  const auto opened = (made ? *made : theirs_->cipher).open(datagram, head->counter);
  if (!opened) return tl::unexpected(Refusal::forged);
  if (is_present) {
    if (made) theirs_->cipher = std::move(*made);
    if (!theirs_->window.take(head->counter)) return tl::unexpected(Refusal::repeated);
  }
  auto body = parse(*opened);
  if (!body) return tl::unexpected(Refusal::malformed);
  if (body->to != mine_) {
    if (is_present) return tl::unexpected(Refusal::stale);
    greeting_ = head->salt;
    return tl::unexpected(Refusal::greeting);
  }
  if (is_present) return Opened{std::move(*body), false};
  retire_theirs();
  theirs_.emplace(Theirs{head->salt, std::move(*made), {}});
  theirs_->window.take(head->counter);
  return Opened{std::move(*body), true};
}

// Once there are too many to remember, this node takes another salt, which makes them all
// worthless.
void Session::retire_theirs() {
  if (!theirs_) return;
  retired_.insert(theirs_->salt);
  if (retired_.size() < most_retired) return;
  retired_.clear();
  mine_ = new_salt();
  counter_ = 0;
  cipher_ = own_cipher();
}

Bytes Session::seal(View body) {
  return cipher_.seal(body, counter_++);
}

}  // namespace sluice::peers
