/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counters. Packets are counted by plain stores to this CPU's copy, so no shared cache line is written. Connections
 * also have shared counters of those that exist now, which limits and least connections read; they are written once
 * when a connection begins and once when it ends. */
#ifndef SLUICE_BPF_COUNTERS_H
#define SLUICE_BPF_COUNTERS_H

#include "bpf/listener_bank.h"
#include "bpf/packet.h"
#include "maps/counters.h"
#include "maps/half_open.h"

static __always_inline void count_reason(__u32 why)
{
	__u32 later = why - SLUICE_FIRST_REASONS;
	__u64 *packets = why < SLUICE_FIRST_REASONS ? bpf_map_lookup_elem(&reason_counters, &why)
						    : bpf_map_lookup_elem(&later_reason_counters, &later);

	if (packets)
		++*packets;
}

static __always_inline struct sluice_counters *counters_of_listener(__u64 state)
{
	__u32 index = listener_of_flow(state);

	return bpf_map_lookup_elem(&listener_counters, &index);
}

static __always_inline struct sluice_counters *counters_of_member(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&member_counters, &index);
}

static __always_inline void count_packet(struct sluice_counters *c, bool to_client, __u32 bytes)
{
	if (!c)
		return;
	if (to_client) {
		++c->packets_out;
		c->bytes_out += bytes;
	} else {
		++c->packets_in;
		c->bytes_in += bytes;
	}
}

static __always_inline void count_flow_packet(__u64 state, __u32 bytes)
{
	bool to_client = state & SLUICE_FLOW_TO_CLIENT;

	count_packet(counters_of_listener(state), to_client, bytes);
	count_packet(counters_of_member(state), to_client, bytes);
}

static __always_inline void count_active(__u64 state, __s32 change)
{
	__u32 listener = listener_of_flow(state), member = SLUICE_STATE_GET(state, MEMBER);
	__u32 *of_listener = bpf_map_lookup_elem(&listener_active, &listener);
	__u32 *of_member = bpf_map_lookup_elem(&member_active, &member);

	if (of_listener)
		__sync_fetch_and_add(of_listener, change);
	if (of_member)
		__sync_fetch_and_add(of_member, change);
}

static __always_inline struct sluice_half_open *half_open_of(int family)
{
	__u32 which = family == FAMILY4 ? 0 : 1;

	return bpf_map_lookup_elem(&half_open, &which);
}

/* Subtracts no more than is there; see maps/half_open.h for why it may be less. */
static __always_inline void count_share(__u32 *now, __s32 change)
{
	if (!now)
		return;
	/* Two CPUs that look first could both see the last one. */
	if ((__s32)__sync_fetch_and_add(now, change) <= 0 && change < 0)
		__sync_fetch_and_add(now, 1);
}

static __always_inline void count_confirmed(__u64 state, __s32 change)
{
	__u32 listener = listener_of_flow(state), member = SLUICE_STATE_GET(state, MEMBER);

	count_share(bpf_map_lookup_elem(&listener_confirmed, &listener), change);
	count_share(bpf_map_lookup_elem(&member_confirmed, &member), change);
}

/* Reads a counter that may be below zero for a moment, see maps/half_open.h. */
static __always_inline __s32 count_now(const __u32 *count)
{
	return count ? *(const volatile __u32 *)count : 0;
}

/* Returns the number of connections that their clients have confirmed: a flood of SYNs must lock nobody out. It is one
 * counter, because between two reads of two counters connections begin and end. The difference of the other two is
 * never more than that, but may be after an upgrade, when the counter does not know all connections. */
static __always_inline __u32 confirmed_connections(const __u32 *confirmed, const __u32 *active, const __u32 *half_open)
{
	__s32 counted = count_now(confirmed);
	__s32 before = count_now(half_open), all = count_now(active);
	__s32 after = count_now(half_open);

	all -= before > after ? before : after;
	if (all > counted)
		counted = all;
	return counted > 0 ? counted : 0;
}

