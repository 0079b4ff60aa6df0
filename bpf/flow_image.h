/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Connections leave the flow tables and enter them as images (maps/flow_image.h): flow_walk and flow_put.
 *
 * flow_walk goes through the buckets upward. A connection is copied as a packet would copy it, so its key and its
 * state belong together. It can only be missed if it is moved down, to a bucket that the walk has passed, which
 * happens when the area of new flows shrinks (flow_table.h). Then the walk begins anew; when the area grows, flows
 * move up, and the walk meets some of them twice.
 *
 * flow_put inserts as the packet path does: the reverse slot first, which claims the source port toward the member,
 * then the forward one, counted before it can be found. Nothing that it needs is in memory that it shares with
 * packets: both programs run in a process's context, where packets may interrupt them at any place.
 *
 * While one of them runs, SLUICE_AREA_STILL is set: no flow is moved between areas, and nobody begins to move flows
 * to other tables. So no image is put into tables that flows are leaving. Packets go on. */
#ifndef SLUICE_BPF_FLOW_IMAGE_H
#define SLUICE_BPF_FLOW_IMAGE_H

#include "bpf/connect.h"
#include "bpf/expire.h"
#include "bpf/flow_state.h"
#include "bpf/flow_table.h"
#include "bpf/move.h"
#include "maps/flow_image.h"

/* A run of flow_walk ends after so many buckets, a few milliseconds. */
#define WALK_BUCKETS (1U << 16)
#define LONGEST_IDLE_TICKS (SLUICE_STATE_SEEN_MASK / 16 * 14)
/* Rounds for taking a reverse slot out again. */
#define WITHDRAW_ROUNDS 4

static __always_inline bool area_keep_still(int family, bool moving)
{
	__u64 *word = flow_area_word(family);
	__u64 area;

	if (!word || moving)
		return false;
	area = READ_ONCE(*word);
	return !(area & (SLUICE_AREA_HELD | SLUICE_AREA_BUSY)) &&
	       __sync_val_compare_and_swap(word, area, area | SLUICE_AREA_STILL) == area;
}

static __always_inline void area_let_move(int family)
{
	__u64 *word = flow_area_word(family);

	if (word)
		__sync_fetch_and_and(word, ~SLUICE_AREA_STILL);
}

/* Seconds, of a tick to the nearest: so an image that is put has the tick again that it was read with. */
static __always_inline __u32 idle_seconds(__u64 state)
{
	return ((flow_idle_ticks(state, clock_ticks()) << clock_tick_shift) + clock_hz / 2) / clock_hz;
}

static __always_inline __u64 seen_before(__u32 seconds)
{
	__u32 ticks = (seconds * clock_hz + (1U << clock_tick_shift) / 2) >> clock_tick_shift;

	/* More would soon be taken for the future (flow_idle_ticks()), and is more than any connection may be idle. */
	if (ticks > LONGEST_IDLE_TICKS)
		ticks = LONGEST_IDLE_TICKS;
	return SLUICE_STATE_PUT(SEEN, clock_ticks() - ticks);
}

static __always_inline void id_copy(struct sluice_id *to, const struct sluice_id *from)
{
	__builtin_memcpy(to, from, sizeof(*to));
}

static __always_inline bool id_equal(const struct sluice_id *a, const struct sluice_id *b)
{
	const __u64 *left = (const void *)a, *right = (const void *)b;

	return left[0] == right[0] && left[1] == right[1];
}

/* Writes what the slot with the client's packets says. */
static __always_inline bool image_forward(int family, __u32 index, struct sluice_flow_image *r)
{
	struct flow flow;
	struct tuple key;

	if (!flow_take_any(family, index, &key, &flow) || flow.state & SLUICE_FLOW_TO_CLIENT)
		return false;
	r->client = key.source;
	r->vip = key.destination;
	r->source = flow.new_source;
	r->member = flow.new_destination;
	r->client_port = key.source_port;
	r->vip_port = key.destination_port;
	r->source_port = flow.new_source_port;
	r->member_port = flow.new_destination_port;
	r->listener_index = listener_of_flow(flow.state);
	r->member_index = SLUICE_STATE_GET(flow.state, MEMBER);
	r->client_idle = idle_seconds(flow.state);
	r->family = family;
	r->protocol = key.protocol;
	r->phase = PHASE_INDEX(sluice_flow_phase(flow.state));
	r->flags = flow.state & SLUICE_FLOW_KEEPS_CLIENT && !snat_member(family, flow.state) ? SLUICE_IMAGE_KEEPS_CLIENT : 0;
	if (address_equal(family, &flow.new_destination, &key.destination))
		r->flags |= SLUICE_IMAGE_DIRECT;
	return true;
}

