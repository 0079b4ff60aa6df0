#include "store/event_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "store/columns.hpp"
#include "store/store.hpp"
#include "store/values.hpp"

namespace sluice::store {
namespace {

std::vector<std::string> event_columns() {
  std::vector<std::string> names;
  const auto collect = [&](const char* name, const auto&) { names.emplace_back(name); };
  const model::EventRecord sample;
  columns(collect, sample);
  return names;
}

std::string insert_sql() {
  const auto names = event_columns();
  return fmt::format("INSERT INTO events ({}) VALUES ({})", fmt::join(names, ","),
                     fmt::join(std::vector<const char*>(names.size(), "?"), ","));
}

// Returns how many rows the last DELETE has removed.
Result<std::size_t> removed(Connection& connection) {
  auto changes = connection.prepare_to_keep("SELECT changes()");
  if (!changes) return tl::unexpected(changes.error());
  if (const auto row = changes->step(); !row) return tl::unexpected(row.error());
  return static_cast<std::size_t>(changes->integer(0));
}

Result<std::size_t> remove_old(Connection& connection, model::Timestamp limit) {
  auto erase = connection.prepare_to_keep("DELETE FROM events WHERE time < ?");
  if (!erase) return tl::unexpected(erase.error());
  write(*erase, 0, limit);
  if (auto done = erase->run(); !done) return tl::unexpected(done.error());
  return removed(connection);
}

Result<void> remove_first(Connection& connection, std::size_t count) {
  auto erase = connection.prepare_to_keep(
      "DELETE FROM events WHERE number IN (SELECT number FROM events ORDER BY number LIMIT ?)");
  if (!erase) return tl::unexpected(erase.error());
  write(*erase, 0, count);
  return erase->run();
}

// The conditions of a query's SQL, and the values for their question marks.
struct Conditions {
  std::vector<std::string> texts = {"1"};
  std::vector<std::string> words;
  std::vector<std::uint64_t> numbers;

  explicit Conditions(const model::EventQuery& query) {
    if (query.after) compare("number > ?", *query.after);
    if (query.before) compare("number < ?", *query.before);
    is("kind = ?", query.kind);
    is("object_type = ?", query.object_type);
    if (!query.object.empty()) {
      is("(object_id = ? OR object_name = ?)", query.object);
      words.push_back(query.object);
    }
    is("json_extract(text, '$.request_id') = ?", query.request_id);
    if (query.project_id) {
      texts.emplace_back("project_id = ?");
      words.push_back(*query.project_id);
    }
  }

  void bind(Statement& statement) const {
    int at = 0;
    for (const auto number : numbers) {
      constexpr std::uint64_t highest = std::numeric_limits<std::int64_t>::max();
      write(statement, at++, std::min(number, highest));
    }
    for (const auto& word : words) write(statement, at++, word);
  }

 private:
  void compare(const char* text, std::uint64_t number) {
    texts.emplace_back(text);
    numbers.push_back(number);
  }
  void is(const char* text, const std::string& word) {
    if (word.empty()) return;
    texts.emplace_back(text);
    words.push_back(word);
  }
};

Result<std::vector<model::EventRecord>> read_all(Statement& select) {
  std::vector<model::EventRecord> events;
  for (;;) {
    const auto row = select.step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return events;
    int at = 0;
    const auto set = [&](const char*, auto& value) { read(select, at++, value); };
    columns(set, events.emplace_back());
  }
}

}  // namespace

Result<std::size_t> count_events(Connection& connection) {
  auto select = connection.prepare("SELECT count(*) FROM events");
  if (!select) return tl::unexpected(select.error());
  if (const auto row = select->step(); !row) return tl::unexpected(row.error());
  return static_cast<std::size_t>(select->integer(0));
}

Result<std::size_t> save_events(Connection& connection,
                                const std::vector<model::EventRecord>& events, std::size_t present,
                                model::Timestamp now) {
  static const auto sql = insert_sql();
  auto insert = connection.prepare_to_keep(sql);
  if (!insert) return tl::unexpected(insert.error());
  for (const auto& event : events) {
    int at = 0;
    const auto bind = [&](const char*, const auto& value) { write(*insert, at++, value); };
    columns(bind, event);
    if (auto done = insert->run(); !done) return tl::unexpected(done.error());
  }
  auto old = remove_old(connection, now - longest_kept_event);
  if (!old) return old;
  present = present + events.size() - std::min(*old, present);
  if (present <= most_events) return present;
  if (auto done = remove_first(connection, present - most_events); !done) {
    return tl::unexpected(done.error());
  }
  return most_events;
}

Result<std::vector<model::EventRecord>> find_events(Connection& connection,
                                                    const model::EventQuery& query) {
  const Conditions conditions(query);
  auto select = connection.prepare(fmt::format(
      "SELECT {} FROM events WHERE {} ORDER BY number {} LIMIT {}", fmt::join(event_columns(), ","),
      fmt::join(conditions.texts, " AND "), query.after ? "ASC" : "DESC", query.limit));
  if (!select) return tl::unexpected(select.error());
  conditions.bind(*select);
  auto events = read_all(*select);
  if (events && !query.after) std::ranges::reverse(*events);
  return events;
}

}  // namespace sluice::store
