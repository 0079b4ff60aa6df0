/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The packet as the stages see it.
 *
 * Contract: a packet is described by offsets, never by pointers. The verifier checks the stages one by one, so none may
 * rely on another one's checks. Each calls packet_at() for the bytes that it needs.
 *
 * One source serves both IP versions: functions that differ take `family` first, always a constant, which the
 * compiler folds. Functions that are too large to be inlined twice have a name for each version: flow_search4(),
 * flow_search6(). */
#ifndef SLUICE_BPF_PACKET_H
#define SLUICE_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/verifier.h"
#include "maps/flow.h"

enum { FAMILY4 = 4, FAMILY6 = 6 };

/* A packet's signals about its connection, for all protocols. */
#define SIGNAL_OPENS 0x01    /* TCP SYN, SCTP INIT */
#define SIGNAL_ACCEPTS 0x02  /* TCP SYN+ACK, SCTP INIT ACK; any UDP packet */
#define SIGNAL_CONFIRMS 0x04 /* TCP ACK, SCTP anything later; any UDP packet */
#define SIGNAL_ENDS 0x08     /* this side sends nothing more: FIN, SHUTDOWN */
#define SIGNAL_ABORTS 0x10   /* it is over: RST, ABORT, SHUTDOWN COMPLETE */
#define SIGNAL_DATA 0x20     /* it has a payload, or says that it has one */

enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

/* The tuple of a packet. IPv4 addresses are in the first word of the unions; the others are zero. */
struct tuple {
	union sluice_address source;
	union sluice_address destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 protocol; /* enum sluice_flow_protocol */
};

struct packet {
	__u32 l3_offset;      /* of the IP header in the frame, after Ethernet header and tags */
	__u32 l3_bytes;       /* from the IP header on; padding is not counted */
	__u32 l4_offset;      /* in the frame */
	__u32 l4_bytes;       /* L4 header and payload */
	__u32 egress_ifindex; /* where it leaves, once that is decided */
	__s32 defect;         /* UNDECIDED, or the reason to drop the packet if it is ours */
	struct tuple tuple;
	__be32 fragment_id;
	__u8 fragment; /* enum fragment */
	__u8 protocol; /* IPPROTO_* */
	__u8 signals;  /* SIGNAL_* */
	__u8 group_mac; /* addressed to everybody, or to a multicast group */
};

static __always_inline bool address_equal(int family, const union sluice_address *a, const union sluice_address *b)
{
	if (family == FAMILY4)
		return a->ipv4 == b->ipv4;
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* An IPv4 address as IPv6 has it, ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). It adds nothing to a checksum that the IPv4 address
 * does not add, because 0xffff is 0 there. */
#define MAPPED_WORD bpf_htonl(0xffff)

static __always_inline bool is_mapped(const union sluice_address *address)
{
	return !address->halves[0] && address->words[2] == MAPPED_WORD;
}

static __always_inline union sluice_address mapped(__be32 ipv4)
{
	return (union sluice_address){.words = {0, 0, MAPPED_WORD, ipv4}};
}

/* Load and store addresses in packets. struct ipv6hdr is packed, so the compiler would copy byte by byte. */
static __always_inline union sluice_address address_load(int family, const void *from)
{
	union sluice_address address = {};

	if (family == FAMILY4) {
		address.ipv4 = *(const __be32 *)from;
	} else {
		address.halves[0] = ((const __u64 *)from)[0];
		address.halves[1] = ((const __u64 *)from)[1];
	}
	return address;
}

static __always_inline void address_store(int family, void *to, const union sluice_address *address)
{
	if (family == FAMILY4) {
		*(__be32 *)to = address->ipv4;
	} else {
		((__u64 *)to)[0] = address->halves[0];
		((__u64 *)to)[1] = address->halves[1];
	}
}

static __always_inline __u32 tuple_ports(const struct tuple *t)
{
	return (__u32)t->destination_port << 16 | t->source_port;
}

/* Returns the offset of an IP header's source address; the destination follows. */
static __always_inline __u32 addresses_offset(int family)
{
	return family == FAMILY4 ? 12 : 8;
}

static __always_inline __u32 address_bytes(int family)
{
	return family == FAMILY4 ? 4 : 16;
}

static __always_inline __u32 ip_header_bytes(int family)
{
	return family == FAMILY4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/* Returns a pointer to TTL or hop limit. */
static __always_inline __u8 *ttl_of(int family, void *l3)
{
	return (__u8 *)l3 + (family == FAMILY4 ? 8 : 7);
}

static __always_inline void *ip_header(int family, struct xdp_md *ctx, const struct packet *p)
{
	return packet_at(ctx, p->l3_offset, ip_header_bytes(family));
}

#endif
