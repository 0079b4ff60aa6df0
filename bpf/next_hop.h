/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Next hops: looked up in the kernel's FIB and neighbour tables once, then shared by flows through `next_hops`.
 *
 * A next hop is used while its generation is the present one. The controller raises the generation when a route,
 * link or neighbour's MAC changes, and the next packet of each flow looks its next hop up again. */
#ifndef SLUICE_BPF_NEXT_HOP_H
#define SLUICE_BPF_NEXT_HOP_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "bpf/address_filter.h"
#include "bpf/clock.h"
#include "bpf/journey.h"
#include "bpf/packet.h"
#include "maps/interface.h"
#include "maps/next_hop.h"
#include "maps/reasons.h"

/* The UAPI headers lack these constants. */
#define ADDRESS_FAMILY_INET 2
#define ADDRESS_FAMILY_INET6 10

/* The number of entries that are tried for one next hop. */
#define NEXT_HOP_WAYS 16

#define MTU_UNKNOWN 65535

/* By so many bytes an IPv6 header is longer than one of IPv4 without options. */
#define IPV6_IS_LONGER ((__u32)(sizeof(struct ipv6hdr) - sizeof(struct iphdr)))

/* Returns the present generation, which is never 0: that marks a free entry. */
static __always_inline __u32 next_hop_generation(void)
{
	return (runtime.next_hop_generation + 1) & ~SLUICE_NEXT_HOP_SPECIAL;
}

static __always_inline struct sluice_next_hop *next_hop_at(__u32 index)
{
	return bpf_map_lookup_elem(&next_hops, &index);
}

/* Returns the next hop of this index; NULL if it is not valid, or no longer. */
static __always_inline const struct sluice_next_hop *next_hop_valid(__u32 index, __u32 generation)
{
	const struct sluice_next_hop *hop = next_hop_at(index);

	return hop && (hop->generation & ~SLUICE_NEXT_HOP_SPECIAL) == generation ? hop : NULL;
}

/* Returns 0 if both are equal. It has no branches, because the verifier would follow them for each of NEXT_HOP_WAYS
 * entries. */
static __always_inline __u64 next_hop_difference(const struct sluice_next_hop *a, const struct sluice_next_hop *b)
{
	/* The two MACs are three words, because the verifier wants aligned reads of the stack. */
	const __u32 *x = (const void *)a->destination_mac, *y = (const void *)b->destination_mac;
	const __u32 *tags_a = (const void *)a->tag, *tags_b = (const void *)b->tag;

	return (a->generation ^ b->generation) | (a->ifindex ^ b->ifindex) | (x[0] ^ y[0]) | (x[1] ^ y[1]) |
	       (x[2] ^ y[2]) | (a->mtu ^ b->mtu) | (a->tags ^ b->tags) | (a->tunnel ^ b->tunnel) |
	       (tags_a[0] ^ tags_b[0]) | (tags_a[1] ^ tags_b[1]) |
	       (a->tunnel_destination.halves[0] ^ b->tunnel_destination.halves[0]) |
	       (a->tunnel_destination.halves[1] ^ b->tunnel_destination.halves[1]);
}

static __always_inline void next_hop_copy(struct sluice_next_hop *to, const struct sluice_next_hop *from)
{
	to->ifindex = from->ifindex;
	__builtin_memcpy(to->destination_mac, from->destination_mac, SLUICE_MAC_BYTES);
	__builtin_memcpy(to->source_mac, from->source_mac, SLUICE_MAC_BYTES);
	to->mtu = from->mtu;
	to->tags = from->tags;
	to->tunnel = from->tunnel;
	to->tag[0] = from->tag[0];
	to->tag[1] = from->tag[1];
	to->tunnel_destination = from->tunnel_destination;
}

static __always_inline void next_hop_write(struct sluice_next_hop *hop, const struct sluice_next_hop *content)
{
	next_hop_copy(hop, content);
	/* An exchange is a full barrier: a reader that sees the generation sees the rest. */
	__sync_lock_test_and_set(&hop->generation, content->generation);
}

