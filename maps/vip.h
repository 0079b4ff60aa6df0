/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `vips4`, `vips6`: the addresses for which Sluice answers (VIPs, floating IPs and SNAT addresses).
 *
 * The controller writes an address last when it adds a load balancer, and removes it first; the data plane reads it
 * for packets without a flow. The controller refuses VIPs beyond the capacity. */
#ifndef SLUICE_VIP_H
#define SLUICE_VIP_H

#include "types.h"

#define SLUICE_MAX_VIPS 32768 /* of either family */

/* Set while the load balancer is administratively up. When clear, ARP and neighbour solicitations are still answered
 * (the address stays ours) and everything else is dropped as vip_down. */
#define SLUICE_VIP_UP 1U
/* Packets to a port without a listener, and those of unknown connections that can't begin one, are answered by a TCP
 * RST or an ICMP port unreachable. */
#define SLUICE_VIP_REJECTS 2U
/* Another node of this link answers ARP, neighbour solicitations and pings for the address: this one does not. It carries
 * packets that come all the same. */
#define SLUICE_VIP_STANDBY 4U
/* A SNAT address (snat.h): it has no listeners, so a packet for it that is in no flow is dropped as no_listener. Only the
 * controller reads this. Without a load balancer's id it is a node's: this one's, or another one's, and then
 * SLUICE_VIP_STANDBY says whether that node answers for it itself. */
#define SLUICE_VIP_SNAT 8U
/* A SNAT address that was taken from its load balancer or its node: answered for until no connection has it. Only the
 * controller reads this. */
#define SLUICE_VIP_LEAVING 16U

/* Connections whose member has the other IP version may have this IPv4 address: of packets for it that are in no flow of
 * `flows4` the data plane looks into `flows6`, too. */
#define SLUICE_VIP_MIXED 32U

struct sluice_vip {
	struct sluice_id load_balancer;
	__u32 flags;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_vip) == 20);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_VIPS);
	__type(key, __be32);
	__type(value, struct sluice_vip);
} vips4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_VIPS);
	__type(key, union sluice_address);
	__type(value, struct sluice_vip);
} vips6 SEC(".maps");
#endif

#endif
