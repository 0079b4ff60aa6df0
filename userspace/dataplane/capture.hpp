// Capture: while one is alive, the data plane reports packets.
//
// This build's program sluice_capture runs on every attached NIC instead of sluice_xdp, over the
// same maps: packets are treated as always, at the cost of the slow path and a copy. The destructor
// restores the pinned program; if the process was killed, restore_programs() does.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/capture.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"

struct ring_buffer;

namespace sluice::dataplane {

class Capture {
 public:
  // Starts a capture; loading takes about half a second of CPU time, and `given_up` is asked
  // afterwards. ErrorKind::unsupported: a NIC is attached through libxdp, which can't exchange
  // programs; ErrorKind::conflict: no NIC is attached, or given up.
  static Result<std::unique_ptr<Capture>> start(const kernel::Program& maps,
                                                const kernel::PinDirectory& pins,
                                                const control::CaptureFilter& filter,
                                                const std::function<bool()>& given_up);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const Uuid& id() const { return id_; }
  // Takes the frames since the last call, at most `limit`. ErrorKind::conflict: the program was
  // replaced on all NICs.
  Result<control::Captured> take(std::size_t limit);
  // Says whether nobody has taken frames for so long that the client must be gone.
  bool is_abandoned() const;

 private:
  Capture(kernel::PinDirectory pins, UniqueFd program, UniqueFd lost);
  Result<void> require_place() const;
  static int keep(void* self, void* data, std::size_t size);

  kernel::PinDirectory pins_;
  UniqueFd program_, lost_;
  Uuid id_ = new_uuid();
  std::chrono::steady_clock::time_point last_asked_ = std::chrono::steady_clock::now();
  struct FreeRing {
    void operator()(ring_buffer* ring) const;
  };
  std::unique_ptr<ring_buffer, FreeRing> frames_;

  // The destination of take().
  control::Captured* taken_ = nullptr;
  std::size_t limit_ = 0;
  std::chrono::nanoseconds boot_{};  // when CLOCK_MONOTONIC was zero
};

// Restores the pinned program after a daemon was killed during a capture. Needs CAP_SYS_ADMIN, to
// find programs by their id.
Result<void> restore_programs(const kernel::PinDirectory& pins);

}  // namespace sluice::dataplane
