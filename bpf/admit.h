/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Admission: a listener's allowed networks, connection limit and rate per source decide on a new connection. */
#ifndef SLUICE_BPF_ADMIT_H
#define SLUICE_BPF_ADMIT_H

#include "bpf/clock.h"
#include "bpf/journey.h"
#include "bpf/packet.h"
#include "maps/counters.h"
#include "maps/listener.h"
#include "maps/reasons.h"

static __always_inline bool source_is_allowed(int family, const struct sluice_listener *listener,
					      const union sluice_address *source)
{
	struct sluice_allowed_key key = {
		.prefix_bits = SLUICE_ALLOWED_PREFIX_BITS(128),
		.listener = listener->index,
	};

	if (!(listener->flags & SLUICE_LISTENER_RESTRICTED))
		return true;
	if (family == FAMILY4) {
		key.address[10] = key.address[11] = 0xff;
		__builtin_memcpy(key.address + 12, &source->ipv4, sizeof(source->ipv4));
	} else {
		__builtin_memcpy(key.address, source, sizeof(key.address));
	}
	return bpf_map_lookup_elem(&allowed_sources, &key);
}

static __always_inline bool below_connection_limit(const struct sluice_listener *listener)
{
	__u32 index = listener->index;
	const __u32 *active = bpf_map_lookup_elem(&listener_active, &index);

	return listener->connection_limit == SLUICE_NO_LIMIT || (active && *active < listener->connection_limit);
}

/* Takes a connection's worth out of the source's bucket, which holds one second's. Two CPUs may take the same one: the
 * rate is a protection, not an account. */
static __always_inline bool within_rate(int family, const struct sluice_listener *listener,
					const union sluice_address *source)
{
	struct sluice_source key = {.address = *source, .object = listener->index, .family = family};
	__u64 full = (__u64)listener->new_connection_limit * clock_hz, tokens;
	struct sluice_source_rate *rate, fresh;
	__u32 now = clock_jiffies();

	if (listener->new_connection_limit == SLUICE_NO_LIMIT)
		return true;
	if (full > 0xffffffff)
		full = 0xffffffff;
	rate = bpf_map_lookup_elem(&source_rates, &key);
	tokens = rate ? rate->tokens + (__u64)(now - rate->jiffies) * listener->new_connection_limit : full;
	if (tokens > full)
		tokens = full;
	if (tokens < clock_hz)
		return false;
	fresh = (struct sluice_source_rate){.tokens = tokens - clock_hz, .jiffies = now};
	if (rate)
		*rate = fresh;
	else
		bpf_map_update_elem(&source_rates, &key, &fresh, BPF_ANY);
	return true;
}

/* UNDECIDED, or the reason why not. */
__noinline int admit(int family, const struct sluice_listener *listener, const union sluice_address *source)
{
	if (!listener || !source)
		return SLUICE_REASON_NOT_ALLOWED;
	if (!source_is_allowed(family, listener, source))
		return SLUICE_REASON_NOT_ALLOWED;
	if (!below_connection_limit(listener))
		return SLUICE_REASON_CONNECTION_LIMIT;
	if (!within_rate(family, listener, source))
		return SLUICE_REASON_RATE_LIMITED;
	return UNDECIDED;
}

#endif
