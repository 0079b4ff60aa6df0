/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a connection: what has been seen of it, how long it may be idle, when it makes way, its end. */
#ifndef SLUICE_BPF_FLOW_STATE_H
#define SLUICE_BPF_FLOW_STATE_H

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/flow_table.h"
#include "bpf/journey.h"
#include "maps/member.h"

/* Rounds for changing a state that other CPUs change too. */
#define FLOW_STATE_ROUNDS 8

/* Closed by both sides, or reset. Its end was counted when it came to this. */
static __always_inline bool flow_is_closed(__u64 state)
{
	return (state & SLUICE_FLOW_CLOSED) == SLUICE_FLOW_CLOSED;
}

/* Adds what was seen to a forward slot's events. Called only when something new was seen, so packets of established
 * connections never write here. A closed connection has ended and is counted no more. */
static __always_inline void flow_note(int family, const struct flow *forward, __u64 seen)
{
	void *slot = flow_slot(family, forward->index);
	__u64 state = forward->state;

	if (!slot)
		return;
	for (int i = 0; i < FLOW_STATE_ROUNDS; i++) {
		__u64 next = state | seen;

		if (next == state)
			return;
		if (flow_is_closed(state))
			next &= ~SLUICE_FLOW_ESTABLISHED | state;
		if (flow_swap(family, forward->index, state, next)) {
			if (flow_is_closed(next) && !flow_is_closed(state))
				count_flow_ended(family, state);
			else if (next & ~state & SLUICE_FLOW_ESTABLISHED)
				count_half_open(family, -1);
			return;
		}
		state = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
		if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT)
			return;
	}
}

static __always_inline __u32 flow_timeout_seconds(__u64 state)
{
	if (flow_is_closed(state))
		return SLUICE_TIMEOUT_CLOSED_SECONDS;
	if (state & SLUICE_FLOW_CLOSED)
		return SLUICE_TIMEOUT_CLOSING_SECONDS;
	if (SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_UDP)
		return state & SLUICE_FLOW_REPLIED ? SLUICE_TIMEOUT_UDP_REPLIED_SECONDS : SLUICE_TIMEOUT_UDP_SECONDS;
	if (state & SLUICE_FLOW_ESTABLISHED)
		return SLUICE_TIMEOUT_ESTABLISHED_SECONDS;
	return SLUICE_TIMEOUT_HALF_OPEN_SECONDS;
}

/* The age of the last packet. One that was stamped after `now` was read is not 4 hours old: the top sixteenth of the
 * range counts as the future. */
static __always_inline __u32 flow_idle_ticks(__u64 state, __u32 now)
{
	__u32 ticks = (now - SLUICE_STATE_GET(state, SEEN)) & SLUICE_STATE_SEEN_MASK;

	return ticks > SLUICE_STATE_SEEN_MASK / 16 * 15 ? 0 : ticks;
}

static __always_inline bool flow_is_idle_in(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	__u32 allowed = clock_ticks_in(flow_timeout_seconds(forward_state)), now = clock_ticks();
	struct flow reverse;

	if (flow_idle_ticks(forward_state, now) <= allowed)
		return false;
	return !flow_find_far(family, reverse_key, &reverse) || flow_idle_ticks(reverse.state, now) > allowed;
}

__noinline int flow_is_idle4(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && flow_is_idle_in(FAMILY4, reverse_key, forward_state);
}

__noinline int flow_is_idle6(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && flow_is_idle_in(FAMILY6, reverse_key, forward_state);
}

/* Has a connection, given its reverse key and the state of its forward slot, been idle in both directions for longer
 * than that state allows? */
static __always_inline bool flow_is_idle(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	return family == FAMILY4 ? flow_is_idle4(reverse_key, forward_state)
				 : flow_is_idle6(reverse_key, forward_state);
}

static __always_inline bool flow_forget_in(int family, __s32 forward_index, __u64 forward_state,
					   const struct tuple *reverse_key)
{
	void *reverse;
	__s32 index;
	__u64 state;

	if (!flow_remove(family, forward_index, forward_state))
		return false;
	if (!flow_is_closed(forward_state))
		count_flow_ended(family, forward_state);
	index = flow_search(family, reverse_key);
	reverse = flow_slot(family, index);
	if (!reverse)
		return true;
	/* Without its twin it may have been swept since, and the slot given to somebody else. */
	state = READ_ONCE(*slot_state(family, reverse));
	if (!slot_difference(family, reverse, reverse_key))
		flow_remove(family, index, state);
	return true;
}

