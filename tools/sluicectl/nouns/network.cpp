// sluicectl network, subnet: the sources of VIPs and floating IPs, as the Networking API shows
// them. They are declared in sluiced's configuration, so no verb changes them.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/crud.hpp"

namespace sluice::ctl {

const Resource& network_resource() {
  static const Resource resource = {
      .singular = "network",
      .wrapper = "network",
      .collection = "networks",
      .path = "/v2.0/networks",
      .command = "network",
      .rows = {"admin_state_up", "description", "id", "mtu", "name", "project_id",
               "router:external", "shared", "status", "subnets", "tags"},
      .columns = {"ID", "Name", "Subnets"},
      .attributes = {{"ID", "id"}, {"Name", "name"}, {"Subnets", "subnets"}}};
  return resource;
}

const Resource& subnet_resource() {
  static const Resource resource = {
      .singular = "subnet",
      .wrapper = "subnet",
      .collection = "subnets",
      .path = "/v2.0/subnets",
      .command = "subnet",
      .rows = {"allocation_pools", "cidr", "description", "enable_dhcp", "gateway_ip", "id",
               "ip_version", "name", "network_id", "project_id", "tags"},
      .columns = {"ID", "Name", "Network", "Subnet"},
      .attributes = {
          {"ID", "id"}, {"Name", "name"}, {"Network", "network_id"}, {"Subnet", "cidr"}}};
  return resource;
}

const Resource& port_resource() {
  static const Resource resource = {.singular = "port",
                                    .wrapper = "port",
                                    .collection = "ports",
                                    .path = "/v2.0/ports",
                                    .command = "loadbalancer"};
  return resource;
}

namespace {

Noun make_noun(const Resource& resource, std::string summary, std::vector<Option> filters,
               std::string example) {
  Noun noun{.name = resource.command, .summary = std::move(summary)};
  noun.resource = &resource;
  noun.verbs = {
      {.name = "list",
       .summary = "all " + resource.collection,
       .options = std::move(filters),
       .output = Output::listing,
       .run = list,
       .examples = {std::move(example)}},
      {.name = "show",
       .summary = "everything about one",
       .positionals =
           {{resource.command == "subnet" ? "SUBNET" : "NETWORK", Role::target, nullptr, {}}},
       .output = Output::record,
       .run = show}};
  return noun;
}

Option name_filter() {
  return option(Kind::text, "name", "NAME", "only those of this name");
}

}  // namespace

const Noun& network_noun() {
  static const Noun noun = make_noun(
      network_resource(), "networks that sluiced was told of",
      {name_filter(),
       flag(Kind::flag_true, "external", "only those of floating IPs", "router:external")},
      "sluicectl network list");
  return noun;
}

const Noun& subnet_noun() {
  static const Noun noun = make_noun(
      subnet_resource(), "their subnets, from which VIPs are taken",
      {name_filter(),
       reference("network", network_resource(), "only those of this network", "network_id")},
      "sluicectl subnet list");
  return noun;
}

}  // namespace sluice::ctl
