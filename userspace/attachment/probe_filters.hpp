// Probe filters: the programs of bpf/probe.bpf.c on NICs, where the kernel's own packets leave and
// enter.
//
// From Linux 6.6 on they are links (TCX), which end with the process. Before, they are filters of
// a clsact qdisc, which a process that is killed leaves there: they do nothing without it, and the
// next one replaces them. The qdisc stays, because filters of others may be in it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "kernel/probe_object.hpp"

namespace sluice::attachment {

class ProbeFilters {
 public:
  ProbeFilters() = default;
  ~ProbeFilters();  // takes them off
  ProbeFilters(const ProbeFilters&) = delete;
  ProbeFilters& operator=(const ProbeFilters&) = delete;

  // Has them on these interfaces (by index) and on no others. If one fails the others are tried
  // all the same.
  Result<void> put_on(const kernel::ProbeObject& programs,
                      const std::vector<std::uint32_t>& interfaces);

 private:
  struct Links {  // none: filters of a qdisc
    UniqueFd ingress, egress;
  };
  std::map<std::uint32_t, Links> there_;
};

// Takes off what a killed process has left on this interface, if it did.
void remove_probe_filters(std::uint32_t interface);

}  // namespace sluice::attachment
