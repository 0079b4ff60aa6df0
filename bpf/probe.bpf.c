// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Probes that ask for the VIP at a member which answers clients directly (dsr, ipip, gue).
 *
 * The prober's socket connects to the member's own address, so the kernel finds route, neighbour and source address. On
 * its way out (tc egress) a packet gets the VIP as its destination, and for ipip and gue the tunnel's headers in front, as
 * traffic has. The member answers from the VIP to this host; on its way in (tc ingress) the answer gets the member's
 * address as its source again, before routing could take a VIP of this host's own for a martian. So only a member that
 * accepts packets for the VIP is found healthy, whatever the probe asks.
 *
 * A member that forwards packets instead of accepting them would send the probe back here, as a client's, and another
 * member might answer it. So probes have a TTL of 2: the member itself may pass one on, to a container of its own, and
 * nobody else.
 *
 * Packets of other sockets cost a lookup. Whatever isn't a probe's goes on to the filters behind these. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/tunnel.h"
#include "maps/probe.h"

#define PROBE_TTL 2
#define PING_TTL 1 /* a ping for a VIP is answered here, whatever its TTL */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SLUICE_MAX_PROBES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sluice_probe_key);
	__type(value, struct sluice_probe);
} probes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2 * SLUICE_MAX_PROBES);
	__type(key, struct sluice_probe_end);
	__type(value, struct sluice_probe);
} probe_ends SEC(".maps");

struct probe_packet {
	__u32 l3; /* offsets in the frame */
	__u32 l4;
	__u8 protocol;
	__u8 zero[3];
	union sluice_address source;
	union sluice_address destination;
	__be32 head[2]; /* the first bytes behind the IP header: ports, or an ICMP message's beginning */
};

/* Reads the IP packet at this offset. False: it has options, extension headers or fragments, which no probe has. */
static __always_inline bool read_packet(int family, struct __sk_buff *skb, __u32 offset, struct probe_packet *p)
{
	__u32 bytes = ip_header_bytes(family);

	*p = (struct probe_packet){.l3 = offset, .l4 = offset + bytes};
	if (family == FAMILY4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl != 5 ||
		    ip.frag_off & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
			return false;
		p->protocol = ip.protocol;
		p->source.ipv4 = ip.saddr;
		p->destination.ipv4 = ip.daddr;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)) || ip.version != 6)
			return false;
		p->protocol = ip.nexthdr;
		__builtin_memcpy(&p->source, &ip.saddr, sizeof(p->source));
		__builtin_memcpy(&p->destination, &ip.daddr, sizeof(p->destination));
	}
	return !bpf_skb_load_bytes(skb, p->l4, p->head, sizeof(p->head));
}

static __always_inline struct icmp_header icmp_of(const struct probe_packet *p)
{
	struct icmp_header icmp;

	__builtin_memcpy(&icmp, p->head, sizeof(icmp));
	return icmp;
}

static __always_inline __u8 icmp_protocol(int family)
{
	return family == FAMILY4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static __always_inline bool is_echo_request(int family, const struct probe_packet *p)
{
	return p->protocol == icmp_protocol(family) && icmp_of(p).type == (family == FAMILY4 ? 8 : 128);
}

static __always_inline bool is_echo_reply(int family, const struct probe_packet *p)
{
	return p->protocol == icmp_protocol(family) && icmp_of(p).type == (family == FAMILY4 ? 0 : 129);
}

/* Destination unreachable, time exceeded. */
static __always_inline bool is_icmp_error(int family, const struct probe_packet *p)
{
	__u8 type = icmp_of(p).type;

	return p->protocol == icmp_protocol(family) &&
	       (family == FAMILY4 ? type == 3 || type == 11 : type == 1 || type == 3);
}

/* Names the ends of a packet from this host (`answers`: of an answer to one). */
static __always_inline struct sluice_probe_end ends_of(const struct probe_packet *p, const union sluice_address *peer,
						       const union sluice_address *host, bool answers)
{
	struct sluice_probe_end ends = {.peer = *peer, .host = *host, .protocol = p->protocol, .answers = answers};
	__be16 first = p->head[0], second = p->head[0] >> 16;

	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP) {
		ends.host_port = p->head[1];
		ends.peer_port = p->head[1] >> 16;
	} else if (answers) {
		ends.peer_port = first;
		ends.host_port = second;
	} else {
		ends.host_port = first;
		ends.peer_port = second;
	}
	return ends;
}

