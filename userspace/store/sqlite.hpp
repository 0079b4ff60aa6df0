// SQLite's C API as three RAII types: a connection, a prepared statement, a transaction. Private to
// store/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace sluice::store {

// Prepared statements that are used again and again, by their SQL.
class KeptStatements {
 public:
  KeptStatements() = default;
  KeptStatements(const KeptStatements&) = delete;
  KeptStatements& operator=(const KeptStatements&) = delete;
  ~KeptStatements();

  // Returns one that nobody is using; null: there is none.
  sqlite3_stmt* take(std::string_view sql);
  void put_back(sqlite3_stmt* statement);

 private:
  std::multimap<std::string, sqlite3_stmt*, std::less<>> idle_;
};

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
  struct Release {
    KeptStatements* kept = nullptr;  // null: it is used once
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3_stmt* statement, KeptStatements* kept) : statement_(statement, {kept}) {}
  std::unique_ptr<sqlite3_stmt, Release> statement_;
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
  // The same for a statement of every commit: it is prepared the first time only. The connection
  // must outlive it.
  Result<Statement> prepare_to_keep(std::string_view sql);
  // Runs one or more statements and ignores their rows.
  Result<void> execute(const std::string& sql);
  // Returns the first column of the first row, for "PRAGMA user_version" and the like.
  Result<std::string> query_one(std::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Result<sqlite3_stmt*> compile(std::string_view sql);

  std::unique_ptr<sqlite3, Close> database_;
  std::unique_ptr<KeptStatements> kept_ = std::make_unique<KeptStatements>();
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
