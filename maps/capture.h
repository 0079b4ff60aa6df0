/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Captures: the filter and the records of the program sluice_capture.
 *
 * They are not part of the contract: `local_capture` and `local_capture_lost` live as long as one capture, and the
 * filter is set before the program is loaded. Only the controller loads it (userspace/dataplane/capture.hpp). */
#ifndef SLUICE_CAPTURE_H
#define SLUICE_CAPTURE_H

#include "reasons.h"
#include "types.h"

/* At most so many bytes of a frame are captured: all of one with the usual Ethernet MTU, including tags. */
#define SLUICE_CAPTURE_BYTES 2048

/* Selects the packets to capture. */
struct sluice_capture_filter {
	__u64 reasons[SLUICE_MAX_REASONS / 64]; /* bit n % 64 of word n / 64: those of reason n */
	union sluice_address network; /* of one of the packet's addresses as it came in, under the mask; both zero: any */
	union sluice_address mask;
	__be16 port;   /* one of its ports as it came in; 0: any */
	__u16 bytes;   /* of each frame at most: 1 to SLUICE_CAPTURE_BYTES */
	__u32 every;   /* one in so many of those, per CPU; not 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_capture_filter) == 72);

/* One frame. A packet that leaves has two, of which the first is as it came in. */
struct sluice_captured {
	__u64 nanoseconds; /* CLOCK_MONOTONIC, when it came in */
	__u32 ifindex;     /* where it came in or leaves */
	__u32 reason;      /* enum sluice_reason */
	__u32 departure;   /* 1: as it leaves */
	__u32 frame_bytes; /* its length */
	__u32 kept_bytes;  /* how many of them follow */
	__u32 zero;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_captured) == 32);

#endif
