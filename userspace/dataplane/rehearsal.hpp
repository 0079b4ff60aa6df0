// Rehearsal: what the data plane would do with a packet.
//
// This build's program is loaded once more, over the configuration in use (VIPs, listeners, pools,
// members, interfaces) and over tables of its own for everything that packets change, which begin
// as copies where they matter. So no connection, turn or counter of the real one changes. Loading
// takes about half a second of CPU time.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "control/flows.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

class Rehearsal {
 public:
  static Result<Rehearsal> over(const kernel::Program& real);

  struct Outcome {
    std::uint32_t reason = 0;  // enum sluice_reason
    std::vector<std::uint8_t> frame;
  };
  // A first packet, as it would come in on this interface, which the program is attached to.
  Result<Outcome> receive(const control::Question& question, std::uint32_t interface_index,
                          const std::uint8_t (&mac)[6]) const;

  const kernel::Program& program() const { return program_; }

 private:
  explicit Rehearsal(kernel::Program program) : program_(std::move(program)) {}
  kernel::Program program_;
};

// Sender and receiver of a frame's innermost packet: the one in the tunnel, if there is a tunnel.
struct Addressed {
  control::Endpoint source, destination;
};
std::optional<Addressed> addressed(const std::vector<std::uint8_t>& frame);

}  // namespace sluice::dataplane