__noinline int image_forward4(__u32 index, struct sluice_flow_image *r)
{
	return r && image_forward(FAMILY4, index, r);
}

__noinline int image_forward6(__u32 index, struct sluice_flow_image *r)
{
	return r && image_forward(FAMILY6, index, r);
}

static __always_inline struct tuple image_key(const struct sluice_flow_image *r)
{
	return (struct tuple){
		.source = r->client,
		.destination = r->vip,
		.source_port = r->client_port,
		.destination_port = r->vip_port,
		.protocol = r->protocol,
	};
}

static __always_inline struct tuple image_reverse_key(const struct sluice_flow_image *r)
{
	return (struct tuple){
		.source = r->member,
		.destination = r->source,
		.source_port = r->member_port,
		.destination_port = r->source_port,
		.protocol = r->protocol,
	};
}

/* Writes what the rest of the maps says: the ids, and how long the member has been silent. */
static __always_inline int image_rest(int family, struct sluice_flow_image *r)
{
	const struct sluice_listener *listener;
	const struct sluice_member *member;
	__u32 index = r->member_index;
	struct tuple key = image_key(r);
	__u64 reverse;
	__s32 where;

	__builtin_memset(&r->listener_id, 0, sizeof(r->listener_id));
	__builtin_memset(&r->member_id, 0, sizeof(r->member_id));
	r->result = 0;
	__builtin_memset(r->zero, 0, sizeof(r->zero));
	listener = listener_find(family, &key);
	if (listener && listener->index == r->listener_index)
		id_copy(&r->listener_id, &listener->id);
	member = bpf_map_lookup_elem(&members, &index);
	if (member)
		id_copy(&r->member_id, &member->id);
	r->member_idle = r->client_idle;
	if (r->flags & SLUICE_IMAGE_DIRECT)
		return 0;
	key = image_reverse_key(r);
	reverse = flow_find_state(family, &key, &where);
	if (reverse)
		r->member_idle = idle_seconds(reverse);
	return 0;
}

__noinline int image_rest4(struct sluice_flow_image *r)
{
	return r ? image_rest(FAMILY4, r) : 0;
}

__noinline int image_rest6(struct sluice_flow_image *r)
{
	return r ? image_rest(FAMILY6, r) : 0;
}

static __always_inline void walk_slot(int family, __u32 index, struct sluice_flow_batch *batch)
{
	__u32 n = batch->count;
	struct sluice_flow_image *r;

	if (n >= SLUICE_BATCH_IMAGES)
		return;
	r = &batch->images[n];
	if (!(family == FAMILY4 ? image_forward4(index, r) : image_forward6(index, r)))
		return;
	if (family == FAMILY4)
		image_rest4(r);
	else
		image_rest6(r);
	batch->count = n + 1;
}

/* The batch counts, not the stack: the verifier would follow what is there number by number. */
static __always_inline long walk_bucket(int family, struct sluice_flow_batch *batch)
{
	__u32 number = batch->next;
	void *bucket = flow_bucket_here(family, number);

	if (!bucket || batch->count > SLUICE_BATCH_IMAGES - bucket_slots(family))
		return 1;
	for (__u32 n = 0; n < bucket_slots(family); n++) {
		__u64 state = READ_ONCE(*slot_state(family, bucket_slot(family, bucket, n)));

		if (SLUICE_STATE_GET(state, PROTOCOL) && !(state & SLUICE_FLOW_TO_CLIENT))
			walk_slot(family, number * bucket_slots(family) + n, batch);
	}
	batch->next = number + 1;
	return 0;
}

static long walk_bucket4(__u32 number, struct sluice_flow_batch **batch)
{
	(void)number;
	return walk_bucket(FAMILY4, *batch);
}

static long walk_bucket6(__u32 number, struct sluice_flow_batch **batch)
{
	(void)number;
	return walk_bucket(FAMILY6, *batch);
}

