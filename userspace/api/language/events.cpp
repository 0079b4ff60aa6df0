#include "api/language/events.hpp"

#include <fmt/chrono.h>

#include <chrono>

namespace sluice::api {
namespace json = boost::json;

void Events::add(Event event) {
  event.number = next_++;
  event.time = std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
  events_.push_back(std::move(event));
  if (events_.size() > capacity) events_.pop_front();
}

std::vector<const Event*> Events::behind(std::uint64_t after, std::size_t limit,
                                         std::string_view kind) const {
  if (after > last()) after = 0;
  std::vector<const Event*> found;
  for (const auto& event : events_) {
    if (event.number <= after || (!kind.empty() && event.kind != kind)) continue;
    if (found.size() == limit) break;
    found.push_back(&event);
  }
  return found;
}

Event about_member(std::string_view kind, std::string message, const Uuid* member) {
  Event event{.kind = std::string(kind),
              .message = std::move(message),
              .object = {},
              .before = {},
              .after = {}};
  if (member != nullptr) event.object = {{"type", "member"}, {"id", to_string(*member)}};
  return event;
}

json::object render(const Event& event) {
  using std::chrono::floor;
  using std::chrono::milliseconds;
  const auto part = event.time.time_since_epoch() % std::chrono::seconds(1);
  json::object out{
      {"number", event.number},
      {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", floor<std::chrono::seconds>(event.time),
                           floor<milliseconds>(part).count())},
      {"kind", event.kind},
      {"who", event.who},
      {"peer", event.peer},
      {"message", event.message},
      {"object", event.object},
      {"before", event.before},
      {"after", event.after},
      {"request_id", event.request_id},
  };
  return out;
}

}  // namespace sluice::api
