// What sends datagrams to one server, and never waits.
#pragma once

#include <sys/uio.h>

#include <span>
#include <string_view>

#include "base/fd.hpp"
#include "base/result.hpp"
#include "base/tcp_address.hpp"

namespace sluice::records {

// A UDP socket connected to the server (UDP in spite of the address's type's name). There may be no
// way to it yet: then datagrams fail until there is one. `what`: for the error, "the collector".
Result<UniqueFd> udp_socket_to(const TcpAddress& server, std::string_view what);

// Sends the parts as one datagram. False, with errno: it could not be sent at once.
bool send_datagram(int socket, std::span<const iovec> parts);

}  // namespace sluice::records
