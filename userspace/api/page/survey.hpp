// Survey: what the status page shows, as rows in the order of the screen: load balancers, their
// listeners, the pools of these, and the members. It is written as JSON in two ways: whole, and
// what differs from before.
//
// A row's parts that change by themselves are numbers in one array, in this order:
//
//   0 state        index into `states`; plus 8: a member that is suspected
//   1 now          connections now
//   2 opened       connections per second, in tenths
//   3 bytes_in     per second, from clients
//   4 bytes_out    per second, to clients
//   5 unserved     connections that failed or were refused per second, in tenths
//   6 half         microseconds within which half of the SYNs were answered; 0: unknown
//   7 most         the same for 99 of 100
//   8 total        connections since the object was made
//
// Load balancers have the sums of their listeners, pools those of their members.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/language/events.hpp"
#include "api/page/tracks.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"

namespace sluice::api {

class Survey {
 public:
  // `version`: sluiced's, as the page shows it. `fleet`: null if this node is alone.
  Survey(control::Controller& controller, const Events& events, std::string version = {},
         const control::Fleet* fleet = nullptr)
      : controller_(controller), events_(events), version_(std::move(version)), fleet_(fleet) {}

  // Reads the counters. A data plane that can't be read is a problem that the texts name.
  void read_counters(Tracks::Time now);
  // Finds rows and states of this moment. Returns true if other rows are shown than before, or
  // they have other attributes: then changes() has no meaning, and readers need whole().
  bool look();

  // {"version", "time", "step", "problem", "states", "interfaces", "rows", "history", "reasons",
  // "events"}, and in a fleet "fleet": {"cluster", "nodes"}, as /v1/cluster and /v1/nodes have them
  std::string whole();
  // {"time", "problem", "rows": [[index, numbers...]], "reasons": [[index, packets, rate]],
  // "events", "points": [[index, opened, bytes]], "fleet"}: what differs from the last call of
  // either, which all readers must have. `points` is there when a step of the history has ended,
  // `fleet` when it is other than before.
  std::string changes();

  Tracks::Time last_reading() const { return tracks_.last_reading(); }

 private:
  enum class Kind { load_balancer, listener, pool, member };
  using Numbers = std::array<std::int64_t, 9>;
  struct Row {
    Kind kind;
    int parent;  // index; -1: none
    Uuid id;
    Numbers numbers{};
    Numbers told{};  // as readers have them
    std::string provisioning = {}, error = {};
  };
  struct Reason {
    control::ReasonCount count;
    std::int64_t rate = 0;  // packets per second, in tenths
    std::uint64_t told = 0;
    std::int64_t told_rate = 0;
  };
  // A member's last change of state.
  struct Change {
    model::Timestamp time;
    std::string text;
  };

  void find_rows();
  void add_pool(const model::Relations& relations, const Uuid& pool, int parent);
  int add(Kind kind, int parent, const Uuid& id);
  void count();
  void judge();
  bool provision();
  void read_reasons(double seconds);
  void note_changes();
  std::string fleet_text() const;
  void all_told();

  void write_row(std::string& out, const Row& row);
  void write_attributes(std::string& out, const model::LoadBalancer& object) const;
  void write_attributes(std::string& out, const model::Listener& object) const;
  void write_attributes(std::string& out, const model::Pool& object) const;
  void write_attributes(std::string& out, const model::Member& object) const;
  void write_history(std::string& out);
  void write_events(std::string& out, const std::vector<const Event*>& found);

  control::Controller& controller_;
  const Events& events_;
  std::string version_;
  const control::Fleet* fleet_;
  Tracks tracks_;
  model::Model model_;  // that the rows were made of
  std::vector<Row> rows_;
  std::unordered_map<Uuid, int, boost::hash<Uuid>> pool_rows_;
  std::vector<Reason> reasons_;
  std::string problem_;  // why the data plane can't be read; empty: none
  std::unordered_map<std::string, Change> member_changes_;  // by member id
  std::string told_fleet_;                                  // as readers have it
  std::uint64_t noted_event_ = 0;                           // the last one that was looked at
  std::uint64_t told_event_ = 0;                            // the last one that readers have
  std::uint64_t told_steps_ = 0;
  bool looked_ = false;
};

}  // namespace sluice::api
