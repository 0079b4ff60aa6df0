#include "api/language/events.hpp"

#include <algorithm>
#include <utility>

namespace sluice::api {

void Events::take_stored(const std::vector<model::EventRecord>& stored) {
  if (stored.empty()) return;
  for (const auto& record : stored) events_.push_back(event_of(record));
  complete_ = stored.size() < capacity;
  next_ = stored.back().number + 1 + skipped_at_start;
}

void Events::add(Event event, Time now) {
  give_number(event);
  if (limit_.admit(event, now)) pass(std::move(event));
}

void Events::tick(Time now) {
  for (auto& event : limit_.due(now)) {
    event.number = next_++;  // the time stays that of its happening
    pass(std::move(event));
  }
  std::vector<Waiting> over;
  std::erase_if(waiting_, [&](Waiting& one) {
    if (now < one.until) return false;
    over.push_back(std::move(one));
    return true;
  });
  for (const auto& one : over) one.heard(false);
}

void Events::pass(Event event) {
  if (keep_) keep_(event);
  tell(std::move(event));
}

void Events::give_number(Event& event) {
  event.number = next_++;
  event.time = std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

void Events::tell(Event event) {
  events_.push_back(std::move(event));
  if (events_.size() > capacity) {
    events_.pop_front();
    complete_ = false;
  }
  for (const auto& one : std::exchange(waiting_, {})) one.heard(true);
}

// Returns the first event that was shown after the one with this number. If that one is not here,
// returns the first event with a higher number.
Events::Place Events::behind(std::uint64_t number) const {
  const auto found = std::find_if(events_.rbegin(), events_.rend(),
                                  [&](const Event& event) { return event.number == number; });
  if (found != events_.rend()) return found.base();
  return std::ranges::find_if(events_, [&](const Event& event) { return event.number > number; });
}

bool Events::can_answer(const model::EventQuery& query) const {
  if (complete_) return true;
  if (query.after) return !events_.empty() && *query.after >= events_.front().number;
  return find(query).size() == query.limit;
}

std::vector<const Event*> Events::find(const model::EventQuery& query) const {
  std::vector<const Event*> found;
  const auto consider = [&](const Event& event) {
    const bool asked =
        (!query.before || event.number < *query.before) && is_asked_for(event, query);
    if (asked) found.push_back(&event);
    return found.size() < query.limit;
  };
  if (query.limit == 0) return found;
  if (query.after) {
    // A number that was never given comes from another store: everything is new.
    auto from = *query.after >= next_ ? events_.begin() : behind(*query.after);
    for (; from != events_.end() && consider(*from); ++from) continue;
    return found;
  }
  for (auto at = events_.rbegin(); at != events_.rend() && consider(*at); ++at) continue;
  std::ranges::reverse(found);
  return found;
}

void Events::wait(Time until, Heard heard) {
  waiting_.push_back({until, std::move(heard)});
}

}  // namespace sluice::api
