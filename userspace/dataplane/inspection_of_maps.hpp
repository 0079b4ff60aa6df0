// InspectionOfMaps: flows, sweeps, reloads, explanations and captures over the BPF maps. Private to
// dataplane/.
//
// It shares nothing with the thread that changes the maps but the maps themselves and their
// descriptors, which stay open until both have let go of them.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "attachment/interface_slots.hpp"
#include "control/inspection.hpp"
#include "dataplane/area.hpp"
#include "dataplane/capture.hpp"
#include "dataplane/end_prober.hpp"
#include "dataplane/rehearsal.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {

// How long a run of the sweep goes on before it looks at its clock for the last time. A kernel
// without full preemption runs nothing else on the CPU meanwhile, and BFD and packets should not
// wait for more than a millisecond.
inline constexpr std::chrono::microseconds sweep_slice{500};

class InspectionOfMaps final : public control::Inspection {
 public:
  InspectionOfMaps(std::shared_ptr<const kernel::Program> program,
                   std::optional<kernel::PinDirectory> pins)
      : shared_program_(std::move(program)), pins_(std::move(pins)) {}

  Result<control::ExpiryReport> expire_flows() override;
  Result<control::ShortExpiryReport> expire_short() override;
  Result<control::Reloaded> reload() override;
  Result<std::vector<control::Flow>> flows(const control::FlowFilter& filter,
                                           std::size_t limit) override;
  Result<std::uint64_t> flush_flows(const control::FlowFilter& filter) override;
  Result<control::Explanation> explain(const control::Question& question) override;
  Result<Uuid> start_capture(const control::CaptureFilter& filter) override;
  Result<control::Captured> take_captured(const Uuid& capture, std::size_t limit) override;
  Result<void> stop_capture(const Uuid& capture) override;

  // Says whether the flow tables want a sweep soon. Any thread may call it.
  bool wants_sweep() const { return areas_.is_changed(program_); }
  // Says whether flows may have marks, which only short sweeps take away again: those of listeners
  // that had a short idle time, or that were there before us. Any thread may call it.
  bool flows_are_marked() const { return flows_are_marked_; }
  // Says whether connections may be over whose ends are to be reset. Until somebody does, they may.
  // Any thread may call it.
  void note_ends(bool may_be) { may_have_ends_ = may_be; }
  // Makes what is under way fail soon. Any thread may call it.
  void give_up() { given_up_ = true; }

  // The connections that the last sweep left; nullopt before the first one. Any thread may call it.
  struct Connections {
    std::uint32_t ipv4 = 0, ipv6 = 0;
  };
  std::optional<Connections> connections() const {
    if (!swept_) return std::nullopt;
    return connections_.load();
  }

 private:
  Result<sluice_flow_sweep> sweep() const;
  Result<void> sweep_pending(const sluice_flow_sweep& swept) const;
  std::optional<Error> probe_ends();

  const std::shared_ptr<const kernel::Program> shared_program_;
  const kernel::Program& program_ = *shared_program_;
  const std::optional<kernel::PinDirectory> pins_;  // unset: not pinned
  const attachment::InterfaceSlots slots_{program_};
  KeptRehearsal rehearsal_{program_};
  AreaKeeper areas_;
  EndProber prober_;
  std::unique_ptr<Capture> capture_;
  std::atomic<bool> given_up_ = false;
  std::atomic<bool> may_have_ends_ = true;
  std::atomic<bool> flows_are_marked_ = true;
  std::atomic<Connections> connections_;
  std::atomic<bool> swept_ = false;
};

}  // namespace sluice::dataplane
