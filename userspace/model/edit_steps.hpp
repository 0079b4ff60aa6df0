// Edit steps: shared by the edits of all kinds of objects. They look objects up with the API's
// errors, give new objects their identity, and mark as pending what a change touches. Private to
// model/.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/names.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// "Pool 2b2a… not found."
tl::unexpected<Error> not_found(std::string_view kind, const Uuid& id);
// "Listener 2b2a…: protocol_port cannot be changed after creation"
tl::unexpected<Error> immutable(std::string_view kind, const Uuid& id, std::string_view attribute);

// Finds an object, which is valid until the table's next change.
template <typename T>
Result<const T*> find(const Table<T>& objects, const Uuid& id) {
  const auto* found = objects.lookup(id);
  if (!found) return not_found(kind_of(T{}), id);
  return found;
}

// Gives the object a new id, `now`, PENDING_CREATE, and the parent's project unless it names its
// own.
void begin(Object& object, std::string_view parent_project, Timestamp now);
// Copies what replace() keeps of the current object: identity, project and creation; marks `next`
// as changed.
void carry_over(Object& next, const Object& current, Timestamp now);

// Marks the object and everything between it and its load balancer PENDING_UPDATE. The ids exist.
// They are passed by value, because the object that has them may be replaced meanwhile.
void mark_pending(Object& object);
void mark_load_balancer(Model& model, Uuid load_balancer);
void mark_pool(Model& model, Uuid pool);

// ErrorKind::conflict when a load balancer, floating IP or member other than `self` has the
// address.
Result<void> check_address_is_free(const Model& model, const IpAddress& address, const Uuid& self);

// ErrorKind::forbidden when the project of the new object has as many of its kind as its quota
// allows. `object` is not in the model yet.
template <typename T>
Result<void> check_quota(const Model& model, const T& object);

// Returns the ids of objects, so that these may be changed or removed.
template <typename T>
std::vector<Uuid> ids(const std::vector<const T*>& objects) {
  std::vector<Uuid> result;
  result.reserve(objects.size());
  for (const T* object : objects) result.push_back(object->id);
  return result;
}

// Checks that a listener of this protocol may use a pool of that protocol.
Result<void> check_protocols_fit(Protocol listener, Protocol pool);

// Refuses an end of idle connections that they can't have with this pool: those whose answers don't
// pass here end after longest_direct_idle_timeout, and their members can't be reset.
Result<void> check_idle_end_fits(const Listener& listener, const Pool& pool);

// Refuses datagrams that are scheduled one by one with a pool whose members answer through here.
// Says whether probes may ask for the VIP at the pool's members, if the monitor (null: none) wants
// it.
Result<void> check_probe_vip_fits(const HealthMonitor* monitor, const Pool& pool);
Result<void> check_scheduling_fits(const Listener& listener, const Pool& pool);

// Refuses a member that keeps the client's port and has no monitor_port where a monitor would need
// one. PING needs none.
Result<void> check_port_to_probe(const Member& member, const HealthMonitor* monitor);

// Releases the floating IPs of a load balancer that is removed; they stay reserved.
void detach_floating_ips(Model& model, const Uuid& load_balancer, Timestamp now);

// Removes the pool, its members and its monitor; listeners that named it lose their default pool.
void erase_pool(Model& model, Uuid pool, Timestamp now);

}  // namespace sluice::model
