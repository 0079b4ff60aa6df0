/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `runtime`: values that every packet reads. `resolve_requests`: addresses whose MAC the data plane needs.
 *
 * The controller writes `runtime`; the data plane reads it for every packet. Values that never change after load are
 * `const volatile` in bpf/ instead.
 *
 * The address filter is a Bloom filter with one hash, of the addresses of VIPs and members. Packets without such an
 * address at either end aren't ours; they are many on a shared NIC, and the filter takes a tenth of the time of a
 * lookup of a flow or a VIP. An address's bit is set before anything with the address is put, and cleared some time
 * after the last flow with it has ended. When addresses are many, the data plane asks the filter in address_filter.h instead;
 * the controller keeps both complete. */
#ifndef SLUICE_RUNTIME_H
#define SLUICE_RUNTIME_H

#include "types.h"

/* The filter's 64 Ki bits stay in the first-level cache. */
#define SLUICE_ADDRESS_FILTER_WORDS 1024

struct sluice_runtime {
	/* The controller raises this when a route, link, address or neighbour's MAC changes; flows with an older
	 * next hop resolve it again. The data plane adds 1, so a map full of zeros is valid. */
	__u32 next_hop_generation;
	/* For the fast path: the shifts of `flow_areas`, IPv4 and IPv6 (maps/flow.h). Written by the data plane after the
	 * word there. Who meets an old one looks in the wrong home, finds nothing, and takes the slow path. */
	__u8 area_shifts[2];
	__u8 large_filter; /* 1: the data plane asks `address_filter` in place of the filter here */
	__u8 zero;
	__u64 address_filter[SLUICE_ADDRESS_FILTER_WORDS];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_runtime) == 8200);

/* The place of an address's bit: the top 10 bits of the hash are its word, the next 6 its bit. */
static inline __u32 sluice_address_hash4(__be32 address)
{
	return address * 0x9e3779b1U;
}
static inline __u32 sluice_address_hash6(const union sluice_address *address)
{
	__u64 h = (address->halves[0] ^ (address->halves[1] * 0x9e3779b97f4a7c15ULL)) * 0xc4ceb9fe1a85ec53ULL;

	return h >> 32;
}
#define SLUICE_ADDRESS_WORD(hash) ((hash) >> 22)
#define SLUICE_ADDRESS_BIT(hash) ((hash) >> 16 & 63)

static inline void sluice_address_filter_add(struct sluice_runtime *runtime, __u32 hash)
{
	runtime->address_filter[SLUICE_ADDRESS_WORD(hash)] |= 1ULL << SLUICE_ADDRESS_BIT(hash);
}

static inline void sluice_address_filter_add4(struct sluice_runtime *runtime, __be32 address)
{
	sluice_address_filter_add(runtime, sluice_address_hash4(address));
}

static inline void sluice_address_filter_add6(struct sluice_runtime *runtime, const union sluice_address *address)
{
	sluice_address_filter_add(runtime, sluice_address_hash6(address));
}

/* One record of `resolve_requests`, which asks for the MAC of this address on this interface. */
struct sluice_resolve_request {
	__u32 ifindex;
	__u32 family; /* 4 or 6 */
	union sluice_address address;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_resolve_request) == 24);

#ifdef __bpf__
/* Global data, which a packet reads without a lookup. For everybody else it is an array of one element that is pinned as
 * `runtime` (userspace/kernel/object.hpp), as it was when it was declared as one. */
struct sluice_runtime runtime SEC(".data.runtime");

/* Records are dropped when nobody reads them: a request is a hint, and the next packet repeats it. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} resolve_requests SEC(".maps");
#endif

#endif
