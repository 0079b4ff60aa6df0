/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new connection: admit it, choose a member, claim a source port, create the flow.
 *
 * All that packets of the flow will need is found out here, once. */
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

/* What a stage returns when the whole packet should be looked at once more, from the start. */
#define TRY_AGAIN (-2)

/* Sources that no client has (RFC 1122, 3.2.1.3), and the land attack. The filter knows that most are no VIPs. */
static __always_inline bool source_is_martian(const struct packet *p)
{
	__u32 source = bpf_ntohl(p->tuple.source);

	return source >> 24 == 0 || source >> 24 == 127 || source >> 28 >= 14 || /* 0/8, 127/8, 224/3 */
	       p->tuple.source == p->tuple.destination ||
	       (address_may_be_known(p->tuple.source) && vip_find(p->tuple.source));
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

/* A connection in the making: what create_flow() is told, and what it finds. */
struct connection {
	struct tuple tuple; /* of the client's first packet */
	__u32 listener;
	__u32 pool;
	__be32 snat_source;
	__u8 own_mac[SLUICE_MAC_BYTES];
	__u8 client_mac[SLUICE_MAC_BYTES];
	__u32 member; /* SLUICE_NO_INDEX until one is chosen */
	/* Out. */
	struct sluice_flow4 forward;
	struct sluice_flow4 reverse;
	struct sluice_next_hop hop; /* ifindex 0: the member's MAC is not known yet */
	struct next_hop_query query;
	__s32 error; /* -KERNEL_*: why one of the slots could not be inserted */
	__u32 claimed; /* the reverse slot was inserted: the forward one is what could not be */
};

/* Too large for the stack. One per CPU: programs of the kind that use it don't interrupt each other. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection);
} local_connection SEC(".maps");

static __always_inline __u32 hash_client(const struct sluice_flow4 *flow)
{
	__u64 h = ((__u64)flow->source << 32) | ((__u32)flow->source_port << 16) | flow->destination_port;

	/* The finalizer of MurmurHash3 (public domain). */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h >> 32;
}

/* The slot of the members' packets, from that of the client's; its destination port is claimed later. */
static __always_inline void describe_reverse(struct connection *c, __u32 hop)
{
	c->reverse.source = c->forward.new_destination;
	c->reverse.destination = c->forward.new_source;
	c->reverse.source_port = c->forward.new_destination_port;
	c->reverse.destination_port = 0;
	c->reverse.new_source = c->tuple.destination;
	c->reverse.new_destination = c->tuple.source;
	c->reverse.new_source_port = c->tuple.destination_port;
	c->reverse.new_destination_port = c->tuple.source_port;
	c->reverse.state = (c->forward.state & SLUICE_STATE_CLEAR(HOP)) | SLUICE_STATE_PUT(HOP, hop) |
			   SLUICE_FLOW_TO_CLIENT;
}

/* The forward slot, but for the source port and the next hop. */
static __always_inline void describe_forward(struct connection *c, const struct sluice_member *member, bool fullnat)
{
	c->forward.source = c->tuple.source;
	c->forward.destination = c->tuple.destination;
	c->forward.source_port = c->tuple.source_port;
	c->forward.destination_port = c->tuple.destination_port;
	c->forward.new_source = fullnat ? c->snat_source : c->tuple.source;
	c->forward.new_source_port = 0;
	c->forward.new_destination = member->address.ipv4;
	c->forward.new_destination_port = member->port;
	c->forward.state = SLUICE_STATE_PUT(LISTENER, c->listener) | SLUICE_STATE_PUT(MEMBER, c->member) |
			   SLUICE_STATE_PUT(PROTOCOL, c->tuple.protocol) | SLUICE_STATE_PUT(SEEN, clock_ticks());
}

/* Claims a source port by inserting the reverse slot under it. In dnat the client's own port is the only
 * candidate. 0, or the error of the last insertion. */
