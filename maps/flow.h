/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `flows4`, `flows6`: the state of connections in two slots each, one per direction. `flow_table`: the tables'
 * dimensions. `flow_areas`: which part of them is in use.
 *
 * A slot's key is the tuple of the packet as it arrives, so either direction costs one lookup; the rest is all that its
 * packets need. The other direction's key is not stored: it is the rewritten tuple with source and destination
 * exchanged. bpf/flow_table.h explains how slots are found, claimed and freed.
 *
 * Connections whose members answer directly (DSR, IPIP) have one slot, whose packets keep their tuple.
 *
 * Only the data plane writes them. The reverse slot is filled first, which claims the source port toward the member,
 * and then the forward one. The forward slot is authoritative for the connection's events; `flow_sweep` walks the
 * table. When there is no room, new connections are refused and live ones are untouched. */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include "types.h"

#define SLUICE_DEFAULT_FLOWS (1U << 20) /* IPv4 connections; each takes two slots */
#define SLUICE_IPV6_SHARE 4             /* so many IPv4 connections per IPv6 connection */

struct sluice_flow4 {
	/* The key without the protocol, which is in `state`. */
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	/* The packet's new tuple. */
	__be16 new_source_port;
	__be16 new_destination_port;
	__be32 new_source;
	__be32 new_destination;
	__u64 state;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow4) == 32);

/* The slots that share a cache line. */
#define SLUICE_BUCKET_SLOTS4 2
struct sluice_bucket4 {
	struct sluice_flow4 slots[SLUICE_BUCKET_SLOTS4];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_bucket4) == 64);

/* An IPv6 slot is one cache line, which four addresses and the rest don't fit into. So one of the packet's new
 * addresses is one of its old ones:
 *
 *                              new source              new destination
 *     SLUICE_FLOW_KEEPS_CLIENT the client's address is not translated (dnat, dsr, ipip):
 *       to the member          source                  other (dsr, ipip: the VIP)
 *       to the client          other (the VIP)         destination
 *     otherwise (fullnat), the VIP is the source toward the member:
 *       to the member          destination (the VIP)   other (the member)
 *       to the client          destination (the VIP)   other (the client)
 *
 * With a SNAT address (snat.h) as the source none of them is. Such slots have SLUICE_FLOW_KEEPS_CLIENT and a fullnat
 * member, which nothing else has. The address that doesn't fit follows from an index in the state, and their next hop
 * is none that the fast path takes, which knows nothing of them:
 *       to the member          other (the SNAT address) the member's, in `members`
 *       to the client          the listener's, in `snat_vips`   other (the client)
 *
 * A connection whose member has another IP version than the VIP is such a connection, too. It has both of its slots here,
 * with its IPv4 addresses as IPv6 has them (::ffff:10.0.0.4). Of an IPv4 client's, the slot of the member's packets has
 * both new addresses in `other`: SLUICE_IPV4_PAIR, zero, the VIP, the client. */
#define SLUICE_IPV4_PAIR ((__be32)0xff) /* the first word of `other`; it would be a multicast address */

struct sluice_flow6 {
	union sluice_address source;
	union sluice_address destination;
	__be16 source_port;
	__be16 destination_port;
	__be16 new_source_port;
	__be16 new_destination_port;
	union sluice_address other;
	__u64 state;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow6) == 64);

#define SLUICE_BUCKET_SLOTS6 1
struct sluice_bucket6 {
	struct sluice_flow6 slots[SLUICE_BUCKET_SLOTS6];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_bucket6) == 64);

/* The fields of `state`: low bit and mask. They are one word, so that a compare-and-swap changes one of them only if
 * the slot still has the same flow. */
#define SLUICE_STATE_LISTENER_IN_BANK_SHIFT 0 /* of the bank of its member: see listener_bank.h */
#define SLUICE_STATE_LISTENER_IN_BANK_MASK 0xfffULL
#define SLUICE_STATE_MEMBER_SHIFT 12 /* index into members and member_counters */
#define SLUICE_STATE_MEMBER_MASK 0x3fffULL
#define SLUICE_STATE_HOP_SHIFT 26 /* index into next_hops; 0: not resolved, not for the fast path */
#define SLUICE_STATE_HOP_MASK 0xfffULL
#define SLUICE_STATE_PROTOCOL_SHIFT 38 /* enum sluice_flow_protocol */
#define SLUICE_STATE_PROTOCOL_MASK 0x3ULL
#define SLUICE_STATE_SEEN_SHIFT 45 /* when the last packet came, in ticks modulo 2^11 */
#define SLUICE_STATE_SEEN_MASK 0x7ffULL

