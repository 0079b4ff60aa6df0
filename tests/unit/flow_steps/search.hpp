// The steps of bpf/flow_table.h as plain C++, each access to memory one step, and a search through
// every order in which operations on several CPUs can take them.
//
// The table is tiny: one home, three buckets of one slot. What the search finds is the shortest way
// to a state that must not be, as a list of steps. A rule that is switched off is a fault planted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

// How the flow table works. All true: as it is built.
struct Rules {
  bool lock_home = true;  // of two CPUs that insert one key the second waits for the first
  bool count_before_publish = true;  // buckets are passed over before the flow can be found beyond
  bool uncount_before_free = true;   // and as long as its slot is not free
  bool look_at_key = true;           // before a state is changed
  bool slots_rest = true;  // not reused while an operation is under way that saw it in use
  bool look_twice = true;  // a reader that found its key looks whether all is still the same
};

enum class Kind : std::uint8_t { insert, remove, event, read };

// What one CPU does. `always_there`: the flow is there from before this begins and nobody removes
// it, so a reader must find it.
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

struct Finding {
  std::string fault;               // empty: none
  std::vector<std::string> steps;  // that lead there
  std::size_t states = 0;          // different ones that were seen
  std::string text() const;
};

Finding search(const Scenario& scenario, const Rules& rules);

}  // namespace sluice::test
