/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections whose member has another IP version than the VIP: IP/ICMP translation (RFC 7915).
 *
 * Problem. Such a connection has packets of both IP versions, and its two slots would belong to two tables. Whatever
 * looks for the other slot (eviction, the sweeps, records, replicas) would have to know both.
 *
 * Formulation. Within Sluice it is an IPv6 connection with SNAT, whose IPv4 addresses are mapped: ::ffff:10.0.0.4. An
 * IPv4 packet of such a connection becomes an IPv6 packet before anything else is done with it (to_ipv6()), and an IPv6
 * packet that goes to a mapped address becomes an IPv4 packet after all else is done with it (to_ipv4()). All stages in
 * between, and all that walk over the tables, treat it as any other IPv6 packet, answers of our own and ICMP errors too.
 *
 * Why mapped addresses: a checksum over them is the one over the IPv4 addresses, so TCP's and UDP's needn't be touched
 * here. And no host sends them, so a packet from the wire with such a destination isn't ours.
 *
 * Who pays: an IPv4 packet without a flow is looked for among the IPv6 flows if its VIP says so (SLUICE_VIP_MIXED). Such
 * connections have next hops of their own, which the fast path leaves alone (SLUICE_NEXT_HOP_SPECIAL). Others pay nothing.
 *
 * MTUs. A next hop to a mapped address has the MTU that counts for the IPv6 packet, 20 bytes more. The MSS needs no
 * change: it says what fits the link of its sender, in bytes of payload. */
#ifndef SLUICE_BPF_OTHER_VERSION_H
#define SLUICE_BPF_OTHER_VERSION_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/answer.h"
#include "bpf/connect.h"
#include "bpf/fragment.h"
#include "bpf/frame.h"
#include "bpf/icmp.h"
#include "bpf/journey.h"
#include "bpf/partial_checksum.h"

/* Packets up to this length (RFC 7915, 5.1) may be fragmented behind us, because an IPv6 sender can't be told a smaller MTU. */
#define MAY_BE_FRAGMENTED_UP_TO 1260
#define SMALLEST_IPV6_MTU 1280

/* RFC 792, RFC 1812, RFC 4443. */
#define ICMP4_CODE_PROTOCOL 2
#define ICMP4_CODE_HOST 1
#define ICMP4_CODE_NETWORK_PROHIBITED 9
#define ICMP4_CODE_HOST_PROHIBITED 10
#define ICMP4_CODE_PROHIBITED 13
#define ICMP4_CODE_PRECEDENCE 15
#define ICMP4_CODES_TRANSLATED 16
#define ICMP4_CODE_PRECEDENCE_VIOLATION 14
#define ICMP6_CODE_PROHIBITED 1
#define ICMP6_CODE_NEXT_HEADER 1
#define ICMP6_NEXT_HEADER_AT 6 /* in the IPv6 header */

/* Headers while the frame's beginning moves: Ethernet header and tags, the IP header, and the one that an ICMP error
 * quotes. They are too much for the stack. */
struct old_headers {
	__u16 link[(ETH_HLEN + SLUICE_MAX_TAGS * VLAN_TAG_BYTES) / 2];
	__u16 zero;
	struct icmp_header icmp;
	struct ipv6hdr ip;
	struct ipv6hdr quoted;
	struct iphdr quoted4;
	struct fragment_header fragment;
	__u8 tos;
	__u8 ttl;
};
SLUICE_STATIC_ASSERT(sizeof(struct old_headers) <= sizeof(((struct scratch *)0)->headers));

/* Loads what a frame begins with. */
static __always_inline struct old_headers *old_headers_get(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&local_scratch, &zero);
	const __u16 *frame = packet_at(ctx, 0, sizeof(((struct old_headers *)0)->link));
	struct old_headers *old;

	if (!scratch || !frame)
		return NULL;
	old = (struct old_headers *)scratch->headers;
	for (__u32 i = 0; i < sizeof(old->link) / 2; i++)
		old->link[i] = frame[i];
	return old;
}

/* Writes the frame's first `bytes`, whose last two are the ethertype. */
static __always_inline bool link_header_store(struct xdp_md *ctx, __u32 bytes, const struct old_headers *old, __be16 type)
{
	__u16 *frame = packet_at(ctx, 0, sizeof(old->link));

	if (!frame)
		return false;
	for (__u32 i = 0; i < sizeof(old->link) / 2; i++) {
		if (2 * i + 2 < bytes)
			frame[i] = old->link[i];
		else if (2 * i + 2 == bytes)
			frame[i] = type;
	}
	return true;
}

