/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* struct sluice_flow_image: a connection outside of the flow tables, for whoever carries it to another table: of
 * another layout, or of another node. struct sluice_flow_batch: argument and result of the programs that read and
 * insert them.
 *
 * `flow_walk` (SEC("syscall")) reads the connections of the tables, `flow_put` inserts them (bpf/flow_image.h).
 * Neither is a map, but both cross a border between builds: the pinned flow_walk knows the layout of the pinned
 * tables, so a newer build, which doesn't, has it read them. So these bytes have a version, and fields keep their
 * places.
 *
 * An image says nothing about where a connection lies, how its table hashes, or by which next hop it goes: the table
 * that gets it finds that out. It names listener and member by UUID. The indices beside them hold only for the maps
 * of the node that wrote the image; another node replaces them by its own before it puts the image. */
#ifndef SLUICE_FLOW_IMAGE_H
#define SLUICE_FLOW_IMAGE_H

#include "types.h"

#define SLUICE_FLOW_IMAGE_VERSION 1

/* Flags of an image. */
#define SLUICE_IMAGE_KEEPS_CLIENT 1U /* the member sees the client's address (dnat, dsr, ipip) */
#define SLUICE_IMAGE_DIRECT 2U       /* the member answers past us (dsr, ipip): its packets keep their tuple */

#define SLUICE_IMAGE_REPLICA 2 /* the phase of a replica (replica.h) */

struct sluice_flow_image {
	union sluice_address client;
	union sluice_address vip;    /* to which the client connected */
	union sluice_address source; /* of the packets that the member gets */
	union sluice_address member; /* their destination; SLUICE_IMAGE_DIRECT: the VIP */
	struct sluice_id listener_id; /* zero: the listener is gone, its connections live on */
	struct sluice_id member_id;
	__be16 client_port;
	__be16 vip_port;
	__be16 source_port;
	__be16 member_port;
	__u32 listener_index;
	__u32 member_index;
	__u16 client_idle; /* seconds since the last packet, to the nearest tick */
	__u16 member_idle;
	__u8 family;   /* 4 or 6 */
	__u8 protocol; /* enum sluice_flow_protocol */
	/* 1: replied, 2: established, 4: the client's FIN, 8: the member's; see SLUICE_PHASE_* in flow.h */
	__u8 phase;
	__u8 flags;
	__u8 result; /* enum sluice_flow_put_result, written by flow_put */
	__u8 zero[7];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_image) == 128);

/* What became of an image. */
enum sluice_flow_put_result {
	SLUICE_PUT_DONE,
	SLUICE_PUT_NOT_TRIED,  /* the batch was refused */
	SLUICE_PUT_EXISTS,     /* the connection is in the table already, and was left as it is */
	SLUICE_PUT_PORT_TAKEN, /* another one has its source port toward the member */
	SLUICE_PUT_NO_ROOM,    /* its window is full, or its kind has its share of the table; nothing is evicted for it */
	SLUICE_PUT_LOCKED,     /* another CPU held its bucket for too long: try again */
	SLUICE_PUT_NO_LISTENER, /* the listener with this index at this address has another id, or there is none */
	SLUICE_PUT_NO_MEMBER,  /* the same for the member */
	SLUICE_PUT_UNFIT,      /* damaged, or this build's tables can't hold it */
	SLUICE_PUT_REFRESHED,  /* a replica that is there already has its stamps now */
	SLUICE_PUT_RESULTS
};

/* What became of a batch. */
enum sluice_batch_status {
	SLUICE_BATCH_DONE,
	SLUICE_BATCH_VERSION, /* flow_put does not know this version of the image */
	SLUICE_BATCH_BUSY,    /* flows are being moved, or another process reads or puts: try again */
	SLUICE_BATCH_BEGIN_ANEW, /* flow_walk: flows were moved to buckets that it has passed */
};

enum sluice_replicas_request {
	SLUICE_REPLICAS_PUT, /* inserts or refreshes them; their phase is that of a replica */
	SLUICE_REPLICAS_END, /* removes them, because they have ended where they lived */
};

enum sluice_put_request {
	SLUICE_PUT_INSERT,
	/* The connections were put, and what they were read from goes on with another phase: `result` says with which
	 * phase they were put, `phase` what has become of it. Nothing is counted that was counted there. */
	SLUICE_PUT_AMEND,
	/* The connections were put, and have ended where they were read, which was counted there. */
	SLUICE_PUT_TAKE_BACK,
};

#define SLUICE_BATCH_IMAGES 256

/* flow_walk: reads one family's connections that exist from the walk's beginning to its end, and perhaps others. A
 * run ends when the images are full, or after some thousand buckets, also without an image. It may give a
 * connection twice. Whoever runs it sets `next` to 0 for the first run and leaves `next` and `change` as they are
 * until `next` is 0 again.
 *
 * flow_put: does with the first `count` images, all of `family`, what `request` says.
 *
 * flow_replicas: does with the first `count` images, all of `family`, what `request` says. */
struct sluice_flow_batch {
	__u32 version; /* flow_walk: out. flow_put: in */
	__u32 family;  /* 4 or 6 */
	__u32 count;   /* flow_walk: out. flow_put: in */
	/* flow_put: 1: these connections are counted in the maps here, and have their indices. 0: they come from
	 * elsewhere, so ids are compared, the shares of the table hold, and the connections are counted. */
	__u32 own;
	__u32 next;    /* flow_walk */
	__u32 change;  /* flow_walk */
	__u32 status;  /* out: enum sluice_batch_status */
	__u32 request; /* flow_replicas: enum sluice_replicas_request; flow_put: enum sluice_put_request */
	struct sluice_flow_image images[SLUICE_BATCH_IMAGES];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_flow_batch) == 32 + 128 * SLUICE_BATCH_IMAGES);

#endif
