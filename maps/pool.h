/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `pools`, `pool_rings`, `pool_cursors`: who gets the next connection.
 *
 * A ring is a precomputed order of members in which each appears as often as its weight says, as evenly
 * spread as can be (userspace/balancing). A new connection takes slot `cursor++ % length`: one atomic add
 * makes weighted round robin exact across all CPUs. A change of members or health builds a new ring
 * beside the old one and swaps it in by one update of `pool_rings`; the cursor goes on, so a change never
 * sends "all to the first".
 *
 * `pools` and `pool_rings` are written by the controller (ring first, then pool) and read at connection
 * time; `pool_cursors` is written by the data plane only. */
#ifndef SLUICE_POOL_H
#define SLUICE_POOL_H

#include "types.h"

#define SLUICE_MAX_POOLS 4096

enum sluice_forwarding_mode {
	SLUICE_FULLNAT = 0, /* destination and source rewritten; the source becomes the VIP */
	SLUICE_DNAT = 1,    /* destination rewritten; the client's address is kept */
};

struct sluice_pool {
	struct sluice_id id;
	__u32 forwarding_mode; /* enum sluice_forwarding_mode */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_pool) == 20);

/* A ring is an array of __u32: element SLUICE_RING_LENGTH holds the number of slots n (kept inside so
 * that order and length change in the same swap), elements 1..n hold indices into `members`. A pool
 * without usable members has no ring, or one of length 0. */
#define SLUICE_RING_LENGTH 0
#define SLUICE_RING_FIRST 1

/* 256 members of weight 256 with no common divisor. */
#define SLUICE_MAX_RING_SLOTS 65536

#ifdef __bpf__
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
#endif

#endif
