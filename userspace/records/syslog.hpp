// Syslog: sends records as syslog messages, one for each, whose text is the line of JSON: to this
// host's syslog (journald, rsyslog) or over UDP to another's (RFC 5424, RFC 5426).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/tcp_address.hpp"

namespace sluice::records {

// What stands before the line. Severity info, facility daemon. Pure.
//
// RFC 5424, 6.2; `host` is this host's name.
std::string syslog_head(std::int64_t wall_nanoseconds, std::string_view host, int pid);
// What libc's syslog(3) writes to /dev/log, where the reader knows the host.
std::string local_syslog_head(std::int64_t wall_nanoseconds, int pid);

class Syslog {
 public:
  // This host's. There may be nobody who reads it yet.
  static Result<Syslog> open_local(std::string path = "/dev/log");
  // The address is the server's; over UDP, in spite of its type's name. `host`: this host's name.
  static Result<Syslog> open(const TcpAddress& server, std::string host);

  // Sends each of the lines as a message. One that can't be sent at once is lost, and counted.
  void send(std::string_view lines, std::int64_t wall_nanoseconds);

  std::uint64_t messages() const { return messages_; }
  std::uint64_t failures() const { return failures_; }

 private:
  Syslog(UniqueFd socket, std::string path, std::string host)
      : socket_(std::move(socket)), path_(std::move(path)), host_(std::move(host)) {}
  bool send_one(std::string_view head, std::string_view line);

  UniqueFd socket_;
  std::string path_;  // of the local one; empty: another host's
  std::string host_;
  std::uint64_t messages_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace sluice::records
