/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The flows' clock: jiffies, which the JIT reads without a call (every other clock costs 17-35 ns a packet), and
 * ticks of several jiffies. */
#ifndef SLUICE_BPF_CLOCK_H
#define SLUICE_BPF_CLOCK_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps/flow.h"

/* CONFIG_HZ of the running kernel, and the power of 2 of jiffies that comes nearest to SLUICE_TICK_SECONDS. User
 * space sets both before load. */
const volatile __u32 clock_hz = 1000;
const volatile __u32 clock_tick_shift = 12;

static __always_inline __u32 clock_jiffies(void)
{
	return (__u32)bpf_jiffies64();
}

/* Returns the present tick, in as many bits as a flow's state has for it. */
static __always_inline __u32 clock_ticks(void)
{
	return (bpf_jiffies64() >> clock_tick_shift) & SLUICE_STATE_SEEN_MASK;
}

/* Converts seconds to ticks: rounds up and adds one, because the present tick may end at once. */
static __always_inline __u32 clock_ticks_in(__u32 seconds)
{
	return ((seconds * clock_hz) >> clock_tick_shift) + 2;
}

#endif
