/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The frame around a packet that leaves: MACs, VLAN tags, a tunnel's header.
 *
 * The IP packet itself stays in place; the frame's beginning moves (bpf_xdp_adjust_head). That invalidates all
 * pointers into the packet, so these steps come last. */
#ifndef SLUICE_BPF_FRAME_H
#define SLUICE_BPF_FRAME_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/balance.h"
#include "bpf/checksum.h"
#include "bpf/ethernet.h"
#include "bpf/next_hop.h"
#include "bpf/protocols.h"
#include "maps/tunnel.h"

#define TUNNEL_TTL 64 /* RFC 1700's default for packets that start here */

struct ethernet_macs {
	__u32 words[3];
};
SLUICE_STATIC_ASSERT(sizeof(struct ethernet_macs) == 2 * SLUICE_MAC_BYTES);

/* Moves `bytes` (even, at most 22: Ethernet header and tags) within the frame, toward its beginning. */
static __always_inline bool move_to_front(struct xdp_md *ctx, __u32 from, __u32 bytes)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;

	for (__u32 i = 0; i < (ETH_HLEN + SLUICE_MAX_TAGS * VLAN_TAG_BYTES) / 2; i++) {
		__u16 *to = data + 2 * i, *source = data + from + 2 * i;

		if (2 * i >= bytes)
			break;
		if ((void *)(source + 1) > data_end)
			return false;
		*to = *source;
	}
	return true;
}

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

/* Hashes the connection, so that its packets stay together and members' NICs tell it from others. */
static __always_inline __u64 tunnel_hash(const struct tuple *t)
{
	__u64 h = mix(t->source.halves[0] + tuple_ports(t)) + t->source.halves[1];

	return mix(h ^ t->destination.words[0] ^ t->destination.words[3]);
}

/* Chooses the tunnel's source: one of the prefix of tunnel_sources, or else the host's address on the interface by which
 * the packet leaves. It can't be the VIP, which the member holds, too, and would take for a forgery of its own
 * address. A packet that is left to the kernel over IPv4 has the client as source, because the kernel drops packets that
 * seem to come from itself. */
static __always_inline union sluice_address tunnel_source(int family, const struct sluice_interface *interface, __u64 hash,
							  bool spread)
{
	__u32 which = family == FAMILY6;
	const struct sluice_tunnel_source *from = bpf_map_lookup_elem(&tunnel_sources, &which);
	union sluice_address source = {};

	if (family == FAMILY4)
		source.ipv4 = interface->ipv4;
	else
		source = interface->ipv6;
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

/* Puts a tunnel's headers between the Ethernet header and the packet. */
static __always_inline bool encapsulate(int family, struct xdp_md *ctx, __u32 l3_offset, __u32 ifindex,
					const union sluice_address *destination, bool left_to_kernel)
{
	__u32 ip_bytes = ip_header_bytes(family), bytes = ip_bytes, slot = ifindex % SLUICE_MAX_INTERFACES;
	const struct sluice_interface *interface = bpf_map_lookup_elem(&interfaces, &slot);
	const struct journey *journey = journey_get();
	void *data, *data_end, *outer, *inner;
	const struct sluice_member *member;
	union sluice_address source;
	__u32 index;
	__u64 hash;
	bool udp;

	l3_offset &= 31;
	if (!interface || !journey)
		return false;
	index = SLUICE_STATE_GET(journey->flow.state, MEMBER);
	member = bpf_map_lookup_elem(&members, &index);
	udp = member && member->flags & SLUICE_MEMBER_GUE;
	if (udp)
		bytes += sizeof(struct udphdr);
	hash = tunnel_hash(&journey->packet.tuple);
	source = tunnel_source(family, interface, hash, !udp);
	if (bpf_xdp_adjust_head(ctx, -(int)bytes) || !move_to_front(ctx, bytes, l3_offset))
		return false;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	outer = data + l3_offset;
	inner = outer + bytes;
	if (outer + ip_bytes + sizeof(struct udphdr) > data_end || inner + ip_bytes > data_end)
		return false;
	if (family == FAMILY4)
		write_tunnel4(outer, inner, bytes, left_to_kernel ? ((struct iphdr *)inner)->saddr : source.ipv4,
			      destination->ipv4);
	else
		write_tunnel6(outer, inner, bytes, &source, destination);
	if (udp)
		write_tunnel_udp(outer + ip_bytes,
				 family == FAMILY4 ? bpf_ntohs(((struct iphdr *)inner)->tot_len) + sizeof(struct udphdr)
						   : bpf_ntohs(((struct ipv6hdr *)inner)->payload_len) + ip_bytes +
							     sizeof(struct udphdr),
				 hash);
	return true;
}

/* Writes MACs and tags of the frame whose IP packet begins at `l3_offset`. */
static __always_inline bool address_frame(int family, struct xdp_md *ctx, __u32 l3_offset,
					  const struct sluice_next_hop *hop)
{
	__u32 tags = hop->tags & 3, bytes = ETH_HLEN + tags * VLAN_TAG_BYTES;
	void *data, *data_end;

	l3_offset &= 31;
	if (l3_offset != bytes && bpf_xdp_adjust_head(ctx, (int)l3_offset - (int)bytes))
		return false;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN + SLUICE_MAX_TAGS * VLAN_TAG_BYTES > data_end)
		return false;
	ethernet_address(data, hop->destination_mac);
	data += 2 * SLUICE_MAC_BYTES;
	for (__u32 i = 0; i < SLUICE_MAX_TAGS && i < tags; i++) {
		*(struct sluice_tag *)data = hop->tag[i];
		data += VLAN_TAG_BYTES;
	}
	*(__be16 *)data = bpf_htons(family == FAMILY4 ? ETH_P_IP : ETH_P_IPV6);
	return true;
}

/* Writes the frame's headers; if `hop` is NULL, only the tunnel's header, and the kernel writes the rest. False:
 * there is no room in front. */
static __always_inline bool write_frame(int family, struct xdp_md *ctx, __u32 l3_offset,
				       const union sluice_address *tunnel_destination, const struct sluice_next_hop *hop)
{
	__u32 ifindex = ctx->ingress_ifindex;

	/* Without this the compiler would choose between the two addresses, but the verifier needs a constant offset
	 * into the context. */
	asm volatile("" : "+r"(ifindex));
	if (hop)
		ifindex = hop->ifindex;
	if (tunnel_destination && !encapsulate(family, ctx, l3_offset, ifindex, tunnel_destination, !hop))
		return false;
	return !hop || address_frame(family, ctx, l3_offset, hop);
}

__noinline int write_frame4(struct xdp_md *ctx, __u32 l3_offset, const union sluice_address *tunnel_destination,
			    const struct sluice_next_hop *hop)
{
	return write_frame(FAMILY4, ctx, l3_offset, tunnel_destination, hop);
}

__noinline int write_frame6(struct xdp_md *ctx, __u32 l3_offset, const union sluice_address *tunnel_destination,
			    const struct sluice_next_hop *hop)
{
	return write_frame(FAMILY6, ctx, l3_offset, tunnel_destination, hop);
}

#endif
