// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The XDP program: a packet's journey, which README.md draws.
 *
 * The entry point tries the fast path first (fast_path.h); all other packets take slow_path(). During a capture,
 * sluice_capture replaces it. */
#include "bpf/capture.h"
#include "bpf/connect.h"
#include "bpf/crossing.h"
#include "bpf/ethernet.h"
#include "bpf/expire.h"
#include "bpf/expire_short.h"
#include "bpf/fast_path.h"
#include "bpf/icmp.h"
#include "bpf/journey.h"
#include "bpf/move.h"
#include "bpf/other_version.h"
#include "bpf/parse.h"
#include "bpf/protocols.h"
#include "bpf/proxy.h"
#include "bpf/flow_image.h"
#include "bpf/replica.h"
/* Packets don't use this map; it only lives as long as the others. */
#include "maps/store_position.h"
#include "maps/versions.h"

enum verdict { VERDICT_FORWARD, VERDICT_ANSWER, VERDICT_PASS, VERDICT_DROP };

#define REASON_VERDICT(name, verdict, label, sentence) VERDICT_##verdict,
static const __u8 reason_verdicts[SLUICE_REASON_COUNT] = {SLUICE_REASONS(REASON_VERDICT)};

/* The one exit: counts the reason and turns it into an XDP action. */
static __always_inline int finish(__u32 egress_ifindex, struct xdp_md *ctx, __u32 why)
{
	/* Check and use need the same register; otherwise the verifier sees two loads of one variable. */
	asm volatile("" : "+r"(why));
	if (why >= SLUICE_REASON_COUNT)
		return XDP_ABORTED;
	count_reason(why);
	switch (reason_verdicts[why]) {
	case VERDICT_FORWARD:
		return egress_ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(egress_ifindex, 0);
	case VERDICT_ANSWER:
		return XDP_TX;
	case VERDICT_PASS:
		return XDP_PASS;
	default:
		return XDP_DROP;
	}
}

/* Checks the frame's interface and destination MAC. `l3_offset` is the offset of its payload. */
static __always_inline int receive(struct packet *p, struct xdp_md *ctx, __u32 l3_offset)
{
	const struct sluice_interface *interface = ingress_interface(ctx);
	const struct ethhdr *eth = packet_at(ctx, 0, sizeof(*eth));

	if (!eth)
		return SLUICE_REASON_MALFORMED_ETHERNET;
	if (!interface)
		return SLUICE_REASON_UNKNOWN_INTERFACE;
	p->defect = UNDECIDED;
	p->l3_offset = l3_offset;
	if (mac_equal(eth->h_dest, interface->mac))
		return UNDECIDED;
	/* Frames for other machines (flooding, a promiscuous NIC) are not ours; questions for a VIP's MAC are sent
	 * to all. */
	p->group_mac = eth->h_dest[0] & 1;
	return p->group_mac ? UNDECIDED : SLUICE_REASON_NOT_OUR_MAC;
}

/* Says whether a packet may open a new connection, perhaps to another member: it opens one, or its UDP flow was
 * never answered. */
static __always_inline bool may_open_anew(const struct packet *p, const struct flow *flow)
{
	if (flow->state & SLUICE_FLOW_TO_CLIENT || p->fragment == FRAGMENT_LATER)
		return false;
	return p->signals & SIGNAL_OPENS ||
	       (p->protocol == IPPROTO_UDP && !(flow->state & SLUICE_FLOW_ESTABLISHED));
}

static __always_inline bool opens(const struct packet *p)
{
	return p->tuple.protocol && p->fragment != FRAGMENT_LATER &&
	       (p->signals & SIGNAL_OPENS || p->protocol == IPPROTO_UDP);
}

/* Says whether an IPv4 packet is of a connection whose member has an IPv6 address, or is from a member that has an IPv6 client
 * (other_version.h). */
static __always_inline bool is_of_ipv6_flow(const struct packet *p)
{
	struct journey *journey = journey_get();

	if (!journey || !p->tuple.protocol)
		return false;
	journey->quoted = p->tuple;
	return quoted_is_known6();
}

