// sluicectl top: shows rates, again and again.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/output/rates.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

constexpr int default_interval = 2;
// Moves the cursor to the upper left corner and clears the screen.
constexpr const char* clear = "\033[H\033[2J";

Result<Snapshot> ask(const Call& call) {
  const auto answer = call.client.request("GET", "/v1/counters");
  if (!answer) return tl::unexpected(about("top", answer.error()));
  const auto* body = answer->if_object();
  const auto* counters = body ? body->if_contains("counters") : nullptr;
  return read_snapshot(counters && counters->is_object() ? counters->get_object() : json::object());
}

Result<Answer> show_top(const Call& call) {
  const auto interval = positive(call, "interval", default_interval);
  if (!interval) return tl::unexpected(interval.error());
  const auto count = positive(call, "count", 0);
  if (!count) return tl::unexpected(count.error());
  std::optional<Snapshot> before;
  Clock::time_point asked{};
  for (int shown = 0; *count == 0 || shown <= *count; ++shown) {
    const auto now = ask(call);
    if (!now) return tl::unexpected(now.error());
    const auto time = Clock::now();
    const std::chrono::duration<double> since = time - asked;
    // The first answer has no rates, so only a terminal gets it.
    if (before || call.display.is_terminal) {
      const auto screen = compare(before ? &*before : nullptr, *now, since.count());
      call.display.show((call.display.is_terminal ? clear : "") + text_of(screen) + "\n");
    }
    before = *now;
    asked = time;
    if (*count != 0 && shown == *count) break;
    call.display.sleep(std::chrono::seconds(*interval));
  }
  return Answer{};
}

Noun make_noun() {
  Noun noun{.name = "top",
            .summary = "live rates of listeners, members and dropped packets, and how sluiced is"};
  noun.verbs = {{.summary = "connections, packets and bits per second, until Ctrl-C",
                 .options = {option(Kind::local, "interval", "SECONDS",
                                    "time between two screens (default 2)"),
                             option(Kind::local, "count", "N", "end after this number of screens")},
                 .run = show_top,
                 .examples = {"sluicectl top", "sluicectl top --interval 10 --count 6"}}};
  return noun;
}

}  // namespace

const Noun& top_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
