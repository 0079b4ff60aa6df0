// Table: the objects of one kind by id, and indexed by what is asked about them: whose children
// they are, who has an address, which are not ACTIVE.
//
// Copies share what they have in common (base/persistent_map.hpp): keeping the model as it was
// before a change costs nothing, and two models are compared in the time of what differs. An object
// is changed by putting another one in its place. References to objects are valid until the table's
// next change, or as long as a copy of the table exists.
#pragma once

#include <algorithm>
#include <boost/container/small_vector.hpp>
#include <boost/container_hash/hash.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_hash.hpp>
#include <chrono>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ip_address.hpp"
#include "base/persistent_map.hpp"
#include "base/uuid.hpp"

namespace sluice::model {

// UTC in microseconds. The API shows seconds; the rest keeps the order of creation.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

// What objects are looked up by, beside their id. Some facets have a subject, for example the
// parent's id or an address.
enum class Facet : std::uint8_t {
  any,           // every object: for walks in order of creation
  parent,        // of listeners, pools and floating IPs a load balancer, of the others a pool
  default_pool,  // of listeners
  address,       // of members; of load balancers VIPs and SNAT addresses, of floating IPs their own
  unsettled,     // not ACTIVE
  limited,       // listeners with a connection_limit
  draining,      // members with an end of their draining
  several_vips,  // load balancers with additional VIPs
};

// Returns the address as a subject.
Uuid subject(const IpAddress& address);

// Keys are sorted by facet and subject, then by age, oldest first.
struct FacetKey {
  Facet facet = Facet::any;
  Uuid subject{};
  Timestamp created_at{};
  Uuid id{};

  bool operator==(const FacetKey&) const = default;
  bool operator<(const FacetKey& other) const {
    return std::tie(facet, subject, created_at, id) <
           std::tie(other.facet, other.subject, other.created_at, other.id);
  }
  friend std::size_t hash_value(const FacetKey& key) {
    std::size_t seed = hash_value(key.id);
    boost::hash_combine(seed, key.subject);
    boost::hash_combine(seed, static_cast<unsigned>(key.facet));
    return seed;
  }
};

struct FacetOf {
  Facet facet;
  Uuid subject{};
  bool operator==(const FacetOf&) const = default;
};
using Facets = boost::container::small_vector<FacetOf, 8>;

template <typename T>
class Table {
 public:
  using value_type = std::pair<const Uuid, T>;

 private:
  using Entry = std::shared_ptr<const value_type>;
  using Entries = PersistentMap<Uuid, Entry>;
  using Index = PersistentMap<FacetKey, Entry>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Table::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return *at_->second; }
    pointer operator->() const { return at_->second.get(); }
    const_iterator& operator++() {
      ++at_;
      return *this;
    }
    const_iterator operator++(int) { return const_iterator(at_++); }
    bool operator==(const const_iterator&) const = default;

