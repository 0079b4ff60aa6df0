// Settlement: writes the outcome of an attempt to apply into the objects, some at a time
// (settle_provisioning() does all at once).
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/provisioning.hpp"
#include "model/changes.hpp"

namespace sluice::control {

class Settlement {
 public:
  Settlement(const model::Model& model, Attempt attempt, const DataPlaneState& actual,
             std::optional<model::Timestamp> now);

  // Settles the next objects; returns whether none is left.
  bool step(model::Model& model);

  // So far: whether any object has changed, and a line for each that became ERROR or ACTIVE again.
  bool has_changed() const { return changed_; }
  std::vector<std::string> take_lines() { return std::move(lines_); }
  const Attempt& attempt() const { return attempt_; }

 private:
  // How many objects of a kind are settled.
  struct Progress {
    std::size_t refused = 0, unsettled = 0;
  };
  template <typename T>
  void settle(model::Table<T>& table, const Uuid& id);
  template <typename T>
  std::size_t settle_some(model::Table<T>& table, const model::Table<T>& at_first,
                          Progress& progress, std::size_t most);

  Attempt attempt_;
  std::optional<model::Timestamp> now_;
  std::map<Uuid, std::string> reasons_;  // to be ERROR, by object
  const model::Model at_first_;          // with the objects that were not ACTIVE then
  std::vector<Uuid> refused_;            // that have a reason
  std::array<Progress, model::kind_count> progress_{};  // by kind
  bool changed_ = false;
  std::vector<std::string> lines_;
};

}  // namespace sluice::control
