/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `runtime`: what every packet looks at. `resolve_requests`: addresses whose MAC the data plane missed.
 *
 * `runtime` is written by the controller; the data plane reads it for every packet. What never
 * changes after load is a `const volatile` in bpf/, not here.
 *
 * The address filter is a Bloom filter with one hash, of the addresses of VIPs and members. Packets that have no such
 * address at either end aren't ours; they are many on a shared NIC, and the filter answers for them in a tenth of the
 * time that looking for a flow or a VIP would take. An address's bit is set before anything that names the address is
 * put, and cleared at some time after the last flow that uses it has ended. */
#ifndef SLUICE_RUNTIME_H
#define SLUICE_RUNTIME_H

#include "types.h"

/* 64 Ki bits stay in the first-level cache. */
#define SLUICE_ADDRESS_FILTER_WORDS 1024

struct sluice_runtime {
	/* Raised by the controller when a route, link, address or neighbour's MAC changes; flows resolve their
	 * next hop again when theirs is older. The data plane adds 1, so a map full of zeros is valid. */
	__u32 next_hop_generation;
	__u32 zero;
	__u64 address_filter[SLUICE_ADDRESS_FILTER_WORDS];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_runtime) == 8200);

/* An address's bit: the top 10 bits of the hash are its word, the next 6 its place there. */
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

/* One record of `resolve_requests`: please make the kernel resolve this address on this interface. */
struct sluice_resolve_request {
	__u32 ifindex;
	__u32 family; /* 4 or 6 */
	union sluice_address address;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_resolve_request) == 24);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_runtime);
} runtime SEC(".maps");

/* Records are dropped when nobody reads them: a request is a hint, the next packet makes it again. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} resolve_requests SEC(".maps");
#endif

#endif
