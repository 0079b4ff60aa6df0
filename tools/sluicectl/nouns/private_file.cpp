#include "sluicectl/nouns/private_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.hpp"

namespace sluice::ctl {

Result<void> write_private_file(const std::string& path, std::string_view bytes) {
  const auto unfinished = path + ".part";
  ::unlink(unfinished.c_str());  // a killed process may have left it
  const UniqueFd fd(
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(errno, "write " + unfinished);
  while (!bytes.empty()) {
    const auto written = ::write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      ::unlink(unfinished.c_str());
      return fail_errno(error, "write " + unfinished);
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd.get()) != 0 || ::rename(unfinished.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(unfinished.c_str());
    return fail_errno(error, "write " + path);
  }
  return {};
}

}  // namespace sluice::ctl
