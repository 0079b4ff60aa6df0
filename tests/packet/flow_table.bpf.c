// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The flow table without packets: each run inserts, finds or removes a random one of a few flows. Every value of a
 * flow is made from its key, so that a copy that mixes two flows is detected. */
#define FLOW_PAUSE(place) at_##place()
#include "tests/packet/flow_table.h"
/* As few homes as an area can have. */
#define SLUICE_SMALLEST_AREA_BITS STRESS_AREA_BITS
static void at_changing(void);
static void at_removing(void);
static void at_moving(void);
static void at_searching(void);
static void at_counting(void);

#include "bpf/flow_state.h"
#include "bpf/move.h"
#include "bpf/next_hop.h"

/* All flows have the same state, like connections to one member that were opened at the same time. */
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

/* As packets do: on the fast path, with a shift that may be out of date, and then on the slow one. */
static __always_inline bool find(const struct tuple *t, struct flow *found)
{
	return flow_find(FAMILY4, t, runtime.area_shifts[0], found) || flow_find_far(FAMILY4, t, found);
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
	} else if (!find(&t, &found)) {
		__sync_fetch_and_add(key < STRESS_ANCHORS ? &counts.lost : &counts.absent, 1);
	} else {
		check(&found, &flow);
		if (action == 1 && flow_remove(FAMILY4, found.index, &t, found.state))
			__sync_fetch_and_add(&counts.removed, 1);
	}
	return XDP_DROP;
}

/* Waits until the other CPU has reached the same step, so that both take the next one at the same time. */
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
		if (flow_find(FAMILY4, &t, 0, &found))
			flow_remove(FAMILY4, found.index, &t, found.state);
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
		if (flow_find(FAMILY4, &t, 0, &found))
			check(&found, &flow);
	}
	return XDP_DROP;
}

/* Inserts the anchors. */
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

/* Removes all flows, including the anchors. */
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
		if (flow_find_far(FAMILY4, &t, &found) && flow_remove(FAMILY4, found.index, &t, found.state))
			__sync_fetch_and_add(&counts.removed, 1);
	}
	return XDP_DROP;
}

/* The place at which CPU 0 is held up until CPU 1 has done its part. */
enum place pause_at = PAUSE_NOWHERE;
__u64 held = 0, released = 0;

static long look_whether(__u32 round, __u64 **flag)
{
	(void)round;
	return READ_ONCE(**flag) != 0;
}

/* Waits for some seconds at most, because the other CPU may be busy with something else. False: it still is. */
static __always_inline bool wait_for(__u64 *flag)
{
	for (int i = 0; i < 16; i++)
		bpf_loop(1 << 23, look_whether, &flag, 0);
	return READ_ONCE(*flag);
}

__noinline int pause_here(enum place place)
{
	if (READ_ONCE(pause_at) != place || bpf_get_smp_processor_id() != 0)
		return 0;
	WRITE_ONCE(held, 1);
	if (wait_for(&released))
		__sync_fetch_and_add(&counts.met, 1);
	return 1;
}

static __always_inline void at_changing(void)
{
	pause_here(PAUSE_CHANGING);
}

/* CPU 1 is not held up; instead, a packet that opens a connection comes in between. */
/* All homes are the first bucket, and nobody else inserts. Here are fewer calls left than flow_insert() takes, and less
 * stack. */
static __always_inline void insert_shallow(const struct flow_entry *e)
{
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW * SLUICE_BUCKET_SLOTS4; i++) {
		void *slot = flow_slot_here(FAMILY4, i);
		__u64 *state, whole;

		if (!slot)
			return;
		state = slot_state(FAMILY4, slot);
		whole = READ_ONCE(*state);
		if (!SLUICE_STATE_IS_FREE(whole & SLUICE_STATE_FLOW) ||
		    __sync_val_compare_and_swap(state, whole, (whole & ~SLUICE_STATE_FLOW) | SLUICE_STATE_CLAIMED) != whole)
			continue;
		buckets_passed(FAMILY4, 0, i / SLUICE_BUCKET_SLOTS4, SLUICE_STATE_PASSED_ONE);
		slot_publish(FAMILY4, slot, e);
		__sync_fetch_and_add(&counts.inserted, 1);
		return;
	}
}

/* A struct flow_entry; not on the stack, which is full at this depth. */
__u64 between[(sizeof(struct flow_entry) + 7) / 8] = {};

static __noinline void at_removing(void)
{
	pause_here(PAUSE_REMOVING);
	if (READ_ONCE(pause_at) == PAUSE_REMOVING && bpf_get_smp_processor_id() == 1) {
		*(struct flow_entry *)between = flow_of_key(STRESS_KEYS + 1);
		insert_shallow((const struct flow_entry *)between);
	}
}

