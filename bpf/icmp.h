/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ICMP errors about packets of known flows. They are translated and delivered to the packet's sender, so that path MTU
 * discovery and traceroute work through the load balancer (RFC 5508, 4).
 *
 * The message quotes the packet's IP header and at least 8 bytes of what follows (RFC 792; RFC 4443, 2.4 (c)). With
 * source and destination exchanged, the quoted packet belongs to the flow's other direction, so one lookup finds the
 * receiver and the translation of every address and port. */
#ifndef SLUICE_BPF_ICMP_H
#define SLUICE_BPF_ICMP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/forward.h"
#include "bpf/journey.h"
#include "bpf/parse.h"
#include "bpf/protocols.h"
#include "bpf/proxy.h"
#include "bpf/vip.h"
#include "maps/reasons.h"

#define ICMP4_PARAMETER_PROBLEM 12
#define ICMP6_PARAMETER_PROBLEM 4
#define ICMP_QUOTED_L4_BYTES 8

static __always_inline __u32 icmp_protocol(int family)
{
	return family == FAMILY4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static __always_inline bool is_icmp_error(int family, __u8 type)
{
	if (family == FAMILY4)
		return type == ICMP4_UNREACHABLE || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER_PROBLEM;
	return type >= ICMP6_UNREACHABLE && type <= ICMP6_PARAMETER_PROBLEM;
}

static __always_inline __u32 flow_protocol(__u32 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return SLUICE_FLOW_TCP;
	case IPPROTO_UDP:
		return SLUICE_FLOW_UDP;
	case IPPROTO_SCTP:
		return SLUICE_FLOW_SCTP;
	default:
		return 0;
	}
}

/* The places of the quoted packet and its L4 header. */
struct quote {
	__u32 l3_offset; /* in the frame */
	__u32 l4_offset;
	__u32 protocol;
};

/* Finds the quoted packet's ports. Returns UNDECIDED, SLUICE_REASON_MALFORMED_ICMP, or another reason if it has none
 * or they are beyond the limit of parsing. */
static __always_inline int parse_quote(int family, struct xdp_md *ctx, const struct packet *p, struct quote *quote)
{
	struct l4_place place = {.defect = UNDECIDED, .end = p->l3_offset + p->l3_bytes};
	__u32 end = p->l3_offset + p->l3_bytes;
	void *l3;

	quote->l3_offset = p->l4_offset + sizeof(struct icmp_header);
	l3 = packet_at(ctx, quote->l3_offset, ip_header_bytes(family));
	if (!l3 || quote->l3_offset + ip_header_bytes(family) > end)
		return reason_out_of_reach(quote->l3_offset, ip_header_bytes(family), end,
					   SLUICE_REASON_MALFORMED_ICMP);
	if (family == FAMILY4) {
		const struct iphdr *ip = l3;

		if (ip->version != 4 || ip->ihl < 5)
			return SLUICE_REASON_MALFORMED_ICMP;
		if (ip->frag_off & bpf_htons(IPV4_FRAGMENT_OFFSET))
			return SLUICE_REASON_ICMP_NO_FLOW;
		place.offset = quote->l3_offset + ip->ihl * 4;
		place.protocol = ip->protocol;
	} else {
		const struct ipv6hdr *ip = l3;

		if (ip->version != 6)
			return SLUICE_REASON_MALFORMED_ICMP;
		place.offset = quote->l3_offset + sizeof(*ip);
		place.protocol = ip->nexthdr;
		if (!is_l4_of_ipv6(place.protocol))
			ipv6_extensions(ctx, &place);
		if (place.defect == SLUICE_REASON_MALFORMED_IPV6)
			return SLUICE_REASON_MALFORMED_ICMP;
		if (place.defect == SLUICE_REASON_HEADERS_TOO_LONG)
			return place.defect;
		if (place.defect != UNDECIDED || place.fragment == FRAGMENT_LATER)
			return SLUICE_REASON_ICMP_NO_FLOW;
	}
	quote->l4_offset = place.offset;
	quote->protocol = place.protocol;
	if (!flow_protocol(place.protocol))
		return SLUICE_REASON_ICMP_NO_FLOW;
	if (place.offset + ICMP_QUOTED_L4_BYTES > end)
		return SLUICE_REASON_MALFORMED_ICMP;
	/* All bytes that will be translated must be there; of an incomplete header, these are the ports. */
	if (!packet_at(ctx, place.offset, ICMP_QUOTED_L4_BYTES) ||
	    (place.offset + L4_HEADER_BYTES <= end && !packet_at(ctx, place.offset, L4_HEADER_BYTES)))
		return SLUICE_REASON_HEADERS_TOO_LONG;
	return UNDECIDED;
}

/* Translates the quoted L4 header; returns the change of the message's own checksum if the quoted checksum changes
 * by `change`. */
