// Store: the desired state on disk (SQLite), so that nothing acknowledged is ever lost.
//
// One file, `sluice.db`, in the state directory: WAL, synchronous=FULL, foreign keys, migrations by
// `user_version`. A file that is corrupt, locked by another sluiced or newer than this program is
// refused with a clear error, never replaced by an empty one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::store {

class Store {
 public:
  // Opens or creates `directory`/sluice.db (the directory too, mode 0750).
  static Result<Store> open(const std::filesystem::path& directory);

  Result<model::Model> load() const;
  Result<model::HealthTable> load_health() const;

  // Writes what differs between the two states, in one transaction; on return it is on disk.
  Result<void> save(const model::Model& before, const model::Model& after);
  // What is new of these members, in one transaction.
  Result<void> save_health(const model::HealthTable& changes);
  // Forgets all of these in one transaction.
  Result<void> forget_health(const std::vector<Uuid>& members);

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

 private:
  struct Database;
  explicit Store(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace sluice::store
