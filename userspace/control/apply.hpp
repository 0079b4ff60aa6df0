// Apply: carries out operations one by one and keeps track of the data plane's state.
#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "control/data_plane.hpp"
#include "control/provisioning.hpp"

namespace sluice::control {

// Operations that are carried out one after the other. After a refusal the rest goes on as far as
// it can without it: rings leave out members that are not there, and an operation that would leave
// a name without an object is refused in turn.
class Application {
 public:
  static constexpr auto all_pools = std::numeric_limits<std::size_t>::max();
  // The rings of so many new pools are put into the kernel together. Each time, it waits until no
  // packet uses what was there before.
  void plan(std::vector<Operation> operations, std::size_t pools_at_once = all_pools) {
    operations_ = std::move(operations);
    pools_at_once_ = pools_at_once;
  }

  bool is_done() const { return next_ == operations_.size(); }
  // Carries out the next operation and notes in `actual` what succeeded.
  void step(DataPlane& data_plane, DataPlaneState& actual, const DataPlaneState& desired);

  // Returns operations from this place on, at most so many, to read back what they have put.
  std::size_t size() const { return operations_.size(); }
  std::vector<Operation> some(std::size_t from, std::size_t most,
                              const DataPlaneState& desired) const;
  const std::vector<Refusal>& refusals() const { return refusals_; }
  std::vector<Refusal>& refusals() { return refusals_; }

  // Says that something else has changed the two states. From now on operations put what `desired`
  // asks for at that moment, and those that it does not ask for any more are left out.
  void others_came() { renews_ = true; }

 private:
  std::size_t end_of_pools() const;
  std::optional<Operation> renewed(const Operation& planned, const DataPlaneState& desired) const;

  std::vector<Operation> operations_;
  std::size_t pools_at_once_ = all_pools;
  std::size_t next_ = 0;
  std::size_t expected_ = 0;  // up to here the data plane knows what will come
  bool renews_ = false;
  std::vector<Refusal> refusals_;
};

// Applies `operations` in order and notes in `actual` what succeeded.
std::vector<Refusal> apply_all(DataPlane& data_plane, std::vector<Operation> operations,
                               DataPlaneState& actual);

}  // namespace sluice::control
