// Events: the past for operators and audits: changes and their authors, members that came up or
// went down, requests that were refused, callers that were denied.
//
// This list holds the newest events in memory, so that a reader that follows them never waits for
// the disk. The store holds more of them, for longer (store::most_events, longest_kept_event). A
// change's event is stored in the commit of the change and shown after it. All other events are
// shown at once and stored when the store is ready.
//
// An event's number is its name. A change gets its number before it is stored, so a health event
// that happens meanwhile has a higher number and is shown earlier. Therefore "after number N" means
// the events that were shown after that one, whatever their numbers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "api/language/event.hpp"
#include "api/language/event_limit.hpp"

namespace sluice::api {

class Events {
 public:
  using Time = EventLimit::Time;
  static constexpr std::size_t capacity = 4096;

  // Begins with the events that were stored before a restart. Readers may have seen numbers that a
  // killed sluiced had no time to store, so some numbers are skipped and never given twice.
  static constexpr std::uint64_t skipped_at_start = 1000;
  void take_stored(const std::vector<model::EventRecord>& stored);

  // Sets the function that stores the events of add().
  void keep_with(std::function<void(const Event&)> keep) { keep_ = std::move(keep); }

  // Numbers, stores and shows the event, or holds it back (EventLimit).
  void add(Event event, Time now = std::chrono::steady_clock::now());
  // Shows events that were held back long enough, and ends waits. To be called about once a second.
  void tick(Time now = std::chrono::steady_clock::now());

  // Gives a change its number and time, before it is stored.
  void give_number(Event& event);
  // Shows a change, after it was stored.
  void tell(Event event);

  // Says whether this list has the whole answer to the query.
  bool can_answer(const model::EventQuery& query) const;
  // Returns the answer as far as this list has it, in the order in which the events were shown.
  std::vector<const Event*> find(const model::EventQuery& query) const;
  // Returns the number of the event that was shown last.
  std::uint64_t last() const { return events_.empty() ? 0 : events_.back().number; }

  // Calls `heard` once: with true when the next event is shown, with false at `until`.
  using Heard = std::function<void(bool told)>;
  void wait(Time until, Heard heard);

  // Returns how many events were dropped because there were too many like them.
  std::uint64_t dropped() const { return limit_.dropped(); }

 private:
  using Place = std::deque<Event>::const_iterator;
  Place behind(std::uint64_t number) const;
  void pass(Event event);

  struct Waiting {
    Time until;
    Heard heard;
  };
  std::deque<Event> events_;
  std::uint64_t next_ = 1;
  bool complete_ = true;  // the store has no older ones
  std::function<void(const Event&)> keep_;
  EventLimit limit_;
  std::vector<Waiting> waiting_;
};

}  // namespace sluice::api
