#include "api/language/render.hpp"

#include <fmt/chrono.h>
#include <concepts>

#include <boost/json/array.hpp>
#include <chrono>

#include "api/language/fleet.hpp"
#include "model/names.hpp"
#include "model/status.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace json = boost::json;
namespace {

std::string render(const Uuid& id) {
  return to_string(id);
}
std::string render(const IpAddress& address) {
  return address.to_string();
}
std::string render(const std::string& text) {
  return text;
}
std::string render(model::Timestamp time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}", std::chrono::floor<std::chrono::seconds>(time));
}

// Prints an address as its client typed it, if that differs from its canonical form.
std::string as_typed(const IpAddress& address, const std::string& typed) {
  return typed.empty() ? render(address) : typed;
}

template <typename T>
json::value or_null(const std::optional<T>& value) {
  return value ? json::value(render(*value)) : json::value(nullptr);
}

template <std::integral T>
json::value or_null(const std::optional<T>& number) {
  return number ? json::value(*number) : json::value(nullptr);
}

json::object id_only(const Uuid& id) {
  return {{"id", render(id)}};
}

// [{"id": ...}, ...]
template <typename T>
json::array ids_of(const std::vector<const T*>& objects) {
  json::array ids;
  for (const auto* object : objects) ids.push_back(id_only(object->id));
  return ids;
}

template <typename Enum>
json::string word(Enum value) {
  return json::string(model::name(value));
}

Provisioning provisioning(const View& view, const model::Object& object) {
  return api::provisioning(view.fleet, object);
}

// {"lb1": "ONLINE", "lb2": "ERROR"}
json::object by_node(const control::Fleet& fleet, const View& view, const model::Member& member) {
  json::object shown;
  for (const auto& [node, health] : fleet.opinions(member.id)) {
    model::HealthTable table;
    if (health) table.insert_or_assign(member.id, *health);
    shown.emplace(node, word(operating_status(view.relations, table, member)));
  }
  return shown;
}

// The attributes of every object, with the project under both of its names. The reason of ERROR is
// an addition of ours; the real service doesn't tell it.
json::object common(const View& view, const model::Object& object, model::OperatingStatus status) {
  const auto provisioned = provisioning(view, object);
  json::object out{
      {"id", render(object.id)},
      {"name", object.name},
      {"provisioning_status", provisioned.status},
      {"operating_status", word(status)},
      {"admin_state_up", object.admin_state_up},
      {"project_id", object.project_id},
      {"tenant_id", object.project_id},
      {"created_at", render(object.created_at)},
      {"updated_at", or_null(object.updated_at)},
      {"tags", json::array(object.tags.begin(), object.tags.end())},
  };
  if (!provisioned.error.empty()) out.emplace("provisioning_error", provisioned.error);
  return out;
}

json::value cidrs(const std::vector<IpNetwork>& networks) {
  if (networks.empty()) return nullptr;
  json::array shown;
  for (const auto& network : networks) shown.emplace_back(network.to_string());
  return shown;
}

json::array additional_vips(const model::LoadBalancer& object) {
  json::array shown;
  for (const auto& vip : object.additional_vips) {
    shown.push_back(
        json::object{{"subnet_id", or_null(vip.subnet_id)}, {"ip_address", render(vip.address)}});
  }
  return shown;
}

json::array addresses(const std::vector<IpAddress>& all) {
  json::array shown;
  for (const auto& address : all) shown.emplace_back(render(address));
  return shown;
}

json::value persistence(const model::Pool& pool) {
  if (!pool.session_persistence) return nullptr;
  const auto& timeout = pool.persistence_timeout_seconds;
  return json::object{
      {"type", word(*pool.session_persistence)},
      {"cookie_name", nullptr},
      {"persistence_timeout", timeout ? json::value(*timeout) : json::value(nullptr)},
      {"persistence_granularity", or_null(pool.persistence_granularity)},
  };
}