/* The contribution of words that go away. */
static __always_inline __u64 sum_without(const __u32 *words, int count)
{
	__u64 sum = 0;

	for (int i = 0; i < count; i++)
		sum += (__u32)~words[i];
	return sum;
}

static __always_inline __u64 sum_of(const __u32 *words, int count)
{
	__u64 sum = 0;

	for (int i = 0; i < count; i++)
		sum += words[i];
	return sum;
}

/* The sum of an ICMPv6 message's pseudo header (RFC 8200, 8.1). */
static __always_inline __u64 icmp6_pseudo_sum(const struct ipv6hdr *ip)
{
	return sum_of((const __u32 *)&ip->saddr, 8) + ip->payload_len + bpf_htons(IPPROTO_ICMPV6);
}

static __always_inline void write_ipv6(struct ipv6hdr *ip, __u8 traffic_class, __u32 payload_bytes, __u8 next_header,
				       __u8 hop_limit, __be32 source, __be32 destination)
{
	const union sluice_address from = mapped(source), to = mapped(destination);

	*(__be32 *)ip = bpf_htonl(6U << 28 | (__u32)traffic_class << 20);
	ip->payload_len = bpf_htons(payload_bytes);
	ip->nexthdr = next_header;
	ip->hop_limit = hop_limit;
	address_store(FAMILY6, &ip->saddr, &from);
	address_store(FAMILY6, &ip->daddr, &to);
}

/* An IPv4 header's second word: the id and the fragment field. */
static __always_inline __u32 fragment_word(__be16 id, __u16 field)
{
	return (__u32)bpf_htons(field) << 16 | id;
}
#define NEVER_FRAGMENTED fragment_word(0, IPV4_DONT_FRAGMENT)

/* RFC 7915, 5.1: a packet that an IPv6 sender can't make shorter may be fragmented, so it needs an id. */
static __always_inline __u32 fragment_word_of_whole(__u32 bytes)
{
	return bytes <= MAY_BE_FRAGMENTED_UP_TO ? fragment_word(bpf_get_prandom_u32(), 0) : NEVER_FRAGMENTED;
}

static __always_inline __u32 fragment_to_ipv4(const struct fragment_header *from)
{
	__u16 field = bpf_ntohs(from->field);

	return fragment_word(bpf_htons(bpf_ntohl(from->id)), field >> 3 | (field & IPV6_MORE_FRAGMENTS ? IPV4_MORE_FRAGMENTS : 0));
}

static __always_inline struct fragment_header fragment_to_ipv6(const struct iphdr *from)
{
	__u16 field = bpf_ntohs(from->frag_off);

	return (struct fragment_header){
		.next_header = from->protocol,
		.field = bpf_htons(field << 3 | (field & IPV4_MORE_FRAGMENTS ? IPV6_MORE_FRAGMENTS : 0)),
		.id = bpf_htonl(bpf_ntohs(from->id)),
	};
}

static __always_inline void write_ipv4(struct iphdr *ip, const struct ipv6hdr *from, __u32 bytes, __u8 protocol,
				       __u32 fragment)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = bpf_ntohl(*(const __be32 *)from) >> 20,
		.tot_len = bpf_htons(bytes),
		.id = fragment,
		.frag_off = fragment >> 16,
		.ttl = from->hop_limit,
		.protocol = protocol,
		.saddr = from->saddr.in6_u.u6_addr32[3],
		.daddr = from->daddr.in6_u.u6_addr32[3],
	};
	ip->check = ipv4_header_checksum(ip);
}

/* Gives a UDP datagram without a checksum, which IPv6 doesn't permit, one (RFC 7915, 4.5). False: it is too long, or not all
 * here. */
static __always_inline bool complete_udp(struct xdp_md *ctx, const struct packet *p)
{
	struct segment_sum s = {.ctx = ctx, .offset = p->l4_offset};
	struct udphdr *udp = packet_at(ctx, p->l4_offset, sizeof(*udp));

	if (!udp || udp->check)
		return udp;
	s.bytes = bpf_ntohs(udp->len);
	if (p->fragment || s.bytes > SUMMED_WORDS * sizeof(__u32))
		return false;
	s.sum = (__u64)p->tuple.source.ipv4 + p->tuple.destination.ipv4 + bpf_htonl(s.bytes) + bpf_htonl(IPPROTO_UDP);
	bpf_loop(SUMMED_WORDS + 1, add_word, &s, 0);
	udp = packet_at(ctx, p->l4_offset, sizeof(*udp));
	if (!udp || s.summed != s.bytes)
		return false;
	udp->check = ~checksum_fold(s.sum);
	if (!udp->check)
		udp->check = 0xffff;
	return true;
}

