/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Answers on behalf of VIPs: ARP replies, neighbour advertisements and ping replies. */
#ifndef SLUICE_BPF_VIP_H
#define SLUICE_BPF_VIP_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>

#include "bpf/answer.h"
#include "bpf/journey.h"
#include "bpf/protocols.h"
#include "maps/reasons.h"
#include "maps/vip.h"

static __always_inline const struct sluice_vip *vip_find(int family, const union sluice_address *address)
{
	if (family == FAMILY4)
		return bpf_map_lookup_elem(&vips4, &address->ipv4);
	return bpf_map_lookup_elem(&vips6, address);
}

/* Says whether this node answers those who ask who has the address. */
static __always_inline bool answers_for(int family, const union sluice_address *address)
{
	const struct sluice_vip *vip = vip_find(family, address);

	return vip && !(vip->flags & SLUICE_VIP_STANDBY);
}

/* Says whether no client can have this source (RFC 1122, 3.2.1.3; RFC 4291, 2.5, 2.7), or it is the VIP itself (the
 * land attack). The filter knows that most sources are no VIPs. */
static __always_inline bool source_is_martian(int family, const struct packet *p)
{
	const union sluice_address *source = &p->tuple.source;
	__u32 first = bpf_ntohl(source->words[0]);

	if (family == FAMILY6 && is_mapped(&p->tuple.destination))
		return false; /* it came as an IPv4 packet, and was looked at then */
	if (family == FAMILY4) {
		if (first >> 24 == 0 || first >> 24 == 127 || first >> 28 >= 14) /* 0/8, 127/8, 224/3 */
			return true;
	} else if (first >> 24 == 0xff || /* multicast */
		   (!source->halves[0] && (!source->words[2] || source->words[2] == bpf_htonl(0xffff)))) {
		/* ::, ::1, and IPv4 addresses in IPv6 ones, which would be taken for IPv4 clients (RFC 4291, 2.5.5) */
		return true;
	}
	return address_equal(family, source, &p->tuple.destination) ||
	       (address_may_be_known(family, source) && vip_find(family, source));
}

/* Says whether the IPv4 tuple `quoted` of the journey is one of the IPv6 flows'. */
__noinline int quoted_is_known6(void)
{
	struct journey *journey = journey_get();

	if (!journey)
		return false;
	tuple_map(&journey->quoted);
	return flow_search(FAMILY6, &journey->quoted) >= 0;
}

/* ARP for IPv4 over Ethernet (RFC 826). linux/if_arp.h drags in the C library's sockets. */
#define ARP_HARDWARE_ETHERNET 1
#define ARP_REQUEST 1
#define ARP_REPLY 2

struct arp_ipv4 {
	__be16 hardware_type;
	__be16 protocol_type;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[SLUICE_MAC_BYTES];
	__be32 sender;
	__u8 target_mac[SLUICE_MAC_BYTES];
	__be32 target;
} __attribute__((packed));

#define ICMP4_ECHO_REPLY 0
#define ICMP4_ECHO_REQUEST 8
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_NEIGHBOUR_SOLICITATION 135
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136

/* A neighbour solicitation or advertisement with the one option that it has here (RFC 4861, 4.3, 4.4, 4.6.1). */
struct neighbour_message {
	struct icmp_header icmp; /* `rest`: flags */
	union sluice_address target;
	__u8 option_type;
	__u8 option_length; /* in 8 bytes */
	__u8 option_mac[SLUICE_MAC_BYTES];
};
SLUICE_STATIC_ASSERT(sizeof(struct neighbour_message) == 32);
#define NEIGHBOUR_WITHOUT_OPTION 24
#define NEIGHBOUR_SOURCE_MAC 1 /* option types */
#define NEIGHBOUR_TARGET_MAC 2
#define NEIGHBOUR_SOLICITED_OVERRIDE 0x60000000
#define NEIGHBOUR_OVERRIDE 0x20000000
#define NEIGHBOUR_HOP_LIMIT 255

/* Returns the interface on which the packet came in; NULL if it is not ours. */
static __always_inline const struct sluice_interface *ingress_interface(struct xdp_md *ctx)
{
	__u32 slot = ctx->ingress_ifindex % SLUICE_MAX_INTERFACES;
	const struct sluice_interface *interface = bpf_map_lookup_elem(&interfaces, &slot);

	return interface && interface->ifindex == ctx->ingress_ifindex ? interface : NULL;
}

