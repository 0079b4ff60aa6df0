// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The XDP program: what happens to a packet, read aloud. The journey is drawn in README.md.
 *
 * any_packet() is the whole journey. The entry point first tries the abridged one (frequent.h). */
#include "bpf/connect.h"
#include "bpf/expire.h"
#include "bpf/frequent.h"

enum verdict { VERDICT_FORWARD, VERDICT_ANSWER, VERDICT_PASS, VERDICT_DROP };

#define REASON_VERDICT(name, verdict, label, sentence) VERDICT_##verdict,
static const __u8 reason_verdicts[SLUICE_REASON_COUNT] = {SLUICE_REASONS(REASON_VERDICT)};

/* The one exit: counts the reason and turns it into an XDP action. */
static __always_inline int finish(__u32 egress_ifindex, struct xdp_md *ctx, __u32 why)
{
	/* One register for check and use, else the verifier sees two loads of one variable. */
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

/* Frames for other machines' MACs (flooding, a promiscuous NIC) are not ours; ARP requests are broadcast. */
static __always_inline int receive(struct packet *p, struct xdp_md *ctx)
{
	__u32 slot = ctx->ingress_ifindex % SLUICE_MAX_INTERFACES;

	p->interface = bpf_map_lookup_elem(&interfaces, &slot);
	if (!p->interface || p->interface->ifindex != ctx->ingress_ifindex)
		return SLUICE_REASON_UNKNOWN_INTERFACE;
	if (!mac_equal(p->eth->h_dest, p->interface->mac) &&
	    !(ethertype(p->eth) == bpf_htons(ETH_P_ARP) && p->eth->h_dest[0] & 1))
		return SLUICE_REASON_NOT_OUR_MAC;
	return UNDECIDED;
}

/* A packet that is in no flow: for a VIP, or not ours. UNDECIDED: it is in a flow by now. */
static __always_inline int packet_without_flow(struct packet *p, struct xdp_md *ctx, __u32 attempt)
{
	const struct sluice_vip *vip = vip_find(p->tuple.destination);

	if (!vip)
		return SLUICE_REASON_NOT_OURS;
	if (p->defect != UNDECIDED)
		return p->defect;
	if (!(vip->flags & SLUICE_VIP_UP))
		return SLUICE_REASON_VIP_DOWN;
	if (source_is_martian(p))
		return SLUICE_REASON_MARTIAN_SOURCE;
	if (p->protocol == IPPROTO_ICMP)
		return answer_icmp(p);
	/* TCP without a defect has its header; the verifier must be told. */
	if (p->protocol != IPPROTO_TCP || !p->tcp)
		return SLUICE_REASON_UNSUPPORTED_PROTOCOL;
	return open_connection(p, ctx, attempt);
}

/* A packet whose flow was found. UNDECIDED: the flow gave way to a new connection. */
static __always_inline int packet_of_flow(struct packet *p, struct xdp_md *ctx, struct flow *flow)
{
	struct tuple twin;

	if (p->defect != UNDECIDED)
		return p->defect;
	if (opens_connection(p) && !(flow->state & SLUICE_FLOW_TO_CLIENT) && flow_gives_way(flow)) {
		twin = flow_twin(flow);
		if (flow_forget(flow->index, flow->state, &twin))
			return UNDECIDED;
	}
	return forward_packet(p, ctx, flow);
}

static __always_inline int ipv4_packet(struct packet *p, struct xdp_md *ctx, __u32 attempt)
{
	struct flow flow;
	int why;

	if (!parse_ipv4(p, ctx))
		return SLUICE_REASON_NOT_OURS;
	if (p->defect != UNDECIDED || p->protocol != IPPROTO_TCP || !parse_tcp(p))
		return packet_without_flow(p, ctx, attempt);
	if (flow_find_far(&p->tuple, &flow) && (why = packet_of_flow(p, ctx, &flow)) != UNDECIDED)
		return why;
	if ((why = packet_without_flow(p, ctx, attempt)) != UNDECIDED)
		return why;
	/* Another CPU has just opened the same connection. */
	return flow_find_far(&p->tuple, &flow) ? forward_packet(p, ctx, &flow) : SLUICE_REASON_NO_FLOW;
}

static __always_inline struct packet packet_at_start(struct xdp_md *ctx)
{
	return (struct packet){
		.cursor = (void *)(long)ctx->data,
		.data_end = (void *)(long)ctx->data_end,
		.defect = UNDECIDED,
	};
}

/* The whole journey, for every kind of packet. Returns the XDP action, or TRY_AGAIN at the first attempt. */
__noinline int any_packet(struct xdp_md *ctx, __u32 attempt)
{
	struct packet p = packet_at_start(ctx);
	int why;

	if ((why = parse_ethernet(&p)) != UNDECIDED)
		return finish(0, ctx, why);
	if ((why = receive(&p, ctx)) != UNDECIDED)
		return finish(0, ctx, why);
	if (ethertype(p.eth) == bpf_htons(ETH_P_ARP))
		return finish(0, ctx, answer_arp(&p));
	if (ethertype(p.eth) == bpf_htons(ETH_P_IP))
		why = ipv4_packet(&p, ctx, attempt);
	else
		why = SLUICE_REASON_NOT_OURS;
	return why == TRY_AGAIN ? TRY_AGAIN : finish(p.egress_ifindex, ctx, why);
}

SEC("xdp.frags")
int sluice_xdp(struct xdp_md *ctx)
{
	int action = frequent_packet(ctx);

	if (action != UNDECIDED)
		return action;
	action = any_packet(ctx, 0);
	if (action != TRY_AGAIN)
		return action;
	make_way();
	return any_packet(ctx, 1);
}

/* One sweep over the flow table; run by the controller, see struct sluice_flow_expire. */
SEC("syscall")
int flow_expire(struct sluice_flow_expire *result)
{
	flow_expire_all(result);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
