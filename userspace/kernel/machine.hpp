// Machine: on which processors the data plane is sound.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sluice::kernel {

// The processor's architecture, as uname(2) names it.
std::string machine();

// Refuses every machine but "x86_64", with the reason. The flow table's readers take no lock: they
// read a slot's state, its key, and its state again, and that proves something only where loads and
// stores keep their order. Others (aarch64, riscv64) need barriers, which BPF has since Linux 6.15
// and not in the oldest kernel that we load on.
Result<void> require_machine(std::string_view name);

}  // namespace sluice::kernel