__noinline int flow_forget4(__s32 forward_index, __u64 forward_state, const struct tuple *reverse_key)
{
	return reverse_key && flow_forget_in(FAMILY4, forward_index, forward_state, reverse_key);
}

__noinline int flow_forget6(__s32 forward_index, __u64 forward_state, const struct tuple *reverse_key)
{
	return reverse_key && flow_forget_in(FAMILY6, forward_index, forward_state, reverse_key);
}

static __always_inline bool flow_forget_both(int family, const struct flow *forward, const struct tuple *reverse_key)
{
	return family == FAMILY4 ? flow_forget4(forward->index, forward->state, reverse_key)
				 : flow_forget6(forward->index, forward->state, reverse_key);
}

/* Takes both slots out. The forward one goes first: a new connection of the same client may only start once
 * the reverse one no longer guards the old port. False: another CPU took it out, or a packet came. */
static __always_inline bool flow_forget(int family, const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_forget_both(family, forward, &reverse_key);
}

static __always_inline bool flow_forget_if_idle(int family, const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_is_idle(family, &reverse_key, forward->state) && flow_forget(family, forward);
}

static __always_inline const struct sluice_member *member_of(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&members, &index);
}

/* Nobody vouches for the member any more: it is down, or was removed, after which no monitor asks it. */
static __always_inline bool member_is_gone(const struct sluice_member *member)
{
	return member->flags & (SLUICE_MEMBER_FAILED | SLUICE_MEMBER_REMOVED);
}

/* Has the member been silent for as long as the sweep lets an unanswered UDP flow be, while its client went on? Never true
 * of a member that answers directly, whose packets are not seen. */
static __always_inline bool member_is_silent(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	__u32 allowed = clock_ticks_in(SLUICE_TIMEOUT_UDP_SECONDS), now = clock_ticks();
	struct flow reverse;

	return flow_idle_ticks(forward_state, now) <= allowed && flow_find_far(family, reverse_key, &reverse) &&
	       flow_idle_ticks(reverse.state, now) > allowed;
}

__noinline int member_is_silent4(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && member_is_silent(FAMILY4, reverse_key, forward_state);
}

__noinline int member_is_silent6(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && member_is_silent(FAMILY6, reverse_key, forward_state);
}

/* UDP sessions never end by themselves, so that a client that goes on sending would stay with a dead member for ever:
 * the sweep takes them out, and the client's next packet makes a new one. A member that is drained or disabled is not
 * asked by any monitor; there it counts that it does not answer. */
static __always_inline bool flow_is_stranded(int family, const struct flow *forward)
{
	const struct sluice_member *member;
	struct tuple twin;

	if (SLUICE_STATE_GET(forward->state, PROTOCOL) != SLUICE_FLOW_UDP)
		return false;
	member = member_of(forward->state);
	if (!member || member_is_gone(member))
		return member;
	if (member->flags & SLUICE_MEMBER_USABLE)
		return false;
	twin = flow_twin(forward);
	return family == FAMILY4 ? member_is_silent4(&twin, forward->state) : member_is_silent6(&twin, forward->state);
}

/* A connection to a member that its pool gives up, see SLUICE_MEMBER_GIVEN_UP. */
static __always_inline bool flow_is_doomed(const struct flow *forward)
{
	const struct sluice_member *member;

	if (SLUICE_STATE_GET(forward->state, PROTOCOL) == SLUICE_FLOW_UDP || flow_is_closed(forward->state))
		return false;
	member = member_of(forward->state);
	return member && member->flags & SLUICE_MEMBER_GIVEN_UP;
}

/* The same, asked for each packet of a connection: only those that lost their next hop have to look. */
static __always_inline bool flow_is_given_up(const struct flow *flow)
{
	return !SLUICE_STATE_GET(flow->state, HOP) && !(flow->state & SLUICE_FLOW_TO_CLIENT) && flow_is_doomed(flow);
}

/* Does a SYN or INIT that meets this forward slot open a new connection (RFC 6191 in spirit)? Yes when the old one is
 * closing, closed, given up or idle for too long; when its member is down or removed; and when the member takes no new
 * connections and this one never got far, or the member is silent. No when it is a retransmission. */
