#include "privileges.hpp"

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <array>
#include <memory>
#include <type_traits>

namespace sluice::daemon {
namespace {

constexpr std::array<cap_value_t, 4> kept = {CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON};

struct CapabilitiesDeleter {
  void operator()(cap_t capabilities) const { cap_free(capabilities); }
};
using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, CapabilitiesDeleter>;

bool is_kept(cap_value_t capability) {
  for (const auto value : kept) {
    if (value == capability) return true;
  }
  return false;
}

}  // namespace

Result<void> require_privileges() {
  const Capabilities ours(cap_get_proc());
  for (const auto capability : kept) {
    cap_flag_value_t value = CAP_CLEAR;
    if (!ours || cap_get_flag(ours.get(), capability, CAP_EFFECTIVE, &value) != 0 ||
        value != CAP_SET) {
      return fail(ErrorKind::system, "start: not permitted to change the kernel's networking",
                  "run it as root, e.g. with sudo");
    }
  }
  return {};
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> drop_privileges() {
  // The bounding set comes first, because changing it needs a capability that is dropped next.
  // Without that capability (a service manager has limited us) there is nothing to bound.
  for (cap_value_t capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (!is_kept(capability) && cap_get_bound(capability) == 1) cap_drop_bound(capability);
  }
  const Capabilities wanted(cap_init());
  const auto count = static_cast<int>(kept.size());
  if (!wanted || cap_set_flag(wanted.get(), CAP_PERMITTED, count, kept.data(), CAP_SET) != 0 ||
      cap_set_flag(wanted.get(), CAP_EFFECTIVE, count, kept.data(), CAP_SET) != 0 ||
      cap_set_proc(wanted.get()) != 0) {
    return fail_errno(errno, "give up capabilities");
  }
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return fail_errno(errno, "give up new privileges");
  return {};
}

}  // namespace sluice::daemon
