/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `listeners4`, `listeners6`: the addresses and ports to which clients connect, and their pools. `listener_ranges`: the
 * ports of listeners that have more than one. `allowed_sources`: the networks that may connect. `source_rates`: recent
 * connections by source. `proven_sources`: those whose SYNs were authenticated. `listener_idle`: how long connections
 * may be silent.
 *
 * The controller writes `listeners*` after the pool and the allowed sources that they name; the data plane reads
 * them when a packet for a VIP has no flow. A listener has one entry per address (VIP, floating IPs), under its first
 * port if it has several; they share the index. */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include "types.h"

#define SLUICE_MAX_LISTENERS 32768 /* distinct listeners: the range of `index` */
#define SLUICE_MAX_LISTENER_ENTRIES 65536

struct sluice_listener4_key {
	__be32 address;
	__be16 port;
	__u8 protocol; /* IPPROTO_* */
	__u8 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_listener4_key) == 8);

struct sluice_listener6_key {
	union sluice_address address;
	__be16 port;
	__u8 protocol; /* IPPROTO_* */
	__u8 zero[5];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_listener6_key) == 24);

/* Only sources in `allowed_sources` may connect. */
#define SLUICE_LISTENER_RESTRICTED 1U
/* A new connection without a usable member is answered (TCP RST, ICMP port unreachable). */
#define SLUICE_LISTENER_RESETS 2U
/* SYNs have to be authenticated (bpf/authenticate.h) while the half-open share is more than half full, or always. */
#define SLUICE_LISTENER_AUTHENTICATES 4U
#define SLUICE_LISTENER_AUTHENTICATES_ALWAYS 8U
/* Each datagram is scheduled by itself, and no flow is kept. UDP, and members that answer directly. */
#define SLUICE_LISTENER_PER_PACKET 16U
/* Its connections are not recorded. For the controller, which fills `listener_records` (record.h) by it. */
#define SLUICE_LISTENER_UNRECORDED 32U
/* Connections to members of fullnat pools get their source from `snat_sources` (snat.h). */
#define SLUICE_LISTENER_SNAT 64U
/* IPv4: its new connections go to members that have IPv6 addresses. They are found in `listeners6`, where its address
 * is mapped (::ffff:10.0.0.16). */
#define SLUICE_LISTENER_TO_IPV6 128U
/* Its load balancer's IPv4 members have IPv6 clients, too (struct sluice_flow6), and may see them from the same source
 * addresses. So a source port that is free in `flows4` may be taken in `flows6`. (IPv6: without a meaning.) */
#define SLUICE_LISTENER_MIXED 256U
/* Members of both IP versions serve its new connections side by side, in an entry of an IPv6 or a mapped address. For the
 * controller: such an entry uses the sources of both versions. */
#define SLUICE_LISTENER_BOTH_VERSIONS 512U
/* The upper half of the flags: how long a member may take to answer a connection's SYN or INIT, in tenths of a second.
 * The next one after that goes to another member. 0: as long as the client tries. */
#define SLUICE_LISTENER_CONNECT_SHIFT 16
#define SLUICE_LISTENER_CONNECT_MAX 36000U /* microseconds modulo 2^32 tell an hour */
#define SLUICE_LISTENER_CONNECT(flags) ((flags) >> SLUICE_LISTENER_CONNECT_SHIFT)

#define SLUICE_NO_LIMIT 0xffffffffU

struct sluice_listener {
	struct sluice_id id;
	__u32 index; /* into listener_counters and listener_active */
	__u32 pool;  /* into pools; SLUICE_NO_INDEX without a default pool */
	__u32 flags;
	__u32 connection_limit;     /* connections at a time; SLUICE_NO_LIMIT */
	__u32 new_connection_limit; /* connections per second from one source address; SLUICE_NO_LIMIT */
	/* The source address of IPv4 fullnat flows without SNAT addresses: the load balancer's VIP, even for connections
	 * through a floating IP, because members can reach the VIP without a gateway. IPv6 flows use the address to which
	 * the client connected. */
	__be32 snat_source;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_listener) == 40);

/* `listener_ranges`: the ranges of ports of one address and protocol, lowest first, without overlaps but while the
 * controller exchanges some. A range leads to its listener's entry in `listeners*`, under its first port. The
 * controller writes a range before that entry and removes it after it, so the entry may be gone or another listener's:
 * the data plane compares the index there with the range's. It looks here only if the port is no key of `listeners*`.
 * Half of the room is for ranges that are being exchanged. */
