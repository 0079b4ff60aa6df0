// Etcd: the few calls of etcd that a fleet needs, as an interface without I/O.
//
// EtcdClient (etcd_client.hpp) carries them out; the simulation in tests/fleet has an etcd of its
// own, with a network that loses, delays and repeats. Calls return at once; each `done` is called
// later, once, on the caller's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::fleet {

// How a line of the log is meant.
enum class Tone { news, trouble };

struct KeyValue {
  std::string key, value;
  std::int64_t modified = 0;  // the revision of its last change
};

// What each answer begins with. A cluster that was restored from a snapshot has another id.
struct Header {
  std::uint64_t cluster = 0;
  std::int64_t revision = 0;
};

struct Put {
  std::string key, value;
  std::int64_t lease = 0;  // that the key ends with; 0: none
};

// All of it happens, if `key` has the expected value, or nothing.
struct Transaction {
  std::string key;
  std::optional<std::string> expected;  // nullopt: the key is not there
  std::vector<Put> puts;
  std::vector<std::string> removals;
  std::vector<std::string> read_otherwise;  // keys to read if nothing happens

  std::size_t operations() const { return puts.size() + removals.size(); }
};

struct TransactionReply {
  Header header;
  bool happened = false;
  std::vector<KeyValue> read;
};

struct Reading {
  Header header;
  std::vector<KeyValue> found;
};

// A change of one key, as a watch tells it.
struct Change {
  KeyValue entry;  // with its key and revision only, if it was removed
  bool removed = false;
};

// A call without an answer.
struct Failure {
  std::string text;                 // why, with the members that were tried
  bool perhaps_it_happened = true;  // false: no member got it, or one refused it
  bool refused = false;             // etcd said no, and would again
};
template <typename T>
using Answer = tl::expected<T, Failure>;

// The end of a watch.
struct WatchEnd {
  std::string text;
  bool compacted = false;  // the changes since the revision that was asked for are gone
};

class Etcd {
 public:
  template <typename T>
  using Done = std::function<void(Answer<T>)>;

  virtual ~Etcd() = default;

  virtual void transact(Transaction transaction, Done<TransactionReply> done) = 0;
  // Reads the key, or all keys that begin with it. What is read is not older than the call.
  enum class Extent { key, prefix };
  virtual void read(std::string key, Extent extent, Done<Reading> done) = 0;
  // Says whether the key can still be read as it was at this revision, which is not in the future;
  // false: the history is compacted beyond it.
  virtual void remembers(std::string key, std::int64_t revision, Done<bool> done) = 0;
  // Makes a lease that ends when nobody renews it for so long.
  virtual void grant(std::chrono::seconds life, Done<std::int64_t> done) = 0;
  // Renews a lease; false: it has ended.
  virtual void renew(std::int64_t lease, Done<bool> done) = 0;

  struct Listener {
    // Changes, in order, without gaps, those of one revision together. Perhaps none: the watch
    // lives.
    std::function<void(Header, std::vector<Change>)> changed;
    std::function<void(WatchEnd)> ended;
  };
  // Watches the keys that begin so, from this revision on. It takes the place of an earlier watch,
  // which calls nothing any more.
  virtual void watch(std::string prefix, std::int64_t from, Listener listener) = 0;
  // Calls `then` after some time.
  virtual void after(std::chrono::milliseconds wait, std::function<void()> then) = 0;
};

}  // namespace sluice::fleet
