/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The short sweep, for flows of listeners whose idle time is up to a minute: ticks of 8 seconds are too coarse for them.
 *
 * It leaves a mark in each slot that had a packet since it was last here (maps/flow.h, "Marks"), so their cache lines are
 * written once more per short sweep, by the next packet. No other flow and no packet's path changes for it. Where both slots
 * of a connection have been silent for its idle time, the connection is removed, or, if the idle time ends with resets, its
 * stamps are made so old that the slow path and flow_sweep (expire.h) take it for what it is: over.
 *
 * The time of a packet is known by when the next short sweep found its stamp, so a connection is never ended too early, and
 * with a sweep each 0.25 s at most 1.5 s late.
 *
 * Races. A packet that is stamped between the look and the mark is not lost: the mark's compare-and-swap fails, or the stamp
 * was there before and the mark is younger. Nobody but packets replaces a mark before it is eight ticks old. */
#ifndef SLUICE_BPF_EXPIRE_SHORT_H
#define SLUICE_BPF_EXPIRE_SHORT_H

#include "bpf/expire.h"
#include "bpf/flow_state.h"

struct short_sweep {
	__u64 until; /* the slice ends then, in bpf_ktime_get_ns() */
	__u32 now;   /* in sixteenths */
	__u32 first; /* the slice's first bucket */
	__u32 marked;
	__u32 expired;
	__u32 over;
};

static __always_inline __u32 clock_sixteenths(void)
{
	return bpf_jiffies64() >> (clock_tick_shift - SLUICE_MARK_BITS);
}

/* Returns the sixteenths of silence by which so many seconds are over; 0: marks can't tell so long a silence. Of the
 * first sixteenth only a part may have passed. */
static __always_inline __u32 short_limit_of(__u32 seconds)
{
	__u32 shift = clock_tick_shift - SLUICE_MARK_BITS;
	__u32 limit = ((seconds * clock_hz + (1U << shift) - 1) >> shift) + 1;

	return seconds <= SLUICE_SHORT_IDLE_SECONDS && limit <= SLUICE_MARK_LONGEST ? limit : 0;
}

/* Says whether the flows of this slot's listener are marked. */
static __always_inline bool has_short_idle_time(__u64 state)
{
	__u32 seconds = listener_idle_seconds(state, 0);

	return seconds && short_limit_of(seconds);
}

/* Returns the same for a connection, given its forward slot's state. Replicas are told of in ticks. */
static __always_inline __u32 short_limit(__u64 forward_state)
{
	return sluice_flow_is_replica(forward_state) ? 0 : short_limit_of(flow_timeout_seconds(forward_state));
}

/* What the short sweep has done at a slot. */
#define SHORT_REMOVED 1
#define SHORT_OVER 2
#define SHORT_MARKED 3

/* Ends the connection of this forward slot if both of its ends were silent for long enough. */
static __always_inline int short_end(int family, __u32 index, __u32 now)
{
	__u32 limit, old, tick = now >> SLUICE_MARK_BITS;
	struct tuple key, twin;
	struct flow flow;
	__u64 reverse;
	__s32 other;
	bool resets;

	if (!flow_take_any(family, index, &key, &flow))
		return 0;
	limit = short_limit(flow.state);
	old = clock_ticks_in(flow_timeout_seconds(flow.state)) + 1;
	resets = idle_time_ends_with_reset(flow.state);
	if (!limit || sluice_flow_short_silence(flow.state, now) < limit)
		return 0;
	if (resets && !SLUICE_STATE_GET(flow.state, HOP) && flow_idle_ticks(flow.state, tick) >= old)
		return 0; /* it is over already */
	twin = flow_twin(&flow);
	reverse = flow_find_state(family, &twin, &other);
	if (reverse && sluice_flow_short_silence(reverse, now) < limit)
		return 0;
	if (!resets)
		return flow_forget_both(family, &key, &flow, &twin, SLUICE_RECORD_IDLE) ? SHORT_REMOVED : 0;
	if (reverse)
		flow_change(family, other, &twin, reverse,
			    sluice_flow_with_stamp(reverse & SLUICE_STATE_CLEAR(HOP), tick - old));
	return flow_change(family, flow.index, &key, flow.state,
			   sluice_flow_with_stamp(flow.state & SLUICE_STATE_CLEAR(HOP), tick - old))
		       ? SHORT_OVER
		       : 0;
}

__noinline int short_end4(__u32 index, __u32 now)
{
	return short_end(FAMILY4, index, now);
}

