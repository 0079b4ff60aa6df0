/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Suspicions: reports members at which new connections fail to the controller, which probes them at once. */
#ifndef SLUICE_BPF_SUSPECT_H
#define SLUICE_BPF_SUSPECT_H

#include "bpf/clock.h"
#include "maps/flow.h"
#include "maps/suspicion.h"

static __always_inline __u32 *silence_of(__u64 state)
{
	__u32 member = SLUICE_STATE_GET(state, MEMBER);

	return bpf_map_lookup_elem(&member_silences, &member);
}

/* Notes that a SYN or INIT goes to the member. Only the first unanswered one is noted. */
static __always_inline void silence_begins(__u64 state)
{
	__u32 *since = silence_of(state), now = clock_jiffies();

	if (!since)
		return;
	if (!READ_ONCE(*since) || now - READ_ONCE(*since) >= SLUICE_SILENCE_FORGOTTEN_SECONDS * clock_hz)
		WRITE_ONCE(*since, now ? now : -1U);
}

/* Notes that the member answers. A healthy member's many answers don't write again. */
static __always_inline void silence_ends(__u64 state)
{
	__u32 *since = silence_of(state);

	if (since && READ_ONCE(*since))
		WRITE_ONCE(*since, 0);
}

/* Says whether the member has answered nobody for so long that a retransmitted SYN counts as a failure. */
static __always_inline bool is_silent(__u64 state)
{
	__u32 *known = silence_of(state), since = known ? READ_ONCE(*known) : 0, lasted = clock_jiffies() - since;

	return since && lasted >= SLUICE_SILENCE_MILLISECONDS * clock_hz / 1000 &&
	       lasted < SLUICE_SILENCE_FORGOTTEN_SECONDS * clock_hz;
}

/* Notes a failure (enum sluice_failure) of the member of a flow in this state. A flood against a dead member is
 * reported twice a second. Two CPUs may both begin a second, which does no harm. */
__noinline int suspect_member(__u64 state, __u32 failure)
{
	struct sluice_suspicion suspicion = {.member = SLUICE_STATE_GET(state, MEMBER), .failure = failure};
	struct sluice_member_failures *lately = bpf_map_lookup_elem(&member_failures, &suspicion.member);
	__u32 now = clock_jiffies();

	if (failure == SLUICE_FAILURE_REFUSED)
		silence_ends(state);
	if (failure == SLUICE_FAILURE_UNANSWERED && !is_silent(state)) {
		silence_begins(state);
		return 0;
	}
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
