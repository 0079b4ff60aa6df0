#include "api/collection.hpp"
#include "api/handlers.hpp"
#include "api/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace {

using model::Pool;

void read_mutable(Attributes& in, Pool& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, true);
  in.choice("forwarding_mode", out.forwarding_mode, words::forwarding_modes,
            model::parse_forwarding_mode, std::optional(Pool{}.forwarding_mode));
  in.tags("tags", out.tags);
  in.unsupported("session_persistence", "each connection is balanced on its own");
  for (auto name : {"tls_enabled", "tls_container_ref", "ca_tls_container_ref", "crl_container_ref",
                    "tls_ciphers", "tls_versions", "alpn_protocols"}) {
    in.unsupported(name, "members are not spoken to in TLS");
  }
}

// Where a new pool belongs: to a listener, as its default pool, or just to a load balancer.
struct Parent {
  std::optional<Uuid> listener;
  std::optional<Uuid> load_balancer;
};

void read_parent(Attributes& in, Parent& out) {
  in.optional_id("listener_id", out.listener);
  in.optional_id("loadbalancer_id", out.load_balancer);
  if (out.listener || out.load_balancer) return;
  in.refuse(validation_failure("Must provide at least one of: loadbalancer_id, listener_id"));
}

void read_new(Attributes& in, Pool& out, Parent& parent) {
  in.required_choice("protocol", out.protocol, words::pool_protocols, model::parse_protocol);
  in.required_choice("lb_algorithm", out.lb_algorithm, words::algorithms, model::parse_algorithm);
  read_mutable(in, out);
  read_parent(in, parent);
  in.ignore("project_id");  // a pool's project is its load balancer's
  in.ignore("tenant_id");
  in.unsupported("healthmonitor", "create the health monitor with pool_id");
  in.unsupported("members", "create members one by one");
}

// The load balancer that the pool will live on. A listener decides when both are given: they must
// agree.
Result<Uuid> load_balancer_of(const model::Model& model, const Parent& parent) {
  if (!parent.listener) return *parent.load_balancer;
  const auto listener = model.listeners.find(*parent.listener);
  if (listener == model.listeners.end()) {
    return tl::unexpected(not_found("Listener", to_string(*parent.listener)));
  }
  const auto owner = listener->second.load_balancer_id;
  if (parent.load_balancer && *parent.load_balancer != owner) {
    return tl::unexpected(validation_failure("Listener " + to_string(*parent.listener) +
                                             " is not on load balancer " +
                                             to_string(*parent.load_balancer)));
  }
  return owner;
}

}  // namespace

Result<Reply> create_pool(const Call& call) {
  Pool object;
  Parent parent;
  auto read =
      read_body<Pool>(call, Purpose::create, [&](Attributes& in) { read_new(in, object, parent); });
  if (!read) return tl::unexpected(read.error());

  const auto owner = load_balancer_of(call.context.controller.model(), parent);
  if (!owner) return tl::unexpected(owner.error());
  object.load_balancer_id = *owner;
  return create<Pool>(
      call, [&](model::Model& model) { return model::add(model, object, parent.listener, now()); });
}

Result<Reply> update_pool(const Call& call) {
  const auto found = find<Pool>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  Pool object = **found;
  auto read = read_body<Pool>(call, Purpose::update, [&](Attributes& in) {
    // Here the algorithm may change but not go back to a default: it has none.
    in.required_choice("lb_algorithm", object.lb_algorithm, words::algorithms,
                       model::parse_algorithm);
    read_mutable(in, object);
  });
  if (!read) return tl::unexpected(read.error());
  return update(call, object);
}

Result<Reply> delete_pool(const Call& call) {
  const auto found = find<Pool>(call, call.ids[0]);
  if (!found) return tl::unexpected(found.error());
  return remove(call, [id = (*found)->id](model::Model& model) {
    return model::remove_pool(model, id, now());
  });
}

}  // namespace sluice::api
