/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The sweep, in slices: removes idle connections, UDP flows of members that are down, removed or silent, and next hops
 * that no flow names any more. It clears the next hop of flows whose member is given up; their packets then take the
 * slow path, where they are reset. While flows are moved it removes nothing.
 *
 * flow_flush removes a single connection by request. Both run in a process's context, hold no lock of the table and
 * can be interrupted by packets at any place. */
#ifndef SLUICE_BPF_EXPIRE_H
#define SLUICE_BPF_EXPIRE_H

#include "bpf/flow_state.h"
#include "bpf/journey.h"
#include "bpf/next_hop.h"

/* An unused next hop is freed after this time, when no packet that was just taking it can still be under way. */
#define NEXT_HOP_GRACE_SECONDS 10

/* A slice looks at its clock after so many buckets, which take some microseconds, and has no more than the most. */
#define SWEEP_BUCKETS_BETWEEN_LOOKS 32
#define SWEEP_MOST_BUCKETS (1U << 20)

struct sweep {
	__u32 now_ticks;
	__u32 now_jiffies;
	__u32 live;
	__u32 expired;
	__u32 first;   /* the slice's first bucket */
	__u32 turn;    /* the tick of this sweep, not modulo anything */
	__u32 refresh; /* the ticks since the last sweep that told the fleet who is alive; 0: nobody is told */
	__u32 buckets; /* of the table, where it is swept as a whole */
	__u64 until;   /* the slice ends then, in bpf_ktime_get_ns() */
};

/* Removes a reverse slot without a forward one, which an insertion that failed half-way has left. */
static __always_inline void sweep_reverse(int family, const struct tuple *key, const struct flow *reverse,
					  const struct sweep *s)
{
	struct tuple forward_key = flow_twin(reverse);

	if (flow_idle_ticks(reverse->state, s->now_ticks) > clock_ticks_in(SLUICE_TIMEOUT_HALF_OPEN_SECONDS) &&
	    flow_search(family, &forward_key) < 0)
		flow_remove(family, reverse->index, key, reverse->state);
}

/* A stamp is looked at again when it is so old: less than two ticks of age could be mistaken for a packet's that came
 * in the present tick. */
#define SWEEP_LAP_AGE (SLUICE_LAP_TICKS + 2)

static __always_inline __u64 with_age(__u64 state, __u32 now, __u32 age)
{
	return (state & SLUICE_STATE_CLEAR(SEEN)) | SLUICE_STATE_PUT(SEEN, now - age);
}

/* Makes a connection that has gone a lap so much younger, and notes it. The reverse slot comes first: until the other
 * one follows, or a packet comes between, the connection only looks younger than it is. */
static __always_inline void sweep_forward_stamp(int family, const struct tuple *key, const struct flow *forward, __u32 now)
{
	struct tuple twin = flow_twin(forward);
	__s32 index;
	__u64 reverse = flow_find_state(family, &twin, &index);
	__u32 laps = sluice_flow_laps(forward->state, reverse);
	__u32 age = laps ? flow_idle_ticks(forward->state, now) : sluice_flow_silence(forward->state, reverse, now);

	if (!reverse)
		return;
	if (age < SWEEP_LAP_AGE) { /* the member goes on */
		flow_change(family, forward->index, key, forward->state, with_age(forward->state, now, SWEEP_LAP_AGE));
		return;
	}
	age -= SLUICE_LAP_TICKS;
	if (laps < SLUICE_MAX_LAPS &&
	    flow_change(family, index, &twin, reverse,
			with_age(sluice_flow_with_laps(reverse, laps + 1), now, age + SLUICE_LAP_APART)))
		flow_change(family, forward->index, key, forward->state, with_age(forward->state, now, age));
}

/* Takes away laps that no longer count, and keeps the age of one end within what stamps tell while the other goes on.
 * Removes a connection whose laps have become too many, because its listener's idle time is shorter now: the sweep of
 * the forward slot sees its stamp only. Those that end with resets are left to sweep_end(). 1: it did. */
