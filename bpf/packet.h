/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The packet as the stages see it, and how it is parsed.
 *
 * Contract: a packet is described by offsets, never by pointers: the stages are functions that the verifier looks at one
 * by one, and none may rely on what another one has checked. Each asks packet_at() for the bytes that it needs, so
 * nothing beyond the frame is ever read. No parser decides a packet's fate: a defect is kept in `defect`
 * until it is known whether the packet is ours, because a malformed packet of somebody else's is the host's business
 * (it passes), while one for a VIP is dropped.
 *
 * One source serves both IP versions: functions that differ take `family` first, always a constant, and the compiler
 * folds it. What is too large to be inlined twice has a name for each: flow_search4(), flow_search6(). */
#ifndef SLUICE_BPF_PACKET_H
#define SLUICE_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps/flow.h"
#include "maps/interface.h"
#include "maps/reasons.h"
#include "maps/runtime.h"

/* What a stage returns when the packet's fate is still open, and what comes next. */
#define UNDECIDED (-1)
#define NEXT_FORWARD (-2) /* it is in a flow: journey.flow */
#define NEXT_ERROR (-3)   /* it is an ICMP error, perhaps about a flow */
#define NEXT_OPEN (-4)    /* it opens a connection: local_connection */
#define NEXT_GIVE_UP (-5) /* it is in a flow whose member is down, and the client shall know */

enum { FAMILY4 = 4, FAMILY6 = 6 };

/* linux/ip.h has these only for the kernel itself (RFC 791, 3.1). */
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

/* The flags of a TCP header, as its byte 13 holds them (RFC 9293, 3.1). */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_FLAGS_OFFSET 13

/* SCTP (RFC 9260, 3): the common header, and the first chunk's type. */
struct sctp_header {
	__be16 source;
	__be16 destination;
	__be32 verification_tag;
	__u32 checksum; /* CRC32c, never touched: it covers no address */
	__u8 chunk_type;
	__u8 chunk_flags;
	__be16 chunk_bytes;
};
#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6
#define SCTP_SHUTDOWN 7
#define SCTP_SHUTDOWN_COMPLETE 14

/* An ICMP message (RFC 792) and an ICMPv6 message (RFC 4443): they begin alike. linux/icmp.h drags in the C library. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 rest;
};

/* What a packet says about its connection, whatever the protocol. */
#define SIGNAL_OPENS 0x01    /* TCP SYN, SCTP INIT */
#define SIGNAL_ACCEPTS 0x02  /* TCP SYN+ACK, SCTP INIT ACK; any UDP packet */
#define SIGNAL_CONFIRMS 0x04 /* TCP ACK, SCTP anything later; any UDP packet */
#define SIGNAL_ENDS 0x08     /* this side sends no more: FIN, SHUTDOWN */
#define SIGNAL_ABORTS 0x10   /* it is over: RST, ABORT, SHUTDOWN COMPLETE */

enum fragment { FRAGMENT_NONE, FRAGMENT_FIRST, FRAGMENT_LATER };

/* Who talks to whom. IPv4 addresses are in the first word of the unions, the others are zero. */
struct tuple {
	union sluice_address source;
	union sluice_address destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 protocol; /* enum sluice_flow_protocol */
};

/* What follows the IPv6 header chain. */
struct l4_place {
	__u32 offset; /* in the frame */
	__u32 protocol;
	__u32 fragment; /* enum fragment */
	__be32 id;
	__s32 defect; /* UNDECIDED, or a reason */
};

struct packet {
	__u32 l3_offset;      /* of the IP header in the frame: Ethernet header and tags come first */
	__u32 l3_bytes;       /* from the IP header on; padding is not counted */
	__u32 l4_offset;      /* in the frame */
	__u32 l4_bytes;       /* L4 header and payload */
	__u32 egress_ifindex; /* where it goes, once that is decided */
	__s32 defect;         /* UNDECIDED, or the reason why a packet that is ours is dropped */
	struct tuple tuple;
	__be32 fragment_id;
	__u8 fragment; /* enum fragment */
	__u8 protocol; /* IPPROTO_* */
	__u8 signals;  /* SIGNAL_* */
	__u8 group_mac; /* addressed to everybody, or to a multicast group */
};

