// Readers: what a new object's attributes in a request body say, as model objects. Nested objects
// (a load balancer with its listeners, a listener with its pool) come as drafts: ids are not known
// yet.
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
  // A pool that consists of a name refers to one that is defined elsewhere in the request.
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

// The attributes that nested and single creation share.
void read_new(Attributes& in, model::Listener& out);
void read_new(Attributes& in, model::Member& out);
void read_new(Attributes& in, model::HealthMonitor& out);
// `protocol` and `lb_algorithm` are the caller's business.
void read_new(Attributes& in, model::Pool& out);
void read_protocol(Attributes& in, model::Pool& out);
void read_algorithm(Attributes& in, model::Pool& out);

// The listeners and pools of a fully populated load balancer.
void read_children(Attributes& in, LoadBalancerDraft& out);

// Every pool in the request, wherever it stands, references included.
std::vector<const PoolDraft*> all_pools(const LoadBalancerDraft& draft);

// Puts the load balancer and all of its children into the model: pools first, for the listeners to
// refer to.
Result<Uuid> add_tree(model::Model& model, const LoadBalancerDraft& draft, model::Timestamp now);

}  // namespace sluice::api
