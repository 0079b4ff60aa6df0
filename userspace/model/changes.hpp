// Changes: the difference between two models as a value, so that it can be stored on another thread
// and applied to a model that has moved on in the meantime.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>

#include "model/objects.hpp"

namespace sluice::model {

// The changes of the objects of one kind.
template <typename T>
struct ChangesOf {
  std::map<Uuid, T> put;  // new or different, as they are now
  std::set<Uuid> removed;

  bool empty() const { return put.empty() && removed.empty(); }
  bool operator==(const ChangesOf&) const = default;
};

struct Changes {
  ChangesOf<LoadBalancer> load_balancers;
  ChangesOf<Listener> listeners;
  ChangesOf<Pool> pools;
  ChangesOf<Member> members;
  ChangesOf<HealthMonitor> health_monitors;
  ChangesOf<FloatingIp> floating_ips;
  // All of them, where any changed.
  std::optional<Quotas> quotas;
  std::optional<DrainedNodes> drained_nodes;

  bool empty() const;
  bool operator==(const Changes&) const = default;
};

// A kind of object: its table in a model, and its changes.
template <typename T>
struct Kind {
  Table<T> Model::*objects;
  ChangesOf<T> Changes::*changes;

  // Returns the part of a model or of changes that has this kind.
  template <typename Whole>
  auto& of(Whole& whole) const {
    if constexpr (std::is_same_v<std::remove_const_t<Whole>, Model>) {
      return whole.*objects;
    } else {
      return whole.*changes;
    }
  }
};

// All kinds of objects, load balancers first and what refers to an object after it. Whatever is
// done to each kind goes through this list. A model has nothing else but quotas and drained nodes.
inline constexpr std::tuple kinds{
    Kind<LoadBalancer>{&Model::load_balancers, &Changes::load_balancers},
    Kind<Pool>{&Model::pools, &Changes::pools},
    Kind<Listener>{&Model::listeners, &Changes::listeners},
    Kind<Member>{&Model::members, &Changes::members},
    Kind<HealthMonitor>{&Model::health_monitors, &Changes::health_monitors},
    Kind<FloatingIp>{&Model::floating_ips, &Changes::floating_ips}};
inline constexpr std::size_t kind_count = std::tuple_size_v<decltype(kinds)>;

// Calls `visit` with the part of each kind of object, in the order of the list: visit(model.pools).
template <typename Whole, typename Visit>
void for_each_kind(Whole& whole, Visit visit) {
  std::apply([&](const auto&... kind) { (visit(kind.of(whole)), ...); }, kinds);
}

// The same for two models or changes: visit(model.pools, changes.pools).
template <typename One, typename Other, typename Visit>
void for_each_kind(One& one, Other& other, Visit visit) {
  std::apply([&](const auto&... kind) { (visit(kind.of(one), kind.of(other)), ...); }, kinds);
}

// The differences of two models, some at a time, one kind after the other. It keeps the models as
// they were.
class Differences {
 public:
  Differences(const Model& before, const Model& after)
      : of_kinds_(std::apply(
            [&](const auto&... kind) {
              return decltype(of_kinds_){{kind, {kind.of(before), kind.of(after)}}...};
            },
            kinds)) {}

  // Calls visit(kind, id, object before, object after) for the next ones, at most so many of each
  // kind. Returns whether there are no more.
  template <typename Visit>
  bool step(std::size_t most, Visit visit) {
    const auto step_of = [&]<typename T>(OfKind<T>& of_kind) {
      return of_kind.differences.step(most, [&](const Uuid& id, const T* old, const T* now) {
        visit(of_kind.kind, id, old, now);
      });
    };
    return std::apply([&](auto&... of_kind) { return (step_of(of_kind) && ...); }, of_kinds_);
  }

 private:
  template <typename T>
  struct OfKind {
    Kind<T> kind;
    typename Table<T>::Differences differences;
  };
  template <typename... T>
  static std::tuple<OfKind<T>...> of_kinds(const std::tuple<Kind<T>...>&);

  decltype(of_kinds(kinds)) of_kinds_;
};

Changes changes_between(const Model& before, const Model& after);

// Finds the same in steps.
class ChangeFinder {
 public:
  ChangeFinder(const Model& before, const Model& after);

  // Finds the next changes, at most so many of each kind; returns whether those were the last ones.
  bool step(std::size_t most);
  // Only after the last step.
  Changes take() { return std::move(found_); }

 private:
  Differences differences_;
  Changes found_;
};

// apply(before, changes_between(before, after)) makes `before` equal to `after`. Objects that the
// changes don't name stay as they are.
void apply(Model& model, const Changes& changes);

}  // namespace sluice::model
