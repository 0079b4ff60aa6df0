/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `address_filter`: the addresses of VIPs and members, in more bits than `runtime` has for them.
 *
 * Both are Bloom filters, and an address is in both. The one in `runtime` has one bit per address in 8 KiB, which stay in
 * the first-level cache: best while the addresses are few. With 26,000 it sends 55 % of the packets that aren't ours the
 * slow way. This one is blocked: an address has three bits, all in one word, so asking costs one cache line. Percentage of
 * packets of strangers (two addresses) that are let through, computed:
 *
 *     addresses                    256    1,000   10,000   26,000   100,000
 *     runtime, 8 KiB, 1 bit       0.78      3.0     26       55        95
 *     64 KiB, 3 bits in a word    0.00     0.00     0.13     0.94      17
 *     128 KiB, 3 bits in a word   0.00     0.00     0.04     0.21       4.0
 *     256 KiB, 3 bits in a word   0.00     0.00     0.01     0.06       0.9
 *
 * Two and four bits are worse at most of these numbers. 4,096 VIPs of each IP version and 16,384 members are 24,576.
 *
 * Written by the controller; read by the data plane for every packet if `runtime.large_filter` is set and `complete_for`
 * is next_hop_generation + 1. The second condition is for older controllers: they know only the other filter, but leave the
 * flag as it is. They raise the generation when they start, and from then on this filter is not asked. */
#ifndef SLUICE_ADDRESS_FILTER_H
#define SLUICE_ADDRESS_FILTER_H

#include "types.h"

#define SLUICE_LARGE_FILTER_WORD_BITS 14
#define SLUICE_LARGE_FILTER_WORDS (1 << SLUICE_LARGE_FILTER_WORD_BITS)

/* The controller has the data plane ask this filter from so many addresses on. */
#define SLUICE_LARGE_FILTER_FROM 256

struct sluice_address_filter {
	__u64 complete_for; /* next_hop_generation + 1 of the controller that wrote all of it; 0: it is not complete */
	__u64 zero[7];
	__u64 words[SLUICE_LARGE_FILTER_WORDS];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_address_filter) == 64 + 128 * 1024);

/* An address's hash: its top 14 bits are its word's number, three times the next 6 its bits there. */
static inline __u64 sluice_large_filter_hash4(__be32 address)
{
	return address * 0x9e3779b97f4a7c15ULL;
}
static inline __u64 sluice_large_filter_hash6(const union sluice_address *address)
{
	return (address->halves[0] ^ (address->halves[1] * 0x9e3779b97f4a7c15ULL)) * 0xc4ceb9fe1a85ec53ULL;
}
#define SLUICE_LARGE_FILTER_WORD(hash) ((hash) >> 50)
#define SLUICE_LARGE_FILTER_BITS(hash) \
	(1ULL << ((hash) >> 44 & 63) | 1ULL << ((hash) >> 38 & 63) | 1ULL << ((hash) >> 32 & 63))

#ifdef __bpf__
/* BPF_F_MMAPABLE: the controller sets bits in its memory, and words don't straddle cache lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_address_filter);
} address_filter SEC(".maps");
#endif

#endif
