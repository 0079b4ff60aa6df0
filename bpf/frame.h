/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The frame around a packet that leaves: MACs, VLAN tags, a tunnel's header.
 *
 * The IP packet itself stays in place; the frame's beginning moves (bpf_xdp_adjust_head). That invalidates all
 * pointers into the packet, so these steps come last. */
#ifndef SLUICE_BPF_FRAME_H
#define SLUICE_BPF_FRAME_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/balance.h"
#include "bpf/ethernet.h"
#include "bpf/next_hop.h"
#include "bpf/tunnel.h"

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

/* Hashes the connection, so that its packets stay together and members' NICs tell it from others. */
static __always_inline __u64 tunnel_hash(const struct tuple *t)
{
	__u64 h = mix(t->source.halves[0] + tuple_ports(t)) + t->source.halves[1];

	return mix(h ^ t->destination.words[0] ^ t->destination.words[3]);
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
	union sluice_address own = {}, source;
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
	if (family == FAMILY4)
		own.ipv4 = interface->ipv4;
	else
		own = interface->ipv6;
	source = tunnel_source(family, own, hash, !udp);
	if (bpf_xdp_adjust_head(ctx, -(int)bytes) || !move_to_front(ctx, bytes, l3_offset))
		return false;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	outer = data + l3_offset;
	inner = outer + bytes;
	if (outer + ip_bytes + sizeof(struct udphdr) > data_end || inner + ip_bytes > data_end)
		return false;
	/* A packet that is left to the kernel over IPv4 has the client as its tunnel's source, because the kernel drops
	 * packets that seem to come from itself. */
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
