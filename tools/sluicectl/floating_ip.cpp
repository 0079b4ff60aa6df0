// sluicectl floating-ip: further addresses that reach a load balancer, as the Networking API's
// floating IPs.
#include <boost/json.hpp>
#include <optional>

#include "sluicectl/cells.hpp"
#include "sluicectl/client.hpp"
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

const Resource& floating_ip_resource() {
  static const Resource resource = {
      .singular = "floating IP",
      .wrapper = "floatingip",
      .collection = "floatingips",
      .path = "/v2.0/floatingips",
      .command = "floating-ip",
      .rows = {"fixed_ip_address", "floating_ip_address", "id", "port_id"},
      .optional_rows = {"created_at", "description", "project_id", "status", "updated_at"},
      .columns = {"id", "floating_ip_address", "fixed_ip_address", "port_id"}};
  return resource;
}

bool has_text(const json::object& object, const char* key, const std::string& text) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() && value->get_string() == text;
}

// The id of the floating IP with this address, or none.
Result<std::optional<std::string>> find(Client& client, const std::string& address) {
  const auto& resource = floating_ip_resource();
  const auto all = client.list(resource.path, resource.collection);
  if (!all) return tl::unexpected(all.error());
  for (const auto& item : *all) {
    const auto* object = item.if_object();
    if (!object || !has_text(*object, "floating_ip_address", address)) continue;
    if (const auto* id = object->if_contains("id"); id && id->is_string())
      return std::string(id->get_string());
  }
  return std::nullopt;
}

// The port stands for the VIP: that is what the Networking API points floating IPs at.
Result<std::string> vip_port(Client& client, const std::string& load_balancer, std::string& path) {
  const auto& resource = load_balancer_resource();
  const auto id =
      client.resolve(resource, resource.path, load_balancer, resource.command + " list");
  if (!id) return tl::unexpected(id.error());
  path = resource.path + "/" + *id;
  const auto object = client.fetch(path, resource.wrapper);
  if (!object) return tl::unexpected(object.error());
  const auto* port = object->if_contains("vip_port_id");
  if (!port || !port->is_string())
    return fail(ErrorKind::internal, "load balancer '" + load_balancer + "' has no VIP port");
  return std::string(port->get_string());
}

Result<Answer> set_address(const Call& call) {
  const auto& resource = floating_ip_resource();
  const auto address = call.invocation.positionals.at("ADDRESS");
  const auto what = "set floating IP '" + address + "'";
  std::string load_balancer_path;
  const auto port =
      vip_port(call.client, call.invocation.value("load-balancer"), load_balancer_path);
  if (!port) return tl::unexpected(port.error());
  const auto existing = find(call.client, address);
  if (!existing) return tl::unexpected(about(what, existing.error()));
  const bool is_new = !existing->has_value();
  json::object body;
  if (is_new) body["floating_ip_address"] = address;
  body["port_id"] = *port;
  auto made = call.client.send(is_new ? "POST" : "PUT",
                               is_new ? resource.path : resource.path + "/" + **existing,
                               resource.wrapper, std::move(body));
  if (!made) return tl::unexpected(about(what, made.error()));
  if (call.invocation.has("wait")) {
    const auto settled = call.client.wait_until_settled(load_balancer_path, "loadbalancer");
    if (!settled) return tl::unexpected(about(what, settled.error()));
  }
  return to_record(*made, resource);
}

Result<Answer> unset_address(const Call& call) {
  const auto address = call.invocation.positionals.at("ADDRESS");
  const auto what = "unset floating IP '" + address + "'";
  const auto existing = find(call.client, address);
  if (!existing) return tl::unexpected(about(what, existing.error()));
  if (!*existing)
    return fail(ErrorKind::not_found, "no load balancer has the floating IP '" + address + "'",
                "see 'sluicectl floating-ip list'");
  const auto gone = call.client.request("DELETE", floating_ip_resource().path + "/" + **existing);
  if (!gone) return tl::unexpected(about(what, gone.error()));
  return Answer{};
}

Noun make_noun() {
  Noun noun{.name = "floating-ip", .summary = "further addresses that reach a VIP"};
  noun.resource = &floating_ip_resource();
  const Positional address = {"ADDRESS", Role::plain, nullptr, {}};
  auto load_balancer = mandatory(
      option(Kind::local, "load-balancer", "NAME-OR-ID", "the load balancer that it shall reach"));
  noun.verbs = {
      {.name = "set",
       .summary = "let an address reach a load balancer",
       .positionals = {address},
       .options = {load_balancer, wait_option()},
       .output = Output::record,
       .run = set_address,
       .examples = {"sluicectl floating-ip set --load-balancer lb_test_1 203.0.113.16"}},
      {.name = "unset",
       .summary = "take the address away",
       .positionals = {address},
       .run = unset_address,
       .examples = {"sluicectl floating-ip unset 203.0.113.16"}},
      {.name = "list", .summary = "all floating IPs", .output = Output::listing, .run = list}};
  return noun;
}

}  // namespace

const Noun& floating_ip_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
