/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A packet of a known flow: TTL, next hop, rewriting, TCP state, counters. This is the hot path. */
#ifndef SLUICE_BPF_FORWARD_H
#define SLUICE_BPF_FORWARD_H

#include "bpf/checksum.h"
#include "bpf/flow_table.h"
#include "bpf/next_hop.h"

/* Addresses the frame to its next hop; what a router does. */
static __always_inline void send_to(struct packet *p, const struct sluice_next_hop *hop)
{
	__builtin_memcpy(p->eth->h_dest, hop->destination_mac, SLUICE_MAC_BYTES);
	__builtin_memcpy(p->eth->h_source, hop->source_mac, SLUICE_MAC_BYTES);
	--p->ipv4->ttl;
	p->egress_ifindex = hop->ifindex;
}

/* Translates addresses and ports. `ttl_change` is what send_to() added to the IPv4 header's sum, or 0. */
static __always_inline void translate(struct packet *p, const struct sluice_flow4 *flow, __u32 ttl_change)
{
	struct iphdr *ip = p->ipv4;
	struct tcphdr *tcp = p->tcp;

	ip->saddr = flow->new_source;
	ip->daddr = flow->new_destination;
	checksum_apply(&ip->check, flow->ipv4_checksum_delta + ttl_change);

	tcp->source = flow->new_source_port;
	tcp->dest = flow->new_destination_port;
	checksum_apply(&tcp->check, flow->l4_checksum_delta);
}

/* Rewrites the packet for its flow. `unresolved` is UNDECIDED when the next hop is known; else the packet is
 * translated only and left to the kernel, which routes it, resolves the MAC and decrements the TTL itself: the
 * first packet to a silent neighbour is late, not lost, even while no controller runs. */
static __always_inline void rewrite(struct packet *p, const struct sluice_flow4 *flow, int unresolved)
{
	if (unresolved == UNDECIDED)
		send_to(p, &flow->next_hop);
	translate(p, flow, unresolved == UNDECIDED ? CHECKSUM_TTL_DECREMENT : 0);
}

/* The client's side of the TCP state: what this packet adds to it. */
static __always_inline void track_client(const struct packet *p, struct sluice_flow4 *forward)
{
	__u32 seen = 0;

	if (p->tcp_flags & TCP_FIN)
		seen |= SLUICE_FLOW_CLIENT_FIN;
	if (p->tcp_flags & TCP_RST)
		seen |= SLUICE_FLOW_RESET;
	if (p->tcp_flags & TCP_ACK && forward->events & SLUICE_FLOW_REPLIED)
		seen |= SLUICE_FLOW_ESTABLISHED;
	if (seen & ~forward->events)
		flow_note(forward, seen);
}

/* The member's side. Only SYN, FIN and RST say something; the state is in the twin. */
static __noinline void track_member(const struct sluice_flow4 *reverse, __u8 protocol, __u32 tcp_flags)
{
	struct sluice_flow4_key forward_key;
	struct sluice_flow4 *forward;
	__u32 seen = 0;

	if (tcp_flags & TCP_SYN && tcp_flags & TCP_ACK)
		seen |= SLUICE_FLOW_REPLIED;
	if (tcp_flags & TCP_FIN)
		seen |= SLUICE_FLOW_MEMBER_FIN;
	if (tcp_flags & TCP_RST)
		seen |= SLUICE_FLOW_RESET;
	flow_twin_key(reverse, protocol, &forward_key);
	forward = flow_find(&forward_key);
	if (forward && seen & ~forward->events)
		flow_note(forward, seen);
}

/* Stamps at most once a second, so that most packets leave the entry's cache line clean. */
static __always_inline void touch(struct sluice_flow4 *flow)
{
	__u32 now = clock_jiffies();

	if (now - flow->last_seen_jiffies >= clock_hz)
		flow->last_seen_jiffies = now;
}

static __always_inline int forward_packet(struct packet *p, struct xdp_md *ctx, struct sluice_flow4 *flow)
{
	int unresolved = UNDECIDED;

	if (p->ipv4->ttl <= 1)
		return SLUICE_REASON_TTL_EXCEEDED;
	if (flow->next_hop.generation != next_hop_generation()) {
		unresolved = next_hop_resolve(ctx, &flow->next_hop, flow->new_source, flow->new_destination,
					      ctx->ingress_ifindex);
		if (unresolved == SLUICE_REASON_NO_ROUTE)
			return unresolved;
	}
	rewrite(p, flow, unresolved);
	touch(flow);
	count_flow_packet(flow, p->frame_bytes);
	if (flow->direction == SLUICE_TO_MEMBER)
		track_client(p, flow);
	else if (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST))
		track_member(flow, p->tuple.protocol, p->tcp_flags);
	if (unresolved != UNDECIDED)
		return unresolved;
	return flow->direction == SLUICE_TO_MEMBER ? SLUICE_REASON_FORWARDED : SLUICE_REASON_REPLIED;
}

#endif