void append(json::object& object, json::object more) {
  for (auto& [key, value] : more) object.emplace(key, std::move(value));
}

}  // namespace

json::object render(const View& view, const model::LoadBalancer& object) {
  auto out = common(view, object, operating_status(view.relations, view.health, object, view.full));
  append(out, {
                  {"description", object.description},
                  {"vip_address", render(object.vip_address)},
                  {"vip_port_id", render(object.vip_port_id)},
                  {"vip_subnet_id", or_null(object.vip_subnet_id)},
                  {"vip_network_id", or_null(object.vip_network_id)},
                  {"vip_qos_policy_id", nullptr},
                  {"on_unmatched", word(object.on_unmatched)},
                  {"announce", word(object.announce)},
                  {"additional_vips", additional_vips(object)},
                  {"snat_addresses", addresses(object.snat_addresses)},
                  {"listeners", ids_of(view.relations.listeners_of(object.id))},
                  {"pools", ids_of(view.relations.pools_of(object.id))},
                  {"provider", object.provider},
                  {"flavor_id", nullptr},
                  {"availability_zone", nullptr},
              });
  return out;
}

json::object render(const View& view, const model::Listener& object) {
  auto out = common(view, object, operating_status(view.relations, view.health, object, view.full));
  append(out, {
                  {"description", object.description},
                  {"protocol", word(object.protocol)},
                  {"protocol_port", object.protocol_port},
                  {"protocol_port_range", or_null(object.protocol_port_range)},
                  {"connection_limit", object.connection_limit},
                  {"new_connection_limit", object.new_connection_limit},
                  {"on_no_member", word(object.on_no_member)},
                  {"syn_authentication", word(object.syn_authentication)},
                  {"udp_scheduling", word(object.udp_scheduling)},
                  {"on_idle", word(object.on_idle)},
                  {"records", object.records},
                  {"default_pool_id", or_null(object.default_pool_id)},
                  {"loadbalancers", json::array{id_only(object.load_balancer_id)}},
                  {"l7policies", json::array()},
                  {"insert_headers", json::object()},
                  {"allowed_cidrs", cidrs(object.allowed_cidrs)},
                  {"idle_timeout", or_null(object.idle_timeout_seconds)},
                  {"timeout_client_data", object.timeout_client_data_ms},
                  {"timeout_member_connect", object.timeout_member_connect_ms},
                  {"timeout_member_connect_set", model::connect_timeout_counts(object)},
                  {"timeout_member_data", object.timeout_member_data_ms},
                  {"timeout_tcp_inspect", object.timeout_tcp_inspect_ms},
                  {"default_tls_container_ref", nullptr},
                  {"sni_container_refs", json::array()},
                  {"client_ca_tls_container_ref", nullptr},
                  {"client_authentication", "NONE"},
                  {"client_crl_container_ref", nullptr},
                  {"tls_ciphers", nullptr},
                  {"tls_versions", nullptr},
                  {"alpn_protocols", nullptr},
              });
  return out;
}

json::object render(const View& view, const model::Pool& object) {
  auto out = common(view, object, operating_status(view.relations, view.health, object));
  append(out, {
                  {"description", object.description},
                  {"protocol", word(object.protocol)},
                  {"lb_algorithm", word(object.lb_algorithm)},
                  {"forwarding_mode", word(object.forwarding_mode)},
                  {"on_member_down", word(object.on_member_down)},
                  {"drain_timeout", or_null(object.drain_timeout_seconds)},
                  {"slow_start", or_null(object.slow_start_seconds)},
                  {"mixed_versions", object.mixed_versions},
                  {"session_persistence", persistence(object)},
                  {"loadbalancers", json::array{id_only(object.load_balancer_id)}},
                  {"listeners", ids_of(view.relations.listeners_with(object.id))},
                  {"members", ids_of(view.relations.members_of(object.id))},
                  {"tls_enabled", false},
                  {"tls_container_ref", nullptr},
                  {"ca_tls_container_ref", nullptr},
                  {"crl_container_ref", nullptr},
                  {"tls_ciphers", nullptr},
                  {"tls_versions", nullptr},
                  {"alpn_protocols", nullptr},
              });
  // Without a monitor the attribute is absent, not null, as in the real service.
  if (const auto* monitor = view.relations.monitor_of(object.id)) {
    out.emplace("healthmonitor_id", render(monitor->id));
  }
  return out;
}

