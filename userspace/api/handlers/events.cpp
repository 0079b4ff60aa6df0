#include "api/handlers/events.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <iterator>
#include <span>

#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/routes.hpp"
#include "api/language/events.hpp"
#include "api/language/fault.hpp"

namespace sluice::api {

// The parameters of a request for events.
struct EventSearch {
  model::EventQuery query;
  std::chrono::seconds wait{0};
};

namespace {
namespace json = boost::json;

constexpr std::size_t largest_page = 1000;
constexpr std::uint64_t longest_wait = 30;

constexpr std::string_view kinds[] = {"change", "refused",      "denied",
                                      "health", "provisioning", "attachment"};
constexpr std::string_view types[] = {"loadbalancer",  "listener",   "pool",  "member",
                                      "healthmonitor", "floatingip", "quota", "node"};

Result<std::uint64_t> number(std::string_view name, const std::string& text) {
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && rest == text.data() + text.size()) return value;
  return tl::unexpected(invalid_input(name, text, "Value should be a number"));
}

Result<std::string> word(std::string_view name, const std::string& text,
                         std::span<const std::string_view> known) {
  if (std::ranges::count(known, text) != 0) return text;
  std::string list;
  for (const auto one : known) list.append(list.empty() ? "" : ", ").append(one);
  return tl::unexpected(invalid_input(name, text, "Value should be one of " + list));
}

template <typename T>
Result<void> assign(T& to, Result<std::uint64_t> value) {
  if (!value) return tl::unexpected(std::move(value.error()));
  to = T(*value);
  return {};
}

Result<void> assign(std::string& to, Result<std::string> value) {
  if (!value) return tl::unexpected(std::move(value.error()));
  to = std::move(*value);
  return {};
}

Result<void> read_parameter(EventSearch& search, std::string_view name, const std::string& value) {
  auto& query = search.query;
  if (name == "after") return assign(query.after, number(name, value));
  if (name == "before") return assign(query.before, number(name, value));
  if (name == "limit") return assign(query.limit, number(name, value));
  if (name == "kind") return assign(query.kind, word(name, value, kinds));
  if (name == "type") return assign(query.object_type, word(name, value, types));
  if (name == "object") return assign(query.object, value);
  if (name == "request_id") return assign(query.request_id, value);
  if (name == "wait") {
    return assign(search.wait, number(name, value).map([](std::uint64_t seconds) {
      return std::min(seconds, longest_wait);
    }));
  }
  return fail(ErrorKind::invalid, fmt::format("Unknown parameter '{}'", name),
              "after, before, limit, wait, kind, type, object and request_id are known");
}

Result<EventSearch> search_of(const Call& call) {
  EventSearch search;
  for (const auto& [name, value] : call.query) {
    if (auto done = read_parameter(search, name, value); !done) {
      return tl::unexpected(std::move(done.error()));
    }
  }
  search.query.limit = std::min(search.query.limit, largest_page);
  const auto& who = call.request.who;
  if (who.role == Role::member) search.query.project_id = who.project;
  return search;
}

// Hides the addresses of other callers from a member.
json::object shown_to(const Identity& who, const Event& event) {
  auto out = render(event);
  if (who.role == Role::member && event.who != who.name) out["peer"] = "";
  return out;
}

json::object page(const Events& events, const model::EventQuery& query, const Identity& who,
                  const std::vector<const Event*>& found) {
  json::array list;
  for (const auto* event : found) list.push_back(shown_to(who, *event));
  const bool full = !found.empty() && found.size() == query.limit;
  auto last = std::max(events.last(), query.after.value_or(0));
  if (query.after && events.last() != 0) last = full ? found.back()->number : events.last();
  return {{"events", std::move(list)}, {"last", last}};
}

// Joins what the store has found with the events that it does not have yet.
std::vector<const Event*> merged(const Events& events, const model::EventQuery& query,
                                 const std::vector<Event>& stored) {
  auto all = events.find(query);
  for (const auto& event : stored) all.push_back(&event);
  std::ranges::stable_sort(all, {}, &Event::number);
  const auto same = std::ranges::unique(all, {}, &Event::number);
  all.erase(same.begin(), same.end());
  const auto surplus = all.size() - std::min(all.size(), query.limit);
  if (query.after) {
    all.resize(all.size() - surplus);
  } else {
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(surplus));
  }
  return all;
}

void look_into_store(const Context& context, const EventSearch& search, const Identity& who,
                     Response response, std::function<void(Response)> done) {
  context.controller.store_writer().events(
      search.query,
      [&events = context.events, query = search.query, who, response = std::move(response),
       done = std::move(done)](Result<std::vector<model::EventRecord>> records) mutable {
        if (!records) return done(fault(records.error()));
        std::vector<Event> stored;
        for (const auto& record : *records) stored.push_back(event_of(record));
        response.body = json::serialize(page(events, query, who, merged(events, query, stored)));
        done(std::move(response));
      });
}

// `until`: the end of a wait that has begun; Time(): the wait is over.
void answer_until(Context context, const Request& request, std::optional<Events::Time> until,
                  std::function<void(Response)> done) {
  EventSearch search;
  context.event_search = &search;
  auto response = handle(context, request);
  context.event_search = nullptr;
  if (response.status != 200) return done(std::move(response));
  if (!context.events.can_answer(search.query)) {
    return look_into_store(context, search, request.who, std::move(response), std::move(done));
  }
  if (!until) until = std::chrono::steady_clock::now() + search.wait;
  const bool waits = search.query.after && search.wait.count() != 0 && *until != Events::Time();
  if (!waits || search.query.limit == 0 || !context.events.find(search.query).empty()) {
    return done(std::move(response));
  }
  context.events.wait(*until, [context, request, until, done = std::move(done)](bool told) {
    answer_until(context, request, told ? *until : Events::Time(), done);
  });
}

}  // namespace

bool asks_for_events(const Request& request) {
  return request.method == "GET" && path_of(request.target) == "/v1/events";
}

void answer_with_events(const Context& context, const Request& request,
                        std::function<void(Response)> done) {
  answer_until(context, request, std::nullopt, std::move(done));
}

// Answers as far as it is known without the store.
Result<Reply> list_events(const Call& call) {
  auto search = search_of(call);
  if (!search) return tl::unexpected(std::move(search.error()));
  const auto& events = call.context.events;
  auto body = page(events, search->query, call.request.who, events.find(search->query));
  if (call.context.event_search) *call.context.event_search = std::move(*search);
  return Reply{200, std::move(body)};
}

}  // namespace sluice::api
