/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Handshake times: one handshake of each member is timed at a time, see maps/handshake.h. */
#ifndef SLUICE_BPF_HANDSHAKE_H
#define SLUICE_BPF_HANDSHAKE_H

#include "bpf/clock.h"
#include "bpf/packet.h"
#include "bpf/record.h"
#include "bpf/suspect.h"
#include "maps/flow.h"
#include "maps/handshake.h"

/* After so long no answer is expected any more. */
#define HANDSHAKE_GIVEN_UP_SECONDS 9

/* Hashes the client's tuple, to tell the connection from others of the same moment. */
static __always_inline __u32 handshake_name(int family, const struct tuple *client)
{
	return client_name(family, client) | 1;
}

static __always_inline struct sluice_member_handshakes *handshakes_of(__u64 state)
{
	__u32 member = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&member_handshakes, &member);
}

/* Starts the clock when the client's SYN goes to the member. */
__noinline int handshake_begins(__u64 state, __u32 name, __u32 limited)
{
	struct sluice_member_handshakes *h = handshakes_of(state);
	__u32 now = clock_jiffies();

	silence_begins(state);
	record_handshake_begins(state, name, limited);
	if (!h || now == h->began_jiffies)
		return 0;
	if (h->connection && now - h->began_jiffies < HANDSHAKE_GIVEN_UP_SECONDS * clock_hz)
		return 0;
	WRITE_ONCE(h->connection, 0);
	WRITE_ONCE(h->began_jiffies, now);
	WRITE_ONCE(h->began_nanoseconds, bpf_ktime_get_ns());
	WRITE_ONCE(h->connection, name);
	return 0;
}

/* Returns the number of bits of `units`, at most the last bucket. */
static __always_inline __u32 handshake_bucket(__u64 units)
{
	__u32 bits = 0;

	if (units >> (SLUICE_HANDSHAKE_BUCKETS - 1))
		return SLUICE_HANDSHAKE_BUCKETS - 1;
	for (__u32 step = 16; step; step /= 2) {
		if (units >> step) {
			units >>= step;
			bits += step;
		}
	}
	return bits + (units != 0);
}

/* Stops the clock when the member answers this connection. */
__noinline int handshake_ends(__u64 state, __u32 name)
{
	struct sluice_member_handshakes *h = handshakes_of(state);
	__u64 took;
	__u32 bucket;

	silence_ends(state);
	record_handshake_ends(state, name);
	if (!h || READ_ONCE(h->connection) != name)
		return 0;
	took = bpf_ktime_get_ns() - READ_ONCE(h->began_nanoseconds);
	if (__sync_val_compare_and_swap(&h->connection, name, 0) != name)
		return 0;
	if ((__s64)took <= 0) /* another CPU has begun to time another connection meanwhile */
		return 0;
	bucket = handshake_bucket((took - 1) >> SLUICE_HANDSHAKE_SHIFT);
	if (bucket < SLUICE_HANDSHAKE_BUCKETS)
		__sync_fetch_and_add(&h->answers[bucket], 1);
	__sync_fetch_and_add(&h->sum_nanoseconds, took);
	return 0;
}

#endif
