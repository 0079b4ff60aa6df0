/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks over a segment's TCP options (RFC 9293, 3.1): one option at a time, each in a function that the verifier checks on
 * its own. */
#ifndef SLUICE_BPF_TCP_OPTIONS_H
#define SLUICE_BPF_TCP_OPTIONS_H

#include <linux/types.h>

#include "bpf/protocols.h"
#include "bpf/verifier.h"

/* Returns the length of the option at `offset`; 0: there is none before `end`. A list that lies about its lengths ends there,
 * as for every receiver. */
static __always_inline __u32 tcp_option_bytes(struct xdp_md *ctx, __u32 offset, __u32 end)
{
	const __u8 *option = packet_at(ctx, offset, 1);
	__u32 bytes;

	if (!option || offset >= end || *option == TCP_OPTION_END)
		return 0;
	if (*option == TCP_OPTION_NOTHING)
		return 1;
	option = packet_at(ctx, offset, 2);
	if (!option)
		return 0;
	bytes = option[1];
	return bytes < 2 || bytes > TCP_OPTIONS_BYTES || offset + bytes > end ? 0 : bytes;
}

#endif
