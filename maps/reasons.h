/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reasons: every fate of a packet, in one list.
 *
 * Contract: each packet that the XDP program sees is counted under exactly one reason, in `reason_counters` at the
 * enum's value. The list generates the enum (here), the metric label and the operator's sentence
 * (userspace/dataplane/reasons.cpp). A number must mean the same in two versions that share the map: add new reasons
 * at the end, never reorder. */
#ifndef SLUICE_REASONS_H
#define SLUICE_REASONS_H

#include "types.h"

/* X(NAME, verdict class, label, sentence)
 * verdict class: FORWARD (sent to a member or client), ANSWER (the data plane replied itself),
 * PASS (left to the host; bytes unchanged, but for next_hop_unresolved and left_to_fragment), DROP. */
#define SLUICE_REASONS(X)                                                                          \
	X(FORWARDED, FORWARD, "forwarded",                                                         \
	  "A client's packet of a known flow went to its member.")                                 \
	X(REPLIED, FORWARD, "replied",                                                             \
	  "A member's packet of a known flow went back to its client.")                            \
	X(FLOW_CREATED, FORWARD, "flow_created",                                                   \
	  "A connection was opened: a member was chosen and the packet went there.")               \
	X(ICMP_FORWARDED, FORWARD, "icmp_forwarded",                                               \
	  "An ICMP error about a known flow was translated and went to the end that sent the packet.") \
	X(ARP_ANSWERED, ANSWER, "arp_answered", "An ARP request for a VIP was answered.")          \
	X(ND_ANSWERED, ANSWER, "nd_answered", "An IPv6 neighbour solicitation for a VIP was answered.") \
	X(ECHO_ANSWERED, ANSWER, "echo_answered", "A ping of a VIP was answered.")                 \
	X(TIME_EXCEEDED_SENT, ANSWER, "time_exceeded_sent",                                        \
	  "The packet's TTL ended here, and its sender was told (as traceroute wants it).")        \
	X(TOO_BIG_SENT, ANSWER, "too_big_sent",                                                    \
	  "The packet is longer than its way's MTU and may not be fragmented; its sender was told the MTU.") \
	X(REJECTED, ANSWER, "rejected",                                                            \
	  "The sender was told by TCP RST or ICMP port unreachable that nobody is there, as configured.")  \
	X(NOT_OURS, PASS, "not_ours",                                                              \
	  "The packet is for no VIP and in no flow: the host got it untouched.")                   \
	X(NOT_OUR_MAC, PASS, "not_our_mac",                                                        \
	  "The frame is addressed to another machine's MAC: the host got it untouched.")           \
	X(UNKNOWN_INTERFACE, PASS, "unknown_interface",                                            \
	  "The interface is not in the interface map (attach it with sluice-loader): the host "    \
	  "got the packet untouched.")                                                             \
	X(MALFORMED_ETHERNET, PASS, "malformed_ethernet",                                          \
	  "The frame is shorter than its Ethernet header: the host got it untouched.")             \
	X(NEXT_HOP_UNRESOLVED, PASS, "next_hop_unresolved",                                        \
	  "The next hop's MAC is not known yet: the translated packet was left to the kernel, "     \
	  "which resolves it and sends the packet on.")                                            \
	X(LEFT_TO_FRAGMENT, PASS, "left_to_fragment",                                              \
	  "The packet is longer than its way's MTU: translated, it was left to the kernel, which "  \
	  "fragments it and sends it on.")                                                         \
	X(VIP_DOWN, DROP, "vip_down", "The VIP's load balancer is administratively down.")         \
	X(NO_LISTENER, DROP, "no_listener", "The VIP has no listener on this protocol and port.")  \
	X(UNSUPPORTED_PROTOCOL, DROP, "unsupported_protocol",                                      \
	  "The packet for a VIP carries a protocol that is not balanced.")                         \
	X(NO_FLOW, DROP, "no_flow",                                                                \
	  "A TCP or SCTP packet that opens no connection belongs to no known flow.")               \
	X(ICMP_NO_FLOW, DROP, "icmp_no_flow",                                                      \
	  "An ICMP error for a VIP is about no known flow.")                                       \
	X(NOT_ALLOWED, DROP, "not_allowed",                                                        \
	  "The client's address is in none of the listener's allowed_cidrs.")                      \
	X(CONNECTION_LIMIT, DROP, "connection_limit",                                              \
	  "The listener has as many confirmed connections as its connection_limit allows.")        \
	X(RATE_LIMITED, DROP, "rate_limited",                                                      \
	  "The client opens connections faster than the listener's new_connection_limit allows.")  \
	X(NO_MEMBER, DROP, "no_member", "The listener has no usable member.")                      \
	X(NO_PORT, DROP, "no_port",                                                                \
	  "No source port toward the chosen member is free, nor held by a connection that makes "  \
	  "way: add members, or SNAT addresses to the load balancer.")                              \
	X(SCTP_PORTS, DROP, "sctp_ports",                                                          \
	  "The member's SCTP port is not the listener's, and SCTP ports can't be translated.")     \
	X(FLOW_TABLE_FULL, DROP, "flow_table_full",                                                \
	  "The flow table is full: attach with a larger --flows.")                                 \
	X(HALF_OPEN_FULL, DROP, "half_open_full",                                                  \
	  "Too many connections are waiting for their client's confirmation (a SYN flood?).")      \
	X(NO_ROUTE, DROP, "no_route",                                                              \
	  "The host has no route to the next hop, is the next hop itself, or does not forward on "  \
	  "that interface (attach every NIC that members are behind).")                            \
	X(NO_HEADROOM, DROP, "no_headroom",                                                        \
	  "The NIC's driver leaves no room in front of the frame for a tag or tunnel header.")     \
	X(TTL_EXCEEDED, DROP, "ttl_exceeded",                                                      \
	  "The packet's TTL ended here, and its sender is not to be told.")                        \
	X(TOO_BIG, DROP, "too_big",                                                                \
	  "The packet is longer than its way's MTU, and its sender is not to be told.")            \
	X(FRAGMENT_WITHOUT_FIRST, DROP, "fragment_without_first",                                  \
	  "A fragment for a VIP came without, or before, the first one of its packet, or is of a ping.") \
	X(MALFORMED_IPV4, DROP, "malformed_ipv4",                                                  \
	  "The IPv4 header of a packet for a VIP lies about version or lengths.")                  \
	X(MALFORMED_IPV6, DROP, "malformed_ipv6",                                                  \
	  "An IPv6 header of a packet for a VIP lies about version or lengths.")                   \
	X(MALFORMED_TCP, DROP, "malformed_tcp",                                                    \
	  "The TCP header of a packet for a VIP is cut short or lies about its length.")           \
	X(MALFORMED_UDP, DROP, "malformed_udp",                                                    \
	  "The UDP header of a packet for a VIP is cut short or lies about its length.")           \
	X(MALFORMED_SCTP, DROP, "malformed_sctp",                                                  \
	  "The SCTP header of a packet for a VIP is cut short.")                                   \
	X(MALFORMED_ICMP, DROP, "malformed_icmp",                                                  \
	  "The ICMP message for a VIP is cut short, or what it is about is.")                      \
	X(MARTIAN_SOURCE, DROP, "martian_source",                                                  \
	  "The source of a packet for a VIP is a VIP, loopback, multicast, broadcast, zero, the "   \
	  "destination itself or an IPv4 address in an IPv6 one.")                                                                   \
	X(MEMBER_DOWN, DROP, "member_down",                                                        \
	  "The connection's member is down and its pool resets such connections, but this packet "  \
	  "could not be answered with a reset.")                                                   \
	X(HEADERS_TOO_LONG, DROP, "headers_too_long",                                              \
	  "The headers of a packet for a VIP end further from its beginning than the load balancer " \
	  "looks, so it can't be said where it goes.")                                             \
	X(SOURCE_ROUTED, DROP, "source_routed",                                                    \
	  "A packet for a VIP wants to go on from there: an IPv6 routing header or an IPv4 source "  \
	  "route that is not at its end.")                                                         \
	X(MISPLACED_HEADER, DROP, "misplaced_header",                                              \
	  "A packet for a VIP has hop-by-hop options behind another IPv6 extension header.")       \
	X(IPV4_CHECKSUM, DROP, "ipv4_checksum",                                                    \
	  "The IPv4 header checksum of a packet that would open a connection, or be answered, is wrong.") \
	X(BAD_FRAGMENT, DROP, "bad_fragment",                                                      \
	  "A fragment for a VIP would overwrite its packet's TCP or SCTP header, or ends beyond what an IP " \
	  "packet can hold.")                                                                      \
	X(SCTP_TAG, DROP, "sctp_tag",                                                              \
	  "An SCTP INIT for a VIP has a verification tag, or another chunk has none.")             \
	X(ICMP_MISDIRECTED, DROP, "icmp_misdirected",                                              \
	  "An ICMP error for a VIP is about a packet that did not come from there.")                \
	X(FORWARDED_WITHOUT_FLOW, FORWARD, "forwarded_without_flow",                               \
	  "There was no room to remember the connection; its packets find their member by a hash.") \
	X(MEMBER_UNRESOLVED, DROP, "member_unresolved",                                            \
	  "The MAC of a dsr member is not known yet, and the kernel can't send it what is addressed to the VIP: " \
	  "the MAC was asked for, and the client sends again.") \
	X(EGRESS_NOT_NATIVE, DROP, "egress_not_native",                                            \
	  "The way to the next hop leaves by an interface that XDP can't send to, as it is not attached in native " \
	  "mode: attach it, or if it can't be (a bridge), attach it and the NIC that packets come in on with --mode generic.")  \
	X(SYN_ANSWERED, ANSWER, "syn_answered",                                                    \
	  "A SYN for a listener that authenticates was answered by a wrong acknowledgement: an honest client "      \
	  "resets that and sends its SYN again.")                                                  \
	X(SYN_PROVEN, DROP, "syn_proven",                                                          \
	  "A client's reset of such an answer came in: its next SYN opens a connection.")          \
	X(SYN_ANSWER_LIMIT, DROP, "syn_answer_limit",                                              \
	  "A SYN for a listener that authenticates was not answered: there are too many, in all or from the "        \
	  "client's network, or it has IP options or is a fragment.")                              \
	X(SOURCE_HALF_OPEN, DROP, "source_half_open",                                              \
	  "The client's address has as many authenticated connections half-open as one may have.") \
	X(VIP_STANDBY, DROP, "vip_standby",                                                        \
	  "A ping for a VIP for which another node answers now: this one is its standby.") \
	X(MEMBER_FULL, DROP, "member_full",                                                        \
	  "Every member that could serve the new connection has its max_connections.") \
	X(PARTIAL_CHECKSUM, DROP, "partial_checksum",                                              \
	  "A connection's first packet, or the answer to it, has a checksum that its sender left for its NIC to finish " \
	  "(a veth, a container): turn that off at the sender (ethtool -K IF tx off).") \
	X(TUPLE_IN_USE, DROP, "tuple_in_use",                                                      \
	  "A client opens a connection to a member's own address from the port of its connection to that member through " \
	  "a VIP of a dnat pool: the member could not tell them apart.") \
	X(PROXY_FULL, DROP, "proxy_full", \
	  "There are as many connections of PROXYV2 pools whose member has not acknowledged its PROXY header as can be " \
	  "remembered.") \
	X(PROXY_SYN, DROP, "proxy_syn", \
	  "A SYN to a PROXYV2 pool leaves no place for the PROXY header: it carries data (TCP Fast Open) or a signature (TCP " \
	  "MD5, TCP-AO), is a fragment, or is none that a client sends.") \
	X(PROXY_HEADER, DROP, "proxy_header", \
	  "A client's packet to a PROXYV2 pool, whose member has not acknowledged the PROXY header, can't carry it: it is a " \
	  "fragment, begins before the client's first byte, or came when the handshake was not seen.") \
	X(PROXY_ANSWER, DROP, "proxy_answer", \
	  "A SYN-ACK of a PROXYV2 pool's member is for a connection that is open already, is a fragment, or came in on another " \
	  "NIC than the one that leads to the member.") \
	X(IN_GRACE, DROP, "in_grace",                                                              \
	  "A packet from the middle of a connection that is not known here, right after nodes or routes of the fleet have " \
	  "changed: another node may be about to tell of it, so it gets no reset, and its sender sends it again.") \
	X(DATAGRAM_FORWARDED, FORWARD, "datagram_forwarded",                                       \
	  "A datagram was sent to a member by itself: its listener schedules packets (udp_scheduling), not sessions.") \
	X(OTHER_VERSION_PACKET, DROP, "other_version_packet",                                      \
	  "A packet can't be translated to the IP version of the connection's other end: it is a UDP datagram without a " \
	  "checksum that is fragmented or has more than 1,536 bytes, a fragment with extension headers in it, or an ICMP " \
	  "error that the other version lacks.") \
	X(OTHER_VERSION_SOURCE, DROP, "other_version_source",                                      \
	  "The member has another IP version than the VIP, and there is no source address of that version: give the load " \
	  "balancer one (snat_addresses).")

#define SLUICE_REASON_ENUM(name, verdict, label, sentence) SLUICE_REASON_##name,
enum sluice_reason { SLUICE_REASONS(SLUICE_REASON_ENUM) SLUICE_REASON_COUNT };
#undef SLUICE_REASON_ENUM

/* The room for future reasons: a new one must not change the maps, or `sluice-loader upgrade` could not go from one
 * version to the other. The first ones are counted in `reason_counters`, which keeps its size, later ones in
 * `later_reason_counters`. Each has one bit in struct sluice_capture_filter. */
#define SLUICE_MAX_REASONS 256
#define SLUICE_FIRST_REASONS 64
SLUICE_STATIC_ASSERT(SLUICE_REASON_COUNT <= SLUICE_MAX_REASONS);

#endif
