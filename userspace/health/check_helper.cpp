#include "health/check_helper.hpp"

#include <fmt/format.h>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <type_traits>
#include <vector>

#include "base/free_with.hpp"
#include "health/check_launcher.hpp"
#include "health/check_program.hpp"

namespace sluice::health {
namespace {

constexpr std::array<cap_value_t, 3> needed = {CAP_SETUID, CAP_SETGID, CAP_KILL};

// A launcher that dies at once is started again after so long.
constexpr unsigned seconds_between_launchers = 1;

using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, FreeWith<cap_free>>;

bool may_become_others() {
  const Capabilities ours(cap_get_proc());
  for (const auto capability : needed) {
    cap_flag_value_t value = CAP_CLEAR;
    if (!ours || cap_get_flag(ours.get(), capability, CAP_EFFECTIVE, &value) != 0 ||
        value != CAP_SET)
      return false;
  }
  return true;
}

// Keeps what is needed, as far as it is there, and gives up all else for good.
bool give_up_capabilities() {
  for (cap_value_t capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (cap_get_bound(capability) == 1) cap_drop_bound(capability);
  }
  const Capabilities wanted(cap_init());
  if (!wanted) return false;
  if (may_become_others()) {
    const auto count = static_cast<int>(needed.size());
    if (cap_set_flag(wanted.get(), CAP_PERMITTED, count, needed.data(), CAP_SET) != 0 ||
        cap_set_flag(wanted.get(), CAP_EFFECTIVE, count, needed.data(), CAP_SET) != 0)
      return false;
  }
  return cap_set_proc(wanted.get()) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

// Starts launchers, one after the other, until one has ended because the daemon has.
[[noreturn]] void guard(const CheckSettings& settings, int socket) {
  for (bool anew = false;; anew = true) {
    const pid_t launcher = fork();
    if (launcher == 0) {
      run_check_launcher(settings, socket, anew);
      _exit(0);
    }
    int status = 0;
    while (launcher > 0 && waitpid(launcher, &status, 0) < 0 && errno == EINTR) {
    }
    if (launcher > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) _exit(0);
    end_all_children();  // it has inherited what the launcher's programs are
    sleep(seconds_between_launchers);
  }
}

[[noreturn]] void become_guardian(const CheckSettings& settings, int socket) {
  constexpr int place = STDERR_FILENO + 1;
  prctl(PR_SET_NAME, "sluiced-checks", 0, 0, 0);
  if (setsid() < 0 || dup2(socket, place) < 0 || close_range(place + 1, ~0U, 0) != 0 ||
      prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 || !give_up_capabilities())
    _exit(1);
  fcntl(place, F_SETFD, FD_CLOEXEC);
  // It ends when the daemon does, and not before: a service manager signals them together.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) std::signal(signal, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);
  guard(settings, place);
}

}  // namespace

Result<CheckUser> find_check_user(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return fail(ErrorKind::invalid, fmt::format("there is no user '{}' to run checks", name),
                fmt::format("adduser --system --group {}", name));
  }
  if (entry.pw_uid == 0 || entry.pw_gid == 0) {
    return fail(ErrorKind::invalid,
                fmt::format("checks must not run as '{}', which is root or of its group", name),
                "choose another --check-user");
  }
  return CheckUser{entry.pw_uid, entry.pw_gid};
}

Result<UniqueFd> start_check_helper(CheckSettings settings) {
  if (!settings.permit) {
    settings.permit = [](const std::string& path) -> Result<void> {
      auto checked = check_program(path);
      if (!checked) return tl::unexpected(std::move(checked.error()));
      return {};
    };
    for (auto& [name, path] : settings.programs) {
      auto checked = check_program(path);
      if (!checked) return fail(std::move(checked.error()), fmt::format("check '{}'", name));
      path = std::move(*checked);
    }
  }
  if (settings.user.uid != getuid() && !may_become_others()) {
    return fail(ErrorKind::system, "checks need CAP_SETUID, CAP_SETGID and CAP_KILL at start",
                "in the unit's CapabilityBoundingSet");
  }
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno(errno, "make the socket of the helper that runs checks");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t guardian = fork();
  if (guardian < 0) return fail_errno(errno, "start the helper that runs checks");
  if (guardian == 0) become_guardian(settings, theirs.get());
  return ours;
}

}  // namespace sluice::health