__noinline int short_end6(__u32 index, __u32 now)
{
	return short_end(FAMILY6, index, now);
}

/* Returns what the slot's state is to be: with a mark if a packet has come since the last short sweep, without one if that
 * tells nothing any more. */
static __always_inline __u64 marked_anew(__u64 state, __u32 silence, bool is_short, __u32 now)
{
	__u32 tick = now >> SLUICE_MARK_BITS;

	if (sluice_flow_is_marked(state, tick)) {
		if (is_short && silence <= SLUICE_MARK_LONGEST)
			return state;
		return sluice_flow_with_stamp(state, (now - silence) >> SLUICE_MARK_BITS);
	}
	if (is_short && sluice_flow_stamp_age(state, tick) <= 1)
		return sluice_flow_with_mark(state, now - silence, now);
	return state;
}

static __always_inline int short_sweep_slot(int family, __u32 index, __u32 now)
{
	void *slot = flow_slot_here(family, index);
	__u64 state = slot ? READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW : 0, next;
	__u32 silence, limit;
	bool is_short;
	int ended;

	if (!SLUICE_STATE_GET(state, PROTOCOL))
		return 0;
	is_short = has_short_idle_time(state);
	silence = sluice_flow_short_silence(state, now);
	limit = is_short && !(state & SLUICE_FLOW_TO_CLIENT) ? short_limit(state) : 0;
	if (limit && silence >= limit) {
		ended = family == FAMILY4 ? short_end4(index, now) : short_end6(index, now);
		if (ended)
			return ended;
	}
	next = marked_anew(state, silence, is_short, now);
	if (next != state)
		flow_swap(family, index, state, next);
	return sluice_flow_is_marked(next, now >> SLUICE_MARK_BITS) ? SHORT_MARKED : 0;
}

/* Functions of their own, which the verifier walks through once, not once for each slot of a bucket. */
__noinline int short_sweep_slot4(__u32 index, __u32 now)
{
	return short_sweep_slot(FAMILY4, index, now);
}

__noinline int short_sweep_slot6(__u32 index, __u32 now)
{
	return short_sweep_slot(FAMILY6, index, now);
}

static __always_inline long short_sweep_bucket(int family, __u32 number, struct short_sweep *s)
{
	void *bucket = flow_bucket_here(family, number);

	if (!bucket)
		return 1;
	for (__u32 n = 0; n < bucket_slots(family); n++) {
		__u32 index = number * bucket_slots(family) + n;
		int done;

		if (!SLUICE_STATE_GET(READ_ONCE(*slot_state(family, bucket_slot(family, bucket, n))), PROTOCOL))
			continue;
		done = family == FAMILY4 ? short_sweep_slot4(index, s->now) : short_sweep_slot6(index, s->now);
		s->marked += done == SHORT_MARKED;
		s->expired += done == SHORT_REMOVED;
		s->over += done == SHORT_OVER;
	}
	return 0;
}

static long short_sweep_bucket4(__u32 number, struct short_sweep *s)
{
	return short_sweep_bucket(FAMILY4, s->first + number, s) || slice_is_over(number, s->until);
}

static long short_sweep_bucket6(__u32 number, struct short_sweep *s)
{
	return short_sweep_bucket(FAMILY6, s->first + number, s) || slice_is_over(number, s->until);
}

/* If the area changes meanwhile, the flows that this sweep has missed are the next one's. */
static __always_inline void short_sweep_some(int family, struct sluice_flow_expire_short *r)
{
	__u32 buckets = buckets_in_use(family, flow_area(family)), left = slice_buckets(r->first, buckets);
	struct short_sweep s = {
		.until = slice_end(r->slice_us),
		.now = clock_sixteenths(),
		.first = r->first,
	};
	long done;

	done = family == FAMILY4 ? bpf_loop(left, short_sweep_bucket4, &s, 0) : bpf_loop(left, short_sweep_bucket6, &s, 0);
	r->first = done > 0 && r->first + done < buckets ? r->first + done : 0;
	r->marked += s.marked;
	r->expired += s.expired;
	r->over += s.over;
	r->now_ticks = clock_ticks();
}

/* While flows are moved to other tables nothing is removed, and marks wait. */
static __always_inline void flow_expire_short_some(struct sluice_flow_expire_short *request)
{
	if (flows_are_moving) {
		request->first = 0;
		request->marked = 1;
		return;
	}
	if (request->family == FAMILY6)
		short_sweep_some(FAMILY6, request);
	else
		short_sweep_some(FAMILY4, request);
}

#endif
