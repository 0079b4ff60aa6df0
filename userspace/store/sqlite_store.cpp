#include "store/sqlite_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include "base/fd.hpp"
#include "base/file_lock.hpp"
#include "model/references.hpp"
#include "store/columns.hpp"
#include "store/event_table.hpp"
#include "store/schema.hpp"
#include "store/sqlite.hpp"
#include "store/values.hpp"

namespace sluice::store {

struct SqliteStore::Database {
  FileLock lock;
  std::filesystem::path file;
  Connection connection;
  std::uint64_t generation = 0;
  std::size_t events = 0;
};

namespace {

namespace fs = std::filesystem;

// ---- opening ----

// Exclusive locking keeps the file locked from the first write on, so that a second daemon on the
// same directory is refused; it also keeps the WAL's index in memory instead of in a third file.
constexpr const char* settings = R"sql(
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA foreign_keys = ON;
)sql";

Error explained(Error error, const fs::path& file) {
  if (is_busy(error)) {
    error.message = "it is in use by another sluiced";
    error.hint = "stop that one, or choose another --state-dir";
  } else if (is_damaged(error)) {
    error.hint = "restore it from a backup; to start with nothing configured, move it away first";
  } else if (error.kind == ErrorKind::system && error.hint.empty()) {
    error.hint = "is the directory writable for this user, and is there room on the disk?";
  }
  return std::move(error).within(fmt::format("open {}", file.string()));
}

Result<void> make_directory(const fs::path& directory) {
  std::error_code error;
  if (fs::create_directories(directory, error)) {
    fs::permissions(directory, fs::perms(0750), error);
  }
  if (error) {
    return fail_errno(error.value(), fmt::format("create state directory {}", directory.string()),
                      "run as root or choose another --state-dir");
  }
  return {};
}

// SQLite has a lock of its own, but can't tell who holds it.
Result<FileLock> lock_directory(const fs::path& directory) {
  auto lock = FileLock::acquire(directory / "lock", "the state directory " + directory.string(),
                                "stop that one, or choose another --state-dir");
  if (!lock && lock.error().kind == ErrorKind::system) {
    lock.error().hint = "is the directory writable for this user, and is there room on the disk?";
  }
  return lock;
}

Result<Connection> connect(const fs::path& file) {
  auto connection = Connection::open(file);
  if (!connection) return connection;
  if (auto set = connection->execute(settings); !set) return tl::unexpected(set.error());
  // The first write transaction takes the lock, even an empty one.
  if (auto lock = connection->execute("BEGIN IMMEDIATE; COMMIT"); !lock) {
    return tl::unexpected(lock.error());
  }
  return connection;
}

// Makes names in the directory last through a power loss.
Result<void> sync_directory(const fs::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "open the state directory");
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (failed != 0) return fail_errno(failed, "sync the state directory");
  return {};
}

// A new database gets its name only when it is complete. So a file of that name without a schema,
// an empty one for example, is damage and not a first start.
Result<void> create(const fs::path& file) {
  const auto unfinished = fs::path(file).concat(".new");
  std::error_code error;
  for (const auto* suffix : {"", "-wal", "-journal"}) {
    fs::remove(fs::path(unfinished).concat(suffix), error);
  }
  {
    auto connection = connect(unfinished);
    if (!connection) return tl::unexpected(connection.error());
    if (auto done = migrate(*connection); !done) return done;
  }
  fs::permissions(unfinished, fs::perms(0640), error);
  if (!error) fs::rename(unfinished, file, error);
  if (error) return fail_errno(error.value(), "give the new database its name");
  return sync_directory(file.parent_path());
}

// "sluice.db.v8": the file as the last version with this schema left it.
fs::path copy_of(const fs::path& file, int schema) {
  return fs::path(file).concat(fmt::format(".v{}", schema));
}

// Writes a whole file, so that after a power loss there is all of it or none.
Result<void> write_file(const fs::path& file, const std::string& bytes) {
  const auto unfinished = fs::path(file).concat(".new");
  const UniqueFd fd(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!fd) return fail_errno(errno, "open it");
  for (std::size_t done = 0; done < bytes.size();) {
    const auto written = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0) return fail_errno(errno, "write it");
    done += static_cast<std::size_t>(written);
  }
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "sync it");
  if (::rename(unfinished.c_str(), file.c_str()) != 0) return fail_errno(errno, "name it");
  return sync_directory(file.parent_path());
}

