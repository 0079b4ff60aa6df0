/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `tunnel_sources`: the outer source addresses of ipip tunnels, one prefix for each IP version.
 *
 * A NIC chooses a queue by a packet's addresses, and by its ports if it knows where they are. Behind an outer IP header
 * it doesn't, so with one outer source all packets of a load balancer come to one queue of a member. With a prefix each
 * connection has a source of its own. The controller writes it once, at its start; the data plane reads it for each packet
 * that goes into an ipip tunnel. `gue` needs no prefix: its connections differ in the UDP source port. */
#ifndef SLUICE_TUNNEL_H
#define SLUICE_TUNNEL_H

#include "types.h"

/* Where members listen (IANA: gue). The outer UDP header is followed by the inner IP header, whose version tells that
 * there is no GUE header: GUE's variant 1, which Linux takes as `ip fou add port 6080 gue`. */
#define SLUICE_GUE_PORT 6080
/* Its source ports: 49152 and the hash's 14 bits. */
#define SLUICE_GUE_FIRST_SOURCE_PORT 0xc000U

/* The source is the prefix and those bits of the connection's hash that the mask has. A mask of zero: there is no
 * prefix, and the source is the host's address on the interface by which the packet leaves. */
struct sluice_tunnel_source {
	union sluice_address prefix; /* IPv4: in the first four bytes */
	union sluice_address mask;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_tunnel_source) == 32);

#define SLUICE_TUNNEL_SOURCES 2 /* IPv4, IPv6 */

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_TUNNEL_SOURCES);
	__type(key, __u32);
	__type(value, struct sluice_tunnel_source);
} tunnel_sources SEC(".maps");
#endif

#endif
