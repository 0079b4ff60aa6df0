/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A packet of a known flow: TTL, MTU, next hop, rewriting, connection state, counters.
 * Most packets of established connections take the fast path instead (fast_path.h). */
#ifndef SLUICE_BPF_FORWARD_H
#define SLUICE_BPF_FORWARD_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "bpf/admit.h"
#include "bpf/answer.h"
#include "bpf/ethernet.h"
#include "bpf/flow_state.h"
#include "bpf/frame.h"
#include "bpf/handshake.h"
#include "bpf/journey.h"
#include "bpf/port_reuse.h"
#include "bpf/proof.h"
#include "bpf/protocols.h"
#include "bpf/suspect.h"
#include "maps/reasons.h"

/* Returns the addresses' contribution to a checksum that covers them. */
static __always_inline __u64 address_change(int family, const union sluice_address *before,
					    const union sluice_address *after)
{
	__u64 change = checksum_change32(before->words[0], after->words[0]);

	if (family == FAMILY6) {
		for (int i = 1; i < 4; i++)
			change += checksum_change32(before->words[i], after->words[i]);
	}
	return change;
}

/* A function of its own, because the compiler would load all sixteen words before it adds the first, and the stack has no
 * room for that. */
__noinline __u64 address_change6(const union sluice_address *before, const union sluice_address *after)
{
	return before && after ? address_change(FAMILY6, before, after) : 0;
}

/* The same for the slow path. */
static __always_inline __u64 address_change_far(int family, const union sluice_address *before,
						const union sluice_address *after)
{
	return family == FAMILY4 ? address_change(FAMILY4, before, after) : address_change6(before, after);
}

static __always_inline void lower_ttl(int family, struct xdp_md *ctx, const struct packet *p)
{
	void *l3 = ip_header(family, ctx, p);

	if (!l3)
		return;
	--*ttl_of(family, l3);
	if (family == FAMILY4)
		checksum_apply(&((struct iphdr *)l3)->check, CHECKSUM_TTL_DECREMENT);
}

/* Returns the TTL; 0 if it can't be read. */
static __always_inline __u8 ttl(int family, struct xdp_md *ctx, const struct packet *p)
{
	void *l3 = ip_header(family, ctx, p);

	return l3 ? *ttl_of(family, l3) : 0;
}

static __always_inline void udp_checksum_apply(__u16 *checksum, __u64 change)
{
	if (*checksum == 0)
		return; /* the sender computed none (RFC 768) */
	checksum_apply(checksum, change);
	if (*checksum == 0)
		*checksum = 0xffff;
}

/* Translates ports and the L4 checksum. Fragments other than the first have neither. */
static __always_inline void translate_l4(struct xdp_md *ctx, const struct packet *p, __u32 new_ports, __u64 addresses)
{
	__u64 change = addresses + checksum_change32(tuple_ports(&p->tuple), new_ports);
	__u32 *ports;
	struct tcphdr *tcp;
	struct udphdr *udp;

	if (p->fragment == FRAGMENT_LATER)
		return;
	if (p->protocol == IPPROTO_TCP && (tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp))))
		checksum_apply(&tcp->check, change);
	else if (p->protocol == IPPROTO_UDP && (udp = packet_at(ctx, p->l4_offset, sizeof(*udp))))
		udp_checksum_apply(&udp->check, change);
	ports = packet_at(ctx, p->l4_offset, sizeof(*ports));
	if (ports)
		*ports = new_ports;
}

/* Says whether an address changes. Members that answer directly get the client's packet as it is; its checksums must
 * not be touched then, because adding nothing would turn 0xffff into 0. */
static __always_inline bool is_translated(int family, const struct tuple *t, const struct flow *flow)
{
	return !address_equal(family, &t->destination, &flow->new_destination) ||
	       !address_equal(family, &t->source, &flow->new_source);
}

/* Translates addresses and ports. The checksums' changes are computed here instead of being kept in the flow,
 * because a dozen additions cost less than a larger slot. */