// An older program can't read what a newer one has migrated: so what is migrated is kept as well.
Result<void> migrate_with_copy(Connection& connection, const fs::path& file) {
  const auto version = schema_of(connection);
  if (!version) return tl::unexpected(version.error());
  if (*version > newest_schema()) {
    auto newer = migrate(connection);
    const auto copy = copy_of(file, newest_schema());
    std::error_code error;
    if (!newer && fs::exists(copy, error)) {
      newer.error().hint = fmt::format(
          "install that version again; to go back to the state before it, put {} in this file's "
          "place and start once with --accept-older-state",
          copy.string());
    }
    return newer;
  }
  if (*version < newest_schema()) {
    const auto copy = copy_of(file, *version);
    auto kept =
        connection.bytes("").and_then([&](const auto& all) { return write_file(copy, all); });
    if (!kept) return fail(std::move(kept.error()), "keep a copy as " + copy.string());
  }
  return migrate(connection);
}

Result<Connection> open_existing(const fs::path& file) {
  auto connection = connect(file);
  if (!connection) return connection;
  const auto damaged = [](const std::string& what) {
    return tl::unexpected(
        Error{ErrorKind::internal, what,
              "restore it from a backup; to start with nothing configured, move it away first", 0});
  };
  const auto version = connection->query_one("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  if (*version == "0") return damaged("it is not a database of Sluice");
  if (auto done = migrate_with_copy(*connection, file); !done) return tl::unexpected(done.error());
  const auto check = connection->query_one("PRAGMA quick_check(1)");
  if (!check) return tl::unexpected(check.error());
  if (*check != "ok") return damaged("the database is damaged: " + *check);
  return connection;
}

// ---- writing ----

template <typename T>
std::string upsert_sql() {
  std::vector<std::string> names, marks, updates;
  auto collect = [&](const char* name, const auto&) {
    names.emplace_back(name);
    marks.emplace_back("?");
    updates.push_back(fmt::format("{0}=excluded.{0}", name));
  };
  const T object{};
  columns(collect, object);
  // Not INSERT OR REPLACE: that deletes the row first, and its health with it.
  return fmt::format("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT(id) DO UPDATE SET {}",
                     table_of(object), fmt::join(names, ","), fmt::join(marks, ","),
                     fmt::join(updates, ","));
}

class TagWriter {
 public:
  static Result<TagWriter> prepare(Connection& connection) {
    auto insert =
        connection.prepare_to_keep("INSERT INTO tags (object_id, position, tag) VALUES (?, ?, ?)");
    if (!insert) return tl::unexpected(insert.error());
    auto clear = connection.prepare_to_keep("DELETE FROM tags WHERE object_id = ?");
    if (!clear) return tl::unexpected(clear.error());
    return TagWriter(std::move(*insert), std::move(*clear));
  }

  Result<void> set(const Uuid& object, const std::vector<std::string>& tags) {
    write(clear_, 0, object);
    if (auto done = clear_.run(); !done) return done;
    for (std::size_t position = 0; position < tags.size(); position++) {
      write(insert_, 0, object);
      write(insert_, 1, position);
      write(insert_, 2, tags[position]);
      if (auto done = insert_.run(); !done) return done;
    }
    return {};
  }

 private:
  TagWriter(Statement insert, Statement clear)
      : insert_(std::move(insert)), clear_(std::move(clear)) {}
  Statement insert_, clear_;
};

// Writes the changed objects of one kind.
template <typename T>
Result<void> save_objects(Connection& connection, TagWriter& tags,
                          const model::ChangesOf<T>& changes) {
  if (changes.empty()) return {};
  static const auto sql = upsert_sql<T>();
  auto upsert = connection.prepare_to_keep(sql);
  if (!upsert) return tl::unexpected(upsert.error());
  auto erase =
      connection.prepare_to_keep(fmt::format("DELETE FROM {} WHERE id = ?", table_of(T{})));
  if (!erase) return tl::unexpected(erase.error());

  for (const auto& id : changes.removed) {
    if (auto done = tags.set(id, {}); !done) return done;
    write(*erase, 0, id);
    if (auto done = erase->run(); !done) return done;
  }
  for (const auto& [id, object] : changes.put) {
    int at = 0;
    auto bind = [&](const char*, const auto& value) { write(*upsert, at++, value); };
    columns(bind, object);
    if (auto done = upsert->run(); !done) return done;
    if (auto done = tags.set(id, object.tags); !done) return done;
  }
  return {};
}

// There are few quotas, so all are written anew when one changes.
Result<void> save_quotas(Connection& connection, const model::Quotas& quotas) {
  if (auto done = connection.execute("DELETE FROM quotas"); !done) return done;
  std::string names = "project_id", marks = "?";
  const auto collect = [&](const char* name, const auto&) {
    names.append(", ").append(name);
    marks += ", ?";
  };
  const model::Quota sample;
  columns(collect, sample);
  auto insert =
      connection.prepare_to_keep(fmt::format("INSERT INTO quotas ({}) VALUES ({})", names, marks));
  if (!insert) return tl::unexpected(insert.error());
  for (const auto& [project, quota] : quotas) {
    int at = 0;
    write(*insert, at++, project);
    const auto bind = [&](const char*, const auto& value) { write(*insert, at++, value); };
    columns(bind, quota);
    if (auto done = insert->run(); !done) return done;
  }
  return {};
}

Result<void> save_drained_nodes(Connection& connection, const model::DrainedNodes& nodes) {
  if (auto done = connection.execute("DELETE FROM drained_nodes"); !done) return done;
  auto insert = connection.prepare_to_keep("INSERT INTO drained_nodes (name, since) VALUES (?, ?)");
  if (!insert) return tl::unexpected(insert.error());
  for (const auto& [name, since] : nodes) {
    write(*insert, 0, name);
    write(*insert, 1, since);
    if (auto done = insert->run(); !done) return done;
  }
  return {};
}

Result<void> save_all_objects(Connection& connection, const model::Changes& changes) {
  auto tags = TagWriter::prepare(connection);
  if (!tags) return tl::unexpected(tags.error());
  Result<void> done;
  model::for_each_kind(changes, [&](const auto& changed) {
    if (done) done = save_objects(connection, *tags, changed);
  });
  if (done && changes.quotas) done = save_quotas(connection, *changes.quotas);
  if (done && changes.drained_nodes) done = save_drained_nodes(connection, *changes.drained_nodes);
  return done;
}

Result<void> save_health(Connection& connection, const decltype(Commit::health)& changes) {
  auto upsert = connection.prepare_to_keep(
      "INSERT INTO member_health (member_id, health) VALUES (?, ?) "
      "ON CONFLICT(member_id) DO UPDATE SET health=excluded.health");
  if (!upsert) return tl::unexpected(upsert.error());
  auto erase = connection.prepare_to_keep("DELETE FROM member_health WHERE member_id = ?");
  if (!erase) return tl::unexpected(erase.error());
  for (const auto& [member, health] : changes) {
    auto& statement = health ? *upsert : *erase;
    write(statement, 0, member);
    if (health) write(statement, 1, *health);
    if (auto done = statement.run(); !done) return done;
  }
  return {};
}

model::Timestamp now() {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

struct Saved {
  std::uint64_t generation = 0;
  std::size_t events = 0;
};

// The generation after a commit: a copy has that of the store that it is a copy of.
std::uint64_t next_generation(const Commit& commit, std::uint64_t present) {
  if (commit.copy_of) return commit.copy_of->generation;
  return std::max(present + 1, commit.generation_at_least);
}

Result<void> save_identity(Connection& connection, const Commit& commit, std::uint64_t generation) {
  auto update = connection.prepare_to_keep(
      "UPDATE identity SET generation = ?, store_id = coalesce(?, store_id)");
  if (!update) return tl::unexpected(update.error());
  write(*update, 0, generation);
  write(*update, 1, commit.copy_of ? std::optional(commit.copy_of->store) : std::nullopt);
  return update->run();
}

Result<Saved> save_all(Connection& connection, const Commit& commit, const Saved& present) {
  Saved next{next_generation(commit, present.generation), present.events};
  auto transaction = Transaction::begin(connection);
  if (!transaction) return tl::unexpected(transaction.error());
  auto done =
      save_all_objects(connection, commit.objects)
          .and_then([&] { return save_health(connection, commit.health); })
          .and_then([&] { return save_events(connection, commit.events, present.events, now()); })
          .and_then([&](std::size_t events) {
            next.events = events;
            return save_identity(connection, commit, next.generation);
          })
          .and_then([&] { return transaction->commit(); });
  if (!done) return tl::unexpected(std::move(done.error()));
  return next;
}

// ---- reading ----

using Tags = std::map<Uuid, std::vector<std::string>>;

Result<Tags> load_tags(Connection& connection) {
  auto select = connection.prepare("SELECT object_id, tag FROM tags ORDER BY object_id, position");
  if (!select) return tl::unexpected(select.error());
  Tags tags;
  for (;;) {
    const auto row = select->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return tags;
    Uuid id{};
    if (!read(*select, 0, id)) return fail(ErrorKind::internal, "tags: a bad object_id");
    tags[id].push_back(select->text(1));
  }
}

template <typename T>
Result<void> load_objects(Connection& connection, const Tags& tags, model::Table<T>& objects) {
  std::vector<std::string> names;
  auto collect = [&](const char* name, const auto&) { names.emplace_back(name); };
  T object{};
  columns(collect, object);
  auto select =
      connection.prepare(fmt::format("SELECT {} FROM {}", fmt::join(names, ","), table_of(object)));
  if (!select) return tl::unexpected(select.error());

  for (;;) {
    const auto row = select->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    int at = 0;
    const char* bad = nullptr;
    auto set = [&](const char* name, auto& value) {
      if (!read(*select, at++, value) && bad == nullptr) bad = name;
    };
    object = T{};
    columns(set, object);
    if (bad != nullptr) {
      return fail(ErrorKind::internal,
                  fmt::format("{} {}: a bad {}", table_of(object), select->text(0), bad));
    }
    if (const auto own = tags.find(object.id); own != tags.end()) object.tags = own->second;
    objects.put(object);
  }
}

Result<void> load_quotas(Connection& connection, model::Quotas& quotas) {
  std::string names = "project_id";
  const auto collect = [&](const char* name, const auto&) { names.append(", ").append(name); };
  const model::Quota sample;
  columns(collect, sample);
  auto select = connection.prepare(fmt::format("SELECT {} FROM quotas", names));
  if (!select) return tl::unexpected(select.error());
  for (;;) {
    const auto row = select->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    model::Quota quota;
    int at = 1;
    const char* bad = nullptr;
    const auto set = [&](const char* name, auto& value) {
      if (!read(*select, at++, value) && bad == nullptr) bad = name;
    };
    columns(set, quota);
    if (bad != nullptr) {
      return fail(ErrorKind::internal, fmt::format("quotas {}: a bad {}", select->text(0), bad));
    }
    quotas.emplace(select->text(0), quota);
  }
}

Result<void> load_drained_nodes(Connection& connection, model::DrainedNodes& nodes) {
  auto select = connection.prepare("SELECT name, since FROM drained_nodes");
  if (!select) return tl::unexpected(select.error());
  for (;;) {
    const auto row = select->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    model::Timestamp since;
    if (!read(*select, 1, since))
      return fail(ErrorKind::internal, fmt::format("node {}: a bad since", select->text(0)));
    nodes.emplace(select->text(0), since);
  }
}

// A row that refers to a missing one can't have been written by us: foreign keys forbid it.
Result<void> whole(const model::Model& model) {
  auto complete = model::check_references(model);
  if (complete) return complete;
  auto error = std::move(complete.error());
  error.message = "the database is damaged: " + error.message;
  error.hint = "restore it from a backup; to start with nothing configured, move it away first";
  return tl::unexpected(std::move(error));
}

Result<model::Model> load_all(Connection& connection) {
  const auto tags = load_tags(connection);
  if (!tags) return tl::unexpected(tags.error());
  model::Model model;
  const auto load = [&](auto& objects) {
    return [&] { return load_objects(connection, *tags, objects); };
  };
  return load(model.load_balancers)()
      .and_then(load(model.pools))
      .and_then(load(model.listeners))
      .and_then(load(model.members))
      .and_then(load(model.health_monitors))
      .and_then(load(model.floating_ips))
      .and_then([&] { return load_quotas(connection, model.quotas); })
      .and_then([&] { return load_drained_nodes(connection, model.drained_nodes); })
      .and_then([&] { return whole(model); })
      .map([&] { return std::move(model); });
}

Result<model::HealthTable> load_health(Connection& connection) {
  auto select = connection.prepare("SELECT member_id, health FROM member_health");
  if (!select) return tl::unexpected(select.error());
  model::HealthTable table;
  for (;;) {
    const auto row = select->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return table;
    Uuid member{};
    auto health = model::Health::up;
    // A member whose health can't be read will be probed.
    if (read(*select, 0, member) && read(*select, 1, health)) table[member] = health;
  }
}

Result<Position> load_position(Connection& connection) {
  auto select = connection.prepare("SELECT store_id, generation FROM identity");
  if (!select) return tl::unexpected(select.error());
  const auto row = select->step();
  if (!row) return tl::unexpected(row.error());
  Position position;
  if (!*row || !read(*select, 0, position.store)) {
    return fail(ErrorKind::internal, "identity: a bad store_id");
  }
  position.generation = static_cast<std::uint64_t>(select->integer(1));
  return position;
}

Result<Contents> load_contents(Connection& connection) {
  auto model = load_all(connection);
  if (!model) return tl::unexpected(std::move(model.error()));
  auto health = load_health(connection);
  if (!health) return tl::unexpected(std::move(health.error()));
  auto position = load_position(connection);
  if (!position) return tl::unexpected(std::move(position.error()));
  return Contents{std::move(*model), std::move(*health), *position};
}

// The client's file is at fault, not this machine, so the error is ErrorKind::invalid.
tl::unexpected<Error> not_a_backup(Error error) {
  error.kind = ErrorKind::invalid;
  error.hint.clear();
  return fail(std::move(error), "read the backup");
}

template <typename T>
Result<T> about(const fs::path& file, const char* verb, Result<T> result) {
  if (!result) return fail(std::move(result.error()), fmt::format("{} {}", verb, file.string()));
  return result;
}

}  // namespace

SqliteStore::SqliteStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
SqliteStore::SqliteStore(SqliteStore&&) noexcept = default;
SqliteStore& SqliteStore::operator=(SqliteStore&&) noexcept = default;
SqliteStore::~SqliteStore() = default;

Result<SqliteStore> SqliteStore::open(const fs::path& directory) {
  if (auto made = make_directory(directory); !made) return tl::unexpected(made.error());
  auto lock = lock_directory(directory);
  if (!lock) return tl::unexpected(std::move(lock.error()));
  const auto file = directory / "sluice.db";
  std::error_code error;
  if (!fs::exists(file, error)) {
    if (auto created = create(file); !created) {
      return tl::unexpected(explained(std::move(created.error()), file));
    }
  }
  auto connection = open_existing(file);
  if (!connection) return tl::unexpected(explained(std::move(connection.error()), file));
  const auto position = load_position(*connection);
  if (!position) return tl::unexpected(explained(position.error(), file));
  const auto events = count_events(*connection);
  if (!events) return tl::unexpected(explained(events.error(), file));
  return SqliteStore(std::make_unique<Database>(
      Database{std::move(*lock), file, std::move(*connection), position->generation, *events}));
}

Result<Contents> SqliteStore::load() {
  return about(database_->file, "read", load_contents(database_->connection));
}

Result<std::uint64_t> SqliteStore::commit(const Commit& commit) {
  auto& database = *database_;
  const auto saved =
      about(database.file, "write",
            save_all(database.connection, commit, {database.generation, database.events}));
  if (!saved) return tl::unexpected(saved.error());
  database.generation = saved->generation;
  database.events = saved->events;
  return database.generation;
}

Result<std::vector<model::EventRecord>> SqliteStore::events(const model::EventQuery& query) {
  return about(database_->file, "read", find_events(database_->connection, query));
}

Result<std::string> SqliteStore::back_up() {
  return about(database_->file, "back up",
               database_->connection.bytes("DELETE FROM events; VACUUM"));
}

Result<Contents> SqliteStore::read_backup(const std::string& file) {
  auto connection = Connection::open_bytes(file);
  if (!connection) return not_a_backup(connection.error());
  const auto version = connection->query_one("PRAGMA user_version");
  if (!version) return not_a_backup(version.error());
  if (*version == "0") {
    return fail(ErrorKind::invalid, "it is not a backup of Sluice",
                "sluicectl backup FILE makes one");
  }
  // Our files have tables and indices only: nothing in a file may run.
  const auto foreign = connection->query_one(
      "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view') OR sql LIKE "
      "'CREATE VIRTUAL%'");
  if (!foreign) return not_a_backup(foreign.error());
  if (*foreign != "0") return fail(ErrorKind::invalid, "it is not a backup of Sluice");
  const auto check = connection->query_one("PRAGMA integrity_check(1)");
  if (!check) return not_a_backup(check.error());
  if (*check != "ok") return fail(ErrorKind::invalid, "the backup is damaged: " + *check);
  if (auto done = migrate(*connection); !done) return not_a_backup(done.error());
  auto contents = load_contents(*connection);
  if (!contents) return not_a_backup(contents.error());
  return contents;
}

}  // namespace sluice::store
