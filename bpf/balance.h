/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The choice of a member for a new connection. */
#ifndef SLUICE_BPF_BALANCE_H
#define SLUICE_BPF_BALANCE_H

#include <bpf/bpf_endian.h>

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/journey.h"
#include "bpf/packet.h"
#include "bpf/siphash.h"
#include "maps/counters.h"
#include "maps/half_open.h"
#include "maps/member.h"
#include "maps/pool.h"

/* Least connections compares so many members; in larger pools these are consecutive ones, beginning at the cursor. */
#define LEAST_CONNECTIONS_COMPARED 64

/* If a member is full the connection goes to the next one along the ring; so many slots are looked at. Rings interleave their
 * members, so of two members with any weights the other one has at least one of them. */
#define SPILL_SLOTS 257
/* The choice where all members that were looked at are full. */
#define MEMBERS_FULL (SLUICE_NO_INDEX - 1)

static __always_inline __u64 mix(__u64 h)
{
	/* The finalizer of MurmurHash3 (public domain). */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdULL;
	h ^= h >> 33;
	h *= 0xc4ceb9fe1a85ec53ULL;
	return h ^ h >> 33;
}

/* An unkeyed hash, for choices from whose prediction nobody gains anything. */
static __always_inline __u32 hash_source(const struct tuple *t)
{
	return mix(mix(t->source.halves[0]) + t->source.halves[1]) >> 32;
}

/* Returns SipHash-1-3 (Aumasson and Bernstein; the kernel's hsiphash) of the client's address, and of its port if
 * that counts. Without the key nobody can tell which clients share a member, and every load balancer with the same
 * key and members chooses alike. */
static __always_inline __u32 keyed_hash_of_source(const struct tuple *t, bool with_port)
{
	__u32 zero = 0;
	struct sip_state v = sip_begin(bpf_map_lookup_elem(&hash_key, &zero));

	sip_take(&v, t->source.halves[0]);
	sip_take(&v, t->source.halves[1]);
	sip_take(&v, 18ULL << 56 | (with_port ? t->source_port : 0)); /* the input's length comes last */
	return sip_end(&v) >> 32;
}

static __always_inline __u32 ring_length(void *ring)
{
	__u32 slot = SLUICE_RING_LENGTH;
	const __u32 *length = bpf_map_lookup_elem(ring, &slot);

	return length ? *length : 0;
}

static __always_inline __u32 ring_at(void *ring, __u32 position)
{
	__u32 slot = SLUICE_RING_FIRST + position;
	const __u32 *element = bpf_map_lookup_elem(ring, &slot);

	return element ? *element : SLUICE_NO_INDEX;
}

/* Says whether so many of the member's connections are confirmed. A function, because few members have a limit. */
__noinline int member_has(__u32 index, __u32 connections)
{
	return confirmed_connections(bpf_map_lookup_elem(&member_confirmed, &index),
				     bpf_map_lookup_elem(&member_active, &index),
				     bpf_map_lookup_elem(&member_half_open, &index)) >= connections;
}

/* Says whether the member has as many connections as it may have. Those count that their clients have confirmed, because a
 * flood of SYNs must lock nobody out; so connections that are opened at one moment may exceed the limit. */
static __always_inline bool member_is_full(__u32 index)
{
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &index);

	return member && member->max_connections && member_has(index, member->max_connections);
}

/* `passed_over`: the member that has not answered this client in time (connect_time.h), as if it were full. */
static __always_inline bool member_is_out(__u32 index, __u32 passed_over)
{
	return index == passed_over || member_is_full(index);
}

struct ring_walk {
	__u32 pool;
	__u32 position; /* where it begins */
	__u32 passed_over;
	__u32 found;
};

/* Looks at the n-th slot from the walk's beginning. 1: the walk is over. */
static long ring_walk_step(__u32 n, struct ring_walk *walk)
{
	void *ring = bpf_map_lookup_elem(&pool_rings, &walk->pool);
	__u32 length = ring ? ring_length(ring) : 0, member;

	if (!length || n >= length)
		return 1;
	member = SLUICE_RING_MEMBER(ring_at(ring, (walk->position + n) % length));
	if (member_is_out(member, walk->passed_over))
		return 0;
	walk->found = member;
	return 1;
}

/* Returns the member at this position of the ring, or the next one that is not full. */
static __always_inline __u32 choose_along(__u32 pool, void *ring, __u32 position, __u32 passed_over)
{
	struct ring_walk walk = {
		.pool = pool,
		.position = position,
		.passed_over = passed_over,
		.found = MEMBERS_FULL,
	};
	__u32 member = SLUICE_RING_MEMBER(ring_at(ring, position));

	if (!member_is_out(member, passed_over))
		return member;
	bpf_loop(SPILL_SLOTS, ring_walk_step, &walk, 0);
	return walk.found;
}

/* Returns the member with the fewest connections for its weight; among several, the first one after the cursor. */
static __always_inline __u32 choose_least(void *ring, __u32 length, __u64 cursor, __u32 passed_over)
{
	__u64 least = 0, weight_of_least = 1;
	__u32 best = SLUICE_NO_INDEX;
	bool full = false;

	for (__u32 i = 0; i < LEAST_CONNECTIONS_COMPARED && i < length; i++) {
		__u32 element = ring_at(ring, (cursor + i) % length), member = SLUICE_RING_MEMBER(element);
		const __u32 *active = bpf_map_lookup_elem(&member_active, &member);
		__u64 weight = SLUICE_RING_WEIGHT(element);

		if (!active)
			continue;
		if (member_is_out(member, passed_over)) {
			full = true;
			continue;
		}
		/* Compares the loads that one more connection would cause. */
		if (best == SLUICE_NO_INDEX || (*active + 1ULL) * weight_of_least < least * weight) {
			best = member;
			least = *active + 1ULL;
			weight_of_least = weight;
		}
	}
	return best == SLUICE_NO_INDEX && full ? MEMBERS_FULL : best;
}

