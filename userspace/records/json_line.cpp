#include "records/json_line.hpp"

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/compile.h>
#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <ctime>
#include <iterator>

namespace sluice::records {
namespace {

// The address as text, in a buffer of the caller's. Of a connection between the IP versions, IPv4
// addresses are mapped ones (::ffff:10.0.0.4).
struct AddressText {
  char text[INET6_ADDRSTRLEN];
  AddressText(const Connection& connection, const Endpoint& end) {
    in6_addr ipv6;
    std::memcpy(&ipv6, &end.address, sizeof ipv6);
    if (!connection.is_ipv6) {
      inet_ntop(AF_INET, &ipv6, text, sizeof text);
    } else if (IN6_IS_ADDR_V4MAPPED(&ipv6)) {
      inet_ntop(AF_INET, &ipv6.s6_addr[12], text, sizeof text);
    } else {
      inet_ntop(AF_INET6, &ipv6, text, sizeof text);
    }
  }
};

// "2026-11-30T02:07:11.123456Z". The seconds are kept from call to call, because most records of a
// moment have the same.
std::string_view date_and_time(std::int64_t seconds) {
  thread_local std::int64_t last = -1;
  thread_local std::string text;
  if (seconds != last) {
    text = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(seconds)));
    last = seconds;
  }
  return text;
}

}  // namespace

// Its values need no escaping but the names, which have it already; so it is not put together by a
// JSON library, which takes three times as long.
void append_json_line(std::string& out, const Connection& c, std::string_view names,
                      std::int64_t wall_offset) {
  const auto wall = static_cast<std::int64_t>(c.nanoseconds) + wall_offset;
  const auto to = std::back_inserter(out);
  fmt::format_to(to, FMT_COMPILE(R"({{"time":"{}.{:06}Z","event":"{}",)"),
                 date_and_time(wall / 1'000'000'000), wall % 1'000'000'000 / 1000, word(c.event));
  if (!names.empty()) fmt::format_to(to, FMT_COMPILE("{},"), names);
  fmt::format_to(
      to,
      FMT_COMPILE(
          R"("protocol":"{}","client":"{}","client_port":{},"vip":"{}","vip_port":{},"source":"{}","source_port":{},"member_address":"{}","member_port":{})"),
      protocol_word(c.protocol), AddressText(c, c.client).text, c.client.port,
      AddressText(c, c.vip).text, c.vip.port, AddressText(c, c.source).text, c.source.port,
      AddressText(c, c.member).text, c.member.port);
  if (c.handshake_microseconds != 0)
    fmt::format_to(to, FMT_COMPILE(R"(,"handshake_us":{})"), c.handshake_microseconds);
  if (c.event == SLUICE_RECORD_ENDS) fmt::format_to(to, FMT_COMPILE(R"(,"end":"{}")"), word(c.end));
  if (c.began_nanoseconds) {
    fmt::format_to(to, FMT_COMPILE(R"(,"duration_us":{})"),
                   (c.nanoseconds - *c.began_nanoseconds) / 1000);
  }
  out += "}\n";
}

}  // namespace sluice::records
