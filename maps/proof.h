/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `proof_numbers`: what a client can know only if it hears the member, by a keyed hash of the client's tuple.
 *
 * TCP: the number after the member's last segment, which the client's next one acknowledges. SCTP: the tag of the
 * member's INIT ACK, which the client's packets carry. Written by the data plane for packets of members whose
 * connection is not confirmed yet, read for those of their clients. Before there is a connection: the number of the
 * client's reset, for SYN authentication (bpf/authenticate.h). After a connection: a note about its end
 * (bpf/port_reuse.h). An entry may be of another connection: see bpf/proof.h. May begin empty beside connections that an
 * older version opened. */
#ifndef SLUICE_PROOF_H
#define SLUICE_PROOF_H

#include "types.h"

/* Four times the half-open connections that the default table has room for: 4 MiB. */
#define SLUICE_PROOFS (1U << 20)

/* The kernel gives each value of an array eight bytes at least. */
struct sluice_proofs {
	__u32 numbers[2];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_proofs) == 8);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SLUICE_PROOFS / 2);
	__type(key, __u32);
	__type(value, struct sluice_proofs);
} proof_numbers SEC(".maps");
#endif

#endif
