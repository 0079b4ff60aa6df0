/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Next hops: asked of the kernel's FIB and neighbour tables once, then shared by flows through `next_hops`.
 *
 * A next hop is used while its generation is the present one; the controller raises the generation when
 * a route, link or neighbour's MAC changes, and the next packet of each flow asks again. */
#ifndef SLUICE_BPF_NEXT_HOP_H
#define SLUICE_BPF_NEXT_HOP_H

#include "bpf/clock.h"
#include "bpf/packet.h"
#include "maps/next_hop.h"

#define ADDRESS_FAMILY_INET 2 /* AF_INET; the UAPI headers don't have it */

/* Entries that are tried for one next hop. */
#define NEXT_HOP_WAYS 16

/* Never 0: that marks an entry that is free. */
static __always_inline __u32 next_hop_generation(void)
{
	const struct sluice_runtime *r = runtime_get();

	return (r ? r->next_hop_generation : 0) + 1;
}

static __always_inline struct sluice_next_hop *next_hop_at(__u32 index)
{
	return bpf_map_lookup_elem(&next_hops, &index);
}

/* NULL: this index is not, or no longer, one to send frames by. */
static __always_inline const struct sluice_next_hop *next_hop_valid(__u32 index, __u32 generation)
{
	const struct sluice_next_hop *hop = next_hop_at(index);

	return hop && hop->generation == generation ? hop : NULL;
}

static __always_inline void next_hop_request(__u32 ifindex, __be32 address)
{
	struct sluice_resolve_request request = {.ifindex = ifindex, .address = address};

	bpf_ringbuf_output(&resolve_requests, &request, sizeof(request), 0);
}

static __always_inline bool next_hop_same(const struct sluice_next_hop *a, const struct sluice_next_hop *b)
{
	/* The two MACs are three words, and the verifier wants aligned ones of the stack. */
	const __u32 *x = (const void *)a->destination_mac, *y = (const void *)b->destination_mac;

	return a->generation == b->generation && a->ifindex == b->ifindex && x[0] == y[0] && x[1] == y[1] &&
	       x[2] == y[2];
}

static __always_inline void next_hop_write(struct sluice_next_hop *hop, const struct sluice_next_hop *content)
{
	hop->ifindex = content->ifindex;
	__builtin_memcpy(hop->destination_mac, content->destination_mac, SLUICE_MAC_BYTES);
	__builtin_memcpy(hop->source_mac, content->source_mac, SLUICE_MAC_BYTES);
	/* An exchange is a full barrier: who sees the generation sees the rest. */
	__sync_lock_test_and_set(&hop->generation, content->generation);
}

/* The index of an entry with this content, found or made; 0: there is no room near its place. */
static __noinline __u32 next_hop_index(const struct sluice_next_hop *content)
{
	__u32 used = clock_jiffies() | 1, first, index, seen;
	struct sluice_next_hop *hop;

	/* The last two bytes of the MAC tell neighbours apart best; four bytes from there reach into the other MAC. */
	first = (*(const __u32 *)content->destination_mac ^ *(const __u32 *)(content->destination_mac + 4) * 31 ^
		 content->ifindex * 17 ^ content->generation) *
		0x9e3779b1U >> 20;
	for (__u32 i = 0; i < NEXT_HOP_WAYS; i++) {
		index = (first + i) % SLUICE_MAX_NEXT_HOPS;
		hop = next_hop_at(index);
		if (!hop || index == 0)
			continue;
		seen = *(volatile __u32 *)&hop->used;
		if (seen & 1 && next_hop_same(hop, content) &&
		    (seen == used || __sync_val_compare_and_swap(&hop->used, seen, used) == seen))
			return index;
		if (seen == SLUICE_NEXT_HOP_FREE && __sync_val_compare_and_swap(&hop->used, seen, used) == seen) {
			next_hop_write(hop, content);
			return index;
		}
	}
	return 0;
}

/* What an earlier connection to this member found out, if that is of the present generation. */
static __always_inline const struct sluice_next_hop *next_hop_of_member(__u32 member, __be32 address, __u32 *index)
{
	__u32 generation = next_hop_generation();
	const struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &member);

	if (!known || known->generation != generation || known->address != address)
		return NULL;
	*index = known->index;
	return next_hop_valid(*index, generation);
}

