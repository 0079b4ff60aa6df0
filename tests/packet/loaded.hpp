// Loaded: Sluice's programs in the kernel, loaded once for all tests of a process that want the
// same options, and as new for each of them.
//
// Loading takes a third of a second, nearly all of it the verifier's. Making the maps as they were
// after loading takes a millisecond or two.
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
  // Loads, or takes what the test before has left and makes it as new. Only the last one is kept:
  // programs with other options would have to leave the interfaces anyway.
  static Result<Loaded*> with(const kernel::LoadOptions& options);
  // Unloads, at the end of the process. Fails the run if a test wrote where make_new() doesn't
  // clean.
  static void unload();

  const kernel::Program& program() const { return program_; }
  // Sends the interface's packets to the program, unless that is so already. Native mode, so that
  // the interface has the receive queue that a test packet is said to come from.
  Result<void> attach(const std::string& interface);

  // What it would do with a packet (SLUICE_TEST_REHEARSAL).
  Result<const dataplane::Rehearsal*> rehearsal();

  // Each pool's ring. One that is large enough is kept from test to test, because exchanging it
  // waits for the kernel's readers every time.
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
