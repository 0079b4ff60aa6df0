/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Members that new connections find dead: told to the controller, which asks their monitors at once. */
#ifndef SLUICE_BPF_SUSPECT_H
#define SLUICE_BPF_SUSPECT_H

#include "bpf/clock.h"
#include "maps/flow.h"
#include "maps/suspicion.h"

/* Notes a failure (enum sluice_failure) of the member of a flow in this state. A flood against a dead member tells twice
 * a second; that two CPUs may begin a second both is no harm. */
__noinline int suspect_member(__u64 state, __u32 failure)
{
	struct sluice_suspicion suspicion = {.member = SLUICE_STATE_GET(state, MEMBER), .failure = failure};
	struct sluice_member_failures *lately = bpf_map_lookup_elem(&member_failures, &suspicion.member);
	__u32 now = clock_jiffies();

	if (!lately)
		return 0;
	if (now - lately->since_jiffies >= clock_hz) {
		lately->since_jiffies = now;
		lately->failures = 0;
	}
	suspicion.failures = __sync_fetch_and_add(&lately->failures, 1) + 1;
	if (suspicion.failures == 1 || suspicion.failures == SLUICE_FAILURE_BURST)
		bpf_ringbuf_output(&suspicions, &suspicion, sizeof(suspicion), 0);
	return 0;
}

#endif
