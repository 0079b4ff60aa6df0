// sluicectl loadbalancer listener: ports of a VIP.
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

namespace sluice::ctl {

const Resource& listener_resource() {
  static const Resource resource = {.singular = "listener",
                                    .wrapper = "listener",
                                    .collection = "listeners",
                                    .path = "/v2.0/lbaas/listeners",
                                    .command = "loadbalancer listener",
                                    .rows = {"admin_state_up",
                                             "connection_limit",
                                             "created_at",
                                             "default_pool_id",
                                             "default_tls_container_ref",
                                             "description",
                                             "id",
                                             "insert_headers",
                                             "l7policies",
                                             "loadbalancers",
                                             "name",
                                             "operating_status",
                                             "project_id",
                                             "protocol",
                                             "protocol_port",
                                             "provisioning_status",
                                             "sni_container_refs",
                                             "timeout_client_data",
                                             "timeout_member_connect",
                                             "timeout_member_data",
                                             "timeout_tcp_inspect",
                                             "updated_at",
                                             "client_ca_tls_container_ref",
                                             "client_authentication",
                                             "client_crl_container_ref",
                                             "allowed_cidrs",
                                             "tls_ciphers",
                                             "tls_versions",
                                             "alpn_protocols",
                                             "tags"},
                                    .optional_rows = {"provisioning_error"},
                                    .columns = {"id", "default_pool_id", "name", "project_id",
                                                "protocol", "protocol_port", "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"LISTENER", Role::target, nullptr, {}};

// What create and set share.
std::vector<Option> changeable_options() {
  return {
      option(Kind::text, "name", "NAME", "its name"),
      option(Kind::text, "description", "TEXT", "what it is for"),
      reference("default-pool", pool_resource(), "the pool that gets the connections",
                "default_pool_id"),
      option(Kind::integer, "connection-limit", "LIMIT",
             "most connections at a time; -1: no limit (kept, not enforced yet)"),
      option(Kind::integer, "timeout-client-data", "MS",
             "idle time of a client (kept, not enforced yet)"),
      option(Kind::integer, "timeout-member-connect", "MS",
             "time to answer (kept, not enforced yet)"),
      option(Kind::integer, "timeout-member-data", "MS",
             "idle time of a member (kept, not enforced yet)"),
      option(Kind::integer, "timeout-tcp-inspect", "MS", "accepted, without effect at layer 4"),
      enable_option(),
      disable_option(),
  };
}

Verb create_verb() {
  Verb verb{.name = "create", .summary = "open a port on a load balancer's VIP"};
  verb.positionals = {
      {"LOADBALANCER", Role::attribute, &load_balancer_resource(), "loadbalancer_id"}};
  verb.options = std::vector<Option>{mandatory(option(Kind::upper, "protocol", "PROTOCOL", "TCP")),
                                     mandatory(option(Kind::integer, "protocol-port", "PORT",
                                                      "the port that clients connect to"))} +
                 changeable_options() + std::vector<Option>{create_tags(), wait_option()};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {
      "sluicectl loadbalancer listener create --name 80_listener --protocol TCP --protocol-port 80 "
      "lb_test_1"};
  return verb;
}

Verb list_verb() {
  Verb verb{.name = "list", .summary = "all listeners"};
  verb.options = filter_options({reference("loadbalancer", load_balancer_resource(),
                                           "only those of this load balancer", "loadbalancer_id")});
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::listing;
  verb.run = list;
  verb.examples = {"sluicectl loadbalancer listener list", "sluicectl listener list -f json"};
  return verb;
}

Verb set_verb() {
  Verb verb{.name = "set", .summary = "change a listener", .positionals = {target}};
  verb.options = changeable_options() + set_tags() + std::vector<Option>{wait_option()};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = set;
  verb.examples = {"sluicectl listener set --default-pool 80_pool 80_listener"};
  return verb;
}

Verb unset_verb() {
  Verb verb{.name = "unset",
            .summary = "take attributes back to their defaults",
            .positionals = {target}};
  verb.options = std::vector<Option>{flag(Kind::flag_null, "name", "no name"),
                                     flag(Kind::flag_null, "description", "no description"),
                                     flag(Kind::flag_null, "default-pool", "no default pool",
                                          "default_pool_id"),
                                     flag(Kind::flag_null, "connection-limit", "no limit"),
                                     flag(Kind::flag_null, "timeout-client-data", "50000"),
                                     flag(Kind::flag_null, "timeout-member-connect", "5000"),
                                     flag(Kind::flag_null, "timeout-member-data", "50000"),
                                     flag(Kind::flag_null, "timeout-tcp-inspect", "0")} +
                 unset_tags() + std::vector<Option>{wait_option()};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "listener", .summary = "ports of a VIP", .under_loadbalancer = true};
  noun.resource = &listener_resource();
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
                 .summary = "close the port",
                 .positionals = {target},
                 .options = {wait_option()},
                 .run = remove},
                {.name = "stats show",
                 .summary = "connections and bytes",
                 .positionals = {target},
                 .output = Output::record,
                 .columns = stats_rows(),
                 .run = show_stats}};
  return noun;
}

}  // namespace

const Noun& listener_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
