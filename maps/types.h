/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Types that several maps share. They are legal C for both compilers; sizes are asserted because these bytes are in
 * pinned maps, which outlive any build. */
#ifndef SLUICE_TYPES_H
#define SLUICE_TYPES_H

#include <linux/types.h>

#ifdef __cplusplus
#define SLUICE_STATIC_ASSERT(condition) static_assert(condition, #condition)
#else
#define SLUICE_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#define SLUICE_ID_BYTES 16
#define SLUICE_MAC_BYTES 6

/* An IPv4 or IPv6 address in network byte order; the structure around it tells which. IPv4 takes the first four
 * bytes; the others are zero. */
union sluice_address {
	__be32 ipv4;
	__u8 ipv6[16];
	__be32 words[4];
	__u64 halves[2];
};
SLUICE_STATIC_ASSERT(sizeof(union sluice_address) == 16);

/* A VLAN tag (IEEE 802.1Q): its ethertype and the VLAN's id. */
#define SLUICE_MAX_TAGS 2
struct sluice_tag {
	__be16 protocol; /* ETH_P_8021Q or ETH_P_8021AD */
	__be16 control;
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_tag) == 4);

/* The index of nothing: a listener without a pool, a free pool slot. */
#define SLUICE_NO_INDEX 0xffffffffU

/* The UUID of the API object that a map entry belongs to, in RFC 4122 byte order. The data plane
 * never reads it; a restarted controller recognises its objects by it. All zero: no object. */
struct sluice_id {
	__u8 bytes[SLUICE_ID_BYTES];
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_id) == 16);

#endif
