/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Moving flows under traffic: to tables of another size, and to another area of their table.
 *
 * To tables of another size:
 * Three programs take turns on the NICs, each of them on all before the next one comes. The first looks into both pairs of
 * tables and puts new flows into the old ones; the second puts them into the new ones, and while it runs flow_move empties
 * the old ones; the third knows only the new ones. So whatever a NIC's packets make, the others' find.
 *
 * A flow is copied, published in the new table, and only then taken out of the old one by a compare-and-swap of the state
 * that was copied. In between both copies are there. Who looks finds the new one, but a packet that is under way may have
 * found the old one and note something there: then the swap fails, and what was noted is brought to the new copy. Packets of
 * flows that wait in the old table take the slow path; nothing else is different for them.
 *
 * To another area: flow_table.h says who may be under way meanwhile. flow_rehome names the new area, goes through the buckets
 * of the old one and copies what has its home elsewhere now in the same way. When a walk has left nothing behind, the old area
 * is forgotten. Before flows move to other tables the area is the whole table, and is held so.
 *
 * Both run in a process's context. While it holds a bucket's lock, for a hundred nanoseconds, an interrupt may bring a SYN of
 * that bucket, which is dropped after FLOW_LOCK_ROUNDS and comes again. */
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
	__u32 shift; /* of the new area */
	__u32 homes; /* of the old one */
};

/* The state of the flow `e` in this slot; 0: the slot hasn't this flow any more. */
static __always_inline __u64 moved_state(int family, void *slot, const struct flow_entry *e)
{
	__u64 state = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;

	return SLUICE_STATE_GET(state, PROTOCOL) == e->key.protocol && slot_has_key(family, slot, &e->key) ? state : 0;
}

/* The phase of the old copy went from that of `e` to that of `state`. That of the new one, in the slot `copy`, may have
 * changed, too. The new copy is never searched for: another flow may have got its key. Its slot rests if it is freed. */
static __always_inline void move_note(int family, __s32 copy, const struct flow_entry *e, __u64 state)
{
	void *slot = flow_slot_here(family, copy);

	for (int i = 0; slot && i < MOVE_ROUNDS; i++) {
		__u64 now = moved_state(family, slot, e), next = state;

		if (!now)
			return;
		if ((now ^ e->state) & SLUICE_PHASE_BITS)
			break;
		if (now != e->state)
			next = (now & ~SLUICE_PHASE_BITS) | (state & SLUICE_PHASE_BITS);
		if (flow_change(family, copy, &e->key, now, next))
			return;
	}
	/* What the new copy says is later, and counted. */
	if (state & SLUICE_FLOW_TO_CLIENT)
		return;
	count_flow_gains(family, state, e->state, 1);
	count_flow_losses(family, state, e->state);
	if (sluice_flow_is_confirmed(state) && !sluice_flow_is_confirmed(e->state) && !sluice_flow_is_closed(state)) {
		count_half_open(family, state, 1);
		count_confirmed(state, -1);
	}
}

/* The old copy was taken out, and that was counted: the new one goes, too. */
static __always_inline void move_undo(int family, __s32 copy, const struct flow_entry *e)
{
	void *slot = flow_slot_here(family, copy);

	for (int i = 0; slot && i < MOVE_ROUNDS; i++) {
		__u64 now = moved_state(family, slot, e);

		if (!now)
			return;
		if (!flow_remove(family, copy, &e->key, now))
			continue;
		if (sluice_flow_is_closed(now) && !sluice_flow_is_closed(e->state))
			count_flow_opened(family, now, 1);
		return;
	}
}

/* Takes the old copy out. False: packets change it all the time. */
static __always_inline bool move_close(int family, __s32 index, __s32 copy, const struct flow_entry *e)
{
	void *slot = flow_slot(family, index);
	__u64 state = e->state;

	for (int i = 0; slot && i < MOVE_ROUNDS; i++) {
		if (flow_remove(family, index, &e->key, state)) {
			if (state != e->state)
				move_note(family, copy, e, state);
			return true;
		}
		state = moved_state(family, slot, e);
		if (!state) {
			move_undo(family, copy, e);
			return true;
		}
	}
	return false;
}

