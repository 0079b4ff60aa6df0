#include "health/check_program.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <climits>
#include <cstdlib>
#include <filesystem>

namespace sluice::health {
namespace {

Result<struct stat> look_at(const std::filesystem::path& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return fail_errno(errno, path.string());
  return found;
}

// Says who could put another program there.
Result<void> require_root_only(const std::filesystem::path& path, const struct stat& found) {
  if (found.st_uid != 0) {
    return fail(ErrorKind::invalid,
                fmt::format("{} belongs to another user than root", path.string()),
                fmt::format("chown root {}", path.string()));
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail(ErrorKind::invalid,
                fmt::format("{} is writable by others than root", path.string()),
                fmt::format("chmod go-w {}, or put the program elsewhere", path.string()));
  }
  return {};
}

}  // namespace

Result<std::string> check_program(const std::string& path) {
  if (!path.starts_with('/')) {
    return fail(ErrorKind::invalid, fmt::format("'{}' is not an absolute path", path));
  }
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return fail_errno(errno, path);
  const std::filesystem::path program = resolved;
  const auto file = look_at(program);
  if (!file) return tl::unexpected(file.error());
  if (!S_ISREG(file->st_mode)) return fail(ErrorKind::invalid, program.string() + " is not a file");
  if ((file->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) {
    return fail(ErrorKind::invalid, program.string() + " is not executable",
                fmt::format("chmod 755 {}", program.string()));
  }
  for (auto one = program;; one = one.parent_path()) {
    const auto found = look_at(one);
    if (!found) return tl::unexpected(found.error());
    if (auto safe = require_root_only(one, *found); !safe) return tl::unexpected(safe.error());
    if (one == one.root_path()) return program.string();
  }
}

}  // namespace sluice::health