static __always_inline void translate(int family, struct xdp_md *ctx, const struct packet *p, const struct flow *flow)
{
	void *l3 = ip_header(family, ctx, p), *addresses = l3 + addresses_offset(family);
	__u64 change = address_change_far(family, &p->tuple.source, &flow->new_source) +
		       address_change_far(family, &p->tuple.destination, &flow->new_destination);

	if (!l3 || !is_translated(family, &p->tuple, flow))
		return;
	address_store(family, addresses, &flow->new_source);
	address_store(family, addresses + address_bytes(family), &flow->new_destination);
	if (family == FAMILY4)
		checksum_apply(&((struct iphdr *)l3)->check, change);
	translate_l4(ctx, p, (__u32)flow->new_destination_port << 16 | flow->new_source_port, change);
}

static __always_inline bool is_one_too_many(int family, const struct tuple *client)
{
	return family == FAMILY4 ? is_above_connection_limit4(client) : is_above_connection_limit6(client);
}

/* Says whether the connection was confirmed between these two states. */
static __always_inline bool is_confirmed_now(__u64 before, __u64 after)
{
	return !sluice_flow_is_confirmed(before) && sluice_flow_is_confirmed(after) && !sluice_flow_is_closed(after);
}

/* Takes the mark from the slot of the member's packets, so that what they tell is looked at. Versions before this one left
 * it there once the member had answered. */
static __always_inline int watch_member_in(int family, const struct tuple *reverse_key)
{
	__s32 index;
	__u64 state = flow_find_state(family, reverse_key, &index);

	return state & SLUICE_FLOW_ESTABLISHED &&
	       flow_change(family, index, reverse_key, state, state & ~SLUICE_FLOW_ESTABLISHED);
}

__noinline int watch_member4(const struct tuple *reverse_key)
{
	return reverse_key && watch_member_in(FAMILY4, reverse_key);
}

__noinline int watch_member6(const struct tuple *reverse_key)
{
	return reverse_key && watch_member_in(FAMILY6, reverse_key);
}

/* Would this packet confirm the connection, but for its number? See proof.h. A connection of a PROXYV2 pool is confirmed by
 * the member alone (proxy.h). */
static __always_inline bool lacks_proof(int family, struct xdp_md *ctx, const struct packet *p, const struct flow *forward,
					__u32 event)
{
	struct journey *journey = journey_get();

	if (!journey || p->protocol == IPPROTO_UDP || !waits_for_client(sluice_flow_phase(forward->state)) ||
	    event == EVENT_ABORTS || !is_translated(family, &p->tuple, forward) ||
	    (shows_number(family, ctx, p) && !flow_is_proxied(forward->state)))
		return false;
	flow_twin_to(&journey->twin, forward);
	if (family == FAMILY4)
		watch_member4(&journey->twin);
	else
		watch_member6(&journey->twin);
	return true;
}

/* The client's side of the connection: what this packet tells about it. True: it confirms one too many. */
static __always_inline bool track_client(int family, struct xdp_md *ctx, const struct packet *p,
					 const struct flow *forward)
{
	__u32 event = event_of(p->signals);
	__u64 after;

	if (p->protocol == IPPROTO_UDP)
		event = EVENT_PACKET;
	else if (event == EVENT_ACCEPTS)
		return false; /* only members accept connections */
	if (p->signals & SIGNAL_OPENS && sluice_flow_phase(forward->state) == SLUICE_PHASE_OPENING)
		suspect_member(forward->state, SLUICE_FAILURE_UNANSWERED);
	if (state_after(forward->state, event, false) == forward->state || lacks_proof(family, ctx, p, forward, event))
		return false;
	/* On its own the verifier goes through it once, and not once for each way that leads here. */
	after = family == FAMILY4 ? flow_advance_by_client4(&p->tuple, forward->index, forward->state, event)
				  : flow_advance_by_client6(&p->tuple, forward->index, forward->state, event);
	return is_confirmed_now(forward->state, after) && is_one_too_many(family, &p->tuple);
}

