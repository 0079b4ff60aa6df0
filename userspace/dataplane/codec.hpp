// Between the controller's values and the bytes in the maps. Pure; the layouts are maps/*.h.
#pragma once

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/data_plane.hpp"
#include "maps/counters.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/vip.h"

namespace sluice::dataplane {

sluice_id to_map(const Uuid& id);
Uuid from_map(const sluice_id& id);

// ErrorKind::unsupported for IPv6, which the data plane doesn't balance yet.
Result<__be32> to_map(const IpAddress& address);

sluice_vip to_map(const control::VipEntry& entry);
control::VipEntry from_map(const sluice_vip& vip);

Result<sluice_member> to_map(const Uuid& id, const control::MemberEntry& entry);
control::MemberEntry from_map(const sluice_member& member);
// The same slot after the member was removed: no new flows, the id stays while flows are left.
sluice_member removed(sluice_member member);
bool is_removed(const sluice_member& member);

sluice_pool to_map(const Uuid& id, model::ForwardingMode mode);
model::ForwardingMode forwarding_mode(const sluice_pool& pool);

Result<sluice_listener4_key> to_map(const control::ListenerKey& key);
// ErrorKind::internal for a protocol that this build doesn't know.
Result<control::ListenerKey> from_map(const sluice_listener4_key& key);

// Adds one CPU's counters.
void add(control::Counters& sum, const sluice_counters& one);

}  // namespace sluice::dataplane
