#include "api/collection.hpp"
#include "api/handlers.hpp"
#include "api/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace {

using model::Listener;

void read_timeouts(Attributes& in, Listener& out) {
  const Listener defaults;
  in.integer("timeout_client_data", out.timeout_client_data_ms, model::timeout_range_ms,
             defaults.timeout_client_data_ms);
  in.integer("timeout_member_connect", out.timeout_member_connect_ms, model::timeout_range_ms,
             defaults.timeout_member_connect_ms);
  in.integer("timeout_member_data", out.timeout_member_data_ms, model::timeout_range_ms,
             defaults.timeout_member_data_ms);
  in.integer("timeout_tcp_inspect", out.timeout_tcp_inspect_ms, model::timeout_range_ms,
             defaults.timeout_tcp_inspect_ms);
}

// What needs the payload in the clear has no place on a layer-4 listener.
void refuse_layer_7(Attributes& in, const Listener& listener) {
  const std::string protocol(model::name(listener.protocol));
  for (auto name : {"default_tls_container_ref", "sni_container_refs",
                    "client_ca_tls_container_ref", "client_crl_container_ref"}) {
    if (!in.asks(name)) continue;
    in.refuse(validation_failure("Certificate container references are not allowed on " + protocol +
                                 " protocol listeners."));
  }
  if (in.asks("insert_headers")) {
    in.refuse({ErrorKind::invalid,
               "insert-headers is not a valid option for a " + protocol + " protocol listener.",
               {},
               0});
  }
  std::string authentication;
  constexpr std::array modes = {std::string_view("NONE")};
  in.word("client_authentication", authentication, modes, "NONE");
  for (auto name : {"tls_ciphers", "tls_versions", "alpn_protocols"}) {
    in.unsupported(name, "TLS is not terminated here");
  }
}

void read_mutable(Attributes& in, Listener& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, true);
  in.integer("connection_limit", out.connection_limit, model::connection_limit_range, -1);
  in.optional_id("default_pool_id", out.default_pool_id);
  in.tags("tags", out.tags);
  in.unsupported("allowed_cidrs", "every client may connect");
  read_timeouts(in, out);
  refuse_layer_7(in, out);
}

void read_new(Attributes& in, Listener& out) {
  in.required_choice("protocol", out.protocol, words::listener_protocols, model::parse_protocol);
  in.required_integer("protocol_port", out.protocol_port, model::port_range);
  in.required_id("loadbalancer_id", out.load_balancer_id);
  read_mutable(in, out);
  in.ignore("project_id");  // a listener's project is its load balancer's
  in.ignore("tenant_id");
  in.unsupported("default_pool", "create the pool with listener_id");
  in.unsupported("l7policies", "a layer-4 load balancer doesn't read requests");
}

}  // namespace

Result<Reply> create_listener(const Call& call) {
  Listener object;
  auto read =
      read_body<Listener>(call, Purpose::create, [&](Attributes& in) { read_new(in, object); });
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
