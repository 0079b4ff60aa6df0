/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `probes`, `probe_ends`: probes that ask for a VIP at a member (bpf/probe.bpf.c). They live as long as the process that
 * loaded them, are not pinned, and are no part of what an upgrade keeps. */
#ifndef SLUICE_PROBE_H
#define SLUICE_PROBE_H

#include "types.h"

#define SLUICE_MAX_PROBES 65536 /* under way at once */

enum sluice_probe_way {
	SLUICE_PROBE_LINK, /* dsr: the member's MAC, and the VIP in the IP header */
	SLUICE_PROBE_IPIP,
	SLUICE_PROBE_GUE,
};

/* `probes`: what the prober has said of a socket, before this sends its first packet. */
struct sluice_probe_key {
	__u64 cookie; /* the socket's, SO_COOKIE */
	__be32 echo;  /* a ping's identifier and sequence number, since pings share a socket; else 0 */
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_probe_key) == 16);

/* IPv4 addresses are in the first four bytes. */
struct sluice_probe {
	union sluice_address member; /* to which the socket sends, so the kernel finds the way there */
	union sluice_address vip;    /* which takes its place in the packets */
	__u8 protocol;		     /* IPPROTO_* */
	__u8 way;		     /* enum sluice_probe_way */
	__u8 sent;		     /* the program sets it to 1 with the first packet */
	__u8 zero[5];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_probe) == 40);

/* `probe_ends`: the other end of packets under way, by what they show of it. Only the programs write it. */
struct sluice_probe_end {
	union sluice_address peer; /* the VIP in answers; the member in what this host sends */
	union sluice_address host;
	__be16 peer_port; /* a ping's sequence number */
	__be16 host_port; /* its identifier */
	__u8 protocol;
	__u8 answers; /* 1: of packets from the VIP */
	__u8 zero[2];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_probe_end) == 40);

#endif
