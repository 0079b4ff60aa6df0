/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Code for the verifier: access to the bytes of a packet, and tricks that keep the compiler from hiding a check.
 *
 * Contract: packets are read and written only through packet_at(), so no access ever leaves the frame or
 * HEADERS_END. */
#ifndef SLUICE_BPF_VERIFIER_H
#define SLUICE_BPF_VERIFIER_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps/types.h"

/* Makes the compiler test a pointer itself and not the condition that made it NULL: the verifier of kernel 6.1 does
 * not see that the two are the same. */
#define MUST_TEST(pointer) asm volatile("" : "+r"(pointer))

/* Keeps a condition separate: if two pointers have to be tested, the compiler would test their bitwise or, which the
 * verifier does not allow. */
#define TEST_ALONE(condition) asm volatile("" : "+r"(condition))

/* Ends a round of a loop with this counter. The verifier of kernel 6.1 refuses a loop ("back-edge") if the instruction that
 * leads back to its first one is no jump, and the compiler may lay the loop's blocks out like that. */
#define JUMP_BACK(counter) asm volatile("goto +0" : "+r"(counter))

/* The limit of parsing: a packet's last header must end here, counted from the frame's first byte. The verifier
 * needs a limit, and drivers put no more into the first of several buffers, which is all that a program sees: 4 KiB
 * less the room before and after. Honest headers end long before (RFC 8504, 5.3). */
#define HEADERS_END 3072
#define OFFSET_MASK 0xfff
SLUICE_STATIC_ASSERT(HEADERS_END <= OFFSET_MASK);

/* Returns the bytes at `offset` of the frame, or NULL if they are not all there and before HEADERS_END. */
static __always_inline void *packet_at(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;

	if (offset > HEADERS_END - bytes)
		return NULL;
	/* The limit holds already, but the verifier must see it in the register that is added. */
	asm volatile("" : "+r"(offset));
	offset &= OFFSET_MASK;
	return data + offset + bytes <= data_end ? data + offset : NULL;
}

#endif
