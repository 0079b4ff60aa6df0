/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The state of the packet under way: what its stages know of it, and which stage comes next. */
#ifndef SLUICE_BPF_JOURNEY_H
#define SLUICE_BPF_JOURNEY_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "bpf/packet.h"

/* What a stage returns when the packet's fate is still open, and what comes next. */
#define UNDECIDED (-1)
#define NEXT_FORWARD (-2) /* it is in a flow: journey.flow */
#define NEXT_ERROR (-3)   /* it is an ICMP error, perhaps about a flow */
#define NEXT_OPEN (-4)    /* it opens a connection: local_connection */
#define NEXT_GIVE_UP (-5) /* it is in a flow whose member is down, and the client shall know */
#define NEXT_OVER_LIMIT (-6) /* it confirmed a connection that is one too many, and the client shall know */

/* What a packet needs of its flow: a copy, and which slot it is for later changes. */
struct flow {
	__u64 state; /* without the bucket's bits */
	union sluice_address new_source;
	union sluice_address new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u32 index; /* of the slot */
};

/* All that the stages share about the packet under way. It lies in a map because three calls deep it is too much for the
 * stack; one per CPU suffices, since programs of this kind don't interrupt each other. */
struct journey {
	struct packet packet;
	struct tuple quoted; /* of a packet that an ICMP error is about, turned around; of a flow that may make way */
	struct tuple twin;   /* the other direction of the latter */
	struct tuple fast;   /* on the fast path */
	struct flow flow;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct journey);
} local_journey SEC(".maps");

static __always_inline struct journey *journey_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&local_journey, &zero);
}

#endif
