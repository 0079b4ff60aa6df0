/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The packet as the stages see it, and the parsing cursor.
 *
 * Contract: each parse_* checks bounds against data_end before it reads, advances `cursor` and stores a typed
 * pointer. Nothing beyond the frame is ever read, and no parser decides a packet's fate: a defect is kept in
 * `defect` until it is known whether the packet is ours, because a malformed packet of somebody else's is the
 * host's business (it passes), while one for a VIP is dropped. */
#ifndef SLUICE_BPF_PACKET_H
#define SLUICE_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps/flow.h"
#include "maps/interface.h"
#include "maps/reasons.h"
#include "maps/runtime.h"

/* What a stage returns when the packet's fate is still open. */
#define UNDECIDED (-1)

/* linux/ip.h has these only for the kernel itself (RFC 791, 3.1). */
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

/* The flags of a TCP header, as its byte 13 holds them (RFC 9293, 3.1). */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_FLAGS_OFFSET 13

/* Who talks to whom. */
struct tuple {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 protocol; /* enum sluice_flow_protocol */
};

struct packet {
	void *cursor;
	void *data_end;
	struct ethhdr *eth;
	struct iphdr *ipv4;
	struct tcphdr *tcp;
	const struct sluice_interface *interface; /* where it came in */
	__u32 egress_ifindex;                     /* where it goes, once that is decided */
	__u32 frame_bytes; /* Ethernet header + what the IP header says; padding is not counted */
	__u32 l4_bytes;    /* L4 header and payload */
	int defect;        /* UNDECIDED, or the reason why a packet that is ours is dropped */
	struct tuple tuple;
	__u8 protocol; /* IPPROTO_* */
	__u8 tcp_flags;
};

static __always_inline int parse_ethernet(struct packet *p)
{
	struct ethhdr *eth = p->cursor;

	if ((void *)(eth + 1) > p->data_end)
		return SLUICE_REASON_MALFORMED_ETHERNET;
	p->eth = eth;
	p->cursor = eth + 1;
	return UNDECIDED;
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

/* By words: struct ethhdr is packed, so the compiler would go byte by byte. */
static __always_inline __be16 ethertype(const struct ethhdr *eth)
{
	return *(const __be16 *)(const void *)&eth->h_proto;
}

/* Both MACs of a frame, from `macs`: destination, source. */
static __always_inline void ethernet_address(struct ethhdr *eth, const __u8 *macs)
{
	__u32 *to = (void *)eth;
	const __u32 *from = (const void *)macs;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
}

/* Fills the tuple's addresses. False: not even a fixed header's worth of bytes is there, so
 * the packet has no destination that could be ours. */
static __always_inline bool parse_ipv4(struct packet *p, struct xdp_md *ctx)
{
	struct iphdr *ip = p->cursor;
	__u32 header_bytes, total_bytes;

	if ((void *)(ip + 1) > p->data_end)
		return false;
	p->ipv4 = ip;
	p->tuple.source = ip->saddr;
	p->tuple.destination = ip->daddr;
	p->protocol = ip->protocol;

	header_bytes = ip->ihl * 4;
	total_bytes = bpf_ntohs(ip->tot_len);
	p->frame_bytes = sizeof(struct ethhdr) + total_bytes;
	p->l4_bytes = total_bytes - header_bytes;
	p->cursor = (void *)ip + header_bytes;

	if (ip->version != 4 || header_bytes < sizeof(*ip) || total_bytes < header_bytes)
		p->defect = SLUICE_REASON_MALFORMED_IPV4;
	/* The helper knows of multi-buffer frames' other parts; it is asked only when the linear part is
	 * shorter than the packet says, which for other frames means a lie. */
	else if ((void *)ip + total_bytes > p->data_end &&
		 p->frame_bytes > bpf_xdp_get_buff_len(ctx))
		p->defect = SLUICE_REASON_MALFORMED_IPV4;
	else if (ip->frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		p->defect = SLUICE_REASON_FRAGMENT;
	return true;
}

/* Fills the rest of the tuple and the flags. False: the header is cut short, so there is no flow to look for. */
static __always_inline bool parse_tcp(struct packet *p)
{
	struct tcphdr *tcp = p->cursor;

	if ((void *)(tcp + 1) > p->data_end || p->l4_bytes < sizeof(*tcp)) {
		p->defect = SLUICE_REASON_MALFORMED_TCP;
		return false;
	}
	p->tcp = tcp;
	p->tuple.protocol = SLUICE_FLOW_TCP;
	p->tuple.source_port = tcp->source;
	p->tuple.destination_port = tcp->dest;
	p->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_OFFSET];
	if (tcp->doff * 4 < sizeof(*tcp) || tcp->doff * 4 > p->l4_bytes)
		p->defect = SLUICE_REASON_MALFORMED_TCP;
	return true;
}

static __always_inline const struct sluice_runtime *runtime_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&runtime, &zero);
}

/* False: the address is certainly neither a VIP's nor a member's. */
static __always_inline bool address_in_filter(const struct sluice_runtime *r, __be32 address)
{
	__u32 hash = sluice_address_hash4(address);

	return r->address_filter[SLUICE_ADDRESS_WORD(hash)] >> SLUICE_ADDRESS_BIT(hash) & 1;
}

static __always_inline bool address_may_be_known(__be32 address)
{
	const struct sluice_runtime *r = runtime_get();

	return !r || address_in_filter(r, address);
}

#endif
