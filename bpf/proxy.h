/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* PROXY protocol, version 2, toward the members of PROXYV2 pools: a connection begins with a header that names the
 * client (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2).
 *
 * Problem. Behind fullnat a member sees the VIP as its client. The header tells it more, but it is payload: N bytes
 * (28 in IPv4, 52 in IPv6) that the client never sent, so its numbers and the member's differ by N. Raising every
 * later number by N, and lowering every acknowledgement and SACK block, would cost each packet of the connection, the
 * ICMP errors about it, and each node that ever carries it.
 *
 * Formulation. The header's place is made in front of the client's first byte, not behind the SYN's number: the SYN
 * goes to the member with its number lowered by N. If the client's first byte has the number F, the member expects F
 * - N, the header fills F - N to F - 1, and from F on both ends count alike. So only the handshake is touched:
 *
 *     client's SYN            sequence less N
 *     member's SYN-ACK        acknowledgement becomes F, window and MSS less N, no Fast Open cookie
 *     client's packet at F    gets the header in front, until the member has acknowledged it
 *     member's ACK below F    acknowledges F; the window shrinks by what is missing of the header
 *
 * Once the member has acknowledged F, the connection is confirmed, and it is one like any other from then on: its
 * packets take the fast path, and neither its slots nor its images nor its records know that there was a header.
 * Until then it is half-open, whatever the client shows (lacks_proof()), and never takes the fast path. So whether a
 * connection still needs its header follows from its member and its phase, and only F has to be remembered: in
 * `proxy_pending`.
 *
 * The numbers of the header are ours alone. While the connection is not confirmed, a client's packet that begins
 * before F is dropped (PROXY_HEADER), and so is any packet without an entry that the member's SYN-ACK has completed;
 * a SYN-ACK that might be forged is not believed and dropped (PROXY_ANSWER). A client's SYN on a confirmed connection
 * may begin a new one at the member: if the member answers it by a SYN-ACK, the old one is removed, and the next SYN
 * begins anew here, too.
 *
 * What remains. A confirmed connection's packets are not compared with F, which is forgotten. The member has that
 * number behind it and ignores what comes below, unless it has forgotten the connection, too, and accepts a SYN
 * cookie: then an attacker who had a connection with a header moments before could open one without. Linux accepts
 * cookies only for two minutes after the listening socket's SYN queue has overflowed.
 *
 * The D-SACK by which a member reports that it got the header twice is erased while the connection is pending. One
 * that comes later reaches the client, which ignores it, because it never sent these numbers (RFC 2883, 4). */
#ifndef SLUICE_BPF_PROXY_H
#define SLUICE_BPF_PROXY_H

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "bpf/admit.h"
#include "bpf/checksum.h"
#include "bpf/flow_state.h"
#include "bpf/forward.h"
#include "bpf/journey.h"
#include "bpf/proof.h"
#include "bpf/protocols.h"
#include "bpf/proxy_pending.h"
#include "bpf/tcp_options.h"
#include "maps/reasons.h"

/* More TCP options (RFC 9293, 3.2; 7323; 2018; 2385; 5925; 7413; 6994). */
#define TCP_OPTION_MSS 2
#define TCP_OPTION_WINDOW_SHIFT 3
#define TCP_OPTION_SACK 5
#define TCP_OPTION_MD5 19
#define TCP_OPTION_AUTHENTICATION 29
#define TCP_OPTION_FAST_OPEN 34
#define TCP_SACK_BLOCKS 4
#define TCP_MOST_WINDOW_SHIFT 14

/* "\r\n\r\n\0\r\nQUIT\n" as little-endian words; version 2 and the command PROXY; TCP over an IP version. */
#define PROXY_SIGNATURE {0x0a0d0a0dU, 0x510a0d00U, 0x0a544955U}
#define PROXY_COMMAND 0x21
#define PROXY_TCP4 0x11
#define PROXY_TCP6 0x21

/* The header as 32-bit words, for either IP version. */
#define PROXY_WORDS4 (SLUICE_PROXY_HEADER4 / 4)
#define PROXY_WORDS6 (SLUICE_PROXY_HEADER6 / 4)
struct proxy_header {
	__u32 words[PROXY_WORDS6];
};
SLUICE_STATIC_ASSERT(sizeof(struct proxy_header) == SLUICE_PROXY_HEADER6);

