// Relations: finds children in a model, for one pass over it such as a list or a scrape of metrics.
//
// The model's tables know only parents. With `many`, each table is sorted by parent at the first
// question; for a few questions searching is cheaper. The model must outlive the relations and not
// change.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "model/objects.hpp"

namespace sluice::model {

class Relations {
 public:
  enum Questions { few, many };
  explicit Relations(const Model& model, Questions questions = few)
      : model_(model), questions_(questions) {}

  const Model& model() const { return model_; }

  // All oldest first.
  std::vector<const Listener*> listeners_of(const Uuid& load_balancer) const;
  std::vector<const Pool*> pools_of(const Uuid& load_balancer) const;
  std::vector<const Listener*> listeners_with(const Uuid& pool) const;  // as their default pool
  std::vector<const Member*> members_of(const Uuid& pool) const;
  // The pool's monitor; null: none.
  const HealthMonitor* monitor_of(const Uuid& pool) const;

 private:
  template <typename T>
  using Children = std::optional<std::map<Uuid, std::vector<const T*>>>;

  template <typename T, typename Parent>
  std::vector<const T*> children(Children<T>& known, const std::map<Uuid, T>& table,
                                 const Uuid& parent, Parent parent_of) const;

  const Model& model_;
  Questions questions_;
  mutable Children<Listener> listeners_of_, listeners_with_;
  mutable Children<Pool> pools_;
  mutable Children<Member> members_;
  mutable Children<HealthMonitor> monitors_;
};

}  // namespace sluice::model
