/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Admission: a listener's allowed networks, connection limit and rate per source decide on a new connection. */
#ifndef SLUICE_BPF_ADMIT_H
#define SLUICE_BPF_ADMIT_H

#include <bpf/bpf_endian.h>

#include "bpf/clock.h"
#include "bpf/counters.h"
#include "bpf/flow_table.h"
#include "bpf/journey.h"
#include "bpf/packet.h"
#include "maps/counters.h"
#include "maps/half_open.h"
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

static __always_inline __u32 connections_that_count(const struct sluice_listener *listener)
{
	__u32 index = listener->index;

	return confirmed_connections(bpf_map_lookup_elem(&listener_confirmed, &index),
				     bpf_map_lookup_elem(&listener_active, &index),
				     bpf_map_lookup_elem(&listener_half_open, &index));
}

static __always_inline bool below_connection_limit(const struct sluice_listener *listener)
{
	return listener->connection_limit == SLUICE_NO_LIMIT ||
	       connections_that_count(listener) < listener->connection_limit;
}

static __always_inline __u8 ip_protocol_of(__u32 flow_protocol)
{
	return flow_protocol == SLUICE_FLOW_TCP   ? IPPROTO_TCP
	       : flow_protocol == SLUICE_FLOW_UDP ? IPPROTO_UDP
						  : IPPROTO_SCTP;
}

static __always_inline const struct sluice_listener *listener_at(int family, const struct tuple *client, __be16 port)
{
	if (family == FAMILY4) {
		struct sluice_listener4_key key = {
			.address = client->destination.ipv4,
			.port = port,
			.protocol = ip_protocol_of(client->protocol),
		};

		return bpf_map_lookup_elem(&listeners4, &key);
	}
	struct sluice_listener6_key key = {
		.address = client->destination,
		.port = port,
		.protocol = ip_protocol_of(client->protocol),
	};

	return bpf_map_lookup_elem(&listeners6, &key);
}

/* Finds the range that has the client's destination port. Returns its first port, in network byte order, and its
 * listener's index from bit 16 on; 0: there is none. */
__noinline int range_begin(int family, const struct tuple *client)
{
	struct sluice_ranges_key key = {.family = family};
	const struct sluice_port_range *found;
	const struct sluice_ranges *all;
	__u64 port;
	__u32 at = 0;

	if (!client)
		return 0;
	key.address = client->destination;
	key.protocol = ip_protocol_of(client->protocol);
	all = bpf_map_lookup_elem(&listener_ranges, &key);
	if (!all)
		return 0;
	port = bpf_ntohs(client->destination_port);
	/* The last range that begins at the port or below it. Without branches, because the verifier would follow all
	 * ways through the table: a difference below zero has its highest bit set. */
	for (__u32 step = SLUICE_RANGES_ROOM / 2; step; step /= 2) {
		__u64 next = at + step, place = next, begin, is_one;

		/* The compiler knows that it is small and would leave out the mask, which the verifier of 6.1 needs. */
		asm volatile("" : "+r"(place));
		begin = all->ranges[place % SLUICE_RANGES_ROOM].first;
		is_one = (next - all->count) & (begin - port - 1);
		at += step & -(__u32)(is_one >> 63);
	}
	asm volatile("" : "+r"(at));
	found = &all->ranges[at % SLUICE_RANGES_ROOM];
	if (port < found->first || port > found->last)
		return 0;
	return (found->listener & (SLUICE_MAX_LISTENERS - 1)) << 16 | bpf_htons(found->first);
}

/* Finds the listener of the client's destination, first by its port alone. A range may outlive its listener for a
 * moment, so what it leads to is compared. */
static __always_inline const struct sluice_listener *listener_find(int family, const struct tuple *client)
{
	const struct sluice_listener *listener = listener_at(family, client, client->destination_port);
	__u32 range;

	if (listener)
		return listener;
	range = range_begin(family, client);
	if (!range)
		return NULL;
	listener = listener_at(family, client, range);
	return listener && listener->index == range >> 16 ? listener : NULL;
}

/* Takes a connection that is confirmed now off its address's authenticated ones (authenticate.h). */
static __always_inline void source_confirms(int family, const struct tuple *client)
{
	struct sluice_source key = {.address = client->source, .family = family};
	struct sluice_proven_source *known = bpf_map_lookup_elem(&proven_sources, &key);

	if (known)
		count_share(known->now ? &known->now : &known->before, -1);
}

/* Says whether a connection exceeds the limit once its client confirms it: many may have been admitted before the
 * first one confirmed. The connection is counted before this check, so if two CPUs take the last place at once,
 * perhaps neither keeps it, but never both. It is called once for each confirmed connection. */
static __always_inline bool is_above_connection_limit(int family, const struct tuple *client)
{
	const struct sluice_listener *listener = listener_find(family, client);

	if (!listener)
		return false;
	if (listener->flags & (SLUICE_LISTENER_AUTHENTICATES | SLUICE_LISTENER_AUTHENTICATES_ALWAYS))
		source_confirms(family, client);
	return listener->connection_limit != SLUICE_NO_LIMIT &&
	       connections_that_count(listener) > listener->connection_limit;
}

__noinline int is_above_connection_limit4(const struct tuple *client)
{
	return client ? is_above_connection_limit(FAMILY4, client) : false;
}

__noinline int is_above_connection_limit6(const struct tuple *client)
{
	return client ? is_above_connection_limit(FAMILY6, client) : false;
}

/* Takes one connection out of the source's token bucket, which holds one second's worth. Two CPUs may take the same
 * one, because the rate need not be exact. */
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

/* Returns UNDECIDED if the connection is admitted, or the reason of the refusal. */
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
