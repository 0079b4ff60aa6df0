/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `suspicions`: members that new connections find dead. `member_failures`: how many did so lately.
 *
 * Both are written by the data plane. The controller takes the suspicions, asks the members' monitors at once, and
 * keeps new connections away from members that do not answer those either. A suspicion is a hint: none is told while
 * the ring is full, and the next failure tells again. */
#ifndef SLUICE_SUSPICION_H
#define SLUICE_SUSPICION_H

#include "member.h"
#include "types.h"

/* A member is told of at its first failure within a second, and once more at this one. */
#define SLUICE_FAILURE_BURST 3

/* What a new connection met. */
enum sluice_failure {
	SLUICE_FAILURE_REFUSED,     /* TCP RST or SCTP ABORT in place of an answer */
	SLUICE_FAILURE_UNANSWERED,  /* the client sends its SYN or INIT again: there was no answer to the last one */
	SLUICE_FAILURE_UNREACHABLE, /* an ICMP error says so, of any packet to the member */
};

/* The second that is counted. */
struct sluice_member_failures {
	__u32 since_jiffies;
	__u32 failures;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_member_failures) == 8);

/* One record of `suspicions`. */
struct sluice_suspicion {
	__u32 member;   /* index */
	__u32 failures; /* within a second: 1 or SLUICE_FAILURE_BURST */
	__u32 failure;  /* the last one; enum sluice_failure */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_suspicion) == 12);

#ifdef __bpf__
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, struct sluice_member_failures);
} member_failures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} suspicions SEC(".maps");
#endif

#endif
