// Loaded: Sluice's programs in the kernel, loaded once for all tests of a process with the same
// options, and restored for each of them.
//
// Loading takes a third of a second, nearly all of it in the verifier. Restoring the maps takes a
// millisecond or two.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "dataplane/rehearsal.hpp"
#include "kernel/program.hpp"

namespace sluice::test {

class Loaded {
 public:
  // Loads the programs, or restores those of the test before. Only the last ones are kept, because
  // programs with other options would have to leave the interfaces anyway.
  static Result<Loaded*> with(const kernel::LoadOptions& options);
  // Unloads at the end of the process. Fails the run if a test has written where make_new() doesn't
  // clean.
  static void unload();

  const kernel::Program& program() const { return program_; }
  // Attaches the program to the interface, unless it is attached already. Native mode gives the
  // interface the receive queue that a test packet pretends to come from.
  Result<void> attach(const std::string& interface);

  // Tells what the program would do with a packet (SLUICE_TEST_REHEARSAL).
  Result<const dataplane::Rehearsal*> rehearsal();

  // Forgets how many answers left in this jiffy (bpf/answer.h), for clocks of which a second has
  // more jiffies than answers.
  void forget_answers();

  // A pool's ring. If it is large enough it is kept from test to test, because exchanging it waits
  // for an RCU grace period.
  struct Ring {
    UniqueFd fd;
    std::size_t capacity = 0;
  };
  std::map<std::uint32_t, Ring>& rings() { return rings_; }

 private:
  struct Map;
  Loaded(const kernel::LoadOptions& options, kernel::Program program);
  Result<void> find_maps();
  void make_new();

  kernel::LoadOptions options_;
  kernel::Program program_;
  std::optional<dataplane::Rehearsal> rehearsal_;
  std::vector<std::shared_ptr<Map>> maps_;
  std::map<std::string, UniqueFd> links_;  // by interface
  std::map<std::uint32_t, Ring> rings_;    // by pool
};

}  // namespace sluice::test
