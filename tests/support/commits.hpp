// Commits: makes a store's commit from the states before and after, or from some health.
#pragma once

#include "store/store.hpp"

namespace sluice::test {

inline Result<void> committed(store::Store& store, const store::Commit& commit) {
  auto done = store.commit(commit);
  if (!done) return tl::unexpected(std::move(done.error()));
  return {};
}

inline Result<void> save(store::Store& store, const model::Model& before,
                         const model::Model& after) {
  store::Commit commit;
  commit.objects = model::changes_between(before, after);
  return committed(store, commit);
}

inline Result<void> save_health(store::Store& store, const model::HealthTable& table) {
  store::Commit commit;
  for (const auto& [member, health] : table) commit.health.emplace(member, health);
  return committed(store, commit);
}

inline Result<void> forget_health(store::Store& store, const Uuid& member) {
  store::Commit commit;
  commit.health.emplace(member, std::nullopt);
  return committed(store, commit);
}

inline model::Model model_in(store::Store& store) {
  return store.load().value().model;
}

inline model::HealthTable health_in(store::Store& store) {
  return store.load().value().health;
}

}  // namespace sluice::test
