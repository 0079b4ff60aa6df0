// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Processes of the load balancer's own host as clients of its VIPs.
 *
 * Their packets never arrive on a NIC, so the XDP program doesn't see them. Instead a socket that connects to a VIP, or
 * sends a datagram there, is given a member's address before any packet is made; whoever asks it for its peer, or for a
 * datagram's sender, is told the VIP. So the host's connections cost nothing per packet, and are no flows: members see the
 * host's own address, and limits and rates of a listener don't count them. Whoever may run a process here may reach the
 * members anyway, so allowed_cidrs isn't asked either.
 *
 * Only sockets of the network namespace in which `sluice-loader attach --host` ran, and not sluiced's, whose probes go
 * where it says. SCTP is left alone. */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/admit.h"
#include "bpf/balance.h"
#include "maps/host.h"

/* Set before loading: SO_NETNS_COOKIE of the namespace. */
const volatile __u64 host_namespace = 0;

#define MAY_GO_ON 1
#define REFUSED 0
#define CONNECTION_REFUSED 111 /* ECONNREFUSED */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_HOST_SOCKETS);
	__type(key, struct sluice_host_socket);
	__type(value, struct sluice_host_peer);
} host_peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLUICE_MAX_HOST_SOCKETS);
	__type(key, struct sluice_host_socket);
	__type(value, struct sluice_host_member);
} host_members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLUICE_HOST_COUNTS);
	__type(key, __u32);
	__type(value, __u64);
} host_counters SEC(".maps");

static __always_inline void count_host(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&host_counters, &what);

	if (count)
		(*count)++;
}

union process_name {
	char text[16];
	__u64 words[2];
};

/* Says whether the socket is one of those that the programs are for. */
static __always_inline bool is_of_this_host(struct bpf_sock_addr *ctx)
{
	union process_name daemon = {.text = "sluiced"}, name = {};

	if (bpf_get_netns_cookie(ctx) != host_namespace)
		return false;
	bpf_get_current_comm(&name, sizeof(name));
	return name.words[0] != daemon.words[0];
}

static __always_inline union sluice_address peer_address(int family, struct bpf_sock_addr *ctx)
{
	union sluice_address address = {};

	if (family == FAMILY4) {
		address.ipv4 = ctx->user_ip4;
	} else {
		for (int i = 0; i < 4; i++)
			address.words[i] = ctx->user_ip6[i];
	}
	return address;
}

static __always_inline void set_peer(int family, struct bpf_sock_addr *ctx, const union sluice_address *address,
				     __be16 port)
{
	if (family == FAMILY4) {
		ctx->user_ip4 = address->ipv4;
	} else {
		for (int i = 0; i < 4; i++)
			ctx->user_ip6[i] = address->words[i];
	}
	ctx->user_port = port;
}

static __always_inline struct sluice_host_socket socket_with(struct bpf_sock_addr *ctx, const union sluice_address *address,
							     __be16 port)
{
	return (struct sluice_host_socket){.cookie = bpf_get_socket_cookie(ctx), .address = *address, .port = port};
}

/* Returns the member that this UDP socket has, if it still takes new sessions. */
static __always_inline __u32 member_of_socket(const struct sluice_host_socket *socket)
{
	const struct sluice_host_member *known = bpf_map_lookup_elem(&host_members, socket);
	const struct sluice_member *member;
	__u32 index;

	if (!known)
		return SLUICE_NO_INDEX;
	index = known->index;
	member = bpf_map_lookup_elem(&members, &index);
	if (!member || !(member->flags & SLUICE_MEMBER_USABLE) || half_of_id(member) != known->id)
		return SLUICE_NO_INDEX;
	return index;
}

/* The host is one client: source hashing leads all its connections to one member, as persistence would. */
static __always_inline __u32 choose_for_host(__u32 pool_index, const struct tuple *t)
{
	const struct sluice_pool *pool = bpf_map_lookup_elem(&pools, &pool_index);

	return pool ? choose_by_ring(pool_index, pool->algorithm, t, NOT_PASSED_OVER) : SLUICE_NO_INDEX;
}