static __always_inline bool move_slot(int family, __s32 index)
{
	struct flow_entry e = {};
	struct flow flow;
	__s32 copy;

	if (!flow_take_raw(family, index, &e.key, &flow))
		return false;
	e.new_source = flow.new_source;
	e.new_destination = flow.new_destination;
	e.new_source_port = flow.new_source_port;
	e.new_destination_port = flow.new_destination_port;
	e.state = flow.state;
	copy = flow_insert_here(family, &e, true);
	FLOW_PAUSE(moving);
	/* EEXIST: whoever moved before us was stopped between the two. */
	if (copy == -KERNEL_EEXIST)
		return flow_remove(family, index, &e.key, e.state);
	return copy >= 0 && move_close(family, index, copy, &e);
}

__noinline int move_slot4(__s32 index)
{
	return move_slot(FAMILY4, index);
}

__noinline int move_slot6(__s32 index)
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

static long look_at_lock(__u32 round, __u64 **state)
{
	(void)round;
	return !(READ_ONCE(**state) & SLUICE_STATE_LOCK);
}

/* Waits until no insertion that knows only the area before this change can still be under way to this home. */
static __always_inline bool await_unlocked(int family, void *bucket)
{
	__u64 *state = bucket_state(family, bucket);

	if (READ_ONCE(*state) & SLUICE_STATE_LOCK)
		bpf_loop(FLOW_LOCK_ROUNDS, look_at_lock, &state, 0);
	return !(READ_ONCE(*state) & SLUICE_STATE_LOCK);
}

/* Has the flow in this slot its home elsewhere in the new area? */
static __always_inline bool slot_is_to_move(int family, void *slot, __u32 bucket, __u32 shift)
{
	struct tuple key = slot_key(family, slot);

	return key.protocol && bucket - sluice_area_home(tuple_home(family, &key), shift) >= SLUICE_FLOW_WINDOW;
}

/* Slots of this bucket that were moved, and LEFT_ONE for each that was not. `homes` of the old area, shift of the new one. */
#define LEFT_ONE 0x100
static __always_inline int rehome_bucket(int family, __u32 number, __u32 homes, __u32 shift)
{
	void *bucket = flow_bucket_here(family, number);
	int result = 0;

	if (!bucket)
		return 0;
	if (number < homes && !await_unlocked(family, bucket))
		result += LEFT_ONE;
	for (__u32 n = 0; n < bucket_slots(family); n++) {
		__s32 index = number * bucket_slots(family) + n;

		if (slot_is_to_move(family, bucket_slot(family, bucket, n), number, shift))
			result += (family == FAMILY4 ? move_slot4(index) : move_slot6(index)) ? 1 : LEFT_ONE;
	}
	return result;
}

__noinline int rehome_bucket4(__u32 number, __u32 homes, __u32 shift)
{
	return rehome_bucket(FAMILY4, number, homes, shift);
}

__noinline int rehome_bucket6(__u32 number, __u32 homes, __u32 shift)
{
	return rehome_bucket(FAMILY6, number, homes, shift);
}

static __always_inline void rehomed(struct mover *m, __u32 result)
{
	m->moved += result % LEFT_ONE;
	m->left += result / LEFT_ONE;
}

static long rehome_next4(__u32 number, struct mover *m)
{
	rehomed(m, rehome_bucket4(m->first + number, m->homes, m->shift));
	return 0;
}

static long rehome_next6(__u32 number, struct mover *m)
{
	rehomed(m, rehome_bucket6(m->first + number, m->homes, m->shift));
	return 0;
}

