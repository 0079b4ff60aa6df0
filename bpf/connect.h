/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A new connection: admit it, choose a member, claim a source port, create the flow.
 *
 * Everything that the flow's packets need is found out here, once. */
#ifndef SLUICE_BPF_CONNECT_H
#define SLUICE_BPF_CONNECT_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <bpf/bpf_endian.h>

#include "bpf/address_filter.h"
#include "bpf/admit.h"
#include "bpf/authenticate.h"
#include "bpf/balance.h"
#include "bpf/connect_time.h"
#include "bpf/ethernet.h"
#include "bpf/forward.h"
#include "bpf/fragment.h"
#include "bpf/journey.h"
#include "bpf/partial_checksum.h"
#include "bpf/protocols.h"
#include "bpf/vip.h"
#include "maps/reasons.h"
#include "maps/snat.h"

/* Source ports toward members: first the client's own, then hashed ones from the range that ordinary hosts use. */
#define SNAT_PORT_FIRST 1024
#define SNAT_PORT_COUNT (65536 - SNAT_PORT_FIRST)
/* A port below 1024 tells some services (NFS, rsh) that the client is a superuser. Such a client gets a port that
 * its own system could have bound (rresvport(3)), as long as there is one. */
#define SNAT_PRIVILEGED_FIRST 512
#define SNAT_PRIVILEGED_COUNT (SNAT_PORT_FIRST - SNAT_PRIVILEGED_FIRST)
/* With half of a member's ports taken, one connection in 2^32 finds none. */
#define SNAT_PORT_TRIES 32
#define SNAT_PRIVILEGED_TRIES 24
/* Half-open connections may hold a quarter of a member's ports. Beyond that a new one evicts one of them, which it
 * finds within so many tries nine times out of ten. */
#define SNAT_HALF_OPEN_SHARE (SNAT_PORT_COUNT / 4)
#define SNAT_CROWDED_TRIES 8

/* reason_of_failure() returns this when another CPU has made the connection. */
#define OPENED_MEANWHILE (-1)

/* Why a connection was not made, beside the errors of the flow table. */
#define TOO_MANY_HALF_OPEN 1
#define TOO_MANY_OF_MEMBER 2 /* half-open ones, which hold its source ports */
#define TOO_MANY_UNPROVEN 3  /* of its listener */
/* At most so many evictions for one connection, because it needs two slots, a port, and room in two shares. */
#define MAKE_WAY_ROUNDS 4

/* The search for the source port whose connection has the highest rank for eviction: port_try() looks at one. */
struct port_search {
	__u32 hash;
	__u32 tries; /* how many ports are looked at */
	__u32 may_change;
	__u32 crowded;
	__u32 best; /* rank of the best one so far; 0: none */
	__u32 best_try;
	__s32 freed; /* its slot */
};

/* A connection that is being created: the arguments and results of plan_connection() and create_flow(). */
struct connection {
	struct tuple tuple; /* of the client's first packet */
	struct sluice_next_hop client_hop; /* its sender: the way back until the kernel knows better */
	__u32 listener;
	__u32 pool;
	__be32 snat_source;
	__u32 listener_flags;
	__u32 adopted; /* it began before we saw it */
	__u32 sources; /* how many addresses its member may see (maps/snat.h) */
	__u32 other_version; /* packets of one end or both become those of the other IP version (other_version.h) */
	__u32 member_family; /* the IP version of the packets that the member gets */
	/* Out. */
	__u32 member;
	struct flow_entry forward;
	struct flow_entry reverse;
	struct sluice_next_hop hop; /* ifindex 0: the member's MAC is not known yet */
	struct next_hop_query query;
	union sluice_address tunnel_end;
	__u32 tunnel;  /* 0, or the family of the tunnel to tunnel_end */
	__u32 mode;    /* enum sluice_forwarding_mode */
	__u32 forgettable; /* later packets find the same member without a flow, and answers don't pass us */
	__s32 error;   /* -KERNEL_* or TOO_MANY_*: why there is no flow */
	__u32 claimed; /* the reverse slot was inserted, but the forward one could not be */
	/* The state of the attempts. */
	__u32 pressed;   /* 1 << TOO_MANY_*: evictions that were tried once */
	__u32 evictions; /* how often something made way */
	__u32 sources_tried; /* source addresses that had no port left */
	__u32 first_try; /* the first source port worth trying */
	struct port_search search;
};

/* It is too large for the stack. One per CPU is enough, because programs that use it don't interrupt each other. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct connection);
} local_connection SEC(".maps");

static __always_inline struct connection *connection_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&local_connection, &zero);
}

/* Says whether the member sees the client's address. */
static __always_inline bool keeps_client(__u32 mode)
{
	return mode != SLUICE_FULLNAT;
}

