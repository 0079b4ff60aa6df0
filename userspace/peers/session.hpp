// Session: what two nodes agree on before either believes the other. Pure, but for random salts.
//
// Each node has a salt of its own for each peer, new at each start. A datagram names the salt of
// its receiver, too, and one that doesn't is answered by a greeting and otherwise ignored: so what
// was recorded of earlier sessions, or on its way to other nodes, is worth nothing. Within a
// session each counter is good once. A salt that a peer has given up is never accepted again.
//
//   A                         B
//   │── hello, to nobody ────▶│  doesn't know A's salt yet: greets back
//   │◀── hello, to A's salt ──│  A has B's session
//   │── anything, to B's ────▶│  B has A's session
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "peers/datagram.hpp"
#include "peers/keys.hpp"
#include "peers/seal.hpp"

namespace sluice::peers {

// Why a datagram was refused. The words are those of the metrics.
enum class Refusal { malformed, version, key, forged, stale, repeated, greeting };
inline constexpr std::size_t refusals = 7;
const char* to_string(Refusal why);

class Session {
 public:
  explicit Session(const Keys& keys);

  struct Opened {
    Body body;
    bool is_new = false;  // the peer has begun anew: it knows nothing of what was
  };
  // Refusal::greeting: it is genuine as far as one can tell, and should be answered by greeting().
  tl::expected<Opened, Refusal> open(View datagram);

  bool is_established() const { return theirs_.has_value(); }
  // For begin_body(): to whom this node speaks.
  Salt to() const { return theirs_ ? theirs_->salt : Salt{}; }
  Bytes seal(View body);
  // The salt to which a greeting is due.
  std::optional<Salt> greeting() const { return greeting_; }

  // From now on these keys are good.
  void exchange(const Keys& keys);

 private:
  static constexpr std::size_t most_retired = 1024;

  struct Named {
    Key key;
    KeyId id;
  };
  struct Theirs {
    Salt salt;
    Cipher cipher;
    ReplayWindow window;
  };
  std::optional<Cipher> cipher_for(const Head& head) const;
  Cipher own_cipher() const;
  void retire_theirs();

  std::vector<Named> keys_;
  Salt mine_;
  std::uint64_t counter_ = 0;
  Cipher cipher_;
  std::optional<Theirs> theirs_;
  std::optional<Salt> greeting_;
  std::set<Salt> retired_;
};

}  // namespace sluice::peers
