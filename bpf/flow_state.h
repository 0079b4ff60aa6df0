/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a connection: its phases, its idle times, its eviction, its end. */
#ifndef SLUICE_BPF_FLOW_STATE_H
#define SLUICE_BPF_FLOW_STATE_H

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/flow_table.h"
#include "bpf/journey.h"
#include "bpf/port_reuse.h"
#include "bpf/proxy_pending.h"
#include "bpf/record.h"
#include "maps/listener.h"
#include "maps/member.h"

/* The limit of half-open connections; set before load, see SLUICE_HALF_OPEN_SHARE. */
const volatile __u32 half_open_limit4 = SLUICE_DEFAULT_FLOWS / SLUICE_HALF_OPEN_SHARE;
const volatile __u32 half_open_limit6 = SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE / SLUICE_HALF_OPEN_SHARE;

static __always_inline __u32 half_open_limit(int family)
{
	return family == FAMILY4 ? half_open_limit4 : half_open_limit6;
}

/* The number of tries to change a state that other CPUs change, too. */
#define FLOW_STATE_ROUNDS 8
/* Rounds for taking out the second half of a connection. */
#define FLOW_FORGET_ROUNDS 2

/* A packet's event for its connection. */
enum flow_event {
	EVENT_NONE,
	EVENT_PACKET, /* any other packet, which may refute an end's FIN or reset */
	EVENT_DATA,
	EVENT_ACCEPTS,
	EVENT_ANSWERS, /* UDP: SYN-ACK and ACK together */
	EVENT_ENDS,
	EVENT_ABORTS,
	FLOW_EVENTS
};

/* The phases as the index of a table. */
#define PHASE_INDEX(phase) ((phase) / SLUICE_FLOW_REPLIED)
#define PHASES PHASE_INDEX(SLUICE_PHASE_BITS + SLUICE_FLOW_REPLIED)
#define PHASE(name) PHASE_INDEX(SLUICE_PHASE_##name)
#define STAYS(name) [0 ... FLOW_EVENTS - 1] = PHASE(name)

/* The next phase after each event. Combinations that are not here can't happen.
 *
 * Data of the same end takes back a FIN, because an end that has sent its FIN goes on acknowledging but sends
 * nothing new. Any packet of the same end takes back a reset, because after a real one the end is silent. Once both
 * ends have ended the connection, acknowledgements are still under way; data takes back its end's part. */
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
	[PHASE(REPLICA)] = {STAYS(REPLICA), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
			    [EVENT_ENDS] = PHASE(CLIENT_ENDED), [EVENT_ABORTS] = PHASE(CLIENT_RESET)},
};
static const __u8 after_member[PHASES][FLOW_EVENTS] = {
	/* In an adopted connection the member has accepted before. */
	[PHASE(OPENING)] = {STAYS(OPENING), [EVENT_ACCEPTS] = PHASE(ANSWERED), [EVENT_PACKET] = PHASE(ANSWERED),
			    [EVENT_DATA] = PHASE(ANSWERED), [EVENT_ANSWERS] = PHASE(OPEN),
			    [EVENT_ABORTS] = PHASE(REFUSED)},
	/* It sends data once it has checked that the client hears it (proof.h). */
	[PHASE(ANSWERED)] = {STAYS(ANSWERED), [EVENT_DATA] = PHASE(OPEN), [EVENT_ANSWERS] = PHASE(OPEN),
			     [EVENT_ABORTS] = PHASE(BROKEN_OFF)},
	[PHASE(OPEN)] = {STAYS(OPEN), [EVENT_ENDS] = PHASE(MEMBER_ENDED), [EVENT_ABORTS] = PHASE(MEMBER_RESET)},
	[PHASE(CLIENT_ENDED)] = {STAYS(CLIENT_ENDED), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(MEMBER_ENDED)] = {STAYS(MEMBER_ENDED), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ABORTS] = PHASE(MEMBER_RESET)},
	[PHASE(OVER)] = {STAYS(OVER), [EVENT_DATA] = PHASE(CLIENT_ENDED)},
	[PHASE(CLIENT_RESET)] = {STAYS(CLIENT_RESET), [EVENT_ENDS] = PHASE(OVER), [EVENT_ABORTS] = PHASE(OVER)},
	[PHASE(MEMBER_RESET)] = {STAYS(MEMBER_RESET), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
				 [EVENT_ENDS] = PHASE(MEMBER_ENDED)},
	[PHASE(REFUSED)] = {STAYS(REFUSED), [EVENT_ACCEPTS] = PHASE(ANSWERED)},
	[PHASE(BROKEN_OFF)] = {STAYS(BROKEN_OFF), [EVENT_ACCEPTS] = PHASE(ANSWERED), [EVENT_DATA] = PHASE(OPEN)},
	[PHASE(REPLICA)] = {STAYS(REPLICA), [EVENT_PACKET] = PHASE(OPEN), [EVENT_DATA] = PHASE(OPEN),
			    [EVENT_ANSWERS] = PHASE(OPEN), [EVENT_ENDS] = PHASE(MEMBER_ENDED),
			    [EVENT_ABORTS] = PHASE(MEMBER_RESET)},
};
#pragma clang diagnostic pop

