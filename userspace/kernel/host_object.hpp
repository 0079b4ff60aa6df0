// HostObject: the BPF programs that give this host's own sockets a member's address for a VIP's
// (bpf/host.bpf.c), loaded over the maps of the data plane.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"

namespace sluice::kernel {

class Program;

struct HostObject {
  struct Named {
    UniqueFd fd;
    std::string name;               // "connect4", also of its pin
    std::uint32_t attach_type = 0;  // enum bpf_attach_type
  };
  std::vector<Named> programs;
  UniqueFd counters;  // per CPU, by enum sluice_host_count

  // `maps`: those that the controller writes. `counters`: of the programs that these replace, or
  // -1.
  static Result<HostObject> load(const Program& maps, int counters);
};

}  // namespace sluice::kernel
