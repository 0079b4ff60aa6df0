#include "kernel/pin_lock.hpp"

#include <algorithm>
#include <string>
#include <system_error>

namespace sluice::kernel {
namespace {

namespace fs = std::filesystem;

constexpr const char* lock_directory = "/run/sluice";

// /sys/fs/bpf/sluice -> /run/sluice/sys-fs-bpf-sluice.daemon
Result<fs::path> lock_file(const fs::path& pin_directory, const char* purpose) {
  std::error_code error;
  if (fs::create_directories(lock_directory, error)) {
    fs::permissions(lock_directory, fs::perms(0755), error);
  }
  if (error) {
    return fail_errno(error.value(), std::string("create ") + lock_directory, "run as root");
  }
  // The directory may not exist yet, and its path may contain links.
  auto name = fs::weakly_canonical(fs::absolute(pin_directory), error).string();
  if (error) name = fs::absolute(pin_directory).lexically_normal().string();
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  name.erase(0, 1);
  std::replace(name.begin(), name.end(), '/', '-');
  return fs::path(lock_directory) / (name + "." + purpose);
}

Result<FileLock> take(const fs::path& pin_directory, const char* purpose, const std::string& hint,
                      std::chrono::milliseconds patience) {
  const auto file = lock_file(pin_directory, purpose);
  if (!file) return tl::unexpected(file.error());
  return FileLock::acquire(*file, "the pin directory " + pin_directory.string(), hint, patience);
}

}  // namespace

Result<FileLock> lock_for_daemon(const fs::path& pin_directory) {
  return take(pin_directory, "daemon",
              "stop that one, or choose another --pin-dir and other interfaces",
              std::chrono::milliseconds(0));
}

Result<FileLock> lock_for_change(const fs::path& pin_directory,
                                 std::chrono::milliseconds patience) {
  return take(pin_directory, "change", "try again when it is done", patience);
}

bool somebody_changes(const fs::path& pin_directory) {
  const auto lock = lock_for_change(pin_directory, std::chrono::milliseconds(0));
  return !lock && lock.error().kind == ErrorKind::conflict;
}

}  // namespace sluice::kernel
