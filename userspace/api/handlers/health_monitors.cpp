#include <fmt/format.h>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/readers.hpp"
#include "api/language/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace {

using model::HealthMonitor;

// Reads 1.0 or 1.1, as a number or as a string.
void read_http_version(Attributes& in, std::optional<std::string>& target) {
  const auto* value = in.take("http_version");
  if (!value) return;
  if (value->is_null()) return target.reset();
  for (auto [text, number] : {std::pair("1.0", 1.0), std::pair("1.1", 1.1)}) {
    const bool same = value->is_string() ? value->get_string() == text
                                         : value->is_double() && value->get_double() == number;
    if (same || (number == 1.0 && value->is_int64() && value->get_int64() == 1)) {
      target = text;
      return;
    }
  }
  in.refuse(invalid_input("http_version", quoted(*value), "Value should be one of: 1.0, 1.1"));
}

void read_http(Attributes& in, HealthMonitor& out) {
  const HealthMonitor defaults;
  const bool http = model::asks_for_page(out.type);
  for (auto name : {"http_method", "url_path", "expected_codes"}) {
    // A new monitor's null counts as absent; an update must not name the attribute at all.
    const bool named = in.creating() ? in.given(name) : in.take(name) != nullptr;
    if (http || !named) continue;
    in.refuse({ErrorKind::invalid,
               fmt::format("{} is not a valid option for health monitors of type {}", name,
                           model::name(out.type)),
               {},
               0});
  }
  in.word("http_method", out.http_method, words::http_methods, defaults.http_method);
  in.text("url_path", out.url_path, model::max_text_length, defaults.url_path);
  in.text("expected_codes", out.expected_codes, model::max_text_length, defaults.expected_codes);
  read_http_version(in, out.http_version);
  in.optional_text("domain_name", out.domain_name);
}

void read_mutable(Attributes& in, HealthMonitor& out) {
  const HealthMonitor defaults;
  in.text("name", out.name);
  in.boolean("admin_state_up", out.admin_state_up, false);
  in.required_integer("delay", out.delay_seconds, model::seconds_range);
  in.required_integer("timeout", out.timeout_seconds, model::seconds_range);
  in.required_integer("max_retries", out.max_retries, model::retries_range);
  in.integer("max_retries_down", out.max_retries_down, model::retries_range,
             defaults.max_retries_down);
  in.tags("tags", out.tags);
  in.text("check", out.check, model::max_text_length);
  in.boolean("probe_vip", out.probe_vip, defaults.probe_vip);
  read_http(in, out);
}

}  // namespace

void read_new(Attributes& in, HealthMonitor& out) {
  in.required_choice("type", out.type, words::monitor_types, model::parse_monitor_type);
  read_mutable(in, out);
}

Result<Reply> create_health_monitor(const Call& call) {
  HealthMonitor object;
  auto read = read_body<HealthMonitor>(call, Purpose::create, [&](Attributes& in) {
    read_new(in, object);
    in.required_id("pool_id", object.pool_id);
    in.project();  // a monitor's project is its pool's
  });
  if (!read) return tl::unexpected(read.error());
  return create<HealthMonitor>(
      call, [&](model::Model& model) { return model::add(model, object, now()); });
}

Result<Reply> update_health_monitor(const Call& call) {
  const auto found = find<HealthMonitor>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  HealthMonitor object = **found;
  auto read = read_body<HealthMonitor>(call, Purpose::update,
                                       [&](Attributes& in) { read_mutable(in, object); });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_health_monitor(const Call& call) {
  const auto found = find<HealthMonitor>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [id = (*found)->id](model::Model& model) {
    return model::remove_health_monitor(model, id, now());
  });
}

}  // namespace sluice::api