/* Says whether the packet comes in by the NIC that leads to the flow's member. A client behind another NIC may have
 * forged it otherwise. While the way to the member is unknown, every packet is believed. */
static __always_inline bool on_members_side(__u64 state, __u32 ingress_ifindex)
{
	__u32 member = SLUICE_STATE_GET(state, MEMBER), index = SLUICE_STATE_GET(state, HOP);
	const struct sluice_member_hop *known;
	const struct sluice_next_hop *hop;

	if (!index || state & SLUICE_FLOW_TO_CLIENT) {
		known = bpf_map_lookup_elem(&member_hops, &member);
		index = known ? member_hop_word(known) >> 32 : 0;
	}
	hop = index ? next_hop_at(index) : NULL;
	return !hop || !hop->ifindex || hop->ifindex == ingress_ifindex;
}

/* Says whether the member's next packets may change the state. */
enum told { TOLD_NOTHING, TOLD_MORE_WILL_FOLLOW, TOLD_ALL, TOLD_ONE_TOO_MANY };

/* `number`: what the client will show when it hears this packet (proof.h), or 0. */
static __always_inline int track_member_in(int family, const struct tuple *forward_key, __u32 event, __u32 ingress_ifindex,
					   __u32 number)
{
	__u32 *proof;
	__s32 index;
	__u64 phase, state = flow_find_state(family, forward_key, &index);

	if (!state || !on_members_side(state, ingress_ifindex))
		return TOLD_NOTHING;
	phase = sluice_flow_phase(state);
	if (event == EVENT_ACCEPTS && phase == SLUICE_PHASE_OPENING)
		handshake_ends(state, handshake_name(family, forward_key));
	if (event == EVENT_ABORTS && phase == SLUICE_PHASE_OPENING)
		suspect_member(state, SLUICE_FAILURE_REFUSED);
	/* Before the connection waits for its client. */
	if (number && is_unproven_phase(phase) && (proof = proof_of(family, forward_key)))
		WRITE_ONCE(*proof, number);
	/* An SCTP member has no association before it has checked its cookie (RFC 9260, 5.1.5). */
	if (event == EVENT_PACKET && waits_for_client(phase) && forward_key->protocol == SLUICE_FLOW_SCTP)
		event = EVENT_DATA;
	if (state_after(state, event, true) != state) {
		__u64 after = flow_advance(family, forward_key, index, state, event, true);

		if (is_confirmed_now(state, after) && is_one_too_many(family, forward_key))
			return TOLD_ONE_TOO_MANY;
		phase = sluice_flow_phase(after);
	}
	return is_unproven_phase(phase) || phase & SLUICE_FLOW_MEMBER_FIN ? TOLD_MORE_WILL_FOLLOW : TOLD_ALL;
}

__noinline int track_member4(const struct tuple *forward_key, __u32 event, __u32 ingress_ifindex, __u32 number)
{
	return forward_key ? track_member_in(FAMILY4, forward_key, event, ingress_ifindex, number) : TOLD_NOTHING;
}

__noinline int track_member6(const struct tuple *forward_key, __u32 event, __u32 ingress_ifindex, __u32 number)
{
	return forward_key ? track_member_in(FAMILY6, forward_key, event, ingress_ifindex, number) : TOLD_NOTHING;
}

/* Tracks the connection by a member's packet; the phase is in the twin. A reverse slot is marked while its ordinary
 * packets change nothing, so that they can take the fast path. */
static __always_inline bool track_member(int family, struct xdp_md *ctx, const struct packet *p, struct flow *flow)
{
	__u32 event = SLUICE_STATE_GET(flow->state, PROTOCOL) == SLUICE_FLOW_UDP ? EVENT_ANSWERS : event_of(p->signals);
	bool is_ordinary = event == EVENT_PACKET || event == EVENT_DATA || event == EVENT_ANSWERS;
	struct journey *journey = journey_get();
	__u64 state = flow->state;
	__u32 number;
	int told;

	if (!journey || event == EVENT_NONE || (is_ordinary && state & SLUICE_FLOW_ESTABLISHED))
		return false;
	flow_twin_to(&journey->twin, flow);
	number = number_told(ctx, p);
	told = family == FAMILY4 ? track_member4(&journey->twin, event, ctx->ingress_ifindex, number)
				 : track_member6(&journey->twin, event, ctx->ingress_ifindex, number);
	if (told == TOLD_ONE_TOO_MANY)
		return true;
	if (told == TOLD_ALL)
		state |= SLUICE_FLOW_ESTABLISHED;
	else if (told == TOLD_MORE_WILL_FOLLOW)
		state &= ~SLUICE_FLOW_ESTABLISHED;
	if (state != flow->state)
		flow_replace_state(family, &p->tuple, flow, state);
	return false;
}

