#include "base/tcp_address.hpp"

#include <charconv>

namespace sluice {
namespace {

tl::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorKind::invalid, "'" + std::string(text) + "' is not an address and a port",
              "write 127.0.0.1:9876 or [::1]:9876");
}

}  // namespace

std::string TcpAddress::to_string() const {
  const auto host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return host + ":" + std::to_string(port);
}

Result<TcpAddress> parse_tcp_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return malformed(text);
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = parse_ip_address(host);
  if (!address || address->is_v6() != bracketed) return malformed(text);

  TcpAddress out{*address, 0};
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (error != std::errc() || rest != end) return malformed(text);
  return out;
}

}  // namespace sluice
