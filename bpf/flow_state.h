/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a connection: what has been seen of it, how long it may be idle, when it makes way, its end. */
#ifndef SLUICE_BPF_FLOW_STATE_H
#define SLUICE_BPF_FLOW_STATE_H

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/flow_table.h"
#include "maps/member.h"

/* Rounds for changing a state that other CPUs change too. */
#define FLOW_STATE_ROUNDS 8

/* Closed by both sides, or reset. Its end was counted when it came to this. */
static __always_inline bool flow_is_closed(__u64 state)
{
	return (state & SLUICE_FLOW_CLOSED) == SLUICE_FLOW_CLOSED;
}

/* Adds what was seen to a forward slot's events. Called only when something new was seen, so packets of established
 * connections never write here. */
static __noinline void flow_note(struct sluice_flow4 *slot, __u64 seen, __u64 state)
{
	for (int i = 0; i < FLOW_STATE_ROUNDS; i++) {
		__u64 next = state | seen;

		if (next == state)
			return;
		if (flow_replace_state(slot, state, next)) {
			if (flow_is_closed(next) && !flow_is_closed(state))
				count_flow_ended(state, state & SLUICE_FLOW_ESTABLISHED);
			return;
		}
		state = READ_ONCE(slot->state) & SLUICE_STATE_FLOW;
		if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT)
			return;
	}
}

static __always_inline __u32 flow_timeout_ticks(__u64 state)
{
	if (flow_is_closed(state))
		return clock_ticks_in(SLUICE_TIMEOUT_CLOSED_SECONDS);
	if (state & SLUICE_FLOW_CLOSED)
		return clock_ticks_in(SLUICE_TIMEOUT_CLOSING_SECONDS);
	if (state & SLUICE_FLOW_ESTABLISHED)
		return clock_ticks_in(SLUICE_TIMEOUT_ESTABLISHED_SECONDS);
	return clock_ticks_in(SLUICE_TIMEOUT_HALF_OPEN_SECONDS);
}

/* The age of the last packet. One that was stamped after `now` was read is not 4 hours old: the top sixteenth of the
 * range counts as the future. */
static __always_inline __u32 flow_idle_ticks(__u64 state, __u32 now)
{
	__u32 ticks = (now - SLUICE_STATE_GET(state, SEEN)) & SLUICE_STATE_SEEN_MASK;

	return ticks > SLUICE_STATE_SEEN_MASK / 16 * 15 ? 0 : ticks;
}

/* Has a connection, given its reverse key and the state of its forward slot, been idle in both directions for longer
 * than that state allows? */
__noinline int flow_is_idle(const struct tuple *reverse_key, __u64 forward_state)
{
	__u32 allowed = flow_timeout_ticks(forward_state), now = clock_ticks();
	struct flow reverse;

	if (!reverse_key || flow_idle_ticks(forward_state, now) <= allowed)
		return false;
	return !flow_find_far(reverse_key, &reverse) || flow_idle_ticks(reverse.state, now) > allowed;
}

/* Takes both slots out. The forward one goes first: a new connection of the same client may only start once
 * the reverse one no longer guards the old port. False: another CPU took it out, or a packet came. */
__noinline int flow_forget(__s32 forward_index, __u64 forward_state, const struct tuple *reverse_key)
{
	const struct sluice_flow4 *reverse;
	__s32 index;

	if (!reverse_key || !flow_remove(forward_index, forward_state))
		return false;
	if (!flow_is_closed(forward_state))
		count_flow_ended(forward_state, forward_state & SLUICE_FLOW_ESTABLISHED);
	index = flow_search(reverse_key);
	reverse = flow_slot(index);
	if (reverse)
		flow_remove(index, READ_ONCE(reverse->state));
	return true;
}

/* The same, if it is idle. */
static __always_inline bool flow_forget_if_idle(const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_is_idle(&reverse_key, forward->state) &&
	       flow_forget(forward->index, forward->state, &reverse_key);
}

/* Does a SYN that meets this forward slot open a new connection (RFC 6191 in spirit)? Yes when the old one is
 * closing, closed or idle for too long, and when it never got an answer from a member that is no longer
 * usable. No when it is a retransmission. */
static __always_inline bool flow_gives_way(const struct flow *forward)
{
	const struct sluice_member *member;
	struct tuple twin;
	__u32 index;

	if (forward->state & SLUICE_FLOW_CLOSED)
		return true;
	if (!(forward->state & SLUICE_FLOW_REPLIED)) {
		index = SLUICE_STATE_GET(forward->state, MEMBER);
		member = bpf_map_lookup_elem(&members, &index);
		if (member && !(member->flags & SLUICE_MEMBER_USABLE))
			return true;
	}
	twin = flow_twin(forward);
	return flow_is_idle(&twin, forward->state);
}

/* Copies a slot whatever its key. False: it holds no flow, or it changed meanwhile. */
static __always_inline bool flow_take_any(__s32 index, struct flow *flow)
{
	struct sluice_flow4 *slot = index >= 0 ? flow_slot(index) : NULL;
	struct tuple key;

	if (!slot)
		return false;
	key = flow_key((const struct sluice_flow4 *)slot);
	return key.protocol && flow_take(slot, index, &key, flow);
}

/* Removes the connection that this slot belongs to if it is over and was not swept yet (nobody sweeps while the
 * controller is dead). True: the slot is free now. */
__noinline int flow_reclaim(__s32 index)
{
	struct tuple forward_key;
	struct flow flow, reverse;

	if (!flow_take_any(index, &flow))
		return false;
	if (flow.state & SLUICE_FLOW_TO_CLIENT) {
		reverse = flow;
		forward_key = flow_twin(&reverse);
		/* A reverse slot without its twin is being inserted right now, unless it is old. */
		if (!flow_find_far(&forward_key, &flow))
			return flow_idle_ticks(reverse.state, clock_ticks()) > 1 &&
			       flow_remove(index, reverse.state);
	}
	return flow_forget_if_idle(&flow);
}

/* Buckets of a full window that are looked through for flows that are over. */
#define FLOW_RECLAIM_BUCKETS 8

/* This flow could not be inserted, for `error`. If what stands in its way is a connection that is over, that goes. */
static __always_inline void flow_make_way(const struct sluice_flow4 *flow, int error)
{
	struct tuple key = flow_key(flow);
	__u32 home = tuple_home(&key);

	if (error == -KERNEL_EEXIST)
		flow_reclaim(flow_search(&key));
	if (error != -KERNEL_ENOSPC)
		return;
	for (__u32 i = 0; i < FLOW_RECLAIM_BUCKETS * SLUICE_BUCKET_SLOTS4; i++) {
		if (flow_reclaim(home * SLUICE_BUCKET_SLOTS4 + i))
			return;
	}
}

#endif