/* Receivers ignore a segment without ACK unless it opens or resets (RFC 9293, 3.10.7.4). */
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

/* Returns a forward slot's state after the event. */
static __always_inline __u64 state_after(__u64 state, __u32 event, bool of_member)
{
	__u32 phase = PHASE_INDEX(sluice_flow_phase(state)) % PHASES;
	__u64 next;

	/* Check and use need the same register. */
	asm volatile("" : "+r"(event));
	if (event >= FLOW_EVENTS)
		return state;
	next = of_member ? after_member[phase][event] : after_client[phase][event];
	return (state & ~SLUICE_PHASE_BITS) | next * SLUICE_FLOW_REPLIED;
}

static __always_inline __u64 flow_look_again_in(int family, const struct tuple *key, __s32 *index)
{
	for (int i = 0; i < 2; i++) {
		void *slot = flow_slot(family, *index);
		__u64 state = slot ? READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW : 0;

		if (slot && SLUICE_STATE_GET(state, PROTOCOL) == key->protocol && slot_has_key(family, slot, key))
			return state & SLUICE_FLOW_TO_CLIENT ? 0 : state;
		*index = flow_search(family, key);
	}
	return 0;
}

__noinline __u64 flow_look_again4(const struct tuple *key, __s32 *index)
{
	return key && index ? flow_look_again_in(FAMILY4, key, index) : 0;
}

__noinline __u64 flow_look_again6(const struct tuple *key, __s32 *index)
{
	return key && index ? flow_look_again_in(FAMILY6, key, index) : 0;
}

/* Looks at a forward flow once more, which another CPU has changed, and finds it if it was moved. Returns its state; 0: it
 * is gone. */
static __always_inline __u64 flow_look_again(int family, const struct tuple *key, __s32 *index)
{
	return family == FAMILY4 ? flow_look_again4(key, index) : flow_look_again6(key, index);
}

/* How a connection has ended that this event of an end has closed. */
static __always_inline __u32 end_by(__u32 event, bool of_member)
{
	if (event != EVENT_ABORTS)
		return SLUICE_RECORD_FINISHED;
	return of_member ? SLUICE_RECORD_MEMBER_RESET : SLUICE_RECORD_CLIENT_RESET;
}

/* Moves a forward slot to its next phase, counts and records. Ordinary packets of established connections never write here.
 * Returns the new state. */
static __always_inline __u64 flow_advance(int family, const struct tuple *key, __s32 index, __u64 state, __u32 event,
					  bool of_member)
{
	for (int i = 0; i < FLOW_STATE_ROUNDS; i++) {
		__u64 next = state_after(state, event, of_member), now;

		if (next == state)
			break;
		count_flow_gains(family, state, next, 1);
		if (flow_change(family, index, key, state, next)) {
			FLOW_PAUSE(counting);
			count_flow_losses(family, state, next);
			record_change(family, key, index, state, next, end_by(event, of_member));
			return next;
		}
		count_flow_gains(family, state, next, -1);
		now = flow_look_again(family, key, &index);
		if (!now)
			break;
		state = now;
	}
	return state;
}