/* accepted_by_member() returns this if the member has begun a new connection. */
#define REPLACED (-100)

static __always_inline __u32 proxy_bytes(int family)
{
	return family == FAMILY4 ? SLUICE_PROXY_HEADER4 : SLUICE_PROXY_HEADER6;
}

/* Says whether a packet of this flow may be part of a handshake with a PROXYV2 pool's member. */
static __always_inline bool shakes_hands(const struct packet *p, const struct flow *flow)
{
	if (flow->state & SLUICE_FLOW_TO_CLIENT)
		return p->signals & SIGNAL_ACCEPTS || !(flow->state & SLUICE_FLOW_ESTABLISHED);
	return p->signals & SIGNAL_OPENS || !sluice_flow_is_confirmed(flow->state);
}

/* Changes a byte of a TCP header, whose checksum will be changed by work->change. */
static __always_inline void set_byte(struct proxy_work *work, __u8 *at, __u32 offset, __u8 value)
{
	__u32 shift = offset & 1 ? 8 : 0;

	work->change += checksum_change16((__u16)*at << shift, (__u16)value << shift);
	*at = value;
}

static __always_inline void erase_option(struct xdp_md *ctx, struct proxy_work *work, __u32 offset, __u32 bytes)
{
	for (__u32 i = 0; i < TCP_OPTIONS_BYTES && i < bytes; i++) {
		__u8 *at = packet_at(ctx, offset + i, 1);

		if (!at)
			break;
		set_byte(work, at, offset + i, TCP_OPTION_NOTHING);
	}
}

/* Lowers the MSS by the header's length, so that the client's first full segment fits together with the header. */
static __always_inline void lower_mss(struct xdp_md *ctx, struct proxy_work *work, __u32 offset)
{
	__u8 *at = packet_at(ctx, offset + 2, 2);
	__u32 mss;

	if (!at)
		return;
	mss = (__u32)at[0] << 8 | at[1];
	if (mss <= work->bytes)
		return;
	mss -= work->bytes;
	set_byte(work, at, offset + 2, mss >> 8);
	set_byte(work, at + 1, offset + 3, mss);
}

/* Says whether a block of this SACK option begins within the header or before. */
static __always_inline bool sacks_header(struct xdp_md *ctx, const struct proxy_work *work, __u32 offset, __u32 bytes)
{
	for (__u32 i = 0; i < TCP_SACK_BLOCKS; i++) {
		const __be32 *left = packet_at(ctx, offset + 2 + 8 * i, sizeof(*left));

		if (!left || 2 + 8 * (i + 1) > bytes)
			break;
		if ((__s32)(bpf_ntohl(*left) - work->first) < 0)
			return true;
	}
	return false;
}

static __always_inline void treat_option(struct xdp_md *ctx, struct proxy_work *work, __u8 kind, __u32 offset, __u32 bytes)
{
	const __u8 *at;

	if (kind == TCP_OPTION_MD5 || kind == TCP_OPTION_AUTHENTICATION) {
		work->is_signed = true;
	} else if (kind == TCP_OPTION_FAST_OPEN && work->is_syn) {
		erase_option(ctx, work, offset, bytes);
	} else if (kind == TCP_OPTION_MSS && work->is_syn && work->of_member && bytes == 4) {
		lower_mss(ctx, work, offset);
	} else if (kind == TCP_OPTION_WINDOW_SHIFT && work->is_syn && bytes == 3) {
		at = packet_at(ctx, offset + 2, 1);
		if (at)
			work->window_shift = *at > TCP_MOST_WINDOW_SHIFT ? TCP_MOST_WINDOW_SHIFT : *at;
	} else if (kind == TCP_OPTION_SACK && !work->is_syn && sacks_header(ctx, work, offset, bytes)) {
		erase_option(ctx, work, offset, bytes);
	}
}

/* Treats the TCP option at `offset` as journey.proxy says, and returns the next one's offset; 0: there is none. */
__noinline int treat_option_at(struct xdp_md *ctx, __u32 offset, __u32 end)
{
	struct journey *journey = journey_get();
	__u32 bytes = tcp_option_bytes(ctx, offset, end);
	const __u8 *option = packet_at(ctx, offset, 1);

	if (!journey || !option || !bytes)
		return 0;
	treat_option(ctx, &journey->proxy, option[0], offset, bytes);
	return offset + bytes;
}

