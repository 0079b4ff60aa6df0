/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Answers of the data plane's own to packets that it does not forward: ICMP errors and TCP resets.
 *
 * The packet's own frame becomes the answer and goes back to the MAC from which it came, with its tags. ICMP errors
 * and fragments other than the first are not answered, and the number of answers per jiffy and CPU is limited (RFC
 * 1812, 4.3.2; RFC 4443, 2.4). */
#ifndef SLUICE_BPF_ANSWER_H
#define SLUICE_BPF_ANSWER_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/clock.h"
#include "bpf/ethernet.h"
#include "bpf/flow_table.h"
#include "bpf/frame.h"
#include "bpf/journey.h"
#include "bpf/protocols.h"
#include "maps/reasons.h"

#define ANSWER_TTL 64 /* RFC 1700's default for packets that start here */
#define ANSWER_TOS 0xc0 /* internetwork control (RFC 1812, 4.3.2.5) */

/* At most 100 answers leave per millisecond and CPU. */
#define ANSWERS_PER_SECOND 100000U

/* The bytes of a packet that an ICMP error quotes, from its IP header on. */
#define QUOTED_BYTES 128

#define ICMP4_UNREACHABLE 3
#define ICMP4_CODE_PORT 3
#define ICMP4_CODE_FRAGMENTATION_NEEDED 4
#define ICMP4_TIME_EXCEEDED 11
#define ICMP6_UNREACHABLE 1
#define ICMP6_CODE_PORT 4
#define ICMP6_TOO_BIG 2
#define ICMP6_TIME_EXCEEDED 3

struct answer_budget {
	__u32 jiffies;
	__u32 left;
};

/* A program may use 64 maps, and the one of a capture does, so what each CPU has for itself shares one. */
struct scratch {
	struct answer_budget budget;
	__u64 headers[18]; /* struct old_headers (other_version.h) */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} local_scratch SEC(".maps");

static __always_inline bool may_answer(void)
{
	__u32 zero = 0, now = clock_jiffies();
	struct scratch *scratch = bpf_map_lookup_elem(&local_scratch, &zero);
	struct answer_budget *budget;

	if (!scratch)
		return false;
	budget = &scratch->budget;
	if (budget->jiffies != now)
		*budget = (struct answer_budget){now, ANSWERS_PER_SECOND / clock_hz + 1};
	if (!budget->left)
		return false;
	--budget->left;
	return true;
}

/* Returns the sum of `bytes` (at most QUOTED_BYTES + 8) of the frame from `offset` on; ~0 if they are not all there. */
__noinline __u64 frame_sum(struct xdp_md *ctx, __u32 offset, __u32 bytes)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u64 sum = 0;
	void *at;

	if (offset > 0xff)
		return ~0ULL;
	at = data + offset;

	for (__u32 i = 0; i < (QUOTED_BYTES + 8) / 2; i++, at += 2) {
		if (2 * i >= bytes)
			break;
		if (2 * i + 1 == bytes) {
			if (at + 1 > data_end)
				return ~0ULL;
			sum += *(__u8 *)at;
			break;
		}
		if (at + 2 > data_end)
			return ~0ULL;
		sum += *(__u16 *)at;
	}
	return sum;
}

/* Checks the IPv4 header's checksum: a packet with a wrong one is neither answered nor opens a connection (RFC 1812,
 * 4.2.2.5, 5.2.2). IPv6 has no such checksum. */
static __always_inline bool header_sum_is_right(int family, struct xdp_md *ctx, const struct packet *p)
{
	const __u32 *ip = ip_header(family, ctx, p);
	__u32 bytes = p->l4_offset - p->l3_offset;
	__u64 sum;

	if (family == FAMILY6)
		return true;
	if (!ip)
		return false;
	if (bytes == sizeof(struct iphdr))
		sum = (__u64)ip[0] + ip[1] + ip[2] + ip[3] + ip[4];
	else
		sum = frame_sum(ctx, p->l3_offset, bytes);
	return checksum_fold(sum) == 0xffff;
}

/* An ICMP error that is made of the packet whose IP header is at l3_offset. */
struct icmp_error {
	union sluice_address source; /* the answer's */
	__u32 l3_offset;
	__u32 l3_bytes;
	__be32 rest; /* the header's last word: an MTU, or unused */
	__u8 type;
	__u8 code;
	__u16 zero;
};

/* Makes room for `bytes` in front of the IP header and exchanges the MACs. */
static __always_inline bool turn_frame(struct xdp_md *ctx, __u32 l3_offset, __u32 bytes)
{
	struct ethernet_macs macs;
	void *data, *data_end;
	__u16 *words;

	if (bytes && (bpf_xdp_adjust_head(ctx, -(int)bytes) || !move_to_front(ctx, bytes, l3_offset)))
		return false;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN > data_end)
		return false;
	words = data;
	for (int i = 0; i < 3; i++) {
		((__u16 *)&macs)[i] = words[i + 3];
		((__u16 *)&macs)[i + 3] = words[i];
	}
	ethernet_address(data, (const void *)&macs);
	return true;
}

