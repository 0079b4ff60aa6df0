#include "api/page/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <vector>

#include "api/language/fault.hpp"
#include "api/language/feed.hpp"
#include "api/page/files.hpp"
#include "api/page/readings.hpp"
#include "api/page/survey.hpp"

namespace sluice::api {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::string_view root = "/ui/";
constexpr std::string_view data = "/ui/data/";
constexpr milliseconds second{1000};
// What an event changes is told at once, but a burst of events only so often.
constexpr milliseconds gather{30}, between_changes{200};
// A reading that is not older than this is good for another snapshot.
constexpr milliseconds fresh{900};

// The routes under /v1 that the page reads.
constexpr std::string_view forwarded[] = {"flows", "clients", "explain", "events"};

Response answer_with(std::string body, std::string_view type) {
  Response response;
  response.request_id = new_request_id();
  response.content_type = type;
  response.body = std::move(body);
  return response;
}

// A browser asks again each time, and is told if it has the file already.
Response file_answer(const Request& request, const PageFile& file) {
  auto response = answer_with({}, file.type);
  response.headers.emplace_back("ETag", file.tag);
  response.headers.emplace_back("Cache-Control", "no-cache");
  if (request.known_version == file.tag) {
    response.status = 304;
  } else {
    response.body = file.content;
  }
  return response;
}

Response redirect() {
  Response response;
  response.request_id = new_request_id();
  response.status = 308;
  response.headers.emplace_back("Location", "/ui/");
  return response;
}

// Whose objects the caller is shown; unset: everybody's.
Survey::Project project_of(const Identity& who) {
  return who.role == Role::member ? Survey::Project(who.project) : std::nullopt;
}

// A server-sent event.
Feed::Text event_text(std::string_view name, std::string_view json) {
  return std::make_shared<const std::string>(fmt::format("event: {}\ndata: {}\n\n", name, json));
}

}  // namespace

void protect(Response& response) {
  auto& headers = response.headers;
  headers.emplace_back(
      "Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "
      "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      "require-trusted-types-for 'script'; trusted-types 'none'");
  headers.emplace_back("X-Content-Type-Options", "nosniff");
  headers.emplace_back("X-Frame-Options", "DENY");
  headers.emplace_back("Referrer-Policy", "no-referrer");
  headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
  headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  const bool has_lifetime =
      std::ranges::any_of(headers, [](const auto& one) { return one.first == "Cache-Control"; });
  if (!has_lifetime) headers.emplace_back("Cache-Control", "no-store");
}

struct Page::State : std::enable_shared_from_this<State> {
  State(asio::io_context& io, control::Controller& controller_, Events& events_,
        std::string version_, const control::Fleet* fleet_, const control::Peers* peers_,
        Forward forward_, May may_go_on_)
      : controller(controller_),
        events(events_),
        version(std::move(version_)),
        fleet(fleet_),
        peers(peers_),
        readings(controller_, events_),
        forward(std::move(forward_)),
        may_go_on(std::move(may_go_on_)),
        step(io),
        tick(io),
        soon(io) {}

  struct Reader {
    std::weak_ptr<Feed> feed;  // its connection keeps it
    Request request;
  };
  // What the readers of one project are told, or those who are shown everything.
  struct View {
    Survey survey;
    std::vector<Reader> readers;
  };

  View& view_of(const Identity& who);
  std::size_t readers() const;
  void keep_history();
  void count_up();
  void listen();
  void tell_soon();
  void refresh(View& view);
  void refresh_all();
  void drop_readers();
  std::string whole(View& view);
  Response snapshot(const Request& request);
  Response begin_feed(const Request& request);
  void stop();

  control::Controller& controller;
  Events& events;
  std::string version;
  const control::Fleet* fleet;
  const control::Peers* peers;
  Readings readings;
  std::map<Survey::Project, View> views;  // that have readers
  Forward forward;
  May may_go_on;
  asio::steady_timer step;          // of the history
  asio::steady_timer tick;          // each second while there are readers
  asio::steady_timer soon;          // after an event
  steady_clock::time_point told{};  // when readers were last told something
  bool ticking = false, listening = false, telling_soon = false, stopped = false;
};

Page::State::View& Page::State::view_of(const Identity& who) {
  const auto project = project_of(who);
  return views
      .try_emplace(project,
                   View{{controller, events, readings, project, version, fleet, peers}, {}})
      .first->second;
}

std::size_t Page::State::readers() const {
  std::size_t sum = 0;
  for (const auto& [project, view] : views) sum += view.readers.size();
  return sum;
}

void Page::State::keep_history() {
  step.expires_after(Tracks::step);
  step.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->stopped) return;
    self->readings.read_counters(steady_clock::now());
    self->keep_history();
  });
}

// Reads the counters each second, as long as there are readers.
void Page::State::count_up() {
  if (ticking) return;
  ticking = true;
  tick.expires_after(second);
  tick.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->stopped) return;
    self->ticking = false;
    self->drop_readers();
    if (self->views.empty()) return;
    self->readings.read_counters(steady_clock::now());
    self->refresh_all();
    self->count_up();
  });
}

