#include "model/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>

#include "model/limits.hpp"
#include "model/names.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

Result<void> check_own_address(std::string_view attribute, const IpAddress& address) {
  if (is_host_address(address)) return {};
  return invalid_attribute(attribute, address.to_string(), "Value should be a unicast address");
}

Result<void> check_member_address(std::string_view option, const IpAddress& address) {
  if (is_host_address(address)) return {};
  return fail(ErrorKind::invalid,
              fmt::format("{} is not a valid option for {}", address.to_string(), option));
}

Result<void> check_common(const Object& object) {
  for (const auto& tag : object.tags) {
    if (auto length = check_length("tags", tag); !length) return length;
  }
  return first_failure({check_length("name", object.name),
                        check_length("project_id", object.project_id, max_project_id_length)});
}

Result<void> check_url_path(const std::string& path) {
  const bool starts_at_root = path.starts_with('/') && !path.starts_with("//");
  const bool printable =
      std::all_of(path.begin(), path.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (starts_at_root && printable) return check_length("url_path", path);
  return invalid_attribute("url_path", path, "Value must be a valid URL Path string");
}

Result<void> check_expected_codes(const std::string& codes) {
  static const std::regex pattern(R"((\d{3}(\s*,\s*\d{3})*)|(\d{3}-\d{3}))");
  // The length is checked first, because std::regex recurses once per repetition.
  if (auto length = check_length("expected_codes", codes); !length) return length;
  if (std::regex_match(codes, pattern)) return {};
  return invalid_attribute("expected_codes", codes,
                           "Value should match the pattern "
                           R"(^(\d{3}(\s*,\s*\d{3})*)$|^(\d{3}-\d{3})$)");
}

Result<void> check_http_version(const HealthMonitor& monitor) {
  const auto& version = monitor.http_version;
  if (version && *version != "1.0" && *version != "1.1") {
    return invalid_attribute("http_version", *version, "Value should be one of: 1.0, 1.1");
  }
  if (!monitor.domain_name) return {};
  if (!version) {
    return fail(ErrorKind::invalid,
                "Validation failure: 'http_version' must be specified when 'domain_name' is "
                "provided.");
  }
  if (*version == "1.0") {
    return fail(ErrorKind::invalid,
                "http_version 1.0 is not a valid option for health monitors HTTP 1.1 domain name "
                "health check");
  }
  return {};
}

// A check's name is a word of a configuration file and of a log's line.
Result<void> check_name_of_check(const HealthMonitor& monitor) {
  if (monitor.type != MonitorType::external) {
    if (monitor.check.empty()) return {};
    return fail(ErrorKind::invalid,
                fmt::format("check is not a valid option for health monitors of type {}",
                            name(monitor.type)));
  }
  if (monitor.check.empty()) {
    return fail(ErrorKind::invalid,
                "Validation failure: A health monitor of type EXTERNAL must name a check.");
  }
  if (is_name_of_check(monitor.check)) return {};
  return invalid_attribute("check", monitor.check, name_of_check_rule);
}

Result<void> check_http_method(const std::string& method) {
  for (const auto* known :
       {"GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH"}) {
    if (method == known) return {};
  }
  return invalid_attribute(
      "http_method", method,
      "Value should be one of: CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE");
}

// A label of a domain name: letters, digits, hyphens inside, an underscore in front.
bool is_label(std::string_view label) {
  const auto known = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-'; };
  if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
    return false;
  }
  if (label.front() == '_') label.remove_prefix(1);
  return std::ranges::all_of(label, known);
}