static __always_inline bool answers_directly(__u32 mode)
{
	return mode == SLUICE_DSR || mode == SLUICE_IPIP || mode == SLUICE_GUE;
}

static __always_inline bool chooses_by_hash(const struct sluice_pool *pool)
{
	return pool->algorithm == SLUICE_SOURCE_IP || pool->algorithm == SLUICE_SOURCE_IP_PORT;
}

/* Describes the slot of the member's packets, from that of the client's; its destination port is claimed later. */
static __always_inline void describe_reverse(struct connection *c, __u32 hop)
{
	c->reverse.key = (struct tuple){
		.source = c->forward.new_destination,
		.destination = c->forward.new_source,
		.source_port = c->forward.new_destination_port,
		.protocol = c->tuple.protocol,
	};
	c->reverse.new_source = c->tuple.destination;
	c->reverse.new_destination = c->tuple.source;
	c->reverse.new_source_port = c->tuple.destination_port;
	c->reverse.new_destination_port = c->tuple.source_port;
	c->reverse.state = (c->forward.state & SLUICE_STATE_CLEAR(HOP) & ~SLUICE_FLOW_REPLIED) |
			   SLUICE_STATE_PUT(HOP, hop) | SLUICE_FLOW_TO_CLIENT;
}

/* Describes the forward slot, without source port and next hop. */
static __always_inline void describe_forward(int family, struct connection *c, const struct sluice_member *member,
					     __u32 mode)
{
	c->forward.key = c->tuple;
	c->forward.new_source = c->tuple.source;
	c->forward.new_source_port = c->tuple.source_port;
	c->forward.new_destination = c->tuple.destination;
	c->forward.new_destination_port = c->tuple.destination_port;
	c->forward.state = SLUICE_STATE_PUT(LISTENER_IN_BANK, c->listener) | SLUICE_STATE_PUT(MEMBER, c->member) |
			   SLUICE_STATE_PUT(PROTOCOL, c->tuple.protocol) | SLUICE_STATE_PUT(SEEN, clock_ticks());
	if (keeps_client(mode))
		c->forward.state |= SLUICE_FLOW_KEEPS_CLIENT;
	else if (family == FAMILY4)
		c->forward.new_source = (union sluice_address){.ipv4 = c->snat_source};
	else
		c->forward.new_source = c->tuple.destination;
	if (answers_directly(mode)) {
		c->forward.state |= SLUICE_FLOW_REPLIED;
		return;
	}
	c->forward.new_destination = family == FAMILY4 ? member->address : member_address6(member);
	if (member->port)
		c->forward.new_destination_port = member->port;
}

/* The ports must not meet bits of the address before these are mixed: an IPv6 client's last ones are as many as its
 * port has, and clients of one network would search alike. */
static __always_inline __u32 source_port_hash(const struct tuple *client)
{
	return mix(hash_source(client) ^ (__u64)tuple_ports(client) << 32 ^ flow_hash_seed);
}

/* Says whether connections to this IPv6 address may have a SNAT address (maps/snat.h). Slots have room for an IPv4 one. */
static __always_inline bool is_snat_vip(const struct connection *c)
{
	__u32 listener = c->listener;
	const union sluice_address *vip;

	if (is_mapped(&c->tuple.destination))
		return true;
	vip = bpf_map_lookup_elem(&snat_vips, &listener);
	return vip && address_equal(FAMILY6, vip, &c->tuple.destination);
}

/* Chooses the source address that the member sees. All connections together use the addresses alike, and one whose
 * search for a port has failed takes the next. The hash is not the one that the port begins at, because their remainders
 * would go together. False: there is none but the VIP. */
static __always_inline int choose_source(int family)
{
	struct connection *c = connection_get();
	const struct sluice_snat_sources *all;
	struct sluice_snat_key key = {};
	__u32 count, at;

	if (!c || (family == FAMILY6 && !is_snat_vip(c)))
		return false;
	key.family = c->member_family;
	key.listener = c->listener;
	all = bpf_map_lookup_elem(&snat_sources, &key);
	count = all ? all->count : 0;
	if (!all || !count)
		return false;
	at = (((__u64)(source_port_hash(&c->tuple) * 0x9e3779b1U) * count) >> 32) + c->sources_tried;
	at %= count;
	asm volatile("" : "+r"(at));
	if (at >= SLUICE_MAX_SNAT_SOURCES)
		return false;
	c->sources = count;
	c->forward.new_source = all->addresses[at];
	if (family == FAMILY6 && c->member_family == FAMILY4)
		c->forward.new_source = mapped(all->addresses[at].ipv4);
	if (family == FAMILY6)
		c->forward.state |= SLUICE_FLOW_KEEPS_CLIENT;
	return true;
}

__noinline int choose_source4(void)
{
	return choose_source(FAMILY4);
}

