#include "api/language/event.hpp"

#include <fmt/chrono.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>

namespace sluice::api {
namespace json = boost::json;
namespace {

std::string_view text_in(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

json::object object_in(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_object() ? value->get_object() : json::object();
}

std::string time_text(model::Timestamp time) {
  using std::chrono::floor;
  using std::chrono::milliseconds;
  const auto part = time.time_since_epoch() % std::chrono::seconds(1);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", floor<std::chrono::seconds>(time),
                     floor<milliseconds>(part).count());
}

}  // namespace

Event about_member(std::string_view kind, std::string message, const model::Member* member) {
  Event event{.kind = std::string(kind),
              .message = std::move(message),
              .object = {},
              .before = {},
              .after = {}};
  if (member != nullptr) {
    event.object = {{"type", "member"},
                    {"id", to_string(member->id)},
                    {"name", member->name},
                    {"project_id", member->project_id}};
  }
  return event;
}

std::string_view project_of(const Event& event) {
  return event.project.empty() ? text_in(event.object, "project_id") : event.project;
}

bool is_asked_for(const Event& event, const model::EventQuery& query) {
  return (query.kind.empty() || event.kind == query.kind) &&
         (query.object_type.empty() || text_in(event.object, "type") == query.object_type) &&
         (query.object.empty() || text_in(event.object, "id") == query.object ||
          text_in(event.object, "name") == query.object) &&
         (query.request_id.empty() || event.request_id == query.request_id) &&
         (!query.project_id || project_of(event) == *query.project_id);
}

json::object render(const Event& event) {
  json::object out{
      {"number", event.number}, {"time", time_text(event.time)},
      {"kind", event.kind},     {"who", event.who},
      {"peer", event.peer},     {"message", event.message},
      {"object", event.object}, {"before", event.before},
      {"after", event.after},   {"request_id", event.request_id},
  };
  return out;
}

model::EventRecord record_of(const Event& event) {
  json::object text{{"who", event.who},
                    {"peer", event.peer},
                    {"message", event.message},
                    {"object", event.object},
                    {"before", event.before},
                    {"after", event.after},
                    {"request_id", event.request_id}};
  return {.number = event.number,
          .time = event.time,
          .kind = event.kind,
          .object_type = std::string(text_in(event.object, "type")),
          .object_id = std::string(text_in(event.object, "id")),
          .object_name = std::string(text_in(event.object, "name")),
          .project_id = std::string(project_of(event)),
          .text = json::serialize(text)};
}

Event event_of(const model::EventRecord& record) {
  boost::system::error_code error;
  const auto value = json::parse(record.text, error);
  const json::object nothing;
  const auto& text = !error && value.is_object() ? value.get_object() : nothing;
  const auto word = [&](std::string_view name) { return std::string(text_in(text, name)); };
  return {.number = record.number,
          .time = record.time,
          .kind = record.kind,
          .who = word("who"),
          .peer = word("peer"),
          .message = word("message"),
          .object = object_in(text, "object"),
          .before = object_in(text, "before"),
          .after = object_in(text, "after"),
          .request_id = word("request_id"),
          .project = record.project_id};
}

}  // namespace sluice::api