static __always_inline int sweep_reverse_stamp(int family, const struct tuple *key, const struct flow *reverse, __u32 now)
{
	__u32 age = flow_idle_ticks(reverse->state, now);
	struct tuple twin = flow_twin(reverse);
	__s32 index;
	__u64 forward = flow_find_state(family, &twin, &index);
	__u64 next = sluice_flow_with_laps(reverse->state, 0);

	if (!forward)
		return 0;
	if (sluice_flow_laps(forward, reverse->state)) {
		if (idle_time_ends_with_reset(forward) || !flow_is_idle(family, key, forward))
			return 0;
		return family == FAMILY4 ? flow_forget4(index, &twin, forward, key, SLUICE_RECORD_IDLE)
					 : flow_forget6(index, &twin, forward, key, SLUICE_RECORD_IDLE);
	}
	if (age > SWEEP_LAP_AGE && flow_idle_ticks(forward, now) < SWEEP_LAP_AGE) /* the client goes on */
		next = with_age(next, now, SWEEP_LAP_AGE);
	if (next != reverse->state)
		flow_change(family, reverse->index, key, reverse->state, next);
	return 0;
}

static __always_inline int sweep_stamp(int family, __u32 index, __u32 now)
{
	struct flow flow;
	struct tuple key;

	if (!flow_take_any(family, index, &key, &flow))
		return 0;
	if (flow.state & SLUICE_FLOW_TO_CLIENT)
		return sweep_reverse_stamp(family, &key, &flow, now);
	sweep_forward_stamp(family, &key, &flow, now);
	return 0;
}

/* Functions of their own, because few slots need them. */
__noinline int sweep_stamp4(__u32 index, __u32 now)
{
	return sweep_stamp(FAMILY4, index, now);
}

__noinline int sweep_stamp6(__u32 index, __u32 now)
{
	return sweep_stamp(FAMILY6, index, now);
}

/* Looks after a stamp that is about to become older than stamps tell, or has laps. 1: the connection was removed. */
static __always_inline int care_for_stamp(int family, __u32 index, __u64 state, __u32 now)
{
	if (flows_are_moving || (flow_idle_ticks(state, now) < SWEEP_LAP_AGE &&
				!(state & SLUICE_FLOW_TO_CLIENT && sluice_flow_noted_laps(state))))
		return 0;
	return family == FAMILY4 ? sweep_stamp4(index, now) : sweep_stamp6(index, now);
}

static __always_inline void sweep_slot(int family, __u32 index, struct sweep *s)
{
	struct flow flow;
	struct tuple key;

	if (!flow_take_any(family, index, &key, &flow))
		return;
	next_hop_keep(SLUICE_STATE_GET(flow.state, HOP), s->now_jiffies);
	/* One half of the connection may be in the other table. */
	if (flows_are_moving) {
		s->live += !(flow.state & SLUICE_FLOW_TO_CLIENT);
		return;
	}
	if (flow.state & SLUICE_FLOW_TO_CLIENT)
		return sweep_reverse(family, &key, &flow, s);
	if (idle_time_ends_with_reset(flow.state)) { /* see sweep_end() */
		++s->live;
		return;
	}
	if (flow_is_stranded(family, &flow) ? flow_forget(family, &key, &flow, SLUICE_RECORD_DRAINED)
					    : flow_forget_if_idle(family, &key, &flow)) {
		++s->expired;
		return;
	}
	++s->live;
	if (SLUICE_STATE_GET(flow.state, HOP) && flow_is_doomed(&flow))
		flow_replace_state(family, &key, &flow, flow.state & SLUICE_STATE_CLEAR(HOP));
}

static __always_inline void clear_hop(int family, __s32 index, const struct tuple *key, __u64 state)
{
	if (SLUICE_STATE_GET(state, HOP))
		flow_change(family, index, key, state, state & SLUICE_STATE_CLEAR(HOP));
}

/* Ends a TCP connection whose member is given up, or whose idle time, which ends with resets, is over: clears the next
 * hops, so that packets of either end take the slow path, where they are answered with a reset. 1: it was removed. */
static __always_inline int sweep_end(int family, __u32 index, __u32 now)
{
	__u32 allowed, silence, most = clock_ticks_in(SLUICE_MAX_IDLE_SECONDS);
	struct tuple key, twin;
	bool doomed, resets;
	struct flow flow;
	__u64 reverse;
	__s32 other;

	if (!flow_take_any(family, index, &key, &flow) || flow.state & SLUICE_FLOW_TO_CLIENT)
		return 0;
	doomed = flow_is_doomed(&flow);
	resets = idle_time_ends_with_reset(flow.state);
	if (!doomed && !resets)
		return 0;
	twin = flow_twin(&flow);
	reverse = flow_find_state(family, &twin, &other);
	if (resets) {
		allowed = clock_ticks_in(flow_timeout_seconds(flow.state));
		silence = reverse ? sluice_flow_silence(flow.state, reverse, now) : flow_idle_ticks(flow.state, now);
		if (reverse ? silence > allowed + clock_ticks_in(SLUICE_TIMEOUT_OVER_SECONDS)
			    : silence > allowed || silence > most)
			return flow_forget_both(family, &key, &flow, &twin, SLUICE_RECORD_IDLE);
		if (!doomed && silence <= allowed)
			return 0;
	}
	clear_hop(family, flow.index, &key, flow.state);
	if (reverse && (!doomed || member_is_told(flow.state)))
		clear_hop(family, other, &twin, reverse);
	return 0;
}

