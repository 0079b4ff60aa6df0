/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `listener_banks`: the bank of each member's listeners. `member_load_balancers`: whose member it is.
 *
 * A flow's slot has 12 bits for its listener (flow.h), which is too few. So listeners are numbered in banks of 4,096, and
 * the slot has the number within the bank. The bank follows from the slot's member: a load balancer is in one bank with
 * all its members and all its listeners, and neither ever goes to another load balancer. An index of `members` gets its bank
 * when it goes to a new member, which is when no flow is left on it.
 *
 * The controller writes both before the member; the data plane reads `listener_banks` for every packet of a flow. A map of
 * zeros is that of a data plane with one bank. */
#ifndef SLUICE_LISTENER_BANK_H
#define SLUICE_LISTENER_BANK_H

#include "flow.h"
#include "listener.h"
#include "member.h"
#include "types.h"

#define SLUICE_BANK_LISTENERS (SLUICE_STATE_LISTENER_IN_BANK_MASK + 1)
#define SLUICE_LISTENER_BANKS (SLUICE_MAX_LISTENERS / SLUICE_BANK_LISTENERS)
SLUICE_STATIC_ASSERT(SLUICE_MAX_LISTENERS % SLUICE_BANK_LISTENERS == 0);

struct sluice_listener_banks {
	__u8 of_member[SLUICE_MAX_MEMBERS]; /* by index; below SLUICE_LISTENER_BANKS */
};
SLUICE_STATIC_ASSERT(SLUICE_MAX_MEMBERS == SLUICE_STATE_MEMBER_MASK + 1);

static inline __u32 sluice_bank_of_listener(__u32 listener)
{
	return listener / SLUICE_BANK_LISTENERS;
}

/* Returns the index of the listener that has this number in the member's bank. */
static inline __u32 sluice_listener_in_bank_of(const struct sluice_listener_banks *banks, __u32 number, __u32 member)
{
	return number + banks->of_member[member & SLUICE_STATE_MEMBER_MASK] * SLUICE_BANK_LISTENERS;
}

/* Returns the index of a flow's listener, given the state of one of its slots. */
static inline __u32 sluice_listener_of_flow(const struct sluice_listener_banks *banks, __u64 state)
{
	return sluice_listener_in_bank_of(banks, SLUICE_STATE_GET(state, LISTENER_IN_BANK),
					  SLUICE_STATE_GET(state, MEMBER));
}

#ifdef __bpf__
/* Global data, which a packet reads without a lookup; otherwise an array of one element (runtime.h). */
struct sluice_listener_banks listener_banks SEC(".data.listener_banks");

/* Only user space writes and reads it: the bank of a load balancer that has members is that of its members. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_id);
} member_load_balancers SEC(".maps");
#endif

#endif
