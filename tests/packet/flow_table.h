/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Shared by the flow table's stress test and its program. */
#ifndef SLUICE_TEST_FLOW_TABLE_H
#define SLUICE_TEST_FLOW_TABLE_H

#include <linux/types.h>

/* Keys 0..ANCHORS-1 are inserted first and never removed; the others come and go. */
#define STRESS_ANCHORS 8
#define STRESS_KEYS 64
/* There are so few homes that windows overlap and buckets overflow. */
#define STRESS_HOMES 8
/* A table with three areas: 2^5 homes, 2^6, and all. */
#define STRESS_AREA_BITS 5
#define STRESS_AREA_HOMES 100

/* The flow in the middle, whose removal or change is held up. */
#define STRESS_HELD 10

enum place { PAUSE_NOWHERE, PAUSE_CHANGING, PAUSE_REMOVING, PAUSE_MOVING, PAUSE_SEARCHING, PAUSE_COUNTING };

struct stress_counts {
	__u64 inserted, taken, no_room, contended; /* what flow_insert() said */
	__u64 removed;
	__u64 moved;
	__u64 met; /* one CPU was held up until the other had done its part */
	__u64 found, absent;
	__u64 torn; /* found, but with another flow's values */
	__u64 lost; /* an anchor was not found */
	__u64 negative; /* a counter of connections was below zero */
};

#endif
