// Format: prints a record (Field and Value) or a listing (columns and rows) as table, value, JSON,
// YAML or CSV.
//
// The layouts are those of the OpenStack client, so that scripts written for one read the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice::ctl {

// JSON that is shown as it is, because it has no simpler form ("[]").
struct RawJson {
  std::string text;
  bool operator==(const RawJson&) const = default;
};

// One value. monostate is the API's null.
using Cell = std::variant<std::monostate, bool, std::int64_t, double, std::string, RawJson>;

struct Record {
  std::vector<std::string> fields;
  std::vector<Cell> values;
};

struct Listing {
  std::vector<std::string> columns;
  std::vector<std::vector<Cell>> rows;
  std::string note = {};  // for stderr: what the rows don't tell
};

// A verb's answer: nothing, a record, a listing, or text that has only one form (the status tree).
using Answer = std::variant<std::monostate, Record, Listing, std::string>;

enum class Format { table, value, json, yaml, csv };
std::optional<Format> parse_format(std::string_view text);

// The cell as tables and plain values show it: None, True, 80, ...
std::string cell_text(const Cell& cell);

// Keeps the columns that were asked for, in the answer's own order; all if none was.
void select(Record& record, const std::vector<std::string>& columns);
void select(Listing& listing, const std::vector<std::string>& columns);

// Sorts the rows by these columns, the first of which weighs most; rows that are alike keep their
// order.
void sort(Listing& listing, const std::vector<std::string>& columns, bool descending);

// Each ends with a newline, unless it is empty.
std::string format(const Record& record, Format format);
std::string format(const Listing& listing, Format format);

}  // namespace sluice::ctl
