/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Members that don't answer in time. A listener may say how long a member has for the answer to a connection's SYN or
 * INIT (SLUICE_LISTENER_CONNECT). The client's next one after that goes to another member, if there is one.
 *
 * When it came first is noted where handshakes of recorded connections are (`record_handshakes`), which is found by a hash: if
 * another handshake has overwritten it, the connection stays with its member, as without a limit. Only SYNs of such listeners
 * write there; nothing else pays.
 *
 * The first member may answer after all. That answer is of no flow, since its slot is gone, and is reset, so that the member
 * doesn't wait for a client that talks to another one. With dnat it reaches the client, who resets it itself. */
#ifndef SLUICE_BPF_CONNECT_TIME_H
#define SLUICE_BPF_CONNECT_TIME_H

#include "bpf/admit.h"
#include "bpf/flow_state.h"
#include "bpf/handshake.h"
#include "bpf/journey.h"
#include "bpf/record.h"
#include "maps/listener.h"

/* A member's kernel repeats its answer for so long (Linux: tcp_synack_retries 5). */
#define LATE_ANSWER_SECONDS 63

static __always_inline bool connect_time_is_over(int family, const struct tuple *client, __u64 state)
{
	const struct sluice_listener *listener = listener_find(family, client);
	__u32 tenths = listener ? SLUICE_LISTENER_CONNECT(listener->flags) : 0;
	__u32 mark = handshake_mark(state, handshake_name(family, client));
	const struct sluice_record_handshake *h;

	if (!tenths || !(h = handshake_at(mark)) || READ_ONCE(h->mark) != (mark | 1))
		return false;
	return microseconds_now() - READ_ONCE(h->microseconds) >= tenths * 100000U;
}

/* An IPv4 address is folded as its mapped one is: the answer to an IPv6 client's SYN comes as an IPv4 packet
 * (other_version.h), and without a flow it stays one. */
static __always_inline __u32 address_folded(int family, const union sluice_address *address)
{
	const __u32 *words = address->words;

	return family == FAMILY4 ? words[0] ^ MAPPED_WORD : words[0] ^ words[1] ^ words[2] ^ words[3];
}

/* The mark of a member's packets to a connection that went to another one; no member has so high an index. A client's name
 * goes with a listener and a member. This one has to tell members apart, whose last words are often the same, protocols, and
 * the addresses that are answered. */
static __always_inline __u32 late_answer_mark(int family, const struct tuple *of_member)
{
	__u32 theirs = address_folded(family, &of_member->source) + of_member->protocol;
	__u32 ours = address_folded(family, &of_member->destination);

	return handshake_mark(~0ULL, tuple_ports(of_member) ^ theirs * 0x9e3779b1U ^ ours * 0x85ebca6bU);
}

static __always_inline void expect_late_answer(int family, const struct tuple *of_member)
{
	__u32 mark = late_answer_mark(family, of_member);
	struct sluice_record_handshake *h = handshake_at(mark);

	if (!h)
		return;
	WRITE_ONCE(h->microseconds, microseconds_now());
	WRITE_ONCE(h->mark, mark | 1);
}

/* Does the journey's packet, without a flow, answer a SYN that has gone to another member meanwhile? */
__noinline int is_late_answer(int family)
{
	const struct journey *journey = journey_get();
	const struct sluice_record_handshake *h;
	__u32 mark;

	if (!journey || !(journey->packet.signals & SIGNAL_ACCEPTS))
		return false;
	mark = late_answer_mark(family, &journey->packet.tuple);
	h = handshake_at(mark);
	return h && READ_ONCE(h->mark) == (mark | 1) &&
	       microseconds_now() - READ_ONCE(h->microseconds) < LATE_ANSWER_SECONDS * 1000000U;
}

/* Says whether the journey's SYN or INIT, which is of its flow, has to go to another member. */
__noinline int member_is_too_slow(int family)
{
	struct journey *journey = journey_get();
	struct flow *flow;

	if (!journey)
		return false;
	flow = &journey->flow;
	if (!(journey->packet.signals & SIGNAL_OPENS) || sluice_flow_phase(flow->state) != SLUICE_PHASE_OPENING ||
	    !connect_time_is_over(family, &journey->packet.tuple, flow->state))
		return false;
	flow_twin_to(&journey->twin, flow);
	expect_late_answer(family, &journey->twin);
	journey->passed_over = SLUICE_STATE_GET(flow->state, MEMBER);
	return true;
}

#endif
