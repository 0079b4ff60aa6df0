// Store: keeps the desired state across restarts, so that nothing acknowledged is ever lost.
//
// Calls block until the store has done its work, however long that takes; writer.hpp keeps them off
// the event loop.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "model/changes.hpp"
#include "model/event_record.hpp"
#include "model/objects.hpp"

namespace sluice::store {

// The store's id and the number of its commits. The data plane notes both, to recognise a store
// that is older than what it carries.
struct Position {
  Uuid store{};
  std::uint64_t generation = 0;  // raised by each commit

  bool operator==(const Position&) const = default;
};

// One transaction: all of it is stored, or nothing.
struct Commit {
  model::Changes objects;
  std::map<Uuid, std::optional<model::Health>> health;  // by member; nullopt: forget it
  // The store's generation is raised to at least this.
  std::uint64_t generation_at_least = 0;
  std::vector<model::EventRecord> events;  // these changes, and what else happened
  // Makes the store a copy of another at this position; unset: it counts its own commits.
  std::optional<Position> copy_of = {};

  bool empty() const {
    return objects.empty() && health.empty() && generation_at_least == 0 && events.empty() &&
           !copy_of;
  }
};

// A store keeps the newest events, at most so many, and none that are older than this.
constexpr std::size_t most_events = 100'000;
constexpr auto longest_kept_event = std::chrono::hours(24 * 90);

struct Contents {
  model::Model model;
  model::HealthTable health;
  Position position;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual Result<Contents> load() = 0;
  // Stores the commit; on success it is on disk. Returns the new generation. ErrorKind::conflict:
  // somebody else has changed the store since load() or the last commit of ours; nothing was
  // stored, and load() has what is there now.
  virtual Result<std::uint64_t> commit(const Commit& commit) = 0;
  // Finds events. They come in the order of their numbers.
  virtual Result<std::vector<model::EventRecord>> events(const model::EventQuery& query) = 0;
  // Returns the state as a file that can take the place of sluice.db. It holds no tokens and no
  // keys, which are in files of their own, and no events, which are this node's past.
  virtual Result<std::string> back_up() = 0;
  // Reads such a file, also one of an older version. ErrorKind::invalid: it is not a store, or it
  // is damaged.
  virtual Result<Contents> read_backup(const std::string& file) = 0;
};

}  // namespace sluice::store