__noinline int choose_source6(void)
{
	return choose_source(FAMILY6);
}

/* Says whether the connection's slots hold a SNAT address in IPv6's way (struct sluice_flow6). */
static __always_inline bool has_snat6(int family, const struct connection *c)
{
	return family == FAMILY6 && c->mode == SLUICE_FULLNAT && c->forward.state & SLUICE_FLOW_KEEPS_CLIENT;
}

/* Gives the connection another entry for its next hop, one that the fast path leaves alone. */
__noinline int leave_fast_path(void)
{
	struct connection *c = connection_get();
	struct sluice_next_hop *hop;

	if (!c || !c->hop.ifindex)
		return false;
	hop = &c->query.hop;
	next_hop_copy(hop, &c->hop);
	hop->generation = next_hop_generation() | SLUICE_NEXT_HOP_SPECIAL;
	c->forward.state = (c->forward.state & SLUICE_STATE_CLEAR(HOP)) | SLUICE_STATE_PUT(HOP, next_hop_index(hop));
	return true;
}

/* Returns the source port for this try. The stride walks through all ports, because it is a prime above 7 and their
 * number is 64512 = 2^10 * 63. */
static __always_inline __be16 source_port_at(__be16 own, __u32 hash, __u32 try)
{
	if (try == 0 && own)
		return own;
	if (bpf_ntohs(own) < SNAT_PORT_FIRST && try < SNAT_PRIVILEGED_TRIES)
		return bpf_htons(SNAT_PRIVILEGED_FIRST + (hash + try * 211U) % SNAT_PRIVILEGED_COUNT);
	return bpf_htons(SNAT_PORT_FIRST + (hash + try * 16411U) % SNAT_PORT_COUNT);
}

/* Says whether the member may see another port than the client's: answers must pass us. SCTP's checksum covers the
 * ports, so they stay, and a connection that began elsewhere has its port already. */
static __always_inline bool port_may_change(const struct connection *c)
{
	return (c->mode == SLUICE_FULLNAT || (c->mode == SLUICE_DNAT && !c->adopted)) &&
	       c->tuple.protocol != SLUICE_FLOW_SCTP;
}

static __always_inline bool too_many_of_member(const struct connection *c)
{
	__u32 index = c->member;
	const __u32 *now = bpf_map_lookup_elem(&member_half_open, &index);

	return c->mode == SLUICE_FULLNAT && now && (__s32)*now >= (__s32)(SNAT_HALF_OPEN_SHARE * c->sources);
}

static __always_inline void withdraw_reverse(int family, const struct connection *c)
{
	struct tuple key = c->reverse.key;

	flow_remove(family, flow_search(family, &key), &key, c->reverse.state);
}

/* Says whether the reverse slot's tuple is one of the other table's, too: members may see clients of both IP versions from
 * one source. Each side inserts before it looks, so of two at once at least one sees the other. */
static __always_inline int is_claimed_elsewhere(int family)
{
	struct journey *journey = journey_get();
	struct connection *c = connection_get();
	struct tuple *t;

	if (!journey || !c)
		return false;
	t = &journey->twin;
	*t = c->reverse.key;
	if (family == FAMILY4) {
		tuple_map(t);
		return flow_search(FAMILY6, t) >= 0;
	}
	t->source = (union sluice_address){.ipv4 = t->source.words[3]};
	t->destination = (union sluice_address){.ipv4 = t->destination.words[3]};
	return flow_search(FAMILY4, t) >= 0;
}

__noinline int is_claimed_elsewhere4(void)
{
	return is_claimed_elsewhere(FAMILY4);
}

__noinline int is_claimed_elsewhere6(void)
{
	return is_claimed_elsewhere(FAMILY6);
}

static __always_inline bool may_be_claimed_elsewhere(int family, const struct connection *c)
{
	if (family == FAMILY4)
		return c->listener_flags & SLUICE_LISTENER_MIXED && c->mode == SLUICE_FULLNAT;
	return c->member_family == FAMILY4;
}

/* Claims a source port by inserting the reverse slot under it. If the port may not change, the client's own is the
 * only candidate. Returns 0 or the error of the last insertion. */
static __always_inline int claim_source_port(int family, struct connection *c)
{
	__u32 hash = source_port_hash(&c->tuple);
	bool may_change = port_may_change(c);
	int error = -KERNEL_EEXIST;

	if (may_change && !(c->pressed & 1 << TOO_MANY_OF_MEMBER) && too_many_of_member(c))
		return TOO_MANY_OF_MEMBER;
	for (__u32 i = 0; i < SNAT_PORT_TRIES;) {
		__be16 port = may_change ? source_port_at(c->tuple.source_port, hash, i) : c->tuple.source_port;

		if (i++ >= c->first_try) {
			c->reverse.key.destination_port = port;
			c->forward.new_source_port = port;
			error = flow_insert(family, &c->reverse);
			if (!error && may_be_claimed_elsewhere(family, c) &&
			    (family == FAMILY4 ? is_claimed_elsewhere4() : is_claimed_elsewhere6())) {
				withdraw_reverse(family, c);
				error = -KERNEL_EEXIST;
			}
			if (error != -KERNEL_EEXIST || !may_change || flow_is_crossing) /* the next one is asked for first */
				break;
		}
		JUMP_BACK(i);
	}
	return error;
}

