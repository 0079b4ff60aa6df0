#include "sluicectl/output/yaml_text.hpp"

#include <yaml-cpp/yaml.h>

#include <regex>

namespace sluice::ctl {
namespace {

// Says whether YAML 1.1 takes the plain text for a boolean, null, a number or a time.
bool looks_like_something_else(const std::string& text) {
  static const std::regex word("y|n|yes|no|on|off|true|false|null|~|=|<<", std::regex::icase);
  static const std::regex number(
      R"([-+]?(\.?[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+|)"
      R"([0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|\.inf)|\.nan)",
      std::regex::icase);
  static const std::regex time(R"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?)");
  return std::regex_match(text, word) || std::regex_match(text, number) ||
         std::regex_match(text, time);
}

void emit(YAML::Emitter& out, const Cell& cell) {
  if (std::holds_alternative<std::monostate>(cell)) {
    out << YAML::Null;
  } else if (const auto* flag = std::get_if<bool>(&cell)) {
    out << *flag;
  } else if (const auto* raw = std::get_if<RawJson>(&cell)) {
    out << YAML::Flow << YAML::Load(raw->text);  // JSON is YAML
  } else if (const auto* text = std::get_if<std::string>(&cell)) {
    if (text->find('\n') != std::string::npos) {
      out << YAML::DoubleQuoted << *text;
    } else if (needs_quotes(*text)) {
      out << YAML::SingleQuoted << *text;
    } else {
      out << *text;
    }
  } else {
    out << YAML::Auto << cell_text(cell);
  }
}

void emit_map(YAML::Emitter& out, const std::vector<std::string>& names,
              const std::vector<Cell>& cells) {
  out << YAML::BeginMap;
  for (std::size_t i = 0; i < names.size(); ++i) {
    out << YAML::Key << names[i] << YAML::Value;
    emit(out, cells[i]);
  }
  out << YAML::EndMap;
}

void prepare(YAML::Emitter& out) {
  out.SetNullFormat(YAML::LowerNull);
}

}  // namespace

bool needs_quotes(const std::string& text) {
  return text.empty() || looks_like_something_else(text);
}

std::string yaml_map(const std::vector<std::string>& names, const std::vector<Cell>& cells) {
  YAML::Emitter out;
  prepare(out);
  emit_map(out, names, cells);
  return std::string(out.c_str()) + "\n";
}

std::string yaml_list(const std::vector<std::string>& names,
                      const std::vector<std::vector<Cell>>& rows) {
  if (rows.empty()) return "[]\n";
  YAML::Emitter out;
  prepare(out);
  out << YAML::BeginSeq;
  for (const auto& row : rows) emit_map(out, names, row);
  out << YAML::EndSeq;
  return std::string(out.c_str()) + "\n";
}

}  // namespace sluice::ctl