#define SLUICE_STATE_GET(state, field) \
	(((state) >> SLUICE_STATE_##field##_SHIFT) & SLUICE_STATE_##field##_MASK)
#define SLUICE_STATE_PUT(field, value) \
	(((__u64)(value) & SLUICE_STATE_##field##_MASK) << SLUICE_STATE_##field##_SHIFT)
#define SLUICE_STATE_CLEAR(field) (~(SLUICE_STATE_##field##_MASK << SLUICE_STATE_##field##_SHIFT))

enum sluice_flow_protocol { SLUICE_FLOW_TCP = 1, SLUICE_FLOW_UDP = 2, SLUICE_FLOW_SCTP = 3 };

/* Bits of `state`. */
#define SLUICE_FLOW_TO_CLIENT (1ULL << 40) /* the reverse slot */
/* The connection's events. In the forward slot these four bits together are its phase, see SLUICE_PHASE_*. */
#define SLUICE_FLOW_REPLIED (1ULL << 41)
/* The client's packets (in a reverse slot: the member's) don't change the state, unless they open or end the
 * connection. Packets of slots without this bit can't take the fast path. */
#define SLUICE_FLOW_ESTABLISHED (1ULL << 42)
#define SLUICE_FLOW_CLIENT_FIN (1ULL << 43)
#define SLUICE_FLOW_MEMBER_FIN (1ULL << 44)

/* The phases of a connection. An attacker who knows its addresses and ports can forge a FIN, a reset or an ABORT, so
 * none is believed for good: later packets of the same end take it back (bpf/flow_state.h). */
#define SLUICE_PHASE_OPENING 0ULL                   /* waits for the member */
#define SLUICE_PHASE_ANSWERED SLUICE_FLOW_REPLIED   /* waits for the client; from the start if the member answers directly */
#define SLUICE_PHASE_OPEN (SLUICE_FLOW_REPLIED | SLUICE_FLOW_ESTABLISHED) /* UDP: the member has spoken */
#define SLUICE_PHASE_CLIENT_ENDED (SLUICE_FLOW_REPLIED | SLUICE_FLOW_CLIENT_FIN)
#define SLUICE_PHASE_MEMBER_ENDED (SLUICE_PHASE_OPEN | SLUICE_FLOW_MEMBER_FIN)
#define SLUICE_PHASE_OVER (SLUICE_FLOW_REPLIED | SLUICE_FLOW_CLOSED)                      /* both ends ended it */
#define SLUICE_PHASE_CLIENT_RESET SLUICE_FLOW_CLIENT_FIN                                  /* one did, at once */
#define SLUICE_PHASE_MEMBER_RESET (SLUICE_FLOW_ESTABLISHED | SLUICE_FLOW_MEMBER_FIN)
#define SLUICE_PHASE_REFUSED SLUICE_FLOW_CLOSED          /* reset before the member's answer */
#define SLUICE_PHASE_BROKEN_OFF SLUICE_FLOW_MEMBER_FIN   /* and between that and the client's */
/* Another node has its packets (replica.h). Counts as confirmed; an older version takes it for one that opens. */
#define SLUICE_PHASE_REPLICA SLUICE_FLOW_ESTABLISHED
#define SLUICE_FLOW_CLOSED (SLUICE_FLOW_CLIENT_FIN | SLUICE_FLOW_MEMBER_FIN)
#define SLUICE_PHASE_BITS (SLUICE_PHASE_OPEN | SLUICE_FLOW_CLOSED)

/* Returns the phase of a forward slot. Older versions left a connection that the client had ended marked as
 * established. */
static inline __u64 sluice_flow_phase(__u64 state)
{
	__u64 older = SLUICE_FLOW_ESTABLISHED | SLUICE_FLOW_CLIENT_FIN;

	if ((state & older) == older)
		state &= ~SLUICE_FLOW_ESTABLISHED;
	return state & SLUICE_PHASE_BITS;
}

/* Says whether the connection is over, as far as is known. Then it was counted as ended. */
static inline int sluice_flow_is_closed(__u64 state)
{
	__u64 phase = sluice_flow_phase(state);

	return (phase & SLUICE_FLOW_CLOSED) == SLUICE_FLOW_CLOSED ||
	       (phase & SLUICE_FLOW_CLOSED && !(phase & SLUICE_FLOW_REPLIED));
}

/* Says whether the client has ever confirmed the connection. */
static inline int sluice_flow_is_confirmed(__u64 state)
{
	__u64 phase = sluice_flow_phase(state);

	return phase & SLUICE_FLOW_ESTABLISHED ||
	       (phase & SLUICE_FLOW_CLIENT_FIN && phase != SLUICE_PHASE_REFUSED);
}

/* Says whether no packet of the connection, given its forward slot's state, has come to this node (replica.h). */
static inline int sluice_flow_is_replica(__u64 state)
{
	return sluice_flow_phase(state) == SLUICE_PHASE_REPLICA;
}

/* Set in both slots with dnat, dsr and ipip: the client's address is the same on both sides. (IPv6 and fullnat: the
 * source is a SNAT address, see struct sluice_flow6.) */
#define SLUICE_FLOW_KEEPS_CLIENT (1ULL << 56)

/* The bits of a flow. Without a protocol the slot has no flow: it is being filled or emptied (CLAIMED), or it is
 * free, and its low half is the time at which it was freed, in jiffies (0: never, or by a build that did not note
 * it). */
#define SLUICE_STATE_FLOW ((1ULL << 57) - 1)
#define SLUICE_STATE_CLAIMED SLUICE_FLOW_TO_CLIENT
#define SLUICE_STATE_FREED(jiffies) ((__u64)(__u32)(jiffies))
#define SLUICE_STATE_IS_FREE(state) (!((state) & (SLUICE_STATE_CLAIMED | SLUICE_STATE_PUT(PROTOCOL, ~0ULL))))
/* The bits of the bucket, in its first slot. */
#define SLUICE_STATE_PASSED_ONE (1ULL << 57) /* counts flows that found this bucket, their home or a later one, full */
#define SLUICE_STATE_PASSED (0x3fULL << 57)
#define SLUICE_STATE_LOCK (1ULL << 63) /* a flow is being inserted whose home this is */

/* A tick is 2^n jiffies, near 8 seconds. That is fine enough for idle times from a minute up, and coarse enough that 11
 * bits reach beyond 4 hours and that a busy flow's cache line is written only once per tick. Shorter ones: see the marks
 * below. */
#define SLUICE_TICK_SECONDS 8

/* Idle times in seconds after which a flow expires, up to three ticks later, or 1.5 s with a listener's own of up to
 * SLUICE_SHORT_IDLE_SECONDS. A listener may have its own in place of ESTABLISHED and UDP_REPLIED (`listener_idle`); a
 * shorter one counts for UDP and CLOSING, too. */
#define SLUICE_TIMEOUT_HALF_OPEN_SECONDS 60    /* longer than five SYN-ACK retransmissions (31 s) */
#define SLUICE_TIMEOUT_ESTABLISHED_SECONDS 7440 /* RFC 5382 REQ-5: not less than 2 h 4 min */
#define SLUICE_TIMEOUT_CLOSING_SECONDS 240     /* RFC 5382 REQ-5: transitory, one FIN seen */
#define SLUICE_TIMEOUT_CLOSED_SECONDS 60       /* both FINs, or never confirmed: Linux's TIME_WAIT, guards the port */
#define SLUICE_TIMEOUT_RESET_SECONDS 240       /* RFC 7857, 2.2: time for packets that show that the reset was forged */
#define SLUICE_TIMEOUT_OVER_SECONDS 60         /* an idle time that ends with resets is over: both ends are told meanwhile */
#define SLUICE_TIMEOUT_UDP_SECONDS 30          /* UDP without a reply */
#define SLUICE_TIMEOUT_UDP_REPLIED_SECONDS 120 /* RFC 4787 REQ-5: both sides have spoken (or the client twice) */

/* Stamps tell ages below 2^11 ticks, some 4 hours. Longer ones are told by laps: the sweep makes a connection younger
 * by a lap when both of its slots have an age of a lap, and counts the laps in the reverse slot, in three bits that
 * mean nothing else there. It also sets the two stamps LAP_APART from each other, the reverse one earlier. The next
 * packet of either end stamps its own slot and so breaks this distance: then the laps no longer count, and the sweep
 * takes them away. Packets don't pay for any of this. (One end alone would have to send for 40 minutes without a sweep
 * to make the same distance.) So one slot tells SLUICE_MAX_IDLE_SECONDS, two tell 7 laps more. */
#define SLUICE_LAP_TICKS 1536U
#define SLUICE_MAX_LAPS 7U
#define SLUICE_LAP_APART 300U
#define SLUICE_STATE_LAPS (SLUICE_FLOW_REPLIED | SLUICE_FLOW_CLIENT_FIN | SLUICE_FLOW_MEMBER_FIN) /* of a reverse slot */

/* Returns the laps that a reverse slot has noted. */
static inline __u32 sluice_flow_noted_laps(__u64 reverse)
{
	return (reverse >> 41 & 1) | (reverse >> 42 & 6);
}

static inline __u64 sluice_flow_with_laps(__u64 reverse, __u32 laps)
{
	return (reverse & ~SLUICE_STATE_LAPS) | (__u64)(laps & 1) << 41 | (__u64)(laps & 6) << 42;
}

/* Returns the laps by which this connection is older than its stamps say. */
static inline __u32 sluice_flow_laps(__u64 forward, __u64 reverse)
{
	__u32 apart = SLUICE_STATE_GET(forward, SEEN) - SLUICE_STATE_GET(reverse, SEEN);

	return (apart & SLUICE_STATE_SEEN_MASK) == SLUICE_LAP_APART ? sluice_flow_noted_laps(reverse) : 0;
}

/* Marks tell short silences to a sixteenth of a tick, about half a second, and packets don't pay for them. The short sweep,
 * `flow_expire_short`, replaces the stamp that a packet has left by a mark: the sixteenth in which it did so, modulo 128,
 * as the low bits of a stamp that lies in the future. The next packet finds a stamp that isn't the present tick, and so
 * stamps the slot. As long as the mark is there, nothing has come since. It means this for eight ticks, before whose end the
 * short sweep makes a stamp of it again. The flows of listeners without a short idle time never have one.
 *
 * Builds that don't know marks take one for a packet that has just come, and so do we once no short sweep has run for long. */
#define SLUICE_SHORT_IDLE_SECONDS 60 /* the longest that is told by marks; 50 with 300 jiffies a second */
#define SLUICE_MARK_BITS 4           /* of a tick */
#define SLUICE_MARK_SPAN 128U        /* sixteenths until marks repeat */
#define SLUICE_MARK_LONGEST 120U     /* that they tell: 4 seconds are left for a sweep that is late */
/* A mark lies so many ticks in the future when it is made, and up to SPAN more, and is eight ticks nearer at its end. */
#define SLUICE_MARK_AHEAD 13U
/* A stamp may be two ticks ahead of a clock that was read before. */
#define SLUICE_STAMP_AHEAD 2U

static inline __u64 sluice_flow_with_stamp(__u64 state, __u32 tick)
{
	return (state & SLUICE_STATE_CLEAR(SEEN)) | SLUICE_STATE_PUT(SEEN, tick);
}

/* Returns the state with a mark that says `sixteenth`, at most eight ticks before `now`, also in sixteenths. */
static inline __u64 sluice_flow_with_mark(__u64 state, __u32 sixteenth, __u32 now)
{
	__u32 first = (now >> SLUICE_MARK_BITS) + SLUICE_MARK_AHEAD;

	return sluice_flow_with_stamp(state, first + ((sixteenth - first) & (SLUICE_MARK_SPAN - 1)));
}

/* Says how many ticks the stamp lies in the future; 0: it does not. It is not 4 hours old, so the top sixteenth of the range
 * counts as the future. */
static inline __u32 sluice_flow_stamp_ahead(__u64 state, __u32 now)
{
	__u32 ticks = (SLUICE_STATE_GET(state, SEEN) - now) & SLUICE_STATE_SEEN_MASK;

	return ticks > SLUICE_STATE_SEEN_MASK - SLUICE_STATE_SEEN_MASK / 16 * 15 ? 0 : ticks;
}

static inline int sluice_flow_is_marked(__u64 state, __u32 now)
{
	return sluice_flow_stamp_ahead(state, now) > SLUICE_STAMP_AHEAD;
}

/* Returns the age of the stamp or mark in ticks. A mark that is more than six ticks old is 0 until it is a stamp again, because
 * it can't be told from one that was made after `now` was read. */
static inline __u32 sluice_flow_stamp_age(__u64 state, __u32 now)
{
	__u32 seen = SLUICE_STATE_GET(state, SEEN), ahead = sluice_flow_stamp_ahead(state, now), age;

	if (!ahead)
		return (now - seen) & SLUICE_STATE_SEEN_MASK;
	age = (now - (seen >> SLUICE_MARK_BITS)) % (SLUICE_MARK_SPAN >> SLUICE_MARK_BITS);
	return ahead > SLUICE_STAMP_AHEAD && age <= 6 ? age : 0;
}

/* Returns for how many sixteenths the slot has had no packet, at least. `now` is in sixteenths; so is a stamp's tick over when
 * its last one is. */
static inline __u32 sluice_flow_short_silence(__u64 state, __u32 now)
{
	__u32 tick = now >> SLUICE_MARK_BITS, age = sluice_flow_stamp_age(state, tick);

	if (sluice_flow_is_marked(state, tick))
		return (now - SLUICE_STATE_GET(state, SEEN)) % SLUICE_MARK_SPAN;
	return age ? now - ((tick - age + 1) << SLUICE_MARK_BITS) + 1 : 0;
}

/* Returns for how many ticks both ends of a connection have been silent. */
static inline __u32 sluice_flow_silence(__u64 forward, __u64 reverse, __u32 now)
{
	__u32 laps = sluice_flow_laps(forward, reverse), age = sluice_flow_stamp_age(forward, now);
	__u32 other = sluice_flow_stamp_age(reverse, now);

	if (laps)
		return age + laps * SLUICE_LAP_TICKS;
	return other < age ? other : age;
}

/* At most a quarter of the table may be half-open. Beyond that, and if there is no room, a new connection evicts a
 * half-open one; a confirmed one is never evicted. */
#define SLUICE_HALF_OPEN_SHARE 4

/* Connections that nobody can prove (UDP, and those whose members answer directly): a listener may have three quarters of the
 * table (and a window, which small tables have beside); what is beyond a sixteenth may be taken from it by other listeners
 * where there is no room. */
#define SLUICE_LISTENER_UNPROVEN_SHARE(capacity) ((capacity) / 4 * 3 + SLUICE_FLOW_WINDOW)
#define SLUICE_LISTENER_UNPROVEN_OWN 16

/* A flow lives in its home bucket or in one of the next ones. (2 * 31 flows can pass over a bucket: 6 bits count
 * them.) */
#define SLUICE_FLOW_WINDOW 32

/* The tables' dimensions: written once by their creator, before any packet. A newer program over the same map must
 * hash alike. */
struct sluice_flow_table {
	__u64 hash_seed; /* random, so that nobody can aim at one bucket */
	__u32 capacity;  /* connections */
	__u32 homes4;    /* buckets that may be a flow's home; SLUICE_FLOW_WINDOW - 1 more follow them */
	__u32 homes6;
	__u32 capacity6;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_table) == 24);

/* There are 10 slots for every 6 in use (3 connections) when the table is full: then about one connection in 10^6
 * finds its window full, and a hit costs 1.3 lines. */
#define SLUICE_FLOW_HOMES4(connections) ((10ULL * (connections) / 3 + SLUICE_BUCKET_SLOTS4 - 1) / SLUICE_BUCKET_SLOTS4)
#define SLUICE_FLOW_HOMES6(connections) ((10ULL * (connections) / 3 + SLUICE_BUCKET_SLOTS6 - 1) / SLUICE_BUCKET_SLOTS6)
#define SLUICE_FLOW_BUCKETS(homes) ((homes) + SLUICE_FLOW_WINDOW - 1)

/* The area of a table: its first 2^n homes, or all of them. New flows get their home there, so that few flows lie in few
 * pages however large the table is. A flow's home in an area is its home in the whole table modulo 2^n.
 *
 * An area is named by its shift: the mask is 0xffffffff >> shift, and 0 is the whole table. While it changes flows are in the
 * old one and in the new one; they are looked up in both (bpf/flow_table.h). Written by the data plane only, by
 * compare-and-swap of the word. A map of zeros is valid. */
#define SLUICE_AREA_SHIFT(area) ((__u32)(area) & 31)           /* where new flows go */
#define SLUICE_AREA_OLD_SHIFT(area) ((__u32)((area) >> 8) & 31) /* where older ones may still be; the same if none is */
#define SLUICE_AREA_HELD (1ULL << 16)   /* the whole table until its flows are in another one: see bpf/move.h */
#define SLUICE_AREA_MOVING (1ULL << 17) /* flow_rehome is at work, and no other one may be */
#define SLUICE_AREA_STILL (1ULL << 18) /* flow_walk or flow_put is at work (bpf/flow_image.h), flow_rehome may not be */
#define SLUICE_AREA_BUSY (SLUICE_AREA_MOVING | SLUICE_AREA_STILL)
#define SLUICE_AREA_CHANGE (1ULL << 32) /* every change adds one, so that no word comes again */
#define SLUICE_AREA_CHANGES (~0ULL << 32)
#define SLUICE_AREA(shift, old_shift) ((__u64)(old_shift) << 8 | (shift))

/* An area's shift for 2^bits homes. */
#define SLUICE_AREA_SHIFT_OF(bits) (32 - (bits))
/* The smallest area has 2^10 homes, 64 KiB. It must have more than a window: then the home of a flow follows from where it is
 * and from its home in the whole table, whatever the area was when it came. */
#ifndef SLUICE_SMALLEST_AREA_BITS
#define SLUICE_SMALLEST_AREA_BITS 10
#endif
#define SLUICE_SMALLEST_AREA (1U << SLUICE_SMALLEST_AREA_BITS)
SLUICE_STATIC_ASSERT(SLUICE_SMALLEST_AREA >= SLUICE_FLOW_WINDOW);

static inline __u32 sluice_area_home(__u32 whole_home, __u32 shift)
{
	return whole_home & (0xffffffffU >> shift);
}

/* Homes of the area in a table of so many. */
static inline __u32 sluice_area_homes(__u32 homes, __u32 shift)
{
	__u32 mask = 0xffffffffU >> shift;

	return mask < homes ? mask + 1 : homes;
}

/* Argument and result of the `flow_rehome` program (SEC("syscall"), run by sluiced after a sweep and by sluice-loader before
 * it moves flows to another table): makes `shift` the area of new flows and moves the others there, some buckets with every
 * run. Whoever runs it leaves the fields in between as they are until `first` is 0 again. */
struct sluice_flow_rehome {
	__u32 family; /* 4 or 6 */
	__u32 shift;  /* wanted; 0: the whole table. A change that is not finished goes on, or goes back if that is wanted */
	__u32 hold;   /* enum sluice_area_hold */
	__u32 buckets; /* of the old area to go through in this run; 0: just what `hold` says */
	__u32 first;   /* in: 0, then as it was left; out: 0 when the walk is over */
	__u32 change;    /* likewise: which change the walk belongs to */
	__u32 left;      /* likewise: slots whose flows are still in the old area: no room, or packets came between */
	__u32 moved;     /* likewise: slots that were moved */
	__u32 is_shift;  /* out: the area that new flows get now */
	__u32 old_shift; /* out: and the one where others still are; the same when the change is over */
	__u32 refused;   /* out: 1 if it is held, or another process is at it */
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_rehome) == 48);

enum sluice_area_hold {
	SLUICE_AREA_LEAVE,   /* held or not, as it is */
	SLUICE_AREA_HOLD,    /* let it be the whole table from now on, whatever other processes want */
	SLUICE_AREA_RELEASE, /* no longer */
};

/* What a sweep does next. It begins and ends with 0. */
enum sluice_sweep_stage {
	SLUICE_SWEEP_BEGINS,
	SLUICE_SWEEP_OVER = SLUICE_SWEEP_BEGINS,
	SLUICE_SWEEP_FLOWS4,
	SLUICE_SWEEP_FLOWS6,
	SLUICE_SWEEP_NEXT_HOPS,
};

/* Argument and result of the `flow_sweep` program (SEC("syscall"), run by sluiced every few seconds and by tests): a
 * slice of a walk over the tables that removes idle flows and frees next hops that no flow uses. A kernel without full
 * preemption runs nothing else on this CPU meanwhile, hence slices. Whoever sweeps sets `slice_us`, and runs the
 * program with what the run before has left until `stage` is SLUICE_SWEEP_OVER. Where an older version is pinned its
 * `flow_expire` is run in the same way: it knows the first four only, and is over after one run. */
struct sluice_flow_sweep {
	__u32 now_ticks; /* out: the clock that slots use */
	__u32 live;      /* out: connections that stay, of those seen so far */
	__u32 expired;   /* out: connections removed so far */
	__u32 live6;     /* out: those of `live` that are IPv6 */
	__u32 slice_us;  /* in: a run that sweeps flows ends after this time; 0: takes as long as it takes */
	__u32 stage;     /* enum sluice_sweep_stage */
	__u32 next;      /* the bucket that comes next */
	__u32 began;     /* jiffies at the sweep's begin */
	__u32 turn;      /* the tick then */
	__u32 refresh;   /* how many ticks of connections' turns to be told to the fleet this sweep has */
	__u64 area;      /* of the table under way, when its first bucket was swept */
	__u32 missed;    /* 1: flows may have moved to where the sweep had been */
	__u32 hz;        /* out: jiffies per second */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_sweep) == 56);

/* Argument and result of the `flow_expire` program (SEC("syscall")): a whole sweep in one run. The sluiced of version 0.2.0
 * runs it, also with this version's programs under it, until it is replaced, too. The kernel refuses a request that is
 * shorter than the program's, so this one may not grow. */
struct sluice_flow_expire {
	__u32 now_ticks; /* out: the same as in struct sluice_flow_sweep */
	__u32 live;
	__u32 expired;
	__u32 live6;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_expire) == 16);