__noinline int sweep_end4(__u32 index, __u32 now)
{
	return sweep_end(FAMILY4, index, now);
}

__noinline int sweep_end6(__u32 index, __u32 now)
{
	return sweep_end(FAMILY6, index, now);
}

/* Looks after the ends of a connection, given what its slot held. */
static __always_inline void care_for_end(int family, __u32 index, __u64 state, struct sweep *s)
{
	if (flows_are_moving || state & SLUICE_FLOW_TO_CLIENT || SLUICE_STATE_GET(state, PROTOCOL) != SLUICE_FLOW_TCP ||
	    !(idle_time_ends_with_reset(state) || state_is_doomed(state)))
		return;
	if (!(family == FAMILY4 ? sweep_end4(index, s->now_ticks) : sweep_end6(index, s->now_ticks)))
		return;
	++s->expired;
	--s->live;
}

/* Tells the other nodes of the fleet that a connection lives, if it had packets since its last turn. */
static __always_inline int sweep_refresh(int family, __u32 index, __u32 period)
{
	struct tuple key, twin;
	struct flow flow;
	__u32 silence;
	__u64 reverse;
	__s32 other;

	if (!flow_take_any(family, index, &key, &flow))
		return 0;
	twin = flow_twin(&flow);
	reverse = flow_find_state(family, &twin, &other);
	silence = reverse ? sluice_flow_silence(flow.state, reverse, clock_ticks()) : flow_idle_ticks(flow.state, clock_ticks());
	if (silence <= period + 1)
		record_refresh(family, &key, &twin, flow.state, (silence << clock_tick_shift) / clock_hz);
	return 0;
}

__noinline int sweep_refresh4(__u32 index, __u32 period)
{
	return sweep_refresh(FAMILY4, index, period);
}

__noinline int sweep_refresh6(__u32 index, __u32 period)
{
	return sweep_refresh(FAMILY6, index, period);
}

/* A connection has its turn once in each period, which is half of its idle time. Turns are spread evenly over the period,
 * by the slot's place, so that the changes of a sweep don't overrun their ring. */
static __always_inline bool has_turn(__u32 index, __u32 period, const struct sweep *s)
{
	return s->refresh >= period || (s->turn + index * 0x9e3779b1U) % period < s->refresh;
}

static __always_inline void care_for_replicas(int family, __u32 index, __u64 state, const struct sweep *s)
{
	__u32 period;

	if (!s->refresh || state & SLUICE_FLOW_TO_CLIENT || !sluice_flow_is_confirmed(state) ||
	    sluice_flow_is_closed(state) || sluice_flow_is_replica(state))
		return;
	period = (refresh_seconds(confirmed_seconds(state)) * clock_hz) >> clock_tick_shift;
	if (!period)
		period = 1;
	if (!has_turn(index, period, s))
		return;
	if (family == FAMILY4)
		sweep_refresh4(index, period);
	else
		sweep_refresh6(index, period);
}

static __noinline void sweep_slot4(__u32 index, struct sweep *s)
{
	sweep_slot(FAMILY4, index, s);
}

static __noinline void sweep_slot6(__u32 index, struct sweep *s)
{
	sweep_slot(FAMILY6, index, s);
}

static __always_inline long sweep_bucket(int family, __u32 number, struct sweep *s)
{
	void *bucket = flow_bucket(family, number);

	if (!bucket)
		return 1;
	for (__u32 n = 0; n < bucket_slots(family); n++) {
		__u64 *state = slot_state(family, bucket_slot(family, bucket, n));

		if (!SLUICE_STATE_GET(READ_ONCE(*state), PROTOCOL))
			continue;
		if (family == FAMILY4)
			sweep_slot4(number * bucket_slots(family) + n, s);
		else
			sweep_slot6(number * bucket_slots(family) + n, s);
		care_for_end(family, number * bucket_slots(family) + n, READ_ONCE(*state), s);
		s->expired += care_for_stamp(family, number * bucket_slots(family) + n, READ_ONCE(*state), s->now_ticks);
		care_for_replicas(family, number * bucket_slots(family) + n, READ_ONCE(*state), s);
	}
	return 0;
}