__noinline __u64 flow_advance_by_client4(const struct tuple *key, __s32 index, __u64 state, __u32 event)
{
	return key ? flow_advance(FAMILY4, key, index, state, event, false) : state;
}

__noinline __u64 flow_advance_by_client6(const struct tuple *key, __s32 index, __u64 state, __u32 event)
{
	return key ? flow_advance(FAMILY6, key, index, state, event, false) : state;
}

__noinline __u64 flow_advance_by_member4(const struct tuple *key, __s32 index, __u64 state, __u32 event)
{
	return key ? flow_advance(FAMILY4, key, index, state, event, true) : state;
}

__noinline __u64 flow_advance_by_member6(const struct tuple *key, __s32 index, __u64 state, __u32 event)
{
	return key ? flow_advance(FAMILY6, key, index, state, event, true) : state;
}

/* Says whether a confirmed connection was reset by one end only, so that the reset may be forged. */
static __always_inline bool reset_by_one(__u64 state)
{
	__u64 phase = sluice_flow_phase(state);

	return phase == SLUICE_PHASE_CLIENT_RESET || phase == SLUICE_PHASE_MEMBER_RESET;
}

/* Returns the listener's idle time, or `usual` if that is 0. */
static __always_inline __u32 listener_idle_seconds(__u64 state, __u32 usual)
{
	__u32 listener = listener_of_flow(state);
	const __u32 *own = bpf_map_lookup_elem(&listener_idle, &listener);
	__u32 seconds = own ? SLUICE_IDLE_SECONDS(*own) : 0;

	return seconds ? seconds : usual;
}

/* Says whether the ends of this connection, given its forward slot's state, are reset when its idle time is over. */
static __always_inline bool idle_time_ends_with_reset(__u64 state)
{
	__u32 listener = listener_of_flow(state);
	const __u32 *own = bpf_map_lookup_elem(&listener_idle, &listener);

	return own && *own & SLUICE_IDLE_RESETS && SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_TCP &&
	       sluice_flow_phase(state) == SLUICE_PHASE_OPEN;
}

/* Does the same if the listener's time is shorter, for flows that are closing or were never answered. */
static __always_inline __u32 listener_idle_at_most(__u64 state, __u32 usual)
{
	__u32 own = listener_idle_seconds(state, usual);

	return own < usual ? own : usual;
}

/* Returns the time after which a confirmed connection of this listener and protocol is idle. */
static __always_inline __u32 confirmed_seconds(__u64 state)
{
	return listener_idle_seconds(state, SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_UDP
						    ? SLUICE_TIMEOUT_UDP_REPLIED_SECONDS
						    : SLUICE_TIMEOUT_ESTABLISHED_SECONDS);
}

/* How often the node that carries a connection with this idle time tells the others that it lives. */
static __always_inline __u32 refresh_seconds(__u32 idle_seconds)
{
	return idle_seconds / 2 < SLUICE_REFRESH_SECONDS ? idle_seconds / 2 : SLUICE_REFRESH_SECONDS;
}

static __always_inline __u32 flow_timeout_seconds(__u64 state)
{
	__u32 confirmed = confirmed_seconds(state);

	if (sluice_flow_is_replica(state))
		return confirmed + refresh_seconds(confirmed);
	if (sluice_flow_is_closed(state))
		return reset_by_one(state) ? SLUICE_TIMEOUT_RESET_SECONDS : SLUICE_TIMEOUT_CLOSED_SECONDS;
	if (state & SLUICE_FLOW_CLOSED)
		return listener_idle_at_most(state, SLUICE_TIMEOUT_CLOSING_SECONDS);
	if (SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_UDP)
		return state & SLUICE_FLOW_ESTABLISHED ? confirmed
						       : listener_idle_at_most(state, SLUICE_TIMEOUT_UDP_SECONDS);
	return state & SLUICE_FLOW_ESTABLISHED ? confirmed : SLUICE_TIMEOUT_HALF_OPEN_SECONDS;
}

