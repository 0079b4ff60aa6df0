/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `interfaces`: the NICs that Sluice is attached to, and the VLAN interfaces on top of them.
 *
 * Attaching (sluice-loader, sluiced) writes it, and sluiced when a MAC or a VLAN interface changes. The data plane
 * reads it for every packet, and for VLAN interfaces when the kernel's FIB names one as egress. The slot of an
 * interface is its index modulo the capacity, because an array read costs a tenth of a hash lookup. An interface
 * whose slot is taken by another one can't be attached. A slot with ifindex 0 is free. */
#ifndef SLUICE_INTERFACE_H
#define SLUICE_INTERFACE_H

#include "types.h"

#define SLUICE_MAX_INTERFACES 4096

/* The interface's sysctls before attaching changed them; detaching restores them. bpf_fib_lookup needs forwarding,
 * and a forwarding interface accepts router advertisements only if accept_ra is 2. */
#define SLUICE_IPV4_FORWARDED_BEFORE 1U
#define SLUICE_IPV6_FORWARDED_BEFORE 2U
#define SLUICE_ACCEPT_RA_RAISED 4U

/* The program runs in the network stack there, not in the driver. XDP may be unable to send to such a NIC (a
 * bridge). Packets that come in on it can leave by any NIC, because the stack sends them. Older versions never set
 * this. */
#define SLUICE_INTERFACE_GENERIC 1U

struct sluice_interface {
	__u32 ifindex;
	__u8 mac[SLUICE_MAC_BYTES];
	__u8 forwarding_before; /* SLUICE_*_BEFORE, SLUICE_ACCEPT_RA_RAISED */
	__u8 tags;              /* 0: an attached NIC. Otherwise frames leave by `parent` with so many tags */
	__u32 parent;           /* ifindex of the attached NIC below */
	struct sluice_tag tag[SLUICE_MAX_TAGS]; /* outermost first */
	/* The host's own addresses there, from which tunnels start; zero: none. */
	__be32 ipv4;
	__u32 flags; /* SLUICE_INTERFACE_* */
	union sluice_address ipv6;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_interface) == 48);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_INTERFACES);
	__type(key, __u32);
	__type(value, struct sluice_interface);
} interfaces SEC(".maps");
#endif

#endif