static __always_inline bool opens_ipv6_flow(const struct packet *p)
{
	const struct sluice_listener *listener = p->tuple.protocol ? listener_find(FAMILY4, &p->tuple) : NULL;

	return listener && listener->flags & SLUICE_LISTENER_TO_IPV6;
}

/* Handles a packet without a flow, which is for a VIP or not ours. */
static __always_inline int packet_without_flow(int family, struct packet *p, struct xdp_md *ctx)
{
	const struct sluice_vip *vip = vip_find(family, &p->tuple.destination);

	if (!vip)
		return p->defect == UNDECIDED && opens(p) ? NEXT_PASS_MEMBER : SLUICE_REASON_NOT_OURS;
	if (p->defect != UNDECIDED)
		return p->defect;
	if (family == FAMILY4 && vip->flags & SLUICE_VIP_MIXED && is_of_ipv6_flow(p))
		return NEXT_TO_IPV6;
	if (!(vip->flags & SLUICE_VIP_UP))
		return SLUICE_REASON_VIP_DOWN;
	if (source_is_martian(family, p))
		return SLUICE_REASON_MARTIAN_SOURCE;
	if (!header_sum_is_right(family, ctx, p))
		return SLUICE_REASON_IPV4_CHECKSUM;
	if (family == FAMILY4 && vip->flags & SLUICE_VIP_MIXED && opens_ipv6_flow(p))
		return NEXT_TO_IPV6;
	/* Later fragments whose ports are known may be of a datagram that has no flow. */
	if (p->fragment && (p->protocol == icmp_protocol(family) || (p->fragment == FRAGMENT_LATER && p->protocol != IPPROTO_UDP)))
		return SLUICE_REASON_FRAGMENT_WITHOUT_FIRST;
	if (p->protocol == icmp_protocol(family))
		return vip->flags & SLUICE_VIP_STANDBY ? SLUICE_REASON_VIP_STANDBY : answer_echo(family, p, ctx);
	/* A packet without a defect has known ports. */
	if (!p->tuple.protocol)
		return p->fragment == FRAGMENT_LATER ? SLUICE_REASON_FRAGMENT_WITHOUT_FIRST
						      : SLUICE_REASON_UNSUPPORTED_PROTOCOL;
	return ask_for_connection(family, p, ctx, vip);
}

static __always_inline bool is_first_answer(const struct packet *p, const struct flow *flow)
{
	return flow->state & SLUICE_FLOW_TO_CLIENT && p->signals & SIGNAL_ACCEPTS &&
	       (p->protocol != IPPROTO_UDP || !(flow->state & SLUICE_FLOW_ESTABLISHED));
}

/* Handles a packet with ports. UNDECIDED: the packet has no flow, or its flow was removed for a new connection. */
static __always_inline int packet_with_ports(int family, struct packet *p, struct xdp_md *ctx, struct flow *flow)
{
	if (!flow_find_far(family, &p->tuple, flow))
		return UNDECIDED;
	if (p->defect != UNDECIDED)
		return p->defect;
	if (may_open_anew(p, flow) && (flow_gives_way(family, flow) || member_is_too_slow(family)) &&
	    flow_forget(family, &p->tuple, flow, SLUICE_RECORD_REPLACED))
		return flow_is_crossing ? replaced_here() : UNDECIDED;
	if (is_first_answer(p, flow) && checksum_is_partial(ctx))
		return SLUICE_REASON_PARTIAL_CHECKSUM;
	if (p->fragment == FRAGMENT_FIRST)
		fragment_remember(family, p);
	if (flow_is_given_up(flow))
		return NEXT_GIVE_UP;
	if (p->protocol != IPPROTO_TCP)
		return NEXT_FORWARD;
	if (!SLUICE_STATE_GET(flow->state, HOP))
		return NEXT_LOOK_IF_OVER;
	return shakes_hands(p, flow) ? NEXT_SHAKE : NEXT_FORWARD;
}