/* Translates type, code and MTU (RFC 7915, 4.2). False: IPv6 has no such message. */
static __always_inline bool icmp_to_ipv6(struct icmp_header *icmp)
{
	__u32 mtu = bpf_ntohl(icmp->rest) & 0xffff;
	__u8 type = icmp->type, code = icmp->code;

	icmp->rest = 0;
	icmp->code = 0;
	if (type == ICMP4_TIME_EXCEEDED) {
		icmp->type = ICMP6_TIME_EXCEEDED;
		icmp->code = code;
		return true;
	}
	if (type != ICMP4_UNREACHABLE || code >= ICMP4_CODES_TRANSLATED || code == ICMP4_CODE_PRECEDENCE_VIOLATION)
		return false;
	icmp->type = ICMP6_UNREACHABLE;
	switch (code) {
	case ICMP4_CODE_FRAGMENTATION_NEEDED:
		mtu += IPV6_IS_LONGER;
		icmp->type = ICMP6_TOO_BIG;
		icmp->rest = bpf_htonl(mtu < SMALLEST_IPV6_MTU ? SMALLEST_IPV6_MTU : mtu);
		break;
	case ICMP4_CODE_PROTOCOL:
		icmp->type = ICMP6_PARAMETER_PROBLEM;
		icmp->code = ICMP6_CODE_NEXT_HEADER;
		icmp->rest = bpf_htonl(ICMP6_NEXT_HEADER_AT);
		break;
	case ICMP4_CODE_PORT:
		icmp->code = ICMP6_CODE_PORT;
		break;
	case ICMP4_CODE_NETWORK_PROHIBITED:
	case ICMP4_CODE_HOST_PROHIBITED:
	case ICMP4_CODE_PROHIBITED:
	case ICMP4_CODE_PRECEDENCE:
		icmp->code = ICMP6_CODE_PROHIBITED;
		break;
	default:
		break;
	}
	return true;
}

/* The other way (RFC 7915, 5.2). An IPv6 fragment is longer by its header, too: `fragment_bytes`. */
static __always_inline bool icmp_to_ipv4(struct icmp_header *icmp, __u32 fragment_bytes)
{
	__u32 mtu = bpf_ntohl(icmp->rest);
	__u8 type = icmp->type, code = icmp->code;

	icmp->rest = 0;
	icmp->type = ICMP4_UNREACHABLE;
	icmp->code = ICMP4_CODE_HOST;
	switch (type) {
	case ICMP6_UNREACHABLE:
		if (code == ICMP6_CODE_PROHIBITED)
			icmp->code = ICMP4_CODE_HOST_PROHIBITED;
		else if (code == ICMP6_CODE_PORT)
			icmp->code = ICMP4_CODE_PORT;
		return code <= ICMP6_CODE_PORT;
	case ICMP6_TOO_BIG:
		mtu -= IPV6_IS_LONGER + fragment_bytes;
		icmp->code = ICMP4_CODE_FRAGMENTATION_NEEDED;
		icmp->rest = bpf_htonl(mtu > 0xffff ? 0xffff : mtu);
		return true;
	case ICMP6_TIME_EXCEEDED:
		icmp->type = ICMP4_TIME_EXCEEDED;
		icmp->code = code;
		return true;
	case ICMP6_PARAMETER_PROBLEM:
		icmp->code = ICMP4_CODE_PROTOCOL;
		return code == ICMP6_CODE_NEXT_HEADER;
	default:
		return false;
	}
}

/* Makes an ICMPv6 error of an ICMPv4 one, whose quoted header has no options. A quoted fragment is the first one, because
 * others have no ports. */
