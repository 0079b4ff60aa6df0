#include "sluicectl/manifest/file.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>
#include <charconv>
#include <optional>
#include <set>
#include <sstream>

#include "sluicectl/grammar/spelling.hpp"
#include "sluicectl/output/yaml_text.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

int line_of(const YAML::Node& node) {
  return node.Mark().line + 1;
}

std::string in_case(std::string text, int (*convert)(int)) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [convert](unsigned char c) { return static_cast<char>(convert(c)); });
  return text;
}

template <typename Number>
std::optional<json::value> number_from(const std::string& text) {
  Number number{};
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return json::value(number);
}

// Reads a scalar of this type; nullopt if it is of another.
std::optional<json::value> scalar_from(Type type, const std::string& text) {
  switch (type) {
    case Type::integer:
      return number_from<std::int64_t>(text);
    case Type::decimal:
      return number_from<double>(text);
    case Type::boolean:
      if (text == "true" || text == "True") return true;
      if (text == "false" || text == "False") return false;
      return std::nullopt;
    case Type::upper:
      return json::value(in_case(text, std::toupper));
    case Type::lower:
      return json::value(in_case(text, std::tolower));
    default:
      return json::value(text);
  }
}

std::string_view wanted_by(Type type) {
  switch (type) {
    case Type::integer:
    case Type::decimal:
      return "is not a number";
    case Type::boolean:
      return "is neither true nor false";
    case Type::list:
    case Type::cidrs:
    case Type::addresses:
      return "is not a list";
    case Type::maps:
      return "is not a list of maps";
    case Type::map:
      return "is not a map";
    default:
      return "is not a single value";
  }
}

// A node's text for errors.
std::string excerpt(const YAML::Node& node) {
  if (node.IsScalar()) return node.Scalar();
  return node.IsSequence() ? "[...]" : node.IsMap() ? "{...}" : "";
}

std::optional<json::value> map_from(const YAML::Node& node) {
  if (!node.IsMap()) return std::nullopt;
  json::object object;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar() || !pair.second.IsScalar()) return std::nullopt;
    const auto& text = pair.second.Scalar();
    object[pair.first.Scalar()] = number_from<std::int64_t>(text).value_or(json::value(text));
  }
  return object;
}

std::optional<json::value> value_from(const Field& field, const YAML::Node& node) {
  if (node.IsNull()) return json::value();
  if (is_list(field.type)) {
    if (!node.IsSequence()) return std::nullopt;
    json::array array;
    for (const auto& item : node) {
      if (!item.IsScalar()) return std::nullopt;
      array.emplace_back(item.Scalar());
    }
    return array;
  }
  if (field.type == Type::map) return map_from(node);
  if (field.type == Type::maps) {
    if (!node.IsSequence()) return std::nullopt;
    json::array array;
    for (const auto& item : node) {
      auto map = map_from(item);
      if (!map) return std::nullopt;
      array.push_back(std::move(*map));
    }
    return array;
  }
  return node.IsScalar() ? scalar_from(field.type, node.Scalar()) : std::nullopt;
}

class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  Result<Item> read(const YAML::Node& node, const Shape& shape) {
    Item item{&shape, {}, {}, line_of(node), {}, {}};
    if (!shape.scalar.empty()) {
      if (auto done = read_field(item, *shape.find(shape.scalar), node); !done)
        return tl::unexpected(done.error());
      return item;
    }
    if (!node.IsMap())
      return fail_at(item.line, fmt::format("'{}' is no {}: it has to be a map of fields",
                                            excerpt(node), shape.title));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      const auto key = pair.first.IsScalar() ? pair.first.Scalar() : excerpt(pair.first);
      if (!seen.insert(key).second)
        return fail_at(line_of(pair.first),
                       fmt::format("{}: '{}' is there twice", item.title(), key));
      if (auto done = read_entry(item, key, pair.first, pair.second); !done)
        return tl::unexpected(done.error());
    }
    for (const auto& field : shape.fields)
      if (field.mandatory && !item.fields.contains(field.name))
        return fail_at(item.line, fmt::format("{}: {} is missing", item.title(), field.name));
    return item;
  }

  tl::unexpected<Error> fail_at(int line, const std::string& what) const {
    return fail(ErrorKind::invalid, fmt::format("{}:{}: {}", file_, line, what));
  }

 private:
  Result<void> read_entry(Item& item, const std::string& key, const YAML::Node& at,
                          const YAML::Node& node) {
    if (const auto* field = item.shape->find(key)) return read_field(item, *field, node);
    if (key == "id" && item.shape == &pool_shape() && node.IsScalar()) {
      item.id = node.Scalar();
      return {};
    }
    for (const auto* child : item.shape->children)
      if (child->section == key) return read_children(item, *child, node);
    return unknown(item, key, line_of(at));
  }

  Result<void> read_field(Item& item, const Field& field, const YAML::Node& node) {
    auto value = value_from(field, node);
    if (!value)
      return fail_at(line_of(node), fmt::format("{}: {} '{}' {}", item.title(), field.name,
                                                excerpt(node), wanted_by(field.type)));
    put(item, field, {std::move(*value), line_of(node), excerpt(node)});
    return {};
  }

  Result<void> read_children(Item& item, const Shape& shape, const YAML::Node& node) {
    if (node.IsNull()) return {};
    if (shape.single) return add_child(item, shape, node);
    if (!node.IsSequence())
      return fail_at(line_of(node), fmt::format("{}: {} '{}' is not a list", item.title(),
                                                shape.section, excerpt(node)));
    for (const auto& entry : node)
      if (auto done = add_child(item, shape, entry); !done) return done;
    return {};
  }

  Result<void> add_child(Item& item, const Shape& shape, const YAML::Node& node) {
    auto child = read(node, shape);
    if (!child) return tl::unexpected(child.error());
    item.children.push_back(std::move(*child));
    return {};
  }

  Result<void> unknown(const Item& item, const std::string& key, int line) const {
    std::vector<std::string> known;
    for (const auto& field : item.shape->fields) known.push_back(field.name);
    for (const auto* child : item.shape->children) known.push_back(child->section);
    const auto meant = nearest(key, known);
    const auto hint = meant.empty() ? fmt::format("there are {}", fmt::join(known, ", "))
                                    : fmt::format("did you mean '{}'?", meant);
    return fail_at(line, fmt::format("{} has no field '{}' ({})", item.title(), key, hint));
  }

  const std::string& file_;
};