/* The word that the area shall have while flows move. 0: refused. */
static __always_inline __u64 area_wanted(__u64 area, __u32 shift, __u32 hold)
{
	__u32 now = SLUICE_AREA_SHIFT(area), old = SLUICE_AREA_OLD_SHIFT(area);
	__u64 next = area;

	if (hold == SLUICE_AREA_HOLD)
		shift = 0;
	if (hold == SLUICE_AREA_RELEASE)
		shift = now;
	if (area & SLUICE_AREA_HELD && hold == SLUICE_AREA_LEAVE && shift)
		return 0;
	if (shift != now && (now == old || shift == old))
		next = SLUICE_AREA(shift, now) | ((area & SLUICE_AREA_CHANGES) + SLUICE_AREA_CHANGE);
	next |= area & SLUICE_AREA_HELD;
	if (hold == SLUICE_AREA_HOLD)
		next |= SLUICE_AREA_HELD;
	if (hold == SLUICE_AREA_RELEASE)
		next &= ~SLUICE_AREA_HELD;
	return next | SLUICE_AREA_MOVING;
}

/* One run's part of the walk over the old area. True: the walk is over and has left nothing behind. */
static __always_inline bool rehome_some(int family, __u64 area, struct sluice_flow_rehome *r)
{
	__u32 all = family == FAMILY4 ? flow_homes4 : flow_homes6;
	__u32 homes = sluice_area_homes(all, SLUICE_AREA_OLD_SHIFT(area)), buckets = SLUICE_FLOW_BUCKETS(homes);
	struct mover m;

	/* A walk begins, and forgets what the one before it left behind. */
	if (r->change != area >> 32 || !r->first || r->first >= buckets) {
		r->first = 0;
		r->left = 0;
	}
	r->change = area >> 32;
	buckets -= r->first;
	if (buckets > r->buckets)
		buckets = r->buckets;
	m = (struct mover){
		.first = r->first,
		.moved = r->moved,
		.left = r->left,
		.shift = SLUICE_AREA_SHIFT(area),
		.homes = homes,
	};
	if (family == FAMILY6)
		bpf_loop(buckets, rehome_next6, &m, 0);
	else
		bpf_loop(buckets, rehome_next4, &m, 0);
	r->moved = m.moved;
	r->left = m.left;
	r->first += buckets;
	/* A run over no buckets does not end the walk that it begins. */
	if (r->first < SLUICE_FLOW_BUCKETS(homes))
		return false;
	r->first = 0;
	return !r->left;
}

static __always_inline void rehome(int family, struct sluice_flow_rehome *r)
{
	__u64 *word = flow_area_word(family);
	bool is_over = false;
	__u64 area, next;

	r->refused = 1;
	if (!word || flows_are_moving)
		return;
	area = READ_ONCE(*word);
	r->is_shift = SLUICE_AREA_SHIFT(area);
	r->old_shift = SLUICE_AREA_OLD_SHIFT(area);
	next = area & SLUICE_AREA_BUSY ? 0 : area_wanted(area, r->shift, r->hold);
	if (!next || __sync_val_compare_and_swap(word, area, next) != area)
		return;
	area_announce(family, SLUICE_AREA_SHIFT(next));
	r->refused = 0;
	area = next;
	if (SLUICE_AREA_SHIFT(area) != SLUICE_AREA_OLD_SHIFT(area))
		is_over = rehome_some(family, area, r);
	else
		r->first = r->left = 0;
	next = area & ~SLUICE_AREA_MOVING;
	if (is_over)
		next = SLUICE_AREA(SLUICE_AREA_SHIFT(area), SLUICE_AREA_SHIFT(area)) | (next & SLUICE_AREA_HELD) |
		       ((next & SLUICE_AREA_CHANGES) + SLUICE_AREA_CHANGE);
	__sync_val_compare_and_swap(word, area, next);
	r->is_shift = SLUICE_AREA_SHIFT(next);
	r->old_shift = SLUICE_AREA_OLD_SHIFT(next);
}

static __always_inline void flow_rehome_some(struct sluice_flow_rehome *request)
{
	struct sluice_flow_rehome r = *request;

	if (r.family == FAMILY6)
		rehome(FAMILY6, &r);
	else
		rehome(FAMILY4, &r);
	*request = r;
}

#endif