static __always_inline int error_to_ipv6(struct xdp_md *ctx, const struct packet *p)
{
	__u32 l2_bytes = p->l3_offset, header_bytes = p->l4_offset - p->l3_offset;
	__u32 grows = 2 * sizeof(struct ipv6hdr) - sizeof(struct iphdr) - header_bytes, fragment_bytes = 0;
	const struct iphdr *ip = packet_at(ctx, p->l3_offset, sizeof(*ip));
	struct old_headers *old = old_headers_get(ctx);
	struct {
		struct icmp_header icmp;
		struct iphdr quoted;
	} *was = packet_at(ctx, p->l4_offset, sizeof(*was));
	struct {
		struct ipv6hdr ip;
		struct icmp_header icmp;
		struct ipv6hdr quoted;
		struct fragment_header fragment;
	} *made;
	__u64 change;

	if (!old || !ip || !was || was->quoted.ihl != 5)
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	if (was->quoted.frag_off & bpf_htons(IPV4_MORE_FRAGMENTS))
		fragment_bytes = sizeof(old->fragment);
	old->quoted4 = was->quoted;
	old->fragment = fragment_to_ipv6(&was->quoted);
	old->icmp = was->icmp;
	old->tos = ip->tos;
	old->ttl = ip->ttl;
	change = (__u16)~old->icmp.checksum;
	old->icmp.checksum = 0;
	change += sum_without((const __u32 *)&old->icmp, 2) + sum_without((const __u32 *)&old->quoted4, 5);
	if (!icmp_to_ipv6(&old->icmp))
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	if (bpf_xdp_adjust_head(ctx, -(int)(grows + fragment_bytes)))
		return SLUICE_REASON_NO_HEADROOM;
	made = packet_at(ctx, l2_bytes, sizeof(*made)); /* ports follow the quoted header, so there are as many bytes */
	if (!made)
		return SLUICE_REASON_MALFORMED_ICMP;
	write_ipv6(&made->ip, old->tos, p->l4_bytes + IPV6_IS_LONGER + fragment_bytes, IPPROTO_ICMPV6, old->ttl,
		   p->tuple.source.ipv4, p->tuple.destination.ipv4);
	write_ipv6(&made->quoted, old->quoted4.tos, bpf_ntohs(old->quoted4.tot_len) - sizeof(struct iphdr) + fragment_bytes,
		   fragment_bytes ? IPPROTO_FRAGMENT : old->quoted4.protocol, old->quoted4.ttl, old->quoted4.saddr,
		   old->quoted4.daddr);
	made->icmp = old->icmp;
	if (fragment_bytes) {
		made->fragment = old->fragment;
		change += sum_of((const __u32 *)&made->fragment, 2);
	}
	change += sum_of((const __u32 *)&made->icmp, 2) + sum_of((const __u32 *)&made->quoted, 10) + icmp6_pseudo_sum(&made->ip);
	made->icmp.checksum = ~checksum_fold(change);
	return link_header_store(ctx, l2_bytes, old, bpf_htons(ETH_P_IPV6)) ? UNDECIDED : SLUICE_REASON_MALFORMED_ICMP;
}

/* Makes an IPv6 packet of an IPv4 packet; its options are left out (RFC 7915, 4.1). */
static __always_inline int packet_to_ipv6(struct xdp_md *ctx, const struct packet *p)
{
	__u32 l2_bytes = p->l3_offset, header_bytes = p->l4_offset - p->l3_offset;
	__u32 fragment_bytes = p->fragment ? sizeof(struct fragment_header) : 0;
	const struct iphdr *was = packet_at(ctx, p->l3_offset, sizeof(*was));
	struct old_headers *old = old_headers_get(ctx);
	struct {
		struct ipv6hdr ip;
		struct fragment_header fragment;
	} *made;

	if (!was || !old)
		return SLUICE_REASON_MALFORMED_IPV4;
	old->tos = was->tos;
	old->ttl = was->ttl;
	old->fragment = fragment_to_ipv6(was);
	if (bpf_xdp_adjust_head(ctx, (int)header_bytes - (int)sizeof(made->ip) - (int)fragment_bytes))
		return SLUICE_REASON_NO_HEADROOM;
	made = packet_at(ctx, l2_bytes, sizeof(*made)); /* whole packets have L4 headers of as many bytes */
	if (!made)
		return SLUICE_REASON_MALFORMED_IPV4;
	write_ipv6(&made->ip, old->tos, p->l4_bytes + fragment_bytes, fragment_bytes ? IPPROTO_FRAGMENT : p->protocol, old->ttl,
		   p->tuple.source.ipv4, p->tuple.destination.ipv4);
	if (fragment_bytes)
		made->fragment = old->fragment;
	return link_header_store(ctx, l2_bytes, old, bpf_htons(ETH_P_IPV6)) ? UNDECIDED : SLUICE_REASON_MALFORMED_IPV4;
}

