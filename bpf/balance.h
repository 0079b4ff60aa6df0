/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The choice of a member for a new connection. */
#ifndef SLUICE_BPF_BALANCE_H
#define SLUICE_BPF_BALANCE_H

#include <bpf/bpf_endian.h>

#include "bpf/clock.h"
#include "bpf/packet.h"
#include "bpf/siphash.h"
#include "maps/counters.h"
#include "maps/member.h"
#include "maps/pool.h"

/* Least connections compares so many members; in larger pools these are consecutive ones, beginning at the cursor. */
#define LEAST_CONNECTIONS_COMPARED 64

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
static __always_inline __u32 hash_source(const struct tuple *t, bool with_port)
{
	__u64 h = mix(t->source.halves[0]) + t->source.halves[1];

	return mix(h ^ (with_port ? (__u64)t->source_port << 48 : 0)) >> 32;
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

/* Returns the member with the fewest connections for its weight; among several, the first one after the cursor. */
static __always_inline __u32 choose_least(void *ring, __u32 length, __u64 cursor)
{
	__u64 least = 0, weight_of_least = 1;
	__u32 best = SLUICE_NO_INDEX;

	for (__u32 i = 0; i < LEAST_CONNECTIONS_COMPARED && i < length; i++) {
		__u32 element = ring_at(ring, (cursor + i) % length), member = SLUICE_RING_MEMBER(element);
		const __u32 *active = bpf_map_lookup_elem(&member_active, &member);
		__u64 weight = SLUICE_RING_WEIGHT(element);

		if (!active)
			continue;
		/* Compares the loads that one more connection would cause. */
		if (best == SLUICE_NO_INDEX || (*active + 1ULL) * weight_of_least < least * weight) {
			best = member;
			least = *active + 1ULL;
			weight_of_least = weight;
		}
	}
	return best;
}

/* Chooses a member by the pool's algorithm; returns SLUICE_NO_INDEX without members. */
__noinline __u32 choose_by_ring(__u32 pool, __u32 algorithm, const struct tuple *t)
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
		return choose_least(ring, length, __sync_fetch_and_add(cursor, 1));
	case SLUICE_SOURCE_IP:
		return SLUICE_RING_MEMBER(ring_at(ring, keyed_hash_of_source(t, false) % length));
	case SLUICE_SOURCE_IP_PORT:
		return SLUICE_RING_MEMBER(ring_at(ring, keyed_hash_of_source(t, true) % length));
	default: /* one atomic add, exact across CPUs; masked, as the ring may change before the algorithm does */
		return SLUICE_RING_MEMBER(ring_at(ring, __sync_fetch_and_add(cursor, 1) % length));
	}
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

/* Returns the member to which this client's connections go, if it still takes any. */
static __always_inline __u32 choose_by_persistence(const struct sluice_source *client, const struct sluice_pool *pool)
{
	const struct sluice_persistence *last = bpf_map_lookup_elem(&persistence, client);
	const struct sluice_member *member;
	__u32 index;

	if (!last || (__u64)(clock_jiffies() - last->jiffies) > (__u64)pool->persistence_seconds * clock_hz)
		return SLUICE_NO_INDEX;
	index = last->member;
	member = bpf_map_lookup_elem(&members, &index);
	if (!member || !(member->flags & SLUICE_MEMBER_USABLE) || half_of_id(member) != last->id)
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

static __always_inline __u32 choose_member(int family, __u32 pool_index, const struct sluice_pool *pool,
					   const struct tuple *t)
{
	struct sluice_source client = {.object = pool_index, .family = family};
	__u32 member;

	if (!pool->persistence_seconds)
		return choose_by_ring(pool_index, pool->algorithm, t);
	client.address = address_prefix(family, &t->source, pool->persistence_bits);
	member = choose_by_persistence(&client, pool);
	if (member == SLUICE_NO_INDEX)
		member = choose_by_ring(pool_index, pool->algorithm, t);
	if (member != SLUICE_NO_INDEX)
		remember_choice(&client, member);
	return member;
}

#endif
