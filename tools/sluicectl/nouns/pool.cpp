// sluicectl loadbalancer pool: members and how connections are spread over them.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/verbs.hpp"

namespace sluice::ctl {

const Resource& pool_resource() {
  static const Resource resource = {
      .singular = "pool",
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
      .optional_rows = {"forwarding_mode", "on_member_down", "drain_timeout", "slow_start",
                        "mixed_versions", "provisioning_error"},
      .columns = {"id", "name", "project_id", "provisioning_status", "protocol", "lb_algorithm",
                  "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"POOL", Role::target, nullptr, {}};

// The options of both create and set.
Options changeable() {
  return {
      option(Kind::text, "name", "NAME", "its name"),
      option(Kind::text, "description", "TEXT", "what it is for"),
      option(Kind::lower, "forwarding-mode", "MODE",
             "fullnat (default): members answer to the VIP; dnat: members route through here; "
             "dsr, ipip, gue: members answer clients directly"),
      option(Kind::lower, "on-member-down", "keep|reset",
             "connections of a member that is down: reset (default) tells its clients at their "
             "next packet if another member can take over; keep lets them be"),
      option(Kind::integer, "drain-timeout", "SECONDS",
             "how long members that are drained, disabled or removed keep their connections; then "
             "clients are reset at their next packet (otherwise until they end)"),
      option(Kind::integer, "slow-start", "SECONDS",
             "members that come back or are new get a sixteenth of their connections at first, and "
             "all after this time (otherwise at once; algorithms that hash don't know it)"),
      flag(Kind::flag_true, "mixed-versions",
           "members of the other IP version serve clients beside those of their own (fullnat, TCP "
           "and UDP; otherwise only while none of their own can)"),
      flag(Kind::flag_false, "no-mixed-versions",
           "members of the other IP version only serve clients that no member of their own can "
           "(default)",
           "mixed_versions"),
      option(Kind::pairs, "session-persistence", "type=SOURCE_IP[,KEY=VALUE]",
             "one client stays with one member; keys: persistence_timeout, "
             "persistence_granularity",
             "session_persistence")};
}

Option algorithm() {
  return option(Kind::upper, "lb-algorithm", "ALGORITHM",
                "ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP, SOURCE_IP_PORT or MAGLEV");
}

// mixed_versions is said once at most.
Group one_word_on_versions() {
  return exclusive({"mixed-versions", "no-mixed-versions"});
}

Verb creating() {
  auto verb = create_verb(
      "make a pool for a listener or a load balancer", {},
      Options{reference("listener", listener_resource(), "become this listener's default pool",
                        "listener_id"),
              reference("loadbalancer", load_balancer_resource(),
                        "belong to it, for a listener to come", "loadbalancer_id"),
              mandatory(option(Kind::upper, "protocol", "PROTOCOL",
                               "TCP, UDP, SCTP, HTTP, HTTPS or PROXYV2")),
              mandatory(algorithm())} +
          changeable(),
      {"sluicectl loadbalancer pool create --name 80_pool --listener 80_listener --protocol TCP "
       "--lb-algorithm ROUND_ROBIN"});
  return with_groups(std::move(verb),
                     {exactly_one({"listener", "loadbalancer"}), one_word_on_versions()});
}

Noun make_noun() {
  Noun noun{.name = "pool", .summary = "groups of members", .under_loadbalancer = true};
  noun.resource = &pool_resource();
  noun.verbs = {
      creating(),
      list_verb("all pools", {},
                {reference("loadbalancer", load_balancer_resource(),
                           "only those of this load balancer", "loadbalancer_id")}),
      show_verb({target}),
      with_groups(set_verb("change a pool", {target}, Options{algorithm()} + changeable()),
                  {one_word_on_versions()}),
      unset_verb({target}, {flag(Kind::flag_null, "name", "no name"),
                            flag(Kind::flag_null, "description", "no description"),
                            flag(Kind::flag_null, "forwarding-mode", "fullnat"),
                            flag(Kind::flag_null, "drain-timeout", "no end"),
                            flag(Kind::flag_null, "slow-start", "their share at once"),
                            flag(Kind::flag_null, "on-member-down", "reset"),
                            flag(Kind::flag_null, "mixed-versions", "not mixed"),
                            flag(Kind::flag_null, "session-persistence", "none")}),
      delete_verb("remove a pool with its members and monitor", {target})};
  return noun;
}

}  // namespace

const Noun& pool_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