/* `until` is in bpf_ktime_get_ns(). */
static __always_inline bool slice_is_over(__u32 number, __u64 until)
{
	return number % SWEEP_BUCKETS_BETWEEN_LOOKS == SWEEP_BUCKETS_BETWEEN_LOOKS - 1 && bpf_ktime_get_ns() >= until;
}

/* When a slice ends that may take so long; 0: as long as it takes. */
static __always_inline __u64 slice_end(__u32 slice_us)
{
	return slice_us ? bpf_ktime_get_ns() + slice_us * 1000ULL : ~0ULL;
}

/* Of so many buckets, those that a slice may have from this one on. */
static __always_inline __u32 slice_buckets(__u32 first, __u32 buckets)
{
	__u32 left = first < buckets ? buckets - first : 0;

	return left > SWEEP_MOST_BUCKETS ? SWEEP_MOST_BUCKETS : left;
}

static long sweep_bucket4(__u32 number, struct sweep *s)
{
	return sweep_bucket(FAMILY4, s->first + number, s) || slice_is_over(number, s->until);
}

static long sweep_bucket6(__u32 number, struct sweep *s)
{
	return sweep_bucket(FAMILY6, s->first + number, s) || slice_is_over(number, s->until);
}

static long sweep_member(__u32 index, struct sweep *s)
{
	const struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &index);
	__u64 hop = known ? member_hop_word(known) : 0;

	if ((__u32)hop == next_hop_generation())
		next_hop_keep(hop >> 32, s->now_jiffies);
	return 0;
}

static long sweep_next_hop(__u32 index, struct sweep *s)
{
	next_hop_free_if_unused(index, s->now_jiffies - NEXT_HOP_GRACE_SECONDS * clock_hz);
	return 0;
}

/* The buckets that may hold flows. */
static __always_inline __u32 buckets_in_use(int family, __u64 area)
{
	__u32 homes = family == FAMILY4 ? flow_homes4 : flow_homes6;
	__u32 shift = SLUICE_AREA_SHIFT(area), old = SLUICE_AREA_OLD_SHIFT(area);

	return SLUICE_FLOW_BUCKETS(sluice_area_homes(homes, shift < old ? shift : old));
}

/* Sweeps buckets until the slice is over. True: those were the table's last ones. */
static __always_inline bool sweep_table(int family, struct sweep *s, struct sluice_flow_sweep *r)
{
	__u64 area = flow_area(family);
	__u32 buckets = buckets_in_use(family, area), left;
	long done;

	if (!r->next)
		r->area = area;
	s->first = r->next;
	left = slice_buckets(r->next, buckets);
	done = family == FAMILY4 ? bpf_loop(left, sweep_bucket4, s, 0) : bpf_loop(left, sweep_bucket6, s, 0);
	/* Flows may have moved to where this sweep has been. */
	if (flow_area(family) != r->area)
		r->missed = 1;
	if (done > 0 && r->next + done < buckets) {
		r->next += done;
		return false;
	}
	r->next = 0;
	return true;
}

/* Notes how many ticks have passed since the last sweep that told the fleet, and that this one does. The first one after
 * telling began tells nothing: a node that was told nothing yet is told everything (flow_walk). */
static __always_inline void sweep_begins_to_tell(struct sweep *s)
{
	__u64 *refreshed = fleet_number(SLUICE_FLEET_REFRESHED), tick = bpf_jiffies64() >> clock_tick_shift;

	if (!refreshed)
		return;
	if (!changes_are_told() || flows_are_moving) {
		WRITE_ONCE(*refreshed, 0);
		return;
	}
	if (*refreshed)
		s->refresh = tick - *refreshed;
	s->turn = tick;
	WRITE_ONCE(*refreshed, tick);
}

static __always_inline void grace_is_over(void)
{
	__u64 *until = fleet_number(SLUICE_FLEET_GRACE_UNTIL), then = until ? READ_ONCE(*until) : 0;

	if (then && then <= bpf_ktime_get_boot_ns())
		__sync_val_compare_and_swap(until, then, 0);
}

static __always_inline void sweep_next_hops(struct sweep *s, __u32 began)
{
	bpf_loop(SLUICE_MAX_MEMBERS, sweep_member, s, 0);
	s->now_jiffies = began;
	bpf_loop(SLUICE_MAX_NEXT_HOPS, sweep_next_hop, s, 0);
}

