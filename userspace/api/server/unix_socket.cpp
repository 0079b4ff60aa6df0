#include "api/server/unix_socket.hpp"

#include <grp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>
#include <vector>

namespace sluice::api {
namespace {

namespace fs = std::filesystem;

constexpr mode_t socket_mode = 0660;
constexpr const char* socket_group = "sluice";

tl::unexpected<Error> fail_on(const fs::path& path, int error, std::string_view what,
                              std::string hint = {}) {
  return fail_errno(error, "listen on " + path.string() + ": " + std::string(what),
                    std::move(hint));
}

Result<sockaddr_un> address_of(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& text = path.native();
  if (text.empty() || text.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::invalid, "listen on " + text + ": a socket path has 1 to " +
                                        std::to_string(sizeof address.sun_path - 1) +
                                        " characters, this one " + std::to_string(text.size()));
  }
  std::memcpy(address.sun_path, text.c_str(), text.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Makes room for our socket: removes a dead process's, refuses a live one and files that are not
// sockets.
Result<void> clear(const fs::path& path, const sockaddr_un& address) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return fail_on(path, errno, "look at it");
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(ErrorKind::conflict,
                "listen on " + path.string() + ": it exists and is not a socket",
                "remove it or choose another --socket");
  }
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return fail_on(path, errno, "socket");
  const int error = ::connect(probe, generic(address), sizeof address) == 0 ? 0 : errno;
  ::close(probe);
  if (error == 0 || error == EAGAIN) {
    return fail(ErrorKind::conflict, "another sluiced answers on " + path.string(),
                "stop it or choose another --socket");
  }
  if (error != ECONNREFUSED) return fail_on(path, error, "see whether it is in use");
  if (::unlink(path.c_str()) != 0) return fail_on(path, errno, "remove the stale socket");
  return {};
}

// The socket is created with the umask applied to 0660 and opened up afterwards, so it is never too
// open. An unprivileged process leaves the group alone.
Result<void> set_access(const fs::path& path) {
  group entry{};
  group* found = nullptr;
  std::vector<char> buffer(16384);
  if (::getgrnam_r(socket_group, &entry, buffer.data(), buffer.size(), &found) == 0 && found) {
    if (::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0 && errno != EPERM) {
      return fail_on(path, errno, "give it to group sluice");
    }
  }
  if (::chmod(path.c_str(), socket_mode) != 0) return fail_on(path, errno, "set its mode");
  return {};
}

}  // namespace

Result<UnixSocket> UnixSocket::listen(const fs::path& path) {
  const auto address = address_of(path);
  if (!address) return tl::unexpected(address.error());
  std::error_code error;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), error);
  if (error) {
    return fail_on(path, error.value(), "create directory " + path.parent_path().string(),
                   "run as root or choose another --socket");
  }
  if (auto room = clear(path, *address); !room) return tl::unexpected(room.error());

  UnixSocket out;
  out.descriptor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (out.descriptor_ < 0) return fail_on(path, errno, "socket");
  ::fchmod(out.descriptor_, socket_mode);  // what bind() creates the file with
  if (::bind(out.descriptor_, generic(*address), sizeof *address) != 0) {
    return fail_on(path, errno, "bind", "run as root or choose another --socket");
  }
  out.path_ = path;
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return fail_on(path, errno, "look at it");
  out.device_ = status.st_dev;
  out.inode_ = status.st_ino;
  if (auto access = set_access(path); !access) return tl::unexpected(access.error());
  if (::listen(out.descriptor_, SOMAXCONN) != 0) return fail_on(path, errno, "listen");
  return out;
}

int UnixSocket::release_descriptor() {
  return std::exchange(descriptor_, -1);
}

UnixSocket::UnixSocket(UnixSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::exchange(other.path_, {})),
      device_(other.device_),
      inode_(other.inode_) {}

UnixSocket& UnixSocket::operator=(UnixSocket&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

UnixSocket::~UnixSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
  struct stat status;
  if (path_.empty() || ::lstat(path_.c_str(), &status) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
}

}  // namespace sluice::api
