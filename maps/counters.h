/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `reason_counters`, `later_reason_counters`, `listener_counters`, `member_counters`: counters per CPU.
 * `listener_active`, `member_active`: present connections of all CPUs together, which limits and least connections
 * need.
 *
 * The data plane writes them, and the controller resets them when an index goes to a new object. Readers sum over
 * the CPUs. */
#ifndef SLUICE_COUNTERS_H
#define SLUICE_COUNTERS_H

#include "listener.h"
#include "member.h"
#include "reasons.h"
#include "types.h"

/* Bytes are those of the frames as received. active connections = flows_opened - flows_ended. */
struct sluice_counters {
	__u64 packets_in; /* from clients */
	__u64 bytes_in;
	__u64 packets_out; /* to clients */
	__u64 bytes_out;
	__u64 flows_opened;
	__u64 flows_ended;
	__u64 flows_failed;  /* ended without having been established */
	__u64 flows_refused; /* never created: no usable member, no port, table full ... */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_counters) == 64);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_FIRST_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} reason_counters SEC(".maps");

/* Counts the reasons from SLUICE_FIRST_REASONS on. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_MAX_REASONS - SLUICE_FIRST_REASONS);
	__type(key, __u32);
	__type(value, __u64);
} later_reason_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, struct sluice_counters);
} listener_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_counters);
} member_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_LISTENERS);
	__type(key, __u32);
	__type(value, __u32);
} listener_active SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} member_active SEC(".maps");
#endif

#endif
