/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `member_handshakes`: the times that members take to answer a SYN or INIT, by member index.
 *
 * The data plane writes it for one connection of a member at a time, at most one per jiffy, so that opening
 * connections doesn't write a shared cache line all the time. The sample is unbiased unless answers take longer than
 * the time after which a connection is given up. The controller reads it, and resets it when the index goes to
 * another member. */
#ifndef SLUICE_HANDSHAKE_H
#define SLUICE_HANDSHAKE_H

#include "member.h"
#include "types.h"

/* Bucket i counts answers within 2^(SLUICE_HANDSHAKE_SHIFT + i) ns (16.384 us << i) that no smaller one counts; the
 * last one counts those that took longer than 8.6 s. */
#define SLUICE_HANDSHAKE_SHIFT 14
#define SLUICE_HANDSHAKE_BUCKETS 21

struct sluice_member_handshakes {
	/* The connection that is timed. */
	__u64 began_nanoseconds; /* CLOCK_MONOTONIC */
	__u32 began_jiffies;
	__u32 connection; /* a hash of its addresses and ports; 0: none */
	/* The connections that were timed. */
	__u64 sum_nanoseconds;
	__u32 answers[SLUICE_HANDSHAKE_BUCKETS];
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member_handshakes) == 112);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member_handshakes);
} member_handshakes SEC(".maps");
#endif

#endif