/* Stamps the slot at most once per tick, so that most packets leave its cache line clean. A lost race does no harm:
 * another CPU has stamped it, or the next packet will. Neither does a slot that has changed hands: its new flow came
 * in this tick or the one before, and stays a tick longer. So this is the only change that doesn't compare the key,
 * which every packet would have to keep for it. */
static __always_inline void touch(int family, struct flow *flow)
{
	__u64 now = SLUICE_STATE_PUT(SEEN, clock_ticks());
	__u64 state = (flow->state & SLUICE_STATE_CLEAR(SEEN)) | now;

	if (state != flow->state && flow_swap(family, flow->index, flow->state, state))
		flow->state = state;
}

static __always_inline bool to_client(const struct flow *flow)
{
	return flow->state & SLUICE_FLOW_TO_CLIENT;
}

/* Sets the address to look up in the FIB: the member's, even if packets keep the VIP as their destination. */
static __always_inline void ask_for_flow(int family, struct next_hop_query *q, const struct flow *flow)
{
	const struct sluice_member *member = to_client(flow) ? NULL : member_of(flow->state);

	q->family = family;
	q->source = flow->new_source;
	q->destination = flow->new_destination;
	q->index = SLUICE_STATE_GET(flow->state, HOP);
	q->tunnel = 0;
	q->not_fast = snat_member(family, flow->state) != NULL;
	if (member && member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP)) {
		q->destination = member->address;
		q->tunnel = member_tunnel(family, member);
	}
}

/* Looks up the next hop again, because the flow's is outdated, and stores it for the packets that follow. */
static __always_inline int renew_next_hop(int family, struct xdp_md *ctx, const struct tuple *key, struct flow *flow,
					  struct next_hop_query *q)
{
	__u64 state;
	int why;

	ask_for_flow(family, q, flow);
	q->ingress_ifindex = ctx->ingress_ifindex;
	why = next_hop_resolve(ctx, q);
	if (why != UNDECIDED || q->index == SLUICE_STATE_GET(flow->state, HOP))
		return why;
	/* With a next hop its packets would take the fast path, which leaves the phase as it is. An ICMP error comes here. */
	if (!to_client(flow) && sluice_flow_is_replica(flow->state))
		return why;
	state = (flow->state & SLUICE_STATE_CLEAR(HOP)) | SLUICE_STATE_PUT(HOP, q->index);
	flow_replace_state(family, key, flow, state);
	return why;
}

/* The way of a flow's packets. UNDECIDED: *hop is known. NEXT_HOP_UNRESOLVED: the kernel must find it; *tunnel is
 * the tunnel's end, if there is a tunnel. */
struct way {
	const struct sluice_next_hop *hop;
	const union sluice_address *tunnel; /* the tunnel's end, or NULL */
};

static __always_inline int find_way(int family, struct xdp_md *ctx, const struct tuple *key, struct flow *flow,
				    struct way *way)
{
	struct next_hop_query *q;
	__u32 zero = 0;
	int why;

	way->hop = next_hop_valid(SLUICE_STATE_GET(flow->state, HOP), next_hop_generation());
	way->tunnel = way->hop && way->hop->tunnel ? &way->hop->tunnel_destination : NULL;
	if (way->hop)
		return UNDECIDED;
	q = bpf_map_lookup_elem(&local_next_hop, &zero);
	if (!q)
		return SLUICE_REASON_NO_ROUTE;
	why = renew_next_hop(family, ctx, key, flow, q);
	way->hop = why == UNDECIDED ? &q->hop : NULL;
	way->tunnel = q->tunnel ? &q->destination : NULL;
	MUST_TEST(way->hop);
	MUST_TEST(way->tunnel);
	return why;
}

