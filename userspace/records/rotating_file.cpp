#include "records/rotating_file.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

namespace sluice::records {
namespace {

namespace fs = std::filesystem;

constexpr const char* readers = "sluice";  // the group
constexpr mode_t file_mode = 0640;
constexpr mode_t directory_mode = 02750;
constexpr auto same_user = static_cast<uid_t>(-1);

tl::unexpected<Error> fail_on(const fs::path& path, int error, const std::string& what) {
  return fail_errno(error, path.string() + ": " + what);
}

std::optional<gid_t> group_of_readers() {
  group entry{};
  group* found = nullptr;
  std::vector<char> buffer(16384);
  if (getgrnam_r(readers, &entry, buffer.data(), buffer.size(), &found) != 0 || !found)
    return std::nullopt;
  return found->gr_gid;
}

// Makes the last directory of the path, if it is not there.
Result<void> make_directory(const fs::path& directory, std::optional<gid_t> group) {
  if (directory.empty() || ::mkdir(directory.c_str(), directory_mode) != 0) {
    if (directory.empty() || errno == EEXIST) return {};
    return fail_on(directory, errno, "make the directory for records");
  }
  if (group && ::chown(directory.c_str(), same_user, *group) != 0 && errno != EPERM)
    return fail_on(directory, errno, "give it to the group sluice");
  // mkdir() obeys the umask, and chown() clears the set-group-ID bit.
  if (::chmod(directory.c_str(), directory_mode) != 0)
    return fail_on(directory, errno, "set its mode");
  return {};
}

// Says whether the last line is whole; what a crash has left may not be.
bool ends_with_newline(int file, std::uint64_t bytes) {
  char last = '\n';
  return bytes == 0 ||
         (::pread(file, &last, 1, static_cast<off_t>(bytes - 1)) == 1 && last == '\n');
}

Result<void> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto wrote = ::write(file, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail_errno(wrote < 0 ? errno : ENOSPC, "write records");
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace

Result<RotatingFile> RotatingFile::open(Settings settings) {
  const auto group = group_of_readers();
  if (auto made = make_directory(settings.path.parent_path(), group); !made)
    return tl::unexpected(std::move(made.error()));
  RotatingFile file(std::move(settings), group);
  // Earlier files have no gaps, so the first one that is missing is the end.
  std::error_code error;
  for (unsigned n = file.settings_.keep + 1; fs::remove(file.earlier(n), error); ++n) {
  }
  if (auto opened = file.open_file(); !opened) return tl::unexpected(std::move(opened.error()));
  return file;
}

fs::path RotatingFile::earlier(unsigned number) const {
  return settings_.path.string() + "." + std::to_string(number);
}

Result<void> RotatingFile::open_file() {
  const auto& path = settings_.path;
  UniqueFd file(::open(
      path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, file_mode));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0)
    return fail_on(path, errno, "open it for records");
  if (!S_ISREG(status.st_mode))
    return fail(ErrorKind::invalid, path.string() + " is not a regular file",
                "--records-file names a file of its own");
  // A file that is made later gets the group from its directory.
  if (group_ && status.st_gid != *group_ && ::fchown(file.get(), same_user, *group_) != 0 &&
      errno != EPERM)
    return fail_on(path, errno, "give it to the group sluice");
  if (::fchmod(file.get(), file_mode) != 0) return fail_on(path, errno, "set its mode");
  bytes_ = static_cast<std::uint64_t>(status.st_size);
  if (!ends_with_newline(file.get(), bytes_)) {
    if (auto wrote = write_all(file.get(), "\n"); !wrote) return wrote;
    ++bytes_;
  }
  file_ = std::move(file);
  return {};
}

Result<void> RotatingFile::rotate() {
  std::error_code error;
  file_.reset();
  if (settings_.keep == 0) fs::remove(settings_.path, error);
  for (unsigned n = settings_.keep; n != 0; --n) {
    const auto from = n == 1 ? settings_.path : earlier(n - 1);
    fs::rename(from, earlier(n), error);
    if (error && error != std::errc::no_such_file_or_directory)
      return fail_on(from, error.value(), "rotate it");
  }
  return open_file();
}

Result<void> RotatingFile::append(std::string_view lines) {
  if (lines.empty()) return {};
  if (!file_) {
    if (auto opened = open_file(); !opened) return opened;
  }
  if (bytes_ != 0 && bytes_ + lines.size() > settings_.max_bytes) {
    if (auto rotated = rotate(); !rotated) return rotated;
  }
  if (auto wrote = write_all(file_.get(), lines); !wrote) {
    // Nothing of it shall be there, so that no line is cut off.
    if (::ftruncate(file_.get(), static_cast<off_t>(bytes_)) != 0) file_.reset();
    return wrote;
  }
  bytes_ += lines.size();
  return {};
}

Result<void> RotatingFile::look_at_path() {
  struct stat ours {
  }, there{};
  if (!file_) return open_file();
  if (::fstat(file_.get(), &ours) == 0 && ::stat(settings_.path.c_str(), &there) == 0 &&
      ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
    return {};
  file_.reset();
  return open_file();
}

}  // namespace sluice::records
