// Values: the form of each type of attribute in a column. Private to store/.
//
// `write` binds a value to a parameter, `read` sets it from a column and says whether the column
// held one that the type knows (a word of an enum, an address). The row is a Statement of SQLite or
// a JsonRow (object_json.cpp).
#pragma once

#include <concepts>
#include <sstream>
#include <type_traits>

#include "model/names.hpp"
#include "model/objects.hpp"

namespace sluice::store {

// Enums are stored as the API's words, which parse_* reads back.
inline auto parse_word(std::string_view text, model::ProvisioningStatus) {
  return model::parse_provisioning_status(text);
}
inline auto parse_word(std::string_view text, model::Protocol) {
  return model::parse_protocol(text);
}
inline auto parse_word(std::string_view text, model::Algorithm) {
  return model::parse_algorithm(text);
}
inline auto parse_word(std::string_view text, model::ForwardingMode) {
  return model::parse_forwarding_mode(text);
}
inline auto parse_word(std::string_view text, model::Announce) {
  return model::parse_announce(text);
}
inline auto parse_word(std::string_view text, model::RefusalMode) {
  return model::parse_refusal_mode(text);
}
inline auto parse_word(std::string_view text, model::UdpScheduling) {
  return model::parse_udp_scheduling(text);
}
inline auto parse_word(std::string_view text, model::IdleEnd) {
  return model::parse_idle_end(text);
}
inline auto parse_word(std::string_view text, model::SynAuthentication) {
  return model::parse_syn_authentication(text);
}
inline auto parse_word(std::string_view text, model::MemberDownMode) {
  return model::parse_member_down_mode(text);
}
inline auto parse_word(std::string_view text, model::SessionPersistence) {
  return model::parse_session_persistence(text);
}
inline auto parse_word(std::string_view text, model::MonitorType) {
  return model::parse_monitor_type(text);
}
inline auto parse_word(std::string_view text, model::Health) {
  return model::parse_health(text);
}

template <typename T>
concept Word = std::is_enum_v<T>;

template <std::integral T>
void write(auto& statement, int at, const T& value) {
  statement.bind(at, static_cast<std::int64_t>(value));
}
template <std::integral T>
bool read(const auto& statement, int at, T& value) {
  const auto stored = statement.integer(at);
  value = static_cast<T>(stored);
  return static_cast<std::int64_t>(value) == stored;
}

void write(auto& statement, int at, const std::string& value) {
  statement.bind(at, std::string_view(value));
}
bool read(const auto& statement, int at, std::string& value) {
  value = statement.text(at);
  return true;
}

void write(auto& statement, int at, const Uuid& value) {
  statement.bind(at, std::string_view(to_string(value)));
}
bool read(const auto& statement, int at, Uuid& value) {
  const auto parsed = parse_uuid(statement.text(at));
  if (parsed) value = *parsed;
  return parsed.has_value();
}

void write(auto& statement, int at, const IpAddress& value) {
  statement.bind(at, std::string_view(value.to_string()));
}
bool read(const auto& statement, int at, IpAddress& value) {
  const auto parsed = parse_ip_address(statement.text(at));
  if (parsed) value = *parsed;
  return parsed.has_value();
}

void write(auto& statement, int at, const model::Timestamp& value) {
  statement.bind(at, std::int64_t{value.time_since_epoch().count()});
}
bool read(const auto& statement, int at, model::Timestamp& value) {
  value = model::Timestamp(std::chrono::microseconds(statement.integer(at)));
  return true;
}

// Blank-separated: "10.0.0.0/8 192.0.2.1/32".
void write(auto& statement, int at, const std::vector<IpNetwork>& value) {
  std::string text;
  for (const auto& network : value)
    text.append(text.empty() ? "" : " ").append(network.to_string());
  statement.bind(at, std::string_view(text));
}
bool read(const auto& statement, int at, std::vector<IpNetwork>& value) {
  value.clear();
  std::istringstream text(statement.text(at));
  for (std::string word; text >> word;) {
    auto network = parse_ip_network(word);
    if (!network) return false;
    value.push_back(*network);
  }
  return true;
}

// Blank-separated: "10.0.0.18 10.0.0.19".
void write(auto& statement, int at, const std::vector<IpAddress>& value) {
  std::string text;
  for (const auto& address : value)
    text.append(text.empty() ? "" : " ").append(address.to_string());
  statement.bind(at, std::string_view(text));
}
bool read(const auto& statement, int at, std::vector<IpAddress>& value) {
  value.clear();
  std::istringstream text(statement.text(at));
  for (std::string word; text >> word;) {
    const auto address = parse_ip_address(word);
    if (!address) return false;
    value.push_back(*address);
  }
  return true;
}

// Blank-separated, each with its subnet if it has one: "2001:db8::16/9e4daf63-... 192.0.2.1/".
void write(auto& statement, int at, const std::vector<model::AdditionalVip>& value) {
  std::string text;
  for (const auto& vip : value) {
    text.append(text.empty() ? "" : " ").append(vip.address.to_string()).append("/");
    text.append(vip.subnet_id.value_or(""));
  }
  statement.bind(at, std::string_view(text));
}
bool read(const auto& statement, int at, std::vector<model::AdditionalVip>& value) {
  value.clear();
  std::istringstream text(statement.text(at));
  for (std::string word; text >> word;) {
    const auto slash = word.find('/');
    const auto address = parse_ip_address(word.substr(0, slash));
    if (!address || slash == word.npos) return false;
    auto& vip = value.emplace_back(model::AdditionalVip{*address, std::nullopt});
    if (slash + 1 < word.size()) vip.subnet_id = word.substr(slash + 1);
  }
  return true;
}

template <Word T>
void write(auto& statement, int at, const T& value) {
  statement.bind(at, model::name(value));
}
template <Word T>
bool read(const auto& statement, int at, T& value) {
  const auto parsed = parse_word(statement.text(at), T{});
  if (parsed) value = *parsed;
  return parsed.has_value();
}

template <typename T>
void write(auto& statement, int at, const std::optional<T>& value) {
  if (value) {
    write(statement, at, *value);
  } else {
    statement.bind_null(at);
  }
}
template <typename T>
bool read(const auto& statement, int at, std::optional<T>& value) {
  value.reset();
  return statement.is_null(at) || read(statement, at, value.emplace());
}

}  // namespace sluice::store
