#include "sluicectl/manifest/item.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/json/serialize.hpp>

namespace sluice::ctl {
namespace {

namespace json = boost::json;
namespace ip = boost::asio::ip;

std::string canonical_cidr(const std::string& text) {
  boost::system::error_code error;
  const bool has_prefix = text.find('/') != std::string::npos;
  if (const auto v4 = ip::make_network_v4(has_prefix ? text : text + "/32", error); !error)
    return v4.canonical().to_string();
  if (const auto v6 = ip::make_network_v6(has_prefix ? text : text + "/128", error); !error)
    return v6.canonical().to_string();
  return text;  // the server will say what is wrong with it
}

std::string canonical_address(const std::string& text) {
  boost::system::error_code error;
  const auto address = ip::make_address(text, error);
  return error ? text : address.to_string();
}

json::value sorted(json::array array) {
  std::sort(array.begin(), array.end(),
            [](const auto& a, const auto& b) { return json::serialize(a) < json::serialize(b); });
  array.erase(std::unique(array.begin(), array.end()), array.end());
  if (array.empty()) return nullptr;
  return array;
}

json::value without_nulls(const json::object& object) {
  json::object out;
  for (const auto& [key, value] : object)
    if (!value.is_null()) out[key] = value;
  if (out.empty()) return nullptr;
  return out;
}

json::value each_without_nulls(const json::array& maps) {
  json::array out;
  for (const auto& map : maps)
    out.push_back(map.is_object() ? without_nulls(map.get_object()) : map);
  if (out.empty()) return nullptr;
  return out;
}

const Field name{"name", Type::text, ""};
const Field description{"description", Type::text, ""};
const Field enabled{"admin_state_up", Type::boolean, true};
const Field tags{"tags", Type::list};

Field given(std::string field, Type type) {
  return {.name = std::move(field), .type = type, .mandatory = true};
}
Field fixed(std::string field, Type type, json::value fallback = nullptr) {
  return {.name = std::move(field), .type = type, .fallback = std::move(fallback), .fixed = true};
}

}  // namespace

const Shape& document_shape() {
  static const Shape shape{.title = "document",
                           .children = {&load_balancer_shape(), &floating_ip_shape()}};
  return shape;
}

const Shape& load_balancer_shape() {
  static const Shape shape{
      .title = "load balancer",
      .section = "loadbalancers",
      .wrapper = "loadbalancer",
      .collection = "/v2/lbaas/loadbalancers",
      .fields = {name,
                 description,
                 fixed("vip_address", Type::text),
                 fixed("vip_subnet_id", Type::text),
                 fixed("additional_vips", Type::maps),
                 fixed("project_id", Type::text, "00000000000000000000000000000000"),
                 {"on_unmatched", Type::lower, "drop"},
                 {"announce", Type::lower, "always"},
                 {"snat_addresses", Type::addresses},
                 enabled,
                 tags},
      .children = {&listener_shape(), &pool_shape(), &floating_ip_shape()}};
  return shape;
}

const Shape& listener_shape() {
  static const Shape shape{.title = "listener",
                           .section = "listeners",
                           .wrapper = "listener",
                           .collection = "/v2/lbaas/listeners",
                           .fields = {name,
                                      description,
                                      given("protocol", Type::upper),
                                      given("protocol_port", Type::integer),
                                      fixed("protocol_port_range", Type::integer),
                                      {"default_pool", Type::text},
                                      {"connection_limit", Type::integer, -1},
                                      {"new_connection_limit", Type::integer, -1},
                                      {"on_no_member", Type::lower, "drop"},
                                      {"syn_authentication", Type::lower, "auto"},
                                      {"udp_scheduling", Type::lower, "session"},
                                      {"on_idle", Type::lower, "forget"},
                                      {"records", Type::boolean, true},
                                      {"allowed_cidrs", Type::cidrs},
                                      {"idle_timeout", Type::integer},
                                      {"timeout_client_data", Type::integer, 50000},
                                      {.name = "timeout_member_connect",
                                       .type = Type::integer,
                                       .given_if = "timeout_member_connect_set"},
                                      {"timeout_member_data", Type::integer, 50000},
                                      {"timeout_tcp_inspect", Type::integer, 0},
                                      enabled,
                                      tags}};
  return shape;
}

const Shape& pool_shape() {
  static const Shape shape{.title = "pool",
                           .section = "pools",
                           .wrapper = "pool",
                           .collection = "/v2/lbaas/pools",
                           .fields = {name,
                                      description,
                                      given("protocol", Type::upper),
                                      given("lb_algorithm", Type::upper),
                                      {"forwarding_mode", Type::lower, "fullnat"},
                                      {"on_member_down", Type::lower, "reset"},
                                      {"drain_timeout", Type::integer},
                                      {"slow_start", Type::integer},
                                      {"mixed_versions", Type::boolean, false},
                                      {"session_persistence", Type::map},
                                      enabled,
                                      tags},
                           .children = {&health_monitor_shape(), &member_shape()}};
  return shape;
}

const Shape& member_shape() {
  static const Shape shape{.title = "member",
                           .section = "members",
                           .wrapper = "member",
                           .collection = "/v2/lbaas/pools/{}/members",
                           .fields = {name,
                                      given("address", Type::text),
                                      given("protocol_port", Type::integer),
                                      {"weight", Type::integer, 1},
                                      {"backup", Type::boolean, false},
                                      {"max_connections", Type::integer},
                                      {"monitor_address", Type::text},
                                      {"monitor_port", Type::integer},
                                      fixed("subnet_id", Type::text),
                                      enabled,
                                      tags}};
  return shape;
}

const Shape& health_monitor_shape() {
  static const Shape shape{.title = "health monitor",
                           .section = "healthmonitor",
                           .wrapper = "healthmonitor",
                           .collection = "/v2/lbaas/healthmonitors",
                           .single = true,
                           .fields = {name,
                                      given("type", Type::upper),
                                      given("delay", Type::integer),
                                      given("timeout", Type::integer),
                                      given("max_retries", Type::integer),
                                      {"max_retries_down", Type::integer, 3},
                                      {"http_method", Type::upper, "GET"},
                                      {"url_path", Type::text, "/"},
                                      {"expected_codes", Type::text, "200"},
                                      {"http_version", Type::decimal},
                                      {"domain_name", Type::text},
                                      {"check", Type::text},
                                      {"probe_vip", Type::boolean, false},
                                      enabled,
                                      tags}};
  return shape;
}

const Shape& floating_ip_shape() {
  static const Shape shape{.title = "floating IP",
                           .section = "floating_ips",
                           .wrapper = "floatingip",
                           .collection = "/v2/floatingips",
                           .scalar = "floating_ip_address",
                           .fields = {given("floating_ip_address", Type::text)}};
  return shape;
}

const Field* Shape::find(const std::string& wanted) const {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const Field& field) { return field.name == wanted; });
  return found == fields.end() ? nullptr : &*found;
}