static __always_inline __u64 translate_quoted_l4(struct xdp_md *ctx, __u32 offset, __u32 protocol, __u64 change)
{
	__u16 *checksum, before;

	if (protocol == IPPROTO_SCTP)
		return 0;
	checksum = packet_at(ctx, offset + (protocol == IPPROTO_UDP ? 6 : 16), sizeof(*checksum));
	if (!checksum)
		return 0;
	before = *checksum;
	if (protocol == IPPROTO_UDP)
		udp_checksum_apply(checksum, change);
	else
		checksum_apply(checksum, change);
	return checksum_change16(before, *checksum);
}

/* Undoes the translation of the quoted packet; returns the change of the message's checksum. */
static __always_inline __u64 translate_quote(int family, struct xdp_md *ctx, const struct quote *quote,
					     const struct tuple *turned, const struct flow *flow, __u32 end)
{
	void *l3 = packet_at(ctx, quote->l3_offset, ip_header_bytes(family)), *addresses = l3 + addresses_offset(family);
	__u32 *ports_at = packet_at(ctx, quote->l4_offset, ICMP_QUOTED_L4_BYTES);
	__u32 old_ports = (__u32)turned->source_port << 16 | turned->destination_port;
	__u32 new_ports = (__u32)flow->new_source_port << 16 | flow->new_destination_port;
	__u64 change, ports, sum;

	if (!l3 || !ports_at)
		return 0;
	change = address_change_far(family, &turned->destination, &flow->new_destination) +
		 address_change_far(family, &turned->source, &flow->new_source);
	address_store(family, addresses, &flow->new_destination);
	address_store(family, addresses + address_bytes(family), &flow->new_source);
	ports = checksum_change32(old_ports, new_ports);
	*ports_at = new_ports;
	sum = change + ports;
	if (family == FAMILY4) {
		__u16 *check = &((struct iphdr *)l3)->check, before = *check;

		checksum_apply(check, change);
		sum += checksum_change16(before, *check);
	}
	/* A frame may be padded, so only bytes of the message are translated. */
	if (quote->protocol == IPPROTO_TCP && quote->l4_offset + sizeof(struct tcphdr) - 2 > end)
		return sum;
	return sum + translate_quoted_l4(ctx, quote->l4_offset, quote->protocol, change + ports);
}

/* Translates the outer header and the message's checksum. */
static __always_inline void translate_message(int family, struct xdp_md *ctx, const struct packet *p,
					      const struct flow *flow, __u64 quote_change)
{
	void *l3 = ip_header(family, ctx, p), *addresses = l3 + addresses_offset(family);
	struct icmp_header *icmp = packet_at(ctx, p->l4_offset, sizeof(*icmp));
	/* The error's source becomes the VIP (RFC 5508, REQ-5 c): the receiver may not know routers on the other
	 * side, and a router that is on both sides would take its own address for a forgery. Only a member that sees
	 * the client's address sees the routers' addresses, too. */
	bool named = to_client(flow) || !(flow->state & SLUICE_FLOW_KEEPS_CLIENT) || snat_member(family, flow->state);
	bool direct = address_equal(family, &p->tuple.destination, &flow->new_destination);
	__u64 change = 0;

	if (!l3 || !icmp)
		return;
	if (named) {
		change += address_change_far(family, &p->tuple.source, &flow->new_source);
		address_store(family, addresses, &flow->new_source);
	}
	if (!direct) {
		change += address_change_far(family, &p->tuple.destination, &flow->new_destination);
		address_store(family, addresses + address_bytes(family), &flow->new_destination);
	}
	if (family == FAMILY4)
		checksum_apply(&((struct iphdr *)l3)->check, change);
	else
		quote_change += change; /* the checksum covers the pseudo header */
	checksum_apply(&icmp->checksum, quote_change);
}

/* Finds the quoted packet's tuple with source and destination exchanged. */
static __always_inline bool turned_quote(int family, struct xdp_md *ctx, const struct quote *quote, struct tuple *t)
{
	void *l3 = packet_at(ctx, quote->l3_offset, ip_header_bytes(family)), *addresses = l3 + addresses_offset(family);
	__be16 *ports = packet_at(ctx, quote->l4_offset, ICMP_QUOTED_L4_BYTES);

	if (!l3 || !ports)
		return false;
	*t = (struct tuple){
		.destination = address_load(family, addresses),
		.source = address_load(family, addresses + address_bytes(family)),
		.destination_port = ports[0],
		.source_port = ports[1],
		.protocol = flow_protocol(quote->protocol),
	};
	return true;
}

/* Says whether a packet to a member could not be delivered, for another reason than its size. */
static __always_inline bool says_unreachable(int family, struct xdp_md *ctx, const struct packet *p)
{
	struct icmp_header *icmp = packet_at(ctx, p->l4_offset, sizeof(*icmp));

	if (!icmp)
		return false;
	return family == FAMILY4 ? icmp->type == ICMP4_UNREACHABLE && icmp->code != ICMP4_CODE_FRAGMENTATION_NEEDED
				 : icmp->type == ICMP6_UNREACHABLE;
}

