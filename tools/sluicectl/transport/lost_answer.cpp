#include "sluicectl/transport/lost_answer.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>

namespace sluice::ctl {
namespace {

namespace json = boost::json;

// So often is the event asked for; together with the pauses it is some ten seconds.
constexpr int attempts = 10;
constexpr std::chrono::milliseconds pause{1000};

// Reads the first event of a page; nothing if there is none.
std::optional<LostAnswer> read(const HttpAnswer& answer) {
  boost::system::error_code error;
  const auto body = json::parse(answer.body, error);
  if (error || !body.is_object()) return std::nullopt;
  const auto* events = body.get_object().if_contains("events");
  if (!events || !events->is_array() || events->get_array().empty()) return std::nullopt;
  const auto* event = events->get_array()[0].if_object();
  if (!event) return std::nullopt;
  const auto text = [&](std::string_view name) {
    const auto* value = event->if_contains(name);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
  };
  if (text("kind") == "refused") return LostAnswer{LostAnswer::Fate::refused, text("message")};
  return LostAnswer{LostAnswer::Fate::made, {}};
}

}  // namespace

LostAnswer find_lost_answer(Transport& transport, const std::string& request_id,
                            const std::function<void(std::chrono::milliseconds)>& sleep) {
  const HttpRequest look{"GET", "/v1/events?limit=1&request_id=" + request_id, ""};
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (attempt > 0) sleep(pause);
    const auto answer = transport.exchange(look);
    if (!answer) continue;
    if (auto found = read(*answer)) return *found;
  }
  return {};
}

Error lost_answer_error(const LostAnswer& found, const std::string& request_id,
                        const std::string& how) {
  switch (found.fate) {
    case LostAnswer::Fate::made:
      return {ErrorKind::system,
              fmt::format("the change was made, but its answer was lost: {}", how),
              fmt::format("'sluicectl events --request {}' shows what was changed", request_id), 0};
    case LostAnswer::Fate::refused:
      return {ErrorKind::system,
              fmt::format("the change was refused, and the answer was lost ({}): {}", how,
                          found.refusal),
              "nothing was changed", 0};
    default:
      return {ErrorKind::system,
              fmt::format("the answer was lost: {}; whether the change was made is not known", how),
              fmt::format("'sluicectl events --request {}' shows it when it was", request_id), 0};
  }
}

}  // namespace sluice::ctl