/* One slice of a walk over both tables and what goes with them. A callback's context must be on the stack;
 * the request is left where it is, because with a copy of it the stack would be deeper than kernel 6.1 permits. */
static __always_inline void flow_sweep_some(struct sluice_flow_sweep *r)
{
	struct sweep s = {
		.now_ticks = clock_ticks(),
		.now_jiffies = clock_jiffies(),
		.turn = r->turn,
		.refresh = r->refresh,
		.until = slice_end(r->slice_us),
	};

	if (r->stage == SLUICE_SWEEP_BEGINS) {
		grace_is_over();
		sweep_begins_to_tell(&s);
		r->turn = s.turn;
		r->refresh = s.refresh;
		r->began = s.now_jiffies;
		r->stage = SLUICE_SWEEP_FLOWS4;
	}
	if (r->stage == SLUICE_SWEEP_FLOWS4) {
		if (sweep_table(FAMILY4, &s, r))
			r->stage = SLUICE_SWEEP_FLOWS6;
	} else if (r->stage == SLUICE_SWEEP_FLOWS6) {
		if (sweep_table(FAMILY6, &s, r))
			r->stage = SLUICE_SWEEP_NEXT_HOPS;
		r->live6 += s.live;
	} else {
		/* Only a sweep that saw every flow knows which next hops are unused. */
		if (!r->missed && !flows_are_moving)
			sweep_next_hops(&s, r->began);
		r->stage = SLUICE_SWEEP_OVER;
	}
	r->hz = clock_hz;
	r->now_ticks = s.now_ticks;
	r->live += s.live;
	r->expired += s.expired;
}

static long sweep_chunk4(__u32 number, struct sweep *s)
{
	__u32 buckets;

	s->first = number * SWEEP_MOST_BUCKETS;
	buckets = slice_buckets(s->first, s->buckets);
	return bpf_loop(buckets, sweep_bucket4, s, 0) != buckets;
}

static long sweep_chunk6(__u32 number, struct sweep *s)
{
	__u32 buckets;

	s->first = number * SWEEP_MOST_BUCKETS;
	buckets = slice_buckets(s->first, s->buckets);
	return bpf_loop(buckets, sweep_bucket6, s, 0) != buckets;
}

/* Sweeps the table as a whole. False: some flows were not seen. */
static __always_inline bool sweep_whole_table(int family, struct sweep *s)
{
	__u64 area = flow_area(family);
	__u32 chunks;

	s->buckets = buckets_in_use(family, area);
	chunks = (s->buckets + SWEEP_MOST_BUCKETS - 1) / SWEEP_MOST_BUCKETS;
	if (family == FAMILY4 ? bpf_loop(chunks, sweep_chunk4, s, 0) != chunks : bpf_loop(chunks, sweep_chunk6, s, 0) != chunks)
		return false;
	return flow_area(family) == area;
}

/* A whole sweep for an older sluiced, which belongs to no fleet. */
static __always_inline void flow_expire_all(struct sluice_flow_expire *result)
{
	struct sweep s = {.now_ticks = clock_ticks(), .now_jiffies = clock_jiffies(), .until = ~0ULL};
	__u32 began = s.now_jiffies, live4;
	bool saw_all = sweep_whole_table(FAMILY4, &s);

	live4 = s.live;
	saw_all = sweep_whole_table(FAMILY6, &s) && saw_all;
	if (saw_all && !flows_are_moving)
		sweep_next_hops(&s, began);
	result->now_ticks = s.now_ticks;
	result->live = s.live;
	result->expired = s.expired;
	result->live6 = s.live - live4;
}

static __always_inline bool flush(int family, const struct sluice_flow_flush *request)
{
	struct flow flow;
	struct tuple key;

	return flow_take_any(family, request->index, &key, &flow) && flow.state == request->state &&
	       !(flow.state & SLUICE_FLOW_TO_CLIENT) && flow_forget(family, &key, &flow, SLUICE_RECORD_FLUSHED);
}

static __always_inline void flow_flush_one(struct sluice_flow_flush *request)
{
	struct sluice_flow_flush r = *request;

	request->now_ticks = clock_ticks();
	/* The index belongs to a table that flows are leaving. */
	if (flows_are_moving)
		return;
	request->flushed = r.family == FAMILY6 ? flush(FAMILY6, &r) : flush(FAMILY4, &r);
}

#endif
