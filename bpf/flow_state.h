/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a connection: what has been seen of it, how long it may be idle, when it makes way, its end. */
#ifndef SLUICE_BPF_FLOW_STATE_H
#define SLUICE_BPF_FLOW_STATE_H

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/flow_table.h"
#include "bpf/journey.h"
#include "maps/listener.h"
#include "maps/member.h"

/* Connections that the client has not confirmed; set before load, see SLUICE_HALF_OPEN_SHARE. */
const volatile __u32 half_open_limit4 = SLUICE_DEFAULT_FLOWS / SLUICE_HALF_OPEN_SHARE;
const volatile __u32 half_open_limit6 = SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE / SLUICE_HALF_OPEN_SHARE;

static __always_inline __u32 half_open_limit(int family)
{
	return family == FAMILY4 ? half_open_limit4 : half_open_limit6;
}

/* Rounds for changing a state that other CPUs change too. */
#define FLOW_STATE_ROUNDS 8

/* What a packet of a connection tells about it. */
enum flow_event {
	EVENT_NONE,
	EVENT_PACKET, /* nothing in particular; of an end that has ended or reset the connection, that is much */
	EVENT_DATA,
	EVENT_ACCEPTS,
	EVENT_ANSWERS, /* UDP: what SYN-ACK and ACK are together */
	EVENT_ENDS,
	EVENT_ABORTS,
	FLOW_EVENTS
};

/* The phases as the index of a table. */
#define PHASE_INDEX(phase) ((phase) / SLUICE_FLOW_REPLIED)
#define PHASES PHASE_INDEX(SLUICE_PHASE_BITS + SLUICE_FLOW_REPLIED)
#define PHASE(name) PHASE_INDEX(SLUICE_PHASE_##name)
#define STAYS(name) [0 ... FLOW_EVENTS - 1] = PHASE(name)

/* What comes after each phase. What is not here can't be.
 *
 * A FIN is taken back by data of the same end, because an end that has sent its FIN goes on acknowledging but sends nothing
 * new. A reset is taken back by anything of the same end: after one of its own it is silent. Once both ends have
 * ended it, acknowledgements are still under way; data takes back its end's part. */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Winitializer-overrides"
static const __u8 after_client[PHASES][FLOW_EVENTS] = {
	[PHASE(OPENING)] = {STAYS(OPENING), [EVENT_ABORTS] = PHASE(REFUSED)},
	[PHASE(ANSWERED)] = {STAYS(ANSWERED), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
			     [EVENT_ENDS] = PHASE(CLIENT_ENDED), [EVENT_ABORTS] = PHASE(BROKEN_OFF)},
	[PHASE(OPEN)] = {STAYS(OPEN), [EVENT_ENDS] = PHASE(CLIENT_ENDED), [EVENT_ABORTS] = PHASE(CLIENT_RESET)},
	[PHASE(CLIENT_ENDED)] = {STAYS(CLIENT_ENDED), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ABORTS] = PHASE(CLIENT_RESET)},
	[PHASE(MEMBER_ENDED)] = {STAYS(MEMBER_ENDED), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(OVER)] = {STAYS(OVER), [EVENT_DATA] = PHASE(MEMBER_ENDED)},
	[PHASE(CLIENT_RESET)] = {STAYS(CLIENT_RESET), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ENDS] = PHASE(CLIENT_ENDED)},
	[PHASE(MEMBER_RESET)] = {STAYS(MEMBER_RESET), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(REFUSED)] = {STAYS(REFUSED)},
	[PHASE(BROKEN_OFF)] = {STAYS(BROKEN_OFF), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
			       [EVENT_ENDS] = PHASE(CLIENT_ENDED)},
};
static const __u8 after_member[PHASES][FLOW_EVENTS] = {
	/* In the middle of a connection that was adopted the member has accepted it before. */
	[PHASE(OPENING)] = {STAYS(OPENING), [EVENT_ACCEPTS] = PHASE(ANSWERED), [EVENT_PACKET] = PHASE(ANSWERED),
			    [EVENT_DATA] = PHASE(ANSWERED), [EVENT_ANSWERS] = PHASE(OPEN),
			    [EVENT_ABORTS] = PHASE(REFUSED)},
	[PHASE(ANSWERED)] = {STAYS(ANSWERED), [EVENT_ANSWERS] = PHASE(OPEN), [EVENT_ABORTS] = PHASE(BROKEN_OFF)},
	[PHASE(OPEN)] = {STAYS(OPEN), [EVENT_ENDS] = PHASE(MEMBER_ENDED), [EVENT_ABORTS] = PHASE(MEMBER_RESET)},
	[PHASE(CLIENT_ENDED)] = {STAYS(CLIENT_ENDED), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(MEMBER_ENDED)] = {STAYS(MEMBER_ENDED), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ABORTS] = PHASE(MEMBER_RESET)},
	[PHASE(OVER)] = {STAYS(OVER), [EVENT_DATA] = PHASE(CLIENT_ENDED)},
	[PHASE(CLIENT_RESET)] = {STAYS(CLIENT_RESET), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(MEMBER_RESET)] = {STAYS(MEMBER_RESET), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ENDS] = PHASE(MEMBER_ENDED)},
	[PHASE(REFUSED)] = {STAYS(REFUSED), [EVENT_ACCEPTS] = PHASE(ANSWERED)},
	[PHASE(BROKEN_OFF)] = {STAYS(BROKEN_OFF), [EVENT_ACCEPTS] = PHASE(ANSWERED)},
};
#pragma clang diagnostic pop