/* Returns the offset of a transport checksum that covers the IP addresses; 0: there is none. */
static __always_inline __u32 checksum_offset(int family, const struct probe_packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		return p->l4 + offsetof(struct tcphdr, check);
	if (p->protocol == IPPROTO_UDP)
		return p->l4 + offsetof(struct udphdr, check);
	return family == FAMILY6 ? p->l4 + offsetof(struct icmp_header, checksum) : 0;
}

/* Puts another address at this offset of the packet's own header, and mends its checksums. */
static __always_inline bool replace_address(int family, struct __sk_buff *skb, const struct probe_packet *p, __u32 offset,
					    union sluice_address from, union sluice_address to)
{
	__u32 bytes = address_bytes(family), sum = checksum_offset(family, p);
	__s64 change = bpf_csum_diff(from.words, bytes, to.words, bytes, 0);
	__u64 flags = BPF_F_PSEUDO_HDR | (p->protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);

	if (sum && bpf_l4_csum_replace(skb, sum, 0, change, flags))
		return false;
	if (family == FAMILY4)
		return !bpf_l3_csum_replace(skb, p->l3 + offsetof(struct iphdr, check), 0, change, 0) &&
		       !bpf_skb_store_bytes(skb, offset, to.words, bytes, 0);
	/* Of a frame whose sum the NIC has told (CHECKSUM_COMPLETE) the two changes must cancel out; without a header
	 * checksum only this flag makes them. */
	return !bpf_skb_store_bytes(skb, offset, to.words, bytes, BPF_F_RECOMPUTE_CSUM);
}

static __always_inline bool shorten_ttl(int family, struct __sk_buff *skb, const struct probe_packet *p)
{
	__u8 ttl[2] = {is_echo_request(family, p) ? PING_TTL : PROBE_TTL, p->protocol}; /* the word of the header that has the TTL */
	__be16 before, after;

	if (family == FAMILY6)
		return !bpf_skb_store_bytes(skb, p->l3 + offsetof(struct ipv6hdr, hop_limit), ttl, 1, BPF_F_RECOMPUTE_CSUM);
	__builtin_memcpy(&after, ttl, sizeof(after));
	return !bpf_skb_load_bytes(skb, p->l3 + offsetof(struct iphdr, ttl), &before, sizeof(before)) &&
	       !bpf_l3_csum_replace(skb, p->l3 + offsetof(struct iphdr, check), before, after, sizeof(after)) &&
	       !bpf_skb_store_bytes(skb, p->l3 + offsetof(struct iphdr, ttl), &after, sizeof(after), 0);
}