/* What a packet needs of its flow: a copy, and which slot it is for later changes. */
struct flow {
	__u64 state; /* without the bucket's bits */
	union sluice_address new_source;
	union sluice_address new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u32 index; /* of the slot */
};

/* What the packet under way has on its journey. In a map because three calls deep it is too much for the stack; one per CPU,
 * since programs of the kind that use it don't interrupt each other. */
struct journey {
	struct packet packet;
	struct tuple quoted;   /* of a packet that an ICMP error is about, turned around */
	struct tuple frequent; /* on the abridged journey */
	struct flow flow;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct journey);
} local_journey SEC(".maps");

static __always_inline struct journey *journey_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&local_journey, &zero);
}

/* Makes the compiler test a pointer itself, and not what decided whether it is NULL: the verifier of kernel 6.1 does not
 * see that the two are the same. */
#define MUST_TEST(pointer) asm volatile("" : "+r"(pointer))

/* The bytes at `offset` of the frame, or NULL if they are not all there. Headers are within the first 4 KiB. */
static __always_inline void *packet_at(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;

	/* The verifier must know a limit, and see it in the register that is added. */
	offset &= 0xfff;
	asm volatile("" : "+r"(offset));
	offset &= 0xfff;
	return data + offset + bytes <= data_end ? data + offset : NULL;
}

static __always_inline bool address_equal(int family, const union sluice_address *a, const union sluice_address *b)
{
	if (family == FAMILY4)
		return a->ipv4 == b->ipv4;
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

/* From and to packets: struct ipv6hdr is packed, so the compiler would go byte by byte. */
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

/* The offset of an IP header's source address; the destination follows. */
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

/* TTL or hop limit. */
static __always_inline __u8 *ttl_of(int family, void *l3)
{
	return (__u8 *)l3 + (family == FAMILY4 ? 8 : 7);
}

static __always_inline void *ip_header(int family, struct xdp_md *ctx, const struct packet *p)
{
	return packet_at(ctx, p->l3_offset, ip_header_bytes(family));
}

/* Everything in the IPv6 header chain that can be walked over before the verifier runs out of patience. */
#define IPV6_EXTENSIONS 6

#define VLAN_TAG_BYTES 4

/* Where the frame's payload begins, and its ethertype: offset | ethertype << 16, or -1 for a frame that is too short.
 * In a function of its own because the verifier takes what it returns for any number, so that what comes after is
 * verified once and not for each number of tags. */
__noinline int ethernet_payload(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 offset = ETH_HLEN;
	__be16 type;

	if (data + ETH_HLEN > data_end)
		return -1;
	type = *(__be16 *)(data + ETH_HLEN - 2);
	for (int i = 0; i < SLUICE_MAX_TAGS; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (data + offset + VLAN_TAG_BYTES > data_end)
			break;
		type = *(__be16 *)(data + offset + 2);
		offset += VLAN_TAG_BYTES;
	}
	return offset | (__u32)bpf_ntohs(type) << 16;
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

/* Both MACs of a frame, from `macs`: destination, source. */
static __always_inline void ethernet_address(void *frame, const __u8 *macs)
{
	__u32 *to = frame;
	const __u32 *from = (const void *)macs;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
}

/* Walks over IPv6 extension headers from `place`, which says what the first one is and where (RFC 8200, 4). */
__noinline int ipv6_extensions(struct xdp_md *ctx, struct l4_place *place)
{
	__u32 offset, protocol;
	__u8 *header;

	if (!place)
		return 0;
	offset = place->offset;
	protocol = place->protocol;
	for (int i = 0; i <= IPV6_EXTENSIONS; i++) {
		place->offset = offset;
		place->protocol = protocol;
		if (protocol != IPPROTO_HOPOPTS && protocol != IPPROTO_ROUTING && protocol != IPPROTO_DSTOPTS &&
		    protocol != IPPROTO_FRAGMENT)
			return 0;
		if (i == IPV6_EXTENSIONS)
			break;
		header = packet_at(ctx, offset, 8);
		if (!header || offset > 0xfff) {
			place->defect = SLUICE_REASON_MALFORMED_IPV6;
			return 0;
		}
		if (protocol == IPPROTO_FRAGMENT) {
			__be16 field = *(__be16 *)(header + 2);

			if (field & bpf_htons(0xfff8))
				place->fragment = FRAGMENT_LATER;
			else if (field & bpf_htons(1))
				place->fragment = FRAGMENT_FIRST;
			place->id = *(__be32 *)(header + 4);
			offset += 8;
		} else {
			offset += 8 + header[1] * 8;
		}
		protocol = header[0];
		if (place->fragment == FRAGMENT_LATER) {
			/* What follows is payload. */
			place->offset = offset;
			place->protocol = protocol;
			return 0;
		}
	}
	place->defect = SLUICE_REASON_UNSUPPORTED_PROTOCOL;
	return 0;
}

/* Does the frame hold so many bytes from the IP header on? The helper knows of multi-buffer frames' other parts. */
static __always_inline bool frame_holds(struct xdp_md *ctx, __u32 l3_offset, __u32 l3_bytes)
{
	return l3_offset + l3_bytes <= bpf_xdp_get_buff_len(ctx);
}

static __always_inline void parse_ipv4_rest(struct packet *p, struct xdp_md *ctx, const struct iphdr *ip)
{
	__u32 header_bytes = ip->ihl * 4;

	p->protocol = ip->protocol;
	p->l3_bytes = bpf_ntohs(ip->tot_len);
	p->l4_offset = p->l3_offset + header_bytes;
	p->l4_bytes = p->l3_bytes - header_bytes;
	if (ip->version != 4 || header_bytes < sizeof(*ip) || p->l3_bytes < header_bytes ||
	    !frame_holds(ctx, p->l3_offset, p->l3_bytes))
		p->defect = SLUICE_REASON_MALFORMED_IPV4;
	if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
		p->fragment = FRAGMENT_LATER;
	else if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS))
		p->fragment = FRAGMENT_FIRST;
	p->fragment_id = ip->id;
}