static __always_inline int walk_some(int family, struct sluice_flow_batch *batch)
{
	__u64 area = flow_area(family);
	__u32 buckets = buckets_in_use(family, area), left;

	batch->count = 0;
	batch->status = SLUICE_BATCH_BEGIN_ANEW;
	if (SLUICE_AREA_SHIFT(area) > SLUICE_AREA_OLD_SHIFT(area) || (batch->next && batch->change != area >> 32))
		return 0;
	batch->change = area >> 32;
	batch->status = SLUICE_BATCH_DONE;
	left = batch->next < buckets ? buckets - batch->next : 0;
	bpf_loop(left < WALK_BUCKETS ? left : WALK_BUCKETS, family == FAMILY4 ? walk_bucket4 : walk_bucket6, &batch, 0);
	if (batch->next >= buckets)
		batch->next = 0;
	return 0;
}

__noinline int walk_some4(struct sluice_flow_batch *batch)
{
	return batch ? walk_some(FAMILY4, batch) : 0;
}

__noinline int walk_some6(struct sluice_flow_batch *batch)
{
	return batch ? walk_some(FAMILY6, batch) : 0;
}

static __always_inline void flow_walk_some(int family, struct sluice_flow_batch *batch)
{
	batch->version = SLUICE_FLOW_IMAGE_VERSION;
	batch->status = SLUICE_BATCH_BUSY;
	if (!area_keep_still(family, flows_are_moving))
		return;
	if (family == FAMILY4)
		walk_some4(batch);
	else
		walk_some6(batch);
	area_let_move(family);
}

/* Says whether the member sees a SNAT address, which an IPv6 slot has room for in its own way. */
static __always_inline bool image_has_snat6(const struct sluice_flow_image *r)
{
	return r->family == FAMILY6 && !(r->flags & SLUICE_IMAGE_KEEPS_CLIENT) &&
	       !address_equal(FAMILY6, &r->source, &r->vip);
}

/* Says whether an IPv6 slot can hold the image's source, which depends on the member and the listener: they say what the
 * slot leaves out. */
static __always_inline bool image_source_fits6(const struct sluice_flow_image *r)
{
	__u32 listener = r->listener_index;
	__u64 keeps = SLUICE_STATE_PUT(MEMBER, r->member_index) | SLUICE_FLOW_KEEPS_CLIENT;
	const struct sluice_member *member = snat_member(FAMILY6, keeps);
	const union sluice_address *vip;
	union sluice_address members_own;

	if (r->flags & SLUICE_IMAGE_KEEPS_CLIENT)
		return !member && address_equal(FAMILY6, &r->source, &r->client);
	if (!image_has_snat6(r))
		return true;
	vip = bpf_map_lookup_elem(&snat_vips, &listener);
	if (!member || !vip)
		return false;
	members_own = member_address6(member);
	return address_equal(FAMILY6, &members_own, &r->member) && (is_mapped(&r->vip) || address_equal(FAMILY6, vip, &r->vip));
}

/* Says whether the tables' slots can hold the connection, see struct sluice_flow6. */
static __always_inline bool image_fits(int family, const struct sluice_flow_image *r)
{
	bool keeps_client = r->flags & SLUICE_IMAGE_KEEPS_CLIENT;

	if (r->family != family || r->protocol < SLUICE_FLOW_TCP || r->protocol > SLUICE_FLOW_SCTP || r->phase >= PHASES ||
	    r->listener_index >= SLUICE_MAX_LISTENERS || r->member_index >= SLUICE_MAX_MEMBERS)
		return false;
	if (r->flags & SLUICE_IMAGE_DIRECT)
		return keeps_client && r->source_port == r->client_port && r->member_port == r->vip_port &&
		       address_equal(family, &r->source, &r->client) && address_equal(family, &r->member, &r->vip);
	if (address_equal(family, &r->member, &r->vip))
		return false;
	if (family == FAMILY6)
		return image_source_fits6(r);
	return !keeps_client || address_equal(family, &r->source, &r->client);
}