/* Finds the member's next hop; returns UNDECIDED even if its MAC is not known yet. */
static __always_inline int find_way_to_member(int family, struct xdp_md *ctx, struct connection *c,
					      const struct sluice_member *member)
{
	const struct sluice_next_hop *hop = NULL;
	int why;

	if (!c->other_version)
		hop = next_hop_of_member(c->member, member, &c->query.index);

	c->tunnel = member_tunnel(family, member);
	if (c->tunnel)
		c->tunnel_end = member->address;
	if (hop) {
		next_hop_copy(&c->hop, hop);
		c->forward.state |= SLUICE_STATE_PUT(HOP, c->query.index);
		c->query.hop.ifindex = hop->ifindex;
		return UNDECIDED;
	}
	c->query.family = family;
	c->query.source = c->forward.new_source;
	c->query.destination = family == FAMILY4 ? member->address : member_address6(member);
	c->query.ingress_ifindex = ctx->ingress_ifindex;
	c->query.tunnel = c->tunnel;
	c->query.index = 0;
	c->query.not_fast = c->other_version;
	why = next_hop_resolve(ctx, &c->query);
	next_hop_copy(&c->hop, &c->query.hop);
	c->forward.state |= SLUICE_STATE_PUT(HOP, c->query.index);
	if (is_no_way(why))
		return why;
	if (why == UNDECIDED && !c->other_version)
		next_hop_remember_for_member(c->member, member, &c->query);
	else if (why != UNDECIDED)
		c->hop.ifindex = 0;
	return UNDECIDED;
}

/* Finds the client's next hop. Until the kernel knows better, replies go to the MAC from which the client's frame
 * came: the data plane answers ARP for the VIP, so the kernel may never have heard of an on-link client. */
static __always_inline int find_way_to_client(int family, struct xdp_md *ctx, struct connection *c)
{
	struct next_hop_query *q = &c->query;
	int why;

	q->family = family;
	q->source = c->tuple.destination;
	q->destination = c->tuple.source;
	q->ingress_ifindex = q->hop.ifindex;
	q->tunnel = 0;
	q->index = 0;
	q->not_fast = has_snat6(family, c);
	why = next_hop_resolve(ctx, q);
	if (why == SLUICE_REASON_NEXT_HOP_UNRESOLVED && leaves_alike(&c->client_hop, &q->hop)) {
		next_hop_copy(&q->hop, &c->client_hop);
		next_hop_settle(q);
	}
	return is_no_way(why) ? why : UNDECIDED;
}

/* Inserts both slots, or the only one if the member answers directly. Returns 0 or the flow table's error. */
static __always_inline int insert_slots(int family, struct connection *c)
{
	int error;

	c->claimed = answers_directly(c->mode);
	if (!c->claimed) {
		error = claim_source_port(family, c);
		if (error)
			return error;
		c->claimed = true;
	}
	count_flow_opened(family, c->forward.state, 1);
	error = flow_insert(family, &c->forward);
	if (!error)
		return 0;
	count_flow_opened(family, c->forward.state, -1);
	if (!answers_directly(c->mode))
		withdraw_reverse(family, c);
	return error;
}

/* A connection whose window had none to evict may exceed the limit, which is bounded, too. */
static __always_inline bool too_many_half_open(int family, const struct connection *c)
{
	const struct sluice_half_open *now = half_open_of(family);
	__u32 limit = half_open_limit(family);

	if (c->pressed & 1 << TOO_MANY_HALF_OPEN)
		limit += limit / 2;
	return now && now->flows >= limit;
}

/* Says whether the datagrams of this pool's listener are scheduled one by one. In fullnat only a flow knows the client; in
 * dnat the member knows it, but its answers, if there are any, come from the member's own address. */
static __always_inline bool is_per_packet(const struct connection *c)
{
	return c->listener_flags & SLUICE_LISTENER_PER_PACKET && c->mode != SLUICE_FULLNAT;
}

/* The fragments of a datagram have to go to one member, so they go where its id leads, whatever the algorithm. */
static __always_inline __u32 choose_for(int family, const struct connection *c, const struct sluice_pool *pool,
					const struct packet *p, __u32 passed_over)
{
	if (p->fragment == FRAGMENT_NONE || pool->persistence_seconds || !is_per_packet(c))
		return choose_member(family, c->pool, pool, &p->tuple, passed_over);
	return choose_by_id(c->pool, &p->tuple, p->fragment_id);
}

