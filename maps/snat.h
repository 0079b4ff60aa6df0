/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `snat_sources`: the source addresses that members of fullnat pools see, if the load balancer or this node has SNAT
 * addresses. Each has ports of its own, so n of them permit n times as many connections to one member. `snat_vips`: the
 * IPv6 VIPs whose connections get them.
 *
 * The controller writes the addresses into `vips*` first (SLUICE_VIP_SNAT), so that they are answered for, then this, then
 * the listener with SLUICE_LISTENER_SNAT, and removes them in the other order. The data plane reads it for new
 * connections of such listeners; an open one has its source in its slots, so it keeps an address that is removed here. */
#ifndef SLUICE_SNAT_H
#define SLUICE_SNAT_H

#include "listener.h"
#include "types.h"

#define SLUICE_MAX_SNAT_SOURCES 16 /* of a load balancer and IP version */

struct sluice_snat_key {
	__u32 listener; /* index */
	__u32 family;   /* 4 or 6: of the connection to the member */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_snat_key) == 8);

struct sluice_snat_sources {
	__u32 count;
	__u32 zero;
	union sluice_address addresses[SLUICE_MAX_SNAT_SOURCES]; /* IPv4: in the first four bytes */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_snat_sources) == 264);

/* `snat_vips`, by listener index: the first IPv6 VIP of its load balancer, or zero. Slots of such connections have no room
 * for the VIP (flow.h), so it is looked up here, and connections to other IPv6 addresses of the listener keep that as
 * their source. It is there also while the listener has no sources, because replicas may have another node's. The
 * controller writes it with the listener, and leaves it until the index goes to another one: by then no connection is
 * left. */

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, union sluice_address);
} snat_vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2 * SLUICE_MAX_LISTENERS);
	__type(key, struct sluice_snat_key);
	__type(value, struct sluice_snat_sources);
} snat_sources SEC(".maps");
#endif

#endif
