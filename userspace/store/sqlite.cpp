#include "store/sqlite.hpp"

#include <sqlite3.h>

#include <algorithm>

namespace sluice::store {
namespace {

tl::unexpected<Error> error_of(sqlite3* database) {
  return sqlite_error(sqlite3_errcode(database), sqlite3_errmsg(database));
}

// The header's write and read versions are 2 where a WAL belongs to a file.
template <typename Byte>
void say_that_no_wal_belongs_to_it(Byte* file, std::size_t size) {
  constexpr std::size_t write_version = 18, read_version = 19;
  if (size > read_version) file[write_version] = file[read_version] = 1;
}

}  // namespace

// `system_errno` carries SQLite's own code: it has no other place, and only is_busy/is_damaged look
// at it.
tl::unexpected<Error> sqlite_error(int code, std::string message) {
  return tl::unexpected(Error{ErrorKind::system, std::move(message), "", code & 0xff});
}

bool is_busy(const Error& error) {
  return error.system_errno == SQLITE_BUSY || error.system_errno == SQLITE_LOCKED;
}

bool is_damaged(const Error& error) {
  return error.system_errno == SQLITE_CORRUPT || error.system_errno == SQLITE_NOTADB;
}

KeptStatements::~KeptStatements() {
  for (const auto& [sql, statement] : idle_) sqlite3_finalize(statement);
}

sqlite3_stmt* KeptStatements::take(std::string_view sql) {
  const auto found = idle_.find(sql);
  if (found == idle_.end()) return nullptr;
  auto* statement = found->second;
  idle_.erase(found);
  return statement;
}

// A statement that isn't reset would keep its transaction open.
void KeptStatements::put_back(sqlite3_stmt* statement) {
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  idle_.emplace(sqlite3_sql(statement), statement);
}

void Statement::Release::operator()(sqlite3_stmt* statement) const {
  if (kept) {
    kept->put_back(statement);
  } else {
    sqlite3_finalize(statement);
  }
}

// Binding fails only for an index out of range or out of memory; step() then reports what is
// missing.
void Statement::bind(int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter + 1, value);
}

void Statement::bind(int parameter, std::string_view value) {
  // A null pointer would bind NULL: an empty string needs an address.
  const char* text = value.empty() ? "" : value.data();
  sqlite3_bind_text64(statement_.get(), parameter + 1, text, value.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

void Statement::bind_null(int parameter) {
  sqlite3_bind_null(statement_.get(), parameter + 1);
}

Result<bool> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return error_of(sqlite3_db_handle(statement_.get()));
}

Result<void> Statement::run() {
  const auto row = step();
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  if (!row) return tl::unexpected(row.error());
  return {};
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

// If statements are left, it is closed when the last one is gone.
void Connection::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

Result<Connection> Connection::open(const std::filesystem::path& file) {
  sqlite3* database = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Connection connection;
  connection.database_.reset(database);
  if (code != SQLITE_OK) {
    return sqlite_error(code, database ? sqlite3_errmsg(database) : sqlite3_errstr(code));
  }
  return connection;
}

Result<Connection> Connection::open_bytes(const std::string& file) {
  auto connection = open(":memory:");
  if (!connection) return connection;
  auto* database = connection->database_.get();
  // The file's schema is untrusted: it must not call functions with side effects.
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  auto* copy = static_cast<unsigned char*>(sqlite3_malloc64(file.size() + 1));
  if (copy == nullptr) return sqlite_error(SQLITE_NOMEM, sqlite3_errstr(SQLITE_NOMEM));
  std::copy(file.begin(), file.end(), copy);
  say_that_no_wal_belongs_to_it(copy, file.size());
  const auto size = static_cast<sqlite3_int64>(file.size());
  const int code = sqlite3_deserialize(
      database, "main", copy, size, size,  // which frees the copy also when it fails
      SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE);
  if (code != SQLITE_OK) return error_of(database);
  return connection;
}

Result<std::string> Connection::bytes(const std::string& statements) {
  auto copy = open(":memory:");
  if (!copy) return tl::unexpected(copy.error());
  auto* to = copy->database_.get();
  auto* backup = sqlite3_backup_init(to, "main", database_.get(), "main");
  if (backup == nullptr) return error_of(to);
  sqlite3_backup_step(backup, -1);
  if (sqlite3_backup_finish(backup) != SQLITE_OK) return error_of(to);
  if (auto done = copy->execute(statements); !done) return tl::unexpected(done.error());
  sqlite3_int64 size = 0;
  const std::unique_ptr<unsigned char, decltype(&sqlite3_free)> image(
      sqlite3_serialize(to, "main", &size, 0), sqlite3_free);
  if (!image) return sqlite_error(SQLITE_NOMEM, sqlite3_errstr(SQLITE_NOMEM));
  std::string file(image.get(), image.get() + size);
  say_that_no_wal_belongs_to_it(file.data(), file.size());
  return file;
}

Result<sqlite3_stmt*> Connection::compile(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &statement, nullptr);
  if (code != SQLITE_OK) return error_of(database_.get());
  return statement;
}

Result<Statement> Connection::prepare(std::string_view sql) {
  const auto statement = compile(sql);
  if (!statement) return tl::unexpected(statement.error());
  return Statement(*statement, nullptr);
}

Result<Statement> Connection::prepare_to_keep(std::string_view sql) {
  if (auto* idle = kept_->take(sql)) return Statement(idle, kept_.get());
  const auto statement = compile(sql);
  if (!statement) return tl::unexpected(statement.error());
  return Statement(*statement, kept_.get());
}

Result<void> Connection::execute(const std::string& sql) {
  if (sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return error_of(database_.get());
  }
  return {};
}

Result<std::string> Connection::query_one(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return tl::unexpected(statement.error());
  const auto row = statement->step();
  if (!row) return tl::unexpected(row.error());
  return *row ? statement->text(0) : std::string{};
}

Result<Transaction> Transaction::begin(Connection& connection) {
  if (auto begun = connection.execute("BEGIN IMMEDIATE"); !begun) {
    return tl::unexpected(begun.error());
  }
  return Transaction(connection);
}

Result<void> Transaction::commit() {
  auto committed = connection_->execute("COMMIT");
  if (committed) connection_ = nullptr;
  return committed;
}

Transaction::~Transaction() {
  // A failure needs no report: SQLite rolls back when the connection is closed.
  if (connection_ != nullptr) static_cast<void>(connection_->execute("ROLLBACK"));
}

}  // namespace sluice::store
