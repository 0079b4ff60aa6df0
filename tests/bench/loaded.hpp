// Loaded: programs and maps under test in the kernel, of this build or of another version's object
// file.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "kernel/program.hpp"

struct sluice_flow_table;

namespace sluice::bench {

struct Loaded {
  UniqueFd xdp, expire, flush;
  UniqueFd rehome;  // none: a version without areas
  std::map<std::string, UniqueFd, std::less<>> maps;

  // -1 if no map has the name.
  int map_fd(std::string_view name) const;
};

// An XDP program in a compiled object file: build/…/bpf/sluice.bpf.o of another commit.
struct OtherObject {
  std::string file;
  std::string program;
};

Loaded load_ours(const kernel::LoadOptions& options);

// Loads the other object as this build's loader would load its own: with flow tables of these
// dimensions, and with the value that this build would give to each setting (`const volatile`) that
// both have. All maps are its own; nothing is shared, so what it writes is never read by ours.
Loaded load_other(const OtherObject& other, const sluice_flow_table& table);

}  // namespace sluice::bench