static __always_inline bool may_be_fragmented(int family, struct xdp_md *ctx, const struct packet *p)
{
	const struct iphdr *ip = ip_header(family, ctx, p);

	return family == FAMILY4 && ip && !(ip->frag_off & bpf_htons(IPV4_DONT_FRAGMENT));
}

/* Writes the frame's headers; if `way->hop` is NULL, the kernel does so. False: there is no room for them. */
static __always_inline bool send_by(int family, struct packet *p, struct xdp_md *ctx, const struct way *way)
{
	void *frame;

	if (way->hop)
		p->egress_ifindex = way->hop->ifindex;
	if (way->hop && !way->tunnel && !way->hop->tags && p->l3_offset == ETH_HLEN) {
		frame = packet_at(ctx, 0, ETH_HLEN);
		if (frame)
			ethernet_address(frame, way->hop->destination_mac);
		return frame;
	}
	if (!way->hop && !way->tunnel)
		return true;
	return family == FAMILY4 ? write_frame4(ctx, p->l3_offset, way->tunnel, way->hop)
				 : write_frame6(ctx, p->l3_offset, way->tunnel, way->hop);
}

/* Says whether the kernel would send the packet elsewhere: one that stays addressed to the VIP (dsr) reaches its
 * member only by the MAC that it gets here. */
static __always_inline bool kernel_would_lose(int family, const struct tuple *t, const struct flow *flow,
					      const struct way *way)
{
	__u64 lost = !is_translated(family, t, flow);

	if (way->tunnel)
		lost = 0;
	TEST_ALONE(lost);
	return lost;
}

/* Says whether we lower the TTL. If a packet is left to the kernel, that lowers it, but in a tunnel only the outer
 * one. */
static __always_inline bool lowers_ttl(const struct way *way)
{
	__u64 lowers = way->hop ? 1 : 0;

	TEST_ALONE(lowers);
	return way->tunnel ? true : lowers;
}

/* Leaves the rest of the packet's way to leave_as_ipv4(). */
static __always_inline int leave_by_ipv4(const struct way *way, __u32 why)
{
	struct journey *journey = journey_get();

	if (!journey)
		return SLUICE_REASON_NO_ROUTE;
	journey->leaving.why = why;
	journey->leaving.has_hop = 0;
	if (way->hop) {
		journey->leaving.has_hop = 1;
		next_hop_copy(&journey->leaving.hop, way->hop);
	}
	return NEXT_TO_IPV4;
}

/* Rewrites the packet and sends it. Without a next hop the packet is only translated and left to the kernel, which
 * routes it, resolves the MAC, fragments and decrements the TTL (of a tunnel, the outer one). So the first packet to
 * an unresolved neighbour is late, not lost, even while no controller runs. */
static __always_inline int transmit(int family, struct packet *p, struct xdp_md *ctx, const struct flow *flow,
				    struct way *way, __u32 why)
{
	if (way->hop && p->l3_bytes > way->hop->mtu) {
		if (!may_be_fragmented(family, ctx, p))
			return too_big(family, p, ctx, flow, way->hop->mtu);
		if (kernel_would_lose(family, &p->tuple, flow, way))
			return SLUICE_REASON_TOO_BIG;
		way->hop = NULL;
		why = SLUICE_REASON_LEFT_TO_FRAGMENT;
	}
	if (kernel_would_lose(family, &p->tuple, flow, way) && !way->hop)
		return SLUICE_REASON_MEMBER_UNRESOLVED;
	if (lowers_ttl(way))
		lower_ttl(family, ctx, p);
	translate(family, ctx, p, flow);
	if (family == FAMILY6 && is_mapped(&flow->new_destination))
		return leave_by_ipv4(way, why);
	return send_by(family, p, ctx, way) ? why : SLUICE_REASON_NO_HEADROOM;
}

