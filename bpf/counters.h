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

static __always_inline void count_in(struct sluice_counters *c, __u32 bytes)
{
	if (c) {
		++c->packets_in;
		c->bytes_in += bytes;
	}
}

static __always_inline void count_out(struct sluice_counters *c, __u32 bytes)
{
	if (c) {
		++c->packets_out;
		c->bytes_out += bytes;
	}
}

static __always_inline void count_flow_packet(const struct sluice_flow4 *flow, __u32 bytes)
{
	struct sluice_counters *listener = bpf_map_lookup_elem(&listener_counters, &flow->listener);
	struct sluice_counters *member = bpf_map_lookup_elem(&member_counters, &flow->member);

	if (flow->direction == SLUICE_TO_MEMBER) {
		count_in(listener, bytes);
		count_in(member, bytes);
	} else {
		count_out(listener, bytes);
		count_out(member, bytes);
	}
}

static __always_inline void count_flow_opened(__u32 listener_index, __u32 member_index)
{
	struct sluice_counters *listener = bpf_map_lookup_elem(&listener_counters, &listener_index);
	struct sluice_counters *member = bpf_map_lookup_elem(&member_counters, &member_index);

	if (listener)
		++listener->flows_opened;
	if (member)
		++member->flows_opened;
}

static __always_inline void count_flow_ended(const struct sluice_flow4 *flow, bool established)
{
	struct sluice_counters *listener = bpf_map_lookup_elem(&listener_counters, &flow->listener);
	struct sluice_counters *member = bpf_map_lookup_elem(&member_counters, &flow->member);

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