/* Sends the frame back to its source, from our own MAC. */
static __always_inline void ethernet_turn_around(struct xdp_md *ctx, const struct sluice_interface *interface)
{
	struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));

	if (!eth)
		return;
	__builtin_memcpy(eth->h_dest, eth->h_source, SLUICE_MAC_BYTES);
	__builtin_memcpy(eth->h_source, interface->mac, SLUICE_MAC_BYTES);
}

static __always_inline int answer_arp(struct packet *p, struct xdp_md *ctx)
{
	struct arp_ipv4 *arp = packet_at(ctx, p->l3_offset, sizeof(*arp));
	const struct sluice_interface *interface = ingress_interface(ctx);
	union sluice_address vip = {};

	if (!arp || !interface)
		return SLUICE_REASON_NOT_OURS;
	if (arp->hardware_type != bpf_htons(ARP_HARDWARE_ETHERNET) ||
	    arp->protocol_type != bpf_htons(ETH_P_IP) || arp->hardware_bytes != SLUICE_MAC_BYTES ||
	    arp->protocol_bytes != sizeof(__be32) || arp->operation != bpf_htons(ARP_REQUEST))
		return SLUICE_REASON_NOT_OURS;
	vip.ipv4 = arp->target;
	/* Another host claims our address: an answer would not help, but the host's log may. */
	if (arp->sender == vip.ipv4 || !answers_for(FAMILY4, &vip))
		return SLUICE_REASON_NOT_OURS;

	arp->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, SLUICE_MAC_BYTES);
	arp->target = arp->sender;
	__builtin_memcpy(arp->sender_mac, interface->mac, SLUICE_MAC_BYTES);
	arp->sender = vip.ipv4;
	ethernet_turn_around(ctx, interface);
	return SLUICE_REASON_ARP_ANSWERED;
}

/* The address of all nodes on the link (RFC 4291, 2.7.1). */
#define ALL_NODES_FIRST 0xff020000
#define ALL_NODES_LAST 1

/* Addresses the frame to all nodes on the link (RFC 2464, 7). */
static __always_inline void ethernet_to_all_nodes(struct xdp_md *ctx)
{
	__u16 *mac = packet_at(ctx, 0, SLUICE_MAC_BYTES);

	if (!mac)
		return;
	mac[0] = bpf_htons(0x3333);
	mac[1] = 0;
	mac[2] = bpf_htons(ALL_NODES_LAST);
}

static __always_inline bool is_multicast6(const union sluice_address *a)
{
	return (bpf_ntohl(a->words[0]) >> 24) == 0xff;
}

static __always_inline bool address_is_zero(const union sluice_address *a)
{
	return !a->halves[0] && !a->halves[1];
}

/* Checks the options of a neighbour solicitation: none may have length 0 or go beyond the message, and one from ::
 * must not have a source MAC. */
#define NEIGHBOUR_OPTIONS 14 /* as many as frame_sum() can sum up */

__noinline int options_are_sound(struct xdp_md *ctx, __u32 at, __u32 end, __u32 from_nowhere)
{
	for (int i = 0; i < NEIGHBOUR_OPTIONS && at < end; i++) {
		const __u8 *option = packet_at(ctx, at, 2);

		if (!option || !option[1] || (from_nowhere && option[0] == NEIGHBOUR_SOURCE_MAC))
			return false;
		at += option[1] * 8;
	}
	return at == end;
}

/* Checks the checksum of an ICMPv6 message (RFC 4443, 2.3). Messages that are too long for frame_sum() count as
 * wrong. */
static __always_inline bool message_sum_is_right(struct xdp_md *ctx, const struct packet *p)
{
	__u64 sum = p->l4_bytes > QUOTED_BYTES + 8 ? ~0ULL : frame_sum(ctx, p->l4_offset, p->l4_bytes);

	if (sum == ~0ULL)
		return false;
	sum += address_sum(&p->tuple.source) + address_sum(&p->tuple.destination) + bpf_htonl(p->l4_bytes) +
	       bpf_htonl(IPPROTO_ICMPV6);
	return checksum_fold(sum) == 0xffff;
}

/* Answers a neighbour solicitation (RFC 4861, 7.1.1, 7.2.4). One from :: is duplicate address detection (RFC 4862,
 * 5.4); the answer, that the address is taken, goes to all nodes. UNDECIDED: we don't answer it. */
