/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `proxy_pending`: connections of PROXYV2 pools whose member has not acknowledged the header that names the client
 * (bpf/proxy.h).
 *
 * Only the data plane uses it. An entry comes with the client's SYN, which is refused if there is no room, and goes
 * when the member has acknowledged the header, when the connection is removed, or when sluiced sweeps and no packet of the
 * connection has come for SLUICE_PROXY_PENDING_SECONDS. Nothing is evicted: an unconfirmed connection without an entry gets none of its
 * client's packets through to the member. */
#ifndef SLUICE_PROXY_H
#define SLUICE_PROXY_H

#include "types.h"

/* The header's bytes (PROXY protocol, version 2, section 2.2). */
#define SLUICE_PROXY_HEADER4 28
#define SLUICE_PROXY_HEADER6 52

#define SLUICE_MAX_PROXY_PENDING 65536
/* Longer than a half-open connection lives. */
#define SLUICE_PROXY_PENDING_SECONDS 90

/* The client's packets as they arrive. */
struct sluice_proxy_key {
	union sluice_address client;
	union sluice_address vip;
	__be16 client_port;
	__be16 vip_port;
	__u32 protocol; /* SLUICE_FLOW_TCP */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_proxy_key) == 40);

/* The member has answered the SYN, so `first` is right. */
#define SLUICE_PROXY_ANSWERED 1
#define SLUICE_PROXY_SENT 2  /* a packet with the header went to the member */
#define SLUICE_PROXY_ENDED 4 /* the client has sent its FIN */

struct sluice_proxy_pending {
	__u32 first;   /* the sequence number of the client's first byte; the header's come before it */
	__u32 jiffies; /* when the connection's last packet came */
	__u8 flags;    /* SLUICE_PROXY_* */
	__u8 window_shift; /* the member's */
	__u16 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_proxy_pending) == 12);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC); /* whoever has no such pool pays for no entries */
	__uint(max_entries, SLUICE_MAX_PROXY_PENDING);
	__type(key, struct sluice_proxy_key);
	__type(value, struct sluice_proxy_pending);
} proxy_pending SEC(".maps");
#endif

#endif