/* Says whether listener and member are those of these names. */
static __always_inline int image_is_known(int family, const struct sluice_flow_image *r)
{
	const struct sluice_listener *listener;
	struct tuple key = image_key(r);
	const struct sluice_member *member;
	__u32 index = r->member_index;

	listener = listener_find(family, &key);
	if (!listener || listener->index != r->listener_index || !id_equal(&listener->id, &r->listener_id))
		return SLUICE_PUT_NO_LISTENER;
	member = bpf_map_lookup_elem(&members, &index);
	if (!member || !id_equal(&member->id, &r->member_id) ||
	    !!(member->flags & SLUICE_MEMBER_IPV6) != (family == FAMILY6 && !is_mapped(&r->member)))
		return SLUICE_PUT_NO_MEMBER;
	/* A listener of one load balancer and a member of another. */
	if (listener_banks.of_member[index & SLUICE_STATE_MEMBER_MASK] != sluice_bank_of_listener(r->listener_index))
		return SLUICE_PUT_NO_LISTENER;
	return SLUICE_PUT_DONE;
}

/* The state of the forward slot. */
static __always_inline __u64 image_state(const struct sluice_flow_image *r)
{
	return SLUICE_STATE_PUT(LISTENER_IN_BANK, r->listener_index) | SLUICE_STATE_PUT(MEMBER, r->member_index) |
	       SLUICE_STATE_PUT(PROTOCOL, r->protocol) | (r->phase * SLUICE_FLOW_REPLIED & SLUICE_PHASE_BITS) |
	       (r->flags & SLUICE_IMAGE_KEEPS_CLIENT || image_has_snat6(r) ? SLUICE_FLOW_KEEPS_CLIENT : 0);
}

/* Says whether the table has room for one more of this kind, as for a new connection. */
static __always_inline bool room_for_image(int family, const struct sluice_flow_image *r)
{
	const struct sluice_half_open *now = half_open_of(family);
	__u64 state = image_state(r);

	if (sluice_flow_is_closed(state))
		return true;
	if (!sluice_flow_is_confirmed(state) && now && now->flows >= half_open_limit(family))
		return false;
	return !is_unproven_kind(r->protocol, r->flags & SLUICE_IMAGE_DIRECT) ||
	       !too_many_unproven(family, r->listener_index);
}

static __always_inline int put_check(int family, const struct sluice_flow_image *r, __u32 own)
{
	struct tuple key;
	int result;

	if (!image_fits(family, r))
		return SLUICE_PUT_UNFIT;
	result = own ? SLUICE_PUT_DONE : image_is_known(family, r);
	if (result)
		return result;
	key = image_key(r);
	if (flow_search(family, &key) >= 0)
		return SLUICE_PUT_EXISTS;
	return own || room_for_image(family, r) ? SLUICE_PUT_DONE : SLUICE_PUT_NO_ROOM;
}

__noinline int put_check4(const struct sluice_flow_image *r, __u32 own)
{
	return r ? put_check(FAMILY4, r, own) : SLUICE_PUT_UNFIT;
}

__noinline int put_check6(const struct sluice_flow_image *r, __u32 own)
{
	return r ? put_check(FAMILY6, r, own) : SLUICE_PUT_UNFIT;
}

/* Inserts one of the two slots. The next hop is found by the first packet. */
static __always_inline int put_slot(int family, const struct sluice_flow_image *r, bool to_client)
{
	struct flow_entry e = {};

	e.state = image_state(r);
	if (to_client) {
		e.key = image_reverse_key(r);
		e.new_source = r->vip;
		e.new_destination = r->client;
		e.new_source_port = r->vip_port;
		e.new_destination_port = r->client_port;
		if (family == FAMILY6)
			entry_pair(&e);
		e.state = (e.state & ~SLUICE_PHASE_BITS) | SLUICE_FLOW_TO_CLIENT | seen_before(r->member_idle);
	} else {
		e.key = image_key(r);
		e.new_source = r->source;
		e.new_destination = r->member;
		e.new_source_port = r->source_port;
		e.new_destination_port = r->member_port;
		e.state |= seen_before(r->client_idle);
	}
	return flow_insert(family, &e);
}

__noinline int put_slot4(const struct sluice_flow_image *r, __u32 to_client)
{
	return r ? put_slot(FAMILY4, r, to_client) : -KERNEL_ENOSPC;
}

__noinline int put_slot6(const struct sluice_flow_image *r, __u32 to_client)
{
	return r ? put_slot(FAMILY6, r, to_client) : -KERNEL_ENOSPC;
}

