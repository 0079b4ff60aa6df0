// Label text: what stands in the braces of a sample of Prometheus' text format.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::api {

using Label = std::pair<std::string_view, std::string_view>;

inline void append_escaped(std::string& out, std::string_view text) {
  for (auto at = text.find_first_of("\\\"\n"); at != text.npos; at = text.find_first_of("\\\"\n")) {
    out.append(text.substr(0, at))
        .append(text[at] == '\n'  ? "\\n"
                : text[at] == '"' ? "\\\""
                                  : "\\\\");
    text.remove_prefix(at + 1);
  }
  out.append(text);
}

// key="text",other="..."
inline std::string label_text(std::initializer_list<Label> labels) {
  std::string out;
  for (const auto& [key, text] : labels) {
    if (!out.empty()) out += ',';
    out.append(key).append("=\"");
    append_escaped(out, text);
    out += '"';
  }
  return out;
}

}  // namespace sluice::api
