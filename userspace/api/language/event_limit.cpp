#include "api/language/event_limit.hpp"

#include <fmt/format.h>

namespace sluice::api {
namespace {

// Returns what the limit applies to: the object, or else the caller, or else the message.
std::string subject_of(const Event& event) {
  const auto* id = event.object.if_contains("id");
  if (id && id->is_string()) return event.kind + " " + std::string(id->get_string());
  return event.kind + " " + (event.who.empty() ? event.message : event.who);
}

}  // namespace

bool EventLimit::admit(Event& event, Time now) {
  auto& window = windows_[subject_of(event)];
  if (window.admitted == 0) window.begun = now;
  if (window.admitted < most) {
    window.admitted++;
    return true;
  }
  if (window.held) {
    window.dropped++;
    dropped_++;
  }
  window.held = std::move(event);
  return false;
}

std::vector<Event> EventLimit::due(Time now) {
  std::vector<Event> events;
  for (auto at = windows_.begin(); at != windows_.end();) {
    auto& window = at->second;
    if (now - window.begun < span) {
      ++at;
      continue;
    }
    if (window.held) {
      if (window.dropped != 0) {
        window.held->message +=
            fmt::format(" ({} events like it were dropped before it)", window.dropped);
      }
      events.push_back(std::move(*window.held));
    }
    at = windows_.erase(at);
  }
  return events;
}

}  // namespace sluice::api
