// Store: where the desired state survives a restart, so that nothing acknowledged is ever lost.
//
// Calls block until the store has done its work, however long that takes: writer.hpp keeps them
// away from the event loop.
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

// What is written at once: all of it is stored, or nothing.
struct Commit {
  model::Changes objects;
  std::map<Uuid, std::optional<model::Health>> health;  // by member; nullopt: is forgotten
  // The store's generation becomes at least this.
  std::uint64_t generation_at_least = 0;

  bool empty() const { return objects.empty() && health.empty() && generation_at_least == 0; }
};

// Which store it is, and how many commits it has seen: what a data plane notes to recognise a store
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
  // On success it is on disk. Returns the generation that it made.
  virtual Result<std::uint64_t> commit(const Commit& commit) = 0;
  // All of it as the bytes of a file that sluiced starts from when it is put in place of
  // sluice.db. It holds no tokens and no keys: those are in files of their own.
  virtual Result<std::string> back_up() = 0;
  // What such a file holds, also one of an older version. ErrorKind::invalid: it is none, or
  // damaged.
  virtual Result<Contents> read_backup(const std::string& file) = 0;
};

}  // namespace sluice::store
