// Changes to the model: each function checks the whole rule set against the model and either
// changes it or returns the error that the API shows, leaving it as it was.
//
// Texts and kinds follow the OpenStack Load Balancer API v2 ("Another member on this pool is
// already using ip 10.0.0.4 on protocol_port 80" is ErrorKind::conflict, an unknown id is
// not_found, ...). Callers fill an object's attributes; add() gives it id, created_at and
// PENDING_CREATE, replace() sets updated_at and PENDING_UPDATE, and both mark the load balancer
// (and the listeners and pool on the way) PENDING_UPDATE. A mark alone leaves updated_at as it was;
// whoever ends the provisioning sets it, so that parents have it too.
//
// An edit may be several of these steps (a batch of members, a load balancer with its children), so
// a step does not mind a load balancer that is PENDING_*: refuse_busy() judges the whole edit. A
// load balancer in ERROR takes changes, unless it was a change that failed: then, as in the real
// service, only failover and deletion are left.
#pragma once

#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// Creation; returns the new object's id.
Result<Uuid> add(Model& model, LoadBalancer load_balancer, Timestamp now);
Result<Uuid> add(Model& model, Listener listener, Timestamp now);
// With `listener` the pool becomes that listener's default pool; pool.load_balancer_id follows from
// it.
Result<Uuid> add(Model& model, Pool pool, std::optional<Uuid> listener, Timestamp now);
Result<Uuid> add(Model& model, Member member, Timestamp now);
Result<Uuid> add(Model& model, HealthMonitor monitor, Timestamp now);
Result<Uuid> add(Model& model, FloatingIp floating_ip, Timestamp now);

// Replaces the object of the same id; attributes that can't change after creation are an error.
Result<void> replace(Model& model, LoadBalancer load_balancer, Timestamp now);
Result<void> replace(Model& model, Listener listener, Timestamp now);
Result<void> replace(Model& model, Pool pool, Timestamp now);
Result<void> replace(Model& model, Member member, Timestamp now);
Result<void> replace(Model& model, HealthMonitor monitor, Timestamp now);
Result<void> replace(Model& model, FloatingIp floating_ip, Timestamp now);

// Removal. Without `cascade` a load balancer with listeners or pools is refused; its floating IPs
// stay reserved either way. A pool takes its members and monitor along; listeners that named it
// lose their default pool.
Result<void> remove_load_balancer(Model& model, const Uuid& id, bool cascade, Timestamp now);
Result<void> remove_listener(Model& model, const Uuid& id, Timestamp now);
Result<void> remove_pool(Model& model, const Uuid& id, Timestamp now);
Result<void> remove_member(Model& model, const Uuid& pool, const Uuid& id, Timestamp now);
Result<void> remove_health_monitor(Model& model, const Uuid& id, Timestamp now);
Result<void> remove_floating_ip(Model& model, const Uuid& id, Timestamp now);

// Marks the load balancer for another try at bringing the data plane in line, and changes nothing.
Result<void> touch_load_balancer(Model& model, const Uuid& id, Timestamp now);

// Quotas. A creation beyond the project's quota is ErrorKind::forbidden.
void set_quota(Model& model, const std::string& project, Quota quota);
void reset_quota(Model& model, const std::string& project);
Quota quota_of(const Model& model, const std::string& project);

// Nodes. Draining one that is drained already leaves it as it is; so does undraining another one.
void drain_node(Model& model, const std::string& name, Timestamp now);
void undrain_node(Model& model, const std::string& name);

// ErrorKind::conflict if the edit from `before` to `after` touched a load balancer (or anything
// below it) that was PENDING_*, or one whose last change failed, which allows only deletion and
// touch_load_balancer().
Result<void> refuse_busy(const Model& before, const Model& after);

}  // namespace sluice::model