static __always_inline int claim_source_port(struct connection *c, bool may_change)
{
	__u32 hash = hash_client(&c->forward);
	__be16 port = c->tuple.source_port;
	int error = 0;

	for (int i = 0; i < SNAT_PORT_TRIES; i++) {
		if (i > 0 || (may_change && bpf_ntohs(port) < SNAT_PORT_FIRST)) {
			/* An odd stride over an even count would meet itself late; 64512 = 2^10 * 63, so a
			 * prime above 7 walks through all ports. */
			port = bpf_htons(SNAT_PORT_FIRST + (hash + i * 16411U) % SNAT_PORT_COUNT);
		}
		c->reverse.destination_port = port;
		c->forward.new_source_port = port;
		error = flow_insert(&c->reverse);
		if (error != -KERNEL_EEXIST || !may_change)
			break;
	}
	return error;
}

/* The member's next hop. UNDECIDED also when its MAC is not known yet. */
static __always_inline int find_way_to_member(struct xdp_md *ctx, struct connection *c)
{
	const struct sluice_next_hop *hop = next_hop_of_member(c->member, c->forward.new_destination, &c->query.index);
	int why;

	if (hop) {
		c->query.hop = c->hop = *hop;
		c->forward.state |= SLUICE_STATE_PUT(HOP, c->query.index);
		return UNDECIDED;
	}
	c->query = (struct next_hop_query){
		.source = c->forward.new_source,
		.destination = c->forward.new_destination,
		.ingress_ifindex = ctx->ingress_ifindex,
	};
	why = next_hop_resolve(ctx, &c->query);
	c->hop = c->query.hop;
	c->forward.state |= SLUICE_STATE_PUT(HOP, c->query.index);
	if (why == SLUICE_REASON_NO_ROUTE)
		return why;
	if (why == UNDECIDED)
		next_hop_remember_for_member(c->member, &c->query);
	else
		c->hop.ifindex = 0;
	return UNDECIDED;
}

/* The client's next hop. Until the kernel knows better, replies go back to the MAC that the client's frame came from:
 * the data plane answers ARP for the VIP, so the kernel may never have heard of an on-link client. */
static __always_inline int find_way_to_client(struct xdp_md *ctx, struct connection *c)
{
	struct next_hop_query *q = &c->query;

	q->source = c->tuple.destination;
	q->destination = c->tuple.source;
	q->ingress_ifindex = q->hop.ifindex;
	q->hop.generation = next_hop_generation();
	q->hop.ifindex = ctx->ingress_ifindex;
	__builtin_memcpy(q->hop.destination_mac, c->client_mac, SLUICE_MAC_BYTES);
	__builtin_memcpy(q->hop.source_mac, c->own_mac, SLUICE_MAC_BYTES);
	q->index = next_hop_index(&q->hop);
	return next_hop_resolve(ctx, q) == SLUICE_REASON_NO_ROUTE ? SLUICE_REASON_NO_ROUTE : UNDECIDED;
}

static __always_inline void withdraw_reverse(const struct connection *c)
{
	struct tuple key = flow_key(&c->reverse);

	flow_remove(flow_search(&key), c->reverse.state);
}

/* Chooses a member and makes the flow. UNDECIDED: a slot could not be inserted, for c->error. */
__noinline int create_flow(struct xdp_md *ctx, struct connection *c)
{
	const struct sluice_member *member;
	const struct sluice_pool *pool;
	__u32 index; /* kernel 6.1 takes keys from the stack, not from an argument's memory */
	bool fullnat;
	int why;

	if (!c)
		return SLUICE_REASON_NO_MEMBER;
	index = c->pool;
	pool = bpf_map_lookup_elem(&pools, &index);
	index = c->member;
	if (index == SLUICE_NO_INDEX)
		c->member = index = choose_member(c->pool);
	member = bpf_map_lookup_elem(&members, &index);
	if (!pool || !member)
		return SLUICE_REASON_NO_MEMBER;
	fullnat = pool->forwarding_mode == SLUICE_FULLNAT;
	describe_forward(c, member, fullnat);
	if ((why = find_way_to_member(ctx, c)) != UNDECIDED || (why = find_way_to_client(ctx, c)) != UNDECIDED)
		return why;
	describe_reverse(c, c->query.index);
	c->claimed = false;
	c->error = claim_source_port(c, fullnat);
	if (c->error)
		return UNDECIDED;
	c->claimed = true;
	c->error = flow_insert(&c->forward);
	if (c->error) {
		withdraw_reverse(c);
		return UNDECIDED;
	}
	count_flow_opened(c->forward.state);
	return SLUICE_REASON_FLOW_CREATED;
}