/* Returns NEXT_ERROR for an ICMP error, UNDECIDED for other packets. */
static __always_inline int packet_without_ports(int family, struct packet *p, struct xdp_md *ctx)
{
	struct icmp_header *icmp = packet_at(ctx, p->l4_offset, sizeof(*icmp));

	if (p->fragment || p->protocol != icmp_protocol(family))
		return UNDECIDED;
	if (!icmp || p->l4_bytes < sizeof(*icmp))
		p->defect = reason_out_of_reach(0, sizeof(*icmp), p->l4_bytes, SLUICE_REASON_MALFORMED_ICMP);
	else if (is_icmp_error(family, icmp->type))
		return NEXT_ERROR;
	return UNDECIDED;
}

static __always_inline int packet_of_known_flow(int family, struct packet *p, struct xdp_md *ctx, struct flow *flow)
{
	/* With most defects the ports' place is unknown. */
	if (p->defect != UNDECIDED && p->defect != SLUICE_REASON_BAD_FRAGMENT)
		return UNDECIDED;
	if (p->fragment == FRAGMENT_LATER ? flow_protocol(p->protocol) && fragment_recall(family, p) : parse_l4(p, ctx))
		return packet_with_ports(family, p, ctx, flow);
	return packet_without_ports(family, p, ctx);
}

/* Decides on an IP packet: returns a reason or NEXT_*. */
static __always_inline int decide(int family, struct xdp_md *ctx, __u32 l3_offset)
{
	struct journey *journey = journey_get();
	struct packet *p;
	int why;

	if (!journey)
		return SLUICE_REASON_NOT_OURS;
	p = &journey->packet;
	__builtin_memset(p, 0, sizeof(*p));
	journey->passed_over = NOT_PASSED_OVER;
	if ((why = receive(p, ctx, l3_offset)) != UNDECIDED)
		return why;
	if (!parse_ip(family, p, ctx))
		return p->group_mac ? SLUICE_REASON_NOT_OUR_MAC : SLUICE_REASON_NOT_OURS;
	if (family == FAMILY6 && (why = answer_solicitation(p, ctx)) != UNDECIDED)
		return why;
	if (p->group_mac)
		return SLUICE_REASON_NOT_OUR_MAC;
	/* Nobody has such an address; see other_version.h. */
	if (family == FAMILY6 && is_mapped(&p->tuple.destination) && !journey->was_ipv4)
		return SLUICE_REASON_NOT_OURS;
	if ((why = packet_of_known_flow(family, p, ctx, &journey->flow)) != UNDECIDED)
		return why;
	if (flow_is_crossing && p->tuple.protocol && !journey->asked)
		return NEXT_ASK_FORMER;
	return packet_without_flow(family, p, ctx);
}

__noinline int decide4(struct xdp_md *ctx, __u32 l3_offset)
{
	return decide(FAMILY4, ctx, l3_offset);
}

__noinline int decide6(struct xdp_md *ctx, __u32 l3_offset)
{
	return decide(FAMILY6, ctx, l3_offset);
}

/* Says whether a packet from a client to a member's own address opens what the member takes for a connection that the
 * client has through a VIP: in dnat both have the same addresses and ports there, and the answers would get the VIP's.
 * A connection that makes way for a SYN makes way for this one, too. */
static __always_inline bool is_in_use(int family)
{
	struct journey *journey = journey_get();
	struct tuple *key;
	struct flow *flow;

	if (!journey)
		return false;
	key = &journey->quoted;
	flow = &journey->flow;
	key->source = journey->packet.tuple.destination;
	key->destination = journey->packet.tuple.source;
	key->source_port = journey->packet.tuple.destination_port;
	key->destination_port = journey->packet.tuple.source_port;
	key->protocol = journey->packet.tuple.protocol;
	if (!flow_find_far(family, key, flow) || !(flow->state & SLUICE_FLOW_TO_CLIENT))
		return false;
	flow_twin_to(key, flow);
	if (!flow_find_far(family, key, flow))
		return false;
	return !(may_open_anew(&journey->packet, flow) && flow_gives_way(family, flow) &&
		 flow_forget(family, key, flow, SLUICE_RECORD_REPLACED));
}

