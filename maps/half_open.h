/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `listener_half_open`, `member_half_open`: numbers of connections that are not confirmed, by index.
 * `listener_confirmed`, `member_confirmed`: numbers of those that are, which is what a connection_limit and
 * max_connections count.
 *
 * The data plane writes them when a connection is opened, confirmed and ended. Connections of a listener with more
 * than its share of the half-open room are evicted first, and a member's half-open connections hold at most a share
 * of its source ports. The counters may begin at zero beside connections of an older version, so they never stay below
 * zero; until those connections have ended, `listener_active` less `listener_half_open` is nearer than
 * `listener_confirmed`, and the larger of the two counts (members alike). What an older version left alone while it ran
 * is set to zero before a program that counts here runs again (kernel::forget_stale_counts()). */
#ifndef SLUICE_HALF_OPEN_H
#define SLUICE_HALF_OPEN_H

#include "listener.h"
#include "member.h"
#include "types.h"

/* A listener's own share of the half-open room: others may take from listeners that exceed it. */
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, __u32);
} listener_confirmed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} member_confirmed SEC(".maps");
#endif

#endif
