#include "control/apply.hpp"

#include <algorithm>

namespace sluice::control {
namespace {

// Tells what an operation lacks; empty if nothing. diff() orders operations so that nothing is
// missing, unless an earlier one was refused.
struct Obstacle {
  const DataPlaneState& actual;

  std::string operator()(const PutListener& o) const {
    const bool missing =
        !o.entry.pool.is_nil() && !actual.pools.contains(o.key.entry_of(o.entry.pool));
    return missing ? "its pool is not in the data plane" : "";
  }
  std::string operator()(const RemovePool& o) const {
    const bool named = std::any_of(
        actual.listeners.begin(), actual.listeners.end(),
        [&](const auto& entry) { return entry.first.entry_of(entry.second.pool) == o.key; });
    return named ? "a listener still names it" : "";
  }
  std::string operator()(const RemoveMember& o) const { return in_a_ring(o.id); }
  std::string operator()(const PutMember& o) const { return o.entry.usable ? "" : in_a_ring(o.id); }
  template <typename Other>
  std::string operator()(const Other&) const {
    return "";
  }

  std::string in_a_ring(const Uuid& member) const {
    const bool named =
        std::any_of(actual.pools.begin(), actual.pools.end(), [&](const auto& entry) {
          const auto& ring = entry.second.ring;
          return std::find(ring.begin(), ring.end(), member) != ring.end();
        });
    return named ? "a ring still names it" : "";
  }
};

// Reduces a pool to the members that exist: a ring that is not updated would go on serving dead
// ones.
Operation with_members_at_hand(Operation operation, const DataPlaneState& actual) {
  if (auto* pool = std::get_if<PutPool>(&operation)) {
    std::erase_if(pool->entry.ring, [&](const Uuid& id) {
      const auto member = actual.members.find(id);
      return member == actual.members.end() || !member->second.usable;
    });
  }
  return operation;
}

}  // namespace

std::vector<Refusal> apply_all(DataPlane& data_plane, const std::vector<Operation>& operations,
                               DataPlaneState& actual) {
  std::vector<Refusal> refusals;
  // The members of rings are there before the first pool is.
  const auto pools = std::ranges::find_if(operations, [](const Operation& operation) {
    return std::holds_alternative<PutPool>(operation);
  });
  for (auto at = operations.begin(); at != operations.end(); ++at) {
    if (at == pools) data_plane.expect({at, operations.end()});
    const auto& planned = *at;
    auto operation = planned;
    if (!refusals.empty()) {
      operation = with_members_at_hand(std::move(operation), actual);
      if (auto why = std::visit(Obstacle{actual}, operation); !why.empty()) {
        refusals.push_back({planned, Error{ErrorKind::conflict, std::move(why), "", 0}});
        continue;
      }
    }
    if (auto done = data_plane.apply(operation); !done) {
      refusals.push_back({planned, std::move(done.error())});
      continue;
    }
    apply_to(actual, operation);
    if (operation != planned) {
      refusals.push_back({planned, Error{ErrorKind::conflict, "it lacks members", "", 0}});
    }
  }
  return refusals;
}

}  // namespace sluice::control
