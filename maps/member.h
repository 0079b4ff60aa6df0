/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `members`: the back ends, by index.
 *
 * Written by the controller before any ring that names the index; read by the data plane at connection
 * time. An index is given to another member only when its counters say that no flow is left on it
 * (flows_opened == flows_ended), so packets are never counted for a stranger. */
#ifndef SLUICE_MEMBER_H
#define SLUICE_MEMBER_H

#include "types.h"

#define SLUICE_MAX_MEMBERS 16384

/* Set while the member is in its pool's ring. Clear: evicted, drained or removed; a connection that is not
 * yet established moves to another member when its SYN is retransmitted, others live on. */
#define SLUICE_MEMBER_USABLE 1U
/* Removed from the model, but flows may be left: the index stays its own until they have ended. Nobody asks any more
 * whether it is alive, so its TCP and SCTP connections live until they end, a SYN on one of them opens a new one, and UDP
 * flows leave it at the next sweep. What its monitor said last (FAILED, GIVEN_UP) stays true. */
#define SLUICE_MEMBER_REMOVED 2U
#define SLUICE_MEMBER_IPV6 4U
/* Its monitor says that it is down: UDP flows, which never end by themselves, leave it at the next sweep, and a SYN on one
 * of its connections opens a new one. */
#define SLUICE_MEMBER_FAILED 8U
/* The forwarding mode of its pool, on which its next hop depends. None of them: fullnat. */
#define SLUICE_MEMBER_DSR 16U
#define SLUICE_MEMBER_IPIP 32U
#define SLUICE_MEMBER_DNAT 64U
/* It is down, its pool has others, and the pool says that clients shall not wait for it; or its time to drain is over. The
 * next sweep removes its UDP flows and takes the next hop from the others, and a client's next packet is answered with a
 * reset. Connections whose client is silent until the flag is gone live on. */
#define SLUICE_MEMBER_GIVEN_UP 128U
/* Its pool leaves clients of members that are down alone. Only the controller reads it: a member that is removed while it
 * is down is given up unless this is set, be there others or not. */
#define SLUICE_MEMBER_KEEPS 256U

struct sluice_member {
	struct sluice_id id;
	union sluice_address address;
	__be16 port;
	__u16 flags;
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member) == 40);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member);
} members SEC(".maps");
#endif

#endif
