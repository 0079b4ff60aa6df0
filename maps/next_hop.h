/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `next_hops`: MACs and interfaces for frames that leave; flows and `member_hops` refer to them by index.
 *
 * Only the data plane writes it. An entry is immutable once `generation` is set and belongs to one generation
 * (runtime.next_hop_generation): when the controller raises that, flows find theirs outdated and resolve again. The
 * table is set-associative; `flow_sweep` frees an entry when nothing refers to it any more. If a set is full the
 * flow has no next hop (index 0), and each of its packets asks the kernel's FIB, which is slower, but never wrong. */
#ifndef SLUICE_NEXT_HOP_H
#define SLUICE_NEXT_HOP_H

#include "member.h"
#include "types.h"

#define SLUICE_MAX_NEXT_HOPS 4096 /* as many as SLUICE_STATE_HOP_MASK can name */

struct sluice_next_hop {
	/* This is 0, which is never the present generation, while the entry is free or being written.
	 * SLUICE_NEXT_HOP_SPECIAL marks frames with tags or a tunnel header, and flows that it can't translate (SNAT
	 * addresses in IPv6), so that the fast path takes the entry for outdated. */
	__u32 generation;
	__u32 ifindex; /* of the NIC */
	__u8 destination_mac[SLUICE_MAC_BYTES];
	__u8 source_mac[SLUICE_MAC_BYTES];
	__u32 used; /* SLUICE_NEXT_HOP_*, or when a flow was last known to refer to the entry: jiffies | 1 */
	__u16 mtu;  /* the longest IP packet that may go this way, without the tunnel's header; 65535: not known */
	__u8 tags;
	__u8 tunnel; /* 0, or the IP version of the tunnel's header: 4 or 6; SLUICE_TUNNEL_UDP: a UDP header follows it */
	struct sluice_tag tag[SLUICE_MAX_TAGS]; /* outermost first */
	__u32 zero;
	union sluice_address tunnel_destination;
	__u64 reserved;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_next_hop) == 64);

#define SLUICE_TUNNEL_UDP 16
#define SLUICE_TUNNEL_FAMILY(tunnel) ((tunnel) & 15)
#define SLUICE_NEXT_HOP_SPECIAL 0x80000000U
#define SLUICE_NEXT_HOP_FREE 0
#define SLUICE_NEXT_HOP_BEING_FREED 2

/* `member_hops`: the next hop of each member, so that a new connection doesn't ask the FIB. The data plane writes
 * it. */
struct sluice_member_hop {
	__u32 generation; /* of the entry, without SLUICE_NEXT_HOP_SPECIAL; 0: none yet */
	__u32 index;      /* into next_hops */
	__u64 member;     /* a hash of the member's address and mode, as the index may have gone to another member */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member_hop) == 16);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* entries are cache lines: see flows4 */
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
