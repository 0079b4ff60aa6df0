// Shared attachment: through libxdp, whose dispatcher runs several XDP programs on one NIC.
//
// libxdp loads its own instance of the program (as an extension of its dispatcher), over our maps.
// Where the kernel has no extension programs libxdp attaches the program alone. The instance is
// pinned at PIN/shared/IF, by which it is found again.
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
// Whether what runs on the interface is libxdp's dispatcher, which takes us in.
bool shareable(std::uint32_t interface_index);
// No-op when the program doesn't run there any more. The pin stays.
Result<void> detach_shared(const std::filesystem::path& pin, std::uint32_t interface_index);
// Where the pinned instance runs; XdpMode::none: not on this interface (any more).
Result<SharedAttachment> shared_attachment(const std::filesystem::path& pin,
                                           std::uint32_t interface_index);
// Puts a new instance in the place of the pinned one, and its pin likewise.
Result<void> upgrade_shared(const kernel::Program& maps, std::uint32_t interface_index,
                            const std::filesystem::path& pin);

}  // namespace sluice::attachment