// Checks a probe's Host header, in which nothing may end the line.
Result<void> check_domain_name(std::string_view name) {
  if (name.empty()) {
    return invalid_attribute("domain_name", name,
                             "Value should have a minimum character requirement of 1");
  }
  bool valid = name.size() <= 253;
  auto rest = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
  for (std::size_t dot = 0; valid && dot != rest.npos;) {
    dot = rest.find('.');
    valid = is_label(rest.substr(0, dot));
    if (dot != rest.npos) rest.remove_prefix(dot + 1);
  }
  if (valid) return {};
  return invalid_attribute(
      "domain_name", name,
      R"(Value should match the pattern ^(?=.{1,253}\.?$)(?:(?!-|[^.]+_)[A-Za-z0-9-_]{1,63})"
      R"((?<!-)(?:\.|$))+$)");
}

}  // namespace

namespace {

// Says whether the mask is ones followed by zeros. The data plane needs its number of leading bits.
bool is_netmask(const IpAddress& mask) {
  bool ended = false;
  const auto all = [&](const auto& bytes) {
    for (const auto byte : bytes) {
      for (int bit = 7; bit >= 0; --bit) {
        const bool one = byte >> bit & 1;
        if (one && ended) return false;
        ended = ended || !one;
      }
    }
    return true;
  };
  return mask.is_v4() ? all(mask.to_v4().to_bytes()) : all(mask.to_v6().to_bytes());
}

}  // namespace

Result<void> check_persistence(const Pool& pool) {
  if (pool.persistence_granularity && !is_netmask(*pool.persistence_granularity)) {
    return invalid_attribute("persistence_granularity", pool.persistence_granularity->to_string(),
                             "Value should be a netmask, such as 255.255.255.0");
  }
  const bool tuned = pool.persistence_timeout_seconds || pool.persistence_granularity;
  if (!tuned || transport(pool.protocol) != Protocol::tcp) return {};
  return fail(ErrorKind::invalid,
              "Validation failure: persistence_timeout and persistence_granularity is only for UDP "
              "and SCTP protocol pools.");
}

Result<void> first_failure(std::initializer_list<Result<void>> results) {
  for (const auto& result : results) {
    if (!result) return result;
  }
  return {};
}

namespace {

Result<void> check_additional_vips(const LoadBalancer& load_balancer) {
  const auto all = vips(load_balancer);
  for (const auto& vip : load_balancer.additional_vips) {
    if (auto ok = check_own_address("ip_address", vip.address); !ok) return ok;
    if (std::ranges::count(all, vip.address) == 1) continue;
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: VIP address {} is given more than once.",
                            vip.address.to_string()));
  }
  return {};
}

Result<void> check_snat_addresses(const LoadBalancer& load_balancer) {
  const auto all = own_addresses(load_balancer);
  for (const auto& address : load_balancer.snat_addresses) {
    if (auto ok = check_own_address("snat_addresses", address); !ok) return ok;
    if (std::ranges::count(all, address) == 1) continue;
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: SNAT address {} is given more than once, or is a "
                            "VIP, too.",
                            address.to_string()));
  }
  for (const bool ipv6 : {false, true}) {
    if (snat_of_version(load_balancer, ipv6).size() <= max_snat_addresses) continue;
    return fail(ErrorKind::invalid,
                fmt::format("Validation failure: a load balancer has at most {} SNAT addresses of "
                            "an IP version.",
                            max_snat_addresses));
  }
  return {};
}

}  // namespace

Result<void> check(const LoadBalancer& load_balancer) {
  return first_failure({check_common(load_balancer),
                        check_length("description", load_balancer.description),
                        check_own_address("vip_address", load_balancer.vip_address),
                        check_additional_vips(load_balancer), check_snat_addresses(load_balancer)});
}

Result<void> check_on_idle(const Listener& listener) {
  if (listener.on_idle == IdleEnd::forget || transport(listener.protocol) == Protocol::tcp) {
    return {};
  }
  return invalid_attribute("on_idle", name(listener.on_idle),
                           "Only ends of TCP connections can be reset.");
}

