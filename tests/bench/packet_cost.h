/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Shared by the packet-cost bench and its wrapper programs. */
#ifndef SLUICE_PACKET_COST_H
#define SLUICE_PACKET_COST_H

#include "maps/types.h"

/* One packet's tuple, as it arrives. IPv4 addresses are in the first words. */
struct bench_tuple {
	union sluice_address source;
	union sluice_address destination;
	__be32 ports; /* source port, destination port */
	__be16 ipv4_checksum; /* of the header that has these addresses */
	__u16 zero;
};

/* A CPU's place in `tuples`: it goes round [begin, end). */
struct bench_walk {
	__u32 begin;
	__u32 end;
	__u32 next;
	__u32 zero;
};

/* A frame with everything but the tuple: 64 bytes for IPv4, the shortest Ethernet frame, 80 for IPv6. */
#define BENCH_FRAME4_BYTES 64
#define BENCH_FRAME6_BYTES 80
struct bench_template {
	__u8 bytes[BENCH_FRAME6_BYTES];
};

#endif
