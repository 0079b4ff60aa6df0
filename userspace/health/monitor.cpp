#include "health/monitor.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/functional/hash.hpp>
#include <set>
#include <tuple>
#include <unordered_map>

#include "health/agenda.hpp"
#include "health/prober.hpp"
#include "health/rise_fall.hpp"
#include "health/schedule.hpp"
#include "health/suspicion.hpp"

namespace sluice::health {
namespace {

namespace asio = boost::asio;
using Clock = Agenda::Clock;

// The attributes that decide what a probe does. `known` is only its starting point, and name, tags
// and status don't touch probing.
auto probe_of(const Target& target) {
  const auto& settings = *target.settings;
  return std::tie(target.member, target.address, target.port, settings.type, settings.delay_seconds,
                  settings.timeout_seconds, settings.max_retries, settings.max_retries_down,
                  settings.http_method, settings.url_path, settings.expected_codes,
                  settings.http_version, settings.domain_name, settings.check, target.way);
}

// A change within this time after another is reported together with it.
constexpr auto gather = std::chrono::milliseconds(20);

// A member that is probed. Its alarm is the start of the next probe, or the timeout of the one that
// is under way.
class Probing final : public Agenda::Alarm {
 public:
  enum class News { none, weight, state };  // what the result has changed of the member
  using Result = std::function<void(const Probing&, const ProbeResult&, News news)>;

  Probing(Target target, Agenda& agenda, Prober& prober, const Result& result, Milliseconds second)
      : target_(std::move(target)),
        agenda_(agenda),
        prober_(prober),
        result_(result),
        // The API allows 0; a probe without pause would be an attack.
        delay_(second * std::max(target_.settings->delay_seconds, 1U)),
        time_limit_(time_limit(*target_.settings, second)),
        next_(Clock::now() + first_wait(target_.member, delay_, second)),
        gap_(second_gap(target_.member, delay_)),
        state_(target_.settings->max_retries, target_.settings->max_retries_down, target_.known),
        suspicion_(second) {
    agenda_.set(*this, next_);
  }

  const Target& target() const { return target_; }
  std::optional<model::Health> health() const { return state_.state(); }
  bool suspected() const { return suspicion_.keeps_away(); }
  std::uint32_t weight_percent() const { return weight_percent_; }

  // Returns true if this made the member suspected.
  bool suspect(bool many) {
    if (health() != model::Health::up) return false;
    const bool before = suspected();
    const auto now = Clock::now();
    if (suspicion_.accuse(many, now)) {
      probe_.reset();  // it may have begun while all was well
      agenda_.set(*this, now);
    }
    return suspected() != before;
  }

 private:
  void ring() override {
    if (!probe_) return start();
    const auto extra = probe_->extra_time(time_limit_);
    if (extra > extra.zero()) return agenda_.set(*this, Clock::now() + extra);
    done(probe_->timed_out(time_limit_));
  }

  void start() {
    auto started = prober_.start(
        target_.address, target_.port, *target_.settings,
        [this](const ProbeResult& result) { done(result); },
        target_.proxied ? Preface::proxy : Preface::none, target_.way);
    if (!started) return done(started.error());
    probe_ = std::move(*started);
    agenda_.set(*this, Clock::now() + time_limit_);
  }

  void done(ProbeResult result) {
    if (target_.way) result = judge_way(std::move(result));
    probe_.reset();
    const auto now = Clock::now();
    // The member keeps its place among the others, also when the machine has slept through some
    // probes.
    while (next_ <= now) next_ += std::exchange(gap_, delay_);
    const auto news = learn(result, now);
    agenda_.set(*this, std::min(next_, suspicion_.next_probe(now).value_or(next_)));
    result_(*this, result, news);
  }

  // A member that failed may lack the VIP, so the reason names it. One that answered its own
  // address says nothing.
  ProbeResult judge_way(ProbeResult result) const {
    using Verdict = ProbeResult::Verdict;
    if (result.verdict == Verdict::failed) {
      result.reason = fmt::format("{} {}", result.reason, text(*target_.way));
    } else if (result.verdict == Verdict::healthy && probe_ && !probe_->went_as_asked()) {
      result = {Verdict::none,
                fmt::format("probes {} leave by an interface that Sluice isn't attached to",
                            text(*target_.way))};
    }
    return result;
  }

  News learn(const ProbeResult& result, Clock::time_point now) {
    using Verdict = ProbeResult::Verdict;
    const bool before = suspected();
    const bool changed = result.verdict != Verdict::none &&
                         state_.record(result.verdict == Verdict::healthy).has_value();
    suspicion_.hear(result.verdict, health() == model::Health::up, now);
    const auto weight_before = weight_percent_;
    if (result.verdict == Verdict::healthy) weight_percent_ = result.weight_percent;
    const bool weighs = weight_percent_ != weight_before;
    if (changed || suspected() != before) return News::state;
    return weighs ? News::weight : News::none;
  }