json::object render(const View& view, const model::Member& object) {
  auto out = common(view, object, operating_status(view.relations, view.health, object));
  append(out, {
                  {"address", as_typed(object.address, object.typed_address)},
                  {"protocol_port", object.protocol_port},
                  {"weight", object.weight},
                  {"backup", object.backup},
                  {"max_connections", or_null(object.max_connections)},
                  {"subnet_id", or_null(object.subnet_id)},
                  {"monitor_address", or_null(object.monitor_address)},
                  {"monitor_port", or_null(object.monitor_port)},
              });
  if (view.fleet && model::probed(view.relations, object))
    out.emplace("operating_status_by_node", by_node(*view.fleet, view, object));
  if (object.monitor_address) {
    out["monitor_address"] = as_typed(*object.monitor_address, object.typed_monitor_address);
  }
  return out;
}

json::object render(const View& view, const model::HealthMonitor& object) {
  auto out = common(view, object, operating_status(object));
  const bool http = model::asks_for_page(object.type);
  const auto http_only = [&](const std::string& text) {
    return http ? json::value(text) : json::value(nullptr);
  };
  append(out, {
                  {"type", word(object.type)},
                  {"delay", object.delay_seconds},
                  {"timeout", object.timeout_seconds},
                  {"max_retries", object.max_retries},
                  {"max_retries_down", object.max_retries_down},
                  {"http_method", http_only(object.http_method)},
                  {"url_path", http_only(object.url_path)},
                  {"expected_codes", http_only(object.expected_codes)},
                  {"http_version", nullptr},
                  {"domain_name", or_null(object.domain_name)},
                  {"probe_vip", object.probe_vip},
                  {"pools", json::array{id_only(object.pool_id)}},
              });
  // The API shows a number.
  if (object.type == model::MonitorType::external) out.emplace("check", object.check);
  if (object.http_version) out["http_version"] = *object.http_version == "1.1" ? 1.1 : 1.0;
  return out;
}

json::object render(const View& view, const model::FloatingIp& object) {
  const auto owner = view.model.load_balancers.find(object.load_balancer_id.value_or(Uuid{}));
  const bool known = owner != view.model.load_balancers.end();
  // The VIP to which it leads: the one of its IP version.
  const auto fixed = [&]() -> json::value {
    if (!known) return nullptr;
    const auto vip = model::vip_of_version(owner->second, object.address.is_v6());
    return json::value(render(vip.value_or(owner->second.vip_address)));
  };
  const auto status = [&] {
    if (object.provisioning_status == model::ProvisioningStatus::error) return "ERROR";
    // The API has no word for a pending floating IP. It is applied before its answer is sent.
    return known ? "ACTIVE" : "DOWN";
  };
  return {
      {"id", render(object.id)},
      {"floating_ip_address", render(object.address)},
      {"fixed_ip_address", fixed()},
      {"port_id", known ? json::value(render(owner->second.vip_port_id)) : nullptr},
      {"status", status()},
      {"description", object.description},
      {"project_id", object.project_id},
      {"tenant_id", object.project_id},
      {"created_at", render(object.created_at)},
      {"updated_at", or_null(object.updated_at)},
      {"tags", json::array(object.tags.begin(), object.tags.end())},
      {"floating_network_id", or_null(object.network_id)},
      {"router_id", nullptr},
      {"qos_policy_id", nullptr},
      {"port_details", nullptr},
      {"dns_domain", ""},
      {"dns_name", ""},
  };
}

