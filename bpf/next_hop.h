/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Next hops: asked of the kernel's FIB and neighbour tables once, then cached in the flow.
 *
 * A cached next hop is used while its generation is the current one; the controller raises the generation when
 * a route, link or neighbour's MAC changes, and the next packet of each flow asks again. */
#ifndef SLUICE_BPF_NEXT_HOP_H
#define SLUICE_BPF_NEXT_HOP_H

#include "bpf/packet.h"
#include "maps/runtime.h"

#define ADDRESS_FAMILY_INET 2 /* AF_INET; the UAPI headers don't have it */

/* Never 0: that marks a next hop that was not resolved yet. */
static __always_inline __u32 next_hop_generation(void)
{
	__u32 zero = 0;
	const struct sluice_runtime *r = bpf_map_lookup_elem(&runtime, &zero);

	return (r ? r->next_hop_generation : 0) + 1;
}

static __always_inline void next_hop_request(__u32 ifindex, __be32 address)
{
	struct sluice_resolve_request request = {.ifindex = ifindex, .address = address};

	bpf_ringbuf_output(&resolve_requests, &request, sizeof(request), 0);
}

/* Fills *hop for packets from `source` to `destination` that come in on `ingress_ifindex`. Returns UNDECIDED, or the
 * reason why the frame can't be addressed.
 *
 * When the kernel knows the route but not the MAC, resolution is asked for, and a *hop that was valid before and leads
 * out of the same interface stays: for a reply that is the MAC that the client's frame came from, for a cached
 * next hop the last good one. Otherwise hop->ifindex says where the route leads, generation stays 0, and the
 * caller hands the packet to the kernel.
 *
 * *hop may be in the flow table, where other CPUs read it: the generation is written last, and two CPUs that
 * resolve the same next hop at once write the same bytes. */
static __noinline int next_hop_resolve(struct xdp_md *ctx, struct sluice_next_hop *hop, __be32 source,
				       __be32 destination, __u32 ingress_ifindex)
{
	__u32 generation = next_hop_generation();
	struct bpf_fib_lookup fib = {
		.family = ADDRESS_FAMILY_INET,
		.l4_protocol = IPPROTO_TCP,
		.ifindex = ingress_ifindex,
		.ipv4_src = source,
		.ipv4_dst = destination,
	};

	switch (bpf_fib_lookup(ctx, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		hop->ifindex = fib.ifindex;
		__builtin_memcpy(hop->destination_mac, fib.dmac, SLUICE_MAC_BYTES);
		__builtin_memcpy(hop->source_mac, fib.smac, SLUICE_MAC_BYTES);
		break;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		/* The helper put the gateway, if there is one, in place of the destination. */
		next_hop_request(fib.ifindex, fib.ipv4_dst);
		if (hop->generation && hop->ifindex == fib.ifindex)
			break;
		hop->generation = 0;
		hop->ifindex = fib.ifindex;
		return SLUICE_REASON_NEXT_HOP_UNRESOLVED;
	default:
		return SLUICE_REASON_NO_ROUTE;
	}
	barrier();
	hop->generation = generation;
	return UNDECIDED;
}

#endif