/* Returns the age of a slot's last packet. */
static __always_inline __u32 flow_idle_ticks(__u64 state, __u32 now)
{
	return sluice_flow_stamp_age(state, now);
}

static __always_inline bool flow_is_idle_in(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	__u32 allowed = clock_ticks_in(flow_timeout_seconds(forward_state)), now = clock_ticks();
	__u32 age = flow_idle_ticks(forward_state, now);
	__u64 reverse;
	__s32 index;

	/* The stamp of a connection that has gone a lap is at least two ticks old. */
	if (age <= allowed && (allowed <= SLUICE_LAP_TICKS || age < 2))
		return false;
	reverse = flow_find_state(family, reverse_key, &index);
	now = clock_ticks(); /* again: what is kept meanwhile takes stack */
	if (reverse)
		return sluice_flow_silence(forward_state, reverse, now) > allowed;
	age = flow_idle_ticks(forward_state, now);
	return age > allowed || age > clock_ticks_in(SLUICE_MAX_IDLE_SECONDS);
}

__noinline int flow_is_idle4(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && flow_is_idle_in(FAMILY4, reverse_key, forward_state);
}

__noinline int flow_is_idle6(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && flow_is_idle_in(FAMILY6, reverse_key, forward_state);
}

/* Says whether a connection, given its reverse key and its forward slot's state, was idle in both directions for
 * longer than that state allows. */
static __always_inline bool flow_is_idle(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	return family == FAMILY4 ? flow_is_idle4(reverse_key, forward_state)
				 : flow_is_idle6(reverse_key, forward_state);
}

static __always_inline bool flow_forget_in(int family, __s32 forward_index, const struct tuple *forward_key,
					   __u64 forward_state, const struct tuple *reverse_key, __u32 end)
{
	void *reverse;
	__s32 index;

	if (!flow_remove(family, forward_index, forward_key, forward_state))
		return false;
	if (!sluice_flow_is_closed(forward_state)) {
		count_flow_ended(family, forward_state);
		record_removal(family, forward_key, reverse_key, forward_state, end);
	}
	proxy_forget_removed(family, forward_key, forward_state);
	/* Once more if it was just moved, or a packet changed it. */
	for (int i = 0; i < FLOW_FORGET_ROUNDS; i++) {
		index = flow_search(family, reverse_key);
		reverse = flow_slot(family, index);
		if (!reverse || flow_remove(family, index, reverse_key, READ_ONCE(*slot_state(family, reverse))))
			break;
	}
	return true;
}

__noinline int flow_forget4(__s32 forward_index, const struct tuple *forward_key, __u64 forward_state,
			    const struct tuple *reverse_key, __u32 end)
{
	return forward_key && reverse_key &&
	       flow_forget_in(FAMILY4, forward_index, forward_key, forward_state, reverse_key, end);
}

__noinline int flow_forget6(__s32 forward_index, const struct tuple *forward_key, __u64 forward_state,
			    const struct tuple *reverse_key, __u32 end)
{
	return forward_key && reverse_key &&
	       flow_forget_in(FAMILY6, forward_index, forward_key, forward_state, reverse_key, end);
}

static __always_inline bool flow_forget_both(int family, const struct tuple *forward_key, const struct flow *forward,
					     const struct tuple *reverse_key, __u32 end)
{
	return family == FAMILY4 ? flow_forget4(forward->index, forward_key, forward->state, reverse_key, end)
				 : flow_forget6(forward->index, forward_key, forward->state, reverse_key, end);
}

/* Removes both slots. The forward one goes first, because a new connection of the same client may only start once
 * the reverse one no longer guards the old port. `end`: how the connection ended, if it was not over (maps/record.h).
 * False: another CPU has removed it, or a packet came. */
static __always_inline bool flow_forget(int family, const struct tuple *key, const struct flow *forward, __u32 end)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_forget_both(family, key, forward, &reverse_key, end);
}

