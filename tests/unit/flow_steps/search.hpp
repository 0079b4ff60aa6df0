// Search: the steps of bpf/flow_table.h as plain C++, one step per memory access, and a search
// through every order in which operations on several CPUs can take them.
//
// The table is tiny: one home, three buckets of one slot. The search finds the shortest way to a
// forbidden state, as a list of steps. Switching a rule off plants a fault.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "explore.hpp"

namespace sluice::test {

// The flow table's rules. All are true of the real one.
struct Rules {
  bool lock_home = true;             // if two CPUs insert one key, the second waits for the first
  bool count_before_publish = true;  // buckets are passed over before the flow can be found beyond
  bool uncount_before_free = true;   // and as long as its slot is not free
  bool look_at_key = true;           // before a state is changed
  bool slots_rest = true;  // not reused while an operation is under way that saw it in use
  bool look_twice = true;  // a reader that found its key looks whether all is still the same
};

enum class Kind : std::uint8_t { insert, remove, event, read };

// One CPU's operation. `always_there`: the flow exists before this begins and nobody removes it, so
// a reader must find it.
struct Operation {
  Kind kind;
  char key;
  bool always_there = false;
  int after = -1;  // begins only once this insertion has published its flow
};

struct Scenario {
  std::string flows;  // in the slots from the first on; '.' is a free slot
  std::vector<Operation> operations;
};

Finding search(const Scenario& scenario, const Rules& rules);

}  // namespace sluice::test