void show_as_never_updated(json::object& rendered) {
  const auto* pool = rendered.if_contains("default_pool_id");
  rendered["updated_at"] = pool && pool->is_string() ? rendered["created_at"] : json::value();
}

namespace {

// Shows an object as being created, whatever has happened to it meanwhile.
template <typename T>
json::object render_new(const View& view, const T& object) {
  auto out = render(view, object);
  out["provisioning_status"] = "PENDING_CREATE";
  out["operating_status"] = "OFFLINE";
  show_as_never_updated(out);
  return out;
}

json::object render_new_pool(const View& view, const model::Pool& pool) {
  auto out = render_new(view, pool);
  const auto* monitor = view.relations.monitor_of(pool.id);
  json::array members;
  for (const auto* member : view.relations.members_of(pool.id)) {
    auto entry = render_new(view, *member);
    if (monitor == nullptr) entry["operating_status"] = "NO_MONITOR";
    members.push_back(std::move(entry));
  }
  out["members"] = std::move(members);
  out["healthmonitor"] = monitor ? json::value(render_new(view, *monitor)) : json::value(nullptr);
  out.erase("healthmonitor_id");
  out.erase("loadbalancers");
  return out;
}

}  // namespace

json::object render_tree(const View& view, const model::LoadBalancer& object) {
  auto out = render_new(view, object);
  json::array listeners, pools;
  for (const auto* listener : view.relations.listeners_of(object.id)) {
    listeners.push_back(render_new(view, *listener));
    listeners.back().as_object().erase("loadbalancers");
  }
  for (const auto* pool : view.relations.pools_of(object.id)) {
    pools.push_back(render_new_pool(view, *pool));
  }
  out["listeners"] = std::move(listeners);
  out["pools"] = std::move(pools);
  return out;
}

namespace {

json::object status_entry(const View& view, const model::Object& object,
                          model::OperatingStatus status) {
  return {
      {"id", render(object.id)},
      {"name", object.name},
      {"operating_status", word(status)},
      {"provisioning_status", provisioning(view, object).status},
  };
}

json::object status_entry(const View& view, const model::Pool& pool) {
  auto out = status_entry(view, pool, operating_status(view.relations, view.health, pool));
  if (const auto* monitor = view.relations.monitor_of(pool.id)) {
    auto entry = status_entry(view, *monitor, operating_status(*monitor));
    entry.emplace("type", word(monitor->type));
    out.emplace("health_monitor", std::move(entry));
  }
  json::array members;
  for (const auto* member : view.relations.members_of(pool.id)) {
    auto entry =
        status_entry(view, *member, operating_status(view.relations, view.health, *member));
    entry.emplace("address", as_typed(member->address, member->typed_address));
    entry.emplace("protocol_port", member->protocol_port);
    members.push_back(std::move(entry));
  }
  out.emplace("members", std::move(members));
  return out;
}

}  // namespace

json::object render_status_tree(const View& view, const model::LoadBalancer& object) {
  json::array listeners;
  for (const auto* listener : view.relations.listeners_of(object.id)) {
    auto entry = status_entry(view, *listener,
                              operating_status(view.relations, view.health, *listener, view.full));
    json::array pools;
    if (listener->default_pool_id) {
      const auto pool = view.model.pools.find(*listener->default_pool_id);
      if (pool != view.model.pools.end()) pools.push_back(status_entry(view, pool->second));
    }
    entry.emplace("pools", std::move(pools));
    listeners.push_back(std::move(entry));
  }
  auto root =
      status_entry(view, object, operating_status(view.relations, view.health, object, view.full));
  root.emplace("listeners", std::move(listeners));
  return {{"statuses", json::object{{"loadbalancer", std::move(root)}}}};
}

}  // namespace sluice::api