static __always_inline void treat_options(struct xdp_md *ctx, const struct packet *p, __u32 header_bytes)
{
	__u32 offset = p->l4_offset + sizeof(struct tcphdr), end = p->l4_offset + header_bytes;

	for (int i = 0; i < TCP_OPTIONS_BYTES; i++) {
		offset = treat_option_at(ctx, offset, end);
		if (!offset)
			break;
	}
}

static __always_inline void set_number(struct proxy_work *work, __be32 *field, __u32 number)
{
	__be32 after = bpf_htonl(number);

	work->change += checksum_change32(*field, after);
	*field = after;
}

static __always_inline void set_window(struct proxy_work *work, struct tcphdr *tcp, __u32 less)
{
	__u32 window = bpf_ntohs(tcp->window);
	__be16 after = bpf_htons(window > less ? window - less : 0);

	work->change += checksum_change16(tcp->window, after);
	tcp->window = after;
}

static __always_inline void apply_change(struct xdp_md *ctx, const struct packet *p, const struct proxy_work *work)
{
	struct tcphdr *tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));

	if (tcp && work->change)
		checksum_apply(&tcp->check, work->change);
}

static __always_inline struct proxy_work *begin_work(struct journey *journey, int family, bool is_syn, bool of_member)
{
	struct proxy_work *work = &journey->proxy;

	work->change = 0;
	work->bytes = proxy_bytes(family);
	work->window_shift = 0;
	work->is_signed = false;
	work->is_syn = is_syn;
	work->of_member = of_member;
	return work;
}

/* Looks at a SYN before it opens a connection, or goes to the member once more, and takes the Fast Open option out.
 * UNDECIDED: it may. */
static __always_inline int admit_syn(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	const struct packet *p;
	const struct tcphdr *tcp;
	struct proxy_work *work;
	__u32 first;

	if (!journey)
		return SLUICE_REASON_PROXY_SYN;
	p = &journey->packet;
	tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	if (!tcp || p->fragment != FRAGMENT_NONE || p->signals & SIGNAL_DATA)
		return SLUICE_REASON_PROXY_SYN;
	first = bpf_ntohl(tcp->seq) + 1;
	work = begin_work(journey, family, true, false);
	treat_options(ctx, p, tcp->doff * 4);
	apply_change(ctx, p, work);
	if (work->is_signed)
		return SLUICE_REASON_PROXY_SYN;
	return proxy_expect(family, &p->tuple, first, 0) ? UNDECIDED : SLUICE_REASON_PROXY_FULL;
}

__noinline int admit_syn4(struct xdp_md *ctx)
{
	return admit_syn(FAMILY4, ctx);
}

__noinline int admit_syn6(struct xdp_md *ctx)
{
	return admit_syn(FAMILY6, ctx);
}

/* Forgets the SYN's entry, because its connection was not made. */
static __always_inline void forget_pending(int family)
{
	const struct journey *journey = journey_get();

	if (journey)
		proxy_forget(family, &journey->packet.tuple);
}

/* Makes the header's place in front of the client's first byte. */
static __always_inline int lower_syn(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct proxy_work *work;
	struct tcphdr *tcp;

	if (!journey)
		return 0;
	tcp = packet_at(ctx, journey->packet.l4_offset, sizeof(*tcp));
	if (!tcp)
		return 0;
	work = begin_work(journey, family, true, false);
	set_number(work, &tcp->seq, bpf_ntohl(tcp->seq) - work->bytes);
	apply_change(ctx, &journey->packet, work);
	return 0;
}

__noinline int lower_syn4(struct xdp_md *ctx)
{
	return lower_syn(FAMILY4, ctx);
}

__noinline int lower_syn6(struct xdp_md *ctx)
{
	return lower_syn(FAMILY6, ctx);
}