json::value Item::value(const std::string& field) const {
  const auto found = fields.find(field);
  if (found != fields.end()) return found->second.value;
  const auto* described = shape->find(field);
  return described ? described->fallback : json::value();
}

std::string Item::text(const std::string& field) const {
  const auto found = value(field);
  if (found.is_null()) return {};
  return found.is_string() ? std::string(found.get_string()) : json::serialize(found);
}

std::vector<const Item*> Item::all(const Shape& wanted) const {
  std::vector<const Item*> out;
  for (const auto& child : children)
    if (child.shape == &wanted) out.push_back(&child);
  return out;
}

std::string Item::title() const {
  auto called = shape->scalar.empty() ? text("name") : text(shape->scalar);
  if (called.empty() && shape == &load_balancer_shape()) called = text("vip_address");
  if (called.empty() && shape == &listener_shape() && fields.contains("protocol"))
    called = text("protocol") + " " + text("protocol_port");
  if (called.empty() && shape == &member_shape() && fields.contains("address"))
    called = text("address") + ":" + text("protocol_port");
  if (called.empty() && shape == &health_monitor_shape()) called = text("type");
  if (called.empty()) called = id;
  return shape->title + (called.empty() ? "" : " " + called);
}

std::string pool_reference(const Item& load_balancer, const Item& pool) {
  const auto wanted = pool.text("name");
  const auto pools = load_balancer.all(pool_shape());
  const auto same = std::count_if(pools.begin(), pools.end(),
                                  [&](const Item* other) { return other->text("name") == wanted; });
  return wanted.empty() || same > 1 ? pool.id : wanted;
}

bool is_list(Type type) {
  return type == Type::list || type == Type::cidrs || type == Type::addresses;
}

json::value canonical(const Field& field, json::value value) {
  if (field.type == Type::map && value.is_object()) return without_nulls(value.get_object());
  if (field.type == Type::maps && value.is_array()) return each_without_nulls(value.get_array());
  if (!is_list(field.type) || !value.is_array()) return value;
  auto& array = value.get_array();
  for (auto& item : array) {
    if (!item.is_string()) continue;
    if (field.type == Type::cidrs) item = canonical_cidr(std::string(item.get_string()));
    if (field.type == Type::addresses) item = canonical_address(std::string(item.get_string()));
  }
  return sorted(std::move(array));
}

void put(Item& item, const Field& field, Value value) {
  value.value = canonical(field, std::move(value.value));
  if (value.value.is_null() || value.value == field.fallback) return;
  item.fields[field.name] = std::move(value);
}

}  // namespace sluice::ctl
