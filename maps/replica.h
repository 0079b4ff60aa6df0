/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `fleet`: what the data plane must know when it is one of several nodes. `flow_changes`: what it tells the others of
 * its connections. `flow_change_losses`: changes that found no room.
 *
 * A replica is a connection whose packets go through another node. It has its slots here, in SLUICE_PHASE_REPLICA and
 * without next hops, so its first packet of either end takes the slow path. That packet makes it a connection of this
 * node's own: the phase becomes that of any other connection, and the change is told. So the phase says whether this
 * node has ever carried a packet of it, and no packet pays for the question.
 *
 * A change is told when a connection is confirmed or taken over, when it ends (or goes on after all), and once in half
 * of its idle time while it has packets. Unconfirmed connections are never told, and nobody is told of a replica.
 *
 * Replicas are in `listener_active`, `member_active`, `listener_confirmed` and `member_confirmed`, so limits and least
 * connections see the whole fleet. They are not in flows_opened and flows_ended, which say what a node has carried:
 * a replica that is taken over is opened here, and a connection that becomes a replica has ended here. */
#ifndef SLUICE_REPLICA_H
#define SLUICE_REPLICA_H

#include "record.h"
#include "types.h"

/* The numbers in `fleet`. */
enum sluice_fleet_number {
	SLUICE_FLEET_TELLS,       /* 1: changes are told. Written by sluiced */
	SLUICE_FLEET_GRACE_UNTIL, /* packets from the middle of unknown connections are dropped silently until then, in ns
				   * of CLOCK_BOOTTIME; 0: they are not. Written by sluiced; the sweep sets it to 0 when
				   * it is over */
	SLUICE_FLEET_REFRESHED,   /* the tick up to which the sweep has told who is alive; 0: it begins. The sweep's own */
	SLUICE_FLEET_NUMBERS
};

/* As many changes as `records` holds. An entry is a struct sluice_record4 or sluice_record6. */
#define SLUICE_FLOW_CHANGES_BYTES SLUICE_RECORDS_BYTES

/* Replicas get half of their idle time on top, at most this: their node tells of them so often. */
#define SLUICE_REFRESH_SECONDS 3600

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_FLEET_NUMBERS);
	__type(key, __u32);
	__type(value, __u64);
} fleet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, SLUICE_FLOW_CHANGES_BYTES);
} flow_changes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} flow_change_losses SEC(".maps");
#endif

#endif
