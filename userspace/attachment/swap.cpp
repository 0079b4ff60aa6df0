#include "attachment/swap.hpp"

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

}  // namespace sluice::attachment
