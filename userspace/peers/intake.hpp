// Intake: brings the changes that peers tell into this node's data plane, many at a time.
//
// Of the changes of one connection that came together only the last one counts. Ends go first, so
// that the ports that they free are free. What can't be put yet (its listener is not known here
// yet, its port is taken by a connection whose end is under way) is tried again for some seconds.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "dataplane/replicas.hpp"
#include "peers/tuple_table.hpp"

namespace sluice::peers {

using Time = std::chrono::steady_clock::time_point;

// The replicas that one peer has here, and what became of those that it told of. A connection that
// moved is in those of two peers: the one that told of it first does not say that it went.
struct Holdings {
  explicit Holdings(std::uint64_t seed) : connections(seed) {}

  void begin_round() {
    ++round;
    kept = 0;
  }

  TupleTable connections;   // each with the round in which it was told last
  std::uint32_t round = 0;  // of telling everything
  std::size_t kept = 0;     // put in this round: those that it only keeps
  std::uint64_t put = 0, ended = 0;
  std::uint64_t over_share = 0;
  std::array<std::uint64_t, SLUICE_PUT_RESULTS> refused{};  // for good
};

class Intake {
 public:
  explicit Intake(std::uint64_t seed) : seed_(seed) {}

  // Returns those of one more peer.
  std::shared_ptr<Holdings> hold();
  // So many connections each peer may have here.
  void set_share(std::size_t share) { share_ = share; }

  std::uint64_t hash(const sluice_flow_image& image) const;
  void add(const std::shared_ptr<Holdings>& from, const dataplane::FlowChange& change);
  // Carries out what was added, and what should be tried again by now.
  Result<void> apply(dataplane::Replicas& replicas, Time now);
  // Ends the replicas that the peer has not told in this round, which is over: they have ended
  // while this node didn't hear of it. Those that another peer has told of live there.
  void sweep(Holdings& holdings);
  // Has what waits tried at once: the listeners and members are others.
  void hurry();
  // Drops what was not carried out, for another data plane.
  void forget();
  std::size_t waiting() const { return later_.size(); }

 private:
  // The tries come after 50 ms, 100 ms ... 6.4 s in sum.
  static constexpr auto first_pause = std::chrono::milliseconds(50);
  static constexpr unsigned most_tries = 7;
  static constexpr std::size_t most_waiting = 65536;

  struct Teller {
    std::shared_ptr<Holdings> peer;
    std::uint32_t round;
  };
  struct Pending {
    sluice_flow_image image;
    std::vector<Teller> tellers;  // the latest first
    bool is_kept = false;         // the teller doesn't carry it
    unsigned tries = 0;
    Time due = {};
  };
  using PendingByHash = std::unordered_map<std::uint64_t, Pending>;

  bool is_held(const sluice_flow_image& image) const;
  void collect_due(Time now);
  void begin(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image);
  void keep(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image);
  void end(const std::shared_ptr<Holdings>& from, const sluice_flow_image& image);
  std::vector<PendingByHash::node_type> collect_puts();
  void settle(std::uint64_t hash, Pending pending, Time now);

  std::uint64_t seed_;
  std::size_t share_ = 0;
  std::vector<std::weak_ptr<Holdings>> holdings_;  // of the present peers
  PendingByHash puts_;
  std::unordered_map<std::uint64_t, sluice_flow_image> ends_;
  PendingByHash later_;
  Time next_look_{};
};

}  // namespace sluice::peers
