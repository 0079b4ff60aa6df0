// Codec: converts between the controller's values and the bytes in the maps (maps/*.h). Pure.
#pragma once

#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/result.hpp"
#include "base/uuid.hpp"
#include "control/data_plane.hpp"
#include "kernel/address.hpp"
#include "maps/counters.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/tunnel.h"
#include "maps/vip.h"

namespace sluice::dataplane {

// Ids and addresses.
using kernel::from_map;
using kernel::to_map;

sluice_vip to_map(const control::VipEntry& entry);
control::VipEntry from_map(const sluice_vip& vip);

sluice_member to_map(const Uuid& id, const control::MemberEntry& entry);
control::MemberEntry from_map(const sluice_member& member);
// The slot after the member was removed: it gets no new flows, and keeps its id while flows are
// left. A member that was down stays given up, because removal must not prolong its connections.
sluice_member removed(sluice_member member);
bool is_removed(const sluice_member& member);

// What the entry says about its removal, which is not in a sluice_member.
sluice_member_drain drain_of(const control::MemberEntry& entry);
void read_drain(const sluice_member_drain& drain, control::MemberEntry& entry);
// The same once the member is removed, at this time: with the end, if there is one.
sluice_member_drain removed(sluice_member_drain drain, std::chrono::sys_seconds now,
                            std::chrono::seconds since_boot);

sluice_pool to_map(const control::PoolKey& key, const control::PoolEntry& entry);
control::PoolKey key_from_map(const sluice_pool& pool);
// The result lacks the ring, which is in a map of its own.
control::PoolEntry from_map(const sluice_pool& pool);

// Precondition: the address is of the key's family.
sluice_listener4_key to_map4(const control::ListenerKey& key);
sluice_listener6_key to_map6(const control::ListenerKey& key);
// ErrorKind::internal for a protocol that this build doesn't know.
Result<control::ListenerKey> from_map(const sluice_listener4_key& key);
Result<control::ListenerKey> from_map(const sluice_listener6_key& key);

sluice_listener to_map(const control::ListenerEntry& entry, std::uint32_t index,
                       std::uint32_t pool);
bool has_sources(const control::ListenerEntry& entry);
// The IP version of the sources that the entry's members see; with both_versions, of
// snat_addresses.
bool sources_are_ipv6(const control::ListenerKey& key, const control::ListenerEntry& entry);
// The result lacks pool, allowed_cidrs, last_port and snat_addresses, which are in other maps, and
// the source of IPv6 flows.
control::ListenerEntry from_map(const sluice_listener& listener);
// The part of an entry that is in `listener_idle`.
std::uint32_t idle_word(const control::ListenerEntry& entry);
void read_idle_word(std::uint32_t word, control::ListenerEntry& entry);

// The key of `listener_ranges` for this listener's address and protocol.
sluice_ranges_key ranges_key(const control::ListenerKey& key);

sluice_allowed_key to_map(std::uint32_t listener, const IpNetwork& network);
IpNetwork from_map(const sluice_allowed_key& key);

sluice_tunnel_source to_map(const IpNetwork& prefix);

// Adds one CPU's counters.
void add(control::Counters& sum, const sluice_counters& one);

}  // namespace sluice::dataplane
