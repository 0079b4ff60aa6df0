// sluicectl floating-ip: further addresses of a load balancer, as the Networking API's floating
// IPs. It has the OpenStack client's grammar (floating ip create, set --port) and a short form of
// our own (set --load-balancer).
#include <boost/json.hpp>
#include <optional>

#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/cells.hpp"
#include "sluicectl/nouns/crud.hpp"
#include "sluicectl/transport/client.hpp"

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
      .key = "floating_ip_address",
      .rows = {"created_at", "description", "dns_domain", "dns_name", "fixed_ip_address",
               "floating_ip_address", "floating_network_id", "id", "name", "port_details",
               "port_id", "project_id", "qos_policy_id", "revision_number", "router_id", "status",
               "subnet_id", "tags", "updated_at"},
      .columns = {"ID", "Floating IP Address", "Fixed IP Address", "Port", "Floating Network",
                  "Project"},
      .attributes = {{"ID", "id"},
                     {"Floating IP Address", "floating_ip_address"},
                     {"Fixed IP Address", "fixed_ip_address"},
                     {"Port", "port_id"},
                     {"Floating Network", "floating_network_id"},
                     {"Project", "project_id"}}};
  return resource;
}

const Positional target = {"ADDRESS", Role::target, nullptr, {}};

std::string text_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The id of the floating IP with this address or id; nullopt if there is none.
Result<std::optional<std::string>> find(Client& client, const std::string& address) {
  const auto& resource = floating_ip_resource();
  const auto all = client.list(resource.path, resource.collection);
  if (!all) return tl::unexpected(all.error());
  for (const auto& item : *all) {
    const auto* object = item.if_object();
    if (!object) continue;
    if (text_at(*object, "floating_ip_address") == address || text_at(*object, "id") == address)
      return text_at(*object, "id");
  }
  return std::nullopt;
}

// The destination of an address: a port, which stands for a VIP.
struct Destination {
  std::string port;
  std::string load_balancer_path;  // to wait for; empty when only the port was given
};

Result<Destination> destination(const Call& call) {
  if (call.invocation.has("port")) {
    const auto& ports = port_resource();
    return call.client
        .resolve(ports, ports.path, call.invocation.value("port"),
                 "loadbalancer show LOADBALANCER -c vip_port_id")
        .map([](std::string id) {
          return Destination{std::move(id), {}};
        });
  }
  const auto& resource = load_balancer_resource();
  const auto name = call.invocation.value("load-balancer");
  const auto id = call.client.resolve(resource, resource.path, name, resource.command + " list");
  if (!id) return tl::unexpected(id.error());
  const auto path = resource.path + "/" + *id;
  const auto object = call.client.fetch(path, resource.wrapper);
  if (!object) return tl::unexpected(object.error());
  auto port = text_at(*object, "vip_port_id");
  if (port.empty())
    return fail(ErrorKind::internal, "load balancer '" + name + "' has no VIP port");
  return Destination{std::move(port), path};
}

// Ties the address to the port. If the command names a load balancer, a missing floating IP is
// created.
Result<json::object> lead(const Call& call, const std::string& address, const std::string& port) {
  const auto& resource = floating_ip_resource();
  const auto existing = find(call.client, address);
  if (!existing) return tl::unexpected(existing.error());
  if (*existing)
    return call.client.send("PUT", resource.path + "/" + **existing, resource.wrapper,
                            {{"port_id", port}});
  if (call.invocation.has("port"))
    return fail(ErrorKind::not_found, "there is no such floating IP",
                "make one with 'sluicectl floating-ip create NETWORK'");
  json::object attributes{{"floating_ip_address", address}, {"port_id", port}};
  if (call.invocation.has("force")) attributes["force"] = true;
  return call.client.send("POST", resource.path, resource.wrapper, attributes);
}

Result<Answer> set_address(const Call& call) {
  const auto address = call.invocation.positionals.at("ADDRESS");
  const auto what = "set floating IP '" + address + "'";
  const auto where = destination(call);
  if (!where) return tl::unexpected(where.error());
  const auto made = lead(call, address, where->port);
  if (!made) return tl::unexpected(about(what, made.error()));
  if (call.invocation.has("wait") && !where->load_balancer_path.empty()) {
    const auto settled =
        call.client.wait_until_settled(where->load_balancer_path, load_balancer_resource().wrapper);
    if (!settled) return tl::unexpected(about(what, settled.error()));
  }
  return to_record(*made, floating_ip_resource());
}

