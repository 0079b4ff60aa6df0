#include "attachment/swap.hpp"

#include <fmt/format.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "attachment/shared.hpp"
#include "kernel/exchange.hpp"

namespace sluice::attachment {
namespace {

Result<void> swap_program(const Attachment& nic, const kernel::Program& program) {
  if (nic.shared) return upgrade_shared(program, nic.index, nic.pin);
  return kernel::exchange_program(nic.pin, program.xdp_fd());
}

}  // namespace

Result<std::vector<std::string>> swap_everywhere(const std::vector<Attachment>& nics,
                                                 const kernel::Program& old,
                                                 const kernel::Program& fresh) {
  std::vector<std::string> done;
  for (const auto& nic : nics) {
    if (nic.index == 0) continue;  // its interface is gone
    auto swapped = swap_program(nic, fresh);
    if (!swapped) {
      // A shared NIC can only get this build's program again, which runs over the same maps and
      // does no harm.
      for (std::size_t i = 0; i < nics.size() && &nics[i] != &nic; ++i) {
        if (nics[i].index != 0 && !nics[i].shared) (void)swap_program(nics[i], old);
      }
      return fail(std::move(swapped.error()), "upgrade " + nic.interface);
    }
    done.push_back(nic.interface);
  }
  return done;
}

Result<std::vector<Attachment>> swappable(const kernel::PinDirectory& pins) {
  auto nics = attachments(pins.path());
  if (!nics) return nics;
  const auto shared =
      std::find_if(nics->begin(), nics->end(), [](const Attachment& nic) { return nic.shared; });
  if (shared == nics->end()) return nics;
  return fail(ErrorKind::unsupported,
              fmt::format("{} is attached with --shared, where the flow table can't be changed "
                          "under traffic",
                          shared->interface),
              "attach it without --shared, or start afresh with: sluice-loader detach --all");
}

// Packets are processed as RCU readers, and this waits for all readers.
void await_packets_under_way() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  constexpr auto longer_than_any = std::chrono::milliseconds(200);  // CPUs without a clock tick
  std::this_thread::sleep_for(longer_than_any);
}

Result<void> run_everywhere(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                            const kernel::Program& before, const kernel::Program& program) {
  if (auto swapped = swap_everywhere(nics, before, program); !swapped)
    return tl::unexpected(std::move(swapped.error()));
  if (auto pinned = pins.replace_programs(program); !pinned) return pinned;
  await_packets_under_way();
  return {};
}

}  // namespace sluice::attachment
