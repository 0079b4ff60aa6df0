/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `flows4`: one connection's state, two entries: one per direction.
 *
 * The key is the tuple of the packet as it arrives, so either direction costs one lookup; the value holds all
 * that its packets need. The other direction's key is derived, not stored: the rewritten tuple with source
 * and destination exchanged.
 *
 * Written by the data plane only. Entries are inserted reverse first (the insertion claims the source port
 * toward the member), then forward. The forward entry is authoritative for the connection's `events`;
 * `flow_expire` walks forward entries. When the map is full new connections are refused and live ones are
 * untouched. */
#ifndef SLUICE_FLOW_H
#define SLUICE_FLOW_H

#include "types.h"

#define SLUICE_DEFAULT_FLOWS (1U << 20) /* connections; the map holds two entries for each */

struct sluice_flow4_key {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol; /* IPPROTO_* */
	__u8 zero[3];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow4_key) == 16);

/* Where a frame goes out. Valid while `generation` equals runtime.next_hop_generation and is not 0; otherwise
 * the next packet asks the kernel's FIB again. */
struct sluice_next_hop {
	__u32 generation;
	__u32 ifindex;
	__u8 destination_mac[SLUICE_MAC_BYTES];
	__u8 source_mac[SLUICE_MAC_BYTES];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_next_hop) == 20);

enum sluice_flow_direction {
	SLUICE_TO_MEMBER = 0, /* the forward entry */
	SLUICE_TO_CLIENT = 1, /* the reverse entry */
};

/* What has been seen of a TCP connection: bits of the forward entry's `events`. */
#define SLUICE_FLOW_REPLIED (1U << 0)     /* SYN-ACK from the member */
#define SLUICE_FLOW_ESTABLISHED (1U << 1) /* and the client's ACK after it */
#define SLUICE_FLOW_CLIENT_FIN (1U << 2)
#define SLUICE_FLOW_MEMBER_FIN (1U << 3)
#define SLUICE_FLOW_RESET (1U << 4)
#define SLUICE_FLOW_ENDED (1U << 5) /* counted in flows_ended; set once, by whoever counts */

/* Clocks are the kernel's jiffies (CONFIG_HZ a second), low 32 bits; differences are exact up to 2^31. */
struct sluice_flow4 {
	__be32 new_source;
	__be32 new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	/* What rewriting adds to the one's complement sums (RFC 1624), folded to 16 bits. The TTL is not in. */
	__u16 ipv4_checksum_delta;
	__u16 l4_checksum_delta;
	__u32 listener; /* index into listener_counters */
	__u32 member;   /* index into members and member_counters */
	struct sluice_next_hop next_hop;
	__u32 created_jiffies;
	__u32 last_seen_jiffies; /* written at most once a second */
	__u32 events;            /* SLUICE_FLOW_*; used in the forward entry */
	__u8 direction;          /* enum sluice_flow_direction */
	__u8 zero[3];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow4) == 60);

/* Idle times in seconds after which a flow is forgotten. */
#define SLUICE_TIMEOUT_HALF_OPEN_SECONDS 60    /* longer than five SYN-ACK retransmissions (31 s) */
#define SLUICE_TIMEOUT_ESTABLISHED_SECONDS 7440 /* RFC 5382 REQ-5: not less than 2 h 4 min */
#define SLUICE_TIMEOUT_CLOSING_SECONDS 240     /* RFC 5382 REQ-5: transitory, one FIN seen */
#define SLUICE_TIMEOUT_CLOSED_SECONDS 60       /* both FINs or RST: Linux's TIME_WAIT, guards the port */

/* Argument and result of the `flow_expire` program (SEC("syscall"), run by sluiced every few seconds
 * and by tests): one walk over the table that removes idle flows. */
struct sluice_flow_expire {
	__u32 now_jiffies; /* out: the clock that flow entries use */
	__u32 live;        /* out: connections that stay */
	__u32 expired;     /* out: connections removed */
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_expire) == 16);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SLUICE_DEFAULT_FLOWS); /* set before load from --flows */
	__type(key, struct sluice_flow4_key);
	__type(value, struct sluice_flow4);
} flows4 SEC(".maps");
#endif

#endif
