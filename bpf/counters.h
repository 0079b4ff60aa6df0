/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counting: plain stores to this CPU's copy, no shared line is written. */
#ifndef SLUICE_BPF_COUNTERS_H
#define SLUICE_BPF_COUNTERS_H

#include "bpf/packet.h"
#include "maps/counters.h"

static __always_inline void count_reason(__u32 why)
{
	__u64 *packets = bpf_map_lookup_elem(&reason_counters, &why);

	if (packets)
		++*packets;
}

static __always_inline struct sluice_counters *counters_of_listener(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, LISTENER);

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

static __always_inline void count_flow_opened(__u64 state)
{
	struct sluice_counters *listener = counters_of_listener(state);
	struct sluice_counters *member = counters_of_member(state);

	if (listener)
		++listener->flows_opened;
	if (member)
		++member->flows_opened;
}

static __always_inline void count_flow_ended(__u64 state, bool established)
{
	struct sluice_counters *listener = counters_of_listener(state);
	struct sluice_counters *member = counters_of_member(state);

	if (listener) {
		++listener->flows_ended;
		listener->flows_failed += !established;
	}
	if (member) {
		++member->flows_ended;
		member->flows_failed += !established;
	}
}

static __always_inline void count_flow_refused(__u32 listener_index)
{
	struct sluice_counters *listener = bpf_map_lookup_elem(&listener_counters, &listener_index);

	if (listener)
		++listener->flows_refused;
}

#endif