/* Argument and result of the `flow_expire_short` program (SEC("syscall"), run by sluiced several times a second while listeners
 * have short idle times, or marks are left): a slice of a walk over one table, which marks the slots of such listeners' flows
 * and ends those that were silent for long enough. Whoever runs it adds up what comes out until `first` is 0 again. */
struct sluice_flow_expire_short {
	__u32 family;    /* 4 or 6 */
	__u32 slice_us;  /* in: a run ends after this time; 0: takes as long as it takes */
	__u32 first;     /* the bucket that comes next; in: 0, then as it was left; out: 0 when the table is done */
	__u32 marked;    /* out: slots with a mark: another sweep must follow */
	__u32 expired;   /* out: connections removed */
	__u32 over;      /* out: connections whose ends are reset from now on */
	__u32 now_ticks; /* out: the clock that slots use */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_expire_short) == 28);

/* Argument and result of the `flow_flush` program (SEC("syscall")): removes one connection. */
struct sluice_flow_flush {
	__u32 family;  /* 4 or 6 */
	__u32 index;   /* of its slot with the client's packets: bucket * slots per bucket + slot */
	__u64 state;   /* of that slot; the connection is removed only if it is unchanged */
	__u32 flushed; /* out: 1 if it was */
	__u32 now_ticks; /* out: the clock that slots use */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_flush) == 24);

