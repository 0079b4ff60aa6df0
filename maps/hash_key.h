/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `hash_key`: the secret by which SOURCE_IP, SOURCE_IP_PORT and MAGLEV choose members.
 *
 * The controller writes it at its start, from its --hash-key-file; the data plane reads it for each new connection.
 * Without the key nobody can compute which addresses and ports share a member. Load balancers that must choose alike
 * have the same key. All zeros is a valid key: that of a controller that is too old to set one. */
#ifndef SLUICE_HASH_KEY_H
#define SLUICE_HASH_KEY_H

#include "types.h"

struct sluice_hash_key {
	__u64 halves[2];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_hash_key) == 16);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_hash_key);
} hash_key SEC(".maps");
#endif

#endif
