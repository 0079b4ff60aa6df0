// Schema: the tables of the store and how an older file becomes one of today. Private to store/.
#pragma once

#include "base/result.hpp"
#include "store/sqlite.hpp"

namespace sluice::store {

// The schema that this program writes; a file's own is its `user_version`.
int newest_schema();

// The file's schema; 0: it has none yet.
Result<int> schema_of(Connection& connection);

// Brings the file to newest_schema(), one transaction per step. A newer file is an error.
Result<void> migrate(Connection& connection);

}  // namespace sluice::store