/* Notes the member's IP version. False: the connection can't go to a member of that version. The connection of an IPv4 client
 * whose pool has IPv6 members is an IPv6 one here, whichever member it gets. */
static __always_inline bool versions_agree(int family, struct connection *c, const struct sluice_member *member)
{
	bool member6 = member->flags & SLUICE_MEMBER_IPV6;

	c->member_family = member6 ? FAMILY6 : FAMILY4;
	c->other_version = family == FAMILY6 && (!member6 || is_mapped(&c->tuple.destination));
	if (family == FAMILY4)
		return !member6;
	return !c->other_version || (c->mode == SLUICE_FULLNAT && c->tuple.protocol != SLUICE_FLOW_SCTP &&
				     !(member->flags & SLUICE_MEMBER_PROXY));
}

/* Chooses a member, and finds the ways there and back. Returns UNDECIDED, NEXT_SHAKE if the member's pool is a PROXYV2
 * pool, DATAGRAM_FORWARDED if the packet goes there and no flow is made, or why there can be no connection. */
static __always_inline int plan_connection(int family, struct xdp_md *ctx)
{
	const struct journey *journey = journey_get();
	struct connection *c = connection_get();
	const struct sluice_member *member;
	const struct sluice_pool *pool;
	__u32 index, mode;
	int why;

	if (!journey || !c)
		return SLUICE_REASON_NO_MEMBER;
	index = c->pool;
	pool = bpf_map_lookup_elem(&pools, &index);
	if (!pool)
		return SLUICE_REASON_NO_MEMBER;
	c->mode = mode = pool->forwarding_mode;
	c->forgettable = answers_directly(mode) && chooses_by_hash(pool) && !pool->persistence_seconds;
	index = choose_for(family, c, pool, &journey->packet, journey->passed_over);
	if (index == MEMBERS_FULL)
		return SLUICE_REASON_MEMBER_FULL;
	c->member = index;
	member = bpf_map_lookup_elem(&members, &index);
	if (!member || !versions_agree(family, c, member))
		return SLUICE_REASON_NO_MEMBER;
	describe_forward(family, c, member, mode);
	if (mode == SLUICE_FULLNAT && c->listener_flags & SLUICE_LISTENER_SNAT)
		family == FAMILY4 ? choose_source4() : choose_source6();
	if (c->other_version && !has_snat6(family, c))
		return SLUICE_REASON_OTHER_VERSION_SOURCE;
	if (c->tuple.protocol == SLUICE_FLOW_SCTP && member->port && member->port != c->tuple.destination_port)
		return SLUICE_REASON_SCTP_PORTS;
	if ((why = find_way_to_member(family, ctx, c, member)) != UNDECIDED)
		return why;
	if (has_snat6(family, c) && !c->other_version)
		leave_fast_path();
	if (!answers_directly(mode) && !is_per_packet(c)) {
		if ((why = find_way_to_client(family, ctx, c)) != UNDECIDED)
			return why;
		describe_reverse(c, c->query.index);
		if (family == FAMILY6)
			entry_pair(&c->reverse);
	}
	if (is_per_packet(c))
		return SLUICE_REASON_DATAGRAM_FORWARDED;
	return member->flags & SLUICE_MEMBER_PROXY ? NEXT_SHAKE : UNDECIDED;
}

__noinline int plan_connection4(struct xdp_md *ctx)
{
	return plan_connection(FAMILY4, ctx);
}

__noinline int plan_connection6(struct xdp_md *ctx)
{
	return plan_connection(FAMILY6, ctx);
}

static __always_inline bool never_proven(const struct connection *c)
{
	return is_unproven_kind(c->tuple.protocol, answers_directly(c->mode));
}

/* Creates the planned flow. UNDECIDED: it failed with c->error. */
static __always_inline int create_flow(int family)
{
	struct connection *c = connection_get();

	if (!c)
		return SLUICE_REASON_NO_MEMBER;
	c->error = TOO_MANY_HALF_OPEN;
	if (!too_many_half_open(family, c)) {
		c->error = TOO_MANY_UNPROVEN;
		if (c->pressed & 1 << TOO_MANY_UNPROVEN || !never_proven(c) || !too_many_unproven(family, c->listener))
			c->error = insert_slots(family, c);
	}
	return c->error ? UNDECIDED : SLUICE_REASON_FLOW_CREATED;
}

__noinline int create_flow4(void)
{
	return create_flow(FAMILY4);
}

__noinline int create_flow6(void)
{
	return create_flow(FAMILY6);
}