#define SLUICE_MAX_RANGES 64 /* of one address and protocol; the data plane looks at 7 of them */
#define SLUICE_RANGES_ROOM (2 * SLUICE_MAX_RANGES)
#define SLUICE_MAX_RANGES_ENTRIES SLUICE_MAX_LISTENER_ENTRIES /* allocated when needed */
struct sluice_ranges_key {
	union sluice_address address; /* IPv4: in the first four bytes */
	__u8 family;                  /* 4 or 6 */
	__u8 protocol;                /* IPPROTO_* */
	__u8 zero[6];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_ranges_key) == 24);

struct sluice_port_range {
	__u16 first; /* host byte order */
	__u16 last;
	__u32 listener; /* its index */
};

struct sluice_ranges {
	__u32 count;
	struct sluice_port_range ranges[SLUICE_RANGES_ROOM];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_ranges) == 1028);

/* The controller writes `listener_idle` before the listener: seconds, by index; 0: the defaults of maps/flow.h. Only
 * the sweeps and the slow path read it, so that an established connection's packets don't pay for it. Both read it
 * each time, so a change affects existing connections, too. The longest time is limited by the flows' clock, whose
 * ticks have at least 6.8 seconds: one slot tells 15/16 of 2^11 ticks, less three ticks and a sweep; two slots tell 7
 * laps of 1536 ticks more (maps/flow.h). A connection with one slot only (dsr, ipip) ends after the shorter time in
 * any case. */
/* In the same word: TCP connections that have been silent for so long are not removed at once, but for
 * SLUICE_TIMEOUT_OVER_SECONDS more whatever either end sends is answered with a reset. */
#define SLUICE_IDLE_RESETS 0x80000000U
#define SLUICE_IDLE_SECONDS(word) ((word) & ~SLUICE_IDLE_RESETS)
#define SLUICE_MAX_IDLE_SECONDS 12600
#define SLUICE_MAX_LONG_IDLE_SECONDS 86400

/* The controller writes `allowed_sources`. IPv4 networks are in ::ffff:0:0/96 (RFC 4291, 2.5.5.2). */
#define SLUICE_MAX_ALLOWED_SOURCES 65536
#define SLUICE_ALLOWED_PREFIX_BITS(network_bits) (32 + (network_bits)) /* the listener's index comes first */
struct sluice_allowed_key {
	__u32 prefix_bits; /* of the rest of the key */
	__u32 listener;    /* index */
	__u8 address[16];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_allowed_key) == 24);

/* The data plane writes `source_rates`: a token bucket per listener and source address, which holds one second's
 * worth. Sources beyond the capacity evict the longest unused, which then start afresh. */
#define SLUICE_MAX_SOURCE_RATES 32768
struct sluice_source {
	union sluice_address address; /* IPv4: in the first four bytes */
	__u32 object;                 /* index of the listener (source_rates) or pool (persistence) */
	__u32 family;                 /* 4 or 6 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_source) == 24);

struct sluice_source_rate {
	__u32 tokens;  /* in 1/HZ of a connection */
	__u32 jiffies; /* when they were counted */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_source_rate) == 8);

/* The data plane writes `proven_sources`: how many connections each address has opened by authentication, and not
 * confirmed, in the present period and in the one before, after which they are forgotten or have ended. So no more than
 * SLUICE_SOURCE_HALF_OPEN of them are half-open. Sources beyond the capacity evict the longest unused. */
#define SLUICE_SOURCE_HALF_OPEN 16U
#define SLUICE_SOURCE_PERIOD_SECONDS 64 /* not less than SLUICE_TIMEOUT_HALF_OPEN_SECONDS */
#define SLUICE_MAX_PROVEN_SOURCES 65536
struct sluice_proven_source {
	__u32 period; /* the present one's number */
	__u32 now;    /* connections of it */
	__u32 before; /* connections of the one before */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_proven_source) == 12);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_LISTENER_ENTRIES);
	__type(key, struct sluice_listener4_key);
	__type(value, struct sluice_listener);
} listeners4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_LISTENER_ENTRIES);
	__type(key, struct sluice_listener6_key);
	__type(value, struct sluice_listener);
} listeners6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH); /* not a trie: sleepable programs (flow_walk, flow_put) look here, too */
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLUICE_MAX_RANGES_ENTRIES);
	__type(key, struct sluice_ranges_key);
	__type(value, struct sluice_ranges);
} listener_ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SLUICE_MAX_ALLOWED_SOURCES);
	__type(key, struct sluice_allowed_key);
	__type(value, __u32); /* prefix_bits again, so that one network can be read back; older versions: 1 */
} allowed_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, __u32);
} listener_idle SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_SOURCE_RATES);
	__type(key, struct sluice_source);
	__type(value, struct sluice_source_rate);
} source_rates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_PROVEN_SOURCES);
	__type(key, struct sluice_source); /* object: 0 */
	__type(value, struct sluice_proven_source);
} proven_sources SEC(".maps");
#endif

#endif