static __always_inline bool flow_forget_if_idle(int family, const struct tuple *key, const struct flow *forward)
{
	struct tuple reverse_key = flow_twin(forward);

	return flow_is_idle(family, &reverse_key, forward->state) &&
	       flow_forget(family, key, forward, SLUICE_RECORD_IDLE);
}

static __always_inline const struct sluice_member *member_of(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&members, &index);
}

/* Says whether the member is gone: it is down, was removed (after which it isn't probed), or its time to drain is
 * over. */
static __always_inline bool member_is_gone(const struct sluice_member *member)
{
	return member->flags & (SLUICE_MEMBER_FAILED | SLUICE_MEMBER_REMOVED | SLUICE_MEMBER_GIVEN_UP);
}

/* Says whether the member was silent for as long as an unanswered UDP flow may live, while its client went on. It is
 * never true of a member that answers directly, whose packets don't pass us. */
static __always_inline bool member_is_silent(int family, const struct tuple *reverse_key, __u64 forward_state)
{
	__u64 reverse;
	__s32 index;

	/* The time is read twice, because the sweep's stack has no room to keep it meanwhile. */
	if (flow_idle_ticks(forward_state, clock_ticks()) > clock_ticks_in(SLUICE_TIMEOUT_UDP_SECONDS))
		return false;
	reverse = flow_find_state(family, reverse_key, &index);
	/* A lap makes the client's stamp younger, too. */
	return reverse && !sluice_flow_laps(forward_state, reverse) &&
	       flow_idle_ticks(reverse, clock_ticks()) > clock_ticks_in(SLUICE_TIMEOUT_UDP_SECONDS);
}

__noinline int member_is_silent4(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && member_is_silent(FAMILY4, reverse_key, forward_state);
}

__noinline int member_is_silent6(const struct tuple *reverse_key, __u64 forward_state)
{
	return reverse_key && member_is_silent(FAMILY6, reverse_key, forward_state);
}

/* Says whether the sweep must remove a UDP session of a gone member. Such sessions never end by themselves, so a
 * client that goes on sending would stay with the member for ever; its next packet then opens a new one. A drained
 * or disabled member isn't probed, so its silence counts instead. */
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

/* Says whether the member of this forward slot's flow is given up, see SLUICE_MEMBER_GIVEN_UP. */
static __always_inline bool state_is_doomed(__u64 forward_state)
{
	const struct sluice_member *member;

	if (SLUICE_STATE_GET(forward_state, PROTOCOL) == SLUICE_FLOW_UDP || sluice_flow_is_closed(forward_state))
		return false;
	member = member_of(forward_state);
	return member && member->flags & SLUICE_MEMBER_GIVEN_UP;
}

static __always_inline bool flow_is_doomed(const struct flow *forward)
{
	return state_is_doomed(forward->state);
}

/* Says whether the member of a doomed flow is to be told, too: it is alive, but its time to drain is over. */
static __always_inline bool member_is_told(__u64 forward_state)
{
	const struct sluice_member *member = member_of(forward_state);

	return SLUICE_STATE_GET(forward_state, PROTOCOL) == SLUICE_FLOW_TCP && member &&
	       !(member->flags & SLUICE_MEMBER_FAILED);
}

/* Says whether whatever comes on the journey's flow, which has no next hop, is answered with a reset: both ends were
 * silent for the idle time of a listener that ends with resets, or its member has had its time to drain. (A client of a
 * member that is given up is reset by flow_is_given_up().) */
__noinline int flow_is_over(int family)
{
	struct journey *journey = journey_get();
	__u64 state, forward;
	__s32 index;

	if (!journey)
		return false;
	state = journey->flow.state;
	flow_twin_to(&journey->twin, &journey->flow);
	if (!(state & SLUICE_FLOW_TO_CLIENT))
		return idle_time_ends_with_reset(state) && flow_is_idle(family, &journey->twin, state);
	forward = family == FAMILY4 ? flow_find_state(FAMILY4, &journey->twin, &index)
				    : flow_find_state(FAMILY6, &journey->twin, &index);
	if (!forward)
		return false;
	if (state_is_doomed(forward))
		return member_is_told(forward);
	return idle_time_ends_with_reset(forward) &&
	       sluice_flow_silence(forward, state, clock_ticks()) > clock_ticks_in(flow_timeout_seconds(forward));
}

