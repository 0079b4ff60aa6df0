// TableSteps: the world of areas.hpp, and the steps on it that are not of one operation alone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "areas.hpp"

namespace sluice::test::areas {

constexpr std::size_t most_slots = 2, slot_count = 2 * most_slots, most_operations = 4;
constexpr std::uint8_t no_slot = 0xff;
// A slot's state. An event sets a bit of its own.
constexpr std::uint8_t is_free = 0, claimed = 1, in_use = 2, first_event = 4;
constexpr int most_rounds = 3;  // FLOW_AREA_ROUNDS

struct Word {
  std::uint8_t now = 0, old = 0;
  std::uint8_t changes = 0;
  std::uint8_t moving = 0;
};

// `flow`, which no CPU sees, tells a key's flows apart: those of the beginning have the number of
// their slot, later ones that of their insertion.
struct Slot {
  std::uint8_t state = is_free;
  char key = 0;
  std::uint8_t flow = 0;
  std::uint8_t rests = 0;  // operations that had seen it when it was freed, one bit each
};
constexpr std::size_t flow_count = slot_count + most_operations;

// Of an insertion.
enum Result : std::uint8_t { is_under_way, is_placed, key_exists, no_room, is_stale, gave_up };

struct Progress {
  std::uint8_t step = 0;       // the operation's next one
  std::uint8_t search = 0;     // that of its search
  std::uint8_t insertion = 0;  // that of its insertion
  std::uint8_t round = 0;      // of search or insertion
  std::uint8_t tries = 0;
  std::uint8_t has_seen = 0;  // its flow, at least once
  Word word;                  // as it was read
  std::uint8_t result = is_under_way;
  std::uint8_t slot = no_slot;
  std::uint8_t seen = 0;        // its state
  std::uint8_t now = 0;         // that of a mover's new copy
  Slot copy;                    // what it moves
  std::uint8_t from = no_slot;  // where it was
  std::uint8_t left = 0;        // flows that could not be moved
  std::uint8_t done = 0;
};

struct World {
  Word word;
  std::array<Slot, slot_count> slots;
  std::array<std::uint8_t, 2> locked{};
  // What no CPU sees: what has become of each flow.
  std::array<std::uint8_t, flow_count> noted{};
  std::array<std::uint8_t, flow_count> exists{};
  std::array<Progress, most_operations> progress;
};

// The same but for a mover that has come or gone.
inline bool same_areas(const Word& a, const Word& b) {
  return a.now == b.now && a.old == b.old && a.changes == b.changes;
}

inline std::string name(std::uint8_t area) {
  return area == small ? "the small area" : "the whole table";
}

// What all operations on the world have in common: slots, searches, insertions. Each function with
// a description takes one step.
class TableSteps {
 public:
  TableSteps(World& world, const Scenario& scenario, const Rules& rules, std::size_t number)
      : world_(world),
        scenario_(scenario),
        operation_(scenario.operations[number]),
        rules_(rules),
        number_(number),
        p_(world.progress[number]) {}
  const std::string& fault() const { return fault_; }

 protected:
  // The words by which steps are described.
  std::string at() const { return std::to_string(p_.slot); }
  std::string go_to(std::uint8_t step, const std::string& what) {
    p_.step = step;
    return what;
  }
  std::string finish(const std::string& what) {
    let_rest_end();
    p_ = Progress{};
    p_.done = 1;
    return what;
  }
  std::string lose(const std::string& fault, const std::string& what) {
    if (operation_.always_there) fault_ = fault;
    return finish(what);
  }

  // Slots.
  Slot& slot() { return world_.slots[p_.slot]; }
  bool holds(std::uint8_t index, char key) const {
    return world_.slots[index].state >= in_use && world_.slots[index].key == key;
  }
  // Of an area, from its home on.
  std::uint8_t first_slot(std::uint8_t area) const {
    return static_cast<std::uint8_t>(area * most_slots);
  }
  std::uint8_t end_of_slots(std::uint8_t area) const {
    return static_cast<std::uint8_t>(first_slot(area) + scenario_.flows[area].size());
  }
  std::uint8_t find_in(std::uint8_t area, char key) const {
    for (auto i = first_slot(area); i < end_of_slots(area); ++i) {
      if (holds(i, key)) return i;
    }
    return no_slot;
  }
  void free_slot(std::uint8_t index) {
    auto& slot = world_.slots[index];
    slot.state = is_free;
    slot.rests = 0;
    for (std::size_t i = 0; i < scenario_.operations.size(); ++i) {
      const auto& other = world_.progress[i];
      if (i != number_ && (other.slot == index || other.from == index))
        slot.rests = static_cast<std::uint8_t>(slot.rests | 1U << i);
    }
  }
  // Nothing that this CPU has seen is of any use to it from now on.
  void let_rest_end() {
    for (auto& slot : world_.slots)
      slot.rests = static_cast<std::uint8_t>(slot.rests & ~(1U << number_));
  }

