// Tracks: what became of the counters of each listener and member: rates, the last ten minutes, and
// how long members took to answer.
//
// The history has a point each ten seconds, whether or not somebody looks, so that a page that is
// opened after an incident shows it. That is 480 bytes an object; the data plane's own limits bound
// the number of objects.
#pragma once

#include <array>
#include <boost/container_hash/hash.hpp>
#include <boost/uuid/uuid_hash.hpp>
#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/uuid.hpp"
#include "control/data_plane.hpp"

namespace sluice::api {

// Rates per second.
struct Rates {
  double opened = 0;    // connections
  double unserved = 0;  // connections that failed or were refused
  double bytes_in = 0, bytes_out = 0;
};

struct Track {
  static constexpr std::size_t points = 60;

  control::Counters counters;
  Rates rates;
  // Connections and bytes per second of each step, beginning at Tracks::oldest().
  std::array<float, points> opened{}, bytes{};
  // The times within which half, and 99 of 100, of a sample of SYNs were answered in the last five
  // to ten minutes; 0: unknown.
  std::uint64_t half_ns = 0, most_ns = 0;

 private:
  friend class Tracks;
  control::Counters at_step;
  std::vector<std::uint64_t> answers, earlier;  // by bucket: at the last two rotations
  std::uint64_t reading = 0;                    // the last one that had the object
};

class Tracks {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds step{10};

  // Takes the counters of this moment. Rates are those since the previous reading, if that was
  // half a second ago or more.
  void read(const control::AllCounters& all, Time now);

  // Null: the object has not been counted.
  const Track* find(const Uuid& object) const;
  // The index of the oldest point of the history; the newest one is before it.
  std::size_t oldest() const { return next_; }
  // The number of steps that have ended.
  std::uint64_t steps() const { return steps_; }
  Time last_reading() const { return last_; }

 private:
  void read(const Uuid& object, const control::Counters& now, double seconds);
  void end_step(double seconds);
  void time(Track& track, const control::HandshakeTimes& times, bool rotate) const;

  std::unordered_map<Uuid, Track, boost::hash<Uuid>> tracks_;
  Time last_{}, step_begin_{}, rotated_{};
  std::size_t next_ = 0;
  std::uint64_t steps_ = 0, readings_ = 0;
};

}  // namespace sluice::api
