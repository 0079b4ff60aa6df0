#include "kernel/exchange.hpp"

#include <bpf/bpf.h>

#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"

namespace sluice::kernel {

Result<void> exchange_program(const std::filesystem::path& link, int program) {
  const auto fd = open_pin(link);
  if (!fd) return tl::unexpected(fd.error());
  if (bpf_link_update(fd->get(), program, nullptr) != 0)
    return fail_bpf(errno, "replace the program");
  return {};
}

}  // namespace sluice::kernel