static __always_inline void count_half_open(int family, __u64 state, __s32 change)
{
	__u32 listener = listener_of_flow(state), member = SLUICE_STATE_GET(state, MEMBER);
	struct sluice_half_open *now = half_open_of(family);

	if (now)
		__sync_fetch_and_add(&now->flows, (__s64)change);
	count_share(bpf_map_lookup_elem(&listener_half_open, &listener), change);
	count_share(bpf_map_lookup_elem(&member_half_open, &member), change);
}

/* Adds to a counter of this CPU with one instruction. The programs that sweep, flush and put connections run in a
 * process's context, where packets interrupt them at any place and count on the same CPU. A count that got lost so
 * would never be made up for, and the listener or member would seem to have connections for ever. */
static __always_inline void count_whole(__u64 *counter, __s64 change)
{
	__sync_fetch_and_add(counter, change);
}

/* Counts what this node has carried: replicas are not among it, see maps/replica.h. */
static __always_inline void count_carried(__u64 state, __s32 opened, __s32 ended, __s32 failed)
{
	struct sluice_counters *of[] = {counters_of_listener(state), counters_of_member(state)};

	for (int i = 0; i < 2; i++) {
		if (!of[i])
			continue;
		if (opened)
			count_whole(&of[i]->flows_opened, opened);
		if (ended)
			count_whole(&of[i]->flows_ended, ended);
		if (failed)
			count_whole(&of[i]->flows_failed, failed);
	}
}

/* Counts a connection before it can be found, so that no other CPU counts its end before its beginning; `change` -1
 * undoes that if it could not be created. The half-open counter goes first and the active one second, and in reverse
 * at the end, so that their difference is never too large, see confirmed_connections(). */
__noinline int count_flow_opened(int family, __u64 state, __s32 change)
{
	if (!sluice_flow_is_replica(state))
		count_carried(state, change, 0, 0);
	if (change < 0)
		count_active(state, change);
	if (sluice_flow_is_confirmed(state))
		count_confirmed(state, change);
	else
		count_half_open(family, state, change);
	if (change > 0)
		count_active(state, change);
	return 0;
}

/* Counts a connection's end once: when it is closed or removed, whichever comes first. `state` is the last one
 * before that. */
__noinline int count_flow_ended(int family, __u64 state)
{
	bool established = sluice_flow_is_confirmed(state);

	if (!sluice_flow_is_replica(state))
		count_carried(state, 0, 1, !established);
	count_active(state, -1);
	if (established)
		count_confirmed(state, -1);
	else
		count_half_open(family, state, -1);
	return 0;
}

/* Counts what a change of the connection's phase adds; `change` -1 undoes that. It is counted before the change can be
 * seen, because another CPU may count the connection's end at once: no counter is too small for a moment, so no limit
 * is exceeded. One that was counted as ended and goes on is counted as opened once more, because monotonic counters
 * must never go down. */
__noinline int count_flow_gains(int family, __u64 before, __u64 after, __s32 change)
{
	if (sluice_flow_is_replica(before) && !sluice_flow_is_replica(after))
		count_carried(after, change, 0, 0);
	if (sluice_flow_is_closed(after))
		return 0;
	if (sluice_flow_is_closed(before))
		count_flow_opened(family, after, change);
	else if (!sluice_flow_is_confirmed(before) && sluice_flow_is_confirmed(after))
		count_confirmed(after, change);
	return 0;
}

/* Counts what the change takes away, after it. */
__noinline int count_flow_losses(int family, __u64 before, __u64 after)
{
	if (sluice_flow_is_closed(before))
		return 0;
	if (sluice_flow_is_replica(after) && !sluice_flow_is_replica(before))
		count_carried(before, 0, 1, 0);
	if (sluice_flow_is_replica(before) && !sluice_flow_is_replica(after))
		before |= SLUICE_PHASE_OPEN; /* it was counted as opened here */
	if (sluice_flow_is_closed(after))
		count_flow_ended(family, before);
	else if (!sluice_flow_is_confirmed(before) && sluice_flow_is_confirmed(after))
		count_half_open(family, before, -1);
	return 0;
}

static __always_inline void count_flow_refused(__u32 listener_index)
{
	struct sluice_counters *listener = bpf_map_lookup_elem(&listener_counters, &listener_index);

	if (listener)
		++listener->flows_refused;
}

#endif
