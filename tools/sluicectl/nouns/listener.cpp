// sluicectl loadbalancer listener: ports of a VIP.
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/verbs.hpp"

namespace sluice::ctl {

const Resource& listener_resource() {
  static const Resource resource = {
      .singular = "listener",
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
      .optional_rows = {"protocol_port_range", "new_connection_limit", "on_no_member",
                        "syn_authentication", "timeout_member_connect_set", "idle_timeout",
                        "udp_scheduling", "on_idle", "records", "provisioning_error"},
      .columns = {"id", "default_pool_id", "name", "project_id", "protocol", "protocol_port",
                  "admin_state_up"}};
  return resource;
}

namespace {

const Positional target = {"LISTENER", Role::target, nullptr, {}};

// The options of both create and set.
Options changeable() {
  return {
      option(Kind::text, "name", "NAME", "its name"),
      option(Kind::text, "description", "TEXT", "what it is for"),
      reference("default-pool", pool_resource(), "the pool that gets the connections",
                "default_pool_id"),
      option(Kind::integer, "connection-limit", "LIMIT",
             "most connections at a time; -1: no limit"),
      option(Kind::integer, "new-connection-limit", "LIMIT",
             "most new connections per second from one client address; -1: no limit"),
      option(Kind::text, "on-no-member", "drop|reset",
             "whether clients are told that no member is there: TCP by RST, others by ICMP"),
      option(Kind::text, "syn-authentication", "auto|always|off",
             "whether a TCP client must reset a wrong answer to its SYN first: in floods, always, "
             "or never"),
      option(Kind::list, "allowed-cidr", "CIDR",
             "only clients from there may connect (repeat for more)", "allowed_cidrs"),
      option(Kind::integer, "idle-timeout", "SECONDS",
             "how long a connection may be silent, 1 to 86400 (TCP and SCTP 7440, UDP 120)"),
      option(
          Kind::text, "udp-scheduling", "session|packet",
          "of UDP: session (default) keeps a client's port at one member; packet sends each "
          "datagram to the next one (all modes but fullnat; dnat members answer for themselves)"),
      option(Kind::text, "on-idle", "forget|reset",
             "what becomes of a TCP connection then: forget (default) tells nobody; reset resets "
             "both ends"),
      flag(Kind::flag_true, "records",
           "record its connections (default), where the node has a file or collector for that"),
      flag(Kind::flag_false, "no-records", "don't record its connections", "records"),
      option(Kind::integer, "timeout-client-data", "MS",
             "of TCP, where no idle timeout is given; the larger of this and the member's counts, "
             "50000 is none"),
      option(Kind::integer, "timeout-member-connect", "MS",
             "for a member to answer a SYN or INIT; the client's next one then goes to another; "
             "without it, or with 0, as long as the client tries"),
      option(Kind::integer, "timeout-member-data", "MS", "the same of the member"),
      option(Kind::integer, "timeout-tcp-inspect", "MS", "accepted, without effect at layer 4"),
  };
}

Options defaults() {
  return {flag(Kind::flag_null, "name", "no name"),
          flag(Kind::flag_null, "description", "no description"),
          flag(Kind::flag_null, "default-pool", "no default pool", "default_pool_id"),
          flag(Kind::flag_null, "connection-limit", "no limit"),
          flag(Kind::flag_null, "new-connection-limit", "no limit"),
          flag(Kind::flag_null, "on-no-member", "drop"),
          flag(Kind::flag_null, "syn-authentication", "auto"),
          flag(Kind::flag_null, "allowed-cidrs", "every client may connect"),
          flag(Kind::flag_null, "idle-timeout", "as long as usual"),
          flag(Kind::flag_null, "udp-scheduling", "session"),
          flag(Kind::flag_null, "on-idle", "forget"),
          flag(Kind::flag_null, "records", "recorded"),
          flag(Kind::flag_null, "timeout-client-data", "50000"),
          flag(Kind::flag_null, "timeout-member-connect", "none (5000 is shown)"),
          flag(Kind::flag_null, "timeout-member-data", "50000"),
          flag(Kind::flag_null, "timeout-tcp-inspect", "0")};
}

Verb one_word_on_records(Verb verb) {
  return with_groups(std::move(verb), {exclusive({"records", "no-records"})});
}

Noun make_noun() {
  Noun noun{.name = "listener", .summary = "ports of a VIP", .under_loadbalancer = true};
  noun.resource = &listener_resource();
  noun.verbs = {
      one_word_on_records(create_verb(
          "open a port on a load balancer's VIP",
          {{"LOADBALANCER", Role::attribute, &load_balancer_resource(), "loadbalancer_id"}},
          Options{mandatory(
                      option(Kind::upper, "protocol", "PROTOCOL", "TCP, UDP, SCTP, HTTP or HTTPS")),
                  mandatory(option(Kind::ports, "protocol-port", "PORT[-LAST]",
                                   "the port that clients connect to, or the first and the "
                                   "last of many"))} +
              changeable(),
          {"sluicectl loadbalancer listener create --name 80_listener --protocol TCP "
           "--protocol-port 80 lb_test_1",
           "sluicectl listener create --protocol UDP --protocol-port 30000-30099 "
           "--default-pool rtp_pool lb_test_1"})),
      list_verb(
          "all listeners", {},
          {reference("loadbalancer", load_balancer_resource(), "only those of this load balancer",
                     "loadbalancer_id"),
           option(Kind::text, "project", "PROJECT", "only those of this project", "project_id")},
          {"sluicectl loadbalancer listener list", "sluicectl listener list -f json"}),
      show_verb({target}),
      one_word_on_records(set_verb("change a listener", {target}, changeable(),
                                   {"sluicectl listener set --default-pool 80_pool 80_listener"})),
      unset_verb({target}, defaults()),
      delete_verb("close the port", {target}),
      stats_verb({target})};
  return noun;
}

}  // namespace

const Noun& listener_noun() {
  static const Noun noun = make_noun();
  return noun;
}

}  // namespace sluice::ctl
