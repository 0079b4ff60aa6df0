/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Parsing: IP headers and what follows them.
 *
 * Contract: no parser decides a packet's fate. A defect is kept in `defect` until it is known whether the packet is
 * ours: a malformed packet for a VIP is dropped, any other one passes to the host. Nothing is read beyond the frame,
 * whatever the lengths in the headers say. */
#ifndef SLUICE_BPF_PARSE_H
#define SLUICE_BPF_PARSE_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/journey.h"
#include "bpf/packet.h"
#include "bpf/protocols.h"
#include "bpf/verifier.h"
#include "maps/reasons.h"

/* The place of the header behind the IPv6 header chain. */
struct l4_place {
	__u32 offset; /* in the frame */
	__u32 protocol;
	__u32 fragment; /* enum fragment */
	__be32 id;
	__s32 defect; /* UNDECIDED, or a reason */
	__u32 fragment_offset;
	__u32 end;    /* in: where the packet ends in the frame */
};

/* Returns why the header at `offset` can't be read: the packet's lengths lie, or it is beyond the limit of parsing. */
static __always_inline int reason_out_of_reach(__u32 offset, __u32 bytes, __u32 end, int lies)
{
	return offset + bytes > end ? lies : SLUICE_REASON_HEADERS_TOO_LONG;
}

/* At most so many extension headers are walked, because the verifier limits the number. */
#define IPV6_EXTENSIONS 6

/* The longest header that is read behind the IP header: TCP's, without options. */
#define L4_HEADER_BYTES sizeof(struct tcphdr)

/* Walks over IPv6 extension headers from `place`, which has the first one's type and offset (RFC 8200, 4). At its
 * end there is room before HEADERS_END for the next header, unless that is not parsed. */
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
		    protocol != IPPROTO_FRAGMENT) {
			if (offset > place->end || offset > HEADERS_END - L4_HEADER_BYTES)
				place->defect =
					reason_out_of_reach(offset, 0, place->end, SLUICE_REASON_MALFORMED_IPV6);
			return 0;
		}
		if (i == IPV6_EXTENSIONS)
			break;
		header = packet_at(ctx, offset, 8);
		if (!header || offset + 8 > place->end) {
			place->defect =
				reason_out_of_reach(offset, 8, place->end, SLUICE_REASON_MALFORMED_IPV6);
			return 0;
		}
		if (protocol == IPPROTO_HOPOPTS && i > 0) {
			place->defect = SLUICE_REASON_MISPLACED_HEADER;
			return 0;
		}
		/* Segments are left, so we are not its last destination (RFC 5095; RFC 8200, 4.4). */
		if (protocol == IPPROTO_ROUTING && header[3]) {
			place->defect = SLUICE_REASON_SOURCE_ROUTED;
			return 0;
		}
		if (protocol == IPPROTO_FRAGMENT) {
			__be16 field = *(__be16 *)(header + 2);

			if (field & bpf_htons(0xfff8))
				place->fragment = FRAGMENT_LATER;
			else if (field & bpf_htons(1))
				place->fragment = FRAGMENT_FIRST;
			place->id = *(__be32 *)(header + 4);
			place->fragment_offset = bpf_ntohs(field) & 0xfff8;
			offset += 8;
		} else {
			offset += 8 + header[1] * 8;
		}
		protocol = header[0];
		if (place->fragment == FRAGMENT_LATER) {
			/* Payload follows. */
			place->offset = offset;
			place->protocol = protocol;
			return 0;
		}
	}
	place->defect = SLUICE_REASON_UNSUPPORTED_PROTOCOL;
	return 0;
}

/* Says whether the frame has so many bytes from the IP header on, in all buffers. */
static __always_inline bool frame_holds(struct xdp_md *ctx, __u32 l3_offset, __u32 l3_bytes)
{
	return l3_offset + l3_bytes <= bpf_xdp_get_buff_len(ctx);
}

/* Says whether a fragment begins within a header that the first one must have had completely (RFC 3128), or ends
 * beyond the longest packet. `end` is the fragment's end in the packet. */
static __always_inline bool fragment_is_bad(__u32 protocol, __u32 offset, __u32 end)
{
	__u32 header_bytes = 0;

	if (protocol == IPPROTO_TCP)
		header_bytes = sizeof(struct tcphdr);
	if (protocol == IPPROTO_SCTP)
		header_bytes = sizeof(struct sctp_header);
	return (offset && offset < header_bytes) || end > IP_PACKET_BYTES;
}

