// VipProbes: tells the programs on the NICs (bpf/probe.bpf.c) which sockets' packets go to a VIP at
// a member. They are loaded and attached with the first probe that needs them.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "attachment/probe_filters.hpp"
#include "health/vip_probes.hpp"
#include "kernel/probe_object.hpp"
#include "kernel/program.hpp"

namespace sluice::daemon {

class VipProbes final : public health::VipProbes {
 public:
  // The indices of the NICs that Sluice is attached to.
  using Attached = std::function<Result<std::vector<std::uint32_t>>()>;

  // `maps` must outlive this, and this all tickets.
  VipProbes(const kernel::Program& maps, Attached attached);

  Result<std::unique_ptr<Ticket>> lead(const Packets& packets, const health::VipWay& way) override;
  void rest() override;

 private:
  struct Loaded;
  class Entry;
  Result<void> be_ready();

  const kernel::Program& maps_;
  Attached attached_;
  std::shared_ptr<Loaded> loaded_;  // tickets share it
  Result<void> ready_;              // the last attempt's outcome
  std::chrono::steady_clock::time_point looked_;
};

}  // namespace sluice::daemon