/* Looks at the connection's n-th candidate for a source port. 1: the search is over. */
static __always_inline long port_try(int family, __u32 n)
{
	struct connection *c = connection_get();
	__s32 index;
	__u32 rank;

	if (!c || n >= c->search.tries)
		return 1;
	c->reverse.key.destination_port = c->search.may_change ? source_port_at(c->tuple.source_port, c->search.hash, n)
							       : c->tuple.source_port;
	index = flow_search(family, &c->reverse.key);
	rank = family == FAMILY4 ? port_rank4(index, c->search.crowded) : port_rank6(index, c->search.crowded);
	if (rank > c->search.best) {
		c->search.best = rank;
		c->search.best_try = n;
		c->search.freed = index;
	}
	return c->search.best >= PORT_RANK_OVER || !c->search.may_change;
}

static long port_try4(__u32 n, void *unused)
{
	(void)unused;
	return port_try(FAMILY4, n);
}

static long port_try6(__u32 n, void *unused)
{
	(void)unused;
	return port_try(FAMILY6, n);
}

/* Among the connections that hold the first `tries` candidates, evicts the one with the highest rank. False: there
 * is none. It uses bpf_loop(), because the verifier of kernel 6.1 walks through an ordinary loop's rounds one by
 * one, and gives up. */
static __always_inline bool free_source_port(int family, struct connection *c, __u32 tries, bool crowded)
{
	c->search = (struct port_search){
		.hash = source_port_hash(&c->tuple),
		.tries = tries,
		.may_change = port_may_change(c),
		.crowded = crowded,
		.freed = -1,
	};
	bpf_loop(SNAT_PORT_TRIES, family == FAMILY4 ? port_try4 : port_try6, NULL, 0);
	c->first_try = c->search.best_try;
	return c->search.best && flow_reclaim(family, c->search.freed, RECLAIM_PORT);
}

/* Evicts a half-open connection: first of listeners that exceed their share, of others only if there are far too
 * many. */
static __always_inline void make_way_for_half_open(int family, const struct tuple *key)
{
	const struct sluice_half_open *now = half_open_of(family);
	__u32 limit = half_open_limit(family);

	window_reclaim(family, flow_home(family, key), SLUICE_FLOW_WINDOW * bucket_slots(family),
		       now && now->flows >= limit + limit / 2 ? RECLAIM_HALF_OPEN : RECLAIM_OVER_SHARE);
}

/* Turns to the next source address, whose ports were not tried yet. */
static __always_inline bool next_source(int family, struct connection *c)
{
	if (c->error != -KERNEL_EEXIST || c->sources_tried + 1 >= c->sources)
		return false;
	c->sources_tried++;
	c->first_try = 0;
	if (!(family == FAMILY4 ? choose_source4() : choose_source6()))
		return false;
	c->reverse.key.destination = c->forward.new_source;
	return true;
}

static __always_inline int make_way_for(int family)
{
	struct connection *c = connection_get();
	const struct tuple *key;
	bool crowded, freed;

	if (!c)
		return false;
	if (next_source(family, c))
		return true;
	if (c->evictions++ >= MAKE_WAY_ROUNDS)
		return false;
	key = c->claimed || c->error > 0 ? &c->forward.key : &c->reverse.key;
	switch (c->error) {
	case TOO_MANY_HALF_OPEN:
		c->pressed |= 1 << TOO_MANY_HALF_OPEN;
		make_way_for_half_open(family, key);
		return true;
	case TOO_MANY_UNPROVEN:
		c->pressed |= 1 << TOO_MANY_UNPROVEN;
		unproven_reclaim(family, flow_home(family, key), c->listener, NO_OTHER_LISTENER);
		return true;
	case TOO_MANY_OF_MEMBER:
	case -KERNEL_EEXIST:
		crowded = c->error == TOO_MANY_OF_MEMBER;
		if (crowded)
			c->pressed |= 1 << TOO_MANY_OF_MEMBER;
		freed = free_source_port(family, c, crowded ? SNAT_CROWDED_TRIES : SNAT_PORT_TRIES,
					 crowded || (port_may_change(c) && too_many_of_member(c)));
		return freed || crowded;
	case -KERNEL_ENOSPC:
		return flow_make_room(family, key, c->listener, never_proven(c));
	default:
		return false;
	}
}

/* Avoids or removes what stood in the way of the connection that was last tried on this CPU: it gets another source
 * address, or one that is over and not swept yet, or a half-open one, is removed. False: it is not worth trying again. */
__noinline int make_way4(void)
{
	return make_way_for(FAMILY4);
}

__noinline int make_way6(void)
{
	return make_way_for(FAMILY6);
}