/* Says the same for a packet; only flows without a next hop have to look. */
static __always_inline bool flow_is_given_up(const struct flow *flow)
{
	return !SLUICE_STATE_GET(flow->state, HOP) && !(flow->state & SLUICE_FLOW_TO_CLIENT) && flow_is_doomed(flow);
}

/* Says whether a SYN or INIT that meets this forward slot opens a new connection, perhaps with another member (RFC
 * 6191 in spirit). It does if both ends have ended the old one, the member has refused it, or it is given up or idle
 * for too long; if its member is down or removed; and if the member takes no new connections and this one was never
 * established, or the member is silent. Otherwise the member must judge, because the packet may be a retransmission
 * or forged, or one end has ended the old connection and the member knows. */
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

/* Copies a slot without comparing a key, for whoever puts it into another slot: of a flow with a SNAT address in IPv6 it
 * has the addresses of dnat, which a slot holds alike. False: it holds no flow, or it changed meanwhile. */
static __always_inline bool flow_take_raw(int family, __s32 index, struct tuple *key, struct flow *flow)
{
	void *slot = flow_slot(family, index);

	if (!slot)
		return false;
	*key = slot_key(family, slot);
	return key->protocol && flow_take(family, slot, index, key, flow);
}

/* The same, with its addresses. */
static __always_inline bool flow_take_any(int family, __s32 index, struct tuple *key, struct flow *flow)
{
	if (!flow_take_raw(family, index, key, flow))
		return false;
	flow_set_snat(family, flow);
	return true;
}

/* The connections that a new one may evict. */
#define RECLAIM_IDLE 0        /* those that are over and were not swept yet, or that both ends ended some ticks ago */
#define RECLAIM_HALF_OPEN 1   /* also half-open ones: in a flood nearly all are spoofed */
#define RECLAIM_UNCONFIRMED 2 /* also those that were reset before their client confirmed them */
#define RECLAIM_OVER_SHARE 3  /* like half-open ones, but only of listeners that exceed their share */
#define RECLAIM_PORT 4        /* like unconfirmed ones, closed ones, and UDP: see port_rank() */
#define RECLAIM_UNPROVEN 5    /* see unproven_reclaim() */

/* Says whether the flow's listener exceeds its share of half-open connections. */
static __always_inline bool listener_is_over_share(int family, __u64 state)
{
	__u32 index = listener_of_flow(state);
	const __u32 *now = bpf_map_lookup_elem(&listener_half_open, &index);

	return now && (__s32)*now > (__s32)(half_open_limit(family) / SLUICE_LISTENER_HALF_OPEN_SHARE);
}

/* Both ends have ended it, and so long ago that late packets are not likely to come. */
#define CLOSED_TICKS 2

static __always_inline bool makes_way(int family, __u64 forward_state, __u32 which)
{
	bool closed = sluice_flow_is_closed(forward_state);

	if (sluice_flow_is_confirmed(forward_state)) {
		if (which == RECLAIM_UNPROVEN ||
		    (which == RECLAIM_PORT &&
		     (closed || SLUICE_STATE_GET(forward_state, PROTOCOL) == SLUICE_FLOW_UDP)))
			return true;
		return (which == RECLAIM_IDLE || which == RECLAIM_UNCONFIRMED) && closed &&
		       !reset_by_one(forward_state) && flow_idle_ticks(forward_state, clock_ticks()) >= CLOSED_TICKS;
	}
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
		return flow_forget_both(family, &journey->quoted, flow, &journey->twin, SLUICE_RECORD_EVICTED);
	return flow_is_idle(family, &journey->twin, flow->state) &&
	       flow_forget_both(family, &journey->quoted, flow, &journey->twin, SLUICE_RECORD_IDLE);
}

