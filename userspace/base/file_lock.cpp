#include "base/file_lock.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

namespace sluice {
namespace {

constexpr auto between_attempts = std::chrono::milliseconds(20);

// Reads "sluiced (pid 123)", which the holder writes into the file shortly after it has locked it.
std::string holder(const std::filesystem::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line.empty() ? "another process" : line;
}

void write_holder(int fd) {
  std::string name;
  std::getline(std::ifstream("/proc/self/comm"), name);
  const auto line = fmt::format("{} (pid {})\n", name.empty() ? "a process" : name, ::getpid());
  // The line serves another process' error message only: the lock holds on a full disk, too.
  if (::ftruncate(fd, 0) != 0 || ::write(fd, line.data(), line.size()) < 0) return;
}

// Says whether `file` still is what we have opened: a holder that ends removes its file.
bool is_still(int fd, const std::filesystem::path& file) {
  struct stat ours {
  }, present{};
  return ::fstat(fd, &ours) == 0 && ::stat(file.c_str(), &present) == 0 &&
         ours.st_dev == present.st_dev && ours.st_ino == present.st_ino;
}

}  // namespace

Result<FileLock> FileLock::acquire(const std::filesystem::path& file, const std::string& what,
                                   const std::string& hint, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    // Whoever may open it, if only for reading, may lock it, too.
    UniqueFd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
      const bool forbidden = errno == EACCES || errno == EPERM;
      return fail_errno(errno, "open the lock " + file.string(), forbidden ? "run as root" : "");
    }
    if (::fchmod(fd.get(), 0600) != 0) {  // one that an older version has left
      return fail_errno(errno, "make the lock " + file.string() + " private");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
      if (!is_still(fd.get(), file)) continue;
      write_holder(fd.get());
      return FileLock(file, std::move(fd));
    }
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno(errno, "lock " + file.string());
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(ErrorKind::conflict, fmt::format("{} is in use by {}", what, holder(file)), hint);
    }
    std::this_thread::sleep_for(between_attempts);
  }
}

FileLock::~FileLock() {
  if (fd_) ::unlink(file_.c_str());
}

}  // namespace sluice
