/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `suspicions`: members that new connections find dead. `member_failures`: how many did so lately. `member_silences`: since
 * when a member has been asked without answering anybody.
 *
 * All are written by the data plane. The controller takes the suspicions, asks the members' monitors at once, and
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
	/* The client sends its SYN or INIT again, and the member has answered nobody for SLUICE_SILENCE_MILLISECONDS since it
	 * was asked. */
	SLUICE_FAILURE_UNANSWERED,
	SLUICE_FAILURE_UNREACHABLE, /* an ICMP error says so, of any packet to the member */
};

/* Somewhat less than the time after which TCP sends a SYN again (1 s, RFC 6298): a client that sends it twice at once
 * proves nothing. */
#define SLUICE_SILENCE_MILLISECONDS 800

/* A silence that has lasted so long begins anew with the next SYN or INIT: the one that it began with may have been lost
 * long before somebody else asked. More than the 4 s within which TCP has sent a SYN three times. */
#define SLUICE_SILENCE_FORGOTTEN_SECONDS 6

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

/* The jiffy of the first SYN or INIT since the last answer, a refusal counting as one; 0: nobody waits for an answer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLUICE_MAX_MEMBERS);
	__type(key, __u32);
	__type(value, __u32);
} member_silences SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} suspicions SEC(".maps");
#endif

#endif