__noinline int flow_reclaim4(__s32 index, __u32 which)
{
	return flow_reclaim_in(FAMILY4, index, which);
}

__noinline int flow_reclaim6(__s32 index, __u32 which)
{
	return flow_reclaim_in(FAMILY6, index, which);
}

/* Evicts the slot's connection if `which` allows it. True: the slot is free now. */
static __always_inline bool flow_reclaim(int family, __s32 index, __u32 which)
{
	return family == FAMILY4 ? flow_reclaim4(index, which) : flow_reclaim6(index, which);
}

/* At most so many slots of a full window are searched for flows that are over. */
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

/* The ranks for evicting the connection that holds a source port toward a member; 0: never. Its idle ticks are
 * added, so the longest idle one of a rank goes first. */
#define PORT_RANK_UNPROVEN 1           /* UDP that was answered: nobody has proven that he hears it */
#define PORT_RANK_CLOSED (1U << 12)    /* times 1 + enum port_suits; it guards the port against its late packets */
#define PORT_RANK_HALF_OPEN (1U << 16) /* the member may still be asking the client */
#define PORT_RANK_OVER (1U << 20)      /* idle for too long, or reset before the client confirmed it */
/* A half-open connection that is younger than this may be an honest one, and one that looks closed may go on: the
 * next packet takes back a forged reset. */
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
	flow_twin_to(&journey->twin, flow);
	/* A slot without its twin is being inserted right now, unless it is old. */
	if (!flow_find_far(family, &journey->twin, flow))
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
	if (SLUICE_STATE_GET(flow->state, PROTOCOL) == SLUICE_FLOW_UDP)
		return PORT_RANK_UNPROVEN + idle;
	if (!sluice_flow_is_closed(flow->state) || reset_by_one(flow->state) || idle < PORT_RANK_TICKS)
		return 0;
	return (1 + (family == FAMILY4 ? port_suits4(&journey->twin) : port_suits6(&journey->twin))) * PORT_RANK_CLOSED + idle;
}

__noinline int port_rank4(__s32 index, __u32 crowded)
{
	return port_rank_in(FAMILY4, index, crowded);
}

__noinline int port_rank6(__s32 index, __u32 crowded)
{
	return port_rank_in(FAMILY6, index, crowded);
}

/* What nobody ever proves: that a client of UDP, or of a member that answers past us, hears what it is answered. */
static __always_inline bool is_unproven_kind(__u32 flow_protocol, bool answers_directly)
{
	return flow_protocol == SLUICE_FLOW_UDP || answers_directly;
}

static __always_inline __u32 connections_of_listener(__u32 index)
{
	const __u32 *active = bpf_map_lookup_elem(&listener_active, &index);
	__s32 now = active ? READ_ONCE(*active) : 0;

	return now > 0 ? now : 0;
}

static __always_inline __u32 flow_capacity(int family)
{
	return family == FAMILY4 ? flow_capacity4 : flow_capacity6;
}

/* Has the listener, whose connections are unproven, as many as it may have? */
static __always_inline bool too_many_unproven(int family, __u32 listener)
{
	return connections_of_listener(listener) >= SLUICE_LISTENER_UNPROVEN_SHARE(flow_capacity(family));
}

/* Whom a new connection may take a place from, if it is unproven: its own listener, and those with more than `floor`
 * connections. */
struct unproven_claim {
	__u32 listener;
	__u32 floor;
};
#define NO_OTHER_LISTENER (~0U)

static __always_inline bool unproven_makes_way(__u64 state, const struct unproven_claim *claim)
{
	__u32 own = listener_of_flow(state);
	const struct sluice_member *member;
	bool answers_directly;

	if (!SLUICE_STATE_GET(state, PROTOCOL))
		return false;
	member = member_of(state);
	answers_directly = member && member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP);
	if (!is_unproven_kind(SLUICE_STATE_GET(state, PROTOCOL), answers_directly))
		return false;
	return own == claim->listener ||
	       (claim->floor != NO_OTHER_LISTENER && connections_of_listener(own) > claim->floor);
}

