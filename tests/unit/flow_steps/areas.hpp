// Areas: the steps by which the flow table's area changes under traffic (bpf/flow_table.h,
// bpf/move.h) as plain C++, for explore().
//
// The table has two areas, the small one and the whole table. All keys have one home in either,
// with one or two slots. The search of one area's slots is one step, and so are filling and
// publishing a slot, unlocking both homes, and a look at state and key: the orders within them are
// those of search.hpp, as are the counts of buckets that were passed. Who finds a lock held waits
// for it without end. A freed slot rests until no operation that had seen it can mean its old flow.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "explore.hpp"

namespace sluice::test::areas {

// All are true of the real table.
struct Rules {
  // A search:
  bool look_at_word_after_miss = true;  // who found nothing looks whether the areas are the same
  bool look_thrice = true;              // into the new area, the old one, the new one again
  // An insertion:
  bool lock_both_homes = true;           // whatever area its flow comes to
  bool lower_home_first = true;          // in whatever order the areas come
  bool look_at_word_under_locks = true;  // begins anew if the areas have changed
  bool look_into_old_area = true;        // also there its key may be
  bool grow_in_a_burst = true;           // without room it makes the whole table the area
  // A mover:
  bool wait_for_locks = true;        // at each home of the old area
  bool publish_before_close = true;  // the new copy is there before the old one is closed
  bool close_as_copied = true;       // the old copy is closed only in the state that was copied
  bool bring_notes = true;           // else what was noted there is brought to the new one
  bool take_back_copies = true;      // of flows that were removed meanwhile
  bool know_copy = true;  // does both in the slot where it put the copy, whoever has the key
  bool note_in_flows_only = true;    // not in a slot that is free again
  bool take_back_until_done = true;  // whatever packets note meanwhile
  // An event:
  bool search_again = true;        // if its flow is no longer in its slot
  bool look_at_state_once = true;  // so that state and key are of one flow
};

enum class Kind : std::uint8_t { insert, remove, event, read, move };
enum Area : std::uint8_t { small, whole };

// One CPU's operation. `always_there`: the flow exists before this begins and nobody removes it, so
// it must be found; an insertion must find room. `area`: where a mover brings all flows.
struct Operation {
  Kind kind;
  char key = 0;
  bool always_there = false;
  Area area = small;
};

struct Scenario {
  // In the slots of the small area and of the whole table, one or two each; '.' is a free slot.
  std::array<std::string, 2> flows;
  Area now, old;  // new flows come to `now`
  std::vector<Operation> operations;
};

Finding search(const Scenario& scenario, const Rules& rules);

}  // namespace sluice::test::areas
