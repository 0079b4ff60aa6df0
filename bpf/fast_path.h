/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The fast path, for the two kinds of packets that are nearly all: packets of established TCP connections and UDP
 * sessions, and packets that aren't ours.
 *
 * Contract: fast_path() does to a packet exactly what slow_path() would do, or does nothing and returns UNDECIDED.
 * tests/packet sends every packet through both.
 *
 * Why it exists: with everything in one function the compiler keeps so much alive across the rare branches that all
 * packets pay for it. Here each field is loaded once, at a fixed offset, in the widest piece that the checks need:
 * an established packet of a single flow went from 30 to 24 ns (scripts/bench packet-cost). With many flows it
 * hardly matters, because they wait for the flow's cache line most of the time. Headers of another shape (options,
 * extension headers, fragments, tags) and frames that leave with tags or in a tunnel take slow_path().
 *
 * Tried and not kept (packet-cost beside the same program without it, one flow, 41 rounds; below 3 % it is not worth its
 * lines): handing the interface's index on instead of asking the context again (1.02 of before); the two sides of
 * the counters as an index instead of a branch (0.96 to 0.98 to the member, 1.00 to 1.03 to the client); folding sums by
 * a rotation (1.00). The address filters in the other order, the small one first, make every second stranger with 26,000
 * addresses a mispredicted branch (22 instead of 11 ns). One counter in place of three would be read wrongly by older
 * versions, and reasons would go down when a listener's index goes to another one. */
#ifndef SLUICE_BPF_FAST_PATH_H
#define SLUICE_BPF_FAST_PATH_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/address_filter.h"
#include "bpf/ethernet.h"
#include "bpf/forward.h"
#include "bpf/journey.h"
#include "bpf/protocols.h"
#include "maps/reasons.h"

/* False: every packet takes the slow path. The tests compare the two. */
const volatile bool fast_path_enabled = true;

/* The fields' offsets if Ethernet has no tag and IP neither options nor extension headers (RFC 894, 791, 8200, 9293,
 * 768). */
enum {
	AT_MACS = 0,
	AT_ETHERTYPE = 12, /* 2 bytes, then version and more */
	AT_IP = 14,
	AT_IPV4_LENGTH = 16,
	AT_IPV4_FRAGMENT = 20,
	AT_IPV4_TTL = 22, /* 1 byte, then the protocol */
	AT_IPV4_CHECKSUM = 24,
	AT_IPV4_ADDRESSES = 26,
	AT_IPV6_LENGTH = 18,
	AT_IPV6_PROTOCOL = 20, /* 1 byte, then the hop limit */
	AT_IPV6_ADDRESSES = 22,
};
#define AT_L4(family) ((family) == FAMILY4 ? 34 : 54)
#define AT_TCP_LENGTH(family) (AT_L4(family) + 12) /* 1 byte, then the flags */
#define AT_TCP_CHECKSUM(family) (AT_L4(family) + 16)
#define AT_UDP_LENGTH(family) (AT_L4(family) + 4)
#define AT_UDP_CHECKSUM(family) (AT_L4(family) + 6)
#define AT(type, offset) (*(type *)(data + (offset)))

/* The little-endian word of the ethertype and the version with the header's length (IPv4) or half of the traffic
 * class (IPv6). */
#define IPV4_PLAIN(word) (((word) & 0x00ffffff) == (0x45 << 16 | bpf_htons(ETH_P_IP)))
#define IPV6_PLAIN(word) (((word) & 0x00f0ffff) == (0x60 << 16 | bpf_htons(ETH_P_IPV6)))

/* Compares the frame's destination MAC with the interface's by one load each: the lower 6 of 8 bytes. */
static __always_inline bool mac_is_ours(void *data, const struct sluice_interface *interface)
{
	return (AT(__u64, AT_MACS) ^ *(const __u64 *)(const void *)interface->mac) << 16 == 0;
}

static __always_inline __u32 plain_ip_bytes(int family, void *data)
{
	return family == FAMILY4 ? bpf_ntohs(AT(__be16, AT_IPV4_LENGTH))
				 : sizeof(struct ipv6hdr) + bpf_ntohs(AT(__be16, AT_IPV6_LENGTH));
}

/* Says whether the packet is unfragmented, its lengths fit, and for TCP no flag opens or closes. The fast path needs
 * no more. */