/* Writes the header that names the client whose packet has this tuple. Returns the sum of its words. */
static __always_inline __u64 describe_client(int family, const struct tuple *client, struct proxy_header *header)
{
	static const __u32 signature[] = PROXY_SIGNATURE;
	__u32 address_words = family == FAMILY4 ? 1 : 4, words = proxy_bytes(family) / 4;
	__u64 sum = 0;

	for (int i = 0; i < 3; i++)
		header->words[i] = signature[i];
	header->words[3] = PROXY_COMMAND | (family == FAMILY4 ? PROXY_TCP4 : PROXY_TCP6) << 8 |
			   (__u32)bpf_htons(proxy_bytes(family) - 16) << 16;
	for (__u32 i = 0; i < address_words; i++) {
		header->words[4 + i] = client->source.words[i];
		header->words[4 + address_words + i] = client->destination.words[i];
	}
	header->words[words - 1] = tuple_ports(client);
	for (__u32 i = 0; i < words; i++)
		sum += header->words[i];
	return sum;
}

/* Moves the packet's headers (`bytes`, from the frame's first on) toward the front by the header's length. */
static __always_inline bool make_room(struct xdp_md *ctx, struct proxy_work *work, __u32 bytes, __u32 room)
{
	__u32 last = bytes - 1;

	if (last >= sizeof(work->headers) || bpf_xdp_adjust_head(ctx, -(int)room))
		return false;
	/* Between 1 and the buffer's size, in a way that the verifier of 6.1 follows, too: compilers join comparisons. */
	asm volatile("" : "+r"(last));
	bytes = last % sizeof(work->headers) + 1;
	return !bpf_xdp_load_bytes(ctx, room, work->headers, bytes) && !bpf_xdp_store_bytes(ctx, 0, work->headers, bytes);
}

/* Lengthens the IP packet by the header. */
static __always_inline void lengthen_ip(int family, struct xdp_md *ctx, const struct packet *p)
{
	void *l3 = ip_header(family, ctx, p);
	__be16 *length, before;

	if (!l3)
		return;
	length = l3 + (family == FAMILY4 ? 2 : 4);
	before = *length;
	*length = bpf_htons(bpf_ntohs(before) + proxy_bytes(family));
	if (family == FAMILY4)
		checksum_apply(&((struct iphdr *)l3)->check, checksum_change16(before, *length));
}

/* Puts the header in front of what the packet carries, which begins at F or, if it carries nothing, just before.
 * False: there is no room in front of the frame. */
static __always_inline bool put_header(int family, struct xdp_md *ctx, struct journey *journey, __u32 header_bytes)
{
	struct packet *p = &journey->packet;
	struct proxy_work *work = &journey->proxy;
	__u32 bytes = proxy_bytes(family), at = p->l4_offset + header_bytes;
	struct proxy_header header;
	struct tcphdr *tcp;

	if (!make_room(ctx, work, at, bytes))
		return false;
	work->change += describe_client(family, &p->tuple, &header) +
			checksum_change16(bpf_htons(p->l4_bytes), bpf_htons(p->l4_bytes + bytes));
	if (bpf_xdp_store_bytes(ctx, at, &header, bytes))
		return false;
	lengthen_ip(family, ctx, p);
	p->l3_bytes += bytes;
	p->l4_bytes += bytes;
	tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	if (!tcp)
		return false;
	set_number(work, &tcp->seq, work->first - bytes);
	if (tcp->urg) {
		__be16 after = bpf_htons(bpf_ntohs(tcp->urg_ptr) + bytes);

		work->change += checksum_change16(tcp->urg_ptr, after);
		tcp->urg_ptr = after;
	}
	apply_change(ctx, p, work);
	return true;
}

__noinline int put_header4(struct xdp_md *ctx, __u32 header_bytes)
{
	struct journey *journey = journey_get();

	return journey && put_header(FAMILY4, ctx, journey, header_bytes);
}

__noinline int put_header6(struct xdp_md *ctx, __u32 header_bytes)
{
	struct journey *journey = journey_get();

	return journey && put_header(FAMILY6, ctx, journey, header_bytes);
}

/* A client's reset ends what the member expects next: until it got the header, that is the header's first byte. */
static __always_inline int reset_by_client(struct xdp_md *ctx, struct journey *journey, struct tcphdr *tcp,
					   struct sluice_proxy_pending *pending)
{
	struct proxy_work *work = &journey->proxy;

