/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new connection: admit it, choose a member, claim a source port, create the flow.
 *
 * All that packets of the flow will need is computed here, once. */
#ifndef SLUICE_BPF_CONNECT_H
#define SLUICE_BPF_CONNECT_H

#include "bpf/forward.h"
#include "bpf/vip.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"

/* Source ports toward members: what ordinary hosts use, without the well-known ones. */
#define SNAT_PORT_FIRST 1024
#define SNAT_PORT_COUNT (65536 - SNAT_PORT_FIRST)
/* The client's own port, then hashed ones. With half of a member's ports taken, one connection in 2^32 finds
 * none. */
#define SNAT_PORT_TRIES 32

/* Sources that no client has (RFC 1122, 3.2.1.3), and the land attack. */
static __always_inline bool source_is_martian(const struct packet *p)
{
	__u32 source = bpf_ntohl(p->tuple.source);

	return source >> 24 == 0 || source >> 24 == 127 || source >> 28 >= 14 || /* 0/8, 127/8, 224/3 */
	       p->tuple.source == p->tuple.destination || vip_find(p->tuple.source);
}

/* The next slot of the pool's ring: one atomic add, exact across CPUs. SLUICE_NO_INDEX without members. */
static __always_inline __u32 choose_member(__u32 pool)
{
	void *ring = bpf_map_lookup_elem(&pool_rings, &pool);
	__u64 *cursor = bpf_map_lookup_elem(&pool_cursors, &pool);
	__u32 slot = SLUICE_RING_LENGTH;
	const __u32 *length, *member;

	if (!ring || !cursor)
		return SLUICE_NO_INDEX;
	length = bpf_map_lookup_elem(ring, &slot);
	if (!length || *length == 0)
		return SLUICE_NO_INDEX;
	slot = SLUICE_RING_FIRST + __sync_fetch_and_add(cursor, 1) % *length;
	member = bpf_map_lookup_elem(ring, &slot);
	return member ? *member : SLUICE_NO_INDEX;
}

/* A flow in the making: both entries. */
struct new_flow {
	struct sluice_flow4_key key; /* of the client's packets */
	struct sluice_flow4 forward;
	struct sluice_flow4_key reverse_key;
	struct sluice_flow4 reverse;
};

/* Deltas of the forward entry from the change of tuple, and their negatives for the reverse one: in one's
 * complement arithmetic the way back is the complement of the way there. */
static __always_inline void set_checksum_deltas(struct new_flow *f)
{
	__u32 addresses = checksum_change32(f->key.source, f->forward.new_source) +
			  checksum_change32(f->key.destination, f->forward.new_destination);
	__u32 ports = checksum_change16(f->key.source_port, f->forward.new_source_port) +
		      checksum_change16(f->key.destination_port, f->forward.new_destination_port);

	f->forward.ipv4_checksum_delta = checksum_fold(addresses);
	f->forward.l4_checksum_delta = checksum_fold(addresses + ports);
	f->reverse.ipv4_checksum_delta = ~f->forward.ipv4_checksum_delta;
	f->reverse.l4_checksum_delta = ~f->forward.l4_checksum_delta;
}

static __always_inline __u32 hash_client(const struct sluice_flow4_key *key)
{
	__u64 h = ((__u64)key->source << 32) | ((__u32)key->source_port << 16) | key->destination_port;

	/* The finalizer of MurmurHash3 (public domain). */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h >> 32;
}

/* Claims a source port by inserting the reverse entry under it. In dnat the client's own port is the only
 * candidate. The address parts of both entries are set. */
static __noinline int claim_source_port(struct new_flow *f, bool may_change)
{
	__u32 hash = hash_client(&f->key);
	__be16 port = f->key.source_port;
	long inserted;

	for (int i = 0; i < SNAT_PORT_TRIES; i++) {
		if (i > 0 || (may_change && bpf_ntohs(port) < SNAT_PORT_FIRST)) {
			/* An odd stride over an even count would meet itself late; 64512 = 2^10 * 63, so a
			 * prime above 7 walks through all ports. */
			port = bpf_htons(SNAT_PORT_FIRST + (hash + i * 16411U) % SNAT_PORT_COUNT);
		}
		f->forward.new_source_port = port;
		f->reverse_key.destination_port = port;
		set_checksum_deltas(f);
		inserted = flow_insert(&f->reverse_key, &f->reverse);
		if (inserted == -KERNEL_EEXIST && flow_recycle(&f->reverse_key))
			inserted = flow_insert(&f->reverse_key, &f->reverse);
		if (inserted == 0)
			return UNDECIDED;
		if (inserted != -KERNEL_EEXIST)
			return SLUICE_REASON_FLOW_TABLE_FULL;
		if (!may_change)
			break;
	}
	return SLUICE_REASON_NO_PORT;
}