static __always_inline bool headers_are_plain(int family, void *data, void *data_end, __u8 protocol, __u32 ip_bytes)
{
	__u32 header_bytes = ip_header_bytes(family), l4_bytes;

	if (family == FAMILY4 && AT(__be16, AT_IPV4_FRAGMENT) & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		return false;
	if (AT_IP + ip_bytes > (__u64)(data_end - data))
		return false;
	if (protocol == IPPROTO_UDP) {
		l4_bytes = bpf_ntohs(AT(__be16, AT_UDP_LENGTH(family)));
		return l4_bytes >= sizeof(struct udphdr) && header_bytes + l4_bytes <= ip_bytes;
	}
	l4_bytes = (AT(__u8, AT_TCP_LENGTH(family)) >> 4) * 4;
	return l4_bytes >= sizeof(struct tcphdr) && header_bytes + l4_bytes <= ip_bytes &&
	       !(AT(__u8, AT_TCP_LENGTH(family) + 1) & (TCP_SYN | TCP_FIN | TCP_RST));
}

/* See translate(). */
static __always_inline void rewrite_headers(int family, void *data, const struct tuple *t, const struct flow *flow,
					    const struct sluice_next_hop *hop, __u8 protocol)
{
	__u32 new_ports = (__u32)flow->new_destination_port << 16 | flow->new_source_port;
	__u64 change = address_change(family, &t->source, &flow->new_source) +
		       address_change(family, &t->destination, &flow->new_destination);
	__u64 l4_change = change + checksum_change32(tuple_ports(t), new_ports);
	__u16 checksum;

	ethernet_address(data, hop->destination_mac);
	if (family == FAMILY4) {
		checksum = AT(__u16, AT_IPV4_CHECKSUM);
		checksum_apply(&checksum, change + CHECKSUM_TTL_DECREMENT);
		--AT(__u8, AT_IPV4_TTL);
		AT(__u16, AT_IPV4_CHECKSUM) = checksum;
		AT(__u64, AT_IPV4_ADDRESSES) = (__u64)flow->new_destination.ipv4 << 32 | flow->new_source.ipv4;
	} else {
		--AT(__u8, AT_IPV6_PROTOCOL + 1);
		address_store(family, data + AT_IPV6_ADDRESSES, &flow->new_source);
		address_store(family, data + AT_IPV6_ADDRESSES + 16, &flow->new_destination);
	}
	if (!is_translated(family, t, flow))
		return;
	AT(__u32, AT_L4(family)) = new_ports;
	if (protocol == IPPROTO_UDP)
		udp_checksum_apply(&AT(__u16, AT_UDP_CHECKSUM(family)), l4_change);
	else
		checksum_apply(&AT(__u16, AT_TCP_CHECKSUM(family)), l4_change);
}

/* Returns the next hop of a packet that changes no state: its connection is established, its next hop is known, it
 * fits the MTU, and its TTL is not at the end. */
static __always_inline const struct sluice_next_hop *plain_way(int family, void *data, const struct flow *flow,
							       __u32 ip_bytes)
{
	const struct sluice_next_hop *hop;
	__u8 ttl = family == FAMILY4 ? AT(__u8, AT_IPV4_TTL) : AT(__u8, AT_IPV6_PROTOCOL + 1);

	if (ttl <= 1 || !(flow->state & SLUICE_FLOW_ESTABLISHED))
		return NULL;
	hop = next_hop_at(SLUICE_STATE_GET(flow->state, HOP));
	if (!hop || hop->generation != ((runtime.next_hop_generation + 1) & ~SLUICE_NEXT_HOP_SPECIAL) || ip_bytes > hop->mtu)
		return NULL;
	return hop;
}

/* Loads both addresses and ports from the packet. */
static __always_inline struct tuple plain_tuple(int family, void *data, __u8 protocol)
{
	__u32 ports = AT(__u32, AT_L4(family)), at = family == FAMILY4 ? AT_IPV4_ADDRESSES : AT_IPV6_ADDRESSES;
	__u64 both;
	struct tuple t = {
		.source_port = ports,
		.destination_port = ports >> 16,
		.protocol = protocol == IPPROTO_UDP ? SLUICE_FLOW_UDP : SLUICE_FLOW_TCP,
	};

	if (family == FAMILY4) {
		both = AT(__u64, AT_IPV4_ADDRESSES);
		t.source.ipv4 = both;
		t.destination.ipv4 = both >> 32;
	} else {
		t.source = address_load(family, data + at);
		t.destination = address_load(family, data + at + 16);
	}
	return t;
}

static __always_inline int fast_path_of(int family, struct xdp_md *ctx, void *data, void *data_end)
{
	__u8 protocol = family == FAMILY4 ? AT(__u8, AT_IPV4_TTL + 1) : AT(__u8, AT_IPV6_PROTOCOL);
	__u32 ip_bytes, ifindex;
	const struct sluice_next_hop *hop;
	struct flow flow;
	struct tuple t;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return UNDECIDED;
	t = plain_tuple(family, data, protocol);
	if (!either_may_be_known(family, &t)) {
		count_reason(SLUICE_REASON_NOT_OURS);
		return XDP_PASS;
	}
	/* This is enough for either protocol, so that the verifier need not see which of two checks came before. */
	if (data + AT_L4(family) + sizeof(struct tcphdr) > data_end)
		return UNDECIDED;
	ip_bytes = plain_ip_bytes(family, data);
	if (!headers_are_plain(family, data, data_end, protocol, ip_bytes) ||
	    !flow_find(family, &t, runtime.area_shifts[family == FAMILY6], &flow))
		return UNDECIDED;
	hop = plain_way(family, data, &flow, ip_bytes);
	if (!hop)
		return UNDECIDED;
	ifindex = hop->ifindex;
	rewrite_headers(family, data, &t, &flow, hop, protocol);
	touch(family, &flow);
	count_flow_packet(flow.state, AT_IP + ip_bytes);
	if (flow.state & SLUICE_FLOW_TO_CLIENT)
		count_reason(SLUICE_REASON_REPLIED);
	else
		count_reason(SLUICE_REASON_FORWARDED);
	return ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(ifindex, 0);
}

/* Takes the packet if it is simple; returns the XDP action, or UNDECIDED. */
static __always_inline int fast_path(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 ifindex = ctx->ingress_ifindex, slot = ifindex % SLUICE_MAX_INTERFACES, word;
	const struct sluice_interface *interface = bpf_map_lookup_elem(&interfaces, &slot);

	if (!fast_path_enabled || data + AT_L4(FAMILY4) + sizeof(struct udphdr) > data_end || !interface ||
	    interface->ifindex != ifindex || !mac_is_ours(data, interface))
		return UNDECIDED;
	word = AT(__u32, AT_ETHERTYPE);
	if (IPV4_PLAIN(word))
		return fast_path_of(FAMILY4, ctx, data, data_end);
	if (IPV6_PLAIN(word) && data + AT_L4(FAMILY6) + sizeof(struct udphdr) <= data_end)
		return fast_path_of(FAMILY6, ctx, data, data_end);
	return UNDECIDED;
}

#endif