// Counts documents and ignores what is in them.
class DocumentCounter : public YAML::EventHandler {
 public:
  using Mark = YAML::Mark;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override { count++; }
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, YAML::anchor_t) override {}
  void OnAlias(const Mark&, YAML::anchor_t) override {}
  void OnScalar(const Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, YAML::anchor_t, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, YAML::anchor_t, Style) override {}
  void OnMapEnd() override {}

  int count = 0;
};

// YAML::LoadAll() finds documents without end in a comma outside of a list, until memory ends.
bool has_more_than_one_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentCounter documents;
  while (documents.count < 2 && parser.HandleNextDocument(documents)) continue;
  return documents.count > 1;
}

void emit(YAML::Emitter& out, const json::value& value) {
  if (const auto* text = value.if_string()) {
    const std::string plain(*text);
    if (plain.find('\n') != std::string::npos) {
      out << YAML::DoubleQuoted << plain;
    } else if (needs_quotes(plain)) {
      out << YAML::SingleQuoted << plain;
    } else {
      out << plain;
    }
  } else if (const auto* array = value.if_array()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& item : *array) emit(out, item);
    out << YAML::EndSeq;
  } else if (const auto* object = value.if_object()) {
    out << YAML::Flow << YAML::BeginMap;
    for (const auto& [key, item] : *object) {
      out << YAML::Key << std::string(key) << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (const auto* number = value.if_double()) {
    out << fmt::format("{:.1f}", *number);  // the only one is 1.0 or 1.1
  } else {
    out << json::serialize(value);
  }
}

void emit(YAML::Emitter& out, const Item& item) {
  if (!item.shape->scalar.empty()) return emit(out, item.value(item.shape->scalar));
  out << YAML::BeginMap;
  if (!item.id.empty()) out << YAML::Key << "id" << YAML::Value << item.id;
  for (const auto& field : item.shape->fields) {
    const auto value = item.fields.find(field.name);
    if (value == item.fields.end()) continue;
    out << YAML::Key << field.name << YAML::Value;
    emit(out, value->second.value);
  }
  for (const auto* shape : item.shape->children) {
    const auto children = item.all(*shape);
    // A document without load balancers says so, which tells apply that the file is complete.
    if (children.empty() && shape != &load_balancer_shape()) continue;
    out << YAML::Key << shape->section << YAML::Value;
    if (shape->single) {
      emit(out, *children.front());
      continue;
    }
    out << YAML::BeginSeq;
    for (const auto* child : children) emit(out, *child);
    out << YAML::EndSeq;
  }
  out << YAML::EndMap;
}

}  // namespace

Result<Item> read_manifest(const std::string& file, const std::string& text) {
  const Reader reader(file);
  try {
    if (has_more_than_one_document(text))
      return reader.fail_at(1, "there are several YAML documents, one is expected");
    const auto document = YAML::Load(text);
    // An empty or truncated file must not mean "remove everything".
    if (!document.IsMap() || !document["loadbalancers"])
      return reader.fail_at(1,
                            "there is no 'loadbalancers': write 'loadbalancers: []' to have none");
    return Reader(file).read(document, document_shape());
  } catch (const YAML::ParserException& error) {
    return reader.fail_at(error.mark.line + 1, "not YAML: " + error.msg);
  }
}

std::string write_manifest(const Item& document) {
  YAML::Emitter out;
  emit(out, document);
  return std::string(out.c_str()) + "\n";
}

std::string place(const std::string& file, const Item& item, const std::string& field) {
  const auto found = item.fields.find(field);
  if (found == item.fields.end()) return fmt::format("{}:{}: {}: ", file, item.line, item.title());
  return fmt::format("{}:{}: {}: {} '{}': ", file, found->second.line, item.title(), field,
                     found->second.typed);
}

}  // namespace sluice::ctl
