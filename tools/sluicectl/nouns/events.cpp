// sluicectl events: shows recent events, and follows new ones.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "base/printable.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

constexpr int usual_limit = 1000;  // the server's pages have no more
constexpr int usual_limit_before_watching = 10;

struct Page {
  json::array events;
  std::int64_t last = 0;
};

std::int64_t number_of(const json::object& object, std::string_view name) {
  const auto* value = object.if_contains(name);
  return value && value->is_int64() ? value->get_int64() : 0;
}

Result<Page> ask(const Call& call, const Query& query) {
  std::string target = "/v1/events";
  const auto add = [&](const std::string& name, const std::string& value) {
    target +=
        fmt::format("{}{}={}", target.find('?') == target.npos ? '?' : '&', name, escaped(value));
  };
  for (const auto& [name, value] : query) add(name, value);
  for (const auto* name : {"kind", "type", "object"}) {
    if (call.invocation.has(name)) add(name, call.invocation.value(name));
  }
  if (call.invocation.has("request")) add("request_id", call.invocation.value("request"));
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

// Fetches the newest events, page by page. They come oldest first.
Result<Page> ask_for_newest(const Call& call, int limit) {
  Page all;
  std::vector<json::array> pages;  // newest first
  for (std::int64_t before = 0; limit > 0;) {
    const auto size = std::min(limit, usual_limit);
    Query query{{"limit", std::to_string(size)}};
    if (before != 0) query.emplace_back("before", std::to_string(before));
    auto page = ask(call, query);
    if (!page) return page;
    if (pages.empty()) all.last = page->last;
    const auto count = page->events.size();
    if (count == 0) break;
    limit -= static_cast<int>(count);
    const auto* first = page->events.front().if_object();
    before = first ? number_of(*first, "number") : 0;
    pages.push_back(std::move(page->events));
    if (count < static_cast<std::size_t>(size) || before == 0) break;
  }
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) {
    for (auto& event : *page) all.events.push_back(std::move(event));
  }
  return all;
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

// Shows each event on its own line.
void show_lines(const Call& call, const Page& page) {
  const bool as_json = call.invocation.value("format") == "json";
  for (const auto& event : page.events) {
    if (!event.is_object()) continue;
    auto line = as_json ? json::serialize(event) : line_of(event.get_object());
    if (as_json && call.display.is_terminal) line = printable(line);
    call.display.show(line + "\n");
  }
}

// Shows events until Ctrl-C, which takes effect after a second: so long does the server wait for an
// event before it answers.
Result<Answer> watch(const Call& call, int limit) {
  auto page = ask_for_newest(call, limit);
  while (page && !call.display.is_interrupted()) {
    show_lines(call, *page);
    page = ask(call, {{"after", std::to_string(page->last)}, {"wait", "1"}});
  }
  if (!page) return tl::unexpected(page.error());
  show_lines(call, *page);
  return Answer{};
}

Result<Answer> show_events(const Call& call) {
  const bool watches = call.invocation.has("watch");
  const auto limit = positive(call, "limit", watches ? usual_limit_before_watching : usual_limit);
  if (!limit) return tl::unexpected(limit.error());
  if (watches) return watch(call, *limit);
  auto page = ask_for_newest(call, *limit);
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
      {.summary = "what happened, oldest first",
       .options = {flag(Kind::local, "watch", "go on with what happens, until Ctrl-C"),
                   option(Kind::local, "kind", "KIND",
                          "only change, refused, denied, health, provisioning or attachment",
                          "event_kind"),
                   option(Kind::local, "type", "TYPE",
                          "only about loadbalancer, listener, pool, member, healthmonitor, "
                          "floatingip or quota",
                          "event_type"),
                   option(Kind::local, "object", "OBJECT", "only about this one, by id or name"),
                   option(Kind::local, "request", "ID",
                          "only what this request changed, or that it was refused"),
                   option(Kind::local, "limit", "COUNT",
                          "only the newest (1000; 10 to begin with when watching)")},
       .output = Output::listing,
       .columns = {"number", "time", "kind", "who", "peer", "message", "before", "after"},
       .run = show_events,
       .examples = {"sluicectl events -c time -c who -c message", "sluicectl events --watch",
                    "sluicectl events --kind change -f json",
                    "sluicectl events --object web1 --limit 20"}}};
  return noun;
}

}  // namespace

const Noun& events_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
