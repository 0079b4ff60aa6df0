/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `listener_half_open`, `member_half_open`: connections that are not confirmed, by index.
 *
 * Written by the data plane when a connection is opened, confirmed and ended. What is left of `listener_active` without
 * them is what a connection_limit counts; a listener with more than its share of the half-open room makes way first, and
 * a member's half-open connections hold at most a share of its source ports. They may begin at zero beside connections
 * that an older version opened: none is taken away from zero. */
#ifndef SLUICE_HALF_OPEN_H
#define SLUICE_HALF_OPEN_H

#include "listener.h"
#include "member.h"
#include "types.h"

/* Of the half-open room: up to so much of it is a listener's own, and what others need is taken from those beyond. */
#define SLUICE_LISTENER_HALF_OPEN_SHARE 16

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, __u32);
} listener_half_open SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} member_half_open SEC(".maps");
#endif

#endif
