/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* SYN authentication: of a crowded listener, only who hears the answer to his SYN gets a connection.
 *
 * Problem. Spoofed SYNs share the half-open room with honest ones. They evict each other, so at a high rate an honest
 * client's connection is gone before its ACK comes, and each SYN costs a member and two slots.
 *
 * Formulation. While more than half of the listener's share is taken, a SYN is answered without remembering it, by a
 * SYN-ACK that acknowledges a wrong number: the client's own less 1 to 2^15, by a keyed hash of addresses, ports and a
 * slow clock. A client that has sent the SYN answers that with a reset of this very number (RFC 9293, 3.10.7.3), and
 * sends its SYN again: Linux after two jiffies, others after a second. The reset's number is kept where a connection's
 * own proof will be (proof.h): a word found by the tuple's hash, which is overwritten sooner or later. The SYN whose
 * number fits it takes the usual way.
 *
 * Why below the client's number: a firewall on the way takes an acknowledgement of what was not sent for invalid and
 * drops it, but one that lags behind, within the window, is let through. So the answer has a large window, too, within
 * which the reset is found to be. It works in all modes, needs no state and no translation of numbers: the
 * connection's own handshake is the member's.
 *
 * What it proves: that somebody at the address answers, not that he asked, because any live host resets what it has
 * not asked for. So one address may have only SLUICE_SOURCE_HALF_OPEN such connections half-open. A pair of a forged
 * reset and a forged SYN gets through once in 2^15.
 *
 * It is no reflector: one answer for a SYN, not longer than that, and never for anything else; none to sources that are
 * martian (packet_without_flow()); not more than so many to a network, and in all. */
#ifndef SLUICE_BPF_AUTHENTICATE_H
#define SLUICE_BPF_AUTHENTICATE_H

#include <linux/in.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/admit.h"
#include "bpf/answer.h"
#include "bpf/balance.h"
#include "bpf/clock.h"
#include "bpf/flow_state.h"
#include "bpf/journey.h"
#include "bpf/proof.h"
#include "bpf/siphash.h"
#include "maps/half_open.h"
#include "maps/listener.h"
#include "maps/reasons.h"
#include "maps/syn_answers.h"

#define SYN_CLOCK_SECONDS 64 /* an answer is valid for one period of this clock at least, and two at most */

/* At most so many answers leave per second and CPU: in all, and to one network (IPv4: /24, IPv6: /48). Networks share
 * counters, as many as there are. */
#define SYN_ANSWERS_PER_SECOND 1000000U
#define SYN_ANSWERS_PER_NETWORK 1000U

static __always_inline bool may_answer_syn(__u32 which, __u32 time, __u32 most)
{
	struct sluice_syn_answers *answers = bpf_map_lookup_elem(&syn_answers, &which);

	if (!answers)
		return false;
	if (answers->time != time)
		*answers = (struct sluice_syn_answers){.time = time};
	return answers->sent++ < most;
}

static __always_inline bool may_answer_source(int family, const union sluice_address *source)
{
	__u64 network = family == FAMILY4 ? source->ipv4 & bpf_htonl(0xffffff00)
					  : source->halves[0] & bpf_cpu_to_be64(0xffffffffffff0000ULL);
	__u32 which = 1 + (mix(network ^ flow_hash_seed) >> 32) % SLUICE_SYN_ANSWER_NETWORKS, now = clock_jiffies();

	return may_answer_syn(which, now / clock_hz, SYN_ANSWERS_PER_NETWORK) &&
	       may_answer_syn(0, now, SYN_ANSWERS_PER_SECOND / clock_hz + 1);
}

/* Says whether this listener's SYNs have to be authenticated now. */
static __always_inline bool authenticates(int family, const struct sluice_listener *listener)
{
	__u32 index = listener->index;

	if (!(listener->flags & (SLUICE_LISTENER_AUTHENTICATES | SLUICE_LISTENER_AUTHENTICATES_ALWAYS)))
		return false;
	return listener->flags & SLUICE_LISTENER_AUTHENTICATES_ALWAYS ||
	       count_now(bpf_map_lookup_elem(&listener_half_open, &index)) >
		       (__s32)(half_open_limit(family) / SLUICE_LISTENER_HALF_OPEN_SHARE / 2);
}

static __always_inline __u32 syn_clock(void)
{
	return bpf_jiffies64() / clock_hz / SYN_CLOCK_SECONDS;
}