   private:
    friend Table;
    explicit const_iterator(typename Entries::const_iterator at) : at_(std::move(at)) {}
    typename Entries::const_iterator at_;
  };
  using iterator = const_iterator;

  // Iterates by id.
  const_iterator begin() const { return const_iterator(entries_.begin()); }
  const_iterator end() const { return const_iterator(entries_.end()); }
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  const_iterator find(const Uuid& id) const { return const_iterator(entries_.find(id)); }
  bool contains(const Uuid& id) const { return entries_.contains(id); }
  const T& at(const Uuid& id) const { return entries_.at(id)->second; }
  // Returns the object, or null if there is none.
  const T* lookup(const Uuid& id) const {
    const auto* entry = entries_.lookup(id);
    return entry ? &(*entry)->second : nullptr;
  }

  // Returns all objects that have the facet, oldest first.
  std::vector<const T*> with(Facet facet, const Uuid& subject = {}) const {
    std::vector<const T*> found;
    walk(facet, subject, [&](const T& object) {
      found.push_back(&object);
      return true;
    });
    return found;
  }
  // Returns the oldest of them, or null if there is none.
  const T* first(Facet facet, const Uuid& subject = {}) const {
    const T* found = nullptr;
    walk(facet, subject, [&](const T& object) {
      found = &object;
      return false;
    });
    return found;
  }
  // Calls visit(object) for each, oldest first, until it returns false.
  template <typename Visit>
  void walk(Facet facet, const Uuid& subject, Visit visit) const {
    for (auto at = index_.lower_bound({facet, subject, Timestamp::min(), {}});
         at != index_.end() && at->first.facet == facet && at->first.subject == subject; ++at) {
      if (!visit(at->second->second)) return;
    }
  }
  // The objects that have the facet, oldest first, by their place among them. Each question takes
  // logarithmic time. It is valid until the table's next change.
  class Order {
   public:
    std::size_t size() const { return size_; }
    // Precondition: the place is less than the size.
    const T& operator[](std::size_t place) const {
      return table_.index_.nth(first_ + place)->second->second;
    }
    // Returns nullopt if the object doesn't have the facet, or doesn't exist.
    std::optional<std::size_t> place_of(const Uuid& id) const {
      const T* object = table_.lookup(id);
      if (!object) return std::nullopt;
      const FacetKey key{facet_, subject_, object->created_at, id};
      if (!table_.index_.contains(key)) return std::nullopt;
      return table_.index_.rank(key) - first_;
    }

   private:
    friend Table;
    Order(const Table& table, Facet facet, const Uuid& subject)
        : table_(table),
          facet_(facet),
          subject_(subject),
          first_(table.index_.rank({facet, subject, Timestamp::min(), {}})),
          size_(table.count(facet, subject)) {}

    const Table& table_;
    Facet facet_;
    Uuid subject_;
    std::size_t first_, size_;
  };
  Order in_order(Facet facet, const Uuid& subject = {}) const { return {*this, facet, subject}; }

  std::size_t count(Facet facet, const Uuid& subject = {}) const {
    Uuid last;
    std::fill(last.begin(), last.end(), std::uint8_t{0xff});
    return index_.rank({facet, subject, Timestamp::max(), last}) -
           index_.rank({facet, subject, Timestamp::min(), {}});
  }
  // Counts objects that have the facet, whatever the subject.
  std::size_t count_all(Facet facet) const {
    const auto next = static_cast<Facet>(static_cast<std::uint8_t>(facet) + 1);
    return index_.rank({next, {}, Timestamp::min(), {}}) -
           index_.rank({facet, {}, Timestamp::min(), {}});
  }

  // Puts the object in; it replaces one of the same id.
  void put(T object) {
    const auto id = object.id;
    const auto entry = std::make_shared<const value_type>(id, std::move(object));
    const auto now = facets(entry->second);
    if (const auto* known = entries_.lookup(id)) {
      const auto& old = (*known)->second;
      for (const auto& facet : facets(old)) {
        const bool stays = old.created_at == entry->second.created_at &&
                           std::find(now.begin(), now.end(), facet) != now.end();
        if (!stays) index_.erase({facet.facet, facet.subject, old.created_at, id});
      }
    }
    for (const auto& facet : now) {
      index_.insert_or_assign({facet.facet, facet.subject, entry->second.created_at, id}, entry);
    }
    entries_.insert_or_assign(id, entry);
  }
  // Returns how many objects it removed: 0 or 1.
  std::size_t erase(const Uuid& id) {
    const auto* known = entries_.lookup(id);
    if (!known) return 0;
    const auto entry = *known;
    for (const auto& facet : facets(entry->second)) {
      index_.erase({facet.facet, facet.subject, entry->second.created_at, entry->first});
    }
    return entries_.erase(entry->first);
  }
  void clear() { *this = {}; }

  // A copy of an object, which replaces the object at the end of its life:
  // table.change(id)->name = "new".
  class Change {
   public:
    Change(Table& table, const T& object) : table_(table), object_(std::make_unique<T>(object)) {}
    ~Change() { table_.put(std::move(*object_)); }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    T* operator->() const { return object_.get(); }
    T& operator*() const { return *object_; }

   private:
    Table& table_;
    std::unique_ptr<T> object_;
  };
  // Begins a change of the object. Precondition: the id exists.
  Change change(const Uuid& id) { return Change(*this, at(id)); }

  bool operator==(const Table& other) const {
    bool same = true;
    for_each_difference(*this, other,
                        [&](const Uuid&, const T*, const T*) { return same = false; });
    return same;
  }
  // Calls visit(id, object before, object after) in order of the ids, with a null pointer where
  // there is none, for each object that differs, until it returns false.
  template <typename Visit>
  static void for_each_difference(const Table& before, const Table& after, Visit visit) {
    Entries::for_each_difference(
        before.entries_, after.entries_, [&](const Uuid& id, const Entry* old, const Entry* now) {
          if (old && now && (*old)->second == (*now)->second) return true;
          return visit(id, old ? &(*old)->second : nullptr, now ? &(*now)->second : nullptr);
        });
  }

  // The differences of two tables, some at a time. It keeps their objects as they were.
  class Differences {
   public:
    Differences(const Table& before, const Table& after)
        : entries_(before.entries_, after.entries_) {}

    // Calls visit(id, object before, object after) for the next ones, at most so many. Returns
    // whether there are no more.
    template <typename Visit>
    bool step(std::size_t most, Visit visit) {
      return entries_.step(most, [&](const Uuid& id, const Entry* old, const Entry* now) {
        if (old && now && (*old)->second == (*now)->second) return;
        visit(id, old ? &(*old)->second : nullptr, now ? &(*now)->second : nullptr);
      });
    }

   private:
    typename Entries::Differences entries_;
  };

 private:
  Entries entries_;
  Index index_;
};

// Calls visit(id, object before, object after) for each object that differs, as
// Table::for_each_difference() does, without an end.
template <typename T, typename Visit>
void for_each_change(const Table<T>& before, const Table<T>& after, Visit visit) {
  Table<T>::for_each_difference(before, after, [&](const Uuid& id, const T* old, const T* now) {
    visit(id, old, now);
    return true;
  });
}

// Removes the objects that the predicate is true of; returns how many.
template <typename T, typename Predicate>
std::size_t erase_if(Table<T>& table, Predicate predicate) {
  const auto all = table;
  for (const auto& entry : all) {
    if (predicate(entry)) table.erase(entry.first);
  }
  return all.size() - table.size();
}

}  // namespace sluice::model
