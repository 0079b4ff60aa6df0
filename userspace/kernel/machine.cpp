#include "kernel/machine.hpp"

#include <fmt/format.h>
#include <sys/utsname.h>

namespace sluice::kernel {

std::string machine() {
  utsname names{};
  return uname(&names) == 0 ? names.machine : "";
}

Result<void> require_machine(std::string_view name) {
  if (name == "x86_64") return {};
  return fail(ErrorKind::unsupported,
              fmt::format("this machine is {}: the flow table relies on loads and stores that keep "
                          "their order, as those of x86_64 do",
                          name.empty() ? "of an unknown kind" : name),
              "run Sluice on an x86_64 machine");
}

}  // namespace sluice::kernel
