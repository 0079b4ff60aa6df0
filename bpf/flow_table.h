/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The flow table: flow_find, flow_insert, flow_remove, flow_expire_all. No other file touches the map.
 *
 * Today it is a preallocated kernel hash map with one entry per direction. What makes concurrency safe:
 * insertion is BPF_NOEXIST, so of two CPUs that open the same connection one wins and the other finds the
 * winner; the reverse entry goes in first, so its insertion is the atomic claim of (member, source port)
 * and a reply can never meet a forward entry without its twin. */
#ifndef SLUICE_BPF_FLOW_TABLE_H
#define SLUICE_BPF_FLOW_TABLE_H

#include "bpf/counters.h"
#include "maps/flow.h"

/* CONFIG_HZ of the running kernel; set from user space before load. jiffies are read without a helper call
 * (the JIT inlines it), every other clock costs 17-35 ns a packet. */
const volatile __u32 clock_hz = 1000;

#define KERNEL_EEXIST 17
#define KERNEL_E2BIG 7

static __always_inline __u32 clock_jiffies(void)
{
	return (__u32)bpf_jiffies64();
}

static __always_inline struct sluice_flow4 *flow_find(const struct sluice_flow4_key *key)
{
	return bpf_map_lookup_elem(&flows4, key);
}

/* 0; -KERNEL_EEXIST when the key is taken; -KERNEL_E2BIG when the table is full. */
static __always_inline long flow_insert(const struct sluice_flow4_key *key, const struct sluice_flow4 *flow)
{
	return bpf_map_update_elem(&flows4, key, flow, BPF_NOEXIST);
}

/* The key of the other direction: the rewritten tuple with source and destination exchanged. */
static __always_inline void flow_twin_key(const struct sluice_flow4 *flow, __u8 protocol,
					  struct sluice_flow4_key *twin)
{
	twin->source = flow->new_destination;
	twin->destination = flow->new_source;
	twin->source_port = flow->new_destination_port;
	twin->destination_port = flow->new_source_port;
	twin->protocol = protocol;
	twin->zero[0] = twin->zero[1] = twin->zero[2] = 0;
}

/* Counts the end of a connection; exactly one caller per connection finds it uncounted. */
static __always_inline void flow_end(struct sluice_flow4 *forward)
{
	__u32 before = __sync_fetch_and_or(&forward->events, SLUICE_FLOW_ENDED);

	if (!(before & SLUICE_FLOW_ENDED))
		count_flow_ended(forward, before & SLUICE_FLOW_ESTABLISHED);
}

/* Adds what was seen to a forward entry's events. Called only when something new was seen, so established packets
 * never write here. */
static __always_inline void flow_note(struct sluice_flow4 *forward, __u32 seen)
{
	const __u32 both_fins = SLUICE_FLOW_CLIENT_FIN | SLUICE_FLOW_MEMBER_FIN;
	__u32 after = __sync_fetch_and_or(&forward->events, seen) | seen;

	if (after & SLUICE_FLOW_RESET || (after & both_fins) == both_fins)
		flow_end(forward);
}

static __always_inline __u32 flow_timeout_seconds(__u32 events)
{
	const __u32 both_fins = SLUICE_FLOW_CLIENT_FIN | SLUICE_FLOW_MEMBER_FIN;

	if (events & SLUICE_FLOW_RESET || (events & both_fins) == both_fins)
		return SLUICE_TIMEOUT_CLOSED_SECONDS;
	if (events & both_fins)
		return SLUICE_TIMEOUT_CLOSING_SECONDS;
	if (events & SLUICE_FLOW_ESTABLISHED)
		return SLUICE_TIMEOUT_ESTABLISHED_SECONDS;
	return SLUICE_TIMEOUT_HALF_OPEN_SECONDS;
}

