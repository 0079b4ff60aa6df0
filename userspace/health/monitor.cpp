#include "health/monitor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <tuple>

#include "health/probe.hpp"
#include "health/rise_fall.hpp"
#include "health/schedule.hpp"

namespace sluice::health {
namespace {

namespace asio = boost::asio;

// What a probe does. Left out: `known`, where it starts from, and what doesn't touch probing (name,
// tags, status).
auto probe_of(const Target& target) {
  const auto& settings = target.settings;
  return std::tie(target.member, target.address, target.port, settings.type, settings.delay_seconds,
                  settings.timeout_seconds, settings.max_retries, settings.max_retries_down,
                  settings.http_method, settings.url_path, settings.expected_codes,
                  settings.http_version, settings.domain_name);
}

struct Probing {
  explicit Probing(Target wanted) : target(std::move(wanted)) {}

  // May be called from inside this member's own report.
  void stop_now() {
    stopped = true;
    stop.emit(asio::cancellation_type::terminal);
  }

  Target target;
  asio::cancellation_signal stop;
  bool stopped = false;
};

}  // namespace

// Shared with the coroutines, which may outlive the Monitor by the time that their cancellation
// takes.
struct Monitor::State {
  State(asio::any_io_executor executor_, Report report_, Milliseconds second_)
      : executor(std::move(executor_)), report(std::move(report_)), second(second_) {}

  static void start(const std::shared_ptr<State>& state, Target target);
  static asio::awaitable<void> run(std::shared_ptr<State> self, std::shared_ptr<Probing> probing);
  void record(const Probing& probing, RiseFall& state, const ProbeResult& result);

  asio::any_io_executor executor;
  Report report;
  Milliseconds second;
  std::map<Uuid, std::shared_ptr<Probing>> running;
};

void Monitor::State::start(const std::shared_ptr<State>& state, Target target) {
  auto probing = std::make_shared<Probing>(std::move(target));
  state->running[probing->target.member] = probing;
  // The handler keeps the signal alive for as long as the coroutine may look at its slot.
  auto ended = [probing](std::exception_ptr why) {
    if (why && !probing->stopped)
      std::rethrow_exception(why);  // never a member that silently isn't probed
  };
  asio::co_spawn(state->executor, run(state, probing),
                 asio::bind_cancellation_slot(probing->stop.slot(), ended));
}

asio::awaitable<void> Monitor::State::run(std::shared_ptr<State> self,
                                          std::shared_ptr<Probing> probing) {
  const auto& target = probing->target;
  const auto& settings = target.settings;
  // The API allows 0 for both; a probe without pause or without time would be no check.
  const auto delay = self->second * std::max(settings.delay_seconds, 1U);
  const auto timeout = self->second * std::max(settings.timeout_seconds, 1U);
  RiseFall state(settings.max_retries, settings.max_retries_down, target.known);

  asio::steady_timer timer(self->executor);
  auto next = std::chrono::steady_clock::now() + first_wait(target.member, delay, self->second);
  auto gap = second_gap(target.member, delay);
  while (!probing->stopped) {
    timer.expires_at(next);
    co_await timer.async_wait(asio::use_awaitable);
    next = std::chrono::steady_clock::now() + gap;
    gap = delay;
    const auto result = co_await probe({target.address, target.port}, settings, timeout);
    if (!probing->stopped) self->record(*probing, state, result);
  }
}

void Monitor::State::record(const Probing& probing, RiseFall& state, const ProbeResult& result) {
  if (result.verdict == ProbeResult::Verdict::none) {
    spdlog::debug("member {} could not be probed: {}", to_string(probing.target.member),
                  result.reason);
    return;
  }
  const auto changed = state.record(result.verdict == ProbeResult::Verdict::healthy);
  if (changed) report(probing.target.member, *changed, result.reason);
}

Monitor::Monitor(asio::any_io_executor executor, Report report, std::chrono::milliseconds second)
    : state_(std::make_shared<State>(std::move(executor), std::move(report), second)) {}

Monitor::~Monitor() {
  if (state_) set_targets({});
}

void Monitor::set_targets(std::vector<Target> targets) {
  std::map<Uuid, Target> wanted;
  for (auto& target : targets) wanted.emplace(target.member, std::move(target));

  for (auto running = state_->running.begin(); running != state_->running.end();) {
    const auto found = wanted.find(running->first);
    if (found != wanted.end() && probe_of(found->second) == probe_of(running->second->target)) {
      wanted.erase(found);
      ++running;
    } else {
      const auto ending = std::move(running->second);
      running = state_->running.erase(running);
      ending->stop_now();
    }
  }
  for (auto& [member, target] : wanted) State::start(state_, std::move(target));
}

}  // namespace sluice::health