/* Returns the index at which the search for an entry with this content begins. */
static __always_inline __u32 next_hop_place(const struct sluice_next_hop *content)
{
	/* The last two bytes of the MAC tell neighbours apart best; four bytes from there reach into the other MAC. */
	__u32 mac = *(const __u32 *)content->destination_mac ^ *(const __u32 *)(content->destination_mac + 4) * 31;
	__u32 tunnel = content->tunnel_destination.words[0] * 7 ^ content->tunnel_destination.words[3] * 13;

	return (mac ^ content->ifindex * 17 ^ content->generation ^ *(const __u32 *)content->tag * 5 ^ tunnel) *
		       0x9e3779b1U >> 20;
}

/* Returns the index of an entry with this content, which is found or created; 0 if there is no room near its place. */
__noinline int next_hop_index(const struct sluice_next_hop *content)
{
	__u32 used = clock_jiffies() | 1, first, index, seen;
	struct sluice_next_hop *hop;

	if (!content)
		return 0;
	first = next_hop_place(content);
	for (__u32 i = 0; i < NEXT_HOP_WAYS; i++) {
		index = (first + i) % SLUICE_MAX_NEXT_HOPS;
		hop = next_hop_at(index);
		if (!hop || index == 0)
			continue;
		seen = *(volatile __u32 *)&hop->used;
		if (seen & 1 && !next_hop_difference(hop, content) &&
		    (seen == used || __sync_val_compare_and_swap(&hop->used, seen, used) == seen))
			return index;
		if (seen == SLUICE_NEXT_HOP_FREE && __sync_val_compare_and_swap(&hop->used, seen, used) == seen) {
			next_hop_write(hop, content);
			return index;
		}
	}
	return 0;
}

/* Returns the tunnel to the member, as struct sluice_next_hop has it; 0: there is none. */
static __always_inline __u32 member_tunnel(int family, const struct sluice_member *member)
{
	if (!(member->flags & SLUICE_MEMBER_IPIP))
		return 0;
	return member->flags & SLUICE_MEMBER_GUE ? (__u32)family | SLUICE_TUNNEL_UDP : (__u32)family;
}

/* Hashes a member's address and forwarding mode, on which its next hop depends. */
static __always_inline __u64 member_hash(const struct sluice_member *member)
{
	__u64 h = (member->address.halves[0] ^ 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;

	h = (h ^ h >> 31 ^ member->address.halves[1]) * 0x94d049bb133111ebULL;
	return (h ^ h >> 29) + (member->flags & (SLUICE_MEMBER_IPV6 | SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP |
						  SLUICE_MEMBER_GUE));
}

/* Returns the generation in the lower half, the index in the upper one. */
static __always_inline __u64 member_hop_word(const struct sluice_member_hop *known)
{
	return *(const volatile __u64 *)known;
}

/* Returns the next hop that an earlier connection to this member found, if it is of the present generation. */
static __always_inline const struct sluice_next_hop *next_hop_of_member(__u32 index, const struct sluice_member *member,
									__u32 *hop_index)
{
	__u32 generation = next_hop_generation();
	const struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &index);
	__u64 hop, member_known;

	if (!known)
		return NULL;
	/* Generation and index are one word, which is 0 while the member changes. */
	hop = member_hop_word(known);
	member_known = *(const volatile __u64 *)&known->member;
	if ((__u32)hop != generation || member_known != member_hash(member) || member_hop_word(known) != hop)
		return NULL;
	*hop_index = hop >> 32;
	return next_hop_valid(*hop_index, generation);
}

/* Notes that something refers to this entry. */
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

/* Frees an entry that nothing has referred to since `before`. */
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

/* A lookup's question and answer. There is one per CPU, because it is too large for the stack. */
struct next_hop_query {
	union sluice_address source;
	union sluice_address destination;
	__u32 family;
	__u32 ingress_ifindex;
	__u32 tunnel; /* in: 0, or the tunnel that ends at `destination`, see struct sluice_next_hop */
	/* In: an index that was valid before, or 0. Out: the index to use, 0 when the table has no room. */
	__u32 index;
	__u32 not_fast; /* in: 1: packets to it must not take the fast path */
	__u32 zero;
	struct sluice_next_hop hop; /* out: the next hop itself */
	struct bpf_fib_lookup fib;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct next_hop_query);
} local_next_hop SEC(".maps");