static __always_inline int refuse(void)
{
	count_host(SLUICE_HOST_REFUSED);
	bpf_set_retval(-CONNECTION_REFUSED);
	return REFUSED;
}

/* Gives the socket a member's address where it has named a VIP. `is_datagram`: for this datagram only. */
static __always_inline int lead_to_member(int family, struct bpf_sock_addr *ctx, bool is_datagram)
{
	struct tuple t = {.destination = peer_address(family, ctx), .destination_port = ctx->user_port};
	struct sluice_host_socket socket;
	struct sluice_host_peer vip = {};
	const struct sluice_listener *listener;
	const struct sluice_member *member;
	__u32 index = SLUICE_NO_INDEX;
	bool is_new;

	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return MAY_GO_ON;
	t.protocol = ctx->protocol == IPPROTO_TCP ? SLUICE_FLOW_TCP : SLUICE_FLOW_UDP;
	if (!is_of_this_host(ctx))
		return MAY_GO_ON;
	listener = listener_find(family, &t);
	if (!listener)
		return MAY_GO_ON;
	socket = socket_with(ctx, &t.destination, t.destination_port);
	if (is_datagram)
		index = member_of_socket(&socket);
	is_new = index == SLUICE_NO_INDEX;
	if (is_new) {
		t.source_port = bpf_get_prandom_u32();
		index = choose_for_host(listener->pool, &t);
		if (index < MEMBERS_FULL)
			count_host(SLUICE_HOST_CONNECTED);
	}
	member = index < MEMBERS_FULL ? bpf_map_lookup_elem(&members, &index) : NULL;
	if (!member || member->flags & SLUICE_MEMBER_PROXY || !!(member->flags & SLUICE_MEMBER_IPV6) != (family == FAMILY6))
		return refuse();
	if (is_datagram && is_new) {
		struct sluice_host_member mine = {.index = index, .id = half_of_id(member)};

		bpf_map_update_elem(&host_members, &socket, &mine, BPF_ANY);
	}
	vip.vip = t.destination;
	vip.port = t.destination_port;
	socket.address = member->address;
	socket.port = member->port ? member->port : t.destination_port;
	bpf_map_update_elem(&host_peers, &socket, &vip, BPF_ANY);
	set_peer(family, ctx, &socket.address, socket.port);
	return MAY_GO_ON;
}

/* Shows the VIP that the socket takes this peer for. */
static __always_inline int show_vip(int family, struct bpf_sock_addr *ctx)
{
	union sluice_address address = peer_address(family, ctx);
	struct sluice_host_socket socket = socket_with(ctx, &address, ctx->user_port);
	const struct sluice_host_peer *vip = bpf_map_lookup_elem(&host_peers, &socket);

	if (vip)
		set_peer(family, ctx, &vip->vip, vip->port);
	return MAY_GO_ON;
}

SEC("cgroup/connect4")
int host_connect4(struct bpf_sock_addr *ctx)
{
	return lead_to_member(FAMILY4, ctx, false);
}

SEC("cgroup/connect6")
int host_connect6(struct bpf_sock_addr *ctx)
{
	return lead_to_member(FAMILY6, ctx, false);
}

SEC("cgroup/sendmsg4")
int host_sendmsg4(struct bpf_sock_addr *ctx)
{
	return lead_to_member(FAMILY4, ctx, true);
}

SEC("cgroup/sendmsg6")
int host_sendmsg6(struct bpf_sock_addr *ctx)
{
	return lead_to_member(FAMILY6, ctx, true);
}

SEC("cgroup/recvmsg4")
int host_recvmsg4(struct bpf_sock_addr *ctx)
{
	return show_vip(FAMILY4, ctx);
}

SEC("cgroup/recvmsg6")
int host_recvmsg6(struct bpf_sock_addr *ctx)
{
	return show_vip(FAMILY6, ctx);
}

SEC("cgroup/getpeername4")
int host_getpeername4(struct bpf_sock_addr *ctx)
{
	return show_vip(FAMILY4, ctx);
}

SEC("cgroup/getpeername6")
int host_getpeername6(struct bpf_sock_addr *ctx)
{
	return show_vip(FAMILY6, ctx);
}