/* How far the answer to this client's SYN lags behind its number, at this time. */
static __always_inline __u32 syn_lag(const struct tuple *client, __u32 time)
{
	__u32 zero = 0;
	struct sip_state v = sip_begin(bpf_map_lookup_elem(&hash_key, &zero));

	/* Each data plane answers for itself, so it need not be the other ones' key. */
	v.a ^= flow_hash_seed;
	sip_take(&v, client->source.halves[0]);
	sip_take(&v, client->source.halves[1]);
	sip_take(&v, client->destination.halves[0]);
	sip_take(&v, client->destination.halves[1]);
	sip_take(&v, (__u64)time << 32 | tuple_ports(client));
	return 1 + (sip_end(&v) & 0x7fff);
}

/* Says whether the client has reset the answer to its SYN, whose number this is. */
static __always_inline bool shows_answer(int family, const struct tuple *client, __u32 number)
{
	const __u32 *told = proof_of(family, client);
	__u32 lag = told ? number - READ_ONCE(*told) : 0, time = syn_clock();

	return lag && (lag == syn_lag(client, time) || lag == syn_lag(client, time - 1));
}

static __always_inline __u32 source_period(void)
{
	return bpf_jiffies64() / clock_hz / SLUICE_SOURCE_PERIOD_SECONDS;
}

/* Counts a connection of this address that is authenticated, but not confirmed. False: it has too many. */
static __always_inline bool source_may_open(int family, const struct tuple *client)
{
	struct sluice_source key = {.address = client->source, .family = family};
	struct sluice_proven_source *known = bpf_map_lookup_elem(&proven_sources, &key);
	struct sluice_proven_source fresh = {.period = source_period(), .now = 1};

	if (known && known->period == fresh.period) {
		if (known->now + known->before >= SLUICE_SOURCE_HALF_OPEN)
			return false;
		__sync_fetch_and_add(&known->now, 1);
		return true;
	}
	if (known && known->period + 1 == fresh.period)
		fresh.before = known->now;
	if (fresh.before >= SLUICE_SOURCE_HALF_OPEN)
		return false;
	bpf_map_update_elem(&proven_sources, &key, &fresh, BPF_ANY);
	return true;
}

/* Decides on a SYN or reset for a listener that authenticates. UNDECIDED: the SYN may open a connection. */
static __always_inline int authenticate(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	const struct sluice_listener *listener;
	const struct tcphdr *tcp;
	const struct packet *p;
	__u32 *told;

	if (!journey)
		return SLUICE_REASON_NO_FLOW;
	p = &journey->packet;
	tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	if (!tcp)
		return SLUICE_REASON_MALFORMED_TCP;
	if (p->signals & SIGNAL_ABORTS) {
		told = proof_of(family, &p->tuple);
		if (told)
			WRITE_ONCE(*told, bpf_ntohl(tcp->seq));
		return SLUICE_REASON_SYN_PROVEN;
	}
	if (shows_answer(family, &p->tuple, bpf_ntohl(tcp->seq)))
		return source_may_open(family, &p->tuple) ? UNDECIDED : SLUICE_REASON_SOURCE_HALF_OPEN;
	listener = listener_find(family, &p->tuple);
	if (!listener || !source_is_allowed(family, listener, &p->tuple.source))
		return SLUICE_REASON_NOT_ALLOWED;
	if (p->fragment != FRAGMENT_NONE || p->l4_offset != p->l3_offset + ip_header_bytes(family) ||
	    !may_answer_source(family, &p->tuple.source))
		return SLUICE_REASON_SYN_ANSWER_LIMIT;
	return NEXT_ANSWER_SYN;
}

__noinline int authenticate4(struct xdp_md *ctx)
{
	return authenticate(FAMILY4, ctx);
}

__noinline int authenticate6(struct xdp_md *ctx)
{
	return authenticate(FAMILY6, ctx);
}

/* Turns a SYN into the answer that has to be reset. */
static __always_inline int answer_syn(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	const struct packet *p;
	__u32 lag;

	if (!journey)
		return SLUICE_REASON_SYN_ANSWER_LIMIT;
	p = &journey->packet;
	lag = syn_lag(&p->tuple, syn_clock());
	return (family == FAMILY4 ? make_tcp_answer4(ctx, p->l3_offset, p->l4_bytes, lag)
				  : make_tcp_answer6(ctx, p->l3_offset, p->l4_bytes, lag))
		       ? SLUICE_REASON_SYN_ANSWERED
		       : SLUICE_REASON_SYN_ANSWER_LIMIT;
}

__noinline int answer_syn4(struct xdp_md *ctx)
{
	return answer_syn(FAMILY4, ctx);
}

__noinline int answer_syn6(struct xdp_md *ctx)
{
	return answer_syn(FAMILY6, ctx);
}

#endif