/* The forward slot was taken: another CPU opened the same connection a moment ago (a SYN twice, on two queues). The
 * first one counts, the packet follows it. */
static __always_inline bool opened_meanwhile(const struct connection *c)
{
	return c->error == -KERNEL_EEXIST && c->claimed;
}

/* What stood in the way of the connection that was last tried on this CPU may be over and not swept yet: then it goes. */
__noinline int make_way(void)
{
	__u32 zero = 0;
	const struct connection *c = bpf_map_lookup_elem(&local_connection, &zero);

	if (c)
		flow_make_way(c->claimed ? &c->forward : &c->reverse, c->error);
	return 0;
}

/* The first packet goes the way that all others will. */
static __always_inline int forward_first(struct packet *p, const struct connection *c)
{
	struct flow flow = {
		.state = c->forward.state,
		.new_source = c->forward.new_source,
		.new_destination = c->forward.new_destination,
		.new_source_port = c->forward.new_source_port,
		.new_destination_port = c->forward.new_destination_port,
	};

	rewrite(p, &flow, c->hop.ifindex ? &c->hop : NULL);
	count_flow_packet(flow.state, p->frame_bytes);
	return c->hop.ifindex ? SLUICE_REASON_FLOW_CREATED : SLUICE_REASON_NEXT_HOP_UNRESOLVED;
}

/* A second attempt keeps the member, or a turn would be lost. */
static __always_inline struct connection *describe_connection(const struct packet *p,
							      const struct sluice_listener4 *listener, __u32 attempt)
{
	__u32 zero = 0;
	struct connection *c = bpf_map_lookup_elem(&local_connection, &zero);

	if (!c)
		return NULL;
	c->tuple = p->tuple;
	c->listener = listener->index;
	c->pool = listener->pool;
	c->snat_source = listener->snat_source;
	if (attempt == 0)
		c->member = SLUICE_NO_INDEX;
	__builtin_memcpy(c->own_mac, p->interface->mac, SLUICE_MAC_BYTES);
	__builtin_memcpy(c->client_mac, p->eth->h_source, SLUICE_MAC_BYTES);
	return c;
}

/* A TCP packet for a VIP that is in no flow. UNDECIDED: it is in one by now. TRY_AGAIN: after make_way(). */
static __always_inline int open_connection(struct packet *p, struct xdp_md *ctx, __u32 attempt)
{
	struct sluice_listener4_key key = {
		.address = p->tuple.destination,
		.port = p->tuple.destination_port,
		.protocol = p->protocol,
	};
	const struct sluice_listener4 *listener = bpf_map_lookup_elem(&listeners4, &key);
	struct connection *c;
	int why;

	if (!listener)
		return SLUICE_REASON_NO_LISTENER;
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
		return SLUICE_REASON_NO_FLOW;
	if (p->ipv4->ttl <= 1)
		return SLUICE_REASON_TTL_EXCEEDED;
	c = describe_connection(p, listener, attempt);
	if (!c)
		return SLUICE_REASON_NO_MEMBER;
	why = create_flow(ctx, c);
	if (why == SLUICE_REASON_FLOW_CREATED)
		return forward_first(p, c);
	if (why == UNDECIDED) {
		if (opened_meanwhile(c))
			return UNDECIDED;
		if (attempt == 0)
			return TRY_AGAIN;
		why = c->error == -KERNEL_EEXIST ? SLUICE_REASON_NO_PORT : SLUICE_REASON_FLOW_TABLE_FULL;
	}
	count_flow_refused(c->listener);
	return why;
}

#endif
