/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A packet of a known flow: TTL, next hop, rewriting, TCP state, counters.
 * Most packets of established connections take the abridged way instead (frequent.h). */
#ifndef SLUICE_BPF_FORWARD_H
#define SLUICE_BPF_FORWARD_H

#include "bpf/checksum.h"
#include "bpf/flow_state.h"
#include "bpf/next_hop.h"

/* Addresses the frame to its next hop; what a router does. */
static __always_inline void send_to(struct packet *p, const struct sluice_next_hop *hop)
{
	ethernet_address(p->eth, hop->destination_mac);
	--p->ipv4->ttl;
	p->egress_ifindex = hop->ifindex;
}

/* Translates addresses and ports. `ttl_change` is what send_to() added to the IPv4 header's sum, or 0.
 *
 * The sums' changes are computed here, not kept in the flow: a dozen additions cost less than a larger slot. */
static __always_inline void translate(struct packet *p, const struct flow *flow, __u64 ttl_change)
{
	struct iphdr *ip = p->ipv4;
	struct tcphdr *tcp = p->tcp;
	__u32 new_ports = (__u32)flow->new_destination_port << 16 | flow->new_source_port;
	__u64 addresses = checksum_change32(p->tuple.source, flow->new_source) +
			  checksum_change32(p->tuple.destination, flow->new_destination);
	__u64 ports = checksum_change32(tuple_ports(&p->tuple), new_ports);

	ip->saddr = flow->new_source;
	ip->daddr = flow->new_destination;
	checksum_apply(&ip->check, addresses + ttl_change);

	*(__u32 *)tcp = new_ports;
	checksum_apply(&tcp->check, addresses + ports);
}

/* Rewrites the packet for its flow. Without a next hop it is translated only and left to the kernel, which routes
 * it, resolves the MAC and decrements the TTL itself: the first packet to a silent neighbour is late, not lost,
 * even while no controller runs. */
static __always_inline void rewrite(struct packet *p, const struct flow *flow, const struct sluice_next_hop *hop)
{
	if (hop)
		send_to(p, hop);
	translate(p, flow, hop ? CHECKSUM_TTL_DECREMENT : 0);
}

/* The client's side of the TCP state: what this packet adds to it. */
static __always_inline void track_client(const struct packet *p, const struct flow *forward)
{
	__u64 seen = 0;

	if (p->tcp_flags & TCP_FIN)
		seen |= SLUICE_FLOW_CLIENT_FIN;
	if (p->tcp_flags & TCP_RST)
		seen |= SLUICE_FLOW_CLOSED;
	if (p->tcp_flags & TCP_ACK && forward->state & SLUICE_FLOW_REPLIED)
		seen |= SLUICE_FLOW_ESTABLISHED;
	if (seen & ~forward->state)
		flow_note(forward->slot, seen, forward->state);
}

/* The member's side. Only SYN, FIN and RST say something; the state is in the twin. */
__noinline int track_member(const struct tuple *forward_key, __u32 tcp_flags)
{
	struct flow forward;
	__u64 seen = 0;

	if (tcp_flags & TCP_SYN && tcp_flags & TCP_ACK)
		seen |= SLUICE_FLOW_REPLIED;
	if (tcp_flags & TCP_FIN)
		seen |= SLUICE_FLOW_MEMBER_FIN;
	if (tcp_flags & TCP_RST)
		seen |= SLUICE_FLOW_CLOSED;
	if (forward_key && flow_find_far(forward_key, &forward) && seen & ~forward.state)
		flow_note(forward.slot, seen, forward.state);
	return 0;
}

/* Stamps at most once per tick, so that most packets leave the slot's cache line clean. A lost race is no loss:
 * somebody else has stamped it, or the next packet will. */
static __always_inline void touch(struct flow *flow)
{
	__u64 now = SLUICE_STATE_PUT(SEEN, clock_ticks());
	__u64 state = (flow->state & SLUICE_STATE_CLEAR(SEEN)) | now;

	if (state != flow->state && flow_replace_state(flow->slot, flow->state, state))
		flow->state = state;
}

/* The flow's next hop is of another generation: ask again, and remember it for the packets that follow. */
static __always_inline int renew_next_hop(struct xdp_md *ctx, struct flow *flow, struct next_hop_query *q)
{
	__u64 state;
	int why;

	q->source = flow->new_source;
	q->destination = flow->new_destination;
	q->ingress_ifindex = ctx->ingress_ifindex;
	q->index = SLUICE_STATE_GET(flow->state, HOP);
	why = next_hop_resolve(ctx, q);
	if (why != UNDECIDED || q->index == SLUICE_STATE_GET(flow->state, HOP))
		return why;
	state = (flow->state & SLUICE_STATE_CLEAR(HOP)) | SLUICE_STATE_PUT(HOP, q->index);
	if (flow_replace_state(flow->slot, flow->state, state))
		flow->state = state;
	return why;
}

static __always_inline __u32 reason_of_way(const struct flow *flow)
{
	return flow->state & SLUICE_FLOW_TO_CLIENT ? SLUICE_REASON_REPLIED : SLUICE_REASON_FORWARDED;
}

static __always_inline bool opens_connection(const struct packet *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Any packet of a known flow. */
static __noinline int forward_packet(struct packet *p, struct xdp_md *ctx, struct flow *flow)
{
	const struct sluice_next_hop *hop = next_hop_valid(SLUICE_STATE_GET(flow->state, HOP), next_hop_generation());
	struct next_hop_query *q;
	int why = UNDECIDED;
	__u32 zero = 0;

	if (p->ipv4->ttl <= 1)
		return SLUICE_REASON_TTL_EXCEEDED;
	if (!hop) {
		q = bpf_map_lookup_elem(&local_next_hop, &zero);
		why = q ? renew_next_hop(ctx, flow, q) : SLUICE_REASON_NO_ROUTE;
		if (why == SLUICE_REASON_NO_ROUTE)
			return why;
		hop = why == UNDECIDED ? &q->hop : NULL;
	}
	rewrite(p, flow, hop);
	touch(flow);
	count_flow_packet(flow->state, p->frame_bytes);
	if (!(flow->state & SLUICE_FLOW_TO_CLIENT)) {
		track_client(p, flow);
	} else if (p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
		struct tuple twin = flow_twin(flow);

		track_member(&twin, p->tcp_flags);
	}
	if (why != UNDECIDED)
		return why;
	return reason_of_way(flow);
}

#endif
