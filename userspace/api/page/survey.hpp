// Survey: what the status page shows, as rows in the order of the screen: load balancers, their
// listeners, the pools of these, and the members. It is written as JSON in two ways: whole, and
// what differs from before. A project's survey has the rows and events of that project, and nothing
// of the node: no packets by reason, NICs or fleet.
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
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/language/events.hpp"
#include "api/page/readings.hpp"
#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "control/peers.hpp"

namespace sluice::api {

class Survey {
 public:
  using Project = std::optional<std::string>;
  // `project`: unset for all of the node. `version`: sluiced's, as the page shows it. `fleet`,
  // `peers`: null if this node is alone. The others must outlive the survey, which never reads the
  // counters.
  Survey(control::Controller& controller, const Events& events, Readings& readings,
         Project project = {}, std::string version = {}, const control::Fleet* fleet = nullptr,
         const control::Peers* peers = nullptr)
      : controller_(controller),
        events_(events),
        readings_(readings),
        project_(std::move(project)),
        version_(std::move(version)),
        fleet_(fleet),
        peers_(peers) {}

  // Finds rows and states of this moment. Returns true if other rows are shown than before, or
  // they have other attributes: then changes() has no meaning, and readers need whole().
  bool look();

  // {"version", "time", "step", "problem", "project", "states", "interfaces", "rows", "history",
  // "reasons", "events"}, and in a fleet "fleet": {"cluster", "nodes"}, as /v1/cluster and
  // /v1/nodes have them
  std::string whole();
  // {"time", "problem", "rows": [[index, numbers...]], "reasons": [[index, packets, rate]],
  // "events", "points": [[index, opened, bytes]], "fleet"}: what differs from the last call of
  // either, which all readers must have. `points` is there when a step of the history has ended,
  // `fleet` when it is other than before.
  std::string changes();

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
  void find_rows();
  void add_pool(const model::Relations& relations, const Uuid& pool, int parent);
  int add(Kind kind, int parent, const Uuid& id);
  void count();
  void judge();
  bool provision();
  const std::vector<Readings::Reason>& reasons() const {
    static const std::vector<Readings::Reason> none;
    return project_ ? none : readings_.reasons();
  }
  std::string problem() const;
  std::string fleet_text() const;
  void all_told();

  void write_row(std::string& out, const Row& row);
  void write_attributes(std::string& out, const model::LoadBalancer& object) const;
  void write_attributes(std::string& out, const model::Listener& object) const;
  void write_attributes(std::string& out, const model::Pool& object) const;
  void write_attributes(std::string& out, const model::Member& object) const;
  void write_history(std::string& out);
  void write_events(std::string& out, std::optional<std::uint64_t> after);

  control::Controller& controller_;
  const Events& events_;
  Readings& readings_;
  Project project_;
  std::string version_;
  const control::Fleet* fleet_;
  const control::Peers* peers_;
  model::Model model_;  // that the rows were made of
  std::vector<Row> rows_;
  std::unordered_map<Uuid, int, boost::hash<Uuid>> pool_rows_;
  // What readers have.
  std::vector<std::pair<std::uint64_t, std::int64_t>> told_reasons_;  // packets, rate
  std::string told_fleet_;
  std::uint64_t told_event_ = 0;
  std::uint64_t told_steps_ = 0;
  bool looked_ = false;
};

}  // namespace sluice::api