static __always_inline void at_moving(void)
{
	pause_here(PAUSE_MOVING);
}

static __always_inline void at_searching(void)
{
	pause_here(PAUSE_SEARCHING);
}

static __always_inline void at_counting(void)
{
	pause_here(PAUSE_COUNTING);
}

static __always_inline __u32 move_now(void)
{
	struct mover m = {};

	bpf_loop(SLUICE_FLOW_BUCKETS(other_homes4), move_bucket4, &m, 0);
	__sync_fetch_and_add(&counts.moved, m.moved);
	return m.left;
}

/* Moves all flows of the other table here. */
SEC("xdp")
int move_all(struct xdp_md *ctx)
{
	(void)ctx;
	return move_now();
}

/* One step on the way to the area that is wanted. */
struct sluice_flow_rehome change = {};

SEC("xdp")
int change_area(struct xdp_md *ctx)
{
	struct sluice_flow_rehome r = change;

	(void)ctx;
	rehome(FAMILY4, &r);
	change = r;
	return XDP_DROP;
}

/* A search is held up between looking here and in the other table ... */
SEC("xdp")
int look_held(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (flow_find_far(FAMILY4, &t, &found))
		check(&found, &flow);
	else
		__sync_fetch_and_add(&counts.lost, 1);
	return XDP_DROP;
}

