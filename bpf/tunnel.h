/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The outer headers of packets to members behind a tunnel (ipip, gue), of traffic and of probes. */
#ifndef SLUICE_BPF_TUNNEL_H
#define SLUICE_BPF_TUNNEL_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/checksum.h"
#include "bpf/packet.h"
#include "bpf/protocols.h"
#include "maps/tunnel.h"

#define TUNNEL_TTL 64 /* RFC 1700's default for packets that start here */

static __always_inline __u16 ipv4_header_checksum(const struct iphdr *ip)
{
	const __u16 *words = (const void *)ip;
	__u64 sum = 0;

	for (int i = 0; i < 10; i++)
		sum += words[i];
	return ~checksum_fold(sum);
}

/* Makes the outer header's id. A packet that may be fragmented on its way needs one that is unique in the tunnel
 * (RFC 6864): the inner packet's, combined with the offset of a fragment. */
static __always_inline __be16 tunnel_id(const struct iphdr *inner)
{
	__u16 fragment = bpf_ntohs(inner->frag_off);

	if (fragment & IPV4_DONT_FRAGMENT)
		return 0;
	return bpf_htons(bpf_ntohs(inner->id) ^ (__u16)((fragment & IPV4_FRAGMENT_OFFSET) * 0x9e37));
}

/* Writes the outer header of an IPv4 packet in an IPv4 packet (RFC 2003), or in a UDP datagram; `bytes` is what comes
 * before the inner header. */
static __always_inline void write_tunnel4(struct iphdr *outer, const struct iphdr *inner, __u32 bytes, __be32 source,
					  __be32 destination)
{
	*outer = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = inner->tos,
		.tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + bytes),
		.id = tunnel_id(inner),
		.frag_off = inner->frag_off & bpf_htons(IPV4_DONT_FRAGMENT),
		.ttl = TUNNEL_TTL,
		.protocol = bytes == sizeof(*outer) ? IPPROTO_IPIP : IPPROTO_UDP,
		.saddr = source,
		.daddr = destination,
	};
	outer->check = ipv4_header_checksum(outer);
}

/* The same of an IPv6 packet (RFC 2473). */
static __always_inline void write_tunnel6(struct ipv6hdr *outer, const struct ipv6hdr *inner, __u32 bytes,
					  const union sluice_address *source,
					  const union sluice_address *destination)
{
	/* This word has version and traffic class. */
	*(__be32 *)outer = *(const __be32 *)inner & bpf_htonl(0xfff00000);
	outer->payload_len = bpf_htons(bpf_ntohs(inner->payload_len) + bytes);
	outer->nexthdr = bytes == sizeof(*outer) ? IPPROTO_IPV6 : IPPROTO_UDP;
	outer->hop_limit = TUNNEL_TTL;
	address_store(FAMILY6, &outer->saddr, source);
	address_store(FAMILY6, &outer->daddr, destination);
}

/* The UDP header of a tunnel. It has no checksum, over IPv6 neither: what is in it has its own, which covers its addresses,
 * so a datagram that goes astray is noticed (RFC 6935, RFC 6936). */
static __always_inline void write_tunnel_udp(struct udphdr *udp, __u32 bytes, __u64 hash)
{
	*udp = (struct udphdr){
		.source = bpf_htons(SLUICE_GUE_FIRST_SOURCE_PORT | (hash & 0x3fff)),
		.dest = bpf_htons(SLUICE_GUE_PORT),
		.len = bpf_htons(bytes),
	};
}

/* Chooses the tunnel's source: one of the prefix of tunnel_sources (`spread`), or else the host's own address on the
 * interface by which the packet leaves. It can't be the VIP, which the member holds, too, and would take for a forgery of
 * its own address. */
static __always_inline union sluice_address tunnel_source(int family, union sluice_address own, __u64 hash, bool spread)
{
	__u32 which = family == FAMILY6;
	const struct sluice_tunnel_source *from = bpf_map_lookup_elem(&tunnel_sources, &which);
	union sluice_address source = own;

	if (!spread || !from || !(from->mask.words[0] | from->mask.words[2] | from->mask.words[3]))
		return source;
	if (family == FAMILY4) {
		source.ipv4 = from->prefix.ipv4 | ((__u32)hash & from->mask.ipv4);
		return source;
	}
	source.halves[0] = from->prefix.halves[0];
	source.halves[1] = from->prefix.halves[1] | (hash & from->mask.halves[1]);
	return source;
}

#endif
