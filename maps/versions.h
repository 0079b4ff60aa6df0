/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `map_versions`: the versions of the pinned maps. Every map of the contract is in the list below.
 *
 * To change the meaning of a map's bytes, raise its version in the second column, even if type and sizes stay the same.
 * The third column is the oldest version that this build can read. 0 there: the map may be missing, because older data
 * planes lack it, and may begin empty beside their programs.
 *
 * A process that loads, adds a map or upgrades writes the version before a program or a daemon uses the new meaning.
 * A process that opens pinned maps refuses a version that it doesn't know. The data plane does not read it. */
#ifndef SLUICE_VERSIONS_H
#define SLUICE_VERSIONS_H

#include "types.h"

/* X(map, version, oldest version that this build reads). A map's place in this list is its index: add at the end,
 * never remove one. */
#define SLUICE_MAPS(X)                \
	X(vips4, 1, 1)                \
	X(vips6, 1, 1)                \
	X(listeners4, 1, 1)           \
	X(listeners6, 1, 1)           \
	X(allowed_sources, 1, 1)      \
	X(source_rates, 1, 1)         \
	X(pools, 1, 1)                \
	X(pool_rings, 1, 1)           \
	X(pool_cursors, 1, 1)         \
	X(persistence, 1, 1)          \
	X(members, 1, 1)              \
	X(flows4, 2, 1)               \
	X(flows6, 4, 1)               \
	X(half_open, 1, 1)            \
	X(fragments, 1, 1)            \
	X(interfaces, 1, 1)           \
	X(flow_table, 1, 1)           \
	X(next_hops, 1, 1)            \
	X(member_hops, 1, 1)          \
	X(runtime, 1, 1)              \
	X(resolve_requests, 1, 1)     \
	X(member_handshakes, 1, 0)    \
	X(member_failures, 1, 0)      \
	X(suspicions, 1, 0)           \
	X(store_position, 1, 0)       \
	X(reason_counters, 1, 1)      \
	X(listener_counters, 1, 1)    \
	X(member_counters, 1, 1)      \
	X(listener_half_open, 1, 0)   \
	X(member_half_open, 1, 0)     \
	X(hash_key, 1, 0)             \
	X(listener_active, 1, 1)      \
	X(member_active, 1, 1)        \
	X(map_versions, 1, 0)         \
	X(later_reason_counters, 1, 0) \
	X(member_silences, 1, 0)      \
	X(listener_idle, 1, 0)        \
	X(proof_numbers, 1, 0)        \
	X(address_filter, 1, 0)       \
	X(flow_areas, 1, 0)           \
	X(listener_confirmed, 1, 0)   \
	X(proven_sources, 1, 0)       \
	X(records, 1, 0)              \
	X(listener_records, 1, 0)     \
	X(record_losses, 1, 0)        \
	X(record_handshakes, 1, 0)    \
	X(member_confirmed, 1, 0)     \
	X(proxy_pending, 1, 0)        \
	X(listener_ranges, 1, 0)      \
	X(fleet, 1, 0)                \
	X(flow_changes, 1, 0)         \
	X(flow_change_losses, 1, 0)   \
	X(tunnel_sources, 1, 0)      \
	X(snat_sources, 1, 0)        \
	X(snat_vips, 1, 0)           \
	X(syn_answers, 1, 0)         \
	X(member_drains, 1, 0)        \
	X(listener_banks, 1, 0)       \
	X(member_load_balancers, 1, 0)

#define SLUICE_MAP_INDEX(name, version, oldest) SLUICE_MAP_##name,
enum sluice_map_index { SLUICE_MAPS(SLUICE_MAP_INDEX) SLUICE_MAP_COUNT };
#undef SLUICE_MAP_INDEX

/* X(map, capacity in earlier versions). A data plane that an earlier version has attached keeps its maps through every
 * upgrade, so builds go by the capacity that they find. The program runs over either. */
#define SLUICE_EARLIER_CAPACITIES(X)  \
	X(vips4, 4096)                \
	X(vips6, 4096)                \
	X(listeners4, 16384)          \
	X(listeners6, 16384)          \
	X(listener_ranges, 24576)     \
	X(listener_idle, 4096)        \
	X(listener_records, 4096)     \
	X(listener_counters, 4096)    \
	X(listener_active, 4096)      \
	X(listener_half_open, 4096)   \
	X(listener_confirmed, 4096)   \
	X(snat_sources, 8192)         \
	X(snat_vips, 4096)            \
	X(pools, 4096)                \
	X(pool_rings, 4096)           \
	X(pool_cursors, 4096)

/* The room for future maps. */
#define SLUICE_MAX_MAPS 256
SLUICE_STATIC_ASSERT(SLUICE_MAP_COUNT <= SLUICE_MAX_MAPS);

/* The version of an entry of zero, and of every map of a data plane without `map_versions`. */
#define SLUICE_FIRST_MAP_VERSION 1

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MAPS);
	__type(key, __u32); /* enum sluice_map_index */
	__type(value, __u32);
} map_versions SEC(".maps");
#endif

#endif
