/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `interfaces`: the NICs that Sluice is attached to.
 *
 * Written by whoever attaches (sluice-loader, sluiced) and by sluiced when a MAC changes; read by the
 * data plane for every packet. The slot of an interface is its index modulo the capacity: an array
 * read costs a tenth of a hash lookup. Two attached interfaces that fall on one slot are refused at
 * attach. A slot with ifindex 0 is free. */
#ifndef SLUICE_INTERFACE_H
#define SLUICE_INTERFACE_H

#include "types.h"

#define SLUICE_MAX_INTERFACES 4096

struct sluice_interface {
	__u32 ifindex;
	__u8 mac[SLUICE_MAC_BYTES];
	/* net.ipv4.conf.IF.forwarding before attach set it to 1 (bpf_fib_lookup demands it); put back
	 * at detach. */
	__u8 forwarding_before;
	__u8 reserved;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_interface) == 12);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct sluice_interface);
} interfaces SEC(".maps");
#endif

#endif
