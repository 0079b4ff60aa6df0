// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* The wrapper of the packet-cost bench: makes the next packet, then tail-calls the program that is measured.
 *
 * BPF_PROG_TEST_RUN with a repeat count hands the same buffer to the program again and again. A program that rewrites
 * it would from the second round on see its own output, so this wrapper restores the packet from a template first, and
 * it walks through many flows: `tuples` holds them in visiting order, so that reading it costs the same at every number
 * of flows (the hardware prefetches it) while the flows themselves are visited in a shuffled order. Its own cost is
 * measured by letting it tail-call `floor_drop`.
 *
 * With live frames (BPF_F_TEST_XDP_LIVE_FRAMES) there is a batch of buffers, which really leave through a veth when
 * the program says so; they come back with what was written into them, so the same wrapper serves.
 *
 * The packet is stored in pieces that no field of the fast path straddles. A NIC's packet comes from the cache; one
 * that was stored a moment ago comes from the CPU's store buffer, and a load that needs two stores waits until both
 * have left it. Only the slow path sums the IPv4 header up in words from its start on; the second word (id, fragment
 * offset) needs two stores, which costs a SYN some 15 cycles that it would not pay on a NIC. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tests/bench/packet_cost.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* set before load */
	__type(key, __u32);
	__type(value, struct bench_tuple);
} tuples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bench_walk);
} walks SEC(".maps");

/* The frame without its tuple. */
struct bench_template template_frame = {};

#define COPY(type, offset) (*(type *)(frame + (offset)) = *(const type *)(template_frame.bytes + (offset)))

/* If it is set before a run, each packet waits for the one before. */
__u64 serial = 0;
/* This is always 0, but the compiler doesn't know that. */
__u64 nothing = 0;

/* The program exchanges IP headers of different lengths. */
const volatile bool changes_length = false;

/* Makes the frame as long as it was. */
static __always_inline void restore_length(struct xdp_md *ctx, int bytes)
{
	if (changes_length)
		bpf_xdp_adjust_head(ctx, (int)bpf_xdp_get_buff_len(ctx) - bytes);
}

/* The next packet's tuple, or NULL. `written` is what the program has written into the packet before. In the serial mode
 * the tuple's place depends on it, so the CPU can't look for this packet's flow as long as it waits for that of the one
 * before; a driver's work between two packets keeps it from that, too. */
static __always_inline const struct bench_tuple *next_tuple(__u64 written)
{
	struct bench_walk *walk;
	__u32 zero = 0, position;

	walk = bpf_map_lookup_elem(&walks, &zero);
	if (!walk)
		return NULL;
	position = walk->next;
	if (serial)
		position += written & nothing;
	walk->next = position + 1 == walk->end ? walk->begin : position + 1;
	return bpf_map_lookup_elem(&tuples, &position);
}

SEC("xdp.frags")
int bench_wrapper4(struct xdp_md *ctx)
{
	const struct bench_tuple *tuple;
	void *frame;

	restore_length(ctx, BENCH_FRAME4_BYTES);
	frame = (void *)(long)ctx->data;
	if (frame + BENCH_FRAME4_BYTES > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	tuple = next_tuple(*(__u64 *)(frame + 26));
	if (!tuple)
		return XDP_ABORTED;
	COPY(__u64, 0);  /* destination MAC, source MAC */
	COPY(__u32, 8);
	COPY(__u64, 12); /* ethertype, version, TOS: read as one word; length, id */
	COPY(__u16, 20); /* fragment offset */
	/* TTL, protocol, checksum */
	*(__u32 *)(frame + 22) = *(const __u32 *)(template_frame.bytes + 22) | (__u32)tuple->ipv4_checksum << 16;
	*(__u64 *)(frame + 26) = (__u64)tuple->destination.ipv4 << 32 | tuple->source.ipv4;
	*(__u32 *)(frame + 34) = tuple->ports;
	COPY(__u64, 38); /* TCP: sequence and acknowledgment numbers; UDP: length, checksum */
	COPY(__u32, 46); /* TCP: header length, flags, window */
	COPY(__u32, 50); /* TCP: checksum, urgent pointer */
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int bench_wrapper6(struct xdp_md *ctx)
{
	const struct bench_tuple *tuple;
	void *frame;

	restore_length(ctx, BENCH_FRAME6_BYTES);
	frame = (void *)(long)ctx->data;
	if (frame + BENCH_FRAME6_BYTES > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	tuple = next_tuple(*(__u64 *)(frame + 46));
	if (!tuple)
		return XDP_ABORTED;
	COPY(__u64, 0);
	COPY(__u32, 8);
	COPY(__u64, 12); /* ethertype, flow label, length */
	COPY(__u16, 20); /* next header, hop limit */
	for (int i = 0; i < 2; i++) {
		*(__u64 *)(frame + 22 + 8 * i) = tuple->source.halves[i];
		*(__u64 *)(frame + 38 + 8 * i) = tuple->destination.halves[i];
	}
	*(__u32 *)(frame + 54) = tuple->ports;
	COPY(__u64, 58);
	COPY(__u32, 66);
	COPY(__u32, 70);
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

SEC("xdp.frags")
int floor_drop(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

SEC("xdp.frags")
int floor_tx(struct xdp_md *ctx)
{
	__u16 *mac = (void *)(long)ctx->data;

	if ((void *)(mac + 6) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	for (int i = 0; i < 3; i++) {
		__u16 word = mac[i];

		mac[i] = mac[i + 3];
		mac[i + 3] = word;
	}
	return XDP_TX;
}

/* TCP and UDP packets that arrived at the other end of a wire, where this program ends their journey. The rest is what
 * the kernel says by itself (neighbour discovery, multicast listeners). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} arrived SEC(".maps");

SEC("xdp.frags")
int wires_end(struct xdp_md *ctx)
{
	const __u8 *frame = (void *)(long)ctx->data;
	__u32 zero = 0;
	__u64 *frames = bpf_map_lookup_elem(&arrived, &zero);
	__u8 protocol;

	if (!frames || (void *)(frame + 24) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	protocol = frame[12] == 0x08 ? frame[23] : frame[20];
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
		++*frames;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
