// Settlement: writes the outcome of an attempt to apply into the objects, some at a time
// (settle_provisioning() does all at once).
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/provisioning.hpp"

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
  template <typename T>
  std::size_t settle_some(model::Table<T>& table, std::set<Uuid>& ids, std::size_t most);

  Attempt attempt_;
  std::optional<model::Timestamp> now_;
  std::map<Uuid, std::string> reasons_;  // to be ERROR, by object
  std::array<std::set<Uuid>, 6> left_;   // objects that are to be settled, by kind
  bool changed_ = false;
  std::vector<std::string> lines_;
};

}  // namespace sluice::control
