#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/readers.hpp"
#include "api/language/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace {

using model::Listener;
using model::Protocol;

void read_timeouts(Attributes& in, Listener& out) {
  const Listener defaults;
  in.optional_integer("idle_timeout", out.idle_timeout_seconds, model::idle_timeout_range);
  if (in.given("timeout_client_data") || in.given("timeout_member_data")) {
    out.data_timeouts_count = true;
  }
  in.integer("timeout_client_data", out.timeout_client_data_ms, model::timeout_range_ms,
             defaults.timeout_client_data_ms);
  if (in.contains("timeout_member_connect"))
    out.connect_timeout_set = in.given("timeout_member_connect");
  in.integer("timeout_member_connect", out.timeout_member_connect_ms, model::timeout_range_ms,
             defaults.timeout_member_connect_ms);
  in.integer("timeout_member_data", out.timeout_member_data_ms, model::timeout_range_ms,
             defaults.timeout_member_data_ms);
  in.integer("timeout_tcp_inspect", out.timeout_tcp_inspect_ms, model::timeout_range_ms,
             defaults.timeout_tcp_inspect_ms);
}

// Refuses to insert headers, which needs access to the payload; the real service does it on HTTP
// listeners.
void refuse_headers(Attributes& in, const Listener& listener) {
  if (!in.asks("insert_headers")) return;
  if (listener.protocol == Protocol::http) {
    return in.refuse(unsupported_option(
        "insert_headers needs the payload, which a layer-4 load balancer does not read"));
  }
  in.refuse({ErrorKind::invalid,
             "insert-headers is not a valid option for a " +
                 std::string(model::name(listener.protocol)) + " protocol listener.",
             {},
             0});
}

void refuse_certificates(Attributes& in, const Listener& listener) {
  const std::string protocol(model::name(listener.protocol));
  const bool datagrams = transport(listener.protocol) != Protocol::tcp;
  for (auto name : {"default_tls_container_ref", "sni_container_refs",
                    "client_ca_tls_container_ref", "client_crl_container_ref"}) {
    if (!in.asks(name)) continue;
    in.refuse(validation_failure(datagrams
                                     ? protocol + " protocol listener does not support TLS."
                                     : "Certificate container references are not allowed on " +
                                           protocol + " protocol listeners."));
  }
}

void refuse_client_authentication(Attributes& in) {
  std::string mode = "NONE";
  in.word("client_authentication", mode, words::client_authentications, "NONE");
  if (mode == "NONE") return;
  in.refuse(validation_failure("Client authentication setting " + mode +
                               " requires a client CA container reference."));
}

// Refuses what needs the plain payload: a layer-4 listener has no access to it.
void refuse_layer_7(Attributes& in, const Listener& listener) {
  refuse_headers(in, listener);
  refuse_certificates(in, listener);
  refuse_client_authentication(in);
  for (auto name : {"tls_ciphers", "tls_versions", "alpn_protocols"}) {
    in.unsupported(name, "TLS is not terminated here");
  }
}

void read_mutable(Attributes& in, Listener& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, false);
  in.integer("connection_limit", out.connection_limit, model::connection_limit_range, -1);
  in.integer("new_connection_limit", out.new_connection_limit, model::connection_limit_range, -1);
  in.choice("on_no_member", out.on_no_member, words::refusal_modes, model::parse_refusal_mode,
            std::optional(Listener{}.on_no_member));
  in.choice("syn_authentication", out.syn_authentication, words::syn_authentications,
            model::parse_syn_authentication, std::optional(Listener{}.syn_authentication));
  in.choice("udp_scheduling", out.udp_scheduling, words::udp_schedulings,
            model::parse_udp_scheduling, std::optional(Listener{}.udp_scheduling));
  in.choice("on_idle", out.on_idle, words::idle_ends, model::parse_idle_end,
            std::optional(Listener{}.on_idle));
  in.boolean("records", out.records, Listener{}.records);
  in.optional_id("default_pool_id", out.default_pool_id);
  in.networks("allowed_cidrs", out.allowed_cidrs);
  in.tags("tags", out.tags);
  read_timeouts(in, out);
  refuse_layer_7(in, out);
}

}  // namespace

void read_new(Attributes& in, Listener& out) {
  in.required_choice("protocol", out.protocol, words::listener_protocols, model::parse_protocol);
  in.required_integer("protocol_port", out.protocol_port, model::port_range);
  in.optional_integer("protocol_port_range", out.protocol_port_range, model::port_range);
  read_mutable(in, out);
  in.unsupported("l7policies", "a layer-4 load balancer doesn't read requests");
}

Result<Reply> create_listener(const Call& call) {
  Listener object;
  auto read = read_body<Listener>(call, Purpose::create, [&](Attributes& in) {
    read_new(in, object);
    in.required_id("loadbalancer_id", object.load_balancer_id);
    in.project();  // a listener's project is its load balancer's
    in.unsupported("default_pool", "create the pool with listener_id");
  });
  if (!read) return tl::unexpected(read.error());
  return create<Listener>(call,
                          [&](model::Model& model) { return model::add(model, object, now()); });
}

Result<Reply> update_listener(const Call& call) {
  const auto found = find<Listener>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  Listener object = **found;
  auto read =
      read_body<Listener>(call, Purpose::update, [&](Attributes& in) { read_mutable(in, object); });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_listener(const Call& call) {
  const auto found = find<Listener>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [id = (*found)->id](model::Model& model) {
    return model::remove_listener(model, id, now());
  });
}

}  // namespace sluice::api
