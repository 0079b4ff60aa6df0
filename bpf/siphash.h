/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* SipHash-1-3 (Aumasson and Bernstein; the kernel's hsiphash), by the key in `hash_key`: outputs tell nobody the key. */
#ifndef SLUICE_BPF_SIPHASH_H
#define SLUICE_BPF_SIPHASH_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "maps/hash_key.h"

static __always_inline __u64 rotate(__u64 x, __u32 bits)
{
	return x << bits | x >> (64 - bits);
}

struct sip_state {
	__u64 a, b, c, d;
};

static __always_inline void sip_round(struct sip_state *v)
{
	v->a += v->b;
	v->b = rotate(v->b, 13) ^ v->a;
	v->a = rotate(v->a, 32);
	v->c += v->d;
	v->d = rotate(v->d, 16) ^ v->c;
	v->a += v->d;
	v->d = rotate(v->d, 21) ^ v->a;
	v->c += v->b;
	v->b = rotate(v->b, 17) ^ v->c;
	v->c = rotate(v->c, 32);
}

static __always_inline void sip_take(struct sip_state *v, __u64 word)
{
	v->d ^= word;
	sip_round(v);
	v->a ^= word;
}

/* `key` may be NULL, which is one of zeros. */
static __always_inline struct sip_state sip_begin(const struct sluice_hash_key *key)
{
	struct sip_state v = {0x736f6d6570736575ULL, 0x646f72616e646f6dULL, 0x6c7967656e657261ULL,
			      0x7465646279746573ULL};

	if (key) {
		v.a ^= key->halves[0];
		v.b ^= key->halves[1];
		v.c ^= key->halves[0];
		v.d ^= key->halves[1];
	}
	return v;
}

static __always_inline __u64 sip_end(struct sip_state *v)
{
	v->c ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v->a ^ v->b ^ v->c ^ v->d;
}

#endif