/* Chooses a member by the pool's algorithm; returns SLUICE_NO_INDEX without members, or MEMBERS_FULL. */
__noinline __u32 choose_by_ring(__u32 pool, __u32 algorithm, const struct tuple *t, __u32 passed_over)
{
	void *ring = bpf_map_lookup_elem(&pool_rings, &pool);
	__u64 *cursor = bpf_map_lookup_elem(&pool_cursors, &pool);
	__u32 length;

	if (!ring || !cursor || !t)
		return SLUICE_NO_INDEX;
	length = ring_length(ring);
	if (length == 0)
		return SLUICE_NO_INDEX;
	switch (algorithm) {
	case SLUICE_LEAST_CONNECTIONS:
		return choose_least(ring, length, __sync_fetch_and_add(cursor, 1), passed_over);
	case SLUICE_SOURCE_IP:
		return choose_along(pool, ring, keyed_hash_of_source(t, false) % length, passed_over);
	case SLUICE_SOURCE_IP_PORT:
		return choose_along(pool, ring, keyed_hash_of_source(t, true) % length, passed_over);
	default: /* one atomic add, exact across CPUs; masked, as the ring may change before the algorithm does */
		return choose_along(pool, ring, __sync_fetch_and_add(cursor, 1) % length, passed_over);
	}
}

/* Returns the member that all fragments of a datagram lead to. */
__noinline __u32 choose_by_id(__u32 pool, const struct tuple *t, __u32 fragment_id)
{
	void *ring = bpf_map_lookup_elem(&pool_rings, &pool);
	__u32 length;

	if (!ring || !t)
		return SLUICE_NO_INDEX;
	length = ring_length(ring);
	if (length == 0)
		return SLUICE_NO_INDEX;
	return SLUICE_RING_MEMBER(ring_at(ring, (hash_source(t) ^ mix(fragment_id) >> 32) % length));
}

/* Returns the leading bits of an address; the others are zero. */
static __always_inline union sluice_address address_prefix(int family, const union sluice_address *address, __u32 bits)
{
	union sluice_address prefix = *address;

	for (int i = 0; i < (family == FAMILY4 ? 1 : 4); i++) {
		__u32 kept = bits > 32u * i ? bits - 32 * i : 0;

		if (kept < 32)
			prefix.words[i] &= bpf_htonl(kept ? ~0U << (32 - kept) : 0);
	}
	return prefix;
}

static __always_inline __u64 half_of_id(const struct sluice_member *member)
{
	return *(const __u64 *)(const void *)member->id.bytes;
}

/* Returns the member to which this client's connections go, if it still takes any. From a full one the client moves for
 * good. */
static __always_inline __u32 choose_by_persistence(const struct sluice_source *client, const struct sluice_pool *pool,
						   __u32 passed_over)
{
	const struct sluice_persistence *last = bpf_map_lookup_elem(&persistence, client);
	const struct sluice_member *member;
	__u32 index;

	if (!last || (__u64)(clock_jiffies() - last->jiffies) > (__u64)pool->persistence_seconds * clock_hz)
		return SLUICE_NO_INDEX;
	index = last->member;
	member = bpf_map_lookup_elem(&members, &index);
	if (!member || !(member->flags & SLUICE_MEMBER_USABLE) || half_of_id(member) != last->id ||
	    member_is_out(index, passed_over))
		return SLUICE_NO_INDEX;
	return index;
}

static __always_inline void remember_choice(const struct sluice_source *client, __u32 index)
{
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &index);
	struct sluice_persistence choice = {.member = index, .jiffies = clock_jiffies()};

	if (!member)
		return;
	choice.id = half_of_id(member);
	bpf_map_update_elem(&persistence, client, &choice, BPF_ANY);
}

/* A member that is passed over gets the connection nevertheless if no other one takes it. */
static __always_inline __u32 choose_by_algorithm(__u32 pool_index, const struct sluice_pool *pool, const struct tuple *t,
						 __u32 passed_over)
{
	__u32 member = choose_by_ring(pool_index, pool->algorithm, t, passed_over);

	if (member == MEMBERS_FULL && passed_over != NOT_PASSED_OVER)
		member = choose_by_ring(pool_index, pool->algorithm, t, NOT_PASSED_OVER);
	return member;
}

static __always_inline __u32 choose_member(int family, __u32 pool_index, const struct sluice_pool *pool,
					   const struct tuple *t, __u32 passed_over)
{
	struct sluice_source client = {.object = pool_index, .family = family};
	__u32 member;

	if (!pool->persistence_seconds)
		return choose_by_algorithm(pool_index, pool, t, passed_over);
	/* The pool's number of bits is one of the members' IP version. */
	if (family == FAMILY6 && (is_mapped(&t->source) || !pool->ipv6))
		client.address = t->source;
	else
		client.address = address_prefix(family, &t->source, pool->persistence_bits);
	member = choose_by_persistence(&client, pool, passed_over);
	if (member == SLUICE_NO_INDEX)
		member = choose_by_algorithm(pool_index, pool, t, passed_over);
	if (member < MEMBERS_FULL)
		remember_choice(&client, member);
	return member;
}

#endif