/* ... while its flow is moved. */
SEC("xdp")
int move_between(struct xdp_md *ctx)
{
	(void)ctx;
	if (wait_for(&held))
		move_now();
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

/* A packet that has found its flow before that was moved changes its state now. */
SEC("xdp")
int note_in_old_copy(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (!wait_for(&held))
		return XDP_DROP;
	if (!flow_find_far(FAMILY4, &t, &found))
		__sync_fetch_and_add(&counts.lost, 1);
	if (flow_take_at(FAMILY4, flow_search_at(FAMILY4, &t, tuple_other_home(FAMILY4, &t)), &t, &found))
		flow_advance(FAMILY4, &t, found.index, found.state, EVENT_ACCEPTS, true);
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

/* The same for a packet that ends its flow, which is removed then. */
SEC("xdp")
int remove_old_copy(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (!wait_for(&held))
		return XDP_DROP;
	if (flow_take_at(FAMILY4, flow_search_at(FAMILY4, &t, tuple_other_home(FAMILY4, &t)), &t, &found) &&
	    flow_remove(FAMILY4, found.index, &t, found.state))
		__sync_fetch_and_add(&counts.removed, 1);
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

static __always_inline void remove_key(__u32 key)
{
	struct flow_entry flow = flow_of_key(key);
	struct flow found;
	struct tuple t = flow.key;

	if (flow_find_far(FAMILY4, &t, &found) && flow_remove(FAMILY4, found.index, &t, found.state))
		__sync_fetch_and_add(&counts.removed, 1);
}

/* Every flow. */
SEC("xdp")
int fill(struct xdp_md *ctx)
{
	struct flow_entry flow;

	(void)ctx;
	for (__u32 key = 0; key < STRESS_KEYS; key++) {
		flow = flow_of_key(key);
		insert(&flow);
	}
	return XDP_DROP;
}

/* A removal is held up between its steps ... */
SEC("xdp")
int remove_held(struct xdp_md *ctx)
{
	(void)ctx;
	remove_key(STRESS_HELD);
	return XDP_DROP;
}

/* ... while another CPU inserts a flow, removes one, and inserts one more before that is over. */
SEC("xdp")
int come_and_go(struct xdp_md *ctx)
{
	struct flow_entry flow;

	(void)ctx;
	if (!wait_for(&held))
		return XDP_DROP;
	flow = flow_of_key(STRESS_KEYS);
	insert(&flow);
	remove_key(STRESS_HELD + 2);
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

SEC("xdp")
int insert_one_more(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_KEYS + 2);

	(void)ctx;
	insert(&flow);
	return XDP_DROP;
}

SEC("xdp")
int insert_held(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);

	(void)ctx;
	insert(&flow);
	return XDP_DROP;
}

/* An event is held up before it changes the state of its flow ... */
SEC("xdp")
int note_held(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (flow_find_far(FAMILY4, &t, &found))
		flow_advance(FAMILY4, &t, found.index, found.state, EVENT_ACCEPTS, true);
	return XDP_DROP;
}

/* ... while its flow is removed and another one inserted. */
SEC("xdp")
int replace(struct xdp_md *ctx)
{
	struct flow_entry flow;

	(void)ctx;
	if (!wait_for(&held))
		return XDP_DROP;
	remove_key(STRESS_HELD);
	flow = flow_of_key(STRESS_KEYS);
	insert(&flow);
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

/* A connection that was counted when it was opened, and that its member has accepted. */
SEC("xdp")
int open_held(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);

	(void)ctx;
	flow.state |= SLUICE_FLOW_REPLIED;
	count_flow_opened(FAMILY4, flow.state, 1);
	insert(&flow);
	return XDP_DROP;
}

/* Its client confirms it, which is held up between the change of its state and the end of the counting ... */
SEC("xdp")
int confirm_held(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (flow_find_far(FAMILY4, &t, &found))
		flow_advance(FAMILY4, &t, found.index, found.state, EVENT_PACKET, false);
	return XDP_DROP;
}

static __always_inline void check_count(void *count)
{
	if (!count || *(__s32 *)count < 0)
		__sync_fetch_and_add(&counts.negative, 1);
}

static __always_inline void check_counts(void)
{
	__u32 listener = 0, member = STRESS_HELD;

	check_count(bpf_map_lookup_elem(&listener_active, &listener));
	check_count(bpf_map_lookup_elem(&listener_half_open, &listener));
	check_count(bpf_map_lookup_elem(&listener_confirmed, &listener));
	check_count(bpf_map_lookup_elem(&member_active, &member));
	check_count(bpf_map_lookup_elem(&member_half_open, &member));
	check_count(bpf_map_lookup_elem(&member_confirmed, &member));
}

/* ... while it ends, with a reset, goes on after all, and ends for good. */
SEC("xdp")
int end_and_go_on(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	static const __u8 events[] = {EVENT_ABORTS, EVENT_PACKET, EVENT_ABORTS};
	struct flow found;
	struct tuple t = flow.key;

	(void)ctx;
	if (!wait_for(&held))
		return XDP_DROP;
	check_counts();
	for (int i = 0; i < 3; i++) {
		if (!flow_find_far(FAMILY4, &t, &found))
			break;
		flow_advance(FAMILY4, &t, found.index, found.state, events[i], false);
		check_counts();
	}
	WRITE_ONCE(released, 1);
	return XDP_DROP;
}

/* The slot of a flow that was found belongs to another flow in the same state when the first is to be changed. */
SEC("xdp")
int act_late(struct xdp_md *ctx)
{
	struct flow_entry flow = flow_of_key(STRESS_HELD);
	struct flow found, other;
	struct tuple t = flow.key;

	(void)ctx;
	if (!flow_find_far(FAMILY4, &t, &found))
		return XDP_ABORTED;
	remove_key(STRESS_HELD);
	flow = flow_of_key(STRESS_KEYS);
	insert(&flow);
	flow_advance(FAMILY4, &t, found.index, found.state, EVENT_ACCEPTS, true);
	if (flow_replace_state(FAMILY4, &t, &found, found.state | SLUICE_FLOW_ESTABLISHED) ||
	    flow_remove(FAMILY4, found.index, &t, found.state))
		return XDP_ABORTED;
	/* It was no other slot. */
	t = flow.key;
	return flow_find_far(FAMILY4, &t, &other) && other.index == found.index && other.state == found.state
		       ? XDP_PASS
		       : XDP_ABORTED;
}

static long rest(__u32 round, void *unused)
{
	(void)round;
	(void)unused;
	return 0;
}

/* A member's next hop is remembered for two members in turn ... */
SEC("xdp")
int remember(struct xdp_md *ctx)
{
	struct sluice_member member = {};
	struct next_hop_query *q;
	__u32 zero = 0;

	(void)ctx;
	q = bpf_map_lookup_elem(&local_next_hop, &zero);
	if (!q)
		return XDP_ABORTED;
	for (__u32 i = 1; i <= 2; i++) {
		member.address.ipv4 = i;
		q->index = i;
		q->hop.generation = next_hop_generation();
		next_hop_remember_for_member(0, &member, q);
		/* Without this pause the other CPU hardly ever reads both words between two changes. */
		bpf_loop(100, rest, NULL, 0);
	}
	return XDP_DROP;
}

/* ... while the first of them asks. */
SEC("xdp")
int recall(struct xdp_md *ctx)
{
	struct sluice_member member = {.address.ipv4 = 1};
	__u32 index;

	(void)ctx;
	if (next_hop_of_member(0, &member, &index)) {
		__sync_fetch_and_add(&counts.found, 1);
		if (index != 1)
			__sync_fetch_and_add(&counts.torn, 1);
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
