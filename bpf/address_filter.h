/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The address filter recognises most packets that aren't ours by their addresses alone.
 *
 * Contract: it never says no to the address of a VIP or of a member; it may say yes to any other. */
#ifndef SLUICE_BPF_ADDRESS_FILTER_H
#define SLUICE_BPF_ADDRESS_FILTER_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "bpf/packet.h"
#include "maps/address_filter.h"
#include "maps/runtime.h"

/* False: the address is certainly neither a VIP's nor a member's. */
static __always_inline bool address_in_small_filter(int family, const union sluice_address *address)
{
	__u32 hash = family == FAMILY4 ? sluice_address_hash4(address->ipv4) : sluice_address_hash6(address);

	return runtime.address_filter[SLUICE_ADDRESS_WORD(hash)] >> SLUICE_ADDRESS_BIT(hash) & 1;
}

static __always_inline bool address_in_large_filter(int family, const struct sluice_address_filter *filter,
						    const union sluice_address *address)
{
	__u64 hash = family == FAMILY4 ? sluice_large_filter_hash4(address->ipv4) : sluice_large_filter_hash6(address);

	return !(~filter->words[SLUICE_LARGE_FILTER_WORD(hash)] & SLUICE_LARGE_FILTER_BITS(hash));
}

/* Returns the large filter if it is the one to be asked, else NULL. */
static __always_inline const struct sluice_address_filter *large_filter_get(void)
{
	const struct sluice_address_filter *filter;
	__u32 zero = 0;

	if (!runtime.large_filter)
		return NULL;
	filter = bpf_map_lookup_elem(&address_filter, &zero);
	return filter && filter->complete_for == (__u64)runtime.next_hop_generation + 1 ? filter : NULL;
}

static __always_inline bool address_may_be_known(int family, const union sluice_address *address)
{
	const struct sluice_address_filter *large = large_filter_get();

	return large ? address_in_large_filter(family, large, address) : address_in_small_filter(family, address);
}

/* False: the packet isn't ours. Ours are packets to VIPs, and of flows without SNAT those that come from members. */
static __always_inline bool either_may_be_known(int family, const struct tuple *t)
{
	const struct sluice_address_filter *large = large_filter_get();

	if (large)
		return address_in_large_filter(family, large, &t->destination) ||
		       address_in_large_filter(family, large, &t->source);
	return address_in_small_filter(family, &t->destination) || address_in_small_filter(family, &t->source);
}

#endif
