/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every fate that a packet can have, in one list.
 *
 * Contract: each packet that the XDP program sees is counted under exactly one reason, in
 * `reason_counters` at the enum's value. The list generates the enum (here), the metric label and
 * the operator's sentence (userspace/dataplane/reasons.cpp). The numbers are part of the map
 * layout: add new reasons at the end, never reorder. */
#ifndef SLUICE_REASONS_H
#define SLUICE_REASONS_H

/* X(NAME, verdict class, label, sentence)
 * verdict class: FORWARD (sent to a member or client), ANSWER (the data plane replied itself),
 * PASS (left to the host; bytes unchanged, but for next_hop_unresolved), DROP. */
#define SLUICE_REASONS(X)                                                                          \
	X(FORWARDED, FORWARD, "forwarded",                                                         \
	  "A client's packet of a known flow went to its member.")                                 \
	X(REPLIED, FORWARD, "replied",                                                             \
	  "A member's packet of a known flow went back to its client.")                            \
	X(FLOW_CREATED, FORWARD, "flow_created",                                                   \
	  "A connection was opened: a member was chosen and the packet went there.")               \
	X(ARP_ANSWERED, ANSWER, "arp_answered", "An ARP request for a VIP was answered.")          \
	X(ECHO_ANSWERED, ANSWER, "echo_answered", "A ping of a VIP was answered.")                 \
	X(NOT_OURS, PASS, "not_ours",                                                              \
	  "The packet is for no VIP and in no flow: the host got it untouched.")                   \
	X(NOT_OUR_MAC, PASS, "not_our_mac",                                                        \
	  "The frame is addressed to another machine's MAC: the host got it untouched.")           \
	X(UNKNOWN_INTERFACE, PASS, "unknown_interface",                                            \
	  "The interface is not in the interface map (attach it with sluice-loader): the host "    \
	  "got the packet untouched.")                                                             \
	X(VIP_DOWN, DROP, "vip_down", "The VIP's load balancer is administratively down.")         \
	X(NO_LISTENER, DROP, "no_listener", "The VIP has no listener on this protocol and port.")  \
	X(UNSUPPORTED_PROTOCOL, DROP, "unsupported_protocol",                                      \
	  "The packet for a VIP carries a protocol that is not balanced.")                         \
	X(NO_FLOW, DROP, "no_flow",                                                                \
	  "A TCP packet that opens no connection belongs to no known flow.")                       \
	X(NO_MEMBER, DROP, "no_member", "The listener has no usable member.")                      \
	X(NO_PORT, DROP, "no_port",                                                                \
	  "No source port toward the chosen member is free: add members or VIPs.")                 \
	X(FLOW_TABLE_FULL, DROP, "flow_table_full",                                                \
	  "The flow table is full: attach with a larger --flows.")                                 \
	X(NO_ROUTE, DROP, "no_route",                                                              \
	  "The host has no route to the next hop, is the next hop itself, or does not forward on "  \
	  "that interface (attach every NIC that members are behind).")                            \
	X(NEXT_HOP_UNRESOLVED, PASS, "next_hop_unresolved",                                        \
	  "The next hop's MAC is not known yet: the translated packet was left to the kernel, "     \
	  "which resolves it and sends the packet on.")                                            \
	X(FRAGMENT, DROP, "fragment", "An IPv4 fragment for a VIP can't be balanced.")             \
	X(MALFORMED_ETHERNET, PASS, "malformed_ethernet",                                          \
	  "The frame is shorter than its Ethernet header: the host got it untouched.")             \
	X(MALFORMED_IPV4, DROP, "malformed_ipv4",                                                  \
	  "The IPv4 header of a packet for a VIP lies about version or lengths.")                  \
	X(MALFORMED_TCP, DROP, "malformed_tcp",                                                    \
	  "The TCP header of a packet for a VIP is cut short or lies about its length.")           \
	X(MALFORMED_ICMP, DROP, "malformed_icmp",                                                  \
	  "The ICMP message for a VIP is cut short.")                                              \
	X(MARTIAN_SOURCE, DROP, "martian_source",                                                  \
	  "The source of a packet for a VIP is a VIP, loopback, multicast, broadcast, zero or the " \
	  "destination itself.")                                                                   \
	X(TTL_EXCEEDED, DROP, "ttl_exceeded", "The packet's TTL ended here.")

#define SLUICE_REASON_ENUM(name, verdict, label, sentence) SLUICE_REASON_##name,
enum sluice_reason { SLUICE_REASONS(SLUICE_REASON_ENUM) SLUICE_REASON_COUNT };
#undef SLUICE_REASON_ENUM

#endif
