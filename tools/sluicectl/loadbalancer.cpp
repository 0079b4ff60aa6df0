// sluicectl loadbalancer: VIPs.
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

namespace sluice::ctl {

const Resource& load_balancer_resource() {
  static const Resource resource = {
      .singular = "load balancer",
      .wrapper = "loadbalancer",
      .collection = "loadbalancers",
      .path = "/v2.0/lbaas/loadbalancers",
      .command = "loadbalancer",
      .rows = {"admin_state_up",      "availability_zone",
               "created_at",          "description",
               "flavor_id",           "id",
               "listeners",           "name",
               "operating_status",    "pools",
               "project_id",          "provider",
               "provisioning_status", "updated_at",
               "vip_address",         "vip_network_id",
               "vip_port_id",         "vip_qos_policy_id",
               "vip_subnet_id",       "tags",
               "additional_vips"},
      .optional_rows = {"provisioning_error"},
      .columns = {"id", "name", "project_id", "vip_address", "provisioning_status",
                  "operating_status", "provider"}};
  return resource;
}

namespace {

const Positional target = {"LOADBALANCER", Role::target, nullptr, {}};

std::vector<Option> vip_options() {
  return {
      option(Kind::text, "vip-address", "ADDRESS", "the address that clients connect to"),
      option(Kind::text, "vip-subnet-id", "SUBNET", "the subnet of the VIP"),
      option(Kind::text, "vip-network-id", "NETWORK", "the network of the VIP"),
      option(Kind::text, "vip-port-id", "PORT", "the port of the VIP"),
  };
}

Verb create_verb() {
  Verb verb{.name = "create", .summary = "make a load balancer for a VIP"};
  verb.options = vip_options() +
                 std::vector<Option>{option(Kind::text, "name", "NAME", "its name"),
                                     option(Kind::text, "description", "TEXT", "what it is for"),
                                     enable_option(),
                                     disable_option(),
                                     create_tags(),
                                     wait_option()};
  verb.groups = {at_least_one({"vip-address", "vip-subnet-id", "vip-network-id", "vip-port-id"}),
                 exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {"sluicectl loadbalancer create --vip-address 10.0.0.16 --name lb_test_1"};
  return verb;
}

Verb list_verb() {
  Verb verb{.name = "list", .summary = "all load balancers"};
  verb.options =
      filter_options(vip_options()) +
      std::vector<Option>{
          option(Kind::upper, "provisioning-status", "STATUS", "ACTIVE, ERROR or PENDING_..."),
          option(Kind::upper, "operating-status", "STATUS", "ONLINE, DEGRADED, ERROR or OFFLINE")};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::listing;
  verb.run = list;
  verb.examples = {"sluicectl loadbalancer list",
                   "sluicectl lb list -f value -c name -c vip_address"};
  return verb;
}

Verb set_verb() {
  Verb verb{.name = "set", .summary = "change a load balancer", .positionals = {target}};
  verb.options = std::vector<Option>{option(Kind::text, "name", "NAME", "its new name"),
                                     option(Kind::text, "description", "TEXT", "what it is for"),
                                     enable_option(), disable_option()} +
                 set_tags() + std::vector<Option>{wait_option()};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = set;
  verb.examples = {"sluicectl loadbalancer set --disable lb_test_1"};
  return verb;
}

Verb unset_verb() {
  Verb verb{.name = "unset",
            .summary = "take attributes back to their defaults",
            .positionals = {target}};
  verb.options = std::vector<Option>{flag(Kind::flag_null, "name", "no name"),
                                     flag(Kind::flag_null, "description", "no description")} +
                 unset_tags() + std::vector<Option>{wait_option()};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Verb delete_verb() {
  Verb verb{.name = "delete", .summary = "remove a load balancer", .positionals = {target}};
  verb.options = {flag(Kind::local, "cascade", "with its listeners, pools, members and monitors"),
                  wait_option()};
  verb.run = remove;
  verb.examples = {"sluicectl loadbalancer delete --cascade lb_test_1"};
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "loadbalancer", .summary = "virtual IP addresses (VIPs)"};
  noun.resource = &load_balancer_resource();
  noun.verbs = {create_verb(),
                list_verb(),
                {.name = "show",
                 .summary = "everything about one",
                 .positionals = {target},
                 .output = Output::record,
                 .run = show,
                 .examples = {"sluicectl loadbalancer show lb_test_1 -f value -c vip_address"}},
                set_verb(),
                unset_verb(),
                delete_verb(),
                {.name = "stats show",
                 .summary = "connections and bytes",
                 .positionals = {target},
                 .output = Output::record,
                 .columns = stats_rows(),
                 .run = show_stats},
                {.name = "status show",
                 .summary = "the tree of its objects with their status, as JSON",
                 .positionals = {target},
                 .output = Output::tree,
                 .run = show_status}};
  return noun;
}

}  // namespace

const Noun& load_balancer_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
