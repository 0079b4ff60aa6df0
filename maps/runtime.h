/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `runtime`: the one value that changes while packets flow. `resolve_requests`: addresses whose MAC the data
 * plane missed.
 *
 * `runtime` is written by the controller; the data plane reads it for every packet of a flow. What never
 * changes after load is a `const volatile` in bpf/, not here. */
#ifndef SLUICE_RUNTIME_H
#define SLUICE_RUNTIME_H

#include "types.h"

struct sluice_runtime {
	/* Raised by the controller when a route, link, address or neighbour's MAC changes; flows resolve their
	 * next hop again when theirs is older. The data plane adds 1, so a map full of zeros is valid. */
	__u32 next_hop_generation;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_runtime) == 4);

/* One record of `resolve_requests`: please make the kernel resolve this address on this interface. */
struct sluice_resolve_request {
	__u32 ifindex;
	__be32 address;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_resolve_request) == 8);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_runtime);
} runtime SEC(".maps");

/* Records are dropped when nobody reads them: a request is a hint, the next packet makes it again. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} resolve_requests SEC(".maps");
#endif

#endif
