/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Protocol headers and constants that the kernel's UAPI headers lack: IPv4's fragment field, TCP's flags, SCTP,
 * ICMP. */
#ifndef SLUICE_BPF_PROTOCOLS_H
#define SLUICE_BPF_PROTOCOLS_H

#include <linux/types.h>

/* linux/ip.h has these only for the kernel itself (RFC 791, 3.1). */
#define IPV4_DONT_FRAGMENT 0x4000
#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

/* IPv4 options (RFC 791, 3.1). In routes, type and length are followed by a pointer. */
#define IPV4_OPTION_END 0
#define IPV4_OPTION_NOTHING 1
#define IPV4_OPTION_LOOSE_ROUTE 131
#define IPV4_OPTION_STRICT_ROUTE 137
#define IPV4_OPTION_BYTES 40 /* all of them, at most */

/* An IPv6 fragment header (RFC 8200, 4.5). */
struct fragment_header {
	__u8 next_header;
	__u8 zero;
	__be16 field; /* the offset in bytes, which is a multiple of 8; more fragments follow */
	__be32 id;
};
#define IPV6_MORE_FRAGMENTS 1

#define IP_PACKET_BYTES 65535 /* at most: IPv4's header included, IPv6's not */

/* The flags of a TCP header, as its byte 13 holds them (RFC 9293, 3.1). */
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_FLAGS_OFFSET 13

/* TCP options (RFC 9293, 3.2; 7323). */
#define TCP_OPTION_END 0
#define TCP_OPTION_NOTHING 1
#define TCP_OPTION_TIMESTAMPS 8
#define TCP_TIMESTAMPS_BYTES 10
#define TCP_OPTIONS_BYTES 40 /* all of them, at most */

/* SCTP (RFC 9260, 3): the common header, and the first chunk's type. */
struct sctp_header {
	__be16 source;
	__be16 destination;
	__be32 verification_tag;
	__u32 checksum; /* CRC32c, never touched: it covers no address */
	__u8 chunk_type;
	__u8 chunk_flags;
	__be16 chunk_bytes;
};
#define SCTP_DATA 0
#define SCTP_INIT 1
#define SCTP_INIT_ACK 2
#define SCTP_ABORT 6
#define SCTP_SHUTDOWN 7
#define SCTP_SHUTDOWN_COMPLETE 14
#define SCTP_I_DATA 64 /* RFC 8260 */

/* An ICMP message (RFC 792) and an ICMPv6 message (RFC 4443): they begin alike. linux/icmp.h drags in the C library. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 rest;
};

#endif