static __always_inline bool is_l4_of_ipv6(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_ICMPV6;
}

static __always_inline void parse_ipv6_rest(struct packet *p, struct xdp_md *ctx, const struct ipv6hdr *ip)
{
	struct l4_place place = {
		.offset = p->l3_offset + sizeof(*ip), .protocol = ip->nexthdr, .defect = UNDECIDED};

	p->l3_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || !frame_holds(ctx, p->l3_offset, p->l3_bytes))
		p->defect = SLUICE_REASON_MALFORMED_IPV6;
	else if (!is_l4_of_ipv6(place.protocol))
		ipv6_extensions(ctx, &place);
	if (place.defect != UNDECIDED)
		p->defect = place.defect;
	p->protocol = place.protocol;
	p->fragment = place.fragment;
	p->fragment_id = place.id;
	p->l4_offset = place.offset;
	p->l4_bytes = p->l3_offset + p->l3_bytes - p->l4_offset;
	if (p->l4_offset > p->l3_offset + p->l3_bytes && p->defect == UNDECIDED)
		p->defect = SLUICE_REASON_MALFORMED_IPV6;
}

/* Fills the tuple's addresses. False: not even a fixed header's worth of bytes is there, so
 * the packet has no destination that could be ours. */
static __always_inline bool parse_ip_in(int family, struct packet *p, struct xdp_md *ctx)
{
	void *l3 = ip_header(family, ctx, p), *addresses = l3 + addresses_offset(family);

	if (!l3)
		return false;
	p->tuple.source = address_load(family, addresses);
	p->tuple.destination = address_load(family, addresses + address_bytes(family));
	if (family == FAMILY4)
		parse_ipv4_rest(p, ctx, l3);
	else
		parse_ipv6_rest(p, ctx, l3);
	return true;
}

__noinline int parse_ip4(struct packet *p, struct xdp_md *ctx)
{
	return p && parse_ip_in(FAMILY4, p, ctx);
}

__noinline int parse_ip6(struct packet *p, struct xdp_md *ctx)
{
	return p && parse_ip_in(FAMILY6, p, ctx);
}

static __always_inline bool parse_ip(int family, struct packet *p, struct xdp_md *ctx)
{
	return family == FAMILY4 ? parse_ip4(p, ctx) : parse_ip6(p, ctx);
}

static __always_inline __u8 tcp_signals(__u8 flags)
{
	__u8 signals = 0;

	if (flags & TCP_RST)
		signals |= SIGNAL_ABORTS;
	if (flags & TCP_FIN)
		signals |= SIGNAL_ENDS;
	if (flags & TCP_SYN && !(flags & (TCP_RST | TCP_FIN)))
		signals |= flags & TCP_ACK ? SIGNAL_ACCEPTS : SIGNAL_OPENS;
	if (flags & TCP_ACK)
		signals |= SIGNAL_CONFIRMS;
	return signals;
}

