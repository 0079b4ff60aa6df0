// Connections that the tests have in common.
#pragma once

#include <arpa/inet.h>

#include <cstring>
#include <string>

#include "base/uuid.hpp"
#include "dataplane/replicas.hpp"
#include "model/objects.hpp"
#include "peers/keys.hpp"

namespace sluice::peers {

inline sluice_address address(const char* text) {
  sluice_address result{};
  inet_pton(std::strchr(text, ':') ? AF_INET6 : AF_INET, text, &result);
  return result;
}

inline sluice_id id(std::uint8_t number) {
  sluice_id id{};
  id.bytes[0] = 0xab;
  id.bytes[15] = number;
  return id;
}

// The connection of this number: of client port `number`, by way of a source port of its own.
inline sluice_flow_image connection(std::uint16_t number, std::uint8_t family = 4) {
  sluice_flow_image image{};
  const bool is_ipv6 = family == 6;
  image.family = family;
  image.protocol = 1;
  image.client = address(is_ipv6 ? "2001:db8:c::5" : "203.0.113.5");
  image.vip = image.source = address(is_ipv6 ? "2001:db8::16" : "10.0.0.16");
  image.member = address(is_ipv6 ? "2001:db8:9::7" : "10.9.0.7");
  image.client_port = htons(number);
  image.vip_port = htons(80);
  image.source_port = htons(number);
  image.member_port = htons(8080);
  image.listener_id = id(1);
  image.member_id = id(static_cast<std::uint8_t>(2 + number % 8));
  image.listener_index = image.member_index = SLUICE_NO_INDEX;
  image.client_idle = 3;
  image.member_idle = 4;
  image.phase = 3;
  image.flags = SLUICE_IMAGE_KEEPS_CLIENT;
  return image;
}

inline dataplane::FlowChange begins(std::uint16_t number, std::uint8_t family = 4) {
  return {dataplane::FlowEvent::begins, connection(number, family)};
}
inline dataplane::FlowChange ends(std::uint16_t number, std::uint8_t family = 4) {
  return {dataplane::FlowEvent::ends, connection(number, family)};
}

// The load balancer of IPv4 connections, as another node may have it.
inline model::Model load_balancer_of_connections() {
  model::Model model;
  model::LoadBalancer balancer;
  balancer.id = new_uuid();
  balancer.vip_address = *parse_ip_address("10.0.0.16");
  model::Pool pool;
  pool.id = new_uuid();
  pool.load_balancer_id = balancer.id;
  model::Listener listener;
  listener.id = new_uuid();
  listener.load_balancer_id = balancer.id;
  listener.protocol_port = 80;
  listener.default_pool_id = pool.id;
  model::Member member;
  member.id = new_uuid();
  member.pool_id = pool.id;
  member.address = *parse_ip_address("10.9.0.7");
  member.protocol_port = 8080;
  model.load_balancers.put(balancer);
  model.pools.put(pool);
  model.listeners.put(listener);
  model.members.put(member);
  return model;
}

inline Keys keys(const std::string& digits = std::string(64, 'a')) {
  return *Keys::parse(digits);
}

}  // namespace sluice::peers