  Target target_;
  Agenda& agenda_;
  Prober& prober_;
  const Result& result_;
  Milliseconds delay_;
  Milliseconds time_limit_;
  Clock::time_point next_;  // when the probe after the one under way starts, or that one did
  Milliseconds gap_;
  RiseFall state_;
  Suspicion suspicion_;
  std::uint32_t weight_percent_ = 100;
  std::unique_ptr<Probe> probe_;
};

}  // namespace

// Handlers on the loop share the state: they may outlive the Monitor.
struct Monitor::State : std::enable_shared_from_this<Monitor::State> {
  State(asio::any_io_executor executor_, Report report_, Trouble trouble_, Milliseconds second_,
        ExternalProber* checks, VipProbes* vips_)
      : executor(std::move(executor_)),
        report(std::move(report_)),
        trouble(std::move(trouble_)),
        second(second_),
        vips(vips_),
        prober(executor, checks, vips) {}

  void record(const Probing& probing, const ProbeResult& result, Probing::News news);
  void report_soon(const Probing& probing, const std::string& reason, Probing::News news);
  void tell();

  asio::any_io_executor executor;
  Report report;
  Trouble trouble;
  Milliseconds second;
  std::set<std::string> told_troubles;
  VipProbes* vips;
  std::size_t asking_for_vips = 0;  // of `running`
  // Reports wait until all sockets that were ready have been looked at, because a report may change
  // the targets.
  std::vector<Change> changes;
  bool telling = false;  // tell() is to come
  asio::steady_timer pause{executor};
  Agenda agenda{executor};
  Prober prober;
  const Probing::Result on_result = [this](const auto& probing, const auto& result, auto news) {
    record(probing, result, news);
  };
  std::unordered_map<Uuid, std::unique_ptr<Probing>, boost::hash<Uuid>> running;
};

void Monitor::State::record(const Probing& probing, const ProbeResult& result, Probing::News news) {
  if (result.verdict == ProbeResult::Verdict::none) {
    const auto& member = probing.target().member;
    if (trouble && told_troubles.insert(result.reason).second) trouble(member, result.reason);
  }
  if (news != Probing::News::none) report_soon(probing, result.reason, news);
}

void Monitor::State::report_soon(const Probing& probing, const std::string& reason,
                                 Probing::News news) {
  const auto& member = probing.target().member;
  changes.push_back({member, probing.health().value(), probing.suspected(), {}, reason});
  if (news == Probing::News::weight) changes.back().weight_percent = probing.weight_percent();
  if (std::exchange(telling, true)) return;
  asio::post(executor, [self = shared_from_this()] { self->tell(); });
}

void Monitor::State::tell() {
  telling = !changes.empty();
  if (!telling) return;
  report(std::exchange(changes, {}));
  pause.expires_after(gather);
  pause.async_wait([self = shared_from_this()](const boost::system::error_code&) { self->tell(); });
}

Monitor::Monitor(asio::any_io_executor executor, Report report, Trouble trouble,
                 std::chrono::milliseconds second, ExternalProber* checks, VipProbes* vips)
    : state_(std::make_shared<State>(std::move(executor), std::move(report), std::move(trouble),
                                     second, checks, vips)) {}

Monitor::~Monitor() {
  if (state_) set_targets({});
}

void Monitor::set_targets(std::vector<Target> targets) {
  TargetChange change{{}, std::move(targets)};
  for (const auto& [member, probing] : state_->running) change.members.insert(member);
  change_targets(std::move(change));
}

void Monitor::change_targets(TargetChange change) {
  std::unordered_map<Uuid, Target, boost::hash<Uuid>> wanted;
  for (auto& target : change.targets) wanted.emplace(target.member, std::move(target));

  auto& state = *state_;
  const bool asked = state.asking_for_vips > 0;
  std::set<Uuid> stopped;
  for (const auto& member : change.members) {
    const auto running = state.running.find(member);
    if (running == state.running.end()) continue;
    const auto found = wanted.find(member);
    if (found != wanted.end() && probe_of(found->second) == probe_of(running->second->target())) {
      wanted.erase(found);
    } else {
      stopped.insert(member);
      if (running->second->target().way) state.asking_for_vips--;
      state.running.erase(running);
    }
  }
  std::erase_if(state.changes, [&](const Change& one) { return stopped.contains(one.member); });
  for (auto& [member, target] : wanted) {
    if (target.way) state.asking_for_vips++;
    state.running.emplace(member,
                          std::make_unique<Probing>(std::move(target), state.agenda, state.prober,
                                                    state.on_result, state.second));
  }
  if (asked && state.asking_for_vips == 0 && state.vips) state.vips->rest();
}

void Monitor::suspect(const Uuid& member, bool many, const std::string& reason) {
  const auto probing = state_->running.find(member);
  if (probing != state_->running.end() && probing->second->suspect(many))
    state_->report_soon(*probing->second, reason, Probing::News::state);
}

std::map<Uuid, std::uint32_t> Monitor::reduced() const {
  std::map<Uuid, std::uint32_t> result;
  for (const auto& [member, probing] : state_->running) {
    if (probing->weight_percent() < 100) result.emplace(member, probing->weight_percent());
  }
  return result;
}

std::set<Uuid> Monitor::suspects() const {
  std::set<Uuid> result;
  for (const auto& [member, probing] : state_->running) {
    if (probing->suspected()) result.insert(member);
  }
  return result;
}

}  // namespace sluice::health
