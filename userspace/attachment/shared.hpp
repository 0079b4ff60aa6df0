// Shared attachment: attaches through libxdp, whose dispatcher runs several XDP programs on one
// NIC.
//
// libxdp loads an instance of the program of its own over our maps, as an extension of its
// dispatcher. If the kernel has no extension programs, libxdp attaches the program alone. The
// instance is pinned at PIN/shared/IF.
#pragma once

#include <cstdint>
#include <filesystem>

#include "attachment/nic.hpp"
#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::attachment {

struct SharedAttachment {
  XdpMode mode = XdpMode::none;
  bool dispatcher = false;  // false: alone on the NIC
};

// `mode`: native or generic.
Result<SharedAttachment> attach_shared(const kernel::Program& maps, std::uint32_t interface_index,
                                       XdpMode mode, const std::filesystem::path& pin);
// Says whether the interface runs libxdp's dispatcher, which we can join.
bool shareable(std::uint32_t interface_index);
// No-op when the program doesn't run there any more. The pin stays.
Result<void> detach_shared(const std::filesystem::path& pin, std::uint32_t interface_index);
// The mode in which the pinned instance runs; XdpMode::none: not on this interface (any more).
Result<SharedAttachment> shared_attachment(const std::filesystem::path& pin,
                                           std::uint32_t interface_index);
// Replaces the pinned instance and its pin by new ones.
Result<void> upgrade_shared(const kernel::Program& maps, std::uint32_t interface_index,
                            const std::filesystem::path& pin);

}  // namespace sluice::attachment
