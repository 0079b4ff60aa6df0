/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `fragments`: the ports of packets whose first fragment was seen, for the fragments that follow without ports.
 *
 * Only the data plane uses it. Packets beyond the capacity evict the longest unused, whose remaining fragments are
 * then dropped. */
#ifndef SLUICE_FRAGMENT_H
#define SLUICE_FRAGMENT_H

#include "types.h"

#define SLUICE_MAX_FRAGMENTS 16384

/* The fragments of one packet may be under way for so long (RFC 791: 15 s; Linux: 30 s). */
#define SLUICE_TIMEOUT_FRAGMENT_SECONDS 30

/* The fields that the fragments of one packet have in common (RFC 791, 2.3; RFC 8200, 4.5). */
struct sluice_fragment_key {
	union sluice_address source;
	union sluice_address destination;
	__be32 id;      /* IPv4: the upper half is zero */
	__u8 protocol;  /* IPPROTO_* */
	__u8 family;    /* 4 or 6 */
	__u8 zero[2];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_fragment_key) == 40);

struct sluice_fragment {
	__be16 source_port;
	__be16 destination_port;
	__u32 jiffies; /* when the first fragment came */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_fragment) == 8);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_FRAGMENTS);
	__type(key, struct sluice_fragment_key);
	__type(value, struct sluice_fragment);
} fragments SEC(".maps");
#endif

#endif
