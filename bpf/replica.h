/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flow_replicas: puts and ends connections that other nodes carry (maps/replica.h), on behalf of sluiced. And what the
 * sweep does for them: it tells the other nodes of connections that live long.
 *
 * Two nodes may know one connection differently, because its packets moved or a message was lost. What has had packets
 * here lately is never touched: the other node's word may be older than the packet. Otherwise the one that was seen later
 * is right. So a connection that moved away becomes a replica as soon as its new node tells that it lives, and both
 * halves of one that goes through two nodes stay.
 *
 * A replica never takes the place of a live connection: nothing is evicted for it but what is of no more use, under its
 * own tuple and under its source port. */
#ifndef SLUICE_BPF_REPLICA_H
#define SLUICE_BPF_REPLICA_H

#include "bpf/flow_image.h"
#include "maps/replica.h"

/* A connection of this node's own has had packets lately if they came in this tick or the two before. */
#define LATELY_TICKS 2

/* Returns for how many ticks the connection has been silent. */
static __always_inline __u32 flow_silence(int family, const struct tuple *twin, __u64 forward)
{
	__s32 index;
	__u64 reverse = flow_find_state(family, twin, &index);
	__u32 now = clock_ticks();

	return reverse ? sluice_flow_silence(forward, reverse, now) : flow_idle_ticks(forward, now);
}

__noinline int flow_silence4(const struct tuple *twin, __u64 forward)
{
	return twin ? flow_silence(FAMILY4, twin, forward) : 0;
}

__noinline int flow_silence6(const struct tuple *twin, __u64 forward)
{
	return twin ? flow_silence(FAMILY6, twin, forward) : 0;
}

static __always_inline __u32 flow_silence_far(int family, const struct tuple *twin, __u64 forward)
{
	return family == FAMILY4 ? flow_silence4(twin, forward) : flow_silence6(twin, forward);
}

/* Says whether the flow goes to its member as the image's connection does. */
static __always_inline bool goes_alike(int family, const struct flow *flow, const struct sluice_flow_image *r)
{
	return flow->new_source_port == r->source_port && flow->new_destination_port == r->member_port &&
	       address_equal(family, &flow->new_source, &r->source) &&
	       address_equal(family, &flow->new_destination, &r->member);
}

/* Says whether the flow is the image's connection, not one that had its tuple before. */
static __always_inline bool is_of_image(int family, const struct flow *flow, const struct sluice_flow_image *r)
{
	return !((flow->state ^ image_state(r)) & FLOW_IDENTITY) && goes_alike(family, flow, r);
}

static __always_inline __u32 seconds_to_ticks(__u32 seconds)
{
	return (seconds * clock_hz) >> clock_tick_shift;
}

/* Says whether a connection of this node's own that is known here stays as it is. */
static __always_inline bool stays_own(int family, const struct tuple *twin, __u64 state, __u32 idle_seconds)
{
	__u32 silence;

	if (sluice_flow_is_closed(state) || !sluice_flow_is_confirmed(state) || sluice_flow_is_replica(state))
		return false;
	silence = flow_silence_far(family, twin, state);
	return silence <= LATELY_TICKS || silence <= seconds_to_ticks(idle_seconds);
}

/* The other slot of a connection that is or becomes a replica: its stamp, and neither next hop nor mark. */
static __always_inline int stamp_reverse(int family, const struct tuple *twin, __u32 idle_seconds)
{
	__s32 index;
	__u64 reverse = flow_find_state(family, twin, &index);

	return reverse && flow_change(family, index, twin, reverse,
				      (reverse & SLUICE_STATE_CLEAR(HOP) & SLUICE_STATE_CLEAR(SEEN) & ~SLUICE_PHASE_BITS) |
					      seen_before(idle_seconds));
}

__noinline int stamp_reverse4(const struct tuple *twin, __u32 idle_seconds)
{
	return twin && stamp_reverse(FAMILY4, twin, idle_seconds);
}

__noinline int stamp_reverse6(const struct tuple *twin, __u32 idle_seconds)
{
	return twin && stamp_reverse(FAMILY6, twin, idle_seconds);
}