static __always_inline bool parse_tcp(struct packet *p, struct xdp_md *ctx)
{
	struct tcphdr *tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));

	if (!tcp || p->l4_bytes < sizeof(*tcp))
		return false;
	p->tuple.protocol = SLUICE_FLOW_TCP;
	p->tuple.source_port = tcp->source;
	p->tuple.destination_port = tcp->dest;
	p->signals = tcp_signals(((__u8 *)tcp)[TCP_FLAGS_OFFSET]);
	if (tcp->doff * 4 < sizeof(*tcp) || tcp->doff * 4 > p->l4_bytes)
		p->defect = SLUICE_REASON_MALFORMED_TCP;
	return true;
}

static __always_inline bool parse_udp(struct packet *p, struct xdp_md *ctx)
{
	struct udphdr *udp = packet_at(ctx, p->l4_offset, sizeof(*udp));

	if (!udp || p->l4_bytes < sizeof(*udp))
		return false;
	p->tuple.protocol = SLUICE_FLOW_UDP;
	p->tuple.source_port = udp->source;
	p->tuple.destination_port = udp->dest;
	p->signals = SIGNAL_ACCEPTS | SIGNAL_CONFIRMS;
	/* A first fragment's length is that of the whole. */
	if (bpf_ntohs(udp->len) < sizeof(*udp) ||
	    (p->fragment == FRAGMENT_NONE && bpf_ntohs(udp->len) > p->l4_bytes))
		p->defect = SLUICE_REASON_MALFORMED_UDP;
	return true;
}

static __always_inline __u8 sctp_signals(__u8 chunk_type)
{
	switch (chunk_type) {
	case SCTP_INIT:
		return SIGNAL_OPENS;
	case SCTP_INIT_ACK:
		return SIGNAL_ACCEPTS;
	case SCTP_ABORT:
	case SCTP_SHUTDOWN_COMPLETE:
		return SIGNAL_ABORTS;
	case SCTP_SHUTDOWN:
		return SIGNAL_ENDS | SIGNAL_CONFIRMS;
	default:
		return SIGNAL_CONFIRMS;
	}
}

static __always_inline bool parse_sctp(struct packet *p, struct xdp_md *ctx)
{
	struct sctp_header *sctp = packet_at(ctx, p->l4_offset, sizeof(*sctp));

	if (!sctp || p->l4_bytes < sizeof(*sctp))
		return false;
	p->tuple.protocol = SLUICE_FLOW_SCTP;
	p->tuple.source_port = sctp->source;
	p->tuple.destination_port = sctp->destination;
	p->signals = sctp_signals(sctp->chunk_type);
	return true;
}

/* Fills the rest of the tuple and the signals. False: there are no ports, so there is no flow to look for. */
static __always_inline bool parse_l4(struct packet *p, struct xdp_md *ctx)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
		if (parse_tcp(p, ctx))
			return true;
		p->defect = SLUICE_REASON_MALFORMED_TCP;
		return false;
	case IPPROTO_UDP:
		if (parse_udp(p, ctx))
			return true;
		p->defect = SLUICE_REASON_MALFORMED_UDP;
		return false;
	case IPPROTO_SCTP:
		if (parse_sctp(p, ctx))
			return true;
		p->defect = SLUICE_REASON_MALFORMED_SCTP;
		return false;
	default:
		return false;
	}
}

static __always_inline const struct sluice_runtime *runtime_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&runtime, &zero);
}

/* False: the address is certainly neither a VIP's nor a member's. */
static __always_inline bool address_in_filter(int family, const struct sluice_runtime *r,
					      const union sluice_address *address)
{
	__u32 hash = family == FAMILY4 ? sluice_address_hash4(address->ipv4) : sluice_address_hash6(address);

	return r->address_filter[SLUICE_ADDRESS_WORD(hash)] >> SLUICE_ADDRESS_BIT(hash) & 1;
}

static __always_inline bool address_may_be_known(int family, const union sluice_address *address)
{
	const struct sluice_runtime *r = runtime_get();

	return !r || address_in_filter(family, r, address);
}

#endif
