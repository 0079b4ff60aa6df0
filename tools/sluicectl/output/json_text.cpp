#include "sluicectl/output/json_text.hpp"

#include <boost/json.hpp>
#include <utility>

#include "sluicectl/output/format.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

void append(std::string& out, const json::value& value, int indent, int level) {
  const auto new_line = [&](int at) { out.append("\n").append(std::size_t(indent * at), ' '); };
  if (const auto* object = value.if_object(); object && !object->empty()) {
    out += '{';
    for (bool first = true; const auto& [key, item] : *object) {
      if (!std::exchange(first, false)) out += ',';
      new_line(level + 1);
      out += json::serialize(json::value(key)) + ": ";
      append(out, item, indent, level + 1);
    }
    new_line(level);
    out += '}';
  } else if (const auto* array = value.if_array(); array && !array->empty()) {
    out += '[';
    for (bool first = true; const auto& item : *array) {
      if (!std::exchange(first, false)) out += ',';
      new_line(level + 1);
      append(out, item, indent, level + 1);
    }
    new_line(level);
    out += ']';
  } else if (const auto* number = value.if_double()) {
    out += cell_text(*number);  // 1.1, where the library writes 1.1E0
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string pretty(const json::value& value, int indent) {
  std::string out;
  append(out, value, indent, 0);
  return out;
}

}  // namespace sluice::ctl