/* A segment without ACK is ignored by whoever gets it, unless it opens or resets (RFC 9293, 3.10.7.4). */
static __always_inline __u32 event_of(__u32 signals)
{
	if (signals & SIGNAL_ABORTS)
		return EVENT_ABORTS;
	if (!(signals & SIGNAL_CONFIRMS))
		return signals & SIGNAL_ACCEPTS ? EVENT_ACCEPTS : EVENT_NONE;
	if (signals & SIGNAL_ENDS)
		return EVENT_ENDS;
	if (signals & SIGNAL_ACCEPTS)
		return EVENT_ACCEPTS;
	return signals & SIGNAL_DATA ? EVENT_DATA : EVENT_PACKET;
}

/* A forward slot's state after this. */
static __always_inline __u64 state_after(__u64 state, __u32 event, bool of_member)
{
	__u32 phase = PHASE_INDEX(sluice_flow_phase(state)) % PHASES;
	__u64 next;

	/* One register for check and use. */
	asm volatile("" : "+r"(event));
	if (event >= FLOW_EVENTS)
		return state;
	next = of_member ? after_member[phase][event] : after_client[phase][event];
	return (state & ~SLUICE_PHASE_BITS) | next * SLUICE_FLOW_REPLIED;
}

/* Moves a forward slot to its next phase, and counts. Packets of established connections that have nothing to tell never
 * write here. Returns the state after it. */
static __always_inline __u64 flow_advance(int family, const struct tuple *key, const struct flow *forward, __u32 event,
					  bool of_member)
{
	__s32 index = forward->index;
	void *slot = flow_slot(family, index);
	__u64 state = forward->state;

	if (!slot || !key)
		return state;
	for (int i = 0; i < FLOW_STATE_ROUNDS; i++) {
		__u64 next = state_after(state, event, of_member);

		if (next == state)
			break;
		if (flow_change(family, index, key, state, next)) {
			count_flow_changed(family, state, next);
			return next;
		}
		/* It may have been moved. */
		if (flow_move_phase) {
			index = flow_search(family, key);
			slot = flow_slot(family, index);
			if (!slot)
				break;
		}
		state = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
		if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT)
			break;
	}
	return state;
}

/* A reset of a confirmed connection, of which nobody but one end, or who speaks in its name, has said a word. */
static __always_inline bool reset_by_one(__u64 state)
{
	__u64 phase = sluice_flow_phase(state);

	return phase == SLUICE_PHASE_CLIENT_RESET || phase == SLUICE_PHASE_MEMBER_RESET;
}

/* What the flow's listener says in place of `usual`; 0 is nothing. */
static __always_inline __u32 listener_idle_seconds(__u64 state, __u32 usual)
{
	__u32 listener = SLUICE_STATE_GET(state, LISTENER);
	const __u32 *own = bpf_map_lookup_elem(&listener_idle, &listener);

	return own && *own ? *own : usual;
}