/* Has the connection of this forward entry been idle, in both directions, for longer than its state allows? */
static __always_inline bool flow_is_idle(const struct sluice_flow4 *forward,
					 const struct sluice_flow4_key *twin_key, __u32 now)
{
	__u32 allowed = flow_timeout_seconds(forward->events) * clock_hz;
	const struct sluice_flow4 *reverse;

	/* Signed: another CPU may have stamped the entry after `now` was read. */
	if ((__s32)(now - forward->last_seen_jiffies) <= (__s32)allowed)
		return false;
	reverse = flow_find(twin_key);
	return !reverse || (__s32)(now - reverse->last_seen_jiffies) > (__s32)allowed;
}

/* Takes both entries out. The forward one goes first: a new connection of the same client may only start once
 * the reverse entry no longer guards the old port. */
static __always_inline void flow_remove(const struct sluice_flow4_key *key, struct sluice_flow4 *forward,
					const struct sluice_flow4_key *twin_key)
{
	flow_end(forward);
	bpf_map_delete_elem(&flows4, key);
	bpf_map_delete_elem(&flows4, twin_key);
}

/* Does a SYN that meets this forward entry open a new connection (RFC 6191 in spirit)? Yes when the old one is
 * closing, closed or idle for too long, and when it never got an answer from a member that is no longer
 * usable. No when it is a retransmission. */
static __always_inline bool flow_gives_way(struct sluice_flow4 *forward,
					   const struct sluice_flow4_key *twin_key)
{
	const __u32 over = SLUICE_FLOW_RESET | SLUICE_FLOW_CLIENT_FIN | SLUICE_FLOW_MEMBER_FIN;
	const struct sluice_member *member;

	if (forward->events & over)
		return true;
	if (!(forward->events & SLUICE_FLOW_REPLIED)) {
		member = bpf_map_lookup_elem(&members, &forward->member);
		if (member && !(member->flags & SLUICE_MEMBER_USABLE))
			return true;
	}
	return flow_is_idle(forward, twin_key, clock_jiffies());
}

/* A reverse key is taken: by a connection that is over and was not swept yet (nobody sweeps while the
 * controller is dead)? Then its entries go and the key is free. */
static __noinline bool flow_recycle(const struct sluice_flow4_key *reverse_key)
{
	struct sluice_flow4_key forward_key;
	struct sluice_flow4 *reverse = flow_find(reverse_key);
	struct sluice_flow4 *forward;

	if (!reverse)
		return true;
	if (reverse->direction != SLUICE_TO_CLIENT)
		return false;
	flow_twin_key(reverse, reverse_key->protocol, &forward_key);
	forward = flow_find(&forward_key);
	if (forward && !flow_is_idle(forward, reverse_key, clock_jiffies()))
		return false;
	/* A reverse entry without its twin is being inserted right now, unless it is old. */
	if (!forward && (__s32)(clock_jiffies() - reverse->last_seen_jiffies) <= (__s32)clock_hz)
		return false;
	if (forward)
		flow_remove(&forward_key, forward, reverse_key);
	else
		bpf_map_delete_elem(&flows4, reverse_key);
	return true;
}

struct bpf_map;

static long flow_expire_one(struct bpf_map *map, const struct sluice_flow4_key *key,
			    struct sluice_flow4 *flow, struct sluice_flow_expire *sweep)
{
	struct sluice_flow4_key twin_key;
	struct sluice_flow4_key own_key;

	(void)map;
	if (flow->direction != SLUICE_TO_MEMBER)
		return 0;
	flow_twin_key(flow, key->protocol, &twin_key);
	if (!flow_is_idle(flow, &twin_key, sweep->now_jiffies)) {
		++sweep->live;
		return 0;
	}
	own_key = *key;
	flow_remove(&own_key, flow, &twin_key);
	++sweep->expired;
	return 0;
}

/* One walk over the whole table. The callback's context must be on the stack, hence the copy. */
static __always_inline void flow_expire_all(struct sluice_flow_expire *result)
{
	struct sluice_flow_expire sweep = {.now_jiffies = clock_jiffies()};

	bpf_for_each_map_elem(&flows4, flow_expire_one, &sweep, 0);
	result->now_jiffies = sweep.now_jiffies;
	result->live = sweep.live;
	result->expired = sweep.expired;
}

#endif