/* Handles a packet that opens a connection, but not to a VIP. */
static __always_inline int pass_member(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();

	return journey && is_in_use(family) ? reject(family, &journey->packet, ctx, SLUICE_REASON_TUPLE_IN_USE)
					    : SLUICE_REASON_NOT_OURS;
}

__noinline int pass_member4(struct xdp_md *ctx)
{
	return pass_member(FAMILY4, ctx);
}

__noinline int pass_member6(struct xdp_md *ctx)
{
	return pass_member(FAMILY6, ctx);
}

/* Finds the flow that another CPU has just created. */
__noinline int find_again(int family)
{
	struct journey *journey = journey_get();

	if (!journey)
		return false;
	return family == FAMILY4 ? flow_find_far(FAMILY4, &journey->packet.tuple, &journey->flow)
				 : flow_find_far(FAMILY6, &journey->packet.tuple, &journey->flow);
}

/* Creates the planned connection, and tries again whenever something was evicted for it, or it has got another source
 * address. */
static __always_inline int make_connection(int family, struct xdp_md *ctx)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i < SLUICE_MAX_SNAT_SOURCES + MAKE_WAY_ROUNDS; i++) {
		int why = family == FAMILY4 ? create_flow4() : create_flow6();

		if (why != UNDECIDED)
			return why;
		if (reason_of_failure() == OPENED_MEANWHILE)
			break;
		if (i == 0)
			look_at_numbers(ctx); /* for port_suits() */
		if (!(family == FAMILY4 ? make_way4() : make_way6()))
			break;
	}
	return reason_of_failure();
}

/* Does the same while the former program has flows, too. It is asked for each source port before that is claimed. */
static __always_inline int make_connection_across(int family, struct xdp_md *ctx)
{
#pragma clang loop unroll(disable)
	for (int i = 0; i++ < SNAT_PORT_TRIES + MAKE_WAY_ROUNDS;) {
		int why = UNDECIDED;

		if (former_has_claim(family, ctx))
			port_is_taken();
		else
			why = family == FAMILY4 ? create_flow4() : create_flow6();
		if (why != UNDECIDED)
			return why;
		if (reason_of_failure() == OPENED_MEANWHILE)
			break;
		if (!next_port() && !(family == FAMILY4 ? make_way4() : make_way6()))
			break;
		JUMP_BACK(i);
	}
	return reason_of_failure();
}

/* Sends a packet of a known flow on. */
static __always_inline int forward_known(int family, struct xdp_md *ctx, int next)
{
	if (next == NEXT_SHAKE)
		next = family == FAMILY4 ? shake4(ctx) : shake6(ctx);
	if (next == NEXT_CONFIRM)
		next = family == FAMILY4 ? confirm4(ctx) : confirm6(ctx);
	if (next == NEXT_FORWARD)
		next = family == FAMILY4 ? forward4(ctx) : forward6(ctx);
	return next;
}

/* Opens the connection that was asked for. */
static __always_inline int open_connection(int family, struct xdp_md *ctx, bool crossing)
{
	int why = family == FAMILY4 ? plan_connection4(ctx) : plan_connection6(ctx);
	bool proxied = why == NEXT_SHAKE;

	if (proxied)
		why = family == FAMILY4 ? admit_syn4(ctx) : admit_syn6(ctx);
	if (why == UNDECIDED)
		why = crossing ? make_connection_across(family, ctx) : make_connection(family, ctx);
	if (why == SLUICE_REASON_FLOW_CREATED || why == SLUICE_REASON_FORWARDED_WITHOUT_FLOW ||
	    why == SLUICE_REASON_DATAGRAM_FORWARDED) {
		if (proxied)
			family == FAMILY4 ? lower_syn4(ctx) : lower_syn6(ctx);
		return family == FAMILY4 ? forward_first4(ctx, why) : forward_first6(ctx, why);
	}
	if (why != OPENED_MEANWHILE) {
		if (proxied)
			forget_pending(family);
		return family == FAMILY4 ? refuse4(ctx, why) : refuse6(ctx, why);
	}
	if (!find_again(family))
		return SLUICE_REASON_NO_FLOW;
	return forward_known(family, ctx, NEXT_SHAKE);
}

