#include "store/store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <system_error>

#include "store/columns.hpp"
#include "store/schema.hpp"
#include "store/sqlite.hpp"
#include "store/values.hpp"

namespace sluice::store {

struct Store::Database {
  std::filesystem::path file;
  Connection connection;
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

Result<Connection> connect(const fs::path& file) {
  auto connection = Connection::open(file);
  if (!connection) return connection;
  if (auto set = connection->execute(settings); !set) return tl::unexpected(set.error());
  // The lock comes with the first write transaction, even an empty one.
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

// A new database gets its name only when it is complete. So whatever is found under that name and
// has no schema, an empty file for example, is damage and not a first start.
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
  if (auto done = migrate(*connection); !done) return tl::unexpected(done.error());
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
        connection.prepare("INSERT INTO tags (object_id, position, tag) VALUES (?, ?, ?)");
    if (!insert) return tl::unexpected(insert.error());
    auto clear = connection.prepare("DELETE FROM tags WHERE object_id = ?");
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

// Writes the objects of one kind that differ between the two states.
template <typename T>
Result<void> save_objects(Connection& connection, TagWriter& tags, const std::map<Uuid, T>& before,
                          const std::map<Uuid, T>& after) {
  auto upsert = connection.prepare(upsert_sql<T>());
  if (!upsert) return tl::unexpected(upsert.error());
  auto erase = connection.prepare(fmt::format("DELETE FROM {} WHERE id = ?", table_of(T{})));
  if (!erase) return tl::unexpected(erase.error());

  for (const auto& [id, object] : before) {
    if (after.contains(id)) continue;
    if (auto done = tags.set(id, {}); !done) return done;
    write(*erase, 0, id);
    if (auto done = erase->run(); !done) return done;
  }
  for (const auto& [id, object] : after) {
    const auto old = before.find(id);
    if (old != before.end() && old->second == object) continue;
    int at = 0;
    auto bind = [&](const char*, const auto& value) { write(*upsert, at++, value); };
    columns(bind, object);
    if (auto done = upsert->run(); !done) return done;
    const bool same_tags =
        old == before.end() ? object.tags.empty() : old->second.tags == object.tags;
    if (same_tags) continue;
    if (auto done = tags.set(id, object.tags); !done) return done;
  }
  return {};
}

Result<void> save_all(Connection& connection, const model::Model& before,
                      const model::Model& after) {
  auto transaction = Transaction::begin(connection);
  if (!transaction) return tl::unexpected(transaction.error());
  auto tags = TagWriter::prepare(connection);
  if (!tags) return tl::unexpected(tags.error());
  const auto save = [&](const auto& from, const auto& to) {
    return [&] { return save_objects(connection, *tags, from, to); };
  };
  return save(before.load_balancers, after.load_balancers)()
      .and_then(save(before.pools, after.pools))
      .and_then(save(before.listeners, after.listeners))
      .and_then(save(before.members, after.members))
      .and_then(save(before.health_monitors, after.health_monitors))
      .and_then(save(before.floating_ips, after.floating_ips))
      .and_then([&] { return transaction->commit(); });
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
Result<void> load_objects(Connection& connection, const Tags& tags, std::map<Uuid, T>& objects) {
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
    objects.emplace(object.id, object);
  }
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
      .map([&] { return std::move(model); });
}

template <typename T>
Result<T> about(const fs::path& file, const char* verb, Result<T> result) {
  if (!result) return fail(std::move(result.error()), fmt::format("{} {}", verb, file.string()));
  return result;
}

}  // namespace

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const fs::path& directory) {
  if (auto made = make_directory(directory); !made) return tl::unexpected(made.error());
  const auto file = directory / "sluice.db";
  std::error_code error;
  if (!fs::exists(file, error)) {
    if (auto created = create(file); !created) {
      return tl::unexpected(explained(std::move(created.error()), file));
    }
  }
  auto connection = open_existing(file);
  if (!connection) return tl::unexpected(explained(std::move(connection.error()), file));
  return Store(std::make_unique<Database>(Database{file, std::move(*connection)}));
}

Result<model::Model> Store::load() const {
  return about(database_->file, "read", load_all(database_->connection));
}

Result<model::HealthTable> Store::load_health() const {
  auto select = database_->connection.prepare("SELECT member_id, health FROM member_health");
  if (!select)
    return about<model::HealthTable>(database_->file, "read", tl::unexpected(select.error()));
  model::HealthTable table;
  for (;;) {
    const auto row = select->step();
    if (!row)
      return about<model::HealthTable>(database_->file, "read", tl::unexpected(row.error()));
    if (!*row) return table;
    Uuid member{};
    auto health = model::Health::up;
    // Health is only a memory: what cannot be read will be probed.
    if (read(*select, 0, member) && read(*select, 1, health)) table[member] = health;
  }
}

Result<void> Store::save(const model::Model& before, const model::Model& after) {
  return about(database_->file, "write", save_all(database_->connection, before, after));
}

Result<void> Store::save_health(const model::HealthTable& changes) {
  const auto save = [&]() -> Result<void> {
    auto& connection = database_->connection;
    auto transaction = Transaction::begin(connection);
    if (!transaction) return tl::unexpected(transaction.error());
    auto upsert = connection.prepare(
        "INSERT INTO member_health (member_id, health) VALUES (?, ?) "
        "ON CONFLICT(member_id) DO UPDATE SET health=excluded.health");
    if (!upsert) return tl::unexpected(upsert.error());
    for (const auto& [member, health] : changes) {
      write(*upsert, 0, member);
      write(*upsert, 1, health);
      if (auto done = upsert->run(); !done) return done;
    }
    return transaction->commit();
  };
  return about(database_->file, "write", save());
}

Result<void> Store::forget_health(const std::vector<Uuid>& members) {
  const auto forget = [&]() -> Result<void> {
    auto& connection = database_->connection;
    auto transaction = Transaction::begin(connection);
    if (!transaction) return tl::unexpected(transaction.error());
    auto erase = connection.prepare("DELETE FROM member_health WHERE member_id = ?");
    if (!erase) return tl::unexpected(erase.error());
    for (const auto& member : members) {
      write(*erase, 0, member);
      if (auto done = erase->run(); !done) return done;
    }
    return transaction->commit();
  };
  return about(database_->file, "write", forget());
}

}  // namespace sluice::store
