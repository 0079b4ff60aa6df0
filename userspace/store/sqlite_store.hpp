// SqliteStore: the store as one file, `sluice.db`, in the state directory: WAL, synchronous=FULL,
// foreign keys, migrations by `user_version`. A file that is corrupt, locked by another sluiced or
// newer than this program is refused with a clear error, never replaced by an empty one.
#pragma once

#include <filesystem>
#include <memory>

#include "store/store.hpp"

namespace sluice::store {

class SqliteStore final : public Store {
 public:
  // Opens or creates `directory`/sluice.db (the directory too, mode 0750).
  static Result<SqliteStore> open(const std::filesystem::path& directory);

  Result<Contents> load() override;
  Result<std::uint64_t> commit(const Commit& commit) override;
  Result<std::vector<model::EventRecord>> events(const model::EventQuery& query) override;
  Result<std::string> back_up() override;
  Result<Contents> read_backup(const std::string& file) override;

  SqliteStore(SqliteStore&&) noexcept;
  SqliteStore& operator=(SqliteStore&&) noexcept;
  ~SqliteStore() override;

 private:
  struct Database;
  explicit SqliteStore(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace sluice::store