/* Returns the interface's slot; NULL if Sluice is not attached to it and doesn't know it as a VLAN interface. */
static __always_inline const struct sluice_interface *interface_at(__u32 ifindex)
{
	__u32 slot = ifindex % SLUICE_MAX_INTERFACES;
	const struct sluice_interface *interface = bpf_map_lookup_elem(&interfaces, &slot);

	return interface && interface->ifindex == ifindex ? interface : NULL;
}

/* Says whether the driver sends frames of XDP from any NIC. It does if it runs our program; a bridge has no driver. */
static __always_inline bool is_native(__u32 ifindex)
{
	const struct sluice_interface *interface = interface_at(ifindex);

	return interface && !(interface->flags & SLUICE_INTERFACE_GENERIC);
}

/* In generic mode the stack sends the frame, by any interface. */
static __always_inline bool xdp_can_send(__u32 ingress_ifindex, __u32 egress_ifindex)
{
	const struct sluice_interface *ingress;

	if (ingress_ifindex == egress_ifindex || is_native(egress_ifindex))
		return true;
	ingress = interface_at(ingress_ifindex);
	return ingress && ingress->flags & SLUICE_INTERFACE_GENERIC;
}

static __always_inline bool is_no_way(int why)
{
	return why == SLUICE_REASON_NO_ROUTE || why == SLUICE_REASON_EGRESS_NOT_NATIVE;
}

static __always_inline void next_hop_remember_for_member(__u32 index, const struct sluice_member *member,
							 const struct next_hop_query *q)
{
	struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &index);
	__u64 hash = member_hash(member);

	/* A NIC in generic mode can't send frames that came in on any other NIC. */
	if (!known || !q->index || !is_native(q->hop.ifindex))
		return;
	if (known->member != hash) {
		__sync_lock_test_and_set((__u64 *)known, 0);
		*(volatile __u64 *)&known->member = hash;
	}
	/* Both are one word, so that other CPUs read both or neither; an exchange orders the member before it. */
	__sync_lock_test_and_set((__u64 *)known,
				 (__u64)q->index << 32 | (q->hop.generation & ~SLUICE_NEXT_HOP_SPECIAL));
}

/* Says whether packets to this destination leave as IPv4 packets. */
static __always_inline bool asks_for_ipv4(const struct next_hop_query *q)
{
	return q->family == FAMILY4 || is_mapped(&q->destination);
}

static __always_inline void fib_question(const struct next_hop_query *q, struct bpf_fib_lookup *fib)
{
	__builtin_memset(fib, 0, sizeof(*fib));
	fib->l4_protocol = IPPROTO_TCP;
	fib->ifindex = q->ingress_ifindex;
	if (asks_for_ipv4(q)) {
		fib->family = ADDRESS_FAMILY_INET;
		fib->ipv4_src = q->family == FAMILY4 ? q->source.ipv4 : q->source.words[3];
		fib->ipv4_dst = q->family == FAMILY4 ? q->destination.ipv4 : q->destination.words[3];
	} else {
		fib->family = ADDRESS_FAMILY_INET6;
		for (int i = 0; i < 4; i++) {
			fib->ipv6_src[i] = q->source.words[i];
			fib->ipv6_dst[i] = q->destination.words[i];
		}
	}
}

/* Finds the NIC behind the FIB's interface, which may be a VLAN interface on top of it. */
static __always_inline void next_hop_leave_by(struct sluice_next_hop *hop, __u32 ifindex)
{
	const struct sluice_interface *interface = interface_at(ifindex);

	hop->ifindex = ifindex;
	hop->tags = 0;
	hop->tag[0] = hop->tag[1] = (struct sluice_tag){};
	if (!interface || interface->tags == 0)
		return;
	hop->ifindex = interface->parent;
	hop->tags = interface->tags;
	hop->tag[0] = interface->tag[0];
	hop->tag[1] = interface->tag[1];
}

