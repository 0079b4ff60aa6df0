/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `records`: a record of each connection when it is confirmed, and one when it ends. `listener_records`: of which
 * listeners, and of how many of their connections. `record_losses`: records that found no room. `record_handshakes`:
 * how long the members of recorded connections took to answer.
 *
 * The data plane writes the ring buffer, sluiced reads it. Unconfirmed connections are never recorded, so that no flood
 * of SYNs fills a disk. While the ring is full records are lost and counted; no packet waits. Nobody is woken for a record: who
 * reads looks every few milliseconds.
 *
 * Bytes and packets of a connection are not here: no counter of them exists, and a slot of the flow table has no room
 * for one. */
#ifndef SLUICE_RECORD_H
#define SLUICE_RECORD_H

#include "listener.h"
#include "types.h"

/* 79,000 records of IPv4, 43,000 of IPv6: what comes in 0.4 s at 100,000 connections per second. */
#define SLUICE_RECORDS_BYTES (4U << 20)

enum sluice_record_event {
	SLUICE_RECORD_BEGINS = 1, /* the client has confirmed it; UDP: the member has answered */
	SLUICE_RECORD_ENDS = 2,
	/* Packets have refuted its end (bpf/flow_state.h), so it will end again. */
	SLUICE_RECORD_RESUMES = 3,
	SLUICE_RECORD_REFRESHED = 4, /* it lives; in `flow_changes` only (replica.h) */
};

/* How it ended: X(name, word, sentence). Add at the end. */
#define SLUICE_RECORD_ENDS_LIST(X)                                                                     \
	X(FINISHED, "finished", "both ends have closed it")                                            \
	X(CLIENT_RESET, "client_reset", "the client has reset it")                                     \
	X(MEMBER_RESET, "member_reset", "the member has reset it")                                     \
	X(IDLE, "idle", "it was silent for its idle time")                                             \
	X(FLUSHED, "flushed", "the operator has removed it")                                           \
	X(EVICTED, "evicted", "a new connection needed its place in the flow table, or its port")      \
	X(REPLACED, "replaced", "its client has opened a new one from the same port")                  \
	X(OVER_LIMIT, "over_limit", "the listener had its connection_limit when it was confirmed")     \
	X(MEMBER_DOWN, "member_down", "its member was down")                                           \
	X(MEMBER_REMOVED, "member_removed", "its member was removed")                                  \
	X(DRAINED, "drained", "its member takes no new connections, and its time to drain was over or it was silent") \
	X(MOVED, "moved", "its packets go through another node of the fleet now")

#define SLUICE_RECORD_END_NAME(name, word, sentence) SLUICE_RECORD_##name,
enum sluice_record_end { SLUICE_RECORD_NO_END, SLUICE_RECORD_ENDS_LIST(SLUICE_RECORD_END_NAME) SLUICE_RECORD_END_COUNT };
#undef SLUICE_RECORD_END_NAME

/* What records of either IP version begin with. Which version it is the record's length says, too. */
struct sluice_record {
	__u64 nanoseconds; /* CLOCK_BOOTTIME */
	__u64 state;       /* the forward slot's, see maps/flow.h: listener, member, protocol, phase */
	__u8 event;        /* enum sluice_record_event */
	__u8 family;       /* 4 or 6 */
	__u8 end;          /* enum sluice_record_end; 0 unless it ends */
	__u8 zero;
	/* From the SYN or INIT to the member's answer; 0: not known. Only where the connection begins. (REFRESHED: seconds
	 * since its last packet.) */
	__u32 handshake_microseconds;
	__be16 client_port;
	__be16 vip_port;
	__be16 snat_port; /* the source port that the member sees */
	__be16 member_port;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_record) == 32);

/* `snat` is the source that the member sees: the client itself, unless the mode is `fullnat`. */
struct sluice_record4 {
	struct sluice_record head;
	__be32 client;
	__be32 vip;
	__be32 snat;
	__be32 member;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_record4) == 48);

struct sluice_record6 {
	struct sluice_record head;
	union sluice_address client;
	union sluice_address vip;
	union sluice_address snat;
	union sluice_address member;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_record6) == 96);

/* `record_handshakes`, an array by a hash of the connection; the latest handshake of a hash has it. */
#define SLUICE_RECORD_HANDSHAKE_BITS 16
struct sluice_record_handshake {
	__u32 mark;         /* the connection's; its lowest bit is 1 until the member has answered */
	__u32 microseconds; /* until then the time of the SYN, modulo 2^32; then how long it took, at least 1 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_record_handshake) == 8);

/* Tells connections apart whose handshakes are under way; even. `listener`: its number in its bank. `name`: of the
 * client, see bpf/handshake.h. */
static inline __u32 sluice_handshake_mark(__u32 listener, __u32 member, __u32 name)
{
	return (name ^ (listener << 16 ^ member) * 0x9e3779b1U) & ~1U;
}

/* The entry of the handshake with this mark. */
static inline __u32 sluice_handshake_place(__u32 mark)
{
	return mark * 0x85ebca6bU >> (32 - SLUICE_RECORD_HANDSHAKE_BITS);
}

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SLUICE_RECORDS_BYTES);
} records SEC(".maps");

/* By listener index: 0: none, n: one of n connections, chosen by a hash of the client's tuple. The controller writes it,
 * at any time; a connection whose two records come before and after a change may have one of them only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, __u32);
} listener_records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} record_losses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1 << SLUICE_RECORD_HANDSHAKE_BITS);
	__type(key, __u32);
	__type(value, struct sluice_record_handshake);
} record_handshakes SEC(".maps");
#endif

#endif