/* The role of a program's `flows4` and `flows6` while flows are moved from one pair of tables to another. It also
 * looks into the other pair. */
enum sluice_flow_move_phase {
	SLUICE_FLOW_MOVE_NONE, /* there is no other pair */
	SLUICE_FLOW_MOVE_SOON, /* the old ones, which still get new flows */
	SLUICE_FLOW_MOVE_NOW,  /* the new ones, which get new flows and the old ones */
};

/* Argument and result of the `flow_move` program (SEC("syscall"), run by sluice-loader): moves the flows of some buckets of
 * the old table to the new one. */
struct sluice_flow_move {
	__u32 family;  /* 4 or 6 */
	__u32 first;   /* bucket of the old table */
	__u32 buckets; /* so many from there on */
	__u32 moved;   /* out: slots that were moved */
	__u32 left;    /* out: slots whose flows are still in the old table: no room, or a packet came between */
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_move) == 24);

/* `half_open`: the number of unconfirmed connections, IPv4 (0) and IPv6 (1), each in a cache line of its own. */
struct sluice_half_open {
	__u64 flows;
	__u64 padding[7];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_half_open) == 64);

#ifdef __bpf__
/* BPF_F_MMAPABLE aligns the values to a page; without it they begin 8-aligned, and buckets would straddle cache
 * lines. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLUICE_FLOW_BUCKETS(SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS))); /* from --flows before load */
	__type(key, __u32);
	__type(value, struct sluice_bucket4);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLUICE_FLOW_BUCKETS(SLUICE_FLOW_HOMES6(SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE)));
	__type(key, __u32);
	__type(value, struct sluice_bucket6);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sluice_half_open);
} half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_flow_table);
} flow_table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32); /* 0: IPv4, 1: IPv6 */
	__type(value, __u64);
} flow_areas SEC(".maps");
#endif

#endif