/* Forwards the first packet of a flow that was just created, or that needs no slot and found no room. */
static __always_inline int forward_first(int family, struct xdp_md *ctx, __u32 why)
{
	struct journey *journey = journey_get();
	struct connection *c = connection_get();
	struct way way = {};
	struct packet *p;
	struct flow *flow;

	if (!journey || !c)
		return SLUICE_REASON_NO_MEMBER;
	p = &journey->packet;
	flow = &journey->flow;
	flow->state = c->forward.state;
	flow->new_source = c->forward.new_source;
	flow->new_destination = c->forward.new_destination;
	flow->new_source_port = c->forward.new_source_port;
	flow->new_destination_port = c->forward.new_destination_port;
	if (c->hop.ifindex)
		way.hop = &c->hop;
	if (c->tunnel)
		way.tunnel = &c->tunnel_end;
	MUST_TEST(way.hop);
	MUST_TEST(way.tunnel);
	if (p->fragment == FRAGMENT_FIRST)
		fragment_remember(family, p);
	count_flow_packet(flow->state, ETH_HLEN + p->l3_bytes);
	if (p->signals & SIGNAL_OPENS && !(flow->state & SLUICE_FLOW_REPLIED))
		handshake_begins(flow->state, handshake_name(family, &p->tuple),
				 SLUICE_LISTENER_CONNECT(c->listener_flags));
	return transmit(family, p, ctx, flow, &way,
			way.hop ? why : SLUICE_REASON_NEXT_HOP_UNRESOLVED);
}

__noinline int forward_first4(struct xdp_md *ctx, __u32 why)
{
	return forward_first(FAMILY4, ctx, why);
}

__noinline int forward_first6(struct xdp_md *ctx, __u32 why)
{
	return forward_first(FAMILY6, ctx, why);
}

/* Makes the sender of the packet a next hop: replies go back to its MAC and interface. */
static __always_inline void describe_client_hop(struct xdp_md *ctx, const struct packet *p, struct sluice_next_hop *hop)
{
	const __u8 *frame = packet_at(ctx, 0, ETH_HLEN + SLUICE_MAX_TAGS * VLAN_TAG_BYTES);
	const struct sluice_tag *tags = (const void *)(frame + 2 * SLUICE_MAC_BYTES);

	if (!frame)
		return;
	/* The reply's source is the MAC to which the packet was sent. */
	__builtin_memcpy(hop->source_mac, frame, SLUICE_MAC_BYTES);
	__builtin_memcpy(hop->destination_mac, frame + SLUICE_MAC_BYTES, SLUICE_MAC_BYTES);
	hop->ifindex = ctx->ingress_ifindex;
	hop->mtu = MTU_UNKNOWN;
	hop->tags = (p->l3_offset - ETH_HLEN) / VLAN_TAG_BYTES;
	hop->tag[0] = hop->tag[1] = (struct sluice_tag){};
	for (__u32 i = 0; i < SLUICE_MAX_TAGS && i < hop->tags; i++)
		hop->tag[i] = tags[i];
}

static __always_inline bool describe_connection(struct xdp_md *ctx, const struct packet *p,
						const struct sluice_listener *listener, bool adopted)
{
	struct connection *c = connection_get();

	if (!c)
		return false;
	c->tuple = p->tuple;
	c->listener = listener->index;
	c->pool = listener->pool;
	c->snat_source = listener->snat_source;
	c->adopted = adopted;
	c->sources = 1;
	c->pressed = 0;
	c->evictions = 0;
	c->sources_tried = 0;
	c->first_try = 0;
	c->listener_flags = listener->flags;
	describe_client_hop(ctx, p, &c->client_hop);
	return true;
}

/* Says whether nodes or routes of the fleet have just changed: then the connection of a packet without a flow may have
 * moved here faster than the word of it (maps/replica.h). */
static __always_inline bool in_grace(void)
{
	const __u64 *until = fleet_number(SLUICE_FLEET_GRACE_UNTIL), then = until ? READ_ONCE(*until) : 0;

	return then && bpf_ktime_get_boot_ns() < then;
}

/* Says whether this packet may begin a flow. Packets that open a connection may. One from the middle may, too, if
 * every load balancer chooses its member alike; it sets *adopted. Only the ends know whether there is such a
 * connection, so it counts as unconfirmed. One whose answers pass us has a source port, which its node tells, so that
 * is waited for. */
static __always_inline bool may_begin(const struct packet *p, const struct sluice_listener *listener, bool *adopted)
{
	const struct sluice_pool *pool;
	__u32 index = listener->pool;

	*adopted = false;
	if (p->protocol == IPPROTO_UDP || p->signals & SIGNAL_OPENS)
		return true;
	pool = bpf_map_lookup_elem(&pools, &index);
	if (!pool || !keeps_client(pool->forwarding_mode) || !chooses_by_hash(pool))
		return false;
	if (!answers_directly(pool->forwarding_mode) && in_grace())
		return false;
	*adopted = true;
	return !(p->signals & (SIGNAL_ACCEPTS | SIGNAL_ENDS | SIGNAL_ABORTS));
}