// Waits for the next event, as long as there are readers.
void Page::State::listen() {
  if (listening) return;
  listening = true;
  events.wait(Events::Time::max(), [weak = weak_from_this()](bool told_one) {
    const auto self = weak.lock();
    if (!self || self->stopped) return;
    self->listening = false;
    if (!told_one || self->views.empty()) return;
    self->tell_soon();
    self->listen();
  });
}

// The states that an event tells of are set after it, so they are looked at a moment later.
void Page::State::tell_soon() {
  if (telling_soon) return;
  telling_soon = true;
  soon.expires_at(std::max(steady_clock::now() + gather, told + between_changes));
  soon.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->stopped) return;
    self->telling_soon = false;
    self->refresh_all();
  });
}

// Tells the readers what is other than before.
void Page::State::refresh(View& view) {
  const auto text = view.survey.look() ? event_text("whole", view.survey.whole())
                                       : event_text("changes", view.survey.changes());
  for (const auto& reader : view.readers) {
    if (const auto feed = reader.feed.lock()) feed->send(text);
  }
}

void Page::State::refresh_all() {
  told = steady_clock::now();
  for (auto& [project, view] : views) refresh(view);
}

// Forgets readers that have gone, and ends those whose session has ended.
void Page::State::drop_readers() {
  for (auto& [project, view] : views) {
    std::erase_if(view.readers, [&](const Reader& reader) {
      const auto feed = reader.feed.lock();
      if (!feed || feed->is_over()) return true;
      if (may_go_on(reader.request)) return false;
      feed->end();
      return true;
    });
  }
  std::erase_if(views, [](const auto& one) { return one.second.readers.empty(); });
}

// Everything, for one who begins. The others are told first, because what they know is what the
// next changes are compared with.
std::string Page::State::whole(View& view) {
  const auto now = steady_clock::now();
  if (now - readings.tracks().last_reading() > fresh) readings.read_counters(now);
  refresh(view);
  return view.survey.whole();
}

Response Page::State::snapshot(const Request& request) {
  auto response = answer_with(whole(view_of(request.who)), "application/json");
  drop_readers();
  return response;
}

Response Page::State::begin_feed(const Request& request) {
  drop_readers();
  if (readers() >= most_readers) {
    auto response = http_fault(
        503, fmt::format("{} pages are followed already: try again later.", most_readers));
    response.headers.emplace_back("Retry-After", "10");
    return response;
  }
  auto response = answer_with({}, "text/event-stream");
  response.feed = std::make_shared<Feed>();
  auto& view = view_of(request.who);
  response.feed->send(event_text("whole", whole(view)));
  view.readers.push_back({response.feed, request});
  count_up();
  listen();
  return response;
}

void Page::State::stop() {
  stopped = true;
  step.cancel();
  tick.cancel();
  soon.cancel();
  for (const auto& [project, view] : views) {
    for (const auto& reader : view.readers) {
      if (const auto feed = reader.feed.lock()) feed->end();
    }
  }
}

Page::Page(asio::io_context& context, control::Controller& controller, Events& events,
           std::string version, const control::Fleet* fleet, const control::Peers* peers,
           Forward forward, May may_go_on)
    : state_(std::make_shared<State>(context, controller, events, std::move(version), fleet, peers,
                                     std::move(forward), std::move(may_go_on))) {
  state_->readings.read_counters(steady_clock::now());
  state_->keep_history();
}

Page::~Page() {
  state_->stop();
}

bool Page::serves(std::string_view target) {
  const auto path = path_of(target);
  return path == "/ui" || path.starts_with(root);
}

void Page::answer(const Request& request, Done done) {
  const auto protected_done = [done = std::move(done)](Response response) {
    protect(response);
    done(std::move(response));
  };
  const auto path = path_of(request.target);
  if (request.method != "GET" && request.method != "HEAD") {
    auto response = http_fault(405, "The page is only read.");
    response.allow = "GET";
    return protected_done(std::move(response));
  }
  if (path == "/ui") return protected_done(redirect());
  if (!path.starts_with(data)) {
    const auto* file = find_page_file(path.substr(root.size()));
    return protected_done(file ? file_answer(request, *file)
                               : http_fault(404, "The page has no such file."));
  }
  const auto what = path.substr(data.size());
  if (what == "snapshot") return protected_done(state_->snapshot(request));
  if (what == "live" && request.method == "GET") {
    return protected_done(state_->begin_feed(request));
  }
  if (std::ranges::count(forwarded, what) != 0) {
    auto inner = request;
    inner.target = fmt::format("/v1/{}", std::string_view(request.target).substr(data.size()));
    return state_->forward(std::move(inner), protected_done);
  }
  protected_done(http_fault(404, "The page has no such data."));
}

}  // namespace sluice::api
