/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The journey: the state of the packet under way, which its stages share, and the stage that comes next. */
#ifndef SLUICE_BPF_JOURNEY_H
#define SLUICE_BPF_JOURNEY_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "bpf/packet.h"
#include "maps/next_hop.h"

/* A stage returns one of these if the packet's fate is still open; NEXT_* names the next stage. */
#define UNDECIDED (-1)
#define NEXT_FORWARD (-2) /* it is in a flow: journey.flow */
#define NEXT_ERROR (-3)   /* it is an ICMP error, perhaps about a flow */
#define NEXT_OPEN (-4)    /* it opens a connection: local_connection */
#define NEXT_GIVE_UP (-5) /* it is in a flow that is over, or whose member is given up: reset the sender */
#define NEXT_LOOK_IF_OVER (-8) /* it is in a flow that may be over */
#define NEXT_PASS_MEMBER (-9) /* it opens a connection, but not to a VIP: perhaps to a member that would mistake it */
#define NEXT_ANSWER_SYN (-7) /* it is a SYN that has to be authenticated */
#define NEXT_SHAKE (-10) /* it may be part of a handshake with a PROXYV2 pool's member */
#define NEXT_CONFIRM (-11) /* it acknowledges the header: the connection is confirmed */
#define NEXT_TO_IPV6 (-12) /* it is IPv4, of a connection whose other end speaks IPv6 (other_version.h) */
#define NEXT_TO_IPV4 (-13) /* it is IPv6 and goes to an end that speaks IPv4: journey.leaving */
#define NEXT_ASK_FORMER (-14) /* it is in no flow here, perhaps in one of the former program (crossing.h) */
#define NEXT_OVER_LIMIT (-6) /* it confirmed a connection beyond the limit: reset the client */

/* A packet's copy of its flow, and the slot's index for later changes. */
struct flow {
	__u64 state; /* without the bucket's bits */
	union sluice_address new_source;
	union sluice_address new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u32 index; /* of the slot */
};

/* The longest idle of a window's connections. In memory, where the verifier doesn't follow what each slot makes of it. */
struct oldest_search {
	__s32 found; /* its slot, or -1 */
	__s32 idle;  /* ticks */
	__u32 count; /* how many there are */
};

/* What is made of a segment of a handshake with a PROXYV2 pool's member (proxy.h). */
struct proxy_work {
	__u64 change; /* of its checksum */
	__u32 first;  /* the number of the client's first byte */
	__u32 bytes;  /* the header's length */
	__u32 window_shift;
	bool is_signed;
	bool is_syn;
	bool of_member;
	__u8 headers[256]; /* while they are moved */
};

/* The numbers of a TCP segment by which a member in TIME_WAIT knows an old one (port_reuse.h). */
struct segment_numbers {
	__u32 sequence;
	__u32 stamp; /* of its timestamps option (RFC 7323) */
	bool has_stamp;
};

/* What a packet says while the former program is asked for another tuple than its own (crossing.h). */
struct disguise {
	union sluice_address source;
	union sluice_address destination;
	__u32 ports;
	__u32 word; /* of the L4 header */
	__u32 defect; /* the reason that the former program drops it for, if it has the flow */
};

/* How a packet leaves once it is an IPv4 packet. */
struct leaving {
	__u32 why;
	__u32 has_hop; /* 0: the kernel finds the way */
	struct sluice_next_hop hop;
};

/* All that the stages share about the packet under way. It lies in a map because three calls deep it is too much for the
 * stack; one per CPU suffices, since programs of this kind don't interrupt each other. */
struct journey {
	struct packet packet;
	struct tuple quoted; /* of the packet that an ICMP error quotes, reversed; or of a flow that may be evicted */
	struct tuple twin;   /* the other direction of the latter */
	struct tuple fast;   /* on the fast path */
	struct flow flow;
	struct oldest_search oldest;
	struct segment_numbers numbers;
	__u32 passed_over; /* the member that has not answered in time; NOT_PASSED_OVER: none */
	struct proxy_work proxy;
	__u32 was_ipv4; /* the packet has come as an IPv4 packet, and is an IPv6 packet now */
	struct leaving leaving;
	struct disguise disguise;
	__u32 asked; /* the former program has no flow of the packet */
};
#define NOT_PASSED_OVER (~0U)

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
