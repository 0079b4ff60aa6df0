/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* `suspicions`: members at which new connections fail. `member_failures`: the number of recent failures.
 * `member_silences`: the time since which a member has answered nobody.
 *
 * The data plane writes all of them. The controller reads the suspicions, has the members probed at once, and keeps
 * new connections away from members that do not answer probes either. A suspicion is a hint: none is sent while the
 * ring buffer is full, and the next failure sends another one. */
#ifndef SLUICE_SUSPICION_H
#define SLUICE_SUSPICION_H

#include "member.h"
#include "types.h"

/* A member is reported at its first failure within a second, and once more at this one. */
#define SLUICE_FAILURE_BURST 3

/* The kinds of failures of new connections. */
enum sluice_failure {
	SLUICE_FAILURE_REFUSED,     /* TCP RST or SCTP ABORT in place of an answer */
	/* The client retransmits its SYN or INIT, and the member has answered nobody for
	 * SLUICE_SILENCE_MILLISECONDS. */
	SLUICE_FAILURE_UNANSWERED,
	SLUICE_FAILURE_UNREACHABLE, /* an ICMP error about any packet to the member */
};

/* This is somewhat less than the time after which TCP retransmits a SYN (1 s, RFC 6298): a client that sends it
 * twice at once proves nothing. */
#define SLUICE_SILENCE_MILLISECONDS 800

/* A silence that has lasted so long begins anew with the next SYN or INIT, because the first one may have been lost
 * long before. This is more than the 4 s within which TCP sends a SYN three times. */
#define SLUICE_SILENCE_FORGOTTEN_SECONDS 6

/* The failures within the present second. */
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

/* The jiffy of the first SYN or INIT since the last answer; a refusal is an answer. 0: nobody waits for one. */
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