/* Checks IPv4 options. Returns UNDECIDED, SOURCE_ROUTED if there is a source route that is not at its end, or
 * MALFORMED_IPV4 if an option's length lies. */
__noinline int ipv4_options(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	__u8 options[IPV4_OPTION_BYTES + 24] = {};
	__u32 at = 0;

	if (bytes < 4 || bytes > IPV4_OPTION_BYTES || bpf_xdp_load_bytes(ctx, offset, options, bytes))
		return SLUICE_REASON_MALFORMED_IPV4;
	for (int i = 0; i < IPV4_OPTION_BYTES; i++) {
		__u8 type, length;

		/* The verifier must know the same about it in each round. */
		asm volatile("" : "+r"(at));
		at &= 63;
		if (at >= bytes || at > IPV4_OPTION_BYTES)
			return UNDECIDED;
		type = options[at];
		if (type == IPV4_OPTION_END)
			return UNDECIDED;
		if (type == IPV4_OPTION_NOTHING) {
			++at;
			continue;
		}
		length = options[at + 1];
		if (length < 2 || at + length > bytes)
			return SLUICE_REASON_MALFORMED_IPV4;
		if (type == IPV4_OPTION_LOOSE_ROUTE || type == IPV4_OPTION_STRICT_ROUTE) {
			if (length < 3)
				return SLUICE_REASON_MALFORMED_IPV4;
			if (options[at + 2] <= length)
				return SLUICE_REASON_SOURCE_ROUTED;
		}
		at += length;
	}
	return UNDECIDED;
}

static __always_inline void parse_ipv4_rest(struct packet *p, struct xdp_md *ctx, const struct iphdr *ip)
{
	__u32 header_bytes = ip->ihl * 4, fragment_offset = (bpf_ntohs(ip->frag_off) & IPV4_FRAGMENT_OFFSET) * 8;

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
	if (p->defect != UNDECIDED)
		return;
	if (header_bytes > sizeof(*ip))
		p->defect = ipv4_options(ctx, p->l3_offset + sizeof(*ip), header_bytes - sizeof(*ip));
	if (p->fragment && p->defect == UNDECIDED &&
	    fragment_is_bad(p->protocol, fragment_offset, fragment_offset + p->l3_bytes))
		p->defect = SLUICE_REASON_BAD_FRAGMENT;
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
	place.end = p->l3_offset + p->l3_bytes;
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
	if (p->fragment && p->defect == UNDECIDED &&
	    fragment_is_bad(p->protocol, place.fragment_offset, place.fragment_offset + p->l4_bytes))
		p->defect = SLUICE_REASON_BAD_FRAGMENT;
}

/* Fills the tuple's addresses. False: the fixed header is incomplete, so the packet has no destination that could be
 * ours. */
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
	if (tcp->doff * 4 < p->l4_bytes)
		p->signals |= SIGNAL_DATA;
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
	/* The UDP length of a first fragment is that of the whole datagram. */
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
	case SCTP_DATA:
	case SCTP_I_DATA:
		return SIGNAL_DATA | SIGNAL_CONFIRMS;
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
	/* Receivers ignore such packets (RFC 9260, 8.5.1). */
	if ((sctp->chunk_type == SCTP_INIT) != (sctp->verification_tag == 0))
		p->defect = SLUICE_REASON_SCTP_TAG;
	return true;
}

/* Fills the rest of the tuple and the signals. False: there are no ports, so there is no flow to look up. */
static __always_inline bool parse_l4(struct packet *p, struct xdp_md *ctx)
{
	__u32 bytes;
	int lies;

	switch (p->protocol) {
	case IPPROTO_TCP:
		if (parse_tcp(p, ctx))
			return true;
		lies = SLUICE_REASON_MALFORMED_TCP;
		bytes = sizeof(struct tcphdr);
		break;
	case IPPROTO_UDP:
		if (parse_udp(p, ctx))
			return true;
		lies = SLUICE_REASON_MALFORMED_UDP;
		bytes = sizeof(struct udphdr);
		break;
	case IPPROTO_SCTP:
		if (parse_sctp(p, ctx))
			return true;
		lies = SLUICE_REASON_MALFORMED_SCTP;
		bytes = sizeof(struct sctp_header);
		break;
	default:
		return false;
	}
	p->defect = reason_out_of_reach(0, bytes, p->l4_bytes, lies);
	return false;
}

#endif
