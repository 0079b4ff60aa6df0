#include "api/page/tracks.hpp"

#include <algorithm>

namespace sluice::api {
namespace {

constexpr std::chrono::milliseconds shortest{500};  // shorter spans make rates jump
constexpr std::chrono::minutes window{5};           // of handshakes, doubled by rotation

double seconds_of(std::chrono::steady_clock::duration span) {
  return std::chrono::duration<double>(span).count();
}

// Counters begin at zero again when an object gets other maps.
double per_second(std::uint64_t now, std::uint64_t before, double seconds) {
  return now <= before ? 0 : static_cast<double>(now - before) / seconds;
}

// The limit of the bucket in which the share of all answers is reached.
std::uint64_t quantile(const control::HandshakeTimes& times,
                       const std::vector<std::uint64_t>& before, std::uint64_t total,
                       std::uint64_t percent) {
  std::uint64_t so_far = 0, limit = 0;
  for (std::size_t i = 0; i < times.buckets.size(); ++i) {
    const auto& bucket = times.buckets[i];
    so_far += bucket.answers - (i < before.size() ? before[i] : 0);
    if (bucket.at_most_ns != UINT64_MAX) limit = bucket.at_most_ns;
    if (so_far * 100 >= total * percent) break;
  }
  return limit;
}

}  // namespace

void Tracks::read(const control::AllCounters& all, Time now) {
  const bool first = readings_++ == 0;
  if (first) step_begin_ = rotated_ = now;
  const bool too_soon = !first && now - last_ < shortest;
  const auto seconds = too_soon || first ? 0 : seconds_of(now - last_);
  if (!too_soon) last_ = now;
  for (const auto& [id, counters] : all.listeners) read(id, counters, seconds);
  for (const auto& [id, counters] : all.members) read(id, counters, seconds);
  std::erase_if(tracks_, [&](const auto& one) { return one.second.reading != readings_; });
  const bool rotate = now - rotated_ >= window;
  if (rotate) rotated_ = now;
  for (const auto& [id, times] : all.handshakes) {
    const auto found = tracks_.find(id);
    if (found != tracks_.end()) time(found->second, times, rotate);
  }
  if (now - step_begin_ < step) return;
  end_step(seconds_of(now - step_begin_));
  step_begin_ = now;
}

// `seconds`: since the previous reading; 0: the rates stay as they are.
void Tracks::read(const Uuid& object, const control::Counters& now, double seconds) {
  const auto [at, is_new] = tracks_.try_emplace(object);
  auto& track = at->second;
  track.reading = readings_;
  // What an object has counted before we looked for the first time is no rate.
  if (is_new && readings_ == 1) track.counters = track.at_step = now;
  if (seconds == 0) return;
  const auto& before = track.counters;
  track.rates = {
      .opened = per_second(now.flows_opened, before.flows_opened, seconds),
      .unserved = per_second(now.flows_failed + now.flows_refused,
                             before.flows_failed + before.flows_refused, seconds),
      .bytes_in = per_second(now.bytes_in, before.bytes_in, seconds),
      .bytes_out = per_second(now.bytes_out, before.bytes_out, seconds),
  };
  track.counters = now;
}

void Tracks::end_step(double seconds) {
  for (auto& [id, track] : tracks_) {
    const auto& now = track.counters;
    const auto& before = track.at_step;
    track.opened[next_] =
        static_cast<float>(per_second(now.flows_opened, before.flows_opened, seconds));
    track.bytes[next_] = static_cast<float>(
        per_second(now.bytes_in + now.bytes_out, before.bytes_in + before.bytes_out, seconds));
    track.at_step = now;
  }
  next_ = (next_ + 1) % Track::points;
  ++steps_;
}

void Tracks::time(Track& track, const control::HandshakeTimes& times, bool rotate) const {
  const auto now = [&] {
    std::vector<std::uint64_t> answers;
    answers.reserve(times.buckets.size());
    for (const auto& bucket : times.buckets) answers.push_back(bucket.answers);
    return answers;
  };
  if (track.answers.empty() && readings_ == 1) track.answers = track.earlier = now();
  if (rotate) {
    track.earlier = std::move(track.answers);
    track.answers = now();
  }
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < times.buckets.size(); ++i) {
    const auto before = i < track.earlier.size() ? track.earlier[i] : 0;
    if (times.buckets[i].answers < before) track.earlier.clear();  // other maps
    total += times.buckets[i].answers - (i < track.earlier.size() ? track.earlier[i] : 0);
  }
  track.half_ns = total == 0 ? 0 : quantile(times, track.earlier, total, 50);
  track.most_ns = total == 0 ? 0 : quantile(times, track.earlier, total, 99);
}

const Track* Tracks::find(const Uuid& object) const {
  const auto found = tracks_.find(object);
  return found == tracks_.end() ? nullptr : &found->second;
}

}  // namespace sluice::api