	if (pending)
		pending->jiffies = clock_jiffies();
	if (pending && !(pending->flags & SLUICE_PROXY_SENT) && bpf_ntohl(tcp->seq) == pending->first) {
		set_number(work, &tcp->seq, pending->first - work->bytes);
		apply_change(ctx, &journey->packet, work);
	}
	return NEXT_FORWARD;
}

/* Says whether this packet would make one connection too many of its listener, once the member acknowledges it. */
static __always_inline bool would_exceed_limit(int family, struct xdp_md *ctx, const struct packet *p)
{
	const struct sluice_listener *listener = listener_find(family, &p->tuple);

	return listener && !below_connection_limit(listener) && shows_number(family, ctx, p);
}

/* Says whether another CPU has just confirmed the connection, so that there is no entry any more. */
static __always_inline bool is_confirmed_meanwhile(int family, const struct tuple *client)
{
	__s32 index;
	__u64 state = flow_find_state(family, client, &index);

	return state && sluice_flow_is_confirmed(state);
}

/* Sends a packet at F with the header in front; or tells its sender to send less at once; or, if it doesn't fit
 * together with the header, which is under way already, as it is. */
static __always_inline int send_header(int family, struct xdp_md *ctx, struct journey *journey, __u32 header_bytes,
				       struct sluice_proxy_pending *pending)
{
	const struct sluice_next_hop *hop =
		next_hop_valid(SLUICE_STATE_GET(journey->flow.state, HOP), next_hop_generation());
	__u32 index = SLUICE_STATE_GET(journey->flow.state, MEMBER), unused;
	const struct sluice_member *member = member_of(journey->flow.state);
	struct packet *p = &journey->packet;

	if (!hop && member)
		hop = next_hop_of_member(index, member, &unused);
	if (hop && p->l3_bytes + proxy_bytes(family) > hop->mtu) {
		if (pending->flags & SLUICE_PROXY_SENT)
			return NEXT_FORWARD;
		if (!may_be_fragmented(family, ctx, p))
			return too_big(family, p, ctx, &journey->flow, hop->mtu - proxy_bytes(family));
	}
	pending->flags |= SLUICE_PROXY_SENT;
	return (family == FAMILY4 ? put_header4(ctx, header_bytes) : put_header6(ctx, header_bytes))
		       ? NEXT_FORWARD
		       : SLUICE_REASON_NO_HEADROOM;
}

/* A client's packet of a connection that the member has not confirmed, or its SYN. */
static __always_inline int shake_client(int family, struct xdp_md *ctx, struct journey *journey)
{
	struct packet *p = &journey->packet;
	struct tcphdr *tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	struct sluice_proxy_pending *pending;
	struct proxy_work *work;
	__u32 header_bytes;
	__s32 distance;
	int why;

	if (p->fragment != FRAGMENT_NONE || !tcp)
		return SLUICE_REASON_PROXY_HEADER;
	if (p->signals & SIGNAL_OPENS) {
		why = family == FAMILY4 ? admit_syn4(ctx) : admit_syn6(ctx);
		if (why != UNDECIDED)
			return why;
		family == FAMILY4 ? lower_syn4(ctx) : lower_syn6(ctx);
		return NEXT_FORWARD;
	}
	pending = proxy_find(family, &p->tuple);
	work = begin_work(journey, family, false, false);
	if (tcp->rst)
		return reset_by_client(ctx, journey, tcp, pending);
	if (tcp->syn)
		return SLUICE_REASON_PROXY_SYN;
	if (!pending || !(pending->flags & SLUICE_PROXY_ANSWERED))
		return is_confirmed_meanwhile(family, &p->tuple) ? NEXT_FORWARD : SLUICE_REASON_PROXY_HEADER;
	if (would_exceed_limit(family, ctx, p))
		return NEXT_OVER_LIMIT;
	header_bytes = tcp->doff * 4;
	work->first = pending->first;
	distance = bpf_ntohl(tcp->seq) - work->first;
	/* What comes before F is a keepalive, which carries nothing, or was forged. */
	if (distance < -1 || (distance == -1 && (p->l4_bytes > header_bytes || tcp->fin)))
		return SLUICE_REASON_PROXY_HEADER;
	if (tcp->fin)
		pending->flags |= SLUICE_PROXY_ENDED;
	pending->jiffies = clock_jiffies();
	return distance > 0 ? NEXT_FORWARD : send_header(family, ctx, journey, header_bytes, pending);
}

