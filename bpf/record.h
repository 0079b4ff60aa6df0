/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records of connections, see maps/record.h. They are written where a connection is counted as confirmed and as ended,
 * so an established connection's packets never come here. The functions are leaves that fill the record in the ring itself:
 * their callers have no stack left for one. */
#ifndef SLUICE_BPF_RECORD_H
#define SLUICE_BPF_RECORD_H

#include "bpf/flow_table.h"
#include "bpf/packet.h"
#include "maps/member.h"
#include "maps/record.h"
#include "maps/replica.h"

/* One of so many of the listener's connections is recorded; 0: none. */
static __always_inline __u32 records_one_of(__u64 state)
{
	__u32 listener = listener_of_flow(state);
	const __u32 *one_of = bpf_map_lookup_elem(&listener_records, &listener);

	return one_of ? *one_of : 0;
}

/* Says whether the connection is recorded: both of its records, or none. The hash is keyed, so no client can choose. */
static __always_inline bool is_recorded(int family, const struct tuple *client, __u64 state)
{
	__u32 one_of = records_one_of(state);

	return one_of == 1 || (one_of && !tuple_home_of(family, client, one_of));
}

static __always_inline __u32 handshake_mark(__u64 state, __u32 name)
{
	return sluice_handshake_mark(SLUICE_STATE_GET(state, LISTENER_IN_BANK), SLUICE_STATE_GET(state, MEMBER), name);
}

static __always_inline struct sluice_record_handshake *handshake_at(__u32 mark)
{
	__u32 index = sluice_handshake_place(mark);

	return bpf_map_lookup_elem(&record_handshakes, &index);
}

static __always_inline __u32 microseconds_now(void)
{
	return bpf_ktime_get_ns() / 1000;
}

/* `name`: see handshake_name(). `limited`: the member has a time in which to answer. */
static __always_inline void record_handshake_begins(__u64 state, __u32 name, __u32 limited)
{
	__u32 mark = handshake_mark(state, name);
	struct sluice_record_handshake *h;

	if ((!limited && !records_one_of(state)) || !(h = handshake_at(mark)))
		return;
	WRITE_ONCE(h->microseconds, microseconds_now());
	WRITE_ONCE(h->mark, mark | 1);
}

static __always_inline void record_handshake_ends(__u64 state, __u32 name)
{
	__u32 mark = handshake_mark(state, name), took;
	struct sluice_record_handshake *h;

	if (!records_one_of(state) || !(h = handshake_at(mark)) || READ_ONCE(h->mark) != (mark | 1))
		return;
	took = microseconds_now() - READ_ONCE(h->microseconds);
	WRITE_ONCE(h->microseconds, took ? took : 1);
	WRITE_ONCE(h->mark, mark);
}

static __always_inline __u32 handshake_took(__u64 state, __u32 name)
{
	__u32 mark = handshake_mark(state, name);
	const struct sluice_record_handshake *h = handshake_at(mark);

	return h && READ_ONCE(h->mark) == mark ? READ_ONCE(h->microseconds) : 0;
}

static __always_inline __u64 *fleet_number(__u32 which)
{
	return bpf_map_lookup_elem(&fleet, &which);
}

static __always_inline bool changes_are_told(void)
{
	const __u64 *tells = fleet_number(SLUICE_FLEET_TELLS);

	return tells && *tells;
}

/* For whom a record is: each has a ring, so that none waits for the other. */
enum record_reader {
	RECORD_EXPORTED, /* who keeps records of connections (userspace/records) */
	RECORD_TOLD,     /* the other nodes of the fleet (maps/replica.h) */
};

static __always_inline int record_is_lost(enum record_reader reader)
{
	__u32 zero = 0;
	__u64 *lost = reader == RECORD_TOLD ? bpf_map_lookup_elem(&flow_change_losses, &zero)
					    : bpf_map_lookup_elem(&record_losses, &zero);

	if (lost)
		++*lost;
	return 0;
}

static __always_inline void *record_reserve(int family, enum record_reader reader)
{
	__u64 bytes = family == FAMILY4 ? sizeof(struct sluice_record4) : sizeof(struct sluice_record6);

	return reader == RECORD_TOLD ? bpf_ringbuf_reserve(&flow_changes, bytes, 0) : bpf_ringbuf_reserve(&records, bytes, 0);
}

static __always_inline void record_describe(int family, struct sluice_record *r, __u64 state, __u32 event, __u32 end)
{
	r->nanoseconds = bpf_ktime_get_boot_ns();
	r->state = state;
	r->event = event;
	r->family = family == FAMILY4 ? 4 : 6;
	r->end = event == SLUICE_RECORD_ENDS ? end : SLUICE_RECORD_NO_END;
	r->zero = 0;
	r->handshake_microseconds = 0;
}

