/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Moving flows to tables of another size, under traffic.
 *
 * Three programs take turns on the NICs, each of them on all before the next one comes. The first looks into both pairs of
 * tables and puts new flows into the old ones; the second puts them into the new ones, and while it runs flow_move empties
 * the old ones; the third knows only the new ones. So whatever a NIC's packets make, the others' find.
 *
 * A flow is copied, published in the new table, and only then taken out of the old one by a compare-and-swap of the state
 * that was copied. In between both copies are there. Who looks finds the new one, but a packet that is under way may have
 * found the old one and note something there: then the swap fails, and what was noted is brought to the new copy. Packets of
 * flows that wait in the old table take the slow path; nothing else is different for them.
 *
 * flow_move runs in a process's context. While it holds a bucket's lock, for a hundred nanoseconds, an interrupt may bring a
 * SYN of that bucket, which is dropped after FLOW_LOCK_ROUNDS and comes again. */
#ifndef SLUICE_BPF_MOVE_H
#define SLUICE_BPF_MOVE_H

#include "bpf/flow_state.h"
#include "bpf/flow_table.h"

/* Rounds for an old copy that packets change all the time. */
#define MOVE_ROUNDS 16

struct mover {
	__u32 first;
	__u32 moved;
	__u32 left;
};

/* The new copy. NULL: it is gone. */
static __always_inline void *moved_slot(int family, const struct tuple *key, __s32 *index)
{
	*index = flow_search_here(family, key);
	return flow_slot(family, *index);
}

/* The old copy's phase went from that of `e` to that of `state`, and the new one's may have changed, too. */
static __always_inline void move_note(int family, const struct flow_entry *e, __u64 state)
{
	for (int i = 0; i < MOVE_ROUNDS; i++) {
		__u64 next = state, now;
		__s32 index;
		void *slot = moved_slot(family, &e->key, &index);

		if (!slot)
			return;
		now = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
		if ((now ^ e->state) & SLUICE_PHASE_BITS)
			break;
		if (now != e->state)
			next = (now & ~SLUICE_PHASE_BITS) | (state & SLUICE_PHASE_BITS);
		if (flow_change(family, index, &e->key, now, next))
			return;
	}
	/* What the new copy says is later, and counted. */
	if (state & SLUICE_FLOW_TO_CLIENT)
		return;
	count_flow_changed(family, state, e->state);
	if (sluice_flow_is_confirmed(state) && !sluice_flow_is_confirmed(e->state) && !sluice_flow_is_closed(state))
		count_half_open(family, state, 1);
}

/* Somebody took the old copy out, and counted that. */
static __always_inline void move_undo(int family, const struct flow_entry *e)
{
	__s32 index;
	void *slot = moved_slot(family, &e->key, &index);
	__u64 now;

	if (!slot)
		return;
	now = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
	if (flow_remove(family, index, &e->key, now) && sluice_flow_is_closed(now) && !sluice_flow_is_closed(e->state))
		count_flow_opened(family, now, 1);
}

/* Takes the old copy out. False: packets change it all the time. */
static __always_inline bool move_close(int family, __s32 index, const struct flow_entry *e)
{
	void *slot = flow_slot(family, index);
	__u64 state = e->state;

	for (int i = 0; slot && i < MOVE_ROUNDS; i++) {
		if (flow_remove(family, index, &e->key, state)) {
			if (state != e->state)
				move_note(family, e, state);
			return true;
		}
		state = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
		if (SLUICE_STATE_GET(state, PROTOCOL) != e->key.protocol || !slot_has_key(family, slot, &e->key)) {
			move_undo(family, e);
			return true;
		}
	}
	return false;
}

static __always_inline bool move_slot(int family, __s32 index)
{
	struct flow_entry e = {};
	struct flow flow;
	int error;

	if (!flow_take_any(family, index, &e.key, &flow))
		return false;
	e.new_source = flow.new_source;
	e.new_destination = flow.new_destination;
	e.new_source_port = flow.new_source_port;
	e.new_destination_port = flow.new_destination_port;
	e.state = flow.state;
	error = flow_insert_here(family, &e);
	FLOW_PAUSE(moving);
	/* EEXIST: whoever moved before us was stopped between the two. */
	if (error == -KERNEL_EEXIST)
		return flow_remove(family, index, &e.key, e.state);
	return !error && move_close(family, index, &e);
}

static __noinline bool move_slot4(__s32 index)
{
	return move_slot(FAMILY4, index);
}

static __noinline bool move_slot6(__s32 index)
{
	return move_slot(FAMILY6, index);
}

static __always_inline long move_bucket(int family, __u32 number, struct mover *m)
{
	void *bucket = flow_bucket(family, number | FLOW_OTHER);

	if (!bucket)
		return 1;
	for (__u32 n = 0; n < bucket_slots(family); n++) {
		__s32 index = (number * bucket_slots(family) + n) | FLOW_OTHER;

		if (!SLUICE_STATE_GET(READ_ONCE(*slot_state(family, bucket_slot(family, bucket, n))), PROTOCOL))
			continue;
		if (family == FAMILY4 ? move_slot4(index) : move_slot6(index))
			++m->moved;
		else
			++m->left;
	}
	return 0;
}

static long move_bucket4(__u32 number, struct mover *m)
{
	return move_bucket(FAMILY4, m->first + number, m);
}

static long move_bucket6(__u32 number, struct mover *m)
{
	return move_bucket(FAMILY6, m->first + number, m);
}

static __always_inline void flow_move_some(struct sluice_flow_move *request)
{
	struct sluice_flow_move r = *request;
	struct mover m = {.first = r.first};

	if (flow_move_phase != SLUICE_FLOW_MOVE_NOW)
		return;
	if (r.family == FAMILY6)
		bpf_loop(r.buckets, move_bucket6, &m, 0);
	else
		bpf_loop(r.buckets, move_bucket4, &m, 0);
	request->moved = m.moved;
	request->left = m.left;
}

#endif
