// sluicectl loadbalancer: VIPs.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/crud.hpp"
#include "sluicectl/nouns/verbs.hpp"

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
      .optional_rows = {"announce", "on_unmatched", "snat_addresses", "provisioning_error"},
      .columns = {"id", "name", "project_id", "vip_address", "provisioning_status",
                  "operating_status", "provider"}};
  return resource;
}

namespace {

const Positional target = {"LOADBALANCER", Role::target, nullptr, {}};

Options vip_options() {
  return {
      option(Kind::text, "vip-address", "ADDRESS", "the address that clients connect to"),
      reference("vip-subnet-id", subnet_resource(), "the subnet of the VIP", "vip_subnet_id"),
      reference("vip-network-id", network_resource(), "the network of the VIP", "vip_network_id"),
      option(Kind::text, "vip-port-id", "PORT", "the port of the VIP"),
  };
}

constexpr const char* force_help =
    "even if this host, a gateway or a neighbour has one of the addresses";

Options changeable() {
  return {
      option(Kind::text, "name", "NAME", "its name"),
      option(Kind::text, "description", "TEXT", "what it is for"),
      option(Kind::text, "on-unmatched", "drop|reset",
             "whether senders of packets that match no listener and no connection are told: TCP "
             "by RST, others by ICMP"),
      option(Kind::text, "announce", "always|healthy",
             "whether a node goes on announcing its VIPs to routers while it has no usable member "
             "and another live node of the fleet has one"),
      option(
          Kind::list, "snat-address", "ADDRESS",
          "the source that members of fullnat pools see in place of the VIP, for more connections "
          "to each (repeat for more)",
          "snat_addresses")};
}

Verb creating() {
  auto verb = create_verb(
      "make a load balancer for a VIP", {},
      vip_options() + changeable() +
          Options{
              option(Kind::pairs_list, "additional-vip", "subnet-id=SUBNET[,ip-address=ADDRESS]",
                     "a further VIP (repeat for more)", "additional_vips"),
              option(Kind::text, "provider", "PROVIDER", "sluice, the only one"),
              option(Kind::text, "project", "PROJECT", "the project's id", "project_id"),
              flag(Kind::flag_true, "force", force_help)},
      {"sluicectl loadbalancer create --vip-address 10.0.0.16 --name lb_test_1",
       "sluicectl loadbalancer create --vip-subnet-id private-subnet --name lb_test_1"});
  return with_groups(
      std::move(verb),
      {at_least_one({"vip-address", "vip-subnet-id", "vip-network-id", "vip-port-id"})});
}

Verb listing() {
  return list_verb(
      "all load balancers", {},
      vip_options() +
          Options{
              option(Kind::text, "project", "PROJECT", "only those of this project", "project_id"),
              option(Kind::text, "provider", "PROVIDER", "only those of this provider"),
              option(Kind::upper, "provisioning-status", "STATUS", "ACTIVE, ERROR or PENDING_..."),
              option(Kind::upper, "operating-status", "STATUS",
                     "ONLINE, DEGRADED, ERROR or OFFLINE")},
      {"sluicectl loadbalancer list", "sluicectl lb list -f value -c name -c vip_address"});
}

Verb failing_over() {
  Verb verb{.name = "failover",
            .summary =
                "write everything to the data plane anew, also out of ERROR, and load its "
                "program anew, which loses no connection"};
  verb.positionals = {target};
  verb.options = {wait_option()};
  verb.run = failover;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "loadbalancer", .summary = "virtual IP addresses (VIPs)"};
  noun.resource = &load_balancer_resource();
  noun.verbs = {
      creating(),
      listing(),
      show_verb({target}, {"sluicectl loadbalancer show lb_test_1 -f value -c vip_address"}),
      set_verb("change a load balancer", {target},
               changeable() + Options{flag(Kind::flag_true, "force", force_help)},
               {"sluicectl loadbalancer set --disable lb_test_1",
                "sluicectl loadbalancer set --on-unmatched reset lb_test_1",
                "sluicectl loadbalancer set --snat-address 10.0.0.18 --snat-address 10.0.0.19 "
                "lb_test_1"}),
      unset_verb({target}, {flag(Kind::flag_null, "name", "no name"),
                            flag(Kind::flag_null, "description", "no description"),
                            flag(Kind::flag_null, "on-unmatched", "drop"),
                            flag(Kind::flag_null, "announce", "always"),
                            flag(Kind::flag_null, "snat-addresses", "the VIP is the source")}),
      delete_verb("remove a load balancer", {target},
                  {flag(Kind::local, "cascade", "with its listeners, pools, members and monitors")},
                  {"sluicectl loadbalancer delete --cascade lb_test_1"}),
      failing_over(),
      stats_verb({target}),
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
