/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* A flow's listener: its slot has only a part of the index, see maps/listener_bank.h. */
#ifndef SLUICE_BPF_LISTENER_BANK_H
#define SLUICE_BPF_LISTENER_BANK_H

#include "bpf/packet.h"
#include "maps/listener_bank.h"

static __always_inline __u32 listener_of_flow(__u64 state)
{
	return sluice_listener_of_flow(&listener_banks, state);
}

#endif