static __always_inline void record_client(int family, void *record, const struct tuple *client)
{
	struct sluice_record4 *r4 = record;
	struct sluice_record6 *r6 = record;

	r4->head.client_port = client->source_port;
	r4->head.vip_port = client->destination_port;
	if (family == FAMILY4) {
		r4->client = client->source.ipv4;
		r4->vip = client->destination.ipv4;
	} else {
		r6->client = client->source;
		r6->vip = client->destination;
	}
}

/* Packets to members that answer directly keep the VIP as their destination. */
static __always_inline void record_direct_member(int family, void *record, __u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &index);

	if (!member || !(member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP)))
		return;
	if (family == FAMILY4)
		((struct sluice_record4 *)record)->member = member->address.ipv4;
	else
		((struct sluice_record6 *)record)->member = member->address;
}

/* The member's end of it, as its forward slot has it. */
static __always_inline void record_slot(int family, void *record, void *slot, const struct tuple *client, __u64 state)
{
	const struct sluice_flow4 *slot4 = slot;
	const struct sluice_flow6 *slot6 = slot;
	const struct sluice_member *member;
	struct sluice_record4 *r4 = record;
	struct sluice_record6 *r6 = record;

	if (family == FAMILY4) {
		r4->head.snat_port = slot4->new_source_port;
		r4->head.member_port = slot4->new_destination_port;
		r4->snat = slot4->new_source;
		r4->member = slot4->new_destination;
	} else {
		r6->head.snat_port = slot6->new_source_port;
		r6->head.member_port = slot6->new_destination_port;
		member = snat_member(family, state);
		r6->snat = member ? slot6->other
				  : state & SLUICE_FLOW_KEEPS_CLIENT ? client->source : client->destination;
		r6->member = member ? member_address6(member) : slot6->other;
	}
}

/* The same, as the other direction's tuple has it. */
static __always_inline void record_twin(int family, void *record, const struct tuple *twin)
{
	struct sluice_record4 *r4 = record;
	struct sluice_record6 *r6 = record;

	r4->head.snat_port = twin->destination_port;
	r4->head.member_port = twin->source_port;
	if (family == FAMILY4) {
		r4->snat = twin->destination.ipv4;
		r4->member = twin->source.ipv4;
	} else {
		r6->snat = twin->destination;
		r6->member = twin->source;
	}
}

/* What a change of the phase means to those who keep records; 0: nothing. A replica begins here when it is taken over. */
static __always_inline __u32 record_event_of(__u64 before, __u64 after)
{
	bool counted = sluice_flow_is_confirmed(before) && !sluice_flow_is_replica(before);

	if (sluice_flow_is_closed(after) || sluice_flow_is_replica(after))
		return counted && !sluice_flow_is_closed(before) ? SLUICE_RECORD_ENDS : 0;
	if (!sluice_flow_is_confirmed(after))
		return 0;
	if (!counted)
		return SLUICE_RECORD_BEGINS;
	return sluice_flow_is_closed(before) ? SLUICE_RECORD_RESUMES : 0;
}

/* What it means to the other nodes. They may have removed their replica when one end seemed to have ended it. */
static __always_inline __u32 told_event_of(__u64 before, __u64 after)
{
	if (sluice_flow_is_replica(after) || !changes_are_told())
		return 0;
	if (sluice_flow_is_replica(before) && sluice_flow_is_closed(after))
		return SLUICE_RECORD_ENDS;
	if (sluice_flow_phase(after) == SLUICE_PHASE_OPEN && sluice_flow_phase(before) == SLUICE_PHASE_CLIENT_ENDED)
		return SLUICE_RECORD_RESUMES;
	return record_event_of(before, after);
}

static __always_inline __u32 client_name(int family, const struct tuple *client)
{
	return client->source.words[family == FAMILY4 ? 0 : 3] ^ tuple_ports(client);
}

