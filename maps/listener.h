/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `listeners4`: where clients connect to, and the pool that serves them.
 *
 * Written by the controller after the pool that it names; read by the data plane when a packet for a
 * VIP is in no flow. One listener has one entry per address that reaches it (VIP, floating IPs); they
 * share the index. */
#ifndef SLUICE_LISTENER_H
#define SLUICE_LISTENER_H

#include "types.h"

#define SLUICE_MAX_LISTENERS 4096 /* distinct listeners: the range of `index` */
#define SLUICE_MAX_LISTENER_ENTRIES 16384

struct sluice_listener4_key {
	__be32 address;
	__be16 port;
	__u8 protocol; /* IPPROTO_* */
	__u8 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_listener4_key) == 8);

struct sluice_listener4 {
	struct sluice_id id;
	__u32 index; /* into listener_counters */
	__u32 pool;  /* into pools; SLUICE_NO_INDEX without a default pool */
	/* Source address of fullnat flows: the load balancer's VIP, also for connections that came
	 * through a floating IP, because members can reach the VIP without a gateway. */
	__be32 snat_source;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_listener4) == 28);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_LISTENER_ENTRIES);
	__type(key, struct sluice_listener4_key);
	__type(value, struct sluice_listener4);
} listeners4 SEC(".maps");
#endif

#endif
