#include "store/object_json.hpp"

#include <boost/json/array.hpp>
#include <string_view>

#include "store/columns.hpp"
#include "store/values.hpp"

namespace sluice::store {
namespace {

namespace json = boost::json;

bool is_found_out_by_each_node(std::string_view column) {
  return column == "provisioning_status" || column == "provisioning_error" ||
         column == "change_failed";
}

// One attribute, with the functions of a Statement that values.hpp uses.
class JsonRow {
 public:
  JsonRow() = default;
  explicit JsonRow(const json::value& value) : value_(value) {}

  void bind(int, std::int64_t value) { value_ = value; }
  void bind(int, std::string_view value) { value_ = json::string(value); }
  void bind_null(int) { value_ = nullptr; }

  std::int64_t integer(int) const {
    is_of_its_type_ = is_of_its_type_ && value_.is_int64();
    return value_.is_int64() ? value_.get_int64() : 0;
  }
  std::string text(int) const {
    is_of_its_type_ = is_of_its_type_ && value_.is_string();
    return value_.is_string() ? std::string(value_.get_string()) : std::string();
  }
  bool is_null(int) const { return value_.is_null(); }

  const json::value& value() const { return value_; }
  // Says whether every reading asked for the type that is there.
  bool is_of_its_type() const { return is_of_its_type_; }

 private:
  json::value value_;
  mutable bool is_of_its_type_ = true;
};

template <typename Row>
void write_columns(json::object& out, const Row& row) {
  const auto put = [&](const char* name, const auto& value) {
    if (is_found_out_by_each_node(name)) return;
    JsonRow cell;
    write(cell, 0, value);
    out[name] = cell.value();
  };
  columns(put, row);
}

// Returns false if a value is none that the attribute can have.
template <typename Row>
bool read_columns(const json::object& in, Row& row) {
  bool all = true;
  const auto set = [&](const char* name, auto& value) {
    const auto* found = in.if_contains(name);
    if (!found || is_found_out_by_each_node(name)) return;
    const JsonRow cell(*found);
    all = read(cell, 0, value) && cell.is_of_its_type() && all;
  };
  columns(set, row);
  return all;
}

bool read_tags(const json::object& in, std::vector<std::string>& tags) {
  const auto* found = in.if_contains("tags");
  if (!found) return true;
  if (!found->is_array()) return false;
  for (const auto& tag : found->get_array()) {
    if (!tag.is_string()) return false;
    tags.emplace_back(tag.get_string());
  }
  return true;
}

template <typename T>
json::value known_words(const T&) {
  return nullptr;
}

// The words of an enum are those of its first values.
template <Word T>
json::value known_words(const T&) {
  json::array words;
  for (int value = 0; model::name(static_cast<T>(value)) != "?"; value++)
    words.emplace_back(model::name(static_cast<T>(value)));
  return words;
}
template <Word T>
json::value known_words(const std::optional<T>&) {
  return known_words(T{});
}

}  // namespace

template <typename T>
json::object known_attributes() {
  json::object known{{"tags", nullptr}};
  const auto note = [&](const char* name, const auto& value) {
    if (!is_found_out_by_each_node(name)) known[name] = known_words(value);
  };
  const T object{};
  columns(note, object);
  return known;
}

template <typename T>
json::object to_json(const T& object, json::object kept) {
  write_columns(kept, object);
  kept["tags"] = json::array(object.tags.begin(), object.tags.end());
  return kept;
}

template <typename T>
std::optional<T> from_json(const json::object& json) {
  T object{};
  if (!read_columns(json, object) || !read_tags(json, object.tags)) return std::nullopt;
  return object;
}

template json::object known_attributes<model::LoadBalancer>();
template json::object known_attributes<model::Listener>();
template json::object known_attributes<model::Pool>();
template json::object known_attributes<model::Member>();
template json::object known_attributes<model::HealthMonitor>();
template json::object known_attributes<model::FloatingIp>();
template json::object to_json(const model::LoadBalancer&, json::object);
template json::object to_json(const model::Listener&, json::object);
template json::object to_json(const model::Pool&, json::object);
template json::object to_json(const model::Member&, json::object);
template json::object to_json(const model::HealthMonitor&, json::object);
template json::object to_json(const model::FloatingIp&, json::object);
template std::optional<model::LoadBalancer> from_json(const json::object&);
template std::optional<model::Listener> from_json(const json::object&);
template std::optional<model::Pool> from_json(const json::object&);
template std::optional<model::Member> from_json(const json::object&);
template std::optional<model::HealthMonitor> from_json(const json::object&);
template std::optional<model::FloatingIp> from_json(const json::object&);

json::object quotas_to_json(const model::Quotas& quotas) {
  json::object out;
  for (const auto& [project, quota] : quotas) {
    json::object one;
    write_columns(one, quota);
    out.emplace(project, std::move(one));
  }
  return out;
}

std::optional<model::Quotas> quotas_from_json(const json::object& json) {
  model::Quotas quotas;
  for (const auto& [project, one] : json) {
    model::Quota quota;
    if (!one.is_object() || !read_columns(one.get_object(), quota)) return std::nullopt;
    quotas.insert_or_assign(std::string(project), quota);
  }
  return quotas;
}

json::object drained_nodes_to_json(const model::DrainedNodes& nodes) {
  json::object out;
  for (const auto& [name, since] : nodes) out.emplace(name, since.time_since_epoch().count());
  return out;
}

std::optional<model::DrainedNodes> drained_nodes_from_json(const json::object& json) {
  model::DrainedNodes nodes;
  for (const auto& [name, since] : json) {
    if (!since.is_int64()) return std::nullopt;
    nodes.insert_or_assign(std::string(name),
                           model::Timestamp(std::chrono::microseconds(since.get_int64())));
  }
  return nodes;
}

}  // namespace sluice::store
