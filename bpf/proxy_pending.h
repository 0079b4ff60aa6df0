/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The pending connections of PROXYV2 pools: found, added, removed. See maps/proxy.h and proxy.h. */
#ifndef SLUICE_BPF_PROXY_PENDING_H
#define SLUICE_BPF_PROXY_PENDING_H

#include "bpf/clock.h"
#include "bpf/packet.h"
#include "maps/flow.h"
#include "maps/member.h"
#include "maps/proxy.h"

/* An IPv6 client's tuple is the key as it is. In IPv4 only the first word of a tuple's addresses is written, so that the
 * rest may be of an IPv6 packet that came before; the map compares all of it. */
SLUICE_STATIC_ASSERT(sizeof(struct tuple) == sizeof(struct sluice_proxy_key));

static __always_inline void proxy_key_of(int family, const struct tuple *client, struct sluice_proxy_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->client.words[0] = client->source.words[0];
	key->vip.words[0] = client->destination.words[0];
	for (int i = 1; i < 4 && family == FAMILY6; i++) {
		key->client.words[i] = client->source.words[i];
		key->vip.words[i] = client->destination.words[i];
	}
	key->client_port = client->source_port;
	key->vip_port = client->destination_port;
	key->protocol = SLUICE_FLOW_TCP;
}

/* Says whether this flow's member is of a PROXYV2 pool. */
static __always_inline bool flow_is_proxied(__u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);
	const struct sluice_member *member = bpf_map_lookup_elem(&members, &index);

	return member && member->flags & SLUICE_MEMBER_PROXY;
}

/* `client` lies in a map: kernel 6.1 takes no other memory that a function was given as a key. */
static __always_inline struct sluice_proxy_pending *proxy_find(int family, const struct tuple *client)
{
	struct sluice_proxy_key key;

	if (family == FAMILY6)
		return bpf_map_lookup_elem(&proxy_pending, client);
	proxy_key_of(family, client, &key);
	return bpf_map_lookup_elem(&proxy_pending, &key);
}

/* Not inlined, because its callers have no stack left for a key. */
__noinline int proxy_forget(int family, const struct tuple *client)
{
	struct sluice_proxy_key key;

	if (!client)
		return 0;
	proxy_key_of(family, client, &key);
	return bpf_map_delete_elem(&proxy_pending, &key);
}

/* Removes the entry of a connection that is removed, given its forward slot's state. */
static __always_inline void proxy_forget_removed(int family, const struct tuple *client, __u64 state)
{
	if (!sluice_flow_is_confirmed(state) && SLUICE_STATE_GET(state, PROTOCOL) == SLUICE_FLOW_TCP &&
	    flow_is_proxied(state))
		proxy_forget(family, client);
}

/* Adds or changes an entry; the client's first byte has the number `first`. False: there is no room. */
__noinline int proxy_expect(int family, const struct tuple *client, __u32 first, __u32 flags)
{
	struct sluice_proxy_pending fresh = {.first = first, .jiffies = clock_jiffies(), .flags = flags}, *known;
	struct sluice_proxy_key key;

	if (!client)
		return false;
	proxy_key_of(family, client, &key);
	known = bpf_map_lookup_elem(&proxy_pending, &key);
	if (!known)
		return !bpf_map_update_elem(&proxy_pending, &key, &fresh, BPF_ANY);
	known->jiffies = fresh.jiffies;
	if (known->first == first) {
		known->flags |= flags;
		return true;
	}
	/* The member has answered another SYN, and only its answer counts. */
	if (known->flags & SLUICE_PROXY_ANSWERED && !(flags & SLUICE_PROXY_ANSWERED))
		return true;
	known->flags = flags;
	known->first = first;
	return true;
}

#endif
