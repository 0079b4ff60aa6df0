// PeerKeys: the secret by which the nodes seal what they tell each other of connections, in etcd.
// No I/O.
//
// The first node that finds none makes it. While it is exchanged there are two: each node takes
// what is sealed with either, and says which it has and which it seals with. It seals with the
// newer one as soon as all nodes have it, and when all do so, the older one is removed. A node that
// is gone has not got it, as far as anybody knows, so the exchange waits for it until it is back or
// removed.
//
// A node keeps a copy, because it has to understand its peers without etcd, too. etcd's counts,
// unless it is of an earlier exchange: then an old state was put back, and the node writes its own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"
#include "fleet/roster.hpp"

namespace sluice::fleet {

// What the key in etcd has. Secrets are words to this.
struct PeerKeyRing {
  std::uint64_t number = 0;  // grows with each exchange
  std::string newer, older;  // `older` is empty if nothing is being exchanged

  std::string text() const;
  static std::optional<PeerKeyRing> parse(const std::string& text);
  bool operator==(const PeerKeyRing&) const = default;
};

class PeerKeys {
 public:
  struct Settings {
    Keys keys;
    std::string node;
    std::string copy = {};  // what keep() got last; empty: nothing yet
  };
  struct Callbacks {
    std::function<std::string()> make_secret;
    // These are good from now on; the first is to seal with.
    std::function<void(const std::vector<std::string>& secrets)> use;
    // Stores the copy, which nobody else may read.
    std::function<Result<void>(const std::string& copy)> keep;
    // This node's entry in the roster is another one, and proceed() should be called again.
    std::function<void()> changed;
    std::function<void(Tone, const std::string&)> event;
  };

  PeerKeys(Etcd& etcd, Settings settings, Callbacks callbacks);
  PeerKeys(const PeerKeys&) = delete;
  PeerKeys& operator=(const PeerKeys&) = delete;

  // Uses the copy, if there is one.
  void start();
  void reset(std::int64_t revision, const std::vector<KeyValue>& all);
  void follow(const std::vector<Change>& changes);
  // Does what is due. To be called when anything may be another than before, and only while this
  // node follows etcd.
  void proceed(const Roster& roster);

  // Begins an exchange. ErrorKind::conflict: the last one is not over.
  void exchange(const Roster& roster, std::function<void(Result<void>)> done);

  // For this node's entry: the number of the newest secret that it has, and of the one that it
  // seals with; 0: none.
  std::uint64_t has() const { return ring_ ? ring_->number : 0; }
  std::uint64_t seals_with() const;
  // "3", or "2, until lb2 and lb3 have 3"; empty: none yet.
  std::string state(const Roster& roster) const;

 private:
  static constexpr auto pause = std::chrono::seconds(1);

  void take(const KeyValue& entry);
  void adopt(PeerKeyRing ring);
  void use_and_keep();
  void write(const PeerKeyRing& ring);
  std::vector<std::string> lacking(const Roster& roster, bool sealing) const;

  Etcd& etcd_;
  Settings settings_;
  Callbacks callbacks_;
  std::optional<PeerKeyRing> ring_;
  bool seals_with_newer_ = true;
  std::int64_t revision_ = 0;           // of the last reading
  std::optional<std::string> present_;  // etcd's value
  bool was_read_ = false;
  bool is_busy_ = false;  // with a write, or waiting after one that failed
};

}  // namespace sluice::fleet
