// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The flow table without packets: each run inserts, finds or removes a random one of a few flows. Every value of a
 * flow is made from its key, so that a copy that mixes two flows shows. */
#include "bpf/flow_table.h"
#include "tests/packet/flow_table.h"

/* All flows have the same state, as connections to one member have that were opened at the same time. */
const volatile bool alike = false;

struct stress_counts counts = {};
__u64 arrived = 0;

static __always_inline struct flow_entry flow_of_key(__u32 key)
{
	return (struct flow_entry){
		.key = {
			.source.ipv4 = 0x0a000000 + key,
			.destination.ipv4 = 0x0b000000,
			.source_port = 1000,
			.destination_port = 80,
			.protocol = SLUICE_FLOW_TCP,
		},
		.new_source.ipv4 = 0x0c000000 + key,
		.new_destination.ipv4 = 0x0d000000 + key,
		.new_source_port = 2000 + key,
		.new_destination_port = 3000 + key,
		.state = SLUICE_STATE_PUT(PROTOCOL, SLUICE_FLOW_TCP) |
			 SLUICE_STATE_PUT(MEMBER, alike ? 0 : key),
	};
}

static __always_inline void insert(const struct flow_entry *flow)
{
	switch (flow_insert(FAMILY4, flow)) {
	case 0:
		__sync_fetch_and_add(&counts.inserted, 1);
		break;
	case -KERNEL_EEXIST:
		__sync_fetch_and_add(&counts.taken, 1);
		break;
	case -KERNEL_ENOSPC:
		__sync_fetch_and_add(&counts.no_room, 1);
		break;
	default:
		__sync_fetch_and_add(&counts.contended, 1);
	}
}

static __always_inline void check(const struct flow *found, const struct flow_entry *flow)
{
	if (found->new_source.ipv4 != flow->new_source.ipv4 ||
	    found->new_destination.ipv4 != flow->new_destination.ipv4 ||
	    found->new_source_port != flow->new_source_port ||
	    found->new_destination_port != flow->new_destination_port ||
	    found->state != flow->state)
		__sync_fetch_and_add(&counts.torn, 1);
	__sync_fetch_and_add(&counts.found, 1);
}

SEC("xdp")
int stress(struct xdp_md *ctx)
{
	__u32 random = bpf_get_prandom_u32(), key = random % STRESS_KEYS, action = random >> 16 & 3;
	struct flow_entry flow = flow_of_key(key);
	struct tuple t = flow.key;
	struct flow found;

	(void)ctx;
	if (action == 0 || (action == 1 && key < STRESS_ANCHORS)) {
		insert(&flow);
	} else if (!flow_find(FAMILY4, &t, &found)) {
		__sync_fetch_and_add(key < STRESS_ANCHORS ? &counts.lost : &counts.absent, 1);
	} else {
		check(&found, &flow);
		if (action == 1 && flow_remove(FAMILY4, found.index, found.state))
			__sync_fetch_and_add(&counts.removed, 1);
	}
	return XDP_DROP;
}

/* Waits until the other CPU has come to the same step, so that both do the next thing at once. */
static long look_around(__u32 round, __u64 *step)
{
	(void)round;
	return READ_ONCE(arrived) >= 2 * *step;
}

static __always_inline void rendezvous(__u64 step)
{
	__sync_fetch_and_add(&arrived, 1);
	bpf_loop(1 << 20, look_around, &step, 0);
}

/* Two CPUs insert the same keys in the same order, in step. */
SEC("xdp")
int insert_in_step(struct xdp_md *ctx)
{
	struct flow_entry flow;

	(void)ctx;
	for (__u32 key = 0; key < STRESS_KEYS; key++) {
		rendezvous(key + 1);
		flow = flow_of_key(key);
		insert(&flow);
	}
	return XDP_DROP;
}

/* One CPU gives the same slot to two flows in turn ... */
SEC("xdp")
int take_turns(struct xdp_md *ctx)
{
	struct flow_entry flow;
	struct flow found;
	struct tuple t;

	(void)ctx;
	for (__u32 key = 0; key < 2; key++) {
		flow = flow_of_key(key);
		insert(&flow);
		t = flow.key;
		if (flow_find(FAMILY4, &t, &found))
			flow_remove(FAMILY4, found.index, found.state);
	}
	return XDP_DROP;
}

/* ... while the other one looks for them. */
SEC("xdp")
int look(struct xdp_md *ctx)
{
	struct flow_entry flow;
	struct flow found;
	struct tuple t;

	(void)ctx;
	for (__u32 key = 0; key < 2; key++) {
		flow = flow_of_key(key);
		t = flow.key;
		if (flow_find(FAMILY4, &t, &found))
			check(&found, &flow);
	}
	return XDP_DROP;
}

/* Puts the anchors in. */
SEC("xdp")
int prepare(struct xdp_md *ctx)
{
	struct flow_entry flow;

	(void)ctx;
	for (__u32 key = 0; key < STRESS_ANCHORS; key++) {
		flow = flow_of_key(key);
		insert(&flow);
	}
	return XDP_DROP;
}

/* Takes out all that is left, the anchors too. */
SEC("xdp")
int clear(struct xdp_md *ctx)
{
	struct flow_entry flow;
	struct flow found;
	struct tuple t;

	(void)ctx;
	for (__u32 key = 0; key < STRESS_KEYS; key++) {
		flow = flow_of_key(key);
		t = flow.key;
		if (flow_find_far(FAMILY4, &t, &found) && flow_remove(FAMILY4, found.index, found.state))
			__sync_fetch_and_add(&counts.removed, 1);
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
