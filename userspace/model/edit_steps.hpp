// What the edits of all object kinds share: looking objects up with the API's errors, giving new
// objects their identity, marking what a change touches as pending. Private to model/.
#pragma once

#include <map>
#include <string_view>

#include "base/result.hpp"
#include "model/names.hpp"
#include "model/objects.hpp"

namespace sluice::model {

// "Pool 2b2a… not found."
tl::unexpected<Error> not_found(std::string_view kind, const Uuid& id);
// "Listener 2b2a…: protocol_port cannot be changed after creation"
tl::unexpected<Error> immutable(std::string_view kind, const Uuid& id, std::string_view attribute);

template <typename T>
Result<T*> find(std::map<Uuid, T>& objects, const Uuid& id) {
  const auto found = objects.find(id);
  if (found == objects.end()) return not_found(kind_of(T{}), id);
  return &found->second;
}

// A fresh id, `now`, PENDING_CREATE, and the parent's project unless the object names its own.
void begin(Object& object, std::string_view parent_project, Timestamp now);
// What replace() keeps of the current object: identity, project and creation; marks `next` as
// changed.
void carry_over(Object& next, const Object& current, Timestamp now);

// PENDING_UPDATE for the object and everything between it and its load balancer. The ids exist.
void mark_pending(Object& object);
void mark_load_balancer(Model& model, const Uuid& load_balancer);
void mark_listener(Model& model, const Uuid& listener);
void mark_pool(Model& model, const Uuid& pool);

// ErrorKind::conflict when a load balancer, floating IP or member other than `self` has the
// address.
Result<void> check_address_is_free(const Model& model, const IpAddress& address, const Uuid& self);

// ErrorKind::forbidden when the project of the new object has as many of its kind as its quota
// allows. `object` is not in the model yet.
template <typename T>
Result<void> check_quota(const Model& model, const T& object);

// Which pools a listener may hand its connections to.
Result<void> check_protocols_fit(Protocol listener, Protocol pool);

// The load balancer goes: its floating IPs are reserved, as they were before they were attached.
void detach_floating_ips(Model& model, const Uuid& load_balancer, Timestamp now);

// Takes the pool, its members and its monitor out; listeners that named it lose their default pool.
void erase_pool(Model& model, const Uuid& pool, Timestamp now);

}  // namespace sluice::model
