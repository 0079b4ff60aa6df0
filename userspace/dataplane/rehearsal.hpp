// Rehearsal: finds out what the data plane would do with a packet.
//
// This build's program is loaded once more, over the configuration in use (VIPs, listeners, pools,
// members, interfaces) and over copies of everything that packets change (state_copy.hpp): so it
// decides like the real one, by the same code and flows, and no connection, turn or counter of the
// real one changes. Loading takes about half a second of CPU time, and the copy as much memory as
// the flow table of one IP version; KeptRehearsal keeps it for a minute.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {

class Rehearsal {
 public:
  // `real` must outlive it.
  static Result<Rehearsal> over(const kernel::Program& real, const kernel::BesideOptions& options);

  struct Outcome {
    std::uint32_t action = 0;  // XDP_*
    std::uint32_t reason = 0;  // enum sluice_reason
    std::vector<std::uint8_t> frame;
  };
  // Lets a frame come in on this interface now.
  Result<Outcome> receive(const std::vector<std::uint8_t>& frame,
                          std::uint32_t interface_index) const;

  const kernel::Program& program() const { return program_; }

 private:
  Rehearsal(const kernel::Program& real, const kernel::BesideOptions& options,
            kernel::Program program)
      : real_(&real), options_(options), program_(std::move(program)) {}

  const kernel::Program* real_;
  kernel::BesideOptions options_;
  kernel::Program program_;
};

// Keeps the last rehearsal loaded for the next question. That is sound: each packet has the state
// copied anew, and the configuration is shared with the program in use.
class KeptRehearsal {
 public:
  // `real` must outlive it.
  explicit KeptRehearsal(const kernel::Program& real) : real_(&real) {}

  // A rehearsal with the flows that a packet to this address may have.
  Result<const Rehearsal*> of(const IpAddress& destination);
  void let_go_if_unused();

 private:
  const kernel::Program* real_;
  std::optional<Rehearsal> kept_;
  kernel::BesideOptions flows_{};
  sluice_flow_table table_{};  // that it was loaded for
  std::chrono::steady_clock::time_point last_used_{};
};

}  // namespace sluice::dataplane
