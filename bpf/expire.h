/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The sweep: removes idle connections, and next hops that no flow names any more. It runs in a process's context,
 * holds no lock of the table and can be interrupted by packets at any place. */
#ifndef SLUICE_BPF_EXPIRE_H
#define SLUICE_BPF_EXPIRE_H

#include "bpf/flow_state.h"
#include "bpf/next_hop.h"

/* An unused next hop is freed this much later, so that no packet that is just taking it can still be under way. */
#define NEXT_HOP_GRACE_SECONDS 10

struct sweep {
	__u32 now_ticks;
	__u32 now_jiffies;
	__u32 live;
	__u32 expired;
};

/* A reverse slot goes with its forward one; alone it is left over from an insertion that failed half-way. */
static __always_inline void sweep_reverse(const struct flow *reverse, const struct sweep *s)
{
	struct tuple forward_key = flow_twin(reverse);

	if (flow_idle_ticks(reverse->state, s->now_ticks) > clock_ticks_in(SLUICE_TIMEOUT_HALF_OPEN_SECONDS) &&
	    flow_search(&forward_key) < 0)
		flow_remove(reverse->index, reverse->state);
}

static __noinline void sweep_slot(__u32 index, struct sweep *s)
{
	struct flow flow;

	if (!flow_take_any(index, &flow))
		return;
	next_hop_keep(SLUICE_STATE_GET(flow.state, HOP), s->now_jiffies);
	if (flow.state & SLUICE_FLOW_TO_CLIENT)
		return sweep_reverse(&flow, s);
	if (flow_forget_if_idle(&flow))
		++s->expired;
	else
		++s->live;
}

static long sweep_bucket(__u32 number, struct sweep *s)
{
	const struct sluice_bucket4 *bucket = flow_bucket(number);

	if (!bucket)
		return 1;
	for (__u32 n = 0; n < SLUICE_BUCKET_SLOTS4; n++) {
		if (SLUICE_STATE_GET(READ_ONCE(bucket->slots[n].state), PROTOCOL))
			sweep_slot(number * SLUICE_BUCKET_SLOTS4 + n, s);
	}
	return 0;
}

static long sweep_member(__u32 index, struct sweep *s)
{
	const struct sluice_member_hop *known = bpf_map_lookup_elem(&member_hops, &index);

	if (known && known->generation == next_hop_generation())
		next_hop_keep(known->index, s->now_jiffies);
	return 0;
}

static long sweep_next_hop(__u32 index, struct sweep *s)
{
	next_hop_free_if_unused(index, s->now_jiffies - NEXT_HOP_GRACE_SECONDS * clock_hz);
	return 0;
}

/* One walk over the whole table. A callback's context must be on the stack, hence the copy. */
static __always_inline void flow_expire_all(struct sluice_flow_expire *result)
{
	struct sweep s = {.now_ticks = clock_ticks(), .now_jiffies = clock_jiffies()};
	__u32 buckets = SLUICE_FLOW_BUCKETS(flow_homes4);

	/* Only a sweep that saw every flow knows which next hops are unused. */
	if (bpf_loop(buckets, sweep_bucket, &s, 0) == buckets) {
		bpf_loop(SLUICE_MAX_MEMBERS, sweep_member, &s, 0);
		bpf_loop(SLUICE_MAX_NEXT_HOPS, sweep_next_hop, &s, 0);
	}
	result->now_ticks = s.now_ticks;
	result->live = s.live;
	result->expired = s.expired;
}

#endif