/* Runs the stages one after the other. They are called from here, not from each other, because all open calls share
 * 512 bytes of stack. */
static __always_inline int ip_packet(int family, struct xdp_md *ctx, __u32 l3_offset, bool crossing)
{
	int next = family == FAMILY4 ? decide4(ctx, l3_offset) : decide6(ctx, l3_offset);

	if (next == NEXT_LOOK_IF_OVER)
		next = flow_is_over(family) ? NEXT_GIVE_UP : NEXT_SHAKE;
	next = forward_known(family, ctx, next);
	switch (next) {
	case NEXT_OVER_LIMIT:
		return family == FAMILY4 ? end_one_too_many4(ctx) : end_one_too_many6(ctx);
	case NEXT_ANSWER_SYN:
		return family == FAMILY4 ? answer_syn4(ctx) : answer_syn6(ctx);
	case NEXT_GIVE_UP:
		return family == FAMILY4 ? give_up4(ctx) : give_up6(ctx);
	case NEXT_OPEN:
		return open_connection(family, ctx, crossing);
	case NEXT_PASS_MEMBER:
		return family == FAMILY4 ? pass_member4(ctx) : pass_member6(ctx);
	case NEXT_ERROR:
		return family == FAMILY4 ? icmp_error4(ctx) : icmp_error6(ctx);
	default:
		return next;
	}
}

__noinline int other_packet(struct xdp_md *ctx, __u32 l3_offset, __u32 is_arp)
{
	struct packet p = {};
	int why = receive(&p, ctx, l3_offset);

	if (why != UNDECIDED)
		return why;
	if (is_arp)
		return answer_arp(&p, ctx);
	return p.group_mac ? SLUICE_REASON_NOT_OUR_MAC : SLUICE_REASON_NOT_OURS;
}

/* Makes an IPv4 packet of an answer to a packet that came as one. A packet that has met with a change of the configuration
 * since is not for the host. */
static __always_inline int was_ipv4(struct xdp_md *ctx, __u32 why)
{
	if (why >= SLUICE_REASON_COUNT)
		return why;
	if (why == SLUICE_REASON_NOT_OURS)
		return SLUICE_REASON_NO_LISTENER;
	return reason_verdicts[why] == VERDICT_ANSWER ? answer_as_ipv4(ctx, why) : (int)why;
}

/* The slow path, for every kind of packet; returns the packet's reason. `crossing`: for sluice_crossing. */
static __always_inline int slow_path(struct xdp_md *ctx, struct journey *journey, bool crossing)
{
	int payload = ethernet_payload(ctx), why;
	__u32 l3_offset = payload & 0xffff, type = (__u32)payload >> 16;

	if (payload == -1)
		return SLUICE_REASON_MALFORMED_ETHERNET;
	journey->was_ipv4 = false;
	switch (type) {
	case ETH_P_IP:
		why = ip_packet(FAMILY4, ctx, l3_offset, crossing);
		if (why != NEXT_TO_IPV6)
			return why;
		why = to_ipv6(ctx);
		if (why != UNDECIDED)
			return why;
		break;
	case ETH_P_IPV6:
		break;
	default:
		return other_packet(ctx, l3_offset, type == ETH_P_ARP);
	}
	why = ip_packet(FAMILY6, ctx, l3_offset, crossing);
	if (why == NEXT_TO_IPV4)
		return leave_as_ipv4(ctx);
	return journey->was_ipv4 ? was_ipv4(ctx, why) : why;
}