/* How long a connection has been idle its client's packets say; the other slot is better than none. Of equals the first one:
 * were it the last, flows would gather at the other end of the table by and by. */
static __always_inline void consider_oldest(struct oldest_search *oldest, __s32 index, __u64 state, __u32 now)
{
	__s32 idle = flow_idle_ticks(state, now);

	if (state & SLUICE_FLOW_TO_CLIENT) {
		if (oldest->found < 0)
			oldest->found = index;
		return;
	}
	++oldest->count;
	if (idle > oldest->idle) {
		oldest->idle = idle;
		oldest->found = index;
	}
}

/* The longest idle one of them in a home's window; -1: there is none. The search is bounded to that window, which the new
 * connection has to have a slot of anyway; which windows are crowded nobody can choose.
 *
 * A listener with VIPs of both IP versions counts all its connections together. Its many of one version shall not cost it
 * its few of the other: only where the window has half of what a full share comes to one of its own makes way for its own. */
#define UNPROVEN_SHARE_SLOTS(family) (SLUICE_FLOW_WINDOW * bucket_slots(family) / 9)

static __always_inline __s32 oldest_unproven_in(int family, __u32 home, __u32 listener, __u32 floor)
{
	struct unproven_claim claim = {.listener = listener, .floor = floor};
	struct journey *journey = journey_get();
	struct oldest_search *oldest;
	__u32 now = clock_ticks();

	if (!journey)
		return -1;
	oldest = &journey->oldest;
	*oldest = (struct oldest_search){.found = -1, .idle = -1};
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW * bucket_slots(family); i++) {
		__s32 index = home * bucket_slots(family) + i;
		void *slot = flow_slot_here(family, index);
		__u64 state;

		if (!slot)
			break;
		state = READ_ONCE(*slot_state(family, slot));
		if (unproven_makes_way(state, &claim))
			consider_oldest(oldest, index, state, now);
	}
	return floor == NO_OTHER_LISTENER && oldest->count < UNPROVEN_SHARE_SLOTS(family) ? -1 : oldest->found;
}

__noinline int oldest_unproven4(__u32 home, __u32 listener, __u32 floor)
{
	return oldest_unproven_in(FAMILY4, home, listener, floor);
}

__noinline int oldest_unproven6(__u32 home, __u32 listener, __u32 floor)
{
	return oldest_unproven_in(FAMILY6, home, listener, floor);
}

static __always_inline bool unproven_reclaim(int family, __u32 home, __u32 listener, __u32 floor)
{
	return flow_reclaim(family, family == FAMILY4 ? oldest_unproven4(home, listener, floor)
						      : oldest_unproven6(home, listener, floor),
			    RECLAIM_UNPROVEN);
}

/* Takes the place of an unproven connection: of the same listener, or of one that has more than is its own; if there is none,
 * of any that has more than the new connection's listener, where that one's are unproven, too. */
static __always_inline bool unproven_make_room(int family, __u32 home, __u32 listener, bool unproven)
{
	__u32 floor = unproven ? connections_of_listener(listener) : 0;
	__u32 own = flow_capacity(family) / SLUICE_LISTENER_UNPROVEN_OWN;

	return unproven_reclaim(family, home, listener, floor > own ? floor : own) ||
	       unproven_reclaim(family, home, listener, floor);
}

/* The window of this flow, of this listener, is full. What makes way: a connection that is over; if there is none, one that
 * its client has not confirmed; if there is none, one that nobody can confirm. */
static __always_inline bool flow_make_room(int family, const struct tuple *key, __u32 listener, bool unproven)
{
	__u32 home = flow_home(family, key);

	return window_reclaim(family, home, FLOW_RECLAIM_SLOTS, RECLAIM_IDLE) ||
	       window_reclaim(family, home, SLUICE_FLOW_WINDOW * bucket_slots(family), RECLAIM_UNCONFIRMED) ||
	       unproven_make_room(family, home, listener, unproven);
}

#endif
