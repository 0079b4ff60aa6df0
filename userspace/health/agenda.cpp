#include "health/agenda.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/set.hpp>

namespace sluice::health {

namespace intrusive = boost::intrusive;

// At most so many alarms ring in one turn of the event loop, so that 10,000 members that are due at
// once (the machine slept) don't keep a client of the API waiting.
constexpr int most_per_turn = 256;

struct Agenda::State {
  struct Earlier {
    bool operator()(const Alarm& a, const Alarm& b) const { return a.due_ < b.due_; }
  };

  explicit State(boost::asio::any_io_executor executor) : timer(std::move(executor)) {}

  static void arm(const std::shared_ptr<State>& state);
  static void wake(const std::shared_ptr<State>& state);

  boost::asio::steady_timer timer;
  Clock::time_point armed_for = Clock::time_point::max();
  bool ringing = false;  // the timer is armed when all have rung
  bool closed = false;
  intrusive::multiset<Alarm, intrusive::compare<Earlier>, intrusive::constant_time_size<false>>
      alarms;
};

void Agenda::State::arm(const std::shared_ptr<State>& state) {
  if (state->ringing || state->alarms.empty()) return;
  const auto first = state->alarms.begin()->due_;
  if (first >= state->armed_for) return;
  state->armed_for = first;
  state->timer.expires_at(first);
  state->timer.async_wait([state](const boost::system::error_code& error) {
    if (!error) wake(state);
  });
}

void Agenda::State::wake(const std::shared_ptr<State>& state) {
  state->armed_for = Clock::time_point::max();
  state->ringing = true;
  const auto now = Clock::now();
  auto& alarms = state->alarms;
  for (int left = most_per_turn; left > 0 && !alarms.empty(); --left) {
    auto& alarm = *alarms.begin();
    if (alarm.due_ > now) break;
    alarm.unlink();
    alarm.ring();
  }
  state->ringing = false;
  if (!state->closed) arm(state);
}

Agenda::Agenda(boost::asio::any_io_executor executor)
    : state_(std::make_shared<State>(std::move(executor))) {}

Agenda::~Agenda() {
  state_->closed = true;
  state_->alarms.clear();
  state_->timer.cancel();
}

void Agenda::set(Alarm& alarm, Clock::time_point due) {
  if (alarm.is_linked()) alarm.unlink();
  alarm.due_ =
      std::chrono::ceil<std::chrono::duration<std::int64_t, std::ratio<grid.count(), 1000>>>(
          due.time_since_epoch()) +
      Clock::time_point{};
  state_->alarms.insert(alarm);
  State::arm(state_);
}

}  // namespace sluice::health