/* The same, where only a shorter time counts: nobody has shown that the flow is worth keeping. */
static __always_inline __u32 listener_idle_at_most(__u64 state, __u32 usual)
{
	__u32 own = listener_idle_seconds(state, usual);

	return own < usual ? own : usual;
}

static __always_inline __u32 flow_timeout_seconds(__u64 state)
{
	if (sluice_flow_is_closed(state))
		return reset_by_one(state) ? SLUICE_TIMEOUT_RESET_SECONDS : SLUICE_TIMEOUT_CLOSED_SECONDS;
	if (state & SLUICE_FLOW_CLOSED)
		return listener_idle_at_most(state, SLUICE_TIMEOUT_CLOSING_SECONDS);
	if (SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_UDP)
		return state & SLUICE_FLOW_ESTABLISHED
			       ? listener_idle_seconds(state, SLUICE_TIMEOUT_UDP_REPLIED_SECONDS)
			       : listener_idle_at_most(state, SLUICE_TIMEOUT_UDP_SECONDS);
	if (state & SLUICE_FLOW_ESTABLISHED)
		return listener_idle_seconds(state, SLUICE_TIMEOUT_ESTABLISHED_SECONDS);
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

static __always_inline bool flow_forget_in(int family, __s32 forward_index, const struct tuple *forward_key,
					   __u64 forward_state, const struct tuple *reverse_key)
{
	void *reverse;
	__s32 index;

	if (!flow_remove(family, forward_index, forward_key, forward_state))
		return false;
	if (!sluice_flow_is_closed(forward_state))
		count_flow_ended(family, forward_state);
	index = flow_search(family, reverse_key);
	reverse = flow_slot(family, index);
	if (reverse)
		flow_remove(family, index, reverse_key, READ_ONCE(*slot_state(family, reverse)));
	return true;
}

__noinline int flow_forget4(__s32 forward_index, const struct tuple *forward_key, __u64 forward_state,
			    const struct tuple *reverse_key)
{
	return forward_key && reverse_key &&
	       flow_forget_in(FAMILY4, forward_index, forward_key, forward_state, reverse_key);
}

__noinline int flow_forget6(__s32 forward_index, const struct tuple *forward_key, __u64 forward_state,
			    const struct tuple *reverse_key)
{
	return forward_key && reverse_key &&
	       flow_forget_in(FAMILY6, forward_index, forward_key, forward_state, reverse_key);
}

static __always_inline bool flow_forget_both(int family, const struct tuple *forward_key, const struct flow *forward,
					     const struct tuple *reverse_key)
{
	return family == FAMILY4 ? flow_forget4(forward->index, forward_key, forward->state, reverse_key)
				 : flow_forget6(forward->index, forward_key, forward->state, reverse_key);
}

/* Takes both slots out. The forward one goes first: a new connection of the same client may only start once
 * the reverse one no longer guards the old port. False: another CPU took it out, or a packet came. */
static __always_inline bool flow_forget(int family, const struct tuple *key, const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_forget_both(family, key, forward, &reverse_key);
}

static __always_inline bool flow_forget_if_idle(int family, const struct tuple *key, const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_is_idle(family, &reverse_key, forward->state) && flow_forget(family, key, forward);
}

static __always_inline const struct sluice_member *member_of(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&members, &index);
}

/* Nobody vouches for the member any more: it is down, or was removed, after which no monitor asks it, or its time to drain
 * is over. */
static __always_inline bool member_is_gone(const struct sluice_member *member)
{
	return member->flags & (SLUICE_MEMBER_FAILED | SLUICE_MEMBER_REMOVED | SLUICE_MEMBER_GIVEN_UP);
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

	if (SLUICE_STATE_GET(forward->state, PROTOCOL) == SLUICE_FLOW_UDP || sluice_flow_is_closed(forward->state))
		return false;
	member = member_of(forward->state);
	return member && member->flags & SLUICE_MEMBER_GIVEN_UP;
}

/* The same, asked for each packet of a connection: only those that lost their next hop have to look. */
static __always_inline bool flow_is_given_up(const struct flow *flow)
{
	return !SLUICE_STATE_GET(flow->state, HOP) && !(flow->state & SLUICE_FLOW_TO_CLIENT) && flow_is_doomed(flow);
}

