// sluicectl loadbalancer pool: members and how connections are spread over them.
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

namespace sluice::ctl {

const Resource& pool_resource() {
  static const Resource resource = {.singular = "pool",
                                    .wrapper = "pool",
                                    .collection = "pools",
                                    .path = "/v2.0/lbaas/pools",
                                    .command = "loadbalancer pool",
                                    .rows = {"admin_state_up",
                                             "created_at",
                                             "description",
                                             "healthmonitor_id",
                                             "id",
                                             "lb_algorithm",
                                             "listeners",
                                             "loadbalancers",
                                             "members",
                                             "name",
                                             "operating_status",
                                             "project_id",
                                             "protocol",
                                             "provisioning_status",
                                             "session_persistence",
                                             "updated_at",
                                             "tls_container_ref",
                                             "ca_tls_container_ref",
                                             "crl_container_ref",
                                             "tls_enabled",
                                             "tls_ciphers",
                                             "tls_versions",
                                             "tags",
                                             "alpn_protocols"},
                                    .optional_rows = {"forwarding_mode", "provisioning_error"},
                                    .columns = {"id", "name", "project_id", "provisioning_status",
                                                "protocol", "lb_algorithm", "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"POOL", Role::target, nullptr, {}};

std::vector<Option> changeable_options() {
  return {option(Kind::text, "name", "NAME", "its name"),
          option(Kind::text, "description", "TEXT", "what it is for"),
          option(Kind::lower, "forwarding-mode", "MODE",
                 "fullnat (default): members answer to the VIP; dnat: members route through here"),
          enable_option(), disable_option()};
}

Option algorithm() {
  return option(Kind::upper, "lb-algorithm", "ALGORITHM", "ROUND_ROBIN");
}

Verb create_verb() {
  Verb verb{.name = "create", .summary = "make a pool for a listener or a load balancer"};
  verb.options =
      std::vector<Option>{reference("listener", listener_resource(),
                                    "become this listener's default pool", "listener_id"),
                          reference("loadbalancer", load_balancer_resource(),
                                    "belong to it, for a listener to come", "loadbalancer_id"),
                          mandatory(option(Kind::upper, "protocol", "PROTOCOL", "TCP")),
                          mandatory(algorithm())} +
      changeable_options() + std::vector<Option>{create_tags(), wait_option()};
  verb.groups = {exactly_one({"listener", "loadbalancer"}), exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {
      "sluicectl loadbalancer pool create --name 80_pool --listener 80_listener --protocol TCP "
      "--lb-algorithm ROUND_ROBIN"};
  return verb;
}

Verb list_verb() {
  Verb verb{.name = "list", .summary = "all pools"};
  verb.options = filter_options({reference("loadbalancer", load_balancer_resource(),
                                           "only those of this load balancer", "loadbalancer_id")});
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::listing;
  verb.run = list;
  return verb;
}

Verb set_verb() {
  Verb verb{.name = "set", .summary = "change a pool", .positionals = {target}};
  verb.options = std::vector<Option>{algorithm()} + changeable_options() + set_tags() +
                 std::vector<Option>{wait_option()};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Verb unset_verb() {
  Verb verb{.name = "unset",
            .summary = "take attributes back to their defaults",
            .positionals = {target}};
  verb.options = std::vector<Option>{flag(Kind::flag_null, "name", "no name"),
                                     flag(Kind::flag_null, "description", "no description"),
                                     flag(Kind::flag_null, "forwarding-mode", "fullnat")} +
                 unset_tags() + std::vector<Option>{wait_option()};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "pool", .summary = "groups of members", .under_loadbalancer = true};
  noun.resource = &pool_resource();
  noun.verbs = {create_verb(),
                list_verb(),
                {.name = "show",
                 .summary = "everything about one",
                 .positionals = {target},
                 .output = Output::record,
                 .run = show},
                set_verb(),
                unset_verb(),
                {.name = "delete",
                 .summary = "remove a pool with its members and monitor",
                 .positionals = {target},
                 .options = {wait_option()},
                 .run = remove}};
  return noun;
}

}  // namespace

const Noun& pool_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
