// Store: keeps the desired state across restarts, so that nothing acknowledged is ever lost.
//
// Calls block until the store has done its work, however long that takes; writer.hpp keeps them off
// the event loop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "base/uuid.hpp"
#include "model/changes.hpp"
#include "model/objects.hpp"

namespace sluice::store {

// One transaction: all of it is stored, or nothing.
struct Commit {
  model::Changes objects;
  std::map<Uuid, std::optional<model::Health>> health;  // by member; nullopt: forget it
  // The store's generation is raised to at least this.
  std::uint64_t generation_at_least = 0;

  bool empty() const { return objects.empty() && health.empty() && generation_at_least == 0; }
};

// The store's id and the number of its commits. The data plane notes both, to recognise a store
// that is older than what it carries.
struct Position {
  Uuid store{};
  std::uint64_t generation = 0;  // raised by each commit

  bool operator==(const Position&) const = default;
};

struct Contents {
  model::Model model;
  model::HealthTable health;
  Position position;
};

class Store {
 public:
  virtual ~Store() = default;

  virtual Result<Contents> load() = 0;
  // Stores the commit; on success it is on disk. Returns the new generation.
  virtual Result<std::uint64_t> commit(const Commit& commit) = 0;
  // Returns the whole store as a file that can take the place of sluice.db. It holds no tokens and
  // no keys: those are in files of their own.
  virtual Result<std::string> back_up() = 0;
  // Reads such a file, also one of an older version. ErrorKind::invalid: it is not a store, or it
  // is damaged.
  virtual Result<Contents> read_backup(const std::string& file) = 0;
};

}  // namespace sluice::store
