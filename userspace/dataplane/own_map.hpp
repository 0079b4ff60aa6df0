// A map, or a ring buffer, with a descriptor of its own: for whoever uses it on another thread than
// the program's owner, who may close the program meanwhile.
#pragma once

#include <bpf/libbpf.h>

#include <memory>

#include "base/fd.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

template <typename Map>
struct OwnMap {
  OwnMap(const kernel::Program& program, const char* name)
      : fd(duplicate(program.map_fd(name))), map(fd.get(), name) {}
  UniqueFd fd;
  Map map;
};

struct CloseRing {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};
using Ring = std::unique_ptr<ring_buffer, CloseRing>;

}  // namespace sluice::dataplane
