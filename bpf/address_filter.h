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
#include "maps/runtime.h"

static __always_inline const struct sluice_runtime *runtime_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&runtime, &zero);
}

/* False: the address is certainly neither a VIP's nor a member's. */
static __always_inline bool address_in_filter(int family, const struct sluice_runtime *r,
					      const union sluice_address *address)
{
	__u32 hash = family == FAMILY4 ? sluice_address_hash4(address->ipv4) : sluice_address_hash6(address);

	return r->address_filter[SLUICE_ADDRESS_WORD(hash)] >> SLUICE_ADDRESS_BIT(hash) & 1;
}

static __always_inline bool address_may_be_known(int family, const union sluice_address *address)
{
	const struct sluice_runtime *r = runtime_get();

	return !r || address_in_filter(family, r, address);
}

#endif
