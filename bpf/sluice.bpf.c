// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The XDP program: what happens to a packet, read aloud. The journey is drawn in README.md. */
#include "bpf/connect.h"

enum verdict { VERDICT_FORWARD, VERDICT_ANSWER, VERDICT_PASS, VERDICT_DROP };

#define REASON_VERDICT(name, verdict, label, sentence) VERDICT_##verdict,
static const __u8 reason_verdicts[SLUICE_REASON_COUNT] = {SLUICE_REASONS(REASON_VERDICT)};

/* The one exit: counts the reason and turns it into an XDP action. */
static __always_inline int finish(const struct packet *p, struct xdp_md *ctx, __u32 why)
{
	if (why >= SLUICE_REASON_COUNT)
		return XDP_ABORTED;
	count_reason(why);
	switch (reason_verdicts[why]) {
	case VERDICT_FORWARD:
		return p->egress_ifindex == ctx->ingress_ifindex ? XDP_TX
								 : bpf_redirect(p->egress_ifindex, 0);
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
	    !(p->eth->h_proto == bpf_htons(ETH_P_ARP) && p->eth->h_dest[0] & 1))
		return SLUICE_REASON_NOT_OUR_MAC;
	return UNDECIDED;
}

/* A packet that is in no flow: for a VIP, or not ours. */
static __always_inline int packet_without_flow(struct packet *p, struct xdp_md *ctx)
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
	if (p->tuple.protocol == IPPROTO_ICMP)
		return answer_icmp(p);
	if (p->tuple.protocol != IPPROTO_TCP)
		return SLUICE_REASON_UNSUPPORTED_PROTOCOL;
	return open_connection(p, ctx);
}

/* A packet whose flow entry was found. UNDECIDED: the flow gave way to a new connection. */
static __always_inline int packet_of_flow(struct packet *p, struct xdp_md *ctx, struct sluice_flow4 *flow)
{
	struct sluice_flow4_key twin_key;

	if (p->defect != UNDECIDED)
		return p->defect;
	if (flow->direction == SLUICE_TO_MEMBER && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		flow_twin_key(flow, p->tuple.protocol, &twin_key);
		if (flow_gives_way(flow, &twin_key)) {
			flow_remove(&p->tuple, flow, &twin_key);
			return UNDECIDED;
		}
	}
	return forward_packet(p, ctx, flow);
}

static __always_inline int ipv4_packet(struct packet *p, struct xdp_md *ctx)
{
	struct sluice_flow4 *flow;
	int why;

	if (!parse_ipv4(p, ctx))
		return SLUICE_REASON_NOT_OURS;
	if (p->defect == UNDECIDED && p->tuple.protocol == IPPROTO_TCP && parse_tcp(p)) {
		flow = flow_find(&p->tuple);
		if (flow && (why = packet_of_flow(p, ctx, flow)) != UNDECIDED)
			return why;
	}
	return packet_without_flow(p, ctx);
}

SEC("xdp.frags")
int sluice_xdp(struct xdp_md *ctx)
{
	struct packet p = {
		.cursor = (void *)(long)ctx->data,
		.data_end = (void *)(long)ctx->data_end,
		.defect = UNDECIDED,
	};
	int why;

	if ((why = parse_ethernet(&p)) != UNDECIDED)
		return finish(&p, ctx, why);
	if ((why = receive(&p, ctx)) != UNDECIDED)
		return finish(&p, ctx, why);
	if (p.eth->h_proto == bpf_htons(ETH_P_ARP))
		return finish(&p, ctx, answer_arp(&p));
	if (p.eth->h_proto == bpf_htons(ETH_P_IP))
		return finish(&p, ctx, ipv4_packet(&p, ctx));
	return finish(&p, ctx, SLUICE_REASON_NOT_OURS);
}

/* One sweep over the flow table; run by the controller, see struct sluice_flow_expire. */
SEC("syscall")
int flow_expire(struct sluice_flow_expire *result)
{
	flow_expire_all(result);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