/* Makes the connection a replica, if it is not one, and renews its stamps. The forward slot comes first: the packet
 * that follows a change of the reverse one must find the phase that it changes. */
static __always_inline int refresh_replica(int family, const struct tuple *key, const struct flow *flow,
					   const struct sluice_flow_image *r)
{
	struct tuple twin = flow_twin(flow);
	__u64 next = (flow->state & SLUICE_STATE_CLEAR(HOP) & SLUICE_STATE_CLEAR(SEEN) & ~SLUICE_PHASE_BITS) |
		     SLUICE_PHASE_REPLICA | seen_before(r->client_idle);

	if (!flow_change(family, flow->index, key, flow->state, next))
		return SLUICE_PUT_EXISTS; /* a packet came */
	count_flow_losses(family, flow->state, next);
	record_change(family, key, flow->index, flow->state, next, SLUICE_RECORD_MOVED);
	if (r->flags & SLUICE_IMAGE_DIRECT)
		return SLUICE_PUT_REFRESHED;
	if (family == FAMILY4)
		stamp_reverse4(&twin, r->member_idle);
	else
		stamp_reverse6(&twin, r->member_idle);
	return SLUICE_PUT_REFRESHED;
}

/* Checks the image, and looks at what has its tuple here. DONE: nothing, or it was of no more use and is gone. */
static __always_inline int replica_meets(int family, const struct sluice_flow_image *r)
{
	__u32 idle = r->client_idle < r->member_idle ? r->client_idle : r->member_idle;
	struct tuple key = image_key(r), twin;
	struct flow flow;
	int result;

	if (!image_fits(family, r) || r->phase != PHASE(REPLICA))
		return SLUICE_PUT_UNFIT;
	result = image_is_known(family, r);
	if (result)
		return result;
	if (!flow_find_far(family, &key, &flow))
		return SLUICE_PUT_DONE;
	twin = flow_twin(&flow);
	if (stays_own(family, &twin, flow.state, idle))
		return SLUICE_PUT_EXISTS;
	if (is_of_image(family, &flow, r) && sluice_flow_is_confirmed(flow.state) && !sluice_flow_is_closed(flow.state))
		return refresh_replica(family, &key, &flow, r);
	return flow_forget_both(family, &key, &flow, &twin, SLUICE_RECORD_MOVED) ? SLUICE_PUT_DONE : SLUICE_PUT_LOCKED;
}

__noinline int replica_meets4(const struct sluice_flow_image *r)
{
	return r ? replica_meets(FAMILY4, r) : SLUICE_PUT_UNFIT;
}

__noinline int replica_meets6(const struct sluice_flow_image *r)
{
	return r ? replica_meets(FAMILY6, r) : SLUICE_PUT_UNFIT;
}

/* Frees the image's source port from a connection that is of no more use: the node whose port it is has given it to
 * this one since. */
static __always_inline int replica_frees_port(int family, const struct sluice_flow_image *r)
{
	struct tuple twin = image_reverse_key(r), key;
	struct flow flow;

	if (r->flags & SLUICE_IMAGE_DIRECT || !flow_find_far(family, &twin, &flow) || !(flow.state & SLUICE_FLOW_TO_CLIENT))
		return 0;
	key = flow_twin(&flow);
	if (!flow_find_far(family, &key, &flow))
		return 0;
	if (!sluice_flow_is_replica(flow.state) && !sluice_flow_is_closed(flow.state) && sluice_flow_is_confirmed(flow.state))
		return 0;
	return flow_forget_both(family, &key, &flow, &twin, SLUICE_RECORD_MOVED);
}

__noinline int replica_frees_port4(const struct sluice_flow_image *r)
{
	return r && replica_frees_port(FAMILY4, r);
}

__noinline int replica_frees_port6(const struct sluice_flow_image *r)
{
	return r && replica_frees_port(FAMILY6, r);
}

