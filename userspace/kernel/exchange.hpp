// Exchange: replaces the program on a NIC under live traffic.
#pragma once

#include <filesystem>

#include "base/result.hpp"

namespace sluice::kernel {

// The kernel changes one pointer, so each packet meets the old program or the new one. `link`: the
// pin of the NIC's link.
Result<void> exchange_program(const std::filesystem::path& link, int program);

}  // namespace sluice::kernel