/* Makes an IPv6 packet of the IPv4 packet under way. Returns UNDECIDED, or why it can't be. */
__noinline int to_ipv6(struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct packet *p;

	if (!journey)
		return SLUICE_REASON_MALFORMED_IPV4;
	p = &journey->packet;
	if (!header_sum_is_right(FAMILY4, ctx, p))
		return SLUICE_REASON_IPV4_CHECKSUM;
	journey->was_ipv4 = true;
	if (p->protocol == IPPROTO_ICMP)
		return error_to_ipv6(ctx, p);
	if (p->protocol == IPPROTO_UDP && p->fragment != FRAGMENT_LATER && !complete_udp(ctx, p))
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	/* So that those after it come here, too. */
	if (p->fragment == FRAGMENT_FIRST)
		fragment_remember(FAMILY4, p);
	return packet_to_ipv6(ctx, p);
}

/* Makes an ICMPv4 error of an ICMPv6 one about a packet without extension headers, but for a first fragment's. */
static __always_inline int error_to_ipv4(struct xdp_md *ctx, __u32 l2_bytes, __u32 l4_offset)
{
	const struct ipv6hdr *ip = packet_at(ctx, l2_bytes, sizeof(*ip));
	struct old_headers *old = old_headers_get(ctx);
	struct {
		struct icmp_header icmp;
		struct ipv6hdr quoted;
		struct fragment_header fragment;
	} *was = packet_at(ctx, l4_offset, sizeof(*was)); /* ports follow the quoted header, so there are as many bytes */
	struct {
		struct iphdr ip;
		struct icmp_header icmp;
		struct iphdr quoted;
	} *made;
	__u32 message_bytes, fragment_bytes = 0;
	__u64 change;

	if (!old || !ip || !was)
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	if (was->quoted.nexthdr == IPPROTO_FRAGMENT)
		fragment_bytes = sizeof(was->fragment);
	old->fragment = was->fragment;
	if (!flow_protocol(fragment_bytes ? was->fragment.next_header : was->quoted.nexthdr))
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	old->ip = *ip;
	old->icmp = was->icmp;
	old->quoted = was->quoted;
	message_bytes = bpf_ntohs(old->ip.payload_len) - (l4_offset - l2_bytes - sizeof(*ip));
	old->ip.payload_len = bpf_htons(message_bytes);
	change = (__u16)~old->icmp.checksum;
	old->icmp.checksum = 0;
	change += sum_without((const __u32 *)&old->icmp, 2) + sum_without((const __u32 *)&old->quoted, 10) +
		  sum_without((const __u32 *)&old->ip.saddr, 8) + (__u16)~old->ip.payload_len +
		  (__u16)~bpf_htons(IPPROTO_ICMPV6);
	if (fragment_bytes)
		change += sum_without((const __u32 *)&old->fragment, 2);
	if (!icmp_to_ipv4(&old->icmp, fragment_bytes))
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	if (bpf_xdp_adjust_head(ctx, (int)(l4_offset - l2_bytes + sizeof(struct ipv6hdr) + fragment_bytes) -
					     2 * (int)sizeof(struct iphdr)))
		return SLUICE_REASON_NO_HEADROOM;
	made = packet_at(ctx, l2_bytes, sizeof(*made));
	if (!made)
		return SLUICE_REASON_MALFORMED_ICMP;
	message_bytes += sizeof(made->ip) - IPV6_IS_LONGER - fragment_bytes;
	write_ipv4(&made->ip, &old->ip, message_bytes, IPPROTO_ICMP, fragment_word_of_whole(message_bytes));
	write_ipv4(&made->quoted, &old->quoted, bpf_ntohs(old->quoted.payload_len) - fragment_bytes + sizeof(made->quoted),
		   fragment_bytes ? old->fragment.next_header : old->quoted.nexthdr,
		   fragment_bytes ? fragment_to_ipv4(&old->fragment) : NEVER_FRAGMENTED);
	made->icmp = old->icmp;
	change += sum_of((const __u32 *)&made->icmp, 2) + sum_of((const __u32 *)&made->quoted, 5);
	made->icmp.checksum = ~checksum_fold(change);
	return link_header_store(ctx, l2_bytes, old, bpf_htons(ETH_P_IP)) ? UNDECIDED : SLUICE_REASON_MALFORMED_ICMP;
}

/* Finds the second word of the IPv4 header of an IPv6 fragment, whose header is the last one before `l4_offset`. False: it
 * isn't. What follows it in a first fragment can't be left out, because that would move the others (RFC 7915, 5.1.1). */