/* No function of its own, because the insertion is as many calls deep as may be. */
static __always_inline int replica_put(int family, const struct sluice_flow_image *r)
{
	int result = family == FAMILY4 ? replica_meets4(r) : replica_meets6(r);

	if (result)
		return result;
	result = family == FAMILY4 ? put_image4(r, false) : put_image6(r, false);
	if (result == SLUICE_PUT_PORT_TAKEN && (family == FAMILY4 ? replica_frees_port4(r) : replica_frees_port6(r)))
		result = family == FAMILY4 ? put_image4(r, false) : put_image6(r, false);
	return result;
}

/* Tells the other nodes that a connection of this node's own has ended, because another one says so. It may have been
 * told that it began here, and that may reach a third node late: the end comes after it, so it undoes it there. */
static __always_inline int tell_end(int family, const struct tuple *client, const struct tuple *twin, __u64 state)
{
	return changes_are_told() ? record_removal_for(RECORD_TOLD, family, client, twin, state, SLUICE_RECORD_MOVED) : 0;
}

__noinline int tell_end4(const struct tuple *client, const struct tuple *twin, __u64 state)
{
	return client && twin ? tell_end(FAMILY4, client, twin, state) : 0;
}

__noinline int tell_end6(const struct tuple *client, const struct tuple *twin, __u64 state)
{
	return client && twin ? tell_end(FAMILY6, client, twin, state) : 0;
}

/* The connection has ended on the node that it lived on. Indices don't count here. An image without a member's port
 * names a replica by its client's side alone: its node, which was asked for all its connections, has not told it.
 *
 * One of this node's own that has had packets lately stays: the
 * end may be forged, or it may go through both nodes. But it is taken for one that its client has ended, so it is
 * removed when it is silent for SLUICE_TIMEOUT_CLOSING_SECONDS, and data of its client takes that back. */
static __always_inline int replica_end(int family, const struct sluice_flow_image *r)
{
	struct tuple key = image_key(r), twin;
	bool is_replica;
	struct flow flow;

	if (!flow_find_far(family, &key, &flow) || flow.state & SLUICE_FLOW_TO_CLIENT || sluice_flow_is_closed(flow.state) ||
	    !sluice_flow_is_confirmed(flow.state))
		return SLUICE_PUT_EXISTS;
	is_replica = sluice_flow_is_replica(flow.state);
	if (r->member_port ? !goes_alike(family, &flow, r) : !is_replica)
		return SLUICE_PUT_EXISTS;
	twin = flow_twin(&flow);
	if (is_replica || flow_silence_far(family, &twin, flow.state) > LATELY_TICKS) {
		if (flow_forget_both(family, &key, &flow, &twin, SLUICE_RECORD_MOVED) && !is_replica) {
			if (family == FAMILY4)
				tell_end4(&key, &twin, flow.state);
			else
				tell_end6(&key, &twin, flow.state);
		}
		return SLUICE_PUT_DONE;
	}
	if (sluice_flow_phase(flow.state) == SLUICE_PHASE_OPEN && key.protocol != SLUICE_FLOW_UDP)
		flow_change(family, flow.index, &key, flow.state,
			    (flow.state & ~SLUICE_PHASE_BITS) | SLUICE_PHASE_CLIENT_ENDED);
	return SLUICE_PUT_EXISTS;
}

__noinline int replica_end4(const struct sluice_flow_image *r)
{
	return r ? replica_end(FAMILY4, r) : SLUICE_PUT_UNFIT;
}

__noinline int replica_end6(const struct sluice_flow_image *r)
{
	return r ? replica_end(FAMILY6, r) : SLUICE_PUT_UNFIT;
}

static long replica_next(__u32 n, struct sluice_flow_batch **to_carry_out)
{
	struct sluice_flow_batch *batch = *to_carry_out;
	struct sluice_flow_image *r;

	if (n >= SLUICE_BATCH_IMAGES)
		return 1;
	r = &batch->images[n];
	if (batch->request == SLUICE_REPLICAS_END)
		r->result = batch->family == FAMILY6 ? replica_end6(r) : replica_end4(r);
	else
		r->result = batch->family == FAMILY6 ? replica_put(FAMILY6, r) : replica_put(FAMILY4, r);
	return 0;
}

__noinline int replicas_all(struct sluice_flow_batch *batch)
{
	if (batch)
		bpf_loop(batch->count, replica_next, &batch, 0);
	return 0;
}

#endif
