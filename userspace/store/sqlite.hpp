// SQLite's C API as three RAII types: a connection, a prepared statement, a transaction. Private to
// store/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::store {

class Statement {
 public:
  // Parameters and columns count from 0.
  void bind(int parameter, std::int64_t value);
  void bind(int parameter, std::string_view value);
  void bind_null(int parameter);

  // Returns true if there is a row to read, false at the end.
  Result<bool> step();
  // Runs a statement that gives no rows, and makes it ready for the next set of parameters.
  Result<void> run();

  std::int64_t integer(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  friend class Connection;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Connection {
 public:
  static Result<Connection> open(const std::filesystem::path& file);
  // Opens a database in memory from the bytes of an untrusted file.
  static Result<Connection> open_bytes(const std::string& file);
  // Copies the database (SQLite's online backup), runs the statements on the copy, and returns it
  // as a file that is complete without a WAL.
  Result<std::string> bytes(const std::string& statements);

  Result<Statement> prepare(std::string_view sql);
  // Runs one or more statements and ignores their rows.
  Result<void> execute(const std::string& sql);
  // Returns the first column of the first row, for "PRAGMA user_version" and the like.
  Result<std::string> query_one(std::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::unique_ptr<sqlite3, Close> database_;
};

// Rolls back unless it was committed.
class Transaction {
 public:
  static Result<Transaction> begin(Connection& connection);
  Result<void> commit();

  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Makes an error of SQLite's message. `code` is one of its result codes.
tl::unexpected<Error> sqlite_error(int code, std::string message);
bool is_busy(const Error& error);     // another process has the file
bool is_damaged(const Error& error);  // not a database, or a broken one

}  // namespace sluice::store
