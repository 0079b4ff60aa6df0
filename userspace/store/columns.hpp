// Columns: the column of each attribute of an object, for writing and reading alike. Private to
// store/.
//
// `columns(visitor, object)` calls visitor("name", attribute) for each column of the object's
// table. Tags live in a table of their own.
#pragma once

#include <concepts>
#include <type_traits>

#include "model/event_record.hpp"
#include "model/objects.hpp"

namespace sluice::store {

constexpr const char* table_of(const model::LoadBalancer&) {
  return "load_balancers";
}
constexpr const char* table_of(const model::Listener&) {
  return "listeners";
}
constexpr const char* table_of(const model::Pool&) {
  return "pools";
}
constexpr const char* table_of(const model::Member&) {
  return "members";
}
constexpr const char* table_of(const model::HealthMonitor&) {
  return "health_monitors";
}
constexpr const char* table_of(const model::FloatingIp&) {
  return "floating_ips";
}

template <typename Visitor, typename Any>
void common_columns(Visitor& visit, Any& object) {
  visit("id", object.id);
  visit("project_id", object.project_id);
  visit("name", object.name);
  visit("admin_state_up", object.admin_state_up);
  visit("provisioning_status", object.provisioning_status);
  visit("provisioning_error", object.provisioning_error);
  visit("created_at", object.created_at);
  visit("updated_at", object.updated_at);
}

template <typename T, typename Kind>
concept Of = std::same_as<std::remove_const_t<T>, Kind>;

template <typename Visitor, Of<model::LoadBalancer> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("description", object.description);
  visit("vip_address", object.vip_address);
  visit("additional_vips", object.additional_vips);
  visit("vip_port_id", object.vip_port_id);
  visit("vip_subnet_id", object.vip_subnet_id);
  visit("vip_network_id", object.vip_network_id);
  visit("on_unmatched", object.on_unmatched);
  visit("announce", object.announce);
  visit("provider", object.provider);
  visit("change_failed", object.change_failed);
  visit("snat_addresses", object.snat_addresses);
}

template <typename Visitor, Of<model::Listener> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("description", object.description);
  visit("load_balancer_id", object.load_balancer_id);
  visit("protocol", object.protocol);
  visit("protocol_port", object.protocol_port);
  visit("protocol_port_range", object.protocol_port_range);
  visit("default_pool_id", object.default_pool_id);
  visit("allowed_cidrs", object.allowed_cidrs);
  visit("connection_limit", object.connection_limit);
  visit("new_connection_limit", object.new_connection_limit);
  visit("on_no_member", object.on_no_member);
  visit("syn_authentication", object.syn_authentication);
  visit("udp_scheduling", object.udp_scheduling);
  visit("on_idle", object.on_idle);
  visit("records", object.records);
  visit("idle_timeout_seconds", object.idle_timeout_seconds);
  visit("data_timeouts_count", object.data_timeouts_count);
  visit("connect_timeout_set", object.connect_timeout_set);
  visit("timeout_client_data_ms", object.timeout_client_data_ms);
  visit("timeout_member_connect_ms", object.timeout_member_connect_ms);
  visit("timeout_member_data_ms", object.timeout_member_data_ms);
  visit("timeout_tcp_inspect_ms", object.timeout_tcp_inspect_ms);
}

template <typename Visitor, Of<model::Pool> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("description", object.description);
  visit("load_balancer_id", object.load_balancer_id);
  visit("protocol", object.protocol);
  visit("lb_algorithm", object.lb_algorithm);
  visit("forwarding_mode", object.forwarding_mode);
  visit("on_member_down", object.on_member_down);
  visit("drain_timeout_seconds", object.drain_timeout_seconds);
  visit("slow_start_seconds", object.slow_start_seconds);
  visit("mixed_versions", object.mixed_versions);
  visit("session_persistence", object.session_persistence);
  visit("persistence_timeout_seconds", object.persistence_timeout_seconds);
  visit("persistence_granularity", object.persistence_granularity);
}

template <typename Visitor, Of<model::Member> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("pool_id", object.pool_id);
  visit("address", object.address);
  visit("protocol_port", object.protocol_port);
  visit("weight", object.weight);
  visit("backup", object.backup);
  visit("subnet_id", object.subnet_id);
  visit("monitor_address", object.monitor_address);
  visit("monitor_port", object.monitor_port);
  visit("typed_address", object.typed_address);
  visit("typed_monitor_address", object.typed_monitor_address);
  visit("drain_until", object.drain_until);
  visit("max_connections", object.max_connections);
}

template <typename Visitor, Of<model::HealthMonitor> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("pool_id", object.pool_id);
  visit("type", object.type);
  visit("delay_seconds", object.delay_seconds);
  visit("timeout_seconds", object.timeout_seconds);
  visit("max_retries", object.max_retries);
  visit("max_retries_down", object.max_retries_down);
  visit("http_method", object.http_method);
  visit("url_path", object.url_path);
  visit("expected_codes", object.expected_codes);
  visit("http_version", object.http_version);
  visit("domain_name", object.domain_name);
  visit("check_name", object.check);
  visit("probe_vip", object.probe_vip);
}

template <typename Visitor, Of<model::FloatingIp> T>
void columns(Visitor& visit, T& object) {
  common_columns(visit, object);
  visit("description", object.description);
  visit("address", object.address);
  visit("network_id", object.network_id);
  visit("load_balancer_id", object.load_balancer_id);
}

template <typename Visitor, Of<model::Quota> T>
void columns(Visitor& visit, T& quota) {
  visit("load_balancer", quota.load_balancer);
  visit("listener", quota.listener);
  visit("member", quota.member);
  visit("pool", quota.pool);
  visit("health_monitor", quota.health_monitor);
  visit("l7policy", quota.l7policy);
  visit("l7rule", quota.l7rule);
}

template <typename Visitor, Of<model::EventRecord> T>
void columns(Visitor& visit, T& event) {
  visit("number", event.number);
  visit("time", event.time);
  visit("kind", event.kind);
  visit("object_type", event.object_type);
  visit("object_id", event.object_id);
  visit("object_name", event.object_name);
  visit("project_id", event.project_id);
  visit("text", event.text);
}

}  // namespace sluice::store