static __always_inline bool find_fragment_word(struct xdp_md *ctx, const struct packet *p, __u32 l4_offset, __u32 *word)
{
	const struct fragment_header *last = packet_at(ctx, l4_offset - sizeof(*last), sizeof(*last));
	bool is_first = p->fragment == FRAGMENT_FIRST;

	if (!last || last->next_header != p->protocol || last->id != p->fragment_id ||
	    (is_first && last->field & bpf_htons(0xfff8)))
		return false;
	*word = fragment_to_ipv4(last);
	return true;
}

/* Makes an IPv4 packet of an IPv6 packet; its extension headers are left out (RFC 7915, 5.1.1). */
static __always_inline int packet_to_ipv4(struct xdp_md *ctx, const struct packet *p, __u32 l4_offset, __u32 protocol)
{
	__u32 l2_bytes = p->l3_offset & 31;
	const struct ipv6hdr *ip = packet_at(ctx, l2_bytes, sizeof(*ip));
	__u32 skipped = l4_offset - l2_bytes - sizeof(*ip);
	struct old_headers *old = old_headers_get(ctx);
	struct iphdr *made;
	__u32 bytes, fragment;

	if (!ip || !old)
		return SLUICE_REASON_MALFORMED_IPV6;
	bytes = bpf_ntohs(ip->payload_len) - skipped + sizeof(*made);
	fragment = fragment_word_of_whole(bytes);
	if (p->fragment && !find_fragment_word(ctx, p, l4_offset, &fragment))
		return SLUICE_REASON_OTHER_VERSION_PACKET;
	old->ip = *ip;
	if (bpf_xdp_adjust_head(ctx, (int)(skipped + IPV6_IS_LONGER)))
		return SLUICE_REASON_NO_HEADROOM;
	made = packet_at(ctx, l2_bytes, sizeof(*made));
	if (!made)
		return SLUICE_REASON_MALFORMED_IPV6;
	write_ipv4(made, &old->ip, bytes, protocol, fragment);
	return link_header_store(ctx, l2_bytes, old, bpf_htons(ETH_P_IP)) ? UNDECIDED : SLUICE_REASON_MALFORMED_IPV6;
}

/* Makes an IPv4 packet of the IPv6 packet whose headers behind the IP header begin at `l4_offset`, and whose addresses are
 * mapped ones. Returns UNDECIDED, or why it can't be. */
__noinline int to_ipv4(struct xdp_md *ctx, __u32 l4_offset, __u32 protocol)
{
	struct journey *journey = journey_get();
	__u32 l3_offset;

	if (!journey)
		return SLUICE_REASON_MALFORMED_IPV6;
	l3_offset = journey->packet.l3_offset & 31;
	if (l4_offset > HEADERS_END || l4_offset < l3_offset + sizeof(struct ipv6hdr))
		return SLUICE_REASON_HEADERS_TOO_LONG;
	if (protocol == IPPROTO_ICMPV6)
		return error_to_ipv4(ctx, l3_offset, l4_offset);
	return packet_to_ipv4(ctx, &journey->packet, l4_offset, protocol);
}

/* Sends the packet under way, which is complete but for its IP version. */
__noinline int leave_as_ipv4(struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct packet *p;
	int why;

	if (!journey)
		return SLUICE_REASON_NO_ROUTE;
	p = &journey->packet;
	why = to_ipv4(ctx, p->l4_offset, p->protocol);
	if (why != UNDECIDED)
		return why;
	if (journey->leaving.has_hop) {
		p->egress_ifindex = journey->leaving.hop.ifindex;
		if (!write_frame4(ctx, p->l3_offset, NULL, &journey->leaving.hop))
			return SLUICE_REASON_NO_HEADROOM;
	}
	return journey->leaving.why;
}

/* Makes an IPv4 packet of an answer of our own to a packet that came as one. Returns the packet's reason. */
__noinline int answer_as_ipv4(struct xdp_md *ctx, __u32 why)
{
	struct journey *journey = journey_get();
	const struct ipv6hdr *ip;
	int failed;

	if (!journey)
		return why;
	ip = ip_header(FAMILY6, ctx, &journey->packet);
	if (!ip)
		return SLUICE_REASON_MALFORMED_IPV6;
	failed = to_ipv4(ctx, journey->packet.l3_offset + sizeof(*ip), ip->nexthdr);
	return failed == UNDECIDED ? (int)why : failed;
}

#endif