static __always_inline int record_change_for(enum record_reader reader, int family, const struct tuple *client, void *slot,
					     __u64 after, __u32 event, __u32 end)
{
	struct sluice_record *r = record_reserve(family, reader);

	if (!r)
		return record_is_lost(reader);
	record_describe(family, r, after, event, end);
	if (event == SLUICE_RECORD_BEGINS && reader == RECORD_EXPORTED)
		r->handshake_microseconds = handshake_took(after, client_name(family, client));
	record_client(family, r, client);
	record_slot(family, r, slot, client, after);
	record_direct_member(family, r, after);
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline int record_change_in(int family, const struct tuple *client, __s32 index, __u64 before,
					    __u64 after, __u32 end)
{
	__u32 event = record_event_of(before, after), told = told_event_of(before, after);
	void *slot = event || told ? flow_slot(family, index) : NULL;

	if (!slot)
		return 0;
	if (event && is_recorded(family, client, after))
		record_change_for(RECORD_EXPORTED, family, client, slot, after, event, end);
	if (told)
		record_change_for(RECORD_TOLD, family, client, slot, after, told, end);
	return 0;
}

__noinline int record_change4(const struct tuple *client, __s32 index, __u64 before, __u64 after, __u32 end)
{
	return client ? record_change_in(FAMILY4, client, index, before, after, end) : 0;
}

__noinline int record_change6(const struct tuple *client, __s32 index, __u64 before, __u64 after, __u32 end)
{
	return client ? record_change_in(FAMILY6, client, index, before, after, end) : 0;
}

/* Records what the change of a forward slot's phase means, if anything. `end`: how it ended, if this is its end. */
static __always_inline void record_change(int family, const struct tuple *client, __s32 index, __u64 before, __u64 after,
					  __u32 end)
{
	if (family == FAMILY4)
		record_change4(client, index, before, after, end);
	else
		record_change6(client, index, before, after, end);
}

/* Refines what only the member can say. */
static __always_inline __u32 end_by_member(__u64 state, __u32 end)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &index);

	if (end != SLUICE_RECORD_DRAINED || !member)
		return end;
	if (member->flags & SLUICE_MEMBER_REMOVED)
		return SLUICE_RECORD_MEMBER_REMOVED;
	return member->flags & SLUICE_MEMBER_FAILED ? SLUICE_RECORD_MEMBER_DOWN : end;
}

/* Records an event of a connection that is found by its two tuples alone: its flow may be gone. `idle_seconds`: for how
 * long it has been silent, where it is refreshed. */
static __always_inline int record_from_tuples(enum record_reader reader, int family, const struct tuple *client,
					      const struct tuple *twin, __u64 state, __u32 event, __u32 end,
					      __u32 idle_seconds)
{
	struct sluice_record *r = record_reserve(family, reader);

	if (!r)
		return record_is_lost(reader);
	record_describe(family, r, state, event, end);
	r->handshake_microseconds = idle_seconds;
	record_client(family, r, client);
	record_twin(family, r, twin);
	record_direct_member(family, r, state);
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline int record_removal_for(enum record_reader reader, int family, const struct tuple *client,
					      const struct tuple *twin, __u64 state, __u32 end)
{
	return record_from_tuples(reader, family, client, twin, state, SLUICE_RECORD_ENDS, end_by_member(state, end), 0);
}

/* A replica's removal is nobody's news, and one that lives on another node has not ended. */
static __always_inline int record_removal_in(int family, const struct tuple *client, const struct tuple *twin, __u64 state,
					     __u32 end)
{
	if (!sluice_flow_is_confirmed(state) || sluice_flow_is_closed(state) || sluice_flow_is_replica(state))
		return 0;
	if (is_recorded(family, client, state))
		record_removal_for(RECORD_EXPORTED, family, client, twin, state, end);
	if (end != SLUICE_RECORD_MOVED && changes_are_told())
		record_removal_for(RECORD_TOLD, family, client, twin, state, end);
	return 0;
}

__noinline int record_removal4(const struct tuple *client, const struct tuple *twin, __u64 state, __u32 end)
{
	return client && twin ? record_removal_in(FAMILY4, client, twin, state, end) : 0;
}

__noinline int record_removal6(const struct tuple *client, const struct tuple *twin, __u64 state, __u32 end)
{
	return client && twin ? record_removal_in(FAMILY6, client, twin, state, end) : 0;
}

/* Records the end of a connection whose flow was removed before it was over. */
static __always_inline void record_removal(int family, const struct tuple *client, const struct tuple *twin, __u64 state,
					   __u32 end)
{
	if (family == FAMILY4)
		record_removal4(client, twin, state, end);
	else
		record_removal6(client, twin, state, end);
}

static __always_inline int record_refresh_in(int family, const struct tuple *client, const struct tuple *twin, __u64 state,
					     __u32 idle_seconds)
{
	return record_from_tuples(RECORD_TOLD, family, client, twin, state, SLUICE_RECORD_REFRESHED, SLUICE_RECORD_NO_END,
				  idle_seconds);
}

__noinline int record_refresh4(const struct tuple *client, const struct tuple *twin, __u64 state, __u32 idle_seconds)
{
	return client && twin ? record_refresh_in(FAMILY4, client, twin, state, idle_seconds) : 0;
}

__noinline int record_refresh6(const struct tuple *client, const struct tuple *twin, __u64 state, __u32 idle_seconds)
{
	return client && twin ? record_refresh_in(FAMILY6, client, twin, state, idle_seconds) : 0;
}

/* Tells the other nodes that the connection lives, and for how many seconds it has been silent. */
static __always_inline void record_refresh(int family, const struct tuple *client, const struct tuple *twin, __u64 state,
					   __u32 idle_seconds)
{
	if (family == FAMILY4)
		record_refresh4(client, twin, state, idle_seconds);
	else
		record_refresh6(client, twin, state, idle_seconds);
}

#endif