static __always_inline __u64 address_sum(const union sluice_address *a)
{
	return (__u64)a->words[0] + a->words[1] + a->words[2] + a->words[3];
}

static __always_inline void write_icmp_ip4(struct iphdr *ip, const struct icmp_error *e,
					   const union sluice_address *destination, __u32 bytes)
{
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = ANSWER_TOS,
		.tot_len = bpf_htons(bytes),
		.frag_off = bpf_htons(IPV4_DONT_FRAGMENT),
		.ttl = ANSWER_TTL,
		.protocol = IPPROTO_ICMP,
		.saddr = e->source.ipv4,
		.daddr = destination->ipv4,
	};
	ip->check = ipv4_header_checksum(ip);
}

static __always_inline void write_icmp_ip6(struct ipv6hdr *ip, const struct icmp_error *e,
					   const union sluice_address *destination, __u32 bytes)
{
	*(__be32 *)ip = bpf_htonl(0x60000000);
	ip->payload_len = bpf_htons(bytes - sizeof(*ip));
	ip->nexthdr = IPPROTO_ICMPV6;
	ip->hop_limit = ANSWER_TTL;
	address_store(FAMILY6, &ip->saddr, &e->source);
	address_store(FAMILY6, &ip->daddr, destination);
}

static __always_inline bool make_icmp_error(int family, struct xdp_md *ctx, const struct icmp_error *e)
{
	__u32 l3_offset = e->l3_offset & 31, header_bytes = ip_header_bytes(family) + sizeof(struct icmp_header);
	__u32 quoted = e->l3_bytes > QUOTED_BYTES ? QUOTED_BYTES : e->l3_bytes;
	int longer = (int)(l3_offset + quoted) - (int)bpf_xdp_get_buff_len(ctx);
	union sluice_address destination;
	struct icmp_header *icmp;
	void *data, *data_end;
	__u64 sum;

	if (longer < 0 && bpf_xdp_adjust_tail(ctx, longer))
		return false;
	if (!turn_frame(ctx, l3_offset, header_bytes))
		return false;
	sum = frame_sum(ctx, l3_offset + header_bytes, quoted);
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (sum == ~0ULL || data + l3_offset + header_bytes + ip_header_bytes(family) > data_end)
		return false;
	destination = address_load(family, data + l3_offset + header_bytes + addresses_offset(family));
	if (family == FAMILY4)
		write_icmp_ip4(data + l3_offset, e, &destination, header_bytes + quoted);
	else
		write_icmp_ip6(data + l3_offset, e, &destination, header_bytes + quoted);
	icmp = data + l3_offset + ip_header_bytes(family);
	*icmp = (struct icmp_header){.type = e->type, .code = e->code, .rest = e->rest};
	sum += *(__u16 *)icmp + (__u64)e->rest;
	if (family == FAMILY6) /* including the pseudo header (RFC 8200, 8.1) */
		sum += address_sum(&e->source) + address_sum(&destination) + bpf_htonl(sizeof(*icmp) + quoted) +
		       bpf_htonl(IPPROTO_ICMPV6);
	icmp->checksum = ~checksum_fold(sum);
	return true;
}

__noinline int make_icmp_error4(struct xdp_md *ctx, const struct icmp_error *e)
{
	return e && make_icmp_error(FAMILY4, ctx, e);
}

__noinline int make_icmp_error6(struct xdp_md *ctx, const struct icmp_error *e)
{
	return e && make_icmp_error(FAMILY6, ctx, e);
}

/* Sends an ICMP error to the packet's sender, which is a client if `flow` is NULL. Returns `told`, or `untold` if no
 * answer may be sent. */
static __always_inline int tell_sender(int family, struct packet *p, struct xdp_md *ctx, const struct flow *flow,
				       struct icmp_error *e, int told, int untold)
{
	if (p->fragment == FRAGMENT_LATER || !header_sum_is_right(family, ctx, p) || !may_answer())
		return untold;
	/* The answer's source is the VIP, to either side; but it has the IP version of the packet. */
	e->source = p->tuple.destination;
	if (flow && flow->state & SLUICE_FLOW_TO_CLIENT &&
	    (family == FAMILY4 || is_mapped(&flow->new_source) == is_mapped(&p->tuple.source)))
		e->source = flow->new_source;
	e->l3_offset = p->l3_offset;
	e->l3_bytes = p->l3_bytes;
	return (family == FAMILY4 ? make_icmp_error4(ctx, e) : make_icmp_error6(ctx, e)) ? told : untold;
}

static __always_inline int time_exceeded(int family, struct packet *p, struct xdp_md *ctx, const struct flow *flow)
{
	struct icmp_error e = {.type = family == FAMILY4 ? ICMP4_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED};

	return tell_sender(family, p, ctx, flow, &e, SLUICE_REASON_TIME_EXCEEDED_SENT, SLUICE_REASON_TTL_EXCEEDED);
}

