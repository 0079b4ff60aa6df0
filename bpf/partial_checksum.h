/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Recognises checksums that were never finished.
 *
 * Problem. A sender on the other end of a veth, or a container behind a bridge, leaves the TCP or UDP checksum to "the
 * NIC" (CHECKSUM_PARTIAL). Its field holds the sum of the pseudo header alone, and what would finish it is not visible
 * to XDP. An incremental update makes nonsense of it, and the receiver drops the packet without a word.
 *
 * Formulation. The field is compared with the pseudo header's sum. A right checksum may be the same by chance, once in
 * 65,536 packets, so then the whole sum is computed, and only if that is wrong the packet counts as unfinished. Only
 * packets that begin a connection are looked at (first packets, SYN-ACKs, UDP that is not answered yet): no connection
 * with such a sender gets further. */
#ifndef SLUICE_BPF_PARTIAL_CHECKSUM_H
#define SLUICE_BPF_PARTIAL_CHECKSUM_H

#include <linux/in.h>
#include <bpf/bpf_endian.h>

#include "bpf/checksum.h"
#include "bpf/journey.h"
#include "bpf/packet.h"
#include "bpf/verifier.h"

/* The longest segment whose sum is computed, in words. */
#define SUMMED_WORDS (1536 / sizeof(__u32))

struct segment_sum {
	struct xdp_md *ctx;
	__u64 sum;
	__u32 offset; /* in the frame */
	__u32 bytes;
	__u32 summed; /* of these */
};

/* Adds the segment's n-th word, of which perhaps not all bytes are there. 1: it was the last one. */
static long add_word(__u32 n, struct segment_sum *s)
{
	__u32 at = n * sizeof(__u32), word = 0;
	__u8 *bytes;

	if (at >= s->bytes)
		return 1;
	if (at + sizeof(word) <= s->bytes) {
		__u32 *whole = packet_at(s->ctx, s->offset + at, sizeof(word));

		if (!whole)
			return 1;
		s->sum += *whole;
		s->summed = at + sizeof(word);
		return 0;
	}
	for (__u32 i = 0; i < sizeof(word) - 1 && at + i < s->bytes; i++) {
		bytes = packet_at(s->ctx, s->offset + at + i, 1);
		if (!bytes)
			return 1;
		word |= (__u32)*bytes << 8 * i;
	}
	s->sum += word;
	s->summed = s->bytes;
	return 1;
}

/* Says whether the packet under way has such a checksum. */
__noinline int checksum_is_partial(struct xdp_md *ctx)
{
	const struct journey *journey = journey_get();
	struct segment_sum s = {.ctx = ctx};
	const struct packet *p;
	const __u16 *field;

	if (!journey)
		return false;
	p = &journey->packet;
	if (p->fragment != FRAGMENT_NONE || (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP) ||
	    p->l4_bytes > SUMMED_WORDS * sizeof(__u32))
		return false;
	field = packet_at(ctx, p->l4_offset + (p->protocol == IPPROTO_TCP ? 16 : 6), sizeof(*field));
	if (!field || !*field)
		return false;
	for (int i = 0; i < 4; i++)
		s.sum += (__u64)p->tuple.source.words[i] + p->tuple.destination.words[i];
	s.sum += bpf_htonl(p->l4_bytes) + (__u64)bpf_htonl(p->protocol);
	if (checksum_fold(s.sum) != *field)
		return false;
	s.offset = p->l4_offset;
	s.bytes = p->l4_bytes;
	bpf_loop(SUMMED_WORDS + 1, add_word, &s, 0);
	return s.summed == s.bytes && checksum_fold(s.sum) != 0xffff;
}

#endif
