/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the packet-cost bench and its wrapper program share. */
#ifndef SLUICE_PACKET_COST_H
#define SLUICE_PACKET_COST_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/types.h>

/* One packet's tuple, as it arrives. */
struct bench_tuple {
	__be32 source;
	__be32 destination;
	__be32 ports; /* source port, destination port */
};

/* Where a CPU is in `tuples`: it goes round [begin, end). */
struct bench_walk {
	__u32 begin;
	__u32 end;
	__u32 next;
	__u32 zero;
};

struct bench_template {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
	__u8 padding[10]; /* to 64 bytes, the shortest Ethernet frame */
} __attribute__((packed));

#endif
