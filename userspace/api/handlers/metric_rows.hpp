// MetricRows: what /metrics says of objects, but for the values, kept from one scrape to the next.
//
// There are thousands of objects with a dozen samples each, and hardly any has changed since the
// last scrape. So the labels of an object are put into words when a scrape finds it new or another
// one, and samples are these words with a number behind them.
//
// A scrape renews the rows in steps, and others may begin meanwhile. So rows that a scrape has are
// never changed: the next ones are made beside them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/fleet.hpp"
#include "model/objects.hpp"
#include "model/status.hpp"

namespace sluice::api {

// What stands in a sample's braces: id="...",listener="web".
struct LabelRow {
  Uuid id{};
  std::string labels;
};
struct PoolRow : LabelRow {
  std::size_t listeners = 0, members = 0, usable = 0;
};

// Rows in order of the ids. Copies share the rows.
template <typename Row>
using Rows = std::shared_ptr<const std::vector<Row>>;

struct MetricRows {
  Rows<LabelRow> listeners = std::make_shared<std::vector<LabelRow>>();
  Rows<LabelRow> members = std::make_shared<std::vector<LabelRow>>();
  Rows<PoolRow> pools = std::make_shared<std::vector<PoolRow>>();
  Rows<LabelRow> load_balancers = std::make_shared<std::vector<LabelRow>>();  // with their status
  std::size_t made = 0;  // since the first scrape, for tests

  // What the rows tell of.
  model::Model model = {};
  model::HealthTable health = {};
  model::FullListeners full = {};
};

// The rows while they are renewed for a scrape.
class RowsRenewal {
 public:
  // `fleet`: null if this node is alone. In a fleet, statuses follow from the other nodes, too.
  RowsRenewal(MetricRows before, const model::Model& model, const model::HealthTable& health,
              const model::FullListeners& full, const control::Fleet* fleet);

  // Renews some rows; returns whether those were the last ones.
  bool step();
  // Only after the last step.
  MetricRows take() { return std::move(next_); }

 private:
  // Find the rows that are to be made, those of some changes with each call; return whether that
  // was the last of its kind.
  bool find_statuses_of_fleet();
  bool find_load_balancers();
  bool find_listeners();
  bool find_pools();
  bool find_members();
  bool find_health();
  void touch_status_of_pool(const Uuid& pool);

  std::optional<LabelRow> listener_row(const Uuid& id) const;
  std::optional<LabelRow> member_row(const Uuid& id) const;
  std::optional<PoolRow> pool_row(const Uuid& id) const;
  std::optional<LabelRow> status_row(const Uuid& id) const;

  // Rows of one kind on their way from the former ones to the next.
  template <typename Row>
  struct Merge {
    std::set<Uuid> touched;
    bool begun = false;
    std::size_t at = 0;  // the next of the former rows
    std::vector<Row> merged = {};
  };
  template <typename Row>
  bool merge_some(Merge<Row>& merge, Rows<Row>& rows,
                  std::optional<Row> (RowsRenewal::*row)(const Uuid&) const);

  MetricRows next_;
  model::Table<model::LoadBalancer>::Differences statuses_of_fleet_, changed_load_balancers_;
  model::Table<model::Listener>::Differences changed_listeners_;
  model::Table<model::Pool>::Differences changed_pools_;
  model::Table<model::Member>::Differences changed_members_;
  model::HealthTable::Differences changed_health_;
  const control::Fleet* fleet_;
  model::HealthTable fleet_health_;
  std::size_t step_ = 0;
  Merge<LabelRow> listeners_, members_, load_balancers_;
  Merge<PoolRow> pools_;
};

}  // namespace sluice::api