/* Takes the reverse slot out again. */
static __always_inline int put_withdraw(int family, const struct sluice_flow_image *r)
{
	struct tuple key = image_reverse_key(r);

	for (int i = 0; i < WITHDRAW_ROUNDS; i++) {
		__s32 index;
		__u64 state = flow_find_state(family, &key, &index);

		if (!state || flow_remove(family, index, &key, state))
			break;
	}
	return 0;
}

__noinline int put_withdraw4(const struct sluice_flow_image *r)
{
	return r ? put_withdraw(FAMILY4, r) : 0;
}

__noinline int put_withdraw6(const struct sluice_flow_image *r)
{
	return r ? put_withdraw(FAMILY6, r) : 0;
}

static __always_inline int put_result(int error, int when_taken)
{
	switch (error) {
	case 0:
		return SLUICE_PUT_DONE;
	case -KERNEL_EEXIST:
		return when_taken;
	case -KERNEL_EAGAIN:
		return SLUICE_PUT_LOCKED;
	default:
		return SLUICE_PUT_NO_ROOM;
	}
}

static __always_inline int put_image(int family, const struct sluice_flow_image *r, __u32 own)
{
	bool direct = r->flags & SLUICE_IMAGE_DIRECT, counts = !own && !sluice_flow_is_closed(image_state(r));
	int result = family == FAMILY4 ? put_check4(r, own) : put_check6(r, own);

	if (result)
		return result;
	if (!direct) {
		result = put_result(family == FAMILY4 ? put_slot4(r, true) : put_slot6(r, true), SLUICE_PUT_PORT_TAKEN);
		if (result)
			return result;
	}
	if (counts)
		count_flow_opened(family, image_state(r), 1);
	result = put_result(family == FAMILY4 ? put_slot4(r, false) : put_slot6(r, false), SLUICE_PUT_EXISTS);
	if (!result)
		return SLUICE_PUT_DONE;
	if (counts)
		count_flow_opened(family, image_state(r), -1);
	if (!direct && family == FAMILY4)
		put_withdraw4(r);
	else if (!direct)
		put_withdraw6(r);
	return result;
}

__noinline int put_image4(const struct sluice_flow_image *r, __u32 own)
{
	return r ? put_image(FAMILY4, r, own) : SLUICE_PUT_UNFIT;
}

__noinline int put_image6(const struct sluice_flow_image *r, __u32 own)
{
	return r ? put_image(FAMILY6, r, own) : SLUICE_PUT_UNFIT;
}

/* Describes the forward slot so far as move_note() and move_undo() need it. */
static __always_inline void image_entry(const struct sluice_flow_image *r, struct flow_entry *e)
{
	e->key = image_key(r);
	e->state = image_state(r);
}

static __always_inline __u64 put_advance(int family, __s32 index, const struct flow_entry *e, __u64 state, __u32 event,
					 bool of_member)
{
	if (family == FAMILY4)
		return of_member ? flow_advance_by_member4(&e->key, index, state, event)
				 : flow_advance_by_client4(&e->key, index, state, event);
	return of_member ? flow_advance_by_member6(&e->key, index, state, event)
			 : flow_advance_by_client6(&e->key, index, state, event);
}

/* The phase of the connection `e`, which was put in the slot `index`, has changed here, too. Here it is told what was noted
 * only where it was read: that the client has confirmed the connection, and which end has ended it. If an end were lost, the
 * connection would seem to live until it has been idle for long enough. */
static __always_inline void put_catch_up(int family, __s32 index, const struct flow_entry *e, __u64 state)
{
	void *slot = flow_slot_here(family, index);
	__u64 now = slot ? moved_state(family, slot, e) : 0, noted = state & ~e->state;
	__u32 end = state & SLUICE_FLOW_REPLIED ? EVENT_ENDS : EVENT_ABORTS;

	if (!now || !((now ^ state) & SLUICE_PHASE_BITS) || !sluice_flow_is_confirmed(state))
		return;
	if (!sluice_flow_is_confirmed(now))
		now = put_advance(family, index, e, now, EVENT_PACKET, false);
	if (noted & SLUICE_FLOW_CLIENT_FIN && !(now & SLUICE_FLOW_CLIENT_FIN))
		now = put_advance(family, index, e, now, end, false);
	if (noted & SLUICE_FLOW_MEMBER_FIN && !(now & SLUICE_FLOW_MEMBER_FIN))
		put_advance(family, index, e, now, end, true);
}

