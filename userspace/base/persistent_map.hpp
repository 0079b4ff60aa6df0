// PersistentMap: a sorted map whose copies share what they have in common.
//
// A copy costs nothing, whatever the size. A change of a copy makes new nodes only on the way from
// the root to the entry, and none if no other map shares them. So two maps of which one came from
// the other are compared in the time of what differs (for_each_difference), and keeping an earlier
// version costs only what has changed since.
//
// The map is a treap: a search tree by key that is a heap by a hash of the key. The same keys make
// the same tree, in whatever order they came, so two maps can be walked side by side. Searches,
// changes and counts take logarithmic time.
//
// Reading works as with std::map; iterators and references are valid until the next change of this
// map. Copies that share nodes may belong to several threads; each copy is used by one thread.
#pragma once

#include <boost/container/small_vector.hpp>
#include <boost/container_hash/hash.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace sluice {

template <typename Key, typename Value>
class PersistentMap {
  struct Node;
  using Tree = boost::intrusive_ptr<Node>;

 public:
  using key_type = Key;
  using mapped_type = Value;
  using value_type = std::pair<const Key, Value>;
  using size_type = std::size_t;

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = PersistentMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    reference operator*() const { return path_.back()->entry; }
    pointer operator->() const { return &path_.back()->entry; }
    const_iterator& operator++() {
      const auto* node = path_.back();
      path_.pop_back();
      go_left_from(node->right.get());
      return *this;
    }
    const_iterator operator++(int) {
      auto before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator& other) const {
      if (path_.empty() || other.path_.empty()) return path_.empty() == other.path_.empty();
      return path_.back() == other.path_.back();
    }

