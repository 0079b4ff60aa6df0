// sluicectl loadbalancer healthmonitor: how members are probed.
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

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
      .optional_rows = {"provisioning_error"},
      .columns = {"id", "name", "project_id", "type", "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"HEALTHMONITOR", Role::target, nullptr, {}};

Option delay() {
  return option(Kind::integer, "delay", "SECONDS", "from one probe to the next");
}
Option timeout() {
  return option(Kind::integer, "timeout", "SECONDS", "that a probe may take");
}
Option max_retries() {
  return option(Kind::integer, "max-retries", "COUNT", "successes in a row to come up, 1 to 10");
}

std::vector<Option> changeable_options() {
  return {option(Kind::text, "name", "NAME", "its name"),
          option(Kind::integer, "max-retries-down", "COUNT",
                 "failures in a row to go down, 1 to 10 (default 3)"),
          option(Kind::text, "url-path", "PATH", "what HTTP asks for (default /)"),
          option(Kind::upper, "http-method", "METHOD", "how HTTP asks (default GET)"),
          option(Kind::decimal, "http-version", "VERSION", "1.0 or 1.1"),
          option(Kind::text, "expected-codes", "CODES", "200 (default), 200,202 or 200-204"),
          option(Kind::text, "domain-name", "NAME", "the Host of HTTP 1.1"),
          enable_option(),
          disable_option()};
}

Verb create_verb() {
  Verb verb{.name = "create", .summary = "probe the members of a pool"};
  verb.positionals = {{"POOL", Role::attribute, &pool_resource(), "pool_id"}};
  verb.options =
      std::vector<Option>{mandatory(option(Kind::upper, "type", "TYPE", "HTTP or TCP")),
                          mandatory(delay()), mandatory(timeout()), mandatory(max_retries())} +
      changeable_options() + std::vector<Option>{create_tags(), wait_option()};
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {
      "sluicectl loadbalancer healthmonitor create --name 80_healthcheck --delay 60 --timeout 20 "
      "--max-retries 2 --url-path /health --type http 80_pool"};
  return verb;
}

Verb list_verb() {
  Verb verb{.name = "list", .summary = "all health monitors"};
  verb.options = filter_options();
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::listing;
  verb.run = list;
  return verb;
}

Verb set_verb() {
  Verb verb{.name = "set", .summary = "change a health monitor", .positionals = {target}};
  verb.options = std::vector<Option>{delay(), timeout(), max_retries()} + changeable_options() +
                 set_tags() + std::vector<Option>{wait_option()};
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
                                     flag(Kind::flag_null, "max-retries-down", "3"),
                                     flag(Kind::flag_null, "url-path", "/"),
                                     flag(Kind::flag_null, "http-method", "GET"),
                                     flag(Kind::flag_null, "http-version", "1.0"),
                                     flag(Kind::flag_null, "expected-codes", "200"),
                                     flag(Kind::flag_null, "domain-name", "none")} +
                 unset_tags() + std::vector<Option>{wait_option()};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "healthmonitor", .summary = "probes of members", .under_loadbalancer = true};
  noun.resource = &health_monitor_resource();
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
                 .summary = "stop probing",
                 .positionals = {target},
                 .options = {wait_option()},
                 .run = remove}};
  return noun;
}

}  // namespace

const Noun& health_monitor_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
