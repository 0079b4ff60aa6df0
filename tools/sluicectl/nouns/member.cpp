// sluicectl loadbalancer member: the servers of a pool.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/verbs.hpp"

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
      .optional_rows = {"max_connections", "connections_left", "drain_seconds_left",
                        "slow_start_seconds_left", "weight_percent", "provisioning_error",
                        "operating_status_by_node"},
      .columns = {"id", "name", "project_id", "provisioning_status", "address", "protocol_port",
                  "operating_status", "weight"}};
  return resource;
}

namespace {

const Positional target = {"MEMBER", Role::target, nullptr, {}};

// This is a function, because pool_resource() is a static object of another file.
Positional pool() {
  return {"POOL", Role::parent, &pool_resource(), {}};
}

// The options of both create and set.
Options changeable() {
  return {option(Kind::text, "name", "NAME", "its name"),
          option(Kind::integer, "weight", "WEIGHT", "share of the connections, 0 to 256; 0 drains"),
          option(Kind::integer, "max-connections", "NUMBER",
                 "no more connections than these; further ones go to the pool's other members",
                 "max_connections"),
          flag(Kind::flag_true, "enable-backup", "serve only while all others are down", "backup"),
          flag(Kind::flag_false, "disable-backup", "serve always", "backup"),
          flag(Kind::flag_true, "backup", "the same as --enable-backup"),
          flag(Kind::flag_false, "no-backup", "the same as --disable-backup", "backup"),
          option(Kind::text, "monitor-address", "ADDRESS", "probe this address instead"),
          option(Kind::integer, "monitor-port", "PORT", "probe this port instead")};
}

Verb one_word_on_backup(Verb verb) {
  return with_groups(std::move(verb),
                     {exclusive({"enable-backup", "disable-backup", "backup", "no-backup"})});
}

Noun make_noun() {
  Noun noun{.name = "member", .summary = "the servers of a pool", .under_loadbalancer = true};
  noun.resource = &member_resource();
  noun.verbs = {
      one_word_on_backup(create_verb(
          "add a server to a pool", {pool()},
          Options{
              mandatory(option(Kind::text, "address", "ADDRESS", "the server's IP address")),
              mandatory(option(Kind::integer, "protocol-port", "PORT",
                               "the server's port; 0: the one that the client connected to")),
              reference("subnet-id", subnet_resource(), "the subnet of the address", "subnet_id")} +
              changeable(),
          {"sluicectl loadbalancer member create --name 80_member_1 --address 10.0.0.4 "
           "--protocol-port 80 80_pool"})),
      list_verb("the members of a pool", {pool()}, {},
                {"sluicectl loadbalancer member list 80_pool"}),
      show_verb({pool(), target}),
      one_word_on_backup(
          set_verb("change a member", {pool(), target},
                   changeable() + Options{option(Kind::integer, "drain", "SECONDS",
                                                 "no new connections from now on, and the end of "
                                                 "those that it has after this time")},
                   {"sluicectl member set --weight 0 80_pool 80_member_1",
                    "sluicectl member set --drain 300 80_pool 80_member_1"})),
      unset_verb({pool(), target},
                 {flag(Kind::flag_null, "name", "no name"), flag(Kind::flag_null, "weight", "1"),
                  flag(Kind::flag_null, "backup", "serve always"),
                  flag(Kind::flag_null, "max-connections", "any number", "max_connections"),
                  flag(Kind::flag_null, "monitor-address", "its own"),
                  flag(Kind::flag_null, "monitor-port", "its own")}),
      delete_verb("take a server out of a pool", {pool(), target})};
  return noun;
}

}  // namespace

const Noun& member_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