/* Something names this entry. */
static __always_inline void next_hop_keep(__u32 index, __u32 now_jiffies)
{
	struct sluice_next_hop *hop = next_hop_at(index);
	__u32 used = now_jiffies | 1, seen;

	if (!hop || index == 0)
		return;
	seen = *(volatile __u32 *)&hop->used;
	if (seen & 1 && seen != used)
		__sync_val_compare_and_swap(&hop->used, seen, used);
}

/* Frees an entry that nobody has been known to name since `before`. */
static __always_inline void next_hop_free_if_unused(__u32 index, __u32 before)
{
	struct sluice_next_hop *hop = next_hop_at(index);
	__u32 seen;

	if (!hop)
		return;
	seen = *(volatile __u32 *)&hop->used;
	if (!(seen & 1) || (__s32)(seen - before) > 0 ||
	    __sync_val_compare_and_swap(&hop->used, seen, SLUICE_NEXT_HOP_BEING_FREED) != seen)
		return;
	__sync_lock_test_and_set(&hop->generation, 0);
	__sync_lock_test_and_set(&hop->used, SLUICE_NEXT_HOP_FREE);
}

/* What is asked, and what comes back. One per CPU, because it is too large for the stack. */
struct next_hop_query {
	__be32 source;
	__be32 destination;
	__u32 ingress_ifindex;
	/* In: an index that was valid before, or 0. Out: the index to use, 0 when the table has no room. */
	__u32 index;
	struct sluice_next_hop hop; /* out: the next hop itself */
	struct bpf_fib_lookup fib;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct next_hop_query);
} local_next_hop SEC(".maps");

static __always_inline void next_hop_remember_for_member(__u32 member, const struct next_hop_query *q)
{
	struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &member);

	if (!known || !q->index)
		return;
	if (known->address != q->destination) {
		__sync_lock_test_and_set(&known->generation, 0);
		known->address = q->destination;
	}
	/* In one word, so that other CPUs read both or neither; an exchange, so that they see the address before. */
	__sync_lock_test_and_set((__u64 *)known, (__u64)q->index << 32 | q->hop.generation);
}

/* Resolves the next hop of packets from `source` to `destination` that come in on `ingress_ifindex`. Returns
 * UNDECIDED, or the reason why the frame can't be addressed.
 *
 * When the kernel knows the route but not the MAC, resolution is asked for, and a next hop that was valid before and
 * leads out of the same interface stays: for a reply that is the MAC that the client's frame came from, for others
 * the last good one. Otherwise hop.ifindex says where the route leads and the caller hands the packet to the
 * kernel. */
__noinline int next_hop_resolve(struct xdp_md *ctx, struct next_hop_query *q)
{
	const struct sluice_next_hop *before;
	struct bpf_fib_lookup *fib;

	if (!q)
		return SLUICE_REASON_NO_ROUTE;
	fib = &q->fib;
	*fib = (struct bpf_fib_lookup){
		.family = ADDRESS_FAMILY_INET,
		.l4_protocol = IPPROTO_TCP,
		.ifindex = q->ingress_ifindex,
		.ipv4_src = q->source,
		.ipv4_dst = q->destination,
	};
	switch (bpf_fib_lookup(ctx, fib, sizeof(*fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		__builtin_memcpy(q->hop.destination_mac, fib->dmac, SLUICE_MAC_BYTES);
		__builtin_memcpy(q->hop.source_mac, fib->smac, SLUICE_MAC_BYTES);
		break;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		/* The helper put the gateway, if there is one, in place of the destination. */
		next_hop_request(fib->ifindex, fib->ipv4_dst);
		before = next_hop_at(q->index);
		if (!q->index || !before || before->ifindex != fib->ifindex) {
			q->hop.ifindex = fib->ifindex;
			q->index = 0;
			return SLUICE_REASON_NEXT_HOP_UNRESOLVED;
		}
		__builtin_memcpy(q->hop.destination_mac, before->destination_mac, SLUICE_MAC_BYTES);
		__builtin_memcpy(q->hop.source_mac, before->source_mac, SLUICE_MAC_BYTES);
		break;
	default:
		return SLUICE_REASON_NO_ROUTE;
	}
	q->hop.ifindex = fib->ifindex;
	q->hop.generation = next_hop_generation();
	q->index = next_hop_index(&q->hop);
	return UNDECIDED;
}

#endif
