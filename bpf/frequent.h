/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The abridged journey of the two kinds of packets that nearly all are: packets of established TCP connections, and
 * packets that aren't ours.
 *
 * Contract: frequent_packet() does to a packet exactly what any_packet() would do, or nothing and returns UNDECIDED.
 * tests/packet sends every packet through both.
 *
 * Why it exists. With everything in one function the compiler keeps so much alive across the rare branches that the
 * frequent packets pay for it. Here each field is loaded once, at a fixed offset, in the widest piece that the checks
 * need: an established packet of a single flow went from 30 to 24 ns (scripts/bench packet-cost). With many flows it
 * hardly matters, there the wait for the flow's cache line is nearly all. Headers of another shape (options, fragments,
 * tags) are left to any_packet(). */
#ifndef SLUICE_BPF_FREQUENT_H
#define SLUICE_BPF_FREQUENT_H

#include "bpf/forward.h"

/* False: every packet makes the whole journey. The tests compare the two. */
const volatile bool abridged = true;

/* Where the fields are when Ethernet has no tag and IPv4 no options (RFC 894, 791, 9293). */
enum {
	AT_MACS = 0,
	AT_ETHERTYPE = 12, /* 2 bytes, then version and header length, type of service */
	AT_IP_LENGTH = 16,
	AT_IP_FRAGMENT = 20,
	AT_TTL = 22, /* 1 byte, then the protocol */
	AT_IP_CHECKSUM = 24,
	AT_ADDRESSES = 26,
	AT_PORTS = 34,
	AT_TCP_LENGTH = 46, /* 1 byte, then the flags */
	AT_TCP_CHECKSUM = 50,
	END_OF_HEADERS = 54,
	BEGIN_OF_IP = 14,
};
#define AT(type, offset) (*(type *)(data + (offset)))

#define IPV4_WITHOUT_OPTIONS 0x45

/* The frame's own MAC, compared with the interface's by one load each: the lower 6 of 8 bytes. */
static __always_inline bool mac_is_ours(void *data, const struct sluice_interface *interface)
{
	return (AT(__u64, AT_MACS) ^ *(const __u64 *)(const void *)interface->mac) << 16 == 0;
}

/* TCP in an unfragmented IPv4 packet without options, lengths that fit, and no flag that opens or closes. The rest of
 * the packet is no concern of ours. */
static __always_inline bool headers_are_plain(void *data, void *data_end)
{
	__u32 ip_bytes = bpf_ntohs(AT(__be16, AT_IP_LENGTH));
	__u32 tcp_bytes = (AT(__u8, AT_TCP_LENGTH) >> 4) * 4;

	return !(AT(__be16, AT_IP_FRAGMENT) & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)) &&
	       BEGIN_OF_IP + ip_bytes <= (__u64)(data_end - data) && tcp_bytes >= sizeof(struct tcphdr) &&
	       sizeof(struct iphdr) + tcp_bytes <= ip_bytes;
}

/* See translate(). `addresses` and `ports` are the present ones, as they lie in the packet. */
static __always_inline void rewrite_headers(void *data, __u64 addresses, __u32 ports, const struct flow *flow,
					    const struct sluice_next_hop *hop)
{
	__u64 new_addresses = (__u64)flow->new_destination << 32 | flow->new_source;
	__u32 new_ports = (__u32)flow->new_destination_port << 16 | flow->new_source_port;
	__u64 change = (__u32)~addresses + (~addresses >> 32) + flow->new_source + (__u64)flow->new_destination;
	__u16 ip_checksum = AT(__u16, AT_IP_CHECKSUM), tcp_checksum = AT(__u16, AT_TCP_CHECKSUM);

	checksum_apply(&ip_checksum, change + CHECKSUM_TTL_DECREMENT);
	checksum_apply(&tcp_checksum, change + checksum_change32(ports, new_ports));
	ethernet_address(data, hop->destination_mac);
	--AT(__u8, AT_TTL);
	AT(__u16, AT_IP_CHECKSUM) = ip_checksum;
	AT(__u64, AT_ADDRESSES) = new_addresses;
	AT(__u32, AT_PORTS) = new_ports;
	AT(__u16, AT_TCP_CHECKSUM) = tcp_checksum;
}

/* A packet that changes nothing: its connection is established, its next hop is known, its TTL is not at the end. */
static __always_inline const struct sluice_next_hop *plain_way(void *data, const struct flow *flow,
							       const struct sluice_runtime *r)
{
	if (AT(__u8, AT_TTL) <= 1 || AT(__u8, AT_TCP_LENGTH + 1) & (TCP_SYN | TCP_FIN | TCP_RST) ||
	    !(flow->state & (SLUICE_FLOW_ESTABLISHED | SLUICE_FLOW_TO_CLIENT)))
		return NULL;
	return next_hop_valid(SLUICE_STATE_GET(flow->state, HOP), r->next_hop_generation + 1);
}

/* Returns the XDP action, or UNDECIDED. */
static __always_inline int frequent_packet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	const struct sluice_runtime *r = runtime_get();
	__u32 ifindex = ctx->ingress_ifindex, slot = ifindex % SLUICE_MAX_INTERFACES, ports;
	const struct sluice_interface *interface = bpf_map_lookup_elem(&interfaces, &slot);
	const struct sluice_next_hop *hop;
	__u64 addresses;
	struct tuple t;
	struct flow flow;

	if (!abridged || data + END_OF_HEADERS > data_end || !r || !interface || interface->ifindex != ifindex ||
	    !mac_is_ours(data, interface))
		return UNDECIDED;
	/* Ethertype, version and header length in one word. */
	if ((AT(__u32, AT_ETHERTYPE) & 0xffffff) != (IPV4_WITHOUT_OPTIONS << 16 | bpf_htons(ETH_P_IP)))
		return UNDECIDED;
	addresses = AT(__u64, AT_ADDRESSES);
	/* Ours are packets to VIPs, and of flows without SNAT those that come from members. */
	if (!address_in_filter(r, addresses >> 32) && !address_in_filter(r, addresses)) {
		count_reason(SLUICE_REASON_NOT_OURS);
		return XDP_PASS;
	}
	ports = AT(__u32, AT_PORTS);
	t = (struct tuple){
		.source = addresses,
		.destination = addresses >> 32,
		.source_port = ports,
		.destination_port = ports >> 16,
		.protocol = SLUICE_FLOW_TCP,
	};
	if (AT(__u8, AT_TTL + 1) != IPPROTO_TCP || !headers_are_plain(data, data_end) || !flow_find(&t, &flow))
		return UNDECIDED;
	hop = plain_way(data, &flow, r);
	if (!hop)
		return UNDECIDED;
	ifindex = hop->ifindex;
	rewrite_headers(data, addresses, ports, &flow, hop);
	touch(&flow);
	count_flow_packet(flow.state, BEGIN_OF_IP + bpf_ntohs(AT(__be16, AT_IP_LENGTH)));
	if (flow.state & SLUICE_FLOW_TO_CLIENT)
		count_reason(SLUICE_REASON_REPLIED);
	else
		count_reason(SLUICE_REASON_FORWARDED);
	return ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(ifindex, 0);
}

#endif