/* The member's SYN-ACK: only this says which SYN the member has accepted. */
static __always_inline int accepted_by_member(int family, struct xdp_md *ctx, struct journey *journey, __u64 state,
					      bool believed)
{
	struct packet *p = &journey->packet;
	struct tcphdr *tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	struct proxy_work *work = begin_work(journey, family, true, true);
	struct sluice_proxy_pending *pending;

	if (!tcp || !believed || p->fragment != FRAGMENT_NONE)
		return SLUICE_REASON_PROXY_ANSWER;
	work->first = bpf_ntohl(tcp->ack_seq) + work->bytes;
	if (sluice_flow_is_confirmed(state)) {
		pending = proxy_find(family, &journey->twin);
		if (pending && pending->first == work->first)
			return REPLACED;
		return SLUICE_REASON_PROXY_ANSWER;
	}
	if (!proxy_expect(family, &journey->twin, work->first, SLUICE_PROXY_ANSWERED))
		return SLUICE_REASON_PROXY_FULL;
	set_number(work, &tcp->ack_seq, work->first);
	set_window(work, tcp, work->bytes);
	treat_options(ctx, p, tcp->doff * 4);
	apply_change(ctx, p, work);
	pending = proxy_find(family, &journey->twin);
	if (pending)
		pending->window_shift = work->window_shift;
	return NEXT_FORWARD;
}

/* The member has acknowledged the header, so it has checked the client's number, too. Notes that, and the client's
 * FIN, which may have come before. */
static __always_inline int confirm(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	struct sluice_proxy_pending *pending;
	const struct tuple *client;
	bool has_ended;
	__u64 state;
	__s32 index;
	int told;

	if (!journey)
		return NEXT_FORWARD;
	client = &journey->twin;
	told = family == FAMILY4 ? track_member4(client, EVENT_DATA, ctx->ingress_ifindex, 0)
				 : track_member6(client, EVENT_DATA, ctx->ingress_ifindex, 0);
	if (told == TOLD_ONE_TOO_MANY)
		return NEXT_OVER_LIMIT;
	state = flow_find_state(family, client, &index);
	if (!state || !sluice_flow_is_confirmed(state))
		return NEXT_FORWARD;
	pending = proxy_find(family, client);
	has_ended = pending && pending->flags & SLUICE_PROXY_ENDED;
	proxy_forget(family, client);
	if (has_ended)
		flow_advance(family, client, index, state, EVENT_ENDS, false);
	return NEXT_FORWARD;
}

__noinline int confirm4(struct xdp_md *ctx)
{
	return confirm(FAMILY4, ctx);
}

__noinline int confirm6(struct xdp_md *ctx)
{
	return confirm(FAMILY6, ctx);
}

/* A member's segment of a connection that is not confirmed: shows the client none of the header's numbers. */
static __always_inline int answered_by_member(int family, struct xdp_md *ctx, struct journey *journey, bool believed)
{
	struct packet *p = &journey->packet;
	struct tcphdr *tcp = packet_at(ctx, p->l4_offset, sizeof(*tcp));
	struct sluice_proxy_pending *pending = proxy_find(family, &journey->twin);
	struct proxy_work *work = begin_work(journey, family, false, true);
	bool is_reset;
	__s32 missing;

	/* What the member sends before it has the header proves nothing. */
	p->signals &= ~SIGNAL_DATA;
	if (!tcp || !pending)
		return NEXT_FORWARD;
	pending->jiffies = clock_jiffies();
	if (!tcp->ack)
		return NEXT_FORWARD;
	is_reset = tcp->rst;
	work->first = pending->first;
	missing = work->first - bpf_ntohl(tcp->ack_seq);
	if (missing > (__s32)work->bytes)
		return NEXT_FORWARD;
	if (missing > 0) {
		set_number(work, &tcp->ack_seq, work->first);
		if (!is_reset)
			set_window(work, tcp,
				   ((__u32)missing + (1U << (pending->window_shift & 15)) - 1) >> (pending->window_shift & 15));
	}
	treat_options(ctx, p, tcp->doff * 4);
	apply_change(ctx, p, work);
	return missing > 0 || is_reset || !believed || !(pending->flags & SLUICE_PROXY_ANSWERED) ? NEXT_FORWARD : NEXT_CONFIRM;
}