SEC("xdp.frags")
int sluice_xdp(struct xdp_md *ctx)
{
	int action = fast_path(ctx), why;
	struct journey *journey;

	if (action != UNDECIDED)
		return action;
	journey = journey_get();
	if (!journey)
		return XDP_ABORTED;
	why = slow_path(ctx, journey, false);
	return finish(journey->packet.egress_ifindex, ctx, why);
}

/* The program of a capture, which is loaded only then. */
SEC("?xdp.frags")
int sluice_capture(struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	__u32 egress_ifindex = 0;
	int why, action;

	if (!journey)
		return XDP_ABORTED;
	capture_arrival(ctx);
	why = slow_path(ctx, journey, false);
	action = finish(journey->packet.egress_ifindex, ctx, why);
	if (action == XDP_TX)
		egress_ifindex = ctx->ingress_ifindex;
	else if (action == XDP_REDIRECT)
		egress_ifindex = journey->packet.egress_ifindex;
	capture_departure(ctx, why, egress_ifindex);
	return action;
}

/* The program of an upgrade from another layout of the flow tables, which is loaded only then (crossing.h). */
SEC("?xdp.frags")
int sluice_crossing(struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	int why = NEXT_ASK_FORMER;

	if (!journey)
		return XDP_ABORTED;
	journey->asked = false;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++) {
		int action;

		why = slow_path(ctx, journey, true);
		if (why != NEXT_ASK_FORMER)
			break;
		action = ask_former(ctx);
		if (action != FORMER_HAS_NO_FLOW)
			return action;
		journey->asked = true;
	}
	return finish(journey->packet.egress_ifindex, ctx, why);
}

/* Empties its maps of VIPs, which nobody else can change any more; loaded over a former program's (crossing.h). */
SEC("?syscall")
int forget_vips(void *unused)
{
	(void)unused;
	bpf_for_each_map_elem(&vips4, forget_vip, NULL, 0);
	bpf_for_each_map_elem(&vips6, forget_vip, NULL, 0);
	return 0;
}

/* Sweeps a slice of the flow tables; run by the controller, see struct sluice_flow_sweep. */
SEC("syscall")
int flow_sweep(struct sluice_flow_sweep *request)
{
	flow_sweep_some(request);
	return 0;
}

/* Sweeps the flow tables as a whole; run by an older controller, see struct sluice_flow_expire. */
SEC("syscall")
int flow_expire(struct sluice_flow_expire *result)
{
	flow_expire_all(result);
	return 0;
}

/* Sweeps flows with short idle times; run by the controller, see struct sluice_flow_expire_short. */
SEC("syscall")
int flow_expire_short(struct sluice_flow_expire_short *request)
{
	flow_expire_short_some(request);
	return 0;
}

/* Removes one connection; run by the controller, see struct sluice_flow_flush. */
SEC("syscall")
int flow_flush(struct sluice_flow_flush *request)
{
	flow_flush_one(request);
	return 0;
}

/* Moves flows to the new table; run by a resize, see struct sluice_flow_move. */
SEC("?syscall")
int flow_move(struct sluice_flow_move *request)
{
	flow_move_some(request);
	return 0;
}

/* Changes the area of a flow table; run by the controller, see struct sluice_flow_rehome. */
SEC("syscall")
int flow_rehome(struct sluice_flow_rehome *request)
{
	flow_rehome_some(request);
	return 0;
}

/* Reads connections as images; see struct sluice_flow_batch. */
SEC("syscall")
int flow_walk(struct sluice_flow_batch *batch)
{
	if (batch->family == FAMILY6)
		flow_walk_some(FAMILY6, batch);
	else
		flow_walk_some(FAMILY4, batch);
	return 0;
}

/* Inserts connections from images; see struct sluice_flow_batch. */
SEC("syscall")
int flow_put(struct sluice_flow_batch *batch)
{
	flow_batch_run(batch, flow_move_phase, put_all);
	return 0;
}

/* Puts and ends connections that other nodes carry; see struct sluice_flow_batch. */
SEC("syscall")
int flow_replicas(struct sluice_flow_batch *batch)
{
	flow_batch_run(batch, flows_are_moving, replicas_all);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
