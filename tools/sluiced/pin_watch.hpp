// PinWatch: notices within a second that packets meet other maps than sluiced writes, or that a NIC
// has lost its program.
//
//   maps pinned anew (detach --all and attach)      adopted: on_other_maps
//   pins gone                                       on_lost, with the reason
//   a NIC that was made again, a link's lost pin    attached again; on_lost when that fails and no
//                                                   other NIC runs the program
//   some maps' or programs' pins lost               pinned again
//   all well again                                  on_found
//
// It looks twice a second, because inotify doesn't work on a bpffs. Mostly it looks only whether
// the directories have changed; the pins themselves are opened when they have. While somebody
// attaches, detaches or upgrades, it waits for the next look.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attachment/attachment.hpp"
#include "attachment/interface_slots.hpp"
#include "base/result.hpp"
#include "kernel/pins.hpp"

namespace sluice::daemon {

class PinWatch {
 public:
  struct Callbacks {
    // Adopts what is pinned now. An error is reported, and the call repeated.
    std::function<Result<void>()> on_other_maps;
    std::function<void(const Error&)> on_lost;
    std::function<void()> on_found;
    // Reports once, as an event, what was done or could not be done.
    std::function<void(std::string)> on_event;
    // The program that is in use now.
    std::function<const kernel::Program&()> program;
  };
  PinWatch(boost::asio::io_context& loop, std::filesystem::path pin_directory, Callbacks callbacks);

 private:
  struct Findings {
    bool pinned = true;
    bool other_maps = false;
    bool lost_pins = false;                  // of maps or programs
    std::vector<std::string> bare;           // NICs without their program
    std::vector<std::uint32_t> stale_slots;  // interface indices that are nobody's
    bool carried = false;                    // some NIC runs the program

    bool well() const;
  };

  void look_after(std::chrono::milliseconds pause);
  void look();
  // What the pins were when all was well, and as long as the directories look the same.
  struct Known {
    kernel::PinDirectory::Look look;
    const kernel::Program* program;       // whose maps and programs they are
    std::vector<sluice_interface> slots;  // of the NICs
  };

  Result<Findings> examine();
  Result<void> examine_pins(Findings& findings) const;
  Result<void> examine_nics(Findings& findings, const std::vector<sluice_interface>& slots);
  Result<void> mend(const Findings& findings);
  void pin_again();
  Result<void> attach_again(const Findings& findings);
  void conclude(const Result<void>& well);
  void tell_failure(const std::string& subject, const std::string& text);

  kernel::PinDirectory pins_;
  Callbacks callbacks_;
  boost::asio::steady_timer timer_;
  bool lost_ = false;
  std::optional<Known> known_;
  std::map<std::string, std::string, std::less<>> told_;  // failures, by what they are about
  std::map<std::string, attachment::Attachment> seen_;  // by name, as they were while all was well
  // The earliest time for another try at a NIC that refused the program: a driver may reset its
  // link each time.
  std::map<std::string, std::chrono::steady_clock::time_point> not_before_;
};

}  // namespace sluice::daemon
