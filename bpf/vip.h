/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the data plane says on behalf of a VIP: ARP replies and ping replies. */
#ifndef SLUICE_BPF_VIP_H
#define SLUICE_BPF_VIP_H

#include "bpf/checksum.h"
#include "bpf/packet.h"
#include "maps/vip.h"

#define ANSWER_TTL 64 /* RFC 1700's default for packets that start here */

static __always_inline const struct sluice_vip *vip_find(__be32 address)
{
	return bpf_map_lookup_elem(&vips4, &address);
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

/* An ICMP echo message (RFC 792). linux/icmp.h drags in the C library too. */
#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8

struct icmp_echo {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 identifier;
	__be16 sequence;
};

/* Turns the frame around: it goes back to where it came from, from our own MAC. */
static __always_inline void ethernet_turn_around(struct packet *p)
{
	__builtin_memcpy(p->eth->h_dest, p->eth->h_source, SLUICE_MAC_BYTES);
	__builtin_memcpy(p->eth->h_source, p->interface->mac, SLUICE_MAC_BYTES);
}

static __always_inline int answer_arp(struct packet *p)
{
	struct arp_ipv4 *arp = p->cursor;
	__be32 vip;

	if ((void *)(arp + 1) > p->data_end)
		return SLUICE_REASON_NOT_OURS;
	if (arp->hardware_type != bpf_htons(ARP_HARDWARE_ETHERNET) ||
	    arp->protocol_type != bpf_htons(ETH_P_IP) || arp->hardware_bytes != SLUICE_MAC_BYTES ||
	    arp->protocol_bytes != sizeof(__be32) || arp->operation != bpf_htons(ARP_REQUEST))
		return SLUICE_REASON_NOT_OURS;
	vip = arp->target;
	/* Somebody announces our address as theirs: answering would not help, the host's log may. */
	if (arp->sender == vip || !vip_find(vip))
		return SLUICE_REASON_NOT_OURS;

	arp->operation = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->target_mac, arp->sender_mac, SLUICE_MAC_BYTES);
	arp->target = arp->sender;
	__builtin_memcpy(arp->sender_mac, p->interface->mac, SLUICE_MAC_BYTES);
	arp->sender = vip;
	ethernet_turn_around(p);
	return SLUICE_REASON_ARP_ANSWERED;
}

/* An ICMP message to a VIP that is up: pings are answered (RFC 792), anything else is not ours to handle yet. */
static __always_inline int answer_icmp(struct packet *p)
{
	struct icmp_echo *icmp = p->cursor;
	struct iphdr *ip = p->ipv4;
	__u64 ttl_change;

	if ((void *)(icmp + 1) > p->data_end || p->l4_bytes < sizeof(*icmp))
		return SLUICE_REASON_MALFORMED_ICMP;
	if (icmp->type != ICMP_ECHO_REQUEST || icmp->code != 0)
		return SLUICE_REASON_UNSUPPORTED_PROTOCOL;

	icmp->type = ICMP_ECHO_REPLY;
	checksum_apply(&icmp->checksum,
		       checksum_change16(bpf_htons(ICMP_ECHO_REQUEST << 8), bpf_htons(ICMP_ECHO_REPLY << 8)));
	/* Exchanging the addresses changes no sum; the new TTL does. */
	ip->saddr = p->tuple.destination;
	ip->daddr = p->tuple.source;
	ttl_change = checksum_change16(bpf_htons(ip->ttl << 8), bpf_htons(ANSWER_TTL << 8));
	ip->ttl = ANSWER_TTL;
	checksum_apply(&ip->check, ttl_change);
	ethernet_turn_around(p);
	return SLUICE_REASON_ECHO_ANSWERED;
}

#endif
