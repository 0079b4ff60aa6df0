/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Crossing: flows come from tables of another layout, under traffic.
 *
 * Problem. This build can't read the slots of the tables that are in use, because another build made them. Its own
 * tables begin empty, and filling them takes seconds. Meanwhile no packet may be lost, no packet of a connection may
 * be taken for one of no connection, and no source port may be given out in both tables.
 *
 * Formulation. The former program can read its tables, and it is still pinned. So sluice_crossing, which takes the
 * place of sluice_xdp meanwhile, looks into its own tables, and what is in no flow there it leaves to the former
 * program by a tail call. That is made in a function of its own, so the former program returns here, and what it has
 * counted is its answer:
 *  - It has counted not_ours: there is no such flow. The packet is as it was, the count is taken back, and the
 *    packet goes on here, from the beginning.
 *  - Anything else: it has a flow of this packet and has dealt with it. Its action is the packet's.
 * The former program must not open connections itself. It has a pair of `vips4` and `vips6` that nobody else uses
 * any more, and once they are empty no packet without a flow is its business. Until then it opens all connections,
 * and none is opened here. As it looks for flows first and asks for VIPs later, its flows don't miss them. The controller
 * may still have these two maps, and would put back what it misses. So they are frozen first: then only programs can change
 * them, and forget_vips is the one that does.
 *
 * sluice-loader has the former flow_walk read the connections, and flow_put insert them here (flow_image.h). They
 * stay in the former tables, where no packet comes any more, because this program looks here first. What packets
 * have noted there between the two is brought here afterwards (amend_image()). Nothing is removed but by packets
 * meanwhile, or what is gone here would be found there.
 *
 * Source ports. The former tables get no more flows, so a port that is free there stays free. It is asked for by the
 * packet that opens the connection, in disguise: with the tuple of the member's packets, and a defect in its L4
 * header. The former program looks for the flow first and judges the defect later: it drops the packet if there is
 * one, else it counts not_ours. In both cases it changes nothing.
 *
 * Who pays: nobody but the packets during an upgrade that crosses, which take the slow path. Other programs have no
 * tail call in them.
 *
 * Not carried: an IPv4 packet to a VIP whose members have IPv6 addresses is known only to programs that know the VIP
 * (other_version.h), so an upgrade that has to cross is refused where there are such VIPs. */
#ifndef SLUICE_BPF_CROSSING_H
#define SLUICE_BPF_CROSSING_H

#include "bpf/connect.h"
#include "bpf/counters.h"
#include "bpf/flow_image.h"
#include "bpf/journey.h"
#include "bpf/move.h"

static long forget_vip(void *vips, const void *address, void *vip, void *unused)
{
	(void)vip, (void)unused;
	bpf_map_delete_elem(vips, address);
	return 0;
}

#define FORMER_HAS_NO_FLOW (-1) /* no XDP action */

/* The former program, at 0. The kernel empties such a map when no process holds it and no pin: sluice-loader pins it. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} local_former SEC(".maps");

/* Has the former program deal with the packet, and returns its action. Neither the verifier nor the compiler sees what that
 * is. So this is a global function, of which the one expects nothing, and the other must not take its result for known. */
__noinline int run_former(struct xdp_md *ctx)
{
	int action = FORMER_HAS_NO_FLOW;

	bpf_tail_call(ctx, &local_former, 0);
	asm volatile("" : "+r"(action));
	return action;
}

/* The former program's XDP action, or FORMER_HAS_NO_FLOW. */
static __always_inline int ask_former(struct xdp_md *ctx)
{
	__u32 why = SLUICE_REASON_NOT_OURS;
	__u64 *count = bpf_map_lookup_elem(&reason_counters, &why), before;
	int action;

	if (!count)
		return FORMER_HAS_NO_FLOW;
	before = READ_ONCE(*count);
	action = run_former(ctx);
	if (READ_ONCE(*count) == before)
		return action;
	WRITE_ONCE(*count, before);
	return FORMER_HAS_NO_FLOW;
}

/* The packet's flow made way here for a new connection. The former program may have it still. */
static __always_inline int replaced_here(void)
{
	struct journey *journey = journey_get();

	if (journey)
		journey->asked = true;
	return UNDECIDED;
}

/* The word of the L4 header that a defect is made in. */
static __always_inline __u32 *disguised_word(struct xdp_md *ctx, const struct packet *p)
{
	return packet_at(ctx, p->l4_offset + (p->tuple.protocol == SLUICE_FLOW_TCP ? 12 : 4), sizeof(__u32));
}

