/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Code that has its form for the verifier's sake: how the bytes of a packet are reached, and tricks that keep the compiler
 * from hiding a check.
 *
 * Contract: nothing reads or writes a packet but through packet_at(), so no access ever leaves the frame. */
#ifndef SLUICE_BPF_VERIFIER_H
#define SLUICE_BPF_VERIFIER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* Makes the compiler test a pointer itself, and not what decided whether it is NULL: the verifier of kernel 6.1 does not
 * see that the two are the same. */
#define MUST_TEST(pointer) asm volatile("" : "+r"(pointer))

/* The bytes at `offset` of the frame, or NULL if they are not all there. Headers are within the first 4 KiB. */
static __always_inline void *packet_at(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;

	/* The verifier must know a limit, and see it in the register that is added. */
	offset &= 0xfff;
	asm volatile("" : "+r"(offset));
	offset &= 0xfff;
	return data + offset + bytes <= data_end ? data + offset : NULL;
}

#endif