  // Takes the next step of flow_search_areas(). It is over when p_.search is 0 again.
  std::string look_for(char key) {
    enum : std::uint8_t { read_word, look_new, look_old, look_again, compare };
    const bool changing = p_.word.now != p_.word.old;
    switch (p_.search) {
      case read_word:
        p_.slot = no_slot;
        p_.word = world_.word;
        p_.search = look_new;
        return "reads the word";
      case look_new:
        return look_into(p_.word.now, key, changing ? look_old : compare);
      case look_old:
        return look_into(p_.word.old, key, rules_.look_thrice ? look_again : compare);
      case look_again:
        return look_into(p_.word.now, key, compare);
      default:
        if (rules_.look_at_word_after_miss && !same_areas(p_.word, world_.word) &&
            ++p_.round < most_rounds) {
          p_.word = world_.word;
          p_.search = look_new;
          return "sees that the areas have changed";
        }
        return found(no_slot, "finds nothing");
    }
  }
  std::string look_into(std::uint8_t area, char key, std::uint8_t next) {
    const auto index = find_in(area, key);
    if (index != no_slot) return found(index, "finds slot " + std::to_string(index));
    p_.search = next;
    return "finds nothing in " + name(area);
  }
  std::string found(std::uint8_t index, const std::string& what) {
    p_.slot = index;
    p_.search = p_.round = 0;
    p_.word = Word{};
    return what;
  }

  // Takes the next step of flow_insert_here(). It is over when there is a result.
  enum PutStep : std::uint8_t {
    read_word,
    lock,
    lock_other,
    compare,
    look_new,
    look_old,
    take,
    publish,
    unlock,
    grow
  };
  std::optional<std::string> put(const Slot& entry, bool is_copy) {
    const std::uint8_t now = p_.word.now, old = p_.word.old;
    const bool new_first = !rules_.lock_both_homes || !rules_.lower_home_first;
    const std::uint8_t first = new_first ? now : std::min(now, old);
    const std::uint8_t second = rules_.lock_both_homes ? now ^ old ^ first : first;
    switch (p_.insertion) {
      case read_word:
        p_.word = world_.word;
        return put_next(lock, "reads the word");
      case lock:
        if (world_.locked[first]) return std::nullopt;
        world_.locked[first] = 1;
        return put_next(first == second ? compare : lock_other, "locks the home in " + name(first));
      case lock_other:
        if (world_.locked[second]) return std::nullopt;
        world_.locked[second] = 1;
        return put_next(compare, "locks the home in " + name(second));
      case compare:
        if (rules_.look_at_word_under_locks && !same_areas(p_.word, world_.word))
          return put_ends(is_stale, "sees that the areas have changed");
        return put_next(look_new, "reads the word again");
      case unlock:
        world_.locked[first] = world_.locked[second] = 0;
        return unlocked();
      case grow:
        return give_up_area();
      default:
        return place(entry, is_copy);
    }
  }
  std::string put_next(PutStep step, const std::string& what) {
    p_.insertion = step;
    return what;
  }
  std::string put_ends(Result result, const std::string& what) {
    p_.result = result;
    return put_next(unlock, what);
  }

  // The part with the locks held.
  std::string place(const Slot& entry, bool is_copy) {
    const std::uint8_t now = p_.word.now, old = p_.word.old;
    switch (p_.insertion) {
      case look_new:
        if (find_in(now, entry.key) != no_slot)
          return put_ends(key_exists, "finds its key in " + name(now));
        return put_next(is_copy || now == old || !rules_.look_into_old_area ? take : look_old,
                        "does not find its key in " + name(now));
      case look_old:
        if (find_in(old, entry.key) != no_slot)
          return put_ends(key_exists, "finds its key in " + name(old));
        return put_next(take, "does not find its key in " + name(old));
      case take:
        p_.slot = claim(now);
        if (p_.slot == no_slot) return put_ends(no_room, "finds no room in " + name(now));
        return put_next(publish, "claims slot " + at());
      default:
        slot() = entry;
        if (!is_copy) world_.exists[entry.flow] = 1;
        for (const auto& other : world_.slots) {
          if (other.state >= in_use && other.key == entry.key && other.flow != entry.flow)
            fault_ = "a key is in the table twice";
        }
        return put_ends(is_placed, "publishes slot " + at());
    }
  }

  std::string unlocked() {
    const bool may_grow =
        rules_.grow_in_a_burst && p_.word.now == small && p_.word.old == small && !p_.word.moving;
    p_.insertion = read_word;
    if (p_.result == no_room && may_grow) {
      p_.insertion = grow;
      return "unlocks";
    }
    if (p_.result == is_stale) return "unlocks" + again();
    p_.word = Word{};
    p_.round = 0;
    return "unlocks";
  }
  std::string give_up_area() {
    p_.insertion = read_word;
    const bool swaps = same_areas(p_.word, world_.word) && !world_.word.moving;
    if (swaps) {
      world_.word.now = whole;
      ++world_.word.changes;
    }
    return (swaps ? "makes the whole table the area" : "was too late to change the areas") +
           again();
  }
  std::string again() {
    const bool last = ++p_.round == most_rounds;
    p_.result = last ? gave_up : is_under_way;
    p_.word = Word{};
    if (last) p_.round = 0;
    return last ? " and gives up" : "";
  }
  std::uint8_t claim(std::uint8_t area) {
    for (auto i = first_slot(area); i < end_of_slots(area); ++i) {
      if (world_.slots[i].state != is_free || world_.slots[i].rests) continue;
      world_.slots[i].state = claimed;
      return i;
    }
    return no_slot;
  }

  World& world_;
  const Scenario& scenario_;
  const Operation& operation_;
  const Rules& rules_;
  std::size_t number_;
  Progress& p_;
  std::string fault_;
};

}  // namespace sluice::test::areas