Result<Answer> unset_address(const Call& call) {
  const auto& resource = floating_ip_resource();
  const auto address = call.invocation.positionals.at("ADDRESS");
  const auto what = "unset floating IP '" + address + "'";
  const auto existing = find(call.client, address);
  if (!existing) return tl::unexpected(about(what, existing.error()));
  if (!*existing)
    return fail(ErrorKind::not_found, "no load balancer has the floating IP '" + address + "'",
                "see 'sluicectl floating-ip list'");
  const auto path = resource.path + "/" + **existing;
  const json::object without_port{{resource.wrapper, json::object{{"port_id", nullptr}}}};
  const auto gone = call.invocation.has("port") ? call.client.request("PUT", path, &without_port)
                                                : call.client.request("DELETE", path);
  if (!gone) return tl::unexpected(about(what, gone.error()));
  return Answer{};
}

constexpr const char* force_help = "even if this host, a gateway or a neighbour has the address";

Verb creating() {
  Verb verb{.name = "create", .summary = "take an address from a network"};
  verb.positionals = {{"NETWORK", Role::attribute, &network_resource(), "floating_network_id"}};
  verb.options = {
      option(Kind::text, "floating-ip-address", "ADDRESS", "this one, not any free one"),
      reference("subnet", subnet_resource(), "from this subnet of the network", "subnet_id"),
      reference("port", port_resource(), "let it reach this VIP at once", "port_id"),
      option(Kind::text, "description", "TEXT", "what it is for"),
      flag(Kind::flag_true, "force", force_help)};
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {"sluicectl floating ip create public-net -f value -c floating_ip_address"};
  return verb;
}

Verb setting() {
  Verb verb{.name = "set", .summary = "let an address reach a load balancer"};
  verb.positionals = {{"ADDRESS", Role::plain, nullptr, {}}};
  verb.options = {option(Kind::local, "load-balancer", "NAME-OR-ID",
                         "that it shall reach; the address is made if need be"),
                  option(Kind::local, "port", "PORT", "the VIP's port that it shall reach"),
                  flag(Kind::local, "force", force_help), wait_option()};
  verb.groups = {exactly_one({"load-balancer", "port"})};
  verb.output = Output::record;
  verb.run = set_address;
  verb.examples = {"sluicectl floating-ip set --load-balancer lb_test_1 203.0.113.16",
                   "sluicectl floating ip set --port $VIP_PORT_ID $FIP"};
  return verb;
}

Verb unsetting() {
  Verb verb{.name = "unset", .summary = "take the address away"};
  verb.positionals = {{"ADDRESS", Role::plain, nullptr, {}}};
  verb.options = {flag(Kind::local, "port", "from its VIP only: the address stays ours")};
  verb.run = unset_address;
  verb.examples = {"sluicectl floating-ip unset 203.0.113.16"};
  return verb;
}

Verb listing() {
  Verb verb{.name = "list", .summary = "all floating IPs"};
  verb.options = {
      reference("network", network_resource(), "only those of this network", "floating_network_id"),
      reference("port", port_resource(), "only those that reach this VIP", "port_id"),
      option(Kind::text, "floating-ip-address", "ADDRESS", "only this one"),
      option(Kind::upper, "status", "STATUS", "ACTIVE or DOWN")};
  verb.output = Output::listing;
  verb.run = list;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "floating-ip", .summary = "further addresses that reach a VIP"};
  noun.resource = &floating_ip_resource();
  noun.verbs = {creating(),
                listing(),
                {.name = "show",
                 .summary = "everything about one",
                 .positionals = {target},
                 .output = Output::record,
                 .run = show},
                setting(),
                unsetting(),
                {.name = "delete",
                 .summary = "give the address back",
                 .positionals = {target},
                 .run = remove}};
  return noun;
}

}  // namespace

const Noun& floating_ip_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