/* Both entries, but for the source port and what depends on it. */
static __always_inline void describe_flow(struct new_flow *f, const struct packet *p,
					  const struct sluice_listener4 *listener, __u32 member_index,
					  const struct sluice_member *member, bool fullnat)
{
	__u32 now = clock_jiffies();

	f->key = p->tuple;
	f->forward.new_source = fullnat ? listener->snat_source : f->key.source;
	f->forward.new_destination = member->address.ipv4;
	f->forward.new_destination_port = member->port;
	f->forward.listener = listener->index;
	f->forward.member = member_index;
	f->forward.direction = SLUICE_TO_MEMBER;
	f->forward.created_jiffies = now;
	f->forward.last_seen_jiffies = now;

	f->reverse_key.source = member->address.ipv4;
	f->reverse_key.source_port = member->port;
	f->reverse_key.destination = f->forward.new_source;
	f->reverse_key.protocol = f->key.protocol;

	f->reverse.new_source = f->key.destination;
	f->reverse.new_source_port = f->key.destination_port;
	f->reverse.new_destination = f->key.source;
	f->reverse.new_destination_port = f->key.source_port;
	f->reverse.listener = listener->index;
	f->reverse.member = member_index;
	f->reverse.direction = SLUICE_TO_CLIENT;
	f->reverse.created_jiffies = now;
	f->reverse.last_seen_jiffies = now;
}

/* Both next hops. Until the kernel knows better, replies go back to the MAC that the client's frame came from: the
 * data plane answers ARP for the VIP, so the kernel may never have heard of an on-link client. The member's MAC may
 * be unknown (*unresolved); a missing route either way is the reason that comes back. */
static __always_inline int resolve_next_hops(struct new_flow *f, const struct packet *p, struct xdp_md *ctx,
					     int *unresolved)
{
	*unresolved = next_hop_resolve(ctx, &f->forward.next_hop, f->forward.new_source,
				       f->forward.new_destination, ctx->ingress_ifindex);
	if (*unresolved == SLUICE_REASON_NO_ROUTE)
		return *unresolved;
	f->reverse.next_hop.generation = next_hop_generation();
	f->reverse.next_hop.ifindex = ctx->ingress_ifindex;
	__builtin_memcpy(f->reverse.next_hop.destination_mac, p->eth->h_source, SLUICE_MAC_BYTES);
	__builtin_memcpy(f->reverse.next_hop.source_mac, p->interface->mac, SLUICE_MAC_BYTES);
	if (next_hop_resolve(ctx, &f->reverse.next_hop, f->key.destination, f->key.source,
			     f->forward.next_hop.ifindex) == SLUICE_REASON_NO_ROUTE)
		return SLUICE_REASON_NO_ROUTE;
	return UNDECIDED;
}

static __always_inline int create_flow(struct packet *p, struct xdp_md *ctx,
				       const struct sluice_listener4 *listener)
{
	const struct sluice_pool *pool = bpf_map_lookup_elem(&pools, &listener->pool);
	__u32 member_index = choose_member(listener->pool);
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &member_index);
	struct new_flow f = {};
	bool fullnat;
	int why, unresolved;

	if (!pool || !member)
		return SLUICE_REASON_NO_MEMBER;
	fullnat = pool->forwarding_mode == SLUICE_FULLNAT;
	describe_flow(&f, p, listener, member_index, member, fullnat);
	why = resolve_next_hops(&f, p, ctx, &unresolved);
	if (why != UNDECIDED)
		return why;
	why = claim_source_port(&f, fullnat);
	if (why != UNDECIDED)
		return why;
	switch (flow_insert(&f.key, &f.forward)) {
	case 0:
		break;
	case -KERNEL_EEXIST: {
		/* Another CPU opened this connection a moment ago (a SYN twice, on two queues): the first
		 * one counts, the packet follows it. */
		struct sluice_flow4 *winner = flow_find(&f.key);

		bpf_map_delete_elem(&flows4, &f.reverse_key);
		return winner ? forward_packet(p, ctx, winner) : SLUICE_REASON_NO_FLOW;
	}
	default:
		bpf_map_delete_elem(&flows4, &f.reverse_key);
		return SLUICE_REASON_FLOW_TABLE_FULL;
	}
	count_flow_opened(f.forward.listener, f.forward.member);
	rewrite(p, &f.forward, unresolved);
	count_flow_packet(&f.forward, p->frame_bytes);
	return unresolved == UNDECIDED ? SLUICE_REASON_FLOW_CREATED : unresolved;
}

/* A TCP packet for a VIP that is in no flow. */
static __always_inline int open_connection(struct packet *p, struct xdp_md *ctx)
{
	struct sluice_listener4_key key = {
		.address = p->tuple.destination,
		.port = p->tuple.destination_port,
		.protocol = p->tuple.protocol,
	};
	const struct sluice_listener4 *listener = bpf_map_lookup_elem(&listeners4, &key);
	int why;

	if (!listener)
		return SLUICE_REASON_NO_LISTENER;
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
		return SLUICE_REASON_NO_FLOW;
	if (p->ipv4->ttl <= 1)
		return SLUICE_REASON_TTL_EXCEEDED;
	why = create_flow(p, ctx, listener);
	if (why == SLUICE_REASON_NO_MEMBER || why == SLUICE_REASON_NO_PORT ||
	    why == SLUICE_REASON_FLOW_TABLE_FULL || why == SLUICE_REASON_NO_ROUTE)
		count_flow_refused(listener->index);
	return why;
}

#endif