/* Says whether another CPU has opened the same connection a moment ago (the same SYN on two queues), so that the
 * forward slot was taken. The first one counts, and the packet follows it. */
static __always_inline bool opened_meanwhile(const struct connection *c)
{
	return c->error == -KERNEL_EEXIST && c->claimed;
}

/* Returns why there is no flow after all attempts; OPENED_MEANWHILE: there is one. */
__noinline int reason_of_failure(void)
{
	const struct connection *c = connection_get();

	if (!c)
		return SLUICE_REASON_NO_MEMBER;
	if (opened_meanwhile(c))
		return OPENED_MEANWHILE;
	switch (c->error) {
	case -KERNEL_EEXIST:
		return SLUICE_REASON_NO_PORT;
	case TOO_MANY_HALF_OPEN:
		return c->forgettable ? SLUICE_REASON_FORWARDED_WITHOUT_FLOW : SLUICE_REASON_HALF_OPEN_FULL;
	case TOO_MANY_OF_MEMBER:
		return SLUICE_REASON_NO_PORT;
	case TOO_MANY_UNPROVEN: /* never final: it is checked once per connection */
	default:
		return c->forgettable ? SLUICE_REASON_FORWARDED_WITHOUT_FLOW : SLUICE_REASON_FLOW_TABLE_FULL;
	}
}

/* Refuses a connection that was admitted but could not be created. */
static __always_inline int refuse(int family, struct xdp_md *ctx, __u32 why)
{
	struct journey *journey = journey_get();
	struct connection *c = connection_get();

	if (!journey || !c)
		return why;
	count_flow_refused(c->listener);
	if ((why == SLUICE_REASON_NO_MEMBER || why == SLUICE_REASON_MEMBER_FULL) &&
	    c->listener_flags & SLUICE_LISTENER_RESETS)
		return reject(family, &journey->packet, ctx, why);
	return why;
}

__noinline int refuse4(struct xdp_md *ctx, __u32 why)
{
	return refuse(FAMILY4, ctx, why);
}

__noinline int refuse6(struct xdp_md *ctx, __u32 why)
{
	return refuse(FAMILY6, ctx, why);
}

/* In generic mode the stack finishes the checksum of a packet whose addresses stay the same. */
static __always_inline bool checksum_matters(struct xdp_md *ctx, const struct sluice_listener *listener)
{
	__u32 index = listener->pool;
	const struct sluice_pool *pool = bpf_map_lookup_elem(&pools, &index);

	return pool && (!answers_directly(pool->forwarding_mode) || is_native(ctx->ingress_ifindex));
}

/* Handles a packet for a VIP without a flow. NEXT_OPEN: the connection is described and may be created. */
static __always_inline int ask_for_connection(int family, struct packet *p, struct xdp_md *ctx,
					      const struct sluice_vip *vip)
{
	const struct sluice_listener *listener = listener_find(family, &p->tuple);
	bool adopted, later = p->fragment == FRAGMENT_LATER;
	int why;

	if (later && !(listener && listener->flags & SLUICE_LISTENER_PER_PACKET))
		return SLUICE_REASON_FRAGMENT_WITHOUT_FIRST;
	if (listener && p->protocol == IPPROTO_TCP && p->signals & (SIGNAL_OPENS | SIGNAL_ABORTS) &&
	    authenticates(family, listener)) {
		why = family == FAMILY4 ? authenticate4(ctx) : authenticate6(ctx);
		if (why != UNDECIDED) {
			if (p->signals & SIGNAL_OPENS && why != NEXT_ANSWER_SYN)
				count_flow_refused(listener->index);
			return why;
		}
	}
	if (!listener || !may_begin(p, listener, &adopted)) {
		if (!(p->signals & SIGNAL_OPENS) && in_grace())
			return SLUICE_REASON_IN_GRACE;
		why = listener ? SLUICE_REASON_NO_FLOW : SLUICE_REASON_NO_LISTENER;
		return vip->flags & SLUICE_VIP_REJECTS || is_late_answer(family) ? reject(family, p, ctx, why) : why;
	}
	if (ttl(family, ctx, p) <= 1)
		return time_exceeded(family, p, ctx, NULL);
	why = admit(family, listener, &p->tuple.source);
	if (why == UNDECIDED && !later && checksum_matters(ctx, listener) && checksum_is_partial(ctx))
		why = SLUICE_REASON_PARTIAL_CHECKSUM;
	if (why != UNDECIDED) {
		count_flow_refused(listener->index);
		return why;
	}
	return describe_connection(ctx, p, listener, adopted) ? NEXT_OPEN : SLUICE_REASON_NO_MEMBER;
}

#endif
