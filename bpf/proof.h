/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* When is a connection confirmed? When its client has shown that it hears the member, or the member has shown that it
 * believes so. For TCP and SCTP whose answers pass us; nobody proves anything of the others.
 *
 * Problem. Any ACK after a SYN, with whatever numbers, made a connection that lives for two hours and never makes way:
 * two forged packets each took a slot for good. The member's number is needed to tell, for as long as the handshake
 * lasts; a slot's state has no bit left for it, and a larger slot would cost every packet.
 *
 * Formulation. A table beside the flows, one word an entry, found by the flow's keyed hash: no tags, no chains, no
 * locks. The member's packet writes the number that its client will show, the client's packet is compared with it.
 * Packets of confirmed connections never come here, so the fast path costs nothing, nor does a SYN.
 *
 * An entry may have been overwritten by another handshake whose hash is the same. Then it holds another number, and
 * the client's packet proves nothing; but it is forwarded as ever, and the connection goes on. It is confirmed by what
 * comes next:
 *  - The member sends data, or of SCTP anything but an INIT ACK. It does so only once it has checked the client's
 *    number or cookie itself. (A mere acknowledgement proves nothing: it is what a wrong number is answered with, too.)
 *  - The member acknowledges the client's data. That writes the entry again, and the client's next packet shows it.
 *
 * So nobody is refused for it. What remains is a client that says nothing after its handshake, has lost its entry within
 * the round trip between SYN-ACK and ACK, and is silent for a minute: it is forgotten like a half-open one. With 100,000
 * handshakes a second and a round trip of 0.1 s one of 100 loses its entry. To overwrite somebody's on purpose takes the
 * seed of the hash, and to guess a number takes 2^32 packets.
 *
 * A reset never writes an entry: its number may be the one that the client's forged packet brought. */
#ifndef SLUICE_BPF_PROOF_H
#define SLUICE_BPF_PROOF_H

#include <linux/in.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/flow_table.h"
#include "bpf/packet.h"
#include "bpf/protocols.h"
#include "maps/proof.h"

/* An INIT ACK up to its initiate tag (RFC 9260, 3.3.3). */
struct sctp_init_ack {
	struct sctp_header header;
	__be32 initiate_tag;
};
SLUICE_STATIC_ASSERT(sizeof(struct sctp_init_ack) == 20);

static __always_inline __u32 *proof_of(int family, const struct tuple *client)
{
	__u32 number = tuple_home_of(family, client, SLUICE_PROOFS), index = number / 2;
	struct sluice_proofs *pair = bpf_map_lookup_elem(&proof_numbers, &index);

	return pair ? &pair->numbers[number % 2] : NULL;
}

/* What this packet of a member tells its client. 0: nothing that proves anything, or (one of 2^32) a number that is 0. */
static __always_inline __u32 number_told(struct xdp_md *ctx, const struct packet *p)
{
	const struct sctp_init_ack *init_ack;
	const struct tcphdr *tcp;
	__u32 sequence;

	if (p->fragment != FRAGMENT_NONE || p->signals & SIGNAL_ABORTS)
		return 0;
	if (p->protocol == IPPROTO_SCTP) {
		init_ack = packet_at(ctx, p->l4_offset, sizeof(*init_ack));
		return init_ack && p->signals & SIGNAL_ACCEPTS && p->l4_bytes >= sizeof(*init_ack) ? init_ack->initiate_tag : 0;
	}
	tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	if (p->protocol != IPPROTO_TCP || !tcp)
		return 0;
	sequence = bpf_ntohl(tcp->seq);
	if (p->signals & SIGNAL_ACCEPTS)
		return sequence + 1;
	return sequence + p->l4_bytes - tcp->doff * 4 + !!(p->signals & SIGNAL_ENDS);
}

/* Does this packet of a client show what the member told it last? */
static __always_inline bool shows_number(int family, struct xdp_md *ctx, const struct packet *p)
{
	const __u32 *told = proof_of(family, &p->tuple);
	const struct sctp_header *sctp;
	const struct tcphdr *tcp;

	if (!told || !*told)
		return false;
	if (p->protocol == IPPROTO_SCTP) {
		sctp = packet_at(ctx, p->l4_offset, sizeof(*sctp));
		return sctp && sctp->verification_tag == READ_ONCE(*told);
	}
	tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	return tcp && bpf_ntohl(tcp->ack_seq) == READ_ONCE(*told);
}

/* Neither end has proven the connection in this phase; in the first two the member is still asked. */
static __always_inline bool is_unproven_phase(__u64 phase)
{
	return phase == SLUICE_PHASE_OPENING || phase == SLUICE_PHASE_REFUSED || phase == SLUICE_PHASE_ANSWERED ||
	       phase == SLUICE_PHASE_BROKEN_OFF;
}

/* In one of these the client's packets could confirm it. */
static __always_inline bool waits_for_client(__u64 phase)
{
	return phase == SLUICE_PHASE_ANSWERED || phase == SLUICE_PHASE_BROKEN_OFF;
}

#endif
