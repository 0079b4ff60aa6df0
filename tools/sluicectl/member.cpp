// sluicectl loadbalancer member: the servers of a pool.
#include "sluicectl/crud.hpp"
#include "sluicectl/options.hpp"

namespace sluice::ctl {

const Resource& member_resource() {
  static const Resource resource = {
      .singular = "member",
      .wrapper = "member",
      .collection = "members",
      .path = "/v2.0/lbaas/pools/{}/members",
      .command = "loadbalancer member",
      .rows = {"address", "admin_state_up", "created_at", "id", "name", "operating_status",
               "project_id", "protocol_port", "provisioning_status", "subnet_id", "updated_at",
               "weight", "monitor_port", "monitor_address", "backup", "tags"},
      .optional_rows = {"provisioning_error"},
      .columns = {"id", "name", "project_id", "provisioning_status", "address", "protocol_port",
                  "operating_status", "weight"}};
  return resource;
}

namespace {

const Positional target = {"MEMBER", Role::target, nullptr, {}};

// A function, not a constant: pool_resource() lives in another file.
Positional pool() {
  return {"POOL", Role::parent, &pool_resource(), {}};
}

std::vector<Option> changeable_options() {
  return {option(Kind::text, "name", "NAME", "its name"),
          option(Kind::integer, "weight", "WEIGHT", "share of the connections, 0 to 256; 0 drains"),
          flag(Kind::flag_true, "enable-backup", "serve only while all others are down", "backup"),
          flag(Kind::flag_false, "disable-backup", "serve always", "backup"),
          flag(Kind::flag_true, "backup", "the same as --enable-backup"),
          flag(Kind::flag_false, "no-backup", "the same as --disable-backup", "backup"),
          option(Kind::text, "monitor-address", "ADDRESS", "probe this address instead"),
          option(Kind::integer, "monitor-port", "PORT", "probe this port instead"),
          enable_option(),
          disable_option()};
}

std::vector<Group> groups() {
  return {exclusive({"enable", "disable"}),
          exclusive({"enable-backup", "disable-backup", "backup", "no-backup"})};
}

Verb create_verb() {
  Verb verb{.name = "create", .summary = "add a server to a pool", .positionals = {pool()}};
  verb.options =
      std::vector<Option>{
          mandatory(option(Kind::text, "address", "ADDRESS", "the server's IP address")),
          mandatory(option(Kind::integer, "protocol-port", "PORT", "the server's port")),
          option(Kind::text, "subnet-id", "SUBNET", "the subnet of the address")} +
      changeable_options() + std::vector<Option>{create_tags(), wait_option()};
  verb.groups = groups();
  verb.output = Output::record;
  verb.run = create;
  verb.examples = {
      "sluicectl loadbalancer member create --name 80_member_1 --address 10.0.0.4 --protocol-port "
      "80 "
      "80_pool"};
  return verb;
}

Verb list_verb() {
  Verb verb{.name = "list", .summary = "the members of a pool", .positionals = {pool()}};
  verb.options = filter_options();
  verb.groups = {exclusive({"enable", "disable"})};
  verb.output = Output::listing;
  verb.run = list;
  verb.examples = {"sluicectl loadbalancer member list 80_pool"};
  return verb;
}

Verb set_verb() {
  Verb verb{.name = "set", .summary = "change a member", .positionals = {pool(), target}};
  verb.options = changeable_options() + set_tags() + std::vector<Option>{wait_option()};
  verb.groups = groups();
  verb.output = Output::record;
  verb.run = set;
  verb.examples = {"sluicectl member set --weight 0 80_pool 80_member_1"};
  return verb;
}

Verb unset_verb() {
  Verb verb{.name = "unset",
            .summary = "take attributes back to their defaults",
            .positionals = {pool(), target}};
  verb.options = std::vector<Option>{flag(Kind::flag_null, "name", "no name"),
                                     flag(Kind::flag_null, "weight", "1"),
                                     flag(Kind::flag_null, "backup", "serve always"),
                                     flag(Kind::flag_null, "monitor-address", "its own"),
                                     flag(Kind::flag_null, "monitor-port", "its own")} +
                 unset_tags() + std::vector<Option>{wait_option()};
  verb.output = Output::record;
  verb.run = set;
  return verb;
}

Noun make_noun() {
  Noun noun{.name = "member", .summary = "the servers of a pool", .under_loadbalancer = true};
  noun.resource = &member_resource();
  noun.verbs = {create_verb(),
                list_verb(),
                {.name = "show",
                 .summary = "everything about one",
                 .positionals = {pool(), target},
                 .output = Output::record,
                 .run = show},
                set_verb(),
                unset_verb(),
                {.name = "delete",
                 .summary = "take a server out of a pool",
                 .positionals = {pool(), target},
                 .options = {wait_option()},
                 .run = remove}};
  return noun;
}

}  // namespace

const Noun& member_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