   private:
    friend PersistentMap;
    void go_left_from(const Node* node) {
      for (; node; node = node->left.get()) path_.push_back(node);
    }
    // The node itself, below it those that come after it: the ones whose left side it is on.
    boost::container::small_vector<const Node*, 24> path_;
  };
  using iterator = const_iterator;

  PersistentMap() = default;
  PersistentMap(std::initializer_list<value_type> entries) {
    for (const auto& [key, value] : entries) insert_or_assign(key, value);
  }

  bool empty() const { return !root_; }
  size_type size() const { return size_of(root_); }
  const_iterator begin() const {
    const_iterator first;
    first.go_left_from(root_.get());
    return first;
  }
  const_iterator end() const { return {}; }

  // Returns the key's value, or null if there is no such key.
  const Value* lookup(const Key& key) const {
    const auto* node = root_.get();
    while (node) {
      if (key < node->entry.first) {
        node = node->left.get();
      } else if (node->entry.first < key) {
        node = node->right.get();
      } else {
        return &node->entry.second;
      }
    }
    return nullptr;
  }
  bool contains(const Key& key) const { return lookup(key) != nullptr; }
  const Value& at(const Key& key) const {
    if (const auto* value = lookup(key)) return *value;
    throw std::out_of_range("PersistentMap::at");
  }
  const_iterator lower_bound(const Key& key) const {
    const_iterator found;
    for (const auto* node = root_.get(); node;) {
      if (node->entry.first < key) {
        node = node->right.get();
      } else {
        found.path_.push_back(node);
        node = node->left.get();
      }
    }
    return found;
  }
  const_iterator find(const Key& key) const {
    auto found = lower_bound(key);
    return found == end() || key < found->first ? end() : found;
  }
  // Returns how many keys are less.
  size_type rank(const Key& key) const {
    size_type less = 0;
    for (const auto* node = root_.get(); node;) {
      if (node->entry.first < key) {
        less += size_of(node->left) + 1;
        node = node->right.get();
      } else {
        node = node->left.get();
      }
    }
    return less;
  }

  // Returns the entry with so many less keys; end() if there is none.
  const_iterator nth(size_type rank) const {
    const_iterator found;
    if (rank >= size()) return found;
    for (const auto* node = root_.get(); node;) {
      const auto less = size_of(node->left);
      if (less < rank) {
        rank -= less + 1;
        node = node->right.get();
        continue;
      }
      found.path_.push_back(node);
      if (less == rank) break;
      node = node->left.get();
    }
    return found;
  }

  void insert_or_assign(const Key& key, Value value) {
    put(root_, Tree(new Node(key, std::move(value))));
  }
  // Adds a value unless the key has one already; then it returns false.
  bool emplace(const Key& key, Value value) {
    if (contains(key)) return false;
    insert_or_assign(key, std::move(value));
    return true;
  }
  Value& operator[](const Key& key) {
    if (!contains(key)) insert_or_assign(key, Value{});
    auto* tree = &root_;
    while (true) {
      auto& node = own(*tree);
      if (key < node.entry.first) {
        tree = &node.left;
      } else if (node.entry.first < key) {
        tree = &node.right;
      } else {
        return node.entry.second;
      }
    }
  }
  // Returns how many entries it removed: 0 or 1.
  size_type erase(const Key& key) {
    if (!contains(key)) return 0;
    remove(root_, key);
    return 1;
  }
  void clear() { root_.reset(); }

  // Tells whether both are the same tree, which takes no time; equal maps need not be.
  bool shares_all_with(const PersistentMap& other) const { return root_ == other.root_; }
  bool operator==(const PersistentMap& other) const {
    bool same = true;
    for_each_difference(*this, other, [&](const Key&, const Value*, const Value*) {
      same = false;
      return false;
    });
    return same;
  }

  // Calls visit(key, value before, value after) in order of the keys, with a null pointer where the
  // key is absent, for each key whose values are not equal, until it returns false.
  template <typename Visit>
  static void for_each_difference(const PersistentMap& before, const PersistentMap& after,
                                  Visit visit) {
    Walk old(before.root_.get()), now(after.root_.get());
    visit_differences(old, now, visit);
  }

 private:
  // A walk in order of the keys that knows subtrees before it goes into them.
  class Walk {
   public:
    explicit Walk(const Node* root) {
      if (root) ahead_.push_back({root, true});
    }
    bool done() const { return ahead_.empty(); }
    const value_type& entry() const { return ahead_.back().node->entry; }
    void next() { ahead_.pop_back(); }

    bool skip_if_same(Walk& other) {
      if (done() || other.done()) return false;
      const auto &mine = ahead_.back(), &its = other.ahead_.back();
      if (mine.node != its.node || mine.folded != its.folded) return false;
      next();
      other.next();
      return true;
    }
    // Tells whether its next part is a subtree that doesn't lie below the other's next subtree.
    bool unfolds_before(const Walk& other) const {
      if (!folded()) return false;
      return !other.folded() || !above(*other.ahead_.back().node, *ahead_.back().node);
    }
    // Tells whether both next parts are subtrees with the same key at their root.
    bool unfolds_with(const Walk& other) const {
      return folded() && other.folded() && !above(*other.ahead_.back().node, *ahead_.back().node) &&
             !above(*ahead_.back().node, *other.ahead_.back().node);
    }
    void unfold() {
      const auto* node = ahead_.back().node;
      ahead_.pop_back();
      if (node->right) ahead_.push_back({node->right.get(), true});
      ahead_.push_back({node, false});
      if (node->left) ahead_.push_back({node->left.get(), true});
    }

   private:
    struct Part {
      const Node* node;
      bool folded;  // the node with its subtrees; otherwise only its own entry
    };
    bool folded() const { return !done() && ahead_.back().folded; }
    boost::container::small_vector<Part, 48> ahead_;
  };

 public:
  // The differences of two maps, some at a time. It keeps the maps as they were.
  class Differences {
   public:
    Differences(PersistentMap before, PersistentMap after)
        : before_(std::move(before)),
          after_(std::move(after)),
          old_(before_.root_.get()),
          now_(after_.root_.get()) {}

    // Calls visit(key, value before, value after) for the next ones, at most so many. Returns
    // whether there are no more.
    template <typename Visit>
    bool step(size_type most, Visit visit) {
      const auto count = [&](const Key& key, const Value* was, const Value* is) {
        visit(key, was, is);
        return --most > 0;
      };
      return most == 0 ? old_.done() && now_.done() : visit_differences(old_, now_, count);
    }

   private:
    PersistentMap before_, after_;
    Walk old_, now_;
  };

 private:
  struct Node : boost::intrusive_ref_counter<Node, boost::thread_safe_counter> {
    Node(const Key& key, Value value)
        : entry(key, std::move(value)), priority(mixed(boost::hash<Key>()(key))) {}

    value_type entry;
    Tree left, right;
    std::uint64_t priority;
    std::size_t size = 1;
  };

  // Spreads a hash over all bits (splitmix64): boost's of small integers is no more than they are.
  static std::uint64_t mixed(std::uint64_t hash) {
    hash += 0x9e3779b97f4a7c15;
    hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
    hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
    return hash ^ (hash >> 31);
  }
  static size_type size_of(const Tree& tree) { return tree ? tree->size : 0; }
  static void count(Node& node) { node.size = 1 + size_of(node.left) + size_of(node.right); }
  // Tells whether `a` is the root of a tree that has both.
  static bool above(const Node& a, const Node& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.entry.first < b.entry.first;
  }
  // Returns the tree's root, as a copy if another map has it, too.
  static Node& own(Tree& tree) {
    if (tree->use_count() > 1) tree.reset(new Node(*tree));
    return *tree;
  }

  static void put(Tree& tree, Tree entry) {
    if (!tree) {
      tree = std::move(entry);
      return;
    }
    const auto& key = entry->entry.first;
    if (above(*entry, *tree)) {
      split(std::move(tree), key, entry->left, entry->right);
      count(*entry);
      tree = std::move(entry);
      return;
    }
    if (!(key < tree->entry.first) && !(tree->entry.first < key)) {
      entry->left = tree->left;
      entry->right = tree->right;
      entry->size = tree->size;
      tree = std::move(entry);
      return;
    }
    auto& node = own(tree);
    put(key < node.entry.first ? node.left : node.right, std::move(entry));
    count(node);
  }

  // Takes a tree without `key` apart.
  static void split(Tree tree, const Key& key, Tree& less, Tree& greater) {
    if (!tree) {
      less.reset();
      greater.reset();
      return;
    }
    auto& node = own(tree);
    if (node.entry.first < key) {
      auto rest = std::move(node.right);
      split(std::move(rest), key, node.right, greater);
      count(node);
      less = std::move(tree);
    } else {
      auto rest = std::move(node.left);
      split(std::move(rest), key, less, node.left);
      count(node);
      greater = std::move(tree);
    }
  }

  // All keys of `less` are less than those of `greater`.
  static Tree merged(Tree less, Tree greater) {
    if (!less) return greater;
    if (!greater) return less;
    auto& upper = above(*less, *greater) ? less : greater;
    auto& node = own(upper);
    if (&upper == &less) {
      node.right = merged(std::move(node.right), std::move(greater));
    } else {
      node.left = merged(std::move(less), std::move(node.left));
    }
    count(node);
    return std::move(upper);
  }

  static void remove(Tree& tree, const Key& key) {
    auto& node = own(tree);
    if (key < node.entry.first) {
      remove(node.left, key);
    } else if (node.entry.first < key) {
      remove(node.right, key);
    } else {
      auto less = std::move(node.left), greater = std::move(node.right);
      tree = merged(std::move(less), std::move(greater));
      return;
    }
    count(node);
  }

  // Returns whether it came to the end.
  template <typename Visit>
  static bool visit_differences(Walk& old, Walk& now, Visit& visit) {
    while (!old.done() || !now.done()) {
      if (old.skip_if_same(now)) continue;
      if (old.unfolds_before(now)) {
        const bool both = now.unfolds_with(old);
        old.unfold();
        if (both) now.unfold();
      } else if (now.unfolds_before(old)) {
        now.unfold();
      } else if (!visit_entries(old, now, visit)) {
        return false;
      }
    }
    return true;
  }

  // The next part of each is an entry, or nothing.
  template <typename Visit>
  static bool visit_entries(Walk& old, Walk& now, Visit& visit) {
    const bool only_old = now.done() || (!old.done() && old.entry().first < now.entry().first);
    const bool only_now = !only_old && (old.done() || now.entry().first < old.entry().first);
    const auto* was = only_now ? nullptr : &old.entry();
    const auto* is = only_old ? nullptr : &now.entry();
    if (was) old.next();
    if (is) now.next();
    if (was && is && was->second == is->second) return true;
    return visit(was ? was->first : is->first, was ? &was->second : nullptr,
                 is ? &is->second : nullptr);
  }

  Tree root_;
};

// Removes the entries that the predicate is true of; returns how many.
template <typename Key, typename Value, typename Predicate>
std::size_t erase_if(PersistentMap<Key, Value>& map, Predicate predicate) {
  const auto all = map;
  for (const auto& entry : all) {
    if (predicate(entry)) map.erase(entry.first);
  }
  return all.size() - map.size();
}

}  // namespace sluice
