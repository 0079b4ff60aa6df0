/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Capturing packets: writes frames and reasons to a ring buffer.
 *
 * Only sluice_capture does so, which replaces sluice_xdp during a capture. So packets pay nothing at other times, not
 * even for a check.
 *
 * Each function is verified on its own and calls no other one, so that it needs the stack of a leaf only. */
#ifndef SLUICE_BPF_CAPTURE_H
#define SLUICE_BPF_CAPTURE_H

#include <linux/if_ether.h>

#include "bpf/journey.h"
#include "bpf/packet.h"
#include "maps/capture.h"

/* The default filter captures everything. */
const volatile struct sluice_capture_filter capture_filter = {.reasons = {~0ULL, ~0ULL, ~0ULL, ~0ULL}, .bytes = 256, .every = 1};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} local_capture SEC(".maps");

/* Frames for which the ring buffer had no room. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} local_capture_lost SEC(".maps");

/* The frame that is written to the ring buffer. */
struct capture {
	__u64 matched; /* packets so far */
	struct sluice_captured head;
	__u8 frame[SLUICE_CAPTURE_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct capture);
} local_capture_frame SEC(".maps");

static __always_inline struct capture *capture_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&local_capture_frame, &zero);
}

/* Captures the present frame. It copies with a helper instead of a pointer, because the frame may have several
 * buffers. */
static __always_inline void capture_frame(struct capture *c, struct xdp_md *ctx)
{
	__u64 bytes = bpf_xdp_get_buff_len(ctx);
	__u32 kept = bytes < capture_filter.bytes ? bytes : capture_filter.bytes;

	c->head.frame_bytes = bytes;
	c->head.kept_bytes = 0;
	/* Each limit is checked separately and on the register that is passed, because the verifier of kernel 6.1
	 * sees it only there. No frame is shorter than its Ethernet header. */
	asm volatile("" : "+r"(kept));
	if (kept < ETH_HLEN)
		return;
	asm volatile("" : "+r"(kept));
	if (kept <= SLUICE_CAPTURE_BYTES && !bpf_xdp_load_bytes(ctx, 0, c->frame, kept))
		c->head.kept_bytes = kept;
}

static __always_inline void capture_tell(struct capture *c)
{
	__u32 kept = c->head.kept_bytes, zero = 0;
	__u64 *lost;

	asm volatile("" : "+r"(kept));
	if (kept <= SLUICE_CAPTURE_BYTES &&
	    !bpf_ringbuf_output(&local_capture, &c->head, sizeof(c->head) + kept, 0))
		return;
	lost = bpf_map_lookup_elem(&local_capture_lost, &zero);
	if (lost)
		++*lost;
}

static __always_inline bool in_captured_network(const union sluice_address *address)
{
	const volatile struct sluice_capture_filter *f = &capture_filter;

	return (address->halves[0] & f->mask.halves[0]) == f->network.halves[0] &&
	       (address->halves[1] & f->mask.halves[1]) == f->network.halves[1];
}

static __always_inline bool is_wanted(const struct tuple *t, __u32 reason)
{
	const volatile struct sluice_capture_filter *f = &capture_filter;

	return f->reasons[reason / 64 % (SLUICE_MAX_REASONS / 64)] >> (reason % 64) & 1 &&
	       (in_captured_network(&t->source) || in_captured_network(&t->destination)) &&
	       (!f->port || f->port == t->source_port || f->port == t->destination_port);
}

/* Captures the packet before anything is done to it. */
__noinline int capture_arrival(struct xdp_md *ctx)
{
	struct capture *c = capture_get();
	struct journey *journey = journey_get();

	if (!c || !journey)
		return 0;
	/* Non-IP packets never set a tuple. */
	__builtin_memset(&journey->packet.tuple, 0, sizeof(journey->packet.tuple));
	c->head.nanoseconds = bpf_ktime_get_ns();
	c->head.ifindex = ctx->ingress_ifindex;
	c->head.departure = 0;
	capture_frame(c, ctx);
	return 0;
}

/* Submits the packet afterwards if it matches the filter. `egress_ifindex` is 0 if it doesn't leave. */
__noinline int capture_departure(struct xdp_md *ctx, __u32 reason, __u32 egress_ifindex)
{
	struct capture *c = capture_get();
	struct journey *journey = journey_get();

	if (!c || !journey || !is_wanted(&journey->packet.tuple, reason) || c->matched++ % capture_filter.every)
		return 0;
	c->head.reason = reason;
	capture_tell(c);
	if (!egress_ifindex)
		return 0;
	c->head.ifindex = egress_ifindex;
	c->head.departure = 1;
	capture_frame(c, ctx);
	capture_tell(c);
	return 0;
}

#endif
