#include "records/syslog.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

#include "records/datagrams.hpp"

namespace sluice::records {
namespace {

constexpr int priority = LOG_DAEMON | LOG_INFO;
constexpr std::int64_t nanoseconds_a_second = 1'000'000'000;

// Connects the socket to whoever reads the path at present.
bool connect_local(int socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

std::string syslog_head(std::int64_t wall_nanoseconds, std::string_view host, int pid) {
  const std::time_t second = wall_nanoseconds / nanoseconds_a_second;
  return fmt::format("<{}>1 {:%Y-%m-%dT%H:%M:%S}.{:06}Z {} sluiced {} connection - ", priority,
                     fmt::gmtime(second), wall_nanoseconds % nanoseconds_a_second / 1000,
                     host.empty() ? "-" : host, pid);
}

std::string local_syslog_head(std::int64_t wall_nanoseconds, int pid) {
  const std::time_t second = wall_nanoseconds / nanoseconds_a_second;
  return fmt::format("<{}>{:%b %e %H:%M:%S} sluiced[{}]: ", priority, fmt::localtime(second), pid);
}

Result<Syslog> Syslog::open_local(std::string path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::invalid, "the path '" + path + "' is too long for a socket");
  }
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "open a socket to " + path);
  (void)connect_local(socket.get(), path);  // send_one() tries again
  return Syslog(std::move(socket), std::move(path), {});
}

Result<Syslog> Syslog::open(const TcpAddress& server, std::string host) {
  auto socket = udp_socket_to(server, "the syslog server");
  if (!socket) return tl::unexpected(std::move(socket.error()));
  return Syslog(std::move(*socket), {}, std::move(host));
}

bool Syslog::send_one(std::string_view head, std::string_view line) {
  const std::array<iovec, 2> parts{{{const_cast<char*>(head.data()), head.size()},
                                    {const_cast<char*>(line.data()), line.size()}}};
  if (send_datagram(socket_.get(), parts)) return true;
  // A syslog that was restarted has another socket behind the path.
  const bool is_gone = errno == ECONNREFUSED || errno == ENOTCONN || errno == EDESTADDRREQ;
  return !path_.empty() && is_gone && connect_local(socket_.get(), path_) &&
         send_datagram(socket_.get(), parts);
}

void Syslog::send(std::string_view lines, std::int64_t wall_nanoseconds) {
  const auto head = path_.empty() ? syslog_head(wall_nanoseconds, host_, ::getpid())
                                  : local_syslog_head(wall_nanoseconds, ::getpid());
  while (!lines.empty()) {
    const auto end = lines.find('\n');
    ++(send_one(head, lines.substr(0, end)) ? messages_ : failures_);
    lines.remove_prefix(end == lines.npos ? lines.size() : end + 1);
  }
}

}  // namespace sluice::records