static __always_inline __u32 tunnel_bytes(__u32 tunnel)
{
	__u32 udp = tunnel & SLUICE_TUNNEL_UDP ? sizeof(struct udphdr) : 0;

	if (tunnel == 0)
		return 0;
	return udp + (SLUICE_TUNNEL_FAMILY(tunnel) == FAMILY4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
}

static __always_inline void next_hop_request(const struct next_hop_query *q, const struct bpf_fib_lookup *fib)
{
	struct sluice_resolve_request request = {.ifindex = fib->ifindex, .family = asks_for_ipv4(q) ? FAMILY4 : FAMILY6};

	/* The helper has replaced the destination by the gateway, if there is one. */
	if (asks_for_ipv4(q))
		request.address.ipv4 = fib->ipv4_dst;
	else
		__builtin_memcpy(&request.address, fib->ipv6_dst, sizeof(request.address));
	bpf_ringbuf_output(&resolve_requests, &request, sizeof(request), 0);
}

static __always_inline bool leaves_alike(const struct sluice_next_hop *a, const struct sluice_next_hop *b)
{
	const __u32 *tags_a = (const void *)a->tag, *tags_b = (const void *)b->tag;

	return a->ifindex == b->ifindex && a->tags == b->tags && tags_a[0] == tags_b[0] && tags_a[1] == tags_b[1];
}

/* Gives the hop its generation and its index. */
static __always_inline void next_hop_settle(struct next_hop_query *q)
{
	q->hop.tunnel = q->tunnel;
	q->hop.tunnel_destination = (union sluice_address){};
	if (q->tunnel)
		q->hop.tunnel_destination = q->destination;
	q->hop.generation = next_hop_generation();
	if (q->hop.tags || q->hop.tunnel || q->not_fast)
		q->hop.generation |= SLUICE_NEXT_HOP_SPECIAL;
	q->index = next_hop_index(&q->hop);
}

/* Resolves the next hop of packets from `source` to `destination` that come in on `ingress_ifindex`. Returns
 * UNDECIDED, or the reason why the frame can't be addressed.
 *
 * If the kernel knows the route but not the MAC, resolution is requested, and a next hop that was valid before and
 * leads out of the same interface stays: for a reply that is the MAC from which the client's frame came, for others
 * the last good one. An interface by which XDP can't send counts as no way. Otherwise hop.ifindex is the route's
 * interface, and the caller leaves the packet to the kernel. */
__noinline int next_hop_resolve(struct xdp_md *ctx, struct next_hop_query *q)
{
	const struct sluice_next_hop *before;
	struct bpf_fib_lookup *fib;

	if (!q)
		return SLUICE_REASON_NO_ROUTE;
	fib = &q->fib;
	fib_question(q, fib);
	q->hop.mtu = MTU_UNKNOWN;
	switch (bpf_fib_lookup(ctx, fib, sizeof(*fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
		next_hop_leave_by(&q->hop, fib->ifindex);
		if (!xdp_can_send(q->ingress_ifindex, q->hop.ifindex))
			return SLUICE_REASON_EGRESS_NOT_NATIVE;
		__builtin_memcpy(q->hop.destination_mac, fib->dmac, SLUICE_MAC_BYTES);
		__builtin_memcpy(q->hop.source_mac, fib->smac, SLUICE_MAC_BYTES);
		if (fib->mtu_result > tunnel_bytes(q->tunnel))
			q->hop.mtu = fib->mtu_result - tunnel_bytes(q->tunnel);
		/* The MTU counts for IPv6 packets, which become shorter. */
		if (q->family == FAMILY6 && asks_for_ipv4(q) && q->hop.mtu < MTU_UNKNOWN - IPV6_IS_LONGER)
			q->hop.mtu += IPV6_IS_LONGER;
		break;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		next_hop_leave_by(&q->hop, fib->ifindex);
		if (!xdp_can_send(q->ingress_ifindex, q->hop.ifindex))
			return SLUICE_REASON_EGRESS_NOT_NATIVE;
		next_hop_request(q, fib);
		before = next_hop_at(q->index);
		if (!q->index || !before || !leaves_alike(before, &q->hop)) {
			q->index = 0;
			return SLUICE_REASON_NEXT_HOP_UNRESOLVED;
		}
		__builtin_memcpy(q->hop.destination_mac, before->destination_mac, SLUICE_MAC_BYTES);
		__builtin_memcpy(q->hop.source_mac, before->source_mac, SLUICE_MAC_BYTES);
		q->hop.mtu = before->mtu;
		break;
	default:
		return SLUICE_REASON_NO_ROUTE;
	}
	next_hop_settle(q);
	return UNDECIDED;
}

#endif