static __always_inline int too_big(int family, struct packet *p, struct xdp_md *ctx, const struct flow *flow, __u32 mtu)
{
	struct icmp_error e = {
		.type = family == FAMILY4 ? ICMP4_UNREACHABLE : ICMP6_TOO_BIG,
		.code = family == FAMILY4 ? ICMP4_CODE_FRAGMENTATION_NEEDED : 0,
		.rest = bpf_htonl(mtu),
	};

	return tell_sender(family, p, ctx, flow, &e, SLUICE_REASON_TOO_BIG_SENT, SLUICE_REASON_TOO_BIG);
}

/* The window that we tell: a firewall believes a reset that lags behind by less. */
#define ANSWER_WINDOW 65535

/* Makes an answer to the segment at l3_offset, whose packet has no options or extension headers: a reset of its
 * connection (RFC 9293, 3.10.7.1), or if `lag` isn't 0, a SYN-ACK that acknowledges so much less than the SYN's own
 * number (authenticate.h). */
static __always_inline bool make_tcp_answer(int family, struct xdp_md *ctx, __u32 l3_offset, __u32 l4_bytes, __u32 lag)
{
	__u32 header_bytes = ip_header_bytes(family), bytes = header_bytes + sizeof(struct tcphdr);
	int longer;
	union sluice_address source, destination;
	struct tcphdr *tcp, answer = {};
	void *data, *data_end, *addresses;
	__be16 source_port;
	__u64 sum;

	l3_offset &= 31;
	longer = (int)(l3_offset + bytes) - (int)bpf_xdp_get_buff_len(ctx);
	if (longer < 0 && bpf_xdp_adjust_tail(ctx, longer))
		return false;
	if (!turn_frame(ctx, l3_offset, 0))
		return false;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	if (data + l3_offset + bytes > data_end)
		return false;
	tcp = data + l3_offset + header_bytes;
	if (lag) {
		answer.syn = answer.ack = 1;
		answer.ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) - lag);
		answer.window = bpf_htons(ANSWER_WINDOW);
	} else if (tcp->ack) {
		answer.seq = tcp->ack_seq;
	} else {
		answer.ack = 1;
		answer.ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + l4_bytes - tcp->doff * 4 + tcp->syn + tcp->fin);
	}
	source_port = tcp->source;
	answer.rst = !lag;
	answer.doff = 5;
	answer.source = tcp->dest;
	answer.dest = source_port;

	addresses = data + l3_offset + addresses_offset(family);
	source = address_load(family, addresses);
	destination = address_load(family, addresses + address_bytes(family));
	address_store(family, addresses, &destination);
	address_store(family, addresses + address_bytes(family), &source);
	sum = address_sum(&source) + address_sum(&destination) + bpf_htonl(sizeof(answer)) + bpf_htonl(IPPROTO_TCP);
	for (__u32 i = 0; i < sizeof(answer) / sizeof(__u32); i++)
		sum += ((__u32 *)&answer)[i];
	answer.check = ~checksum_fold(sum);
	*tcp = answer;
	if (family == FAMILY4) {
		struct iphdr *ip = data + l3_offset;

		ip->tos = 0;
		ip->id = 0;
		ip->frag_off = bpf_htons(IPV4_DONT_FRAGMENT);
		ip->tot_len = bpf_htons(bytes);
		ip->ttl = ANSWER_TTL;
		ip->check = 0;
		ip->check = ipv4_header_checksum(ip);
	} else {
		struct ipv6hdr *ip = data + l3_offset;

		*(__be32 *)ip = bpf_htonl(0x60000000);
		ip->payload_len = bpf_htons(sizeof(answer));
		ip->hop_limit = ANSWER_TTL;
	}
	return true;
}

__noinline int make_tcp_answer4(struct xdp_md *ctx, __u32 l3_offset, __u32 l4_bytes, __u32 lag)
{
	return make_tcp_answer(FAMILY4, ctx, l3_offset, l4_bytes, lag);
}

__noinline int make_tcp_answer6(struct xdp_md *ctx, __u32 l3_offset, __u32 l4_bytes, __u32 lag)
{
	return make_tcp_answer(FAMILY6, ctx, l3_offset, l4_bytes, lag);
}

/* Refuses a client's packet with a reset for TCP, port unreachable for others. Returns `why` if neither can be sent. */
static __always_inline int reject(int family, struct packet *p, struct xdp_md *ctx, int why)
{
	struct icmp_error e = {
		.type = family == FAMILY4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE,
		.code = family == FAMILY4 ? ICMP4_CODE_PORT : ICMP6_CODE_PORT,
	};

	if (p->fragment != FRAGMENT_NONE)
		return why;
	if (p->protocol != IPPROTO_TCP)
		return tell_sender(family, p, ctx, NULL, &e, SLUICE_REASON_REJECTED, why);
	/* Resets are not answered, nor are packets with options or extension headers, which would have to be
	 * removed. */
	if (p->signals & SIGNAL_ABORTS || p->l4_offset != p->l3_offset + ip_header_bytes(family) ||
	    !header_sum_is_right(family, ctx, p) || !may_answer())
		return why;
	return (family == FAMILY4 ? make_tcp_answer4(ctx, p->l3_offset, p->l4_bytes, 0)
				  : make_tcp_answer6(ctx, p->l3_offset, p->l4_bytes, 0))
		       ? SLUICE_REASON_REJECTED
		       : why;
}

#endif