static __always_inline bool flow_gives_way(int family, const struct flow *forward)
{
	const struct sluice_member *member;
	struct tuple twin;

	if (forward->state & SLUICE_FLOW_CLOSED || flow_is_given_up(forward))
		return true;
	twin = flow_twin(forward);
	member = member_of(forward->state);
	if (member && !(member->flags & SLUICE_MEMBER_USABLE) &&
	    (!(forward->state & SLUICE_FLOW_ESTABLISHED) || member_is_gone(member) ||
	     (family == FAMILY4 ? member_is_silent4(&twin, forward->state) : member_is_silent6(&twin, forward->state))))
		return true;
	return flow_is_idle(family, &twin, forward->state);
}

/* Copies a slot whatever its key. False: it holds no flow, or it changed meanwhile. */
static __always_inline bool flow_take_any(int family, __s32 index, struct tuple *key, struct flow *flow)
{
	void *slot = flow_slot(family, index);

	if (!slot)
		return false;
	*key = slot_key(family, slot);
	return key->protocol && flow_take(family, slot, index, key, flow);
}

/* Which connections make way for a new one. */
#define RECLAIM_IDLE 0        /* those that are over and were not swept yet (nobody sweeps while the controller is dead) */
#define RECLAIM_HALF_OPEN 1   /* and those that wait for their client: in a flood nearly all are spoofed */
#define RECLAIM_UNCONFIRMED 2 /* and those that were closed before their client confirmed them */

static __always_inline bool is_unconfirmed(__u64 forward_state, __u32 which)
{
	return !(forward_state & SLUICE_FLOW_ESTABLISHED) &&
	       (which == RECLAIM_UNCONFIRMED || (which == RECLAIM_HALF_OPEN && !flow_is_closed(forward_state)));
}

static __always_inline bool flow_reclaim_in(int family, __s32 index, __u32 which)
{
	struct journey *journey = journey_get();
	struct flow *flow;
	__u64 state;

	if (!journey || !flow_take_any(family, index, &journey->quoted, &journey->flow))
		return false;
	flow = &journey->flow;
	state = flow->state;
	if (state & SLUICE_FLOW_TO_CLIENT) {
		flow_twin_to(&journey->quoted, flow);
		/* A reverse slot without its twin is being inserted right now, unless it is old. */
		if (!flow_find_far(family, &journey->quoted, flow))
			return flow_idle_ticks(state, clock_ticks()) > 1 && flow_remove(family, index, state);
	}
	flow_twin_to(&journey->quoted, flow);
	if (is_unconfirmed(flow->state, which))
		return flow_forget_both(family, flow, &journey->quoted);
	return flow_is_idle(family, &journey->quoted, flow->state) &&
	       flow_forget_both(family, flow, &journey->quoted);
}

__noinline int flow_reclaim4(__s32 index, __u32 which)
{
	return flow_reclaim_in(FAMILY4, index, which);
}

__noinline int flow_reclaim6(__s32 index, __u32 which)
{
	return flow_reclaim_in(FAMILY6, index, which);
}

/* Removes the connection that this slot belongs to if it makes way. True: the slot is free now. */
static __always_inline bool flow_reclaim(int family, __s32 index, __u32 which)
{
	return family == FAMILY4 ? flow_reclaim4(index, which) : flow_reclaim6(index, which);
}

/* Slots of a full window that are looked through for flows that are over. */
#define FLOW_RECLAIM_SLOTS 16

/* Frees one slot of this home's window. */
static __always_inline bool window_reclaim(int family, __u32 home, __u32 slots, __u32 which)
{
	for (__u32 i = 0; i < slots; i++) {
		if (flow_reclaim(family, home * bucket_slots(family) + i, which))
			return true;
	}
	return false;
}

/* This flow could not be inserted, for `error`. If what stands in its way is a connection that is over, that goes; if
 * that is not enough, one that its client has not confirmed. */
static __always_inline void flow_make_way(int family, const struct tuple *key, int error)
{
	__u32 home = tuple_home(family, key);

	if (error == -KERNEL_EEXIST)
		flow_reclaim(family, flow_search(family, key), RECLAIM_IDLE);
	if (error != -KERNEL_ENOSPC)
		return;
	if (!window_reclaim(family, home, FLOW_RECLAIM_SLOTS, RECLAIM_IDLE))
		window_reclaim(family, home, SLUICE_FLOW_WINDOW * bucket_slots(family), RECLAIM_UNCONFIRMED);
}

#endif
