// Vocabulary: the API's words for its enums, in the order of its error texts. A word that is here
// but not in model/names.hpp is valid, but not supported by this version.
#pragma once

#include <array>
#include <string_view>

namespace sluice::api::words {

using namespace std::string_view_literals;

inline constexpr std::array listener_protocols = {
    "TCP"sv, "HTTPS"sv, "HTTP"sv, "TERMINATED_HTTPS"sv, "UDP"sv, "SCTP"sv, "PROMETHEUS"sv};
inline constexpr std::array pool_protocols = {"TCP"sv,     "HTTP"sv, "HTTPS"sv, "PROXY"sv,
                                              "PROXYV2"sv, "UDP"sv,  "SCTP"sv};
inline constexpr std::array client_authentications = {"NONE"sv, "OPTIONAL"sv, "MANDATORY"sv};
inline constexpr std::array session_persistences = {"SOURCE_IP"sv, "HTTP_COOKIE"sv, "APP_COOKIE"sv};
inline constexpr std::array algorithms = {"LEAST_CONNECTIONS"sv, "ROUND_ROBIN"sv, "SOURCE_IP"sv,
                                          "SOURCE_IP_PORT"sv,
                                          "MAGLEV"sv};  // the last is Sluice's own
inline constexpr std::array forwarding_modes = {"fullnat"sv, "dnat"sv, "dsr"sv, "ipip"sv, "gue"sv};
inline constexpr std::array refusal_modes = {"drop"sv, "reset"sv};
inline constexpr std::array udp_schedulings = {"session"sv, "packet"sv};
inline constexpr std::array announces = {"always"sv, "healthy"sv};
inline constexpr std::array idle_ends = {"forget"sv, "reset"sv};
inline constexpr std::array syn_authentications = {"auto"sv, "always"sv, "off"sv};
inline constexpr std::array member_down_modes = {"keep"sv, "reset"sv};
inline constexpr std::array monitor_types = {"HTTP"sv, "HTTPS"sv,     "PING"sv,
                                             "TCP"sv,  "TLS-HELLO"sv, "UDP-CONNECT"sv,
                                             "SCTP"sv, "EXTERNAL"sv};  // the last is Sluice's own
inline constexpr std::array http_methods = {"GET"sv,     "HEAD"sv,    "POST"sv,
                                            "PUT"sv,     "DELETE"sv,  "TRACE"sv,
                                            "OPTIONS"sv, "CONNECT"sv, "PATCH"sv};

}  // namespace sluice::api::words
