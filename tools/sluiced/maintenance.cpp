#include "maintenance.hpp"

#include <spdlog/spdlog.h>

#include <utility>

#include "service_manager.hpp"

namespace sluice::daemon {
namespace {

// A sweep of a table with 1 Mi connections takes about 80 ms, and idle times of more than a minute
// are counted in ticks of 8 seconds.
constexpr auto between_expiry_sweeps = std::chrono::seconds(5);
// A short idle time ends late by up to two of these and a second.
constexpr auto between_short_sweeps = std::chrono::milliseconds(250);
// In a large table short sweeps are rarer, so that they take at most this part of a CPU.
constexpr int short_sweeps_share = 20;
// A burst of connections makes a table's area the whole table, where every packet is slow.
constexpr auto between_looks_at_the_tables = std::chrono::milliseconds(250);
constexpr auto between_drift_checks = std::chrono::seconds(30);
// A commit takes milliseconds.
constexpr auto between_looks_at_the_store = std::chrono::seconds(5);
// A kill loses the events of this time; the disk is not woken more often for events alone.
constexpr auto between_looks_at_the_events = std::chrono::seconds(1);

void tell_of(const Result<std::vector<std::string>>& repairs) {
  if (!repairs)
    return spdlog::error("compare the data plane with the desired state: {}",
                         repairs.error().text());
  for (const auto& repair : *repairs) spdlog::warn("repaired the data plane: {}", repair);
}

}  // namespace

Maintenance::Maintenance(boost::asio::io_context& loop, control::Controller& controller,
                         api::Events& events, std::function<void()> after_drift_check)
    : loop_(loop), controller_(controller) {
  every(between_expiry_sweeps, [this] { expire_flows(); });
  every(between_looks_at_the_tables, [this] {
    if (controller_.data_plane().wants_sweep()) expire_flows();
  });
  every(between_short_sweeps, [this] { expire_short(); });
  every(between_drift_checks, [this, after_drift_check] {
    controller_.check_drift([after_drift_check](const auto& repairs) {
      tell_of(repairs);
      after_drift_check();
    });
  });
  every(between_looks_at_the_events, [this, &events] {
    events.tick();
    controller_.store_notes();
  });
  every(between_looks_at_the_store, [this] { look_at_the_store(); });
  if (const auto timeout = watchdog_timeout()) {
    every(*timeout / 2, [] { notify_service_manager("WATCHDOG=1"); });
  }
}

void Maintenance::every(std::chrono::microseconds interval, std::function<void()> work) {
  repeat(timers_.emplace_back(loop_), interval, std::move(work));
}

void Maintenance::repeat(boost::asio::steady_timer& timer, std::chrono::microseconds interval,
                         std::function<void()> work) {
  timer.expires_after(interval);
  timer.async_wait([this, &timer, interval,
                    work = std::move(work)](const boost::system::error_code& error) mutable {
    if (error) return;
    work();
    repeat(timer, interval, std::move(work));
  });
}

void Maintenance::expire_flows() {
  if (std::exchange(sweeping_, true)) return;
  controller_.data_plane().expire_flows([this](const Result<control::ExpiryReport>& report) {
    sweeping_ = false;
    auto error = report ? std::string() : report.error().text();
    if (report && report->unprobed) error = report->unprobed->text();
    if (report && report->leaving_sources)
      controller_.note_leaving_sources(*report->leaving_sources);
    if (!error.empty() && error != last_expiry_error_)
      spdlog::error("remove idle flows: {}", error);
    last_expiry_error_ = std::move(error);
  });
}

void Maintenance::expire_short() {
  const auto now = std::chrono::steady_clock::now();
  if (short_sweeping_ || now < next_short_sweep_) return;
  if (!controller_.data_plane().wants_short_sweep()) return;
  short_sweeping_ = true;
  controller_.data_plane().expire_short([this](const Result<control::ShortExpiryReport>& report) {
    short_sweeping_ = false;
    auto error = report ? std::string() : report.error().text();
    if (report && report->unprobed) error = report->unprobed->text();
    if (report) {
      next_short_sweep_ =
          std::chrono::steady_clock::now() + report->took * (short_sweeps_share - 1);
    }
    if (!error.empty() && error != last_short_error_)
      spdlog::error("remove flows with short idle times: {}", error);
    last_short_error_ = std::move(error);
  });
}

void Maintenance::look_at_the_store() {
  const bool hangs = controller_.committing() && controller_.commits() == commits_seen_;
  if (hangs && !store_hangs_) {
    spdlog::error(
        "the state directory has not taken a change for {} s: changes wait, traffic and probes go "
        "on (look at its disk)",
        between_looks_at_the_store.count());
  }
  if (store_hangs_ && !hangs) spdlog::warn("the state directory takes changes again");
  store_hangs_ = hangs;
  commits_seen_ = controller_.commits();
}

}  // namespace sluice::daemon