static __always_inline __u32 reason_of_way(const struct flow *flow)
{
	return to_client(flow) ? SLUICE_REASON_REPLIED : SLUICE_REASON_FORWARDED;
}

static __always_inline int forward_in(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct packet *p;
	struct flow *flow;
	struct way way;
	int why;

	if (!journey)
		return SLUICE_REASON_NO_ROUTE;
	p = &journey->packet;
	flow = &journey->flow;
	if (ttl(family, ctx, p) <= 1)
		return time_exceeded(family, p, ctx, flow);
	why = find_way(family, ctx, &p->tuple, flow, &way);
	if (is_no_way(why))
		return why;
	touch(family, flow);
	count_flow_packet(flow->state, ETH_HLEN + p->l3_bytes);
	if (!to_client(flow) && p->signals & (SIGNAL_ENDS | SIGNAL_ABORTS))
		family == FAMILY4 ? note_client_end4(ctx) : note_client_end6(ctx);
	if (p->fragment != FRAGMENT_LATER) {
		if (to_client(flow) ? track_member(family, ctx, p, flow) : track_client(family, ctx, p, flow))
			return NEXT_OVER_LIMIT;
	}
	return transmit(family, p, ctx, flow, &way,
			way.hop ? reason_of_way(flow) : SLUICE_REASON_NEXT_HOP_UNRESOLVED);
}

/* Resets the sender's end of a connection that is over (flow_is_over()), or a client's to a member that is given up. If
 * no answer can be sent now, the next packet tries again. What is over stays, for the other end to be told, until the
 * sweep removes it. */
static __always_inline int give_up(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	bool is_over;
	int why;

	if (!journey)
		return SLUICE_REASON_MEMBER_DOWN;
	is_over = !flow_is_given_up(&journey->flow);
	why = reject(family, &journey->packet, ctx, is_over ? SLUICE_REASON_NO_FLOW : SLUICE_REASON_MEMBER_DOWN);
	if (!is_over && (why == SLUICE_REASON_REJECTED || journey->packet.signals & SIGNAL_ABORTS))
		flow_forget(family, &journey->packet.tuple, &journey->flow, SLUICE_RECORD_DRAINED);
	return why;
}

__noinline int give_up4(struct xdp_md *ctx)
{
	return give_up(FAMILY4, ctx);
}

__noinline int give_up6(struct xdp_md *ctx)
{
	return give_up(FAMILY6, ctx);
}

/* Ends a connection beyond the limit that this packet has confirmed, and resets the client. (A member's answer to a
 * UDP client is just dropped: the client's next packet is refused.) */
static __always_inline int end_one_too_many(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	bool answer;

	if (!journey)
		return SLUICE_REASON_CONNECTION_LIMIT;
	answer = to_client(&journey->flow);
	journey->quoted = journey->packet.tuple;
	if (answer)
		flow_twin_to(&journey->quoted, &journey->flow);
	/* The state has changed since. */
	if (flow_find_far(family, &journey->quoted, &journey->flow)) {
		count_flow_refused(listener_of_flow(journey->flow.state));
		flow_forget(family, &journey->quoted, &journey->flow, SLUICE_RECORD_OVER_LIMIT);
	}
	return answer ? SLUICE_REASON_CONNECTION_LIMIT
		      : reject(family, &journey->packet, ctx, SLUICE_REASON_CONNECTION_LIMIT);
}

__noinline int end_one_too_many4(struct xdp_md *ctx)
{
	return end_one_too_many(FAMILY4, ctx);
}

__noinline int end_one_too_many6(struct xdp_md *ctx)
{
	return end_one_too_many(FAMILY6, ctx);
}

/* Any packet of a known flow. */
__noinline int forward4(struct xdp_md *ctx)
{
	return forward_in(FAMILY4, ctx);
}

__noinline int forward6(struct xdp_md *ctx)
{
	return forward_in(FAMILY6, ctx);
}

#endif
