// Page: the status page below /ui/, which shows and changes nothing.
//
//   GET /ui/ and its files      open to all: nothing in them is of this node
//   GET /ui/data/snapshot       everything that the page shows, once (survey.hpp)
//   GET /ui/data/live           the same as server-sent events: `whole` first and whenever other
//                               rows are shown, then `changes` each second, and at once after
//                               an event
//   GET /ui/data/flows, clients, explain, events     the routes of that name under /v1
//
// A project's member is shown the objects and events of that project, and nothing of the node; the
// routes under /v1 know themselves what a member may ask.
//
// While nobody reads `live` or asks for snapshots, counters are read each ten seconds, for the
// history. Otherwise they are read once a second, however many look, and all get the same text.
// `live` has at most 32 readers at a time (503 for the next one), and a reader that does not keep
// up is dropped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "api/language/events.hpp"
#include "api/language/message.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "control/peers.hpp"

namespace sluice::api {

class Page {
 public:
  static constexpr std::size_t most_readers = 32;
  using Done = std::function<void(Response)>;
  // Answers a request for one of the routes under /v1.
  using Forward = std::function<void(Request, Done)>;
  // Says whether the reader of `live` may go on: sessions end.
  using May = std::function<bool(const Request&)>;

  // Controller, events, fleet and peers must outlive the page. `fleet`, `peers`: null if this node
  // is alone.
  Page(boost::asio::io_context& context, control::Controller& controller, Events& events,
       std::string version, const control::Fleet* fleet, const control::Peers* peers,
       Forward forward, May may_go_on);
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page();  // ends its readers

  // Says whether the path belongs to the page.
  static bool serves(std::string_view target);
  void answer(const Request& request, Done done);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Gives an answer the headers that keep browsers from doing anything with it but show this page:
// nothing of elsewhere is loaded, nothing inline is run, and nobody may frame it.
void protect(Response& response);

}  // namespace sluice::api
