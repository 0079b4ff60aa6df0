/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `members`: the back ends, by index, and `member_drains`: how long connections go on once a member is removed.
 *
 * The controller writes a member before any ring that names its index; the data plane reads it for new connections.
 * An index goes to another member only when its counters say that no flow is left (flows_opened == flows_ended), so
 * packets are never counted for the wrong member. */
#ifndef SLUICE_MEMBER_H
#define SLUICE_MEMBER_H

#include "types.h"

#define SLUICE_MAX_MEMBERS 16384

/* Set while the member is in its pool's ring. Clear: down, drained or removed; a connection that is not yet
 * established moves to another member when its SYN is retransmitted, others live on. */
#define SLUICE_MEMBER_USABLE 1U
/* Removed from the model, but flows may be left: it keeps its index until they have ended. It isn't probed any more,
 * so its TCP and SCTP connections live until they end or their time is over (`member_drains`), a SYN on one of them
 * opens a new one, and UDP flows leave it at the next sweep. FAILED and GIVEN_UP stay as they were. */
#define SLUICE_MEMBER_REMOVED 2U
#define SLUICE_MEMBER_IPV6 4U
/* Its monitor says that it is down: UDP flows, which never end by themselves, leave it at the next sweep, and a SYN
 * on one of its connections opens a new one. */
#define SLUICE_MEMBER_FAILED 8U
/* The forwarding mode of its pool, on which its next hop depends. If none is set: fullnat. */
#define SLUICE_MEMBER_DSR 16U
#define SLUICE_MEMBER_IPIP 32U /* in a tunnel: ipip, or with SLUICE_MEMBER_GUE gue */
#define SLUICE_MEMBER_DNAT 64U
/* It is down, its pool has other members, and the pool resets such connections; or its time to drain is over. The
 * next sweep removes its UDP flows and clears the next hop of the others, and a client's next packet is answered
 * with a reset; so is the member's, if it isn't FAILED. The controller asks silent ends for a packet. Connections both of
 * whose ends are silent until the flag is cleared live on. */
#define SLUICE_MEMBER_GIVEN_UP 128U
/* Its pool keeps connections to members that are down. Only the controller reads this: a member that is removed
 * while it is down is given up unless this is set, even if there are no others. */
#define SLUICE_MEMBER_KEEPS 256U
/* The protocol of its pool is PROXYV2: its connections begin with a header that names the client (bpf/proxy.h). Only of
 * fullnat. */
#define SLUICE_MEMBER_PROXY 512U
/* The tunnel has a UDP header, too. */
#define SLUICE_MEMBER_GUE 1024U

struct sluice_member {
	struct sluice_id id;
	union sluice_address address;
	__be16 port; /* 0: packets keep the port to which the client connected */
	__u16 flags;
	__u32 max_connections; /* the confirmed connections that it may have when it gets another one; 0: any number */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member) == 40);

/* Only user space writes and reads this, by member index. It is here, because a member may be removed while no
 * controller runs; the next one finds what was said, and since when. The controller sets GIVEN_UP in time. */
struct sluice_member_drain {
	__u32 seconds_plus_one; /* that connections may go on after its removal; 0: until they end */
	__u32 ends;		/* removed: the second of CLOCK_BOOTTIME in which they are given up; 0: never */
	__u64 drained_until;	/* not removed: the end of its drain in seconds since 1970, which counts instead; 0: none */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member_drain) == 16);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member_drain);
} member_drains SEC(".maps");
#endif

#endif
