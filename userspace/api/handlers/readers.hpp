// Readers: turn a new object's attributes in a request body into model objects. Nested objects (a
// load balancer with its listeners, a listener with its pool) become drafts, because their ids are
// not known yet.
#pragma once

#include <optional>
#include <vector>

#include "api/language/attributes.hpp"
#include "api/language/message.hpp"
#include "model/objects.hpp"

namespace sluice::api {

struct PoolDraft {
  model::Pool pool;
  std::vector<model::Member> members;
  std::optional<model::HealthMonitor> monitor;
  // True: the pool has nothing but a name, so it refers to one that is defined elsewhere in the
  // request.
  bool is_reference = false;
  const char* missing = nullptr;  // the first mandatory attribute that is not there
};

struct ListenerDraft {
  model::Listener listener;
  std::optional<PoolDraft> default_pool;
};

struct LoadBalancerDraft {
  model::LoadBalancer load_balancer;
  std::vector<ListenerDraft> listeners;
  std::vector<PoolDraft> pools;
};

// Read the attributes that nested and single creation share.
void read_new(Attributes& in, model::Listener& out);
void read_new(Attributes& in, model::Member& out);
void read_new(Attributes& in, model::HealthMonitor& out);
// The caller reads `protocol` and `lb_algorithm`.
void read_new(Attributes& in, model::Pool& out);
void read_protocol(Attributes& in, model::Pool& out);
void read_algorithm(Attributes& in, model::Pool& out);

// Reads the listeners and pools of a fully populated load balancer.
void read_children(Attributes& in, LoadBalancerDraft& out);

// Every pool in the request, at any depth, including references.
std::vector<const PoolDraft*> all_pools(const LoadBalancerDraft& draft);

// Adds the load balancer and all of its children to the model. Pools come first, because listeners
// refer to them.
Result<Uuid> add_tree(model::Model& model, const LoadBalancerDraft& draft, model::Timestamp now);

}  // namespace sluice::api
