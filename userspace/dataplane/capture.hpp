// Capture: while one is alive, the data plane tells of packets.
//
// This build's program sluice_capture runs on every attached NIC instead of sluice_xdp, over the
// same maps: packets fare as always, at the cost of the slow path and a copy. The destructor
// puts the pinned program back, and restore_programs() does where nobody came to that.
#pragma once

#include <chrono>
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
  // Loading takes about half a second of CPU time. ErrorKind::unsupported: a NIC is attached
  // through libxdp, which can't exchange programs; ErrorKind::conflict: no NIC is attached.
  static Result<std::unique_ptr<Capture>> start(const kernel::Program& maps,
                                                const kernel::PinDirectory& pins,
                                                const control::CaptureFilter& filter);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const Uuid& id() const { return id_; }
  // What has come since the last call, at most `limit` frames. ErrorKind::conflict: it runs nowhere
  // any more.
  Result<control::Captured> take(std::size_t limit);
  // Nobody has taken anything for so long that the one who wanted to know must have gone.
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

  // During take().
  control::Captured* taken_ = nullptr;
  std::size_t limit_ = 0;
  std::chrono::nanoseconds boot_{};  // when CLOCK_MONOTONIC was zero
};

// Puts the pinned program back where a daemon that captured was killed. Needs CAP_SYS_ADMIN, to
// look at programs by their id.
Result<void> restore_programs(const kernel::PinDirectory& pins);

}  // namespace sluice::dataplane