static __always_inline int solicitation(struct packet *p, struct xdp_md *ctx)
{
	struct neighbour_message *m = packet_at(ctx, p->l4_offset, NEIGHBOUR_WITHOUT_OPTION), *whole;
	const struct sluice_interface *interface = ingress_interface(ctx);
	struct ipv6hdr *ip = ip_header(FAMILY6, ctx, p);
	__u32 bytes = sizeof(*m);
	union sluice_address target, asker;
	bool from_nowhere;
	__u64 sum;

	if (p->protocol != IPPROTO_ICMPV6 || p->l4_offset != p->l3_offset + sizeof(*ip) || p->defect != UNDECIDED ||
	    !ip || !m || !interface || p->l4_bytes < NEIGHBOUR_WITHOUT_OPTION)
		return UNDECIDED;
	if (m->icmp.type != ICMP6_NEIGHBOUR_SOLICITATION || m->icmp.code != 0 ||
	    ip->hop_limit != NEIGHBOUR_HOP_LIMIT || is_multicast6(&p->tuple.source))
		return UNDECIDED;
	asker = p->tuple.source;
	from_nowhere = address_is_zero(&asker);
	if (from_nowhere && !is_multicast6(&p->tuple.destination))
		return UNDECIDED;
	target = address_load(FAMILY6, &m->target);
	if (!answers_for(FAMILY6, &target) || !message_sum_is_right(ctx, p) ||
	    !options_are_sound(ctx, p->l4_offset + NEIGHBOUR_WITHOUT_OPTION, p->l4_offset + p->l4_bytes,
			       from_nowhere))
		return UNDECIDED;
	m->icmp = (struct icmp_header){.type = ICMP6_NEIGHBOUR_ADVERTISEMENT,
				       .rest = bpf_htonl(from_nowhere ? NEIGHBOUR_OVERRIDE
								      : NEIGHBOUR_SOLICITED_OVERRIDE)};
	whole = packet_at(ctx, p->l4_offset, sizeof(*whole));
	if (p->l4_bytes >= sizeof(*whole) && whole) {
		whole->option_type = NEIGHBOUR_TARGET_MAC;
		whole->option_length = 1;
		__builtin_memcpy(whole->option_mac, interface->mac, SLUICE_MAC_BYTES);
	} else {
		bytes = NEIGHBOUR_WITHOUT_OPTION; /* the sender knows our MAC and asks whether it still is */
	}
	ip->payload_len = bpf_htons(bytes);
	address_store(FAMILY6, &ip->saddr, &target);
	ethernet_turn_around(ctx, interface);
	if (from_nowhere) {
		asker.words[0] = bpf_htonl(ALL_NODES_FIRST);
		asker.words[3] = bpf_htonl(ALL_NODES_LAST);
		ethernet_to_all_nodes(ctx);
	}
	address_store(FAMILY6, &ip->daddr, &asker);
	sum = frame_sum(ctx, p->l3_offset + sizeof(*ip), bytes) + address_sum(&target) +
	      address_sum(&asker) + bpf_htonl(bytes) + bpf_htonl(IPPROTO_ICMPV6);
	m->icmp.checksum = ~checksum_fold(sum);
	return SLUICE_REASON_ND_ANSWERED;
}

__noinline int answer_solicitation(struct packet *p, struct xdp_md *ctx)
{
	return p ? solicitation(p, ctx) : UNDECIDED;
}

/* Answers pings to a VIP that is up (RFC 792, RFC 4443). The message is not an error. */
static __always_inline int answer_echo(int family, struct packet *p, struct xdp_md *ctx)
{
	__u8 request = family == FAMILY4 ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST;
	__u8 reply = family == FAMILY4 ? ICMP4_ECHO_REPLY : ICMP6_ECHO_REPLY;
	void *l3 = ip_header(family, ctx, p), *addresses = l3 + addresses_offset(family);
	struct icmp_header *icmp = packet_at(ctx, p->l4_offset, sizeof(*icmp));
	const struct sluice_interface *interface = ingress_interface(ctx);

	if (!l3 || !icmp || !interface || p->l4_bytes < sizeof(*icmp))
		return SLUICE_REASON_MALFORMED_ICMP;
	if (icmp->type != request || icmp->code != 0)
		return SLUICE_REASON_UNSUPPORTED_PROTOCOL;

	icmp->type = reply;
	checksum_apply(&icmp->checksum, checksum_change16(bpf_htons(request << 8), bpf_htons(reply << 8)));
	/* Exchanging the addresses changes no checksum; the new TTL does. */
	address_store(family, addresses, &p->tuple.destination);
	address_store(family, addresses + address_bytes(family), &p->tuple.source);
	if (family == FAMILY4)
		checksum_apply(&((struct iphdr *)l3)->check,
			       checksum_change16(bpf_htons(*ttl_of(family, l3) << 8), bpf_htons(ANSWER_TTL << 8)));
	*ttl_of(family, l3) = ANSWER_TTL;
	ethernet_turn_around(ctx, interface);
	return SLUICE_REASON_ECHO_ANSWERED;
}

#endif