/* Exchanges what the packet says and what journey.disguise says. */
static __always_inline int exchange_disguise(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	union sluice_address source, destination;
	void *addresses;
	__u32 *word, value;

	if (!journey)
		return 0;
	addresses = packet_at(ctx, journey->packet.l3_offset + addresses_offset(family), 2 * address_bytes(family));
	if (!addresses)
		return 0;
	source = address_load(family, addresses);
	destination = address_load(family, addresses + address_bytes(family));
	address_store(family, addresses, &journey->disguise.source);
	address_store(family, addresses + address_bytes(family), &journey->disguise.destination);
	journey->disguise.source = source;
	journey->disguise.destination = destination;
	word = packet_at(ctx, journey->packet.l4_offset, sizeof(*word));
	if (!word)
		return 0;
	value = *word;
	*word = journey->disguise.ports;
	journey->disguise.ports = value;
	word = disguised_word(ctx, &journey->packet);
	if (!word)
		return 0;
	value = *word;
	*word = journey->disguise.word;
	journey->disguise.word = value;
	return 0;
}

__noinline int exchange_disguise4(struct xdp_md *ctx)
{
	return exchange_disguise(FAMILY4, ctx);
}

__noinline int exchange_disguise6(struct xdp_md *ctx)
{
	return exchange_disguise(FAMILY6, ctx);
}

static __always_inline __be16 next_candidate(const struct connection *c)
{
	return port_may_change(c) ? source_port_at(c->tuple.source_port, source_port_hash(&c->tuple), c->first_try)
				  : c->tuple.source_port;
}

static __always_inline __u32 disguised_defect(__u32 protocol)
{
	if (protocol == SLUICE_FLOW_TCP)
		return SLUICE_REASON_MALFORMED_TCP;
	return protocol == SLUICE_FLOW_UDP ? SLUICE_REASON_MALFORMED_UDP : SLUICE_REASON_SCTP_TAG;
}

/* Makes a disguise of the tuple of the member's packets that the planned connection would claim. The defect: a TCP or UDP
 * header without length, an INIT with a verification tag or another chunk without one. False: it claims none. */
__noinline int plan_disguise(struct xdp_md *ctx)
{
	struct connection *c = connection_get();
	struct journey *journey = journey_get();
	const __u32 *word;

	if (!c || !journey || answers_directly(c->mode))
		return false;
	word = disguised_word(ctx, &journey->packet);
	if (!word)
		return false;
	journey->disguise.word = journey->packet.tuple.protocol == SLUICE_FLOW_SCTP && !*word;
	journey->disguise.defect = disguised_defect(journey->packet.tuple.protocol);
	journey->disguise.source = c->reverse.key.source;
	journey->disguise.destination = c->reverse.key.destination;
	journey->disguise.ports = (__u32)next_candidate(c) << 16 | c->reverse.key.source_port;
	return true;
}

/* Says whether the former program has a flow with the source port that the planned connection would claim next. No packet
 * has the reason for which it drops the one in disguise, so that is taken back, too. */
static __always_inline bool former_has_claim(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	__u64 *count, before;
	int action;

	if (!journey || !plan_disguise(ctx))
		return false;
	count = bpf_map_lookup_elem(&reason_counters, &journey->disguise.defect);
	if (!count)
		return false;
	before = READ_ONCE(*count);
	family == FAMILY4 ? exchange_disguise4(ctx) : exchange_disguise6(ctx);
	action = ask_former(ctx);
	family == FAMILY4 ? exchange_disguise4(ctx) : exchange_disguise6(ctx);
	WRITE_ONCE(*count, before);
	return action != FORMER_HAS_NO_FLOW;
}

__noinline int port_is_taken(void)
{
	struct connection *c = connection_get();

	if (!c)
		return 0;
	c->claimed = false;
	c->error = -KERNEL_EEXIST;
	return 0;
}

/* Turns to the next source port. False: the planned connection failed for another reason, or there is none. */
__noinline int next_port(void)
{
	struct connection *c = connection_get();

	if (!c || c->error != -KERNEL_EEXIST || c->claimed || !port_may_change(c) || c->first_try + 1 >= SNAT_PORT_TRIES)
		return false;
	c->first_try++;
	return true;
}

#endif
