/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `next_hops`: where frames go out; flows and `member_hops` name them by index.
 *
 * Written by the data plane only. An entry is immutable once `generation` is set and belongs to one generation
 * (runtime.next_hop_generation): when the controller raises that, flows find theirs outdated and resolve again.
 * A set-associative table; an entry is freed by `flow_expire` when nothing names it any more. When a set is full
 * the flow stays without (index 0) and each of its packets asks the kernel's FIB: slower, never wrong. */
#ifndef SLUICE_NEXT_HOP_H
#define SLUICE_NEXT_HOP_H

#include "member.h"
#include "types.h"

#define SLUICE_MAX_NEXT_HOPS 4096 /* as many as SLUICE_STATE_HOP_MASK can name */

struct sluice_next_hop {
	__u32 generation; /* 0, which is never the present one, while the entry is free or being written */
	__u32 ifindex;
	__u8 destination_mac[SLUICE_MAC_BYTES];
	__u8 source_mac[SLUICE_MAC_BYTES];
	__u32 used; /* SLUICE_NEXT_HOP_*, or when a flow was last known to name the entry: jiffies | 1 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_next_hop) == 24);

#define SLUICE_NEXT_HOP_FREE 0
#define SLUICE_NEXT_HOP_BEING_FREED 2

/* `member_hops`: the next hop of each member, so that a new connection doesn't ask the FIB. Written by the data plane. */
struct sluice_member_hop {
	__u32 generation; /* of the entry; 0: none yet */
	__u32 index;      /* into next_hops */
	__be32 address;   /* the member's: its index may be another one's by now */
	__be32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member_hop) == 16);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_NEXT_HOPS);
	__type(key, __u32);
	__type(value, struct sluice_next_hop);
} next_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member_hop);
} member_hops SEC(".maps");
#endif

#endif
