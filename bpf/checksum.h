/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Incremental Internet checksums (RFC 1624, equation 3): HC' = ~(~HC + ~m + m').
 *
 * A delta is the sum of ~m + m' over all words that change, folded to 16 bits, so applying it costs one
 * addition however many words changed. Words are added as they lie in memory: one's complement sums do not
 * care about byte order (RFC 1071, 2.B). A checksum that was wrong stays wrong by the same amount. */
#ifndef SLUICE_BPF_CHECKSUM_H
#define SLUICE_BPF_CHECKSUM_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Sums are kept in 64 bits and may be of 16-bit or of 32-bit words: 2^32 is 1 modulo 0xffff, just as 2^16 is. */
static __always_inline __u16 checksum_fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Contribution of one 32-bit field that changes. */
static __always_inline __u64 checksum_change32(__be32 before, __be32 after)
{
	return (__u64)(__u32)~before + after;
}

/* Contribution of one 16-bit field that changes. */
static __always_inline __u64 checksum_change16(__be16 before, __be16 after)
{
	return (__u64)(__u16)~before + after;
}

static __always_inline void checksum_apply(__u16 *checksum, __u64 delta)
{
	*checksum = ~checksum_fold((__u16)~*checksum + delta);
}

/* A TTL that goes down by one: the word (TTL, protocol) loses 0x0100, whose complement this is. */
#define CHECKSUM_TTL_DECREMENT ((__u64)bpf_htons(0xfeff))

#endif
