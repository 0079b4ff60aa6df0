#include "service_manager.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sluice::daemon {
namespace {

std::optional<long> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (!text) return std::nullopt;
  long number = 0;
  const auto* end = text + std::strlen(text);
  const auto [rest, error] = std::from_chars(text, end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

}  // namespace

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (!path || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  const auto length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract name space
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  // A failure can't be reported: the manager will notice it by its own time limit.
  [[maybe_unused]] const auto sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL,
                                            reinterpret_cast<const sockaddr*>(&address), size);
  close(fd);
}

std::optional<std::chrono::microseconds> watchdog_timeout() {
  const auto process = number_from_environment("WATCHDOG_PID");
  const auto timeout = number_from_environment("WATCHDOG_USEC");
  if (!timeout || *timeout <= 0 || (process && *process != getpid())) return std::nullopt;
  return std::chrono::microseconds(*timeout);
}

}  // namespace sluice::daemon
