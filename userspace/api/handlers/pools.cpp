#include "api/handlers/collection.hpp"
#include "api/handlers/handlers.hpp"
#include "api/handlers/readers.hpp"
#include "api/language/vocabulary.hpp"
#include "model/edit.hpp"
#include "model/limits.hpp"
#include "model/names.hpp"

namespace sluice::api {
namespace {

using model::Pool;

// Reads the type that the request asks for; an update that leaves it out keeps the stored one.
std::optional<std::string> read_persistence_type(Attributes& in, const Pool& pool) {
  std::string type;
  if (pool.session_persistence) type = model::name(*pool.session_persistence);
  if (in.creating() && !in.given("type")) {
    in.ignore("type");
    in.refuse(invalid_input("type", "None", "Mandatory field missing."));
    return std::nullopt;
  }
  in.word("type", type, words::session_persistences, type);
  if (in.refused()) return std::nullopt;
  if (type.empty()) {
    in.refuse(validation_failure("Invalid session_persistence provided."));
    return std::nullopt;
  }
  return type;
}

void check_cookie(Attributes& in, const std::string& type, const std::string& cookie,
                  const Pool& pool) {
  const bool cookies = type != "SOURCE_IP";
  if (transport(pool.protocol) != model::Protocol::tcp) {
    if (!cookies && !cookie.empty()) {
      in.refuse(validation_failure(
          "session_persistence SOURCE_IP type for UDP and SCTP protocols only accepts: type, "
          "persistence_timeout, persistence_granularity."));
    } else if (!cookie.empty()) {
      in.refuse(validation_failure("Cookie names are not supported for UDP/SCTP pools."));
    } else if (cookies) {
      in.refuse(validation_failure("Session persistence of type " + type +
                                   " is not supported for UDP/SCTP protocol pools."));
    }
  }
  if (!cookie.empty() && type != "APP_COOKIE") {
    in.refuse(validation_failure(
        "Field \"cookie_name\" can only be specified with session persistence of type "
        "\"APP_COOKIE\"."));
  }
  if (cookie.empty() && type == "APP_COOKIE") {
    in.refuse(validation_failure(
        "Field \"cookie_name\" must be specified when using the \"APP_COOKIE\" session persistence "
        "type."));
  }
  if (cookies) {
    in.refuse(unsupported_option("session_persistence " + type +
                                 " needs the payload, which a layer-4 load balancer does not read "
                                 "(supported: SOURCE_IP)"));
  }
}

void read_persistence(Attributes& in, Pool& out) {
  std::string cookie;
  in.text("cookie_name", cookie);
  out.persistence_timeout_seconds.reset();
  out.persistence_granularity.reset();
  in.optional_integer("persistence_timeout", out.persistence_timeout_seconds, model::seconds_range);
  in.optional_address("persistence_granularity", out.persistence_granularity);
  if (!in.creating() || in.given("type")) {
    if (auto fits = model::check_persistence(out); !fits) in.refuse(fits.error());
  }
  const auto type = read_persistence_type(in, out);
  if (!type) return;
  check_cookie(in, *type, cookie, out);
  out.session_persistence = model::SessionPersistence::source_ip;
}

void read_mutable(Attributes& in, Pool& out) {
  in.text("name", out.name);
  in.text("description", out.description);
  in.boolean("admin_state_up", out.admin_state_up, false);
  in.choice("forwarding_mode", out.forwarding_mode, words::forwarding_modes,
            model::parse_forwarding_mode, std::optional(Pool{}.forwarding_mode));
  in.choice("on_member_down", out.on_member_down, words::member_down_modes,
            model::parse_member_down_mode, std::optional(Pool{}.on_member_down));
  in.optional_integer("drain_timeout", out.drain_timeout_seconds, model::drain_timeout_range);
  in.optional_integer("slow_start", out.slow_start_seconds, model::slow_start_range);
  in.boolean("mixed_versions", out.mixed_versions, Pool{}.mixed_versions);
  in.tags("tags", out.tags);
  if (const auto* value = in.take("session_persistence"); value && value->is_null()) {
    out.session_persistence.reset();
    out.persistence_timeout_seconds.reset();
    out.persistence_granularity.reset();
  }
  in.object("session_persistence", [&](Attributes& nested) { read_persistence(nested, out); });
  for (auto name : {"tls_enabled", "tls_container_ref", "ca_tls_container_ref", "crl_container_ref",
                    "tls_ciphers", "tls_versions", "alpn_protocols"}) {
    in.unsupported(name, "members are not spoken to in TLS");
  }
}

// The parent of a new pool: a listener, whose default pool it becomes, or just a load balancer.
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

// Returns the pool's load balancer. If listener and load balancer are given, they must agree.
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

void read_protocol(Attributes& in, Pool& out) {
  in.required_choice("protocol", out.protocol, words::pool_protocols, model::parse_protocol);
}

void read_algorithm(Attributes& in, Pool& out) {
  in.required_choice("lb_algorithm", out.lb_algorithm, words::algorithms, model::parse_algorithm);
}

void read_new(Attributes& in, Pool& out) {
  read_mutable(in, out);
}

Result<Reply> create_pool(const Call& call) {
  Pool object;
  Parent parent;
  auto read = read_body<Pool>(call, Purpose::create, [&](Attributes& in) {
    read_protocol(in, object);
    read_algorithm(in, object);
    read_new(in, object);
    read_parent(in, parent);
    in.project();  // a pool's project is its load balancer's
    in.unsupported("healthmonitor", "create the health monitor with pool_id");
    in.unsupported("members", "create members one by one");
  });
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
    // An update may change the algorithm, but null is refused: there is no default.
    read_algorithm(in, object);
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
