// Relations: finds children in a model, for one pass over it such as a list or a scrape of metrics.
//
// The model must outlive the relations and not change.
#pragma once

#include <vector>

#include "model/objects.hpp"

namespace sluice::model {

class Relations {
 public:
  explicit Relations(const Model& model) : model_(model) {}

  const Model& model() const { return model_; }

  // The lists are sorted by age, oldest first.
  std::vector<const Listener*> listeners_of(const Uuid& load_balancer) const {
    return model_.listeners.with(Facet::parent, load_balancer);
  }
  std::vector<const Pool*> pools_of(const Uuid& load_balancer) const {
    return model_.pools.with(Facet::parent, load_balancer);
  }
  // Listeners that have it as their default pool.
  std::vector<const Listener*> listeners_with(const Uuid& pool) const {
    return model_.listeners.with(Facet::default_pool, pool);
  }
  std::vector<const Member*> members_of(const Uuid& pool) const {
    return model_.members.with(Facet::parent, pool);
  }
  // The pool's monitor; null: none.
  const HealthMonitor* monitor_of(const Uuid& pool) const {
    return model_.health_monitors.first(Facet::parent, pool);
  }

 private:
  const Model& model_;
};

}  // namespace sluice::model
