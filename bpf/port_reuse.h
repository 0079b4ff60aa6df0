/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which closed connection's source port a new connection gets, once none is free toward its member.
 *
 * Problem. The end that closes first stays in TIME_WAIT for a minute or more. If that was the member, it takes the new
 * client's SYN for an old one, unless its numbers are later than the old connection's last (RFC 6191): it challenges,
 * the client resets, and sends its SYN again after a second.
 *
 * Formulation. The client's FIN leaves a note where the connection's proof was (proof.h): whether the member closed
 * first, and the client's last numbers. All ways to a closed connection lead through the client's FIN or reset, so the note is
 * written there alone; these take the slow path anyway. A new connection that finds no port reads the notes of the
 * connections that hold its candidates.
 *
 * What members compare differs: Linux takes a later timestamp for enough, but no earlier one; others look at sequence
 * numbers alone. So a SYN counts as later if both its numbers are, as far as both connections have them.
 *
 * A note may be overwritten by another connection's proof, or be that of an older version. Then a client may wait for
 * that second, no more. So may it after a forged FIN, which changes nothing else (flow_state.h). */
#ifndef SLUICE_BPF_PORT_REUSE_H
#define SLUICE_BPF_PORT_REUSE_H

#include <linux/in.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/journey.h"
#include "bpf/packet.h"
#include "bpf/proof.h"
#include "bpf/protocols.h"
#include "bpf/tcp_options.h"
#include "bpf/verifier.h"
#include "maps/flow.h"

/* A note is 0 if the member does not wait. Otherwise it is WAITS and, without timestamps, the sequence number that the
 * member expects, but for its low bits; with timestamps, STAMPED, the last stamp but for its low byte, and the number's
 * high bits. */
#define NOTE_WAITS 1U
#define NOTE_STAMPED 2U
#define NOTE_KIND 3U
#define NOTE_STAMP_SHIFT 8
#define NOTE_NUMBER_SHIFT 2
#define NOTE_NUMBER_BITS 6

static __always_inline __u32 closing_note(const struct segment_numbers *last)
{
	__u32 high = last->sequence >> (32 - NOTE_NUMBER_BITS);

	if (!last->has_stamp)
		return (last->sequence & ~NOTE_KIND) | NOTE_WAITS;
	return last->stamp >> NOTE_STAMP_SHIFT << NOTE_STAMP_SHIFT | high << NOTE_NUMBER_SHIFT | NOTE_STAMPED | NOTE_WAITS;
}

/* Says whether the SYN's numbers are later than the noted ones, whatever the bits were that the note lacks. */
static __always_inline bool is_later_than(const struct segment_numbers *syn, __u32 note)
{
	__u32 most = (1U << NOTE_NUMBER_BITS) - 1, ahead;

	if (!(note & NOTE_STAMPED))
		return (__s32)(syn->sequence - (note | NOTE_KIND)) > 0;
	ahead = ((syn->sequence >> (32 - NOTE_NUMBER_BITS)) - (note >> NOTE_NUMBER_SHIFT)) & most;
	return ahead >= 1 && ahead <= most / 2 &&
	       (!syn->has_stamp || (__s32)(syn->stamp - (note | ((1U << NOTE_STAMP_SHIFT) - 1))) > 0);
}

/* Notes the timestamp if it is the TCP option at `offset`. Returns the next option's offset; 0: there is none. */
__noinline int look_at_option(struct xdp_md *ctx, __u32 offset, __u32 end)
{
	struct journey *journey = journey_get();
	__u32 bytes = tcp_option_bytes(ctx, offset, end);
	const __u8 *option = packet_at(ctx, offset, 1);
	const __be32 *stamp;

	if (!journey || !option || !bytes)
		return 0;
	if (*option == TCP_OPTION_TIMESTAMPS && bytes == TCP_TIMESTAMPS_BYTES &&
	    (stamp = packet_at(ctx, offset + 2, sizeof(*stamp)))) {
		journey->numbers.stamp = bpf_ntohl(*stamp);
		journey->numbers.has_stamp = true;
	}
	return offset + bytes;
}

/* Notes the numbers of the packet under way. False: it is no whole TCP segment. */
__noinline int look_at_numbers(struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	const struct tcphdr *tcp;
	__u32 offset, end;

	if (!journey)
		return false;
	tcp = packet_at(ctx, journey->packet.l4_offset, sizeof(*tcp));
	journey->numbers = (struct segment_numbers){};
	if (!tcp || journey->packet.protocol != IPPROTO_TCP || journey->packet.fragment != FRAGMENT_NONE)
		return false;
	journey->numbers.sequence = bpf_ntohl(tcp->seq);
	offset = journey->packet.l4_offset + sizeof(*tcp);
	end = journey->packet.l4_offset + tcp->doff * 4;
	for (int i = 0; i < TCP_OPTIONS_BYTES; i++) {
		offset = look_at_option(ctx, offset, end);
		if (!offset)
			break;
	}
	return true;
}

/* Leaves the note of a client's FIN or reset. While the connection is not confirmed its proof has the place, and once
 * both ends have ended it the note is there. */
static __always_inline int note_client_end(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	__u32 *note, value = 0;
	struct packet *p;
	__u64 phase;

	if (!journey)
		return 0;
	p = &journey->packet;
	phase = sluice_flow_phase(journey->flow.state);
	if (p->protocol != IPPROTO_TCP || !sluice_flow_is_confirmed(journey->flow.state) || phase == SLUICE_PHASE_OVER)
		return 0;
	if (phase == SLUICE_PHASE_MEMBER_ENDED && !(p->signals & SIGNAL_ABORTS)) {
		const struct tcphdr *tcp;

		if (!look_at_numbers(ctx))
			return 0;
		tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
		if (!tcp)
			return 0;
		journey->numbers.sequence += p->l4_bytes - tcp->doff * 4 + 1;
		value = closing_note(&journey->numbers);
	}
	note = proof_of(family, &p->tuple);
	if (note)
		WRITE_ONCE(*note, value);
	return 0;
}

__noinline int note_client_end4(struct xdp_md *ctx)
{
	return note_client_end(FAMILY4, ctx);
}

__noinline int note_client_end6(struct xdp_md *ctx)
{
	return note_client_end(FAMILY6, ctx);
}

/* Says how well the port of this closed connection, whose forward key it is, suits the SYN under way. */
enum port_suits {
	PORT_IS_GUARDED, /* the member is in TIME_WAIT, and will challenge */
	PORT_IS_BEHIND,  /* it is, but the SYN is later */
	PORT_IS_LEFT,    /* it is not */
};

static __always_inline int port_suits(int family, const struct tuple *closed)
{
	struct journey *journey = journey_get();
	const __u32 *place = proof_of(family, closed);
	__u32 note = place ? READ_ONCE(*place) : NOTE_WAITS;

	if (!(note & NOTE_WAITS))
		return PORT_IS_LEFT;
	return journey && is_later_than(&journey->numbers, note) ? PORT_IS_BEHIND : PORT_IS_GUARDED;
}

__noinline int port_suits4(const struct tuple *closed)
{
	return closed ? port_suits(FAMILY4, closed) : PORT_IS_GUARDED;
}

__noinline int port_suits6(const struct tuple *closed)
{
	return closed ? port_suits(FAMILY6, closed) : PORT_IS_GUARDED;
}

#endif