/* Does a SYN or INIT that meets this forward slot open a new connection, perhaps with another member (RFC 6191 in spirit)?
 * Yes when both ends have ended the old one, when the member refused it, when it is given up or idle for too long; when its
 * member is down or removed; and when the member takes no new connections and this one never got far, or the member is
 * silent. Otherwise the member is to judge: it is a retransmission, or somebody's forgery, or one end has ended the
 * old one and the member knows. */
static __always_inline bool flow_gives_way(int family, const struct flow *forward)
{
	__u64 phase = sluice_flow_phase(forward->state);
	const struct sluice_member *member;
	struct tuple twin;

	if (phase == SLUICE_PHASE_OVER || phase == SLUICE_PHASE_REFUSED || flow_is_given_up(forward))
		return true;
	twin = flow_twin(forward);
	member = member_of(forward->state);
	if (member && !(member->flags & SLUICE_MEMBER_USABLE) &&
	    (!sluice_flow_is_confirmed(forward->state) || member_is_gone(member) ||
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
#define RECLAIM_OVER_SHARE 3  /* like half-open ones, but only those of listeners that have more than their share of them */
#define RECLAIM_PORT 4        /* like unconfirmed ones, and those that were closed: see port_rank() */
#define RECLAIM_UNPROVEN 5    /* see oldest_unproven() */

/* Has the listener of this flow more half-open connections than are its own? */
static __always_inline bool listener_is_over_share(int family, __u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, LISTENER);
	const __u32 *now = bpf_map_lookup_elem(&listener_half_open, &index);

	return now && (__s32)*now > (__s32)(half_open_limit(family) / SLUICE_LISTENER_HALF_OPEN_SHARE);
}

static __always_inline bool makes_way(int family, __u64 forward_state, __u32 which)
{
	bool closed = sluice_flow_is_closed(forward_state);

	if (sluice_flow_is_confirmed(forward_state))
		return which == RECLAIM_UNPROVEN || (which == RECLAIM_PORT && closed);
	switch (which) {
	case RECLAIM_HALF_OPEN:
		return !closed;
	case RECLAIM_OVER_SHARE:
		return !closed && listener_is_over_share(family, forward_state);
	default:
		return which != RECLAIM_IDLE;
	}
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
	flow_twin_to(&journey->twin, flow);
	if (state & SLUICE_FLOW_TO_CLIENT) {
		/* A reverse slot without its twin is being inserted right now, unless it is old. */
		if (!flow_find_far(family, &journey->twin, flow))
			return flow_idle_ticks(state, clock_ticks()) > 1 &&
			       flow_remove(family, index, &journey->quoted, state);
		journey->quoted = journey->twin;
		flow_twin_to(&journey->twin, flow);
	}
	if (makes_way(family, flow->state, which))
		return flow_forget_both(family, &journey->quoted, flow, &journey->twin);
	return flow_is_idle(family, &journey->twin, flow->state) &&
	       flow_forget_both(family, &journey->quoted, flow, &journey->twin);
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

/* How readily the connection that holds a source port toward a member makes way for another one there. 0: not at all. To
 * the rank of a connection its idle ticks are added, so the longest idle one of a rank goes first. */
#define PORT_RANK_CLOSED (1U << 12)    /* it guards the port against its late packets: two minutes are better than one */
#define PORT_RANK_HALF_OPEN (1U << 16) /* the member may still be asking the client */
#define PORT_RANK_OVER (1U << 20)      /* idle for too long, or reset before the client confirmed it */
/* A half-open connection that is younger than this may be an honest one, one that looks closed may not be: a reset that
 * nobody believed is taken back by the next packet. */
#define PORT_RANK_TICKS 2

/* `crowded`: the member has more half-open connections than their share of its ports. */
static __always_inline __u32 port_rank_in(int family, __s32 index, bool crowded)
{
	__u32 now = clock_ticks(), idle, reverse_idle;
	struct journey *journey = journey_get();
	struct flow *flow;

	if (!journey || !flow_take_any(family, index, &journey->quoted, &journey->flow))
		return 0;
	flow = &journey->flow;
	if (!(flow->state & SLUICE_FLOW_TO_CLIENT))
		return 0;
	reverse_idle = flow_idle_ticks(flow->state, now);
	flow_twin_to(&journey->quoted, flow);
	/* Without its twin it is being inserted right now, unless it is old. */
	if (!flow_find_far(family, &journey->quoted, flow))
		return reverse_idle >= PORT_RANK_TICKS ? PORT_RANK_OVER : 0;
	flow_twin_to(&journey->quoted, flow);
	if (sluice_flow_is_closed(flow->state) && !sluice_flow_is_confirmed(flow->state))
		return PORT_RANK_OVER;
	if (flow_is_idle(family, &journey->quoted, flow->state))
		return PORT_RANK_OVER;
	idle = flow_idle_ticks(flow->state, now);
	if (idle > reverse_idle)
		idle = reverse_idle;
	if (!sluice_flow_is_confirmed(flow->state))
		return crowded || idle >= PORT_RANK_TICKS ? PORT_RANK_HALF_OPEN + idle : 0;
	return sluice_flow_is_closed(flow->state) && !reset_by_one(flow->state) && idle >= PORT_RANK_TICKS
		       ? PORT_RANK_CLOSED + idle
		       : 0;
}

__noinline int port_rank4(__s32 index, __u32 crowded)
{
	return port_rank_in(FAMILY4, index, crowded);
}

__noinline int port_rank6(__s32 index, __u32 crowded)
{
	return port_rank_in(FAMILY6, index, crowded);
}

/* What nobody ever proves: that a client of UDP, or of a member that answers past us, hears what it is answered. Such a
 * connection makes way for one of the same listener, or of anybody if its listener has more than a share of the table. */
#define UNPROVEN_SHARE 4 /* a quarter */

static __always_inline bool flow_is_unproven(int family, __u64 state, __u32 listener)
{
	__u32 own = SLUICE_STATE_GET(state, LISTENER);
	const struct sluice_member *member;
	const __u32 *active;

	if (!SLUICE_STATE_GET(state, PROTOCOL) || state & SLUICE_FLOW_TO_CLIENT)
		return false;
	if (SLUICE_STATE_GET(state, PROTOCOL) != SLUICE_FLOW_UDP) {
		member = member_of(state);
		if (!member || !(member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP)))
			return false;
	}
	if (own == listener)
		return true;
	active = bpf_map_lookup_elem(&listener_active, &own);
	return active && *active > (family == FAMILY4 ? flow_capacity4 : flow_capacity6) / UNPROVEN_SHARE;
}

/* The longest idle one of them in a home's window; -1: there is none. */
static __always_inline __s32 oldest_unproven_in(int family, __u32 home, __u32 listener)
{
	__u32 now = clock_ticks(), oldest = 0;
	__s32 found = -1;

	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW * bucket_slots(family); i++) {
		__s32 index = home * bucket_slots(family) + i;
		void *slot = flow_slot_here(family, index);
		__u64 state;

		if (!slot)
			break;
		state = READ_ONCE(*slot_state(family, slot));
		if (flow_is_unproven(family, state, listener) && flow_idle_ticks(state, now) >= oldest) {
			oldest = flow_idle_ticks(state, now);
			found = index;
		}
	}
	return found;
}

__noinline int oldest_unproven4(__u32 home, __u32 listener)
{
	return oldest_unproven_in(FAMILY4, home, listener);
}

__noinline int oldest_unproven6(__u32 home, __u32 listener)
{
	return oldest_unproven_in(FAMILY6, home, listener);
}

/* The window of this flow, of this listener, is full. What makes way: a connection that is over; if there is none, one that
 * its client has not confirmed; if there is none, one that nobody can confirm. */
static __always_inline bool flow_make_room(int family, const struct tuple *key, __u32 listener)
{
	__u32 home = tuple_home(family, key);

	return window_reclaim(family, home, FLOW_RECLAIM_SLOTS, RECLAIM_IDLE) ||
	       window_reclaim(family, home, SLUICE_FLOW_WINDOW * bucket_slots(family), RECLAIM_UNCONFIRMED) ||
	       flow_reclaim(family, family == FAMILY4 ? oldest_unproven4(home, listener) : oldest_unproven6(home, listener),
			    RECLAIM_UNPROVEN);
}

#endif