Result<void> check_udp_scheduling(const Listener& listener) {
  if (listener.udp_scheduling == UdpScheduling::session || listener.protocol == Protocol::udp) {
    return {};
  }
  return invalid_attribute("udp_scheduling", name(listener.udp_scheduling),
                           "Only datagrams of UDP can be scheduled one by one.");
}

Result<void> check_range_of_ports(const Listener& listener) {
  if (auto ok = check_range("protocol_port_range", last_port(listener), port_range); !ok) return ok;
  if (last_port(listener) >= listener.protocol_port) return {};
  return invalid_attribute(
      "protocol_port_range", std::to_string(last_port(listener)),
      fmt::format("Value is the last port of the range, which begins with protocol_port {}.",
                  listener.protocol_port));
}

Result<void> check(const Listener& listener) {
  return first_failure({
      check_common(listener),
      check_length("description", listener.description),
      check_range("protocol_port", listener.protocol_port, port_range),
      check_range_of_ports(listener),
      check_range("connection_limit", listener.connection_limit, connection_limit_range),
      check_range("new_connection_limit", listener.new_connection_limit, connection_limit_range),
      check_range("idle_timeout", listener.idle_timeout_seconds.value_or(1), idle_timeout_range),
      check_on_idle(listener),
      check_udp_scheduling(listener),
      check_range("timeout_client_data", listener.timeout_client_data_ms, timeout_range_ms),
      check_range("timeout_member_connect", listener.timeout_member_connect_ms, timeout_range_ms),
      check_range("timeout_member_data", listener.timeout_member_data_ms, timeout_range_ms),
      check_range("timeout_tcp_inspect", listener.timeout_tcp_inspect_ms, timeout_range_ms),
  });
}

Result<void> check(const Pool& pool) {
  return first_failure(
      {check_common(pool), check_length("description", pool.description), check_persistence(pool),
       check_range("drain_timeout", pool.drain_timeout_seconds.value_or(0), drain_timeout_range),
       check_range("slow_start", pool.slow_start_seconds.value_or(0), slow_start_range)});
}

Result<void> check(const Member& member) {
  return first_failure({
      check_common(member),
      check_member_address("member address", member.address),
      check_range("protocol_port", member.protocol_port, member_port_range),
      check_range("weight", member.weight, weight_range),
      check_range("max_connections", member.max_connections.value_or(1), max_connections_range),
      member.monitor_address
          ? check_member_address("member monitor_address", *member.monitor_address)
          : Result<void>{},
      member.monitor_port ? check_range("monitor_port", *member.monitor_port, port_range)
                          : Result<void>{},
  });
}

// An SCTP probe's answers can't be told apart by their ports; a program goes its own way.
Result<void> check_probe_vip(const HealthMonitor& monitor) {
  if (!monitor.probe_vip ||
      (monitor.type != MonitorType::sctp && monitor.type != MonitorType::external)) {
    return {};
  }
  return fail(ErrorKind::invalid,
              fmt::format("Validation failure: probe_vip is not possible with a health monitor of "
                          "type {}.",
                          name(monitor.type)));
}

Result<void> check(const HealthMonitor& monitor) {
  return first_failure({
      check_common(monitor),
      check_range("delay", monitor.delay_seconds, seconds_range),
      check_range("timeout", monitor.timeout_seconds, seconds_range),
      check_range("max_retries", monitor.max_retries, retries_range),
      check_range("max_retries_down", monitor.max_retries_down, retries_range),
      check_http_method(monitor.http_method),
      check_url_path(monitor.url_path),
      check_expected_codes(monitor.expected_codes),
      monitor.domain_name ? check_domain_name(*monitor.domain_name) : Result<void>{},
      check_http_version(monitor),
      check_name_of_check(monitor),
      check_probe_vip(monitor),
  });
}

Result<void> check(const FloatingIp& floating_ip) {
  return first_failure({check_common(floating_ip),
                        check_length("description", floating_ip.description),
                        check_own_address("floating_ip_address", floating_ip.address)});
}

}  // namespace sluice::model
