/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The Ethernet header and its VLAN tags. */
#ifndef SLUICE_BPF_ETHERNET_H
#define SLUICE_BPF_ETHERNET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps/interface.h"

#define VLAN_TAG_BYTES 4

/* Finds the frame's payload and its ethertype: returns offset | ethertype << 16, or -1 for a frame that is too
 * short. It is a function of its own so that the verifier takes its result for any number, and verifies the rest
 * once instead of for each number of tags. */
__noinline int ethernet_payload(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 offset = ETH_HLEN;
	__be16 type;

	if (data + ETH_HLEN > data_end)
		return -1;
	type = *(__be16 *)(data + ETH_HLEN - 2);
	for (int i = 0; i < SLUICE_MAX_TAGS; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if (data + offset + VLAN_TAG_BYTES > data_end)
			break;
		type = *(__be16 *)(data + offset + 2);
		offset += VLAN_TAG_BYTES;
	}
	return offset | (__u32)bpf_ntohs(type) << 16;
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(const __u32 *)a == *(const __u32 *)b && *(const __u16 *)(a + 4) == *(const __u16 *)(b + 4);
}

/* Writes both MACs of a frame from `macs`: destination, source. */
static __always_inline void ethernet_address(void *frame, const __u8 *macs)
{
	__u32 *to = frame;
	const __u32 *from = (const void *)macs;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
}

#endif
