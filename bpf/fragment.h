/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Fragments: the first one has the ports; it is balanced like a whole packet and remembered for those that follow. */
#ifndef SLUICE_BPF_FRAGMENT_H
#define SLUICE_BPF_FRAGMENT_H

#include <linux/in.h>

#include "bpf/clock.h"
#include "bpf/packet.h"
#include "maps/fragment.h"

static __always_inline struct sluice_fragment_key fragment_key(int family, const struct packet *p)
{
	return (struct sluice_fragment_key){
		.source = p->tuple.source,
		.destination = p->tuple.destination,
		.id = p->fragment_id,
		.protocol = p->protocol,
		.family = family,
	};
}

/* Remembers the ports of a first fragment, whose flow is known by now. */
__noinline int fragment_remember(int family, const struct packet *p)
{
	if (!p)
		return 0;

	struct sluice_fragment_key key = fragment_key(family, p);
	struct sluice_fragment value = {
		.source_port = p->tuple.source_port,
		.destination_port = p->tuple.destination_port,
		.jiffies = clock_jiffies(),
	};

	return bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
}

/* Fills in the ports of a later fragment. False: its first one has not been seen. */
__noinline int fragment_recall(int family, struct packet *p)
{
	if (!p)
		return false;

	struct sluice_fragment_key key = fragment_key(family, p);
	const struct sluice_fragment *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first || clock_jiffies() - first->jiffies > SLUICE_TIMEOUT_FRAGMENT_SECONDS * clock_hz)
		return false;
	p->tuple.source_port = first->source_port;
	p->tuple.destination_port = first->destination_port;
	p->tuple.protocol = p->protocol == IPPROTO_TCP	 ? SLUICE_FLOW_TCP
			    : p->protocol == IPPROTO_UDP ? SLUICE_FLOW_UDP
							 : SLUICE_FLOW_SCTP;
	return true;
}

#endif