/* Brings an image's phase to the connection that was put from it: the member's and the client's packets have gone on
 * where it was read. */
static __always_inline int amend_image(int family, const struct sluice_flow_image *r)
{
	struct flow_entry e = {};
	__u64 state;
	__s32 index;

	image_entry(r, &e);
	state = e.state;
	/* The compiler knows its bits and would leave out the masks that the verifier of 6.1 needs. */
	asm volatile("" : "+r"(state));
	e.state = (state & ~SLUICE_PHASE_BITS) | (r->result * SLUICE_FLOW_REPLIED & SLUICE_PHASE_BITS);
	index = flow_search(family, &e.key);
	move_note(family, index, &e, state);
	put_catch_up(family, index, &e, state);
	return SLUICE_PUT_DONE;
}

__noinline int amend_image4(const struct sluice_flow_image *r)
{
	return r ? amend_image(FAMILY4, r) : SLUICE_PUT_UNFIT;
}

__noinline int amend_image6(const struct sluice_flow_image *r)
{
	return r ? amend_image(FAMILY6, r) : SLUICE_PUT_UNFIT;
}

/* Takes out a connection that was put and has ended where it was read. */
static __always_inline int take_image_back(int family, const struct sluice_flow_image *r)
{
	struct flow_entry e = {};

	image_entry(r, &e);
	move_undo(family, flow_search(family, &e.key), &e);
	if (r->flags & SLUICE_IMAGE_DIRECT)
		return SLUICE_PUT_DONE;
	if (family == FAMILY4)
		put_withdraw4(r);
	else
		put_withdraw6(r);
	return SLUICE_PUT_DONE;
}

__noinline int take_image_back4(const struct sluice_flow_image *r)
{
	return r ? take_image_back(FAMILY4, r) : SLUICE_PUT_UNFIT;
}

__noinline int take_image_back6(const struct sluice_flow_image *r)
{
	return r ? take_image_back(FAMILY6, r) : SLUICE_PUT_UNFIT;
}

static __always_inline int do_with_image(struct sluice_flow_image *r, const struct sluice_flow_batch *batch)
{
	bool is_ipv6 = batch->family == FAMILY6;

	switch (batch->request) {
	case SLUICE_PUT_AMEND:
		return is_ipv6 ? amend_image6(r) : amend_image4(r);
	case SLUICE_PUT_TAKE_BACK:
		return is_ipv6 ? take_image_back6(r) : take_image_back4(r);
	default:
		return is_ipv6 ? put_image6(r, batch->own) : put_image4(r, batch->own);
	}
}

static long put_next(__u32 n, struct sluice_flow_batch **to_put)
{
	struct sluice_flow_batch *batch = *to_put;
	struct sluice_flow_image *r;

	if (n >= SLUICE_BATCH_IMAGES)
		return 1;
	r = &batch->images[n];
	r->result = do_with_image(r, batch);
	return 0;
}

__noinline int put_all(struct sluice_flow_batch *batch)
{
	if (batch)
		bpf_loop(batch->count, put_next, &batch, 0);
	return 0;
}

/* Has `all` carry out the batch while no flow is moved. */
static __always_inline void flow_batch_in_stillness(int family, struct sluice_flow_batch *batch,
						    bool moving, int (*all)(struct sluice_flow_batch *batch))
{
	batch->status = SLUICE_BATCH_VERSION;
	if (batch->version != SLUICE_FLOW_IMAGE_VERSION)
		return;
	batch->status = SLUICE_BATCH_BUSY;
	if (!area_keep_still(family, moving))
		return;
	all(batch);
	area_let_move(family);
	batch->status = SLUICE_BATCH_DONE;
}

static __always_inline void flow_batch_run(struct sluice_flow_batch *batch, bool moving,
					   int (*all)(struct sluice_flow_batch *batch))
{
	if (batch->family == FAMILY6)
		flow_batch_in_stillness(FAMILY6, batch, moving, all);
	else
		flow_batch_in_stillness(FAMILY4, batch, moving, all);
}

#endif
