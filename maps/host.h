/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `host_peers`, `host_members`, `host_counters`: sockets of the load balancer's own host that connect to VIPs
 * (bpf/host.bpf.c). Only those programs write them; they live as long as these are attached, and are no part of what an
 * upgrade keeps. */
#ifndef SLUICE_HOST_H
#define SLUICE_HOST_H

#include "types.h"

/* Beyond the capacity the longest unused are forgotten: the socket is then told its member's address where it expects
 * the VIP's. */
#define SLUICE_MAX_HOST_SOCKETS 65536

/* A socket, and one of the addresses that it exchanges packets with. IPv4 addresses are in the first four bytes. */
struct sluice_host_socket {
	__u64 cookie;
	union sluice_address address;
	__be16 port;
	__u8 zero[6];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_host_socket) == 32);

/* `host_peers`: by socket and member, the VIP that the socket takes the member for. */
struct sluice_host_peer {
	union sluice_address vip;
	__be16 port;
	__u8 zero[6];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_host_peer) == 24);

/* `host_members`: by socket and VIP, the member that a UDP socket's datagrams go to while that takes new sessions. */
struct sluice_host_member {
	__u32 index;
	__u32 zero;
	__u64 id; /* the first half of the member's, as the index may have gone to another member */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_host_member) == 16);

enum sluice_host_count {
	SLUICE_HOST_CONNECTED, /* connections, and UDP sessions */
	SLUICE_HOST_REFUSED,   /* no usable member, or one that must be told its client (PROXYV2) */
	SLUICE_HOST_COUNTS
};

#endif
