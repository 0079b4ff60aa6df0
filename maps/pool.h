/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `pools`, `pool_rings`, `pool_cursors`: the member of the next connection. `persistence`: the member of a client's
 * last one.
 *
 * A ring is a precomputed order of members (userspace/balancing). Its contents depend on the algorithm:
 *
 *   round robin        each member as often as its weight says, as evenly spread as can be. A new connection takes slot
 *                      `cursor++ % length`: one atomic add makes weighted round robin exact across all CPUs
 *   least connections  each member once, with its weight: SLUICE_RING_WEIGHTED. All are compared, beginning at the cursor
 *   source IP (port)   a Maglev table; slot `hash % length`
 *
 * A change of members or health builds a new ring beside the old one and swaps it in by one update of `pool_rings`. The
 * cursor continues, so a change never sends "all to the first".
 *
 * The controller writes `pools` and `pool_rings` (ring first, then pool), and the data plane reads them for new
 * connections; only the data plane writes `pool_cursors` and `persistence`. */
#ifndef SLUICE_POOL_H
#define SLUICE_POOL_H

#include "types.h"

#define SLUICE_MAX_POOLS 32768

enum sluice_forwarding_mode {
	SLUICE_FULLNAT = 0, /* destination and source rewritten; the source becomes the VIP */
	SLUICE_DNAT = 1,    /* destination rewritten; the client's address is kept */
	SLUICE_DSR = 2,     /* the destination MAC only; the member holds the VIP and answers directly */
	SLUICE_IPIP = 3,    /* an outer IP header to the member is put in front; the member answers directly */
	SLUICE_GUE = 4,     /* the same with a UDP header between the two (GUE, variant 1) */
};

enum sluice_algorithm {
	SLUICE_ROUND_ROBIN = 0,
	SLUICE_LEAST_CONNECTIONS = 1,
	SLUICE_SOURCE_IP = 2,      /* by a hash of the client's address */
	SLUICE_SOURCE_IP_PORT = 3, /* by a hash of the client's address and port; also what MAGLEV means */
};

struct sluice_pool {
	struct sluice_id id;
	__u8 forwarding_mode; /* enum sluice_forwarding_mode */
	__u8 algorithm;       /* enum sluice_algorithm */
	__u8 persistence_bits; /* leading bits of a client's address that count as one client */
	__u8 ipv6; /* 1: the pool's entry with its IPv6 members; 0: with its IPv4 members */
	__u32 persistence_seconds; /* a client's connections go to one member until it was away for so long; 0: off */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_pool) == 24);

/* A ring is an array of __u32: element SLUICE_RING_LENGTH holds the number of slots n (kept inside so
 * that order and length change in the same swap), elements 1..n hold indices into `members`. A pool
 * without usable members has no ring, or one of length 0. */
#define SLUICE_RING_LENGTH 0
#define SLUICE_RING_FIRST 1

/* A slot of a least-connections ring: index and weight (1..256; where a member starts slowly all have theirs in
 * sixteenths, 1..4096). */
#define SLUICE_RING_WEIGHTED(member, weight) ((__u32)(member) | (__u32)(weight) << 16)
#define SLUICE_RING_MEMBER(slot) ((slot) & 0xffff)
#define SLUICE_RING_WEIGHT(slot) ((slot) >> 16)

/* 256 members of weight 256 with no common divisor. */
#define SLUICE_MAX_RING_SLOTS 65536

/* `persistence`: the member of a client's last connection. Clients beyond the capacity evict the longest unused. */
#define SLUICE_MAX_PERSISTENCE 65536
struct sluice_persistence {
	__u32 member;
	__u32 jiffies; /* of the last new connection */
	__u64 id;      /* the first half of the member's, as the index may have gone to another member */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_persistence) == 16);

#ifdef __bpf__
#include "listener.h" /* struct sluice_source */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_POOLS);
	__type(key, __u32);
	__type(value, struct sluice_pool);
} pools SEC(".maps");

struct sluice_ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP); /* rings of different lengths, one slot each */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SLUICE_MAX_POOLS);
	__type(key, __u32);
	__array(values, struct sluice_ring);
} pool_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_POOLS);
	__type(key, __u32);
	__type(value, __u64);
} pool_cursors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_PERSISTENCE);
	__type(key, struct sluice_source);
	__type(value, struct sluice_persistence);
} persistence SEC(".maps");
#endif

#endif