static __always_inline int shake_member(int family, struct xdp_md *ctx, struct journey *journey)
{
	struct packet *p = &journey->packet;
	__s32 index;
	__u64 state;
	bool believed;
	int next;

	flow_twin_to(&journey->twin, &journey->flow);
	state = flow_find_state(family, &journey->twin, &index);
	if (!state || p->fragment == FRAGMENT_LATER)
		return NEXT_FORWARD;
	believed = on_members_side(state, ctx->ingress_ifindex);
	if (!(p->signals & SIGNAL_ACCEPTS))
		return sluice_flow_is_confirmed(state) ? NEXT_FORWARD : answered_by_member(family, ctx, journey, believed);
	next = accepted_by_member(family, ctx, journey, state, believed);
	if (next != REPLACED)
		return next;
	/* The member has begun a new connection in the place of this one. The client's next SYN opens it here, too. */
	if (flow_find_far(family, &journey->twin, &journey->flow)) {
		journey->quoted = journey->twin;
		flow_twin_to(&journey->twin, &journey->flow);
		flow_forget_both(family, &journey->quoted, &journey->flow, &journey->twin, SLUICE_RECORD_REPLACED);
	}
	return SLUICE_REASON_PROXY_ANSWER;
}

/* Shows a client the number that it gave its packet, which an ICMP error quotes as it went to the member of the
 * journey's flow: the SYN's, or F where the header was in front. Returns the change of the error's checksum. */
static __always_inline __u64 show_quoted(int family, struct xdp_md *ctx, __u32 l4_offset)
{
	__be32 *quoted = packet_at(ctx, l4_offset + 4, sizeof(*quoted)), before;
	const struct sluice_proxy_pending *pending;
	struct journey *journey = journey_get();
	__s32 missing, index;
	__u64 state;

	if (!journey || !quoted || !flow_is_proxied(journey->flow.state))
		return 0;
	flow_twin_to(&journey->twin, &journey->flow);
	state = flow_find_state(family, &journey->twin, &index);
	pending = proxy_find(family, &journey->twin);
	if (!pending || !state || sluice_flow_is_confirmed(state))
		return 0;
	before = *quoted;
	missing = pending->first - bpf_ntohl(before);
	if (missing <= 0 || missing > (__s32)proxy_bytes(family) + 1)
		return 0;
	*quoted = bpf_htonl(missing > (__s32)proxy_bytes(family) ? pending->first - 1 : pending->first);
	return checksum_change32(before, *quoted);
}

__noinline __u64 show_quoted4(struct xdp_md *ctx, __u32 l4_offset)
{
	return show_quoted(FAMILY4, ctx, l4_offset);
}

__noinline __u64 show_quoted6(struct xdp_md *ctx, __u32 l4_offset)
{
	return show_quoted(FAMILY6, ctx, l4_offset);
}

/* Adapts a packet of a handshake with a PROXYV2 pool's member. NEXT_FORWARD: it goes on, as it is now; NEXT_CONFIRM:
 * so it does, and it confirms the connection. */
static __always_inline int shake(int family, struct xdp_md *ctx)
{
	struct journey *journey = journey_get();
	const struct packet *p;

	if (!journey)
		return NEXT_FORWARD;
	p = &journey->packet;
	/* Where the TTL ends the packet is answered, as it came. */
	if (p->protocol != IPPROTO_TCP || !shakes_hands(p, &journey->flow) || !flow_is_proxied(journey->flow.state) ||
	    ttl(family, ctx, p) <= 1)
		return NEXT_FORWARD;
	return to_client(&journey->flow) ? shake_member(family, ctx, journey) : shake_client(family, ctx, journey);
}

__noinline int shake4(struct xdp_md *ctx)
{
	return shake(FAMILY4, ctx);
}

__noinline int shake6(struct xdp_md *ctx)
{
	return shake(FAMILY6, ctx);
}

#endif