/* Puts the tunnel's headers between the Ethernet header and the packet. */
static __always_inline bool put_in_tunnel(int family, struct __sk_buff *skb, const struct probe_packet *p, __u8 way)
{
	bool udp = way == SLUICE_PROBE_GUE;
	__u32 ip_bytes = ip_header_bytes(family), bytes = ip_bytes + (udp ? sizeof(struct udphdr) : 0);
	__u64 hash = bpf_get_hash_recalc(skb), flags = udp ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0;
	union sluice_address source = tunnel_source(family, p->source, hash << 32 | hash, !udp);
	struct udphdr udp_header;
	__u32 length;

	if (family == FAMILY4) {
		struct iphdr outer, inner;

		if (bpf_skb_load_bytes(skb, p->l3, &inner, sizeof(inner)) ||
		    bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
			return false;
		write_tunnel4(&outer, &inner, bytes, source.ipv4, p->destination.ipv4);
		length = bpf_ntohs(inner.tot_len);
		if (bpf_skb_store_bytes(skb, p->l3, &outer, sizeof(outer), 0))
			return false;
	} else {
		struct ipv6hdr outer, inner;

		if (bpf_skb_load_bytes(skb, p->l3, &inner, sizeof(inner)) ||
		    bpf_skb_adjust_room(skb, bytes, BPF_ADJ_ROOM_MAC, flags | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
			return false;
		write_tunnel6(&outer, &inner, bytes, &source, &p->destination);
		length = bpf_ntohs(inner.payload_len) + ip_bytes;
		if (bpf_skb_store_bytes(skb, p->l3, &outer, sizeof(outer), 0))
			return false;
	}
	if (!udp)
		return true;
	write_tunnel_udp(&udp_header, length + sizeof(udp_header), hash);
	return !bpf_skb_store_bytes(skb, p->l4, &udp_header, sizeof(udp_header), 0);
}

static __always_inline bool is_reset(struct __sk_buff *skb, const struct probe_packet *p)
{
	__u8 flags = 0;

	return p->protocol == IPPROTO_TCP && !bpf_skb_load_bytes(skb, p->l4 + TCP_FLAGS_OFFSET, &flags, sizeof(flags)) &&
	       flags & TCP_RST;
}

/* Finds the probe that a packet from this host belongs to, and remembers its ends for the answers. */
static __always_inline bool find_probe(int family, struct __sk_buff *skb, const struct probe_packet *p,
				       struct sluice_probe *found)
{
	struct sluice_probe_key key = {.cookie = bpf_get_socket_cookie(skb)};
	struct sluice_probe_end ends = ends_of(p, &p->destination, &p->source, false);
	struct sluice_probe *probe;

	if (is_echo_request(family, p))
		key.echo = p->head[1];
	probe = key.cookie ? bpf_map_lookup_elem(&probes, &key) : NULL;
	if (!probe) {
		/* A reset that answers a late packet is not the probe's socket's, which is gone. */
		if (is_reset(skb, p))
			probe = bpf_map_lookup_elem(&probe_ends, &ends);
		if (!probe)
			return false;
		*found = *probe;
		return true;
	}
	if (probe->protocol != p->protocol || !address_equal(family, &probe->member, &p->destination))
		return false;
	if (!probe->sent)
		probe->sent = 1;
	*found = *probe;
	bpf_map_update_elem(&probe_ends, &ends, found, BPF_ANY);
	ends.peer = found->vip;
	ends.answers = 1;
	bpf_map_update_elem(&probe_ends, &ends, found, BPF_ANY);
	return true;
}

/* Half changed packets are dropped. */
static __always_inline int leave(int family, struct __sk_buff *skb)
{
	struct sluice_probe probe;
	struct probe_packet p;

	if (!read_packet(family, skb, ETH_HLEN, &p) || !find_probe(family, skb, &p, &probe))
		return TC_ACT_UNSPEC;
	if (!replace_address(family, skb, &p, p.l3 + addresses_offset(family) + address_bytes(family), p.destination,
			     probe.vip) ||
	    !shorten_ttl(family, skb, &p))
		return TC_ACT_SHOT;
	if (probe.way != SLUICE_PROBE_LINK && !put_in_tunnel(family, skb, &p, probe.way))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

/* Shows the prober's socket an ICMP error about its packet. */
static __always_inline void enter_error(int family, struct __sk_buff *skb, const struct probe_packet *p)
{
	__u32 quote = p->l4 + sizeof(struct icmp_header), bytes = address_bytes(family), sum;
	const struct sluice_probe *probe;
	struct sluice_probe_end ends;
	struct probe_packet quoted;
	__s64 change;

	if (!read_packet(family, skb, quote, &quoted))
		return;
	ends = ends_of(&quoted, &quoted.destination, &quoted.source, false);
	ends.answers = 1;
	probe = bpf_map_lookup_elem(&probe_ends, &ends);
	if (!probe)
		return;
	/* The message's checksum covers the quote, whose change it makes up for. */
	sum = p->l4 + offsetof(struct icmp_header, checksum);
	change = bpf_csum_diff(quoted.destination.words, bytes, (__be32 *)probe->member.words, bytes, 0);
	if (bpf_l4_csum_replace(skb, sum, 0, change, 0) ||
	    bpf_skb_store_bytes(skb, quote + addresses_offset(family) + bytes, probe->member.words, bytes, 0))
		return;
	if (address_equal(family, &p->source, &probe->vip))
		replace_address(family, skb, p, p->l3 + addresses_offset(family), p->source, probe->member);
}

static __always_inline void enter(int family, struct __sk_buff *skb)
{
	const struct sluice_probe *probe;
	struct sluice_probe_end ends;
	struct probe_packet p;

	if (!read_packet(family, skb, ETH_HLEN, &p))
		return;
	if (is_icmp_error(family, &p))
		return enter_error(family, skb, &p);
	if (p.protocol != IPPROTO_TCP && p.protocol != IPPROTO_UDP && !is_echo_reply(family, &p))
		return;
	ends = ends_of(&p, &p.source, &p.destination, true);
	probe = bpf_map_lookup_elem(&probe_ends, &ends);
	if (probe)
		replace_address(family, skb, &p, p.l3 + addresses_offset(family), p.source, probe->member);
}

SEC("tc")
int probe_egress(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return leave(FAMILY4, skb);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return leave(FAMILY6, skb);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int probe_ingress(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		enter(FAMILY4, skb);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		enter(FAMILY6, skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
