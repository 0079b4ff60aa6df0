// sluicectl loadbalancer healthmonitor: how members are probed.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/verbs.hpp"

namespace sluice::ctl {

const Resource& health_monitor_resource() {
  static const Resource resource = {
      .singular = "health monitor",
      .wrapper = "healthmonitor",
      .collection = "healthmonitors",
      .path = "/v2.0/lbaas/healthmonitors",
      .command = "loadbalancer healthmonitor",
      .rows = {"project_id",
               "name",
               "admin_state_up",
               "pools",
               "created_at",
               "provisioning_status",
               "updated_at",
               "delay",
               "expected_codes",
               "max_retries",
               "http_method",
               "timeout",
               "max_retries_down",
               "url_path",
               "type",
               "id",
               "operating_status",
               "http_version",
               "domain_name",
               "tags"},
      .optional_rows = {"check", "probe_vip", "provisioning_error"},
      .columns = {"id", "name", "project_id", "type", "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"HEALTHMONITOR", Role::target, nullptr, {}};

Options timing() {
  return {option(Kind::integer, "delay", "SECONDS", "from one probe to the next"),
          option(Kind::integer, "timeout", "SECONDS", "that a probe may take"),
          option(Kind::integer, "max-retries", "COUNT", "successes in a row to come up, 1 to 10")};
}

Options mandatory_timing() {
  auto options = timing();
  for (auto& option : options) option.mandatory = true;
  return options;
}

// The options of both create and set.
Options changeable() {
  return {
      option(Kind::text, "name", "NAME", "its name"),
      option(Kind::integer, "max-retries-down", "COUNT",
             "failures in a row to go down, 1 to 10 (default 3)"),
      option(Kind::text, "url-path", "PATH", "what HTTP asks for (default /)"),
      option(Kind::upper, "http-method", "METHOD", "how HTTP asks (default GET)"),
      option(Kind::decimal, "http-version", "VERSION", "1.0 or 1.1"),
      option(Kind::text, "expected-codes", "CODES", "200 (default), 200,202 or 200-204"),
      option(Kind::text, "domain-name", "NAME", "the Host of HTTP 1.1"),
      option(Kind::text, "check", "NAME",
             "the program that EXTERNAL runs, as the node declares it (sluiced --check)"),
      flag(Kind::flag_true, "probe-vip",
           "probes ask for the VIP at the member, on the link or through the tunnel as clients do "
           "(dsr, ipip, gue; recommended there): one that lacks it is down"),
      flag(Kind::flag_false, "no-probe-vip", "probes ask for the member's own address (default)",
           "probe_vip")};
}

Options defaults() {
  return {
      flag(Kind::flag_null, "name", "no name"),     flag(Kind::flag_null, "max-retries-down", "3"),
      flag(Kind::flag_null, "url-path", "/"),       flag(Kind::flag_null, "http-method", "GET"),
      flag(Kind::flag_null, "http-version", "1.0"), flag(Kind::flag_null, "expected-codes", "200"),
      flag(Kind::flag_null, "domain-name", "none")};
}

Noun make_noun() {
  Noun noun{.name = "healthmonitor", .summary = "probes of members", .under_loadbalancer = true};
  noun.resource = &health_monitor_resource();
  noun.verbs = {
      create_verb(
          "probe the members of a pool", {{"POOL", Role::attribute, &pool_resource(), "pool_id"}},
          Options{mandatory(
              option(Kind::upper, "type", "TYPE",
                     "HTTP, HTTPS, TCP, TLS-HELLO, PING, UDP-CONNECT, SCTP or EXTERNAL"))} +
              mandatory_timing() + changeable(),
          {"sluicectl loadbalancer healthmonitor create --name 80_healthcheck --delay 60 "
           "--timeout 20 --max-retries 2 --url-path /health --type http 80_pool",
           "sluicectl loadbalancer healthmonitor create --delay 10 --timeout 5 --max-retries 1 "
           "--type external --check replication db_pool"}),
      list_verb("all health monitors", {}),
      show_verb({target}),
      set_verb("change a health monitor", {target}, timing() + changeable()),
      unset_verb({target}, defaults()),
      delete_verb("stop probing", {target})};
  return noun;
}

}  // namespace

const Noun& health_monitor_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
