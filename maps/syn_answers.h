/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `syn_answers`: how many SYNs of listeners that authenticate were answered lately: in all, and of each network.
 *
 * The data plane writes and reads it for such SYNs, to keep to its limits (bpf/authenticate.h). `explain` copies it. Networks
 * share entries by a keyed hash. It may begin empty. */
#ifndef SLUICE_SYN_ANSWERS_H
#define SLUICE_SYN_ANSWERS_H

#include "types.h"

#define SLUICE_SYN_ANSWER_NETWORKS 1023U

struct sluice_syn_answers {
	__u32 time; /* a jiffy of all answers; a second of a network's */
	__u32 sent;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_syn_answers) == 8);

#ifdef __bpf__
/* The first one is of all answers, the others are of networks. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 + SLUICE_SYN_ANSWER_NETWORKS);
	__type(key, __u32);
	__type(value, struct sluice_syn_answers);
} syn_answers SEC(".maps");
#endif

#endif
