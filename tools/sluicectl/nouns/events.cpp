// sluicectl events: shows recent events, and follows new ones.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>

#include "base/printable.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

constexpr auto between_looks = std::chrono::seconds(1);

struct Page {
  json::array events;
  std::int64_t last = 0;
};

std::int64_t number_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_int64() ? value->get_int64() : 0;
}

Result<Page> ask(const Call& call, std::int64_t after) {
  auto target = fmt::format("/v1/events?after={}", after);
  if (const auto kind = call.invocation.value("kind"); !kind.empty()) {
    target += "&kind=" + escaped(kind);
  }
  const auto answer = call.client.request("GET", target);
  if (!answer) return tl::unexpected(about("events", answer.error()));
  Page page;
  const auto* body = answer->if_object();
  if (!body) return page;
  if (const auto* events = body->if_contains("events"); events && events->is_array()) {
    page.events = events->get_array();
  }
  page.last = number_of(*body, "last");
  return page;
}

// Fetches all events after `after`, page by page.
Result<Page> ask_all(const Call& call, std::int64_t after) {
  Page all;
  all.last = after;
  for (;;) {
    auto page = ask(call, all.last);
    if (!page) return page;
    if (page->events.empty()) {
      all.last = page->last;
      return all;
    }
    for (auto& event : page->events) {
      if (event.is_object()) all.last = number_of(event.get_object(), "number");
      all.events.push_back(std::move(event));
    }
  }
}

std::string text_of(const json::object& event, std::string_view name) {
  const auto* value = event.if_contains(name);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// "2026-11-29T12:00:01.250Z change   alice (192.0.2.7:50514): updated Member web (5a10...): ..."
std::string line_of(const json::object& event) {
  auto who = text_of(event, "who");
  if (const auto peer = text_of(event, "peer"); !peer.empty()) {
    who += who.empty() ? peer : fmt::format(" ({})", peer);
  }
  return printable(fmt::format("{} {:<12} {}{}", text_of(event, "time"), text_of(event, "kind"),
                               who.empty() ? "" : who + ": ", text_of(event, "message")));
}

Result<Answer> watch(const Call& call) {
  std::int64_t after = 0;
  while (!call.display.is_interrupted()) {
    auto page = ask_all(call, after);
    if (!page) return tl::unexpected(page.error());
    for (const auto& event : page->events) {
      if (event.is_object()) call.display.show(line_of(event.get_object()) + "\n");
    }
    after = page->last;
    call.display.sleep(between_looks);
  }
  return Answer{};
}

Result<Answer> show_events(const Call& call) {
  if (call.invocation.has("watch")) return watch(call);
  auto page = ask_all(call, 0);
  if (!page) return tl::unexpected(page.error());
  Listing listing{call.verb.columns, {}};
  for (const auto& item : page->events) {
    const auto* event = item.if_object();
    if (!event) continue;
    auto& row = listing.rows.emplace_back();
    for (const auto& column : call.verb.columns) {
      if (column == "before" || column == "after") {
        const auto* value = event->if_contains(column);
        row.push_back(RawJson{json::serialize(value ? *value : json::value(json::object()))});
      } else {
        row.push_back(to_cell(*event, column));
      }
    }
  }
  return listing;
}

Noun make_noun() {
  Noun noun{.name = "events",
            .summary = "who changed what, which members came and went, who was not let in"};
  noun.verbs = {
      {.summary = "what happened lately, oldest first; the log has more",
       .options = {flag(Kind::local, "watch", "go on with what happens, until Ctrl-C"),
                   option(Kind::local, "kind", "KIND",
                          "only change, refused, denied, health, provisioning or attachment")},
       .output = Output::listing,
       .columns = {"number", "time", "kind", "who", "peer", "message", "before", "after"},
       .run = show_events,
       .examples = {"sluicectl events -c time -c who -c message", "sluicectl events --watch",
                    "sluicectl events --kind change -f json"}}};
  return noun;
}

}  // namespace

const Noun& events_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
