/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `store_position`: the store, and its state, from which the other maps were filled.
 *
 * The controller writes it after each commit that it has applied, and reads it at its start: a store that is older
 * than the data plane's contents, or another one, is not taken for what the operator wants. The data plane does not
 * read it. All zeros: nothing was noted, for example by versions without this map. */
#ifndef SLUICE_STORE_POSITION_H
#define SLUICE_STORE_POSITION_H

#include "types.h"

struct sluice_store_position {
	struct sluice_id id;
	__u64 generation; /* raised by each commit */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_store_position) == 24);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_store_position);
} store_position SEC(".maps");
#endif

#endif