/* Delivers an ICMP error about a packet of this flow. */
static __always_inline int deliver_error(int family, struct packet *p, struct xdp_md *ctx, struct flow *flow,
					 const struct quote *quote, const struct tuple *turned)
{
	struct way way;
	__u64 change = 0;
	int why;

	if (ttl(family, ctx, p) <= 1)
		return SLUICE_REASON_TTL_EXCEEDED;
	why = find_way(family, ctx, turned, flow, &way);
	if (is_no_way(why))
		return why;
	if (kernel_would_lose(family, turned, flow, &way) && !way.hop)
		return SLUICE_REASON_MEMBER_UNRESOLVED;
	count_flow_packet(flow->state, ETH_HLEN + p->l3_bytes);
	if (to_client(flow) && says_unreachable(family, ctx, p) && on_members_side(flow->state, ctx->ingress_ifindex))
		suspect_member(flow->state, SLUICE_FAILURE_UNREACHABLE);
	if (lowers_ttl(&way))
		lower_ttl(family, ctx, p);
	if (is_translated(family, turned, flow))
		change = translate_quote(family, ctx, quote, turned, flow, p->l3_offset + p->l3_bytes);
	if (quote->protocol == IPPROTO_TCP && to_client(flow) && !(flow->state & SLUICE_FLOW_ESTABLISHED))
		change += family == FAMILY4 ? show_quoted4(ctx, quote->l4_offset) : show_quoted6(ctx, quote->l4_offset);
	translate_message(family, ctx, p, flow, change);
	if (family == FAMILY6 && is_mapped(&flow->new_destination))
		return leave_by_ipv4(&way, way.hop ? SLUICE_REASON_ICMP_FORWARDED : SLUICE_REASON_NEXT_HOP_UNRESOLVED);
	if (!send_by(family, p, ctx, &way))
		return SLUICE_REASON_NO_HEADROOM;
	return way.hop ? SLUICE_REASON_ICMP_FORWARDED : SLUICE_REASON_NEXT_HOP_UNRESOLVED;
}

/* Decides on an error that is not about our packets, with the reason `why`. */
static __always_inline int error_without_flow(int family, const struct packet *p, int why)
{
	const struct sluice_vip *vip = vip_find(family, &p->tuple.destination);

	if (!vip)
		return SLUICE_REASON_NOT_OURS;
	return vip->flags & SLUICE_VIP_UP ? why : SLUICE_REASON_VIP_DOWN;
}

/* Decides on an error about an IPv4 packet that is not of an IPv4 flow. It may be of a connection whose other end speaks
 * IPv6. */
static __always_inline int error_of_other_version(const struct packet *p, const union sluice_address *sender)
{
	const struct sluice_vip *vip = vip_find(FAMILY4, &p->tuple.destination);
	bool is_senders = address_equal(FAMILY4, &p->tuple.destination, sender);

	if (!vip || !(vip->flags & SLUICE_VIP_MIXED) || !quoted_is_known6())
		return error_without_flow(FAMILY4, p, SLUICE_REASON_ICMP_NO_FLOW);
	if (!is_senders)
		return error_without_flow(FAMILY4, p, SLUICE_REASON_ICMP_MISDIRECTED);
	return source_is_martian(FAMILY4, p) ? SLUICE_REASON_MARTIAN_SOURCE : NEXT_TO_IPV6;
}

static __always_inline int error_in(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct quote quote = {};
	struct packet *p;
	int why;

	if (!journey)
		return SLUICE_REASON_MALFORMED_ICMP;
	p = &journey->packet;
	why = parse_quote(family, ctx, p, &quote);
	if (why != UNDECIDED)
		return error_without_flow(family, p, why);
	if (!turned_quote(family, ctx, &quote, &journey->quoted))
		return error_without_flow(family, p, SLUICE_REASON_MALFORMED_ICMP);
	if (!flow_find_far(family, &journey->quoted, &journey->flow)) {
		if (flow_is_crossing && !journey->asked)
			return NEXT_ASK_FORMER;
		return family == FAMILY4 ? error_of_other_version(p, &journey->quoted.destination)
					 : error_without_flow(family, p, SLUICE_REASON_ICMP_NO_FLOW);
	}
	/* An error goes to the packet's sender. Errors to the host's own address are the host's. */
	if (!address_equal(family, &p->tuple.destination, &journey->quoted.destination))
		return error_without_flow(family, p, SLUICE_REASON_ICMP_MISDIRECTED);
	if (source_is_martian(family, p))
		return SLUICE_REASON_MARTIAN_SOURCE;
	return deliver_error(family, p, ctx, &journey->flow, &quote, &journey->quoted);
}

/* Handles an ICMP error, whether it is about a flow or not. */
__noinline int icmp_error4(struct xdp_md *ctx)
{
	return error_in(FAMILY4, ctx);
}

__noinline int icmp_error6(struct xdp_md *ctx)
{
	return error_in(FAMILY6, ctx);
}

#endif
