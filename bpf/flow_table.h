/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The flow table: flow_find, flow_insert, flow_remove, flow_change. No other file touches its map.
 *
 * Problem. With many flows the cost of a packet is the cache lines that its flow's lookup misses: some 110 ns each on the
 * machine below, against 20 ns for everything else. A kernel hash map misses three or more (bucket head, element
 * with its key, value). What we need of a table is little: fixed size, no resizing, insertion and removal from several
 * CPUs at once, and never a wrong answer.
 *
 * Formulation. An array of 64-byte buckets of two 32-byte slots, each slot with all that its flow's packets need. A
 * key's hash names its home bucket; the flow lives there or in one of the next buckets, up to SLUICE_FLOW_WINDOW
 * (linear probing, so the next line is the one that the hardware prefetches). A bucket counts the flows that had to pass
 * over it, and a search goes on only while somebody did. Nothing is ever moved, and freeing needs no tombstones.
 *
 * Candidates, net ns per lookup, median of 9 rounds, 2-core AMD EPYC guest, kernel 6.18; tables made for 1 Mi
 * connections; each lookup waits for the one before it, as it nearly does in the real program. (Measured once, with
 * lookups alone, before this one was built; only the chosen table is in scripts/bench packet-cost.)
 *
 *                                                        1 flow    16,384   131,072   1,048,576
 *     kernel HASH, 16-byte key, 56-byte value                25        59       326         479
 *     kernel LRU_HASH, the same                              24        54       306         483
 *     7 one-byte tags per word, 32-byte slots beside          5        61       244         297
 *     7 one-byte tags per word, 64-byte slots beside          6        61       250         316
 *     64-byte buckets of four 16-byte slots, two choices      2        20       117         185
 *     64-byte buckets of two 32-byte slots, next bucket       2        28       133         186
 *
 * A BPF arena (kernel 6.9) instead of the array map, the same 64-byte buckets, 128 MiB each, interleaved rounds (also
 * measured once, on another day's machine): 241-277 against 255-286 ns at 131,072 flows, 249-265 against 258-273 at
 * 1,048,576. Nothing is gained: its pages are 4 KiB too, so the same lines and the same page-table entries have to come
 * from memory.
 *
 * An array of maps of 504 buckets each, which are small enough for the kernel's direct map and its 1 GiB pages (measured
 * once, on an Intel machine; one line per lookup, each lookup waits for the one before it; seven rounds): 180-205 against
 * 194-291 ns in 22 MiB, 204-233 against 228-343 in 177 MiB, 15 against 12 in one such map. In user space there, a line of
 * as much memory costs 163-189 with 4 KiB pages and 128-137 with 2 MiB ones (22 MiB). A tenth is not worth 5,754 maps.
 *
 * Why this one. One line per hit beats everything that looks elsewhere first; tags, which are best as long as lookups
 * overlap (102 ns at 1 Mi flows), lose as soon as they don't. Slots of 16 bytes save memory but not time, and don't hold
 * what a packet needs, so that further tables are read.
 *
 * Concurrency. There is no lock for readers and none for packets of known flows.
 *  - Insertion takes the lock bit of the home bucket, so that of two CPUs that insert one key the second finds it. A slot
 *    is claimed by a compare-and-swap of its free state, since other homes' flows may want it too; it is filled, and
 *    published by its state.
 *  - Removal claims the slot by a compare-and-swap of the flow's state: exactly one CPU wins, and only as long as the
 *    slot has this flow in this state. Then no bucket is passed over on its account any more, and only then is the slot
 *    free: the other way round more flows than a window has slots could be counted at once, and the count would carry
 *    into the lock.
 *  - A reader takes the state, then the rest, then looks whether all of it is still the same. A new flow writes its new
 *    tuple before its key, its key before its state, so a copy that mixes two flows is not taken. (Loads and stores
 *    keep their order on x86; other machines need barriers that BPF has since Linux 6.15 only, so it is not loaded
 *    there.) That the new tuple is looked at twice, too, is for two flows that take turns in a slot: state and key
 *    alone are back to what they were once the slot has changed hands twice while a packet is on its way between two
 *    loads (the flow table's test met it in one of five runs). Both looks would now have to fall into the other flow's
 *    turns.
 *  - What changes later in a slot is in the state and changes by compare-and-swap of the whole word, after a look at the
 *    key: the flow that a packet found may be gone since, and another one with the same state have its slot.
 *  - Between that look and the swap the slot can't change hands, because a slot rests once it was freed: it keeps the
 *    time, and no flow gets it for a jiffy or two as long as another slot of the window is free. (The swap would have
 *    to be held up for longer than that, in a full window.)
 * tests/packet/flow_table_test.cpp has two CPUs do all of this to the same few buckets, and
 * tests/unit/flow_steps goes through every order of these steps on a tiny table.
 *
 * Areas. A hash spreads few flows over all pages of a table that was made for many, and then nearly every packet misses the
 * translation cache and the second-level cache: 16,384 flows in the default table cost two and a half times what they cost in
 * one that fits them. So flows have their home in an area, the first 2^n homes, which follows the load (maps/flow.h):
 *  - A flow's home in the whole table is `whole`; in an area it is `whole` modulo 2^n. Areas are larger than a window, so
 *    from `whole` and a slot's place follows its home, and whoever removes a flow needn't know in which area it came.
 *  - While the area changes new flows go to the new one, and the old one's are moved one by one (move.h). A search looks
 *    into the new one, the old one, and once more into the new one. The word that names both is read before and after a
 *    search that found nothing: if it has changed, the search begins anew. Nobody waits.
 *  - An insertion locks the home in either area, the lower one first, and then looks whether the word is still what it
 *    read. So no key is given away twice, whatever area each CPU has read.
 *  - Whoever changes the area waits at each home of the old one until it isn't locked. After that no insertion that read
 *    the word before can be under way, and what is found in the old area is all there is.
 *  - sluiced has the area grow and shrink after its sweeps. When a burst comes between two of them, the insertion that
 *    finds its window crowded makes the whole table the area, at once.
 *
 * Flows that move to a table of another size, or to another area: see move.h.
 *
 * IPv6 flows have a table of their own, with one slot per bucket and everything else the same.
 */
#ifndef SLUICE_BPF_FLOW_TABLE_H
#define SLUICE_BPF_FLOW_TABLE_H

#include "bpf/clock.h"
#include "bpf/journey.h"
#include "bpf/listener_bank.h"
#include "bpf/packet.h"
#include "maps/flow.h"
#include "maps/member.h"
#include "maps/runtime.h"
#include "maps/snat.h"

/* Copied from struct sluice_flow_table before load, so that the verifier knows them as constants. */
const volatile __u64 flow_hash_seed = 0;
const volatile __u32 flow_homes4 = SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS);
const volatile __u32 flow_homes6 = SLUICE_FLOW_HOMES6(SLUICE_DEFAULT_FLOWS / SLUICE_IPV6_SHARE);

/* While flows are moved to tables of another size there are two of each, see move.h: this one, where new flows go, and the
 * other one. The same seed for both. `local_`: these names are not pinned. */
const volatile __u32 flow_move_phase = SLUICE_FLOW_MOVE_NONE;
const volatile __u32 other_homes4 = 1;
const volatile __u32 other_homes6 = 1;

/* Flows come here from tables of another layout, which only the former program can read; see crossing.h. */
const volatile bool flow_is_crossing = false;
/* While flows are moved in either way nothing is removed but by packets. */
#define flows_are_moving (flow_move_phase || flow_is_crossing)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_bucket4);
} local_other4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sluice_bucket6);
} local_other6 SEC(".maps");

/* An insertion that goes so many buckets beyond its home says that the area is too small. One of 10^6 does with a third of all
 * slots in use (IPv4; a quarter: IPv6), one of 2,000 with half of them (IPv6: two fifths). Later would be too late: what has
 * its home among these buckets in the whole table, too, must still find room there. */
#define FLOW_CROWDED(family) ((family) == FAMILY4 ? 12 : 16)
/* Rounds of whatever begins anew when the area has changed. */
#define FLOW_AREA_ROUNDS 3

/* In the number of a bucket and the index of a slot: of the other table. */
#define FLOW_OTHER (1U << 30)

/* Connections that the table was made for. */
#define flow_capacity4 ((__u32)((__u64)flow_homes4 * SLUICE_BUCKET_SLOTS4 * 3 / 10))
#define flow_capacity6 ((__u32)((__u64)flow_homes6 * SLUICE_BUCKET_SLOTS6 * 3 / 10))

#define KERNEL_EAGAIN 11
#define KERNEL_EEXIST 17
#define KERNEL_ENOSPC 28
#define KERNEL_ESTALE 116

/* Rounds for a home bucket's lock. Its holder writes a cache line or two, which takes some 200 rounds, as whoever waits
 * takes the line away from it; on another machine 2048 were too few in one of seven cases. Who waits longer than this has
 * met a CPU that the hypervisor took away, and drops a SYN that will come again. */
#define FLOW_LOCK_ROUNDS 65536
/* Rounds for a compare-and-swap that fails only because another CPU's has succeeded. */
#define FLOW_SWAP_ROUNDS 16

/* A freed slot rests until the jiffy after the next one has begun. */
#define FLOW_REST_JIFFIES 2

/* Where a test has another CPU come in between two steps. */
#ifndef FLOW_PAUSE
#define FLOW_PAUSE(place)
#endif

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

/* A slot's words, as they are read and written: whole. `ports` are the key's two, then the new ones. */
struct flow_words4 {
	__u64 addresses, ports, new_addresses, state;
};
SLUICE_STATIC_ASSERT(sizeof(struct flow_words4) == sizeof(struct sluice_flow4));

struct flow_words6 {
	__u64 source[2], destination[2], ports, other[2], state;
};
SLUICE_STATIC_ASSERT(sizeof(struct flow_words6) == sizeof(struct sluice_flow6));

/* The bits that stay the same as long as a slot belongs to one flow. */
#define FLOW_IDENTITY                                                                              \
	(SLUICE_STATE_PUT(LISTENER_IN_BANK, ~0ULL) | SLUICE_STATE_PUT(MEMBER, ~0ULL) |                     \
	 SLUICE_STATE_PUT(PROTOCOL, ~0ULL) | SLUICE_FLOW_TO_CLIENT | SLUICE_FLOW_KEEPS_CLIENT)

/* A slot in the making. */
struct flow_entry {
	struct tuple key;
	union sluice_address new_source;
	union sluice_address new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u32 zero;
	__u64 state;
};

static __always_inline __u64 tuple_addresses4(const struct tuple *t)
{
	return (__u64)t->destination.ipv4 << 32 | t->source.ipv4;
}

/* Of so many homes the bucket where a flow's search begins. Rounds of multiply and fold, as in MurmurHash3's finalizer
 * (public domain). */
static __always_inline __u32 tuple_home_of(int family, const struct tuple *t, __u32 homes)
{
	__u64 h;

	if (family == FAMILY4) {
		h = (tuple_addresses4(t) ^ flow_hash_seed) * 0x9e3779b97f4a7c15ULL;
	} else {
		h = (t->source.halves[0] ^ flow_hash_seed) * 0x9e3779b97f4a7c15ULL;
		h = (h ^ h >> 32 ^ t->source.halves[1]) * 0xbf58476d1ce4e5b9ULL;
		h = (h ^ h >> 29 ^ t->destination.halves[0]) * 0x94d049bb133111ebULL;
		h = (h ^ h >> 32 ^ t->destination.halves[1]) * 0x9e3779b97f4a7c15ULL;
	}
	h ^= h >> 32;
	h = (h ^ tuple_ports(t) ^ ((__u64)t->protocol << 32)) * 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 29;
	return ((h >> 32) * homes) >> 32;
}

/* In the whole table. */
static __always_inline __u32 tuple_home(int family, const struct tuple *t)
{
	return tuple_home_of(family, t, family == FAMILY4 ? flow_homes4 : flow_homes6);
}

static __always_inline __u32 tuple_other_home(int family, const struct tuple *t)
{
	return FLOW_OTHER | tuple_home_of(family, t, family == FAMILY4 ? other_homes4 : other_homes6);
}

/* Makes the tuple of an IPv4 packet that of the IPv6 packet that other_version.h makes of it. */
static __always_inline void tuple_map(struct tuple *t)
{
	t->source = mapped(t->source.ipv4);
	t->destination = mapped(t->destination.ipv4);
}

static __always_inline __u64 *flow_area_word(int family)
{
	__u32 which = family == FAMILY6;

	return bpf_map_lookup_elem(&flow_areas, &which);
}

static __always_inline __u64 flow_area(int family)
{
	const __u64 *word = flow_area_word(family);

	return word ? READ_ONCE(*word) : 0;
}

/* Where a new flow has its home. */
static __always_inline __u32 flow_home(int family, const struct tuple *t)
{
	return sluice_area_home(tuple_home(family, t), SLUICE_AREA_SHIFT(flow_area(family)));
}

static __always_inline __u32 bucket_slots(int family)
{
	return family == FAMILY4 ? SLUICE_BUCKET_SLOTS4 : SLUICE_BUCKET_SLOTS6;
}

static __always_inline __u32 slot_bytes(int family)
{
	return family == FAMILY4 ? sizeof(struct sluice_flow4) : sizeof(struct sluice_flow6);
}

/* Of this table. */
static __always_inline void *flow_bucket_here(int family, __u32 number)
{
	return family == FAMILY4 ? bpf_map_lookup_elem(&flows4, &number) : bpf_map_lookup_elem(&flows6, &number);
}

/* Of either. */
static __always_inline void *flow_bucket(int family, __u32 number)
{
	if (!flow_move_phase || !(number & FLOW_OTHER))
		return flow_bucket_here(family, number);
	number &= ~FLOW_OTHER;
	return family == FAMILY4 ? bpf_map_lookup_elem(&local_other4, &number)
				 : bpf_map_lookup_elem(&local_other6, &number);
}

static __always_inline void *bucket_slot(int family, void *bucket, __u32 n)
{
	return bucket + n * slot_bytes(family);
}

static __always_inline __u64 *slot_state(int family, void *slot)
{
	return slot + slot_bytes(family) - sizeof(__u64);
}

/* The first slot's, which has the bucket's own bits too. */
static __always_inline __u64 *bucket_state(int family, void *bucket)
{
	return slot_state(family, bucket);
}

/* The number of the bucket that has this slot. */
static __always_inline __u32 slot_bucket(int family, __u32 index)
{
	if (flow_move_phase && index & FLOW_OTHER)
		return FLOW_OTHER | (index & ~FLOW_OTHER) / bucket_slots(family);
	return index / bucket_slots(family);
}

/* Of this table. */
static __always_inline void *flow_slot_here(int family, __s32 index)
{
	void *bucket = index >= 0 ? flow_bucket_here(family, index / bucket_slots(family)) : NULL;

	return bucket ? bucket_slot(family, bucket, index % bucket_slots(family)) : NULL;
}

/* Of either. */
static __always_inline void *flow_slot(int family, __s32 index)
{
	void *bucket;

	if (!flow_move_phase || index < 0 || !(index & FLOW_OTHER))
		return flow_slot_here(family, index);
	bucket = flow_bucket(family, slot_bucket(family, index));
	return bucket ? bucket_slot(family, bucket, (__u32)index % bucket_slots(family)) : NULL;
}

/* 0 if the slot's key is this tuple; the protocol, which is in the state, is not compared. */
static __always_inline __u64 slot_difference(int family, void *slot, const struct tuple *t)
{
	const struct flow_words4 *w4 = slot;
	const struct flow_words6 *w6 = slot;

	if (family == FAMILY4)
		return (READ_ONCE(w4->addresses) ^ tuple_addresses4(t)) | (__u32)(READ_ONCE(w4->ports) ^ tuple_ports(t));
	return (READ_ONCE(w6->source[0]) ^ t->source.halves[0]) | (READ_ONCE(w6->source[1]) ^ t->source.halves[1]) |
	       (READ_ONCE(w6->destination[0]) ^ t->destination.halves[0]) |
	       (READ_ONCE(w6->destination[1]) ^ t->destination.halves[1]) |
	       (__u32)(READ_ONCE(w6->ports) ^ tuple_ports(t));
}

/* The same as a question, word by word: with all words of an IPv6 key at hand the compiler takes stack that a member's
 * packets, three calls deep, don't have. Not for the fast path. */
static __always_inline bool slot_has_key(int family, void *slot, const struct tuple *t)
{
	const __u64 *in_slot = slot, *wanted = (const void *)t; /* both begin with source and destination */

	if (family == FAMILY4)
		return !slot_difference(family, slot, t);
	for (int i = 0; i < 4; i++) {
		if (READ_ONCE(in_slot[i]) != READ_ONCE(wanted[i]))
			return false;
	}
	return (__u32)READ_ONCE(((const struct flow_words6 *)slot)->ports) == tuple_ports(t);
}

/* Copies a slot's new addresses and ports: what the packet's tuple becomes. */
struct slot_target {
	union {
		__u64 addresses; /* IPv4: both */
		union sluice_address other;
	};
	__u64 ports; /* all four */
};

static __always_inline void slot_target_get(int family, void *slot, struct slot_target *target)
{
	const struct flow_words4 *w4 = slot;
	const struct flow_words6 *w6 = slot;

	if (family == FAMILY4) {
		target->addresses = READ_ONCE(w4->new_addresses);
		target->ports = READ_ONCE(w4->ports);
		return;
	}
	target->other.halves[0] = READ_ONCE(w6->other[0]);
	target->other.halves[1] = READ_ONCE(w6->other[1]);
	target->ports = READ_ONCE(w6->ports);
}

/* 0 if the slot still says the same. */
static __always_inline __u64 slot_target_changed(int family, void *slot, const struct slot_target *before)
{
	struct slot_target now;

	slot_target_get(family, slot, &now);
	if (family == FAMILY4)
		return (now.addresses ^ before->addresses) | (now.ports ^ before->ports);
	return (now.other.halves[0] ^ before->other.halves[0]) | (now.other.halves[1] ^ before->other.halves[1]) |
	       (now.ports ^ before->ports);
}

/* The new addresses of a slot whose key is `t`; see struct sluice_flow6. */
static __always_inline void flow_set_addresses(int family, struct flow *flow, const struct tuple *t, __u64 state,
					       const struct slot_target *target)
{
	union sluice_address other = target->other;

	if (family == FAMILY4) {
		flow->new_source = (union sluice_address){.ipv4 = target->addresses};
		flow->new_destination = (union sluice_address){.ipv4 = target->addresses >> 32};
		return;
	}
	if (!(state & SLUICE_FLOW_KEEPS_CLIENT)) {
		flow->new_source = t->destination;
		flow->new_destination = other;
	} else if (state & SLUICE_FLOW_TO_CLIENT) {
		flow->new_source = other;
		flow->new_destination = t->destination;
	} else {
		flow->new_source = t->source;
		flow->new_destination = other;
	}
}

/* Returns the member of an IPv6 slot whose source is a SNAT address, NULL for other slots; see struct sluice_flow6. */
static __always_inline const struct sluice_member *snat_member(int family, __u64 state)
{
	__u32 index = SLUICE_STATE_GET(state, MEMBER);
	const struct sluice_member *member;

	if (family == FAMILY4 || !(state & SLUICE_FLOW_KEEPS_CLIENT))
		return NULL;
	member = bpf_map_lookup_elem(&members, &index);
	return member && !(member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP | SLUICE_MEMBER_DNAT)) ? member : NULL;
}

/* Returns the member's address as IPv6 slots have it. */
static __always_inline union sluice_address member_address6(const struct sluice_member *member)
{
	return member->flags & SLUICE_MEMBER_IPV6 ? member->address : mapped(member->address.ipv4);
}

/* flow_set_addresses() takes a slot with a SNAT address for one of dnat. Puts its addresses right. */
__noinline int flow_set_snat6(struct flow *flow)
{
	const struct sluice_member *member;
	const union sluice_address *vip;
	__u32 listener;

	if (!flow)
		return 0;
	member = snat_member(FAMILY6, flow->state);
	if (!member)
		return 0;
	if (!(flow->state & SLUICE_FLOW_TO_CLIENT)) {
		flow->new_source = flow->new_destination;
		flow->new_destination = member_address6(member);
		return 0;
	}
	if (flow->new_source.words[0] == SLUICE_IPV4_PAIR) {
		flow->new_destination = mapped(flow->new_source.words[3]);
		flow->new_source = mapped(flow->new_source.words[2]);
		return 0;
	}
	listener = listener_of_flow(flow->state);
	vip = bpf_map_lookup_elem(&snat_vips, &listener);
	flow->new_destination = flow->new_source;
	if (vip)
		flow->new_source = *vip;
	return 0;
}

/* For callers that may meet slots with SNAT addresses, which are all but the fast path. */
static __always_inline void flow_set_snat(int family, struct flow *flow)
{
	if (family == FAMILY6 && flow->state & SLUICE_FLOW_KEEPS_CLIENT)
		flow_set_snat6(flow);
}

/* Returns the state of this tuple's flow; 0: the slot does not hold it. */
static __always_inline __u64 slot_look(int family, void *slot, const struct tuple *t)
{
	__u64 *state_in_slot = slot_state(family, slot);
	__u64 state = READ_ONCE(*state_in_slot);

	if (!slot_has_key(family, slot, t) || SLUICE_STATE_GET(state, PROTOCOL) != t->protocol ||
	    (state ^ READ_ONCE(*state_in_slot)) & FLOW_IDENTITY)
		return 0;
	return state & SLUICE_STATE_FLOW;
}

/* For callers that need only the slot's index. */
static __always_inline bool slot_holds(int family, void *slot, const struct tuple *t)
{
	return slot_look(family, slot, t);
}

/* Copies the slot into *flow if it holds the flow of this tuple. */
static __always_inline bool flow_take(int family, void *slot, __u32 index, const struct tuple *t, struct flow *flow)
{
	__u64 *state_in_slot = slot_state(family, slot);
	__u64 state = READ_ONCE(*state_in_slot);
	struct slot_target target = {};

	if (slot_difference(family, slot, t) || SLUICE_STATE_GET(state, PROTOCOL) != t->protocol)
		return false;
	slot_target_get(family, slot, &target);
	if ((state ^ READ_ONCE(*state_in_slot)) & FLOW_IDENTITY || slot_difference(family, slot, t) ||
	    slot_target_changed(family, slot, &target))
		return false;
	flow_set_addresses(family, flow, t, state, &target);
	flow->index = index;
	flow->new_source_port = target.ports >> 32;
	flow->new_destination_port = target.ports >> 48;
	flow->state = state & SLUICE_STATE_FLOW;
	return true;
}

/* Chooses the bucket's slot to look at: 1 if the second one's key is this, else 0. The compiler makes branches of it, and
 * they are better than none: the CPU goes on by a guess as long as the key has not come from memory. */
static __always_inline __u64 flow_likely_slot(int family, void *bucket, const struct tuple *t)
{
	__u64 difference;

	if (bucket_slots(family) == 1)
		return 0;
	difference = slot_difference(family, bucket_slot(family, bucket, 1), t);
	return ((difference | -difference) >> 63) ^ 1;
}

/* Searches the whole window of a home. The slot's index, or -1. */
static __always_inline int window_search(int family, const struct tuple *t, __u32 home)
{
	__u32 other = home & FLOW_OTHER;

	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW; i++) {
		void *bucket = flow_bucket(family, home + i);

		if (!bucket)
			return -1;
		for (__u32 n = 0; n < bucket_slots(family); n++) {
			if (slot_holds(family, bucket_slot(family, bucket, n), t))
				return (((home & ~FLOW_OTHER) + i) * bucket_slots(family) + n) | other;
		}
		if (!(READ_ONCE(*bucket_state(family, bucket)) & SLUICE_STATE_PASSED))
			return -1;
	}
	return -1;
}

__noinline int window_search4(const struct tuple *t, __u32 home)
{
	return t ? window_search(FAMILY4, t, home) : -1;
}

__noinline int window_search6(const struct tuple *t, __u32 home)
{
	return t ? window_search(FAMILY6, t, home) : -1;
}

static __always_inline int flow_search_at(int family, const struct tuple *t, __u32 home)
{
	return family == FAMILY4 ? window_search4(t, home) : window_search6(t, home);
}

/* Searches this table. A flow that is being moved is in the new area before it leaves the old one. So who has found it in
 * neither, but looked into the new one first, looks there again. */
static __always_inline int flow_search_areas(int family, const struct tuple *t)
{
	__u32 whole = tuple_home(family, t);
	__u64 area = flow_area(family);

	for (int i = 0; i < FLOW_AREA_ROUNDS; i++) {
		int index = flow_search_at(family, t, sluice_area_home(whole, SLUICE_AREA_SHIFT(area)));
		__u64 now;

		FLOW_PAUSE(searching);
		if (index < 0 && SLUICE_AREA_SHIFT(area) != SLUICE_AREA_OLD_SHIFT(area)) {
			index = flow_search_at(family, t, sluice_area_home(whole, SLUICE_AREA_OLD_SHIFT(area)));
			if (index < 0)
				index = flow_search_at(family, t, sluice_area_home(whole, SLUICE_AREA_SHIFT(area)));
		}
		if (index >= 0)
			return index;
		now = flow_area(family);
		if (!((now ^ area) & ~SLUICE_AREA_BUSY))
			break;
		area = now;
	}
	return -1;
}

__noinline int flow_search4(const struct tuple *t)
{
	return t ? flow_search_areas(FAMILY4, t) : -1;
}

__noinline int flow_search6(const struct tuple *t)
{
	return t ? flow_search_areas(FAMILY6, t) : -1;
}

static __always_inline int flow_search_here(int family, const struct tuple *t)
{
	return family == FAMILY4 ? flow_search4(t) : flow_search6(t);
}

/* Both tables, while there are two: the new one, the old one, the new one again, for the same reason. */
static __always_inline int flow_search(int family, const struct tuple *t)
{
	__s32 index = flow_search_here(family, t);

	if (!flow_move_phase || index >= 0)
		return index;
	FLOW_PAUSE(searching);
	index = flow_search_at(family, t, tuple_other_home(family, t));
	return index >= 0 ? index : flow_search_here(family, t);
}

static __always_inline bool flow_take_at(int family, __s32 index, const struct tuple *t, struct flow *flow)
{
	void *slot = flow_slot(family, index);

	return slot && flow_take(family, slot, index, t, flow);
}

/* Fills *flow if the tuple is of a known one. If its source is a SNAT address in IPv6, its addresses are wrong. */
static __always_inline bool flow_find_any(int family, const struct tuple *t, struct flow *flow)
{
	__s32 index = flow_search(family, t);

	if (index < 0)
		return false;
	if (flow_take_at(family, index, t, flow))
		return true;
	/* It may have been moved between search and look. */
	return flow_take_at(family, flow_search(family, t), t, flow);
}

/* Fills *flow if the tuple is of a known one. For where a call doesn't matter. */
static __always_inline bool flow_find_far(int family, const struct tuple *t, struct flow *flow)
{
	if (!flow_find_any(family, t, flow))
		return false;
	flow_set_snat(family, flow);
	return true;
}

/* The same, fastest for a flow that is in its home bucket, as most are. False may also be the answer for a flow that is in
 * another area than the one whose shift this is. The addresses of a flow with a SNAT address are wrong in IPv6: its next
 * hop is none for the fast path. */
static __always_inline bool flow_find(int family, const struct tuple *t, __u32 area_shift, struct flow *flow)
{
	__u32 home = sluice_area_home(tuple_home(family, t), area_shift), n;
	void *bucket = flow_bucket_here(family, home);
	struct journey *journey;

	if (!bucket)
		return false;
	n = flow_likely_slot(family, bucket, t);
	if (flow_take(family, bucket_slot(family, bucket, n), home * bucket_slots(family) + n, t, flow))
		return true;
	if (!(READ_ONCE(*bucket_state(family, bucket)) & SLUICE_STATE_PASSED))
		return false;
	/* A call needs the tuple in memory; the fast path keeps it in registers. */
	journey = journey_get();
	if (!journey)
		return false;
	journey->fast = *t;
	return flow_find_any(family, &journey->fast, flow);
}

/* Finds a flow without copying it, for callers that need only its state, which is 0 if there is none, and its slot's
 * index. They are several calls deep, where a copy is too much for the stack. */
static __always_inline __u64 flow_find_state(int family, const struct tuple *t, __s32 *index)
{
	/* It may be moved between search and look. */
	for (int i = 0; i < 2; i++) {
		void *slot;
		__u64 state;

		*index = flow_search(family, t);
		slot = flow_slot(family, *index);
		if (!slot)
			return 0;
		state = slot_look(family, slot, t);
		if (state)
			return state;
	}
	return 0;
}

/* The tuple of the other direction's packets. */
static __always_inline struct tuple flow_twin(const struct flow *flow)
{
	return (struct tuple){
		.source = flow->new_destination,
		.destination = flow->new_source,
		.source_port = flow->new_destination_port,
		.destination_port = flow->new_source_port,
		.protocol = SLUICE_STATE_GET(flow->state, PROTOCOL),
	};
}

/* The same, without a copy on the stack. */
static __always_inline void flow_twin_to(struct tuple *twin, const struct flow *flow)
{
	twin->source = flow->new_destination;
	twin->destination = flow->new_source;
	twin->source_port = flow->new_destination_port;
	twin->destination_port = flow->new_source_port;
	twin->protocol = SLUICE_STATE_GET(flow->state, PROTOCOL);
}

static __always_inline bool flow_swap_in(int family, __s32 index, __u64 seen, __u64 state)
{
	void *slot = flow_slot(family, index);
	__u64 *state_in_slot;

	if (!slot)
		return false;
	state_in_slot = slot_state(family, slot);
	for (int i = 0; i < FLOW_SWAP_ROUNDS; i++) {
		__u64 whole = READ_ONCE(*state_in_slot);

		if ((whole & SLUICE_STATE_FLOW) != seen)
			return false;
		if (__sync_val_compare_and_swap(state_in_slot, whole, (whole & ~SLUICE_STATE_FLOW) | state) == whole)
			return true;
	}
	return false;
}

__noinline int flow_swap4(__s32 index, __u64 seen, __u64 state)
{
	return flow_swap_in(FAMILY4, index, seen, state);
}

__noinline int flow_swap6(__s32 index, __u64 seen, __u64 state)
{
	return flow_swap_in(FAMILY6, index, seen, state);
}

/* Replaces a slot's flow bits if they are still `seen`. False: another CPU was faster, or the flow is gone. Only for
 * those who don't mind which flow has that state. */
static __always_inline bool flow_swap(int family, __s32 index, __u64 seen, __u64 state)
{
	return family == FAMILY4 ? flow_swap4(index, seen, state) : flow_swap6(index, seen, state);
}

static __always_inline bool flow_change_in(int family, __s32 index, const struct tuple *key, __u64 seen, __u64 state)
{
	void *slot = flow_slot(family, index);

	if (!slot)
		return false;
	for (int i = 0; i < FLOW_SWAP_ROUNDS; i++) {
		__u64 *state_in_slot = slot_state(family, slot);
		__u64 whole = READ_ONCE(*state_in_slot);

		if ((whole & SLUICE_STATE_FLOW) != seen || !slot_has_key(family, slot, key))
			return false;
		FLOW_PAUSE(changing);
		if (__sync_val_compare_and_swap(state_in_slot, whole, (whole & ~SLUICE_STATE_FLOW) | state) == whole)
			return true;
	}
	return false;
}

__noinline int flow_change4(__s32 index, const struct tuple *key, __u64 seen, __u64 state)
{
	return key && flow_change_in(FAMILY4, index, key, seen, state);
}

__noinline int flow_change6(__s32 index, const struct tuple *key, __u64 seen, __u64 state)
{
	return key && flow_change_in(FAMILY6, index, key, seen, state);
}

/* Replaces the state of the flow with this key, which was found in this slot, if it is still `seen`. False: another
 * CPU was faster, or the flow is gone. */
static __always_inline bool flow_change(int family, __s32 index, const struct tuple *key, __u64 seen, __u64 state)
{
	return family == FAMILY4 ? flow_change4(index, key, seen, state) : flow_change6(index, key, seen, state);
}

/* The same, and in the copy. */
static __always_inline bool flow_replace_state(int family, const struct tuple *key, struct flow *flow, __u64 state)
{
	if (!flow_change(family, flow->index, key, flow->state, state))
		return false;
	flow->state = state;
	return true;
}

struct lock_wait {
	__u64 *state;
	bool locked;
};

static long bucket_try_lock(__u32 round, struct lock_wait *wait)
{
	__u64 seen = READ_ONCE(*wait->state);

	(void)round;
	wait->locked = !(seen & SLUICE_STATE_LOCK) &&
		       __sync_val_compare_and_swap(wait->state, seen, seen | SLUICE_STATE_LOCK) == seen;
	return wait->locked;
}

static __always_inline bool bucket_lock_in(int family, __u32 number)
{
	void *bucket = flow_bucket(family, number);
	struct lock_wait wait = {};

	if (!bucket)
		return false;
	wait.state = bucket_state(family, bucket);
	if (!bucket_try_lock(0, &wait))
		bpf_loop(FLOW_LOCK_ROUNDS, bucket_try_lock, &wait, 0);
	return wait.locked;
}

__noinline int bucket_lock4(__u32 number)
{
	return bucket_lock_in(FAMILY4, number);
}

__noinline int bucket_lock6(__u32 number)
{
	return bucket_lock_in(FAMILY6, number);
}

static __always_inline bool bucket_lock(int family, __u32 number)
{
	return family == FAMILY4 ? bucket_lock4(number) : bucket_lock6(number);
}

static __always_inline void bucket_unlock(__u64 *state)
{
	__sync_fetch_and_and(state, ~SLUICE_STATE_LOCK);
}

static __always_inline void bucket_unlock_at(int family, __u32 number)
{
	void *bucket = flow_bucket(family, number);

	if (bucket)
		bucket_unlock(bucket_state(family, bucket));
}

static __always_inline void buckets_passed_in(int family, __u32 home, __u32 count, __u64 change)
{
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW && i < count; i++) {
		void *bucket = flow_bucket(family, home + i);

		if (bucket)
			__sync_fetch_and_add(bucket_state(family, bucket), change);
	}
}

__noinline int buckets_passed4(__u32 home, __u32 count, __u64 change)
{
	buckets_passed_in(FAMILY4, home, count, change);
	return 0;
}

__noinline int buckets_passed6(__u32 home, __u32 count, __u64 change)
{
	buckets_passed_in(FAMILY6, home, count, change);
	return 0;
}

/* The buckets that a flow in bucket home + count has passed over. */
static __always_inline void buckets_passed(int family, __u32 home, __u32 count, __u64 change)
{
	if (!count)
		return;
	if (family == FAMILY4)
		buckets_passed4(home, count, change);
	else
		buckets_passed6(home, count, change);
}

/* Has the slot of an IPv6 member's packets hold both addresses of its IPv4 client's (struct sluice_flow6). */
static __always_inline void entry_pair(struct flow_entry *reverse)
{
	if (is_mapped(&reverse->new_destination))
		reverse->new_source = (union sluice_address){
			.words = {SLUICE_IPV4_PAIR, 0, reverse->new_source.words[3], reverse->new_destination.words[3]}};
}

static __always_inline __u64 entry_ports(const struct flow_entry *e)
{
	return (__u64)e->new_destination_port << 48 | (__u64)e->new_source_port << 32 | tuple_ports(&e->key);
}

/* Returns the new address that an IPv6 slot has room for; see struct sluice_flow6. */
static __always_inline const union sluice_address *entry_other(const struct flow_entry *e)
{
	bool is_new_source;

	if (!(e->state & SLUICE_FLOW_KEEPS_CLIENT))
		return &e->new_destination;
	if (e->state & SLUICE_FLOW_TO_CLIENT)
		is_new_source = address_equal(FAMILY6, &e->new_destination, &e->key.destination) ||
				e->new_source.words[0] == SLUICE_IPV4_PAIR;
	else
		is_new_source = !address_equal(FAMILY6, &e->new_source, &e->key.source);
	return is_new_source ? &e->new_source : &e->new_destination;
}

/* New tuple before key, key before state: see the head of this file. */
static __always_inline void slot_publish(int family, void *slot, const struct flow_entry *e)
{
	const union sluice_address *other = family == FAMILY6 ? entry_other(e) : NULL;
	struct flow_words4 *w4 = slot;
	struct flow_words6 *w6 = slot;

	if (family == FAMILY4) {
		WRITE_ONCE(w4->new_addresses, (__u64)e->new_destination.ipv4 << 32 | e->new_source.ipv4);
		WRITE_ONCE(w4->addresses, tuple_addresses4(&e->key));
		WRITE_ONCE(w4->ports, entry_ports(e));
	} else {
		WRITE_ONCE(w6->other[0], other->halves[0]);
		WRITE_ONCE(w6->other[1], other->halves[1]);
		WRITE_ONCE(w6->source[0], e->key.source.halves[0]);
		WRITE_ONCE(w6->source[1], e->key.source.halves[1]);
		WRITE_ONCE(w6->destination[0], e->key.destination.halves[0]);
		WRITE_ONCE(w6->destination[1], e->key.destination.halves[1]);
		WRITE_ONCE(w6->ports, entry_ports(e));
	}
	/* From claimed to the flow's, whatever the bucket's bits are meanwhile. */
	__sync_fetch_and_add(slot_state(family, slot), e->state - SLUICE_STATE_CLAIMED);
}

static __always_inline bool slot_rests(__u64 free_state)
{
	return free_state && clock_jiffies() - (__u32)free_state < FLOW_REST_JIFFIES;
}

static __always_inline int flow_claim_in(int family, __u32 home, __u32 resting_too)
{
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW * bucket_slots(family); i++) {
		__u32 index = home * bucket_slots(family) + i;
		void *slot = flow_slot_here(family, index);
		__u64 state;

		if (!slot)
			break;
		state = READ_ONCE(*slot_state(family, slot)) & SLUICE_STATE_FLOW;
		if (SLUICE_STATE_IS_FREE(state) && (resting_too || !slot_rests(state)) &&
		    flow_swap(family, index, state, SLUICE_STATE_CLAIMED))
			return index;
	}
	return -1;
}

__noinline int flow_claim4(__u32 home, __u32 resting_too)
{
	return flow_claim_in(FAMILY4, home, resting_too);
}

__noinline int flow_claim6(__u32 home, __u32 resting_too)
{
	return flow_claim_in(FAMILY6, home, resting_too);
}

static __always_inline int flow_claim(int family, __u32 home, __u32 resting_too)
{
	return family == FAMILY4 ? flow_claim4(home, resting_too) : flow_claim6(home, resting_too);
}

/* Puts the flow into the first free slot of its window. The lock of its home bucket is held. Returns the
 * slot's index. */
static __always_inline int flow_place(int family, const struct flow_entry *e, __u32 home)
{
	__s32 index = flow_claim(family, home, false);
	void *slot;

	if (index < 0)
		index = flow_claim(family, home, true);
	slot = flow_slot(family, index);
	if (!slot)
		return -KERNEL_ENOSPC;
	/* Before it is published: who finds it must be led to it. */
	buckets_passed(family, home, index / bucket_slots(family) - home, SLUICE_STATE_PASSED_ONE);
	slot_publish(family, slot, e);
	return index;
}

/* Locks one or two home buckets, the lower one first. */
static __always_inline bool homes_lock(int family, __u32 lower, __u32 upper)
{
	if (!bucket_lock(family, lower))
		return false;
	if (lower == upper || bucket_lock(family, upper))
		return true;
	bucket_unlock_at(family, lower);
	return false;
}

static __always_inline void homes_unlock(int family, __u32 lower, __u32 upper)
{
	if (lower != upper)
		bucket_unlock_at(family, upper);
	bucket_unlock_at(family, lower);
}

/* For the fast path; see struct sluice_runtime. */
static __always_inline void area_announce(int family, __u32 shift)
{
	WRITE_ONCE(runtime.area_shifts[family == FAMILY6], shift);
}

/* The area is too small for a burst: the whole table is to be it. */
static __always_inline void area_give_up(int family, __u64 area)
{
	__u64 *word = flow_area_word(family);
	__u64 whole = SLUICE_AREA(0, SLUICE_AREA_SHIFT(area)) | (area & SLUICE_AREA_STILL) |
		      ((area & SLUICE_AREA_CHANGES) + SLUICE_AREA_CHANGE);

	if (word && __sync_val_compare_and_swap(word, area, whole) == area)
		area_announce(family, 0);
}

/* Can the area grow now? */
static __always_inline bool area_may_grow(__u64 area)
{
	return SLUICE_AREA_SHIFT(area) && SLUICE_AREA_SHIFT(area) == SLUICE_AREA_OLD_SHIFT(area) &&
	       !(area & (SLUICE_AREA_HELD | SLUICE_AREA_MOVING));
}

/* Inserts into the area that this word names; the slot's index, or an error as flow_insert(). -KERNEL_ESTALE: the area is
 * another one by now. `copied`: the flow may be in the old one. */
static __always_inline int flow_insert_in_area(int family, const struct flow_entry *e, __u64 area, bool copied)
{
	const struct tuple *key = &e->key;
	__u32 whole = tuple_home(family, key), home = sluice_area_home(whole, SLUICE_AREA_SHIFT(area));
	__u32 old_home = sluice_area_home(whole, SLUICE_AREA_OLD_SHIFT(area));
	__u32 lower = home < old_home ? home : old_home, upper = home ^ old_home ^ lower;
	int result = -KERNEL_ESTALE;

	if (!homes_lock(family, lower, upper))
		return -KERNEL_EAGAIN;
	if (!((flow_area(family) ^ area) & ~SLUICE_AREA_BUSY)) {
		if (flow_search_at(family, key, home) >= 0 ||
		    (!copied && home != old_home && flow_search_at(family, key, old_home) >= 0))
			result = -KERNEL_EEXIST;
		else
			result = flow_place(family, e, home);
	}
	homes_unlock(family, lower, upper);
	if (result != -KERNEL_ENOSPC && (result < 0 || result / bucket_slots(family) - home < FLOW_CROWDED(family)))
		return result;
	if (!area_may_grow(area))
		return result;
	area_give_up(family, area);
	return result < 0 ? -KERNEL_ESTALE : result;
}

/* Looks at this table alone, also while there is another one. Returns the slot's index, or an error as flow_insert(). */
static __always_inline int flow_insert_here(int family, const struct flow_entry *e, bool copied)
{
	int result = -KERNEL_ESTALE;

#pragma clang loop unroll(disable)
	for (int i = 0; i < FLOW_AREA_ROUNDS && result == -KERNEL_ESTALE; i++)
		result = flow_insert_in_area(family, e, flow_area(family), copied);
	return result == -KERNEL_ESTALE ? -KERNEL_EAGAIN : result;
}

/* The home in the other table is locked, too: programs of which each puts new flows into another one of the two must not
 * give a key or a port away twice. The old table's lock first, in all of them. */
static __always_inline int flow_insert_both(int family, const struct flow_entry *e)
{
	__u32 here = tuple_home(family, &e->key), there = tuple_other_home(family, &e->key);
	__u32 first = flow_move_phase == SLUICE_FLOW_MOVE_SOON ? here : there, second = here ^ there ^ first;
	void *first_bucket, *second_bucket;
	int result = -KERNEL_EAGAIN;

	first_bucket = flow_bucket(family, first);
	second_bucket = flow_bucket(family, second);
	if (!first_bucket || !second_bucket || !bucket_lock(family, first))
		return result;
	if (bucket_lock(family, second)) {
		struct tuple key = e->key;

		result = flow_search(family, &key) >= 0 ? -KERNEL_EEXIST : flow_place(family, e, here);
		bucket_unlock(bucket_state(family, second_bucket));
	}
	bucket_unlock(bucket_state(family, first_bucket));
	return result;
}

static __always_inline int flow_insert_in(int family, const struct flow_entry *e)
{
	int result = flow_move_phase ? flow_insert_both(family, e) : flow_insert_here(family, e, false);

	return result > 0 ? 0 : result;
}

__noinline int flow_insert4(const struct flow_entry *e)
{
	return e ? flow_insert_in(FAMILY4, e) : -KERNEL_ENOSPC;
}

__noinline int flow_insert6(const struct flow_entry *e)
{
	return e ? flow_insert_in(FAMILY6, e) : -KERNEL_ENOSPC;
}

/* 0; -KERNEL_EEXIST: the key is taken; -KERNEL_ENOSPC: its window is full; -KERNEL_EAGAIN: another CPU held the
 * bucket for too long. */
static __always_inline int flow_insert(int family, const struct flow_entry *e)
{
	return family == FAMILY4 ? flow_insert4(e) : flow_insert6(e);
}

static __always_inline struct tuple slot_key(int family, void *slot)
{
	const struct flow_words4 *w4 = slot;
	const struct flow_words6 *w6 = slot;
	__u64 ports = family == FAMILY4 ? READ_ONCE(w4->ports) : READ_ONCE(w6->ports);
	struct tuple key = {
		.source_port = ports,
		.destination_port = ports >> 16,
		.protocol = SLUICE_STATE_GET(READ_ONCE(*slot_state(family, slot)), PROTOCOL),
	};

	if (family == FAMILY4) {
		__u64 addresses = READ_ONCE(w4->addresses);

		key.source.ipv4 = addresses;
		key.destination.ipv4 = addresses >> 32;
	} else {
		key.source.halves[0] = READ_ONCE(w6->source[0]);
		key.source.halves[1] = READ_ONCE(w6->source[1]);
		key.destination.halves[0] = READ_ONCE(w6->destination[0]);
		key.destination.halves[1] = READ_ONCE(w6->destination[1]);
	}
	return key;
}

static __always_inline int flow_remove_in(int family, __s32 index, const struct tuple *key, __u64 state)
{
	void *slot = flow_slot(family, index);
	__u32 whole, beyond_home;

	if (!slot || !SLUICE_STATE_GET(state, PROTOCOL))
		return false;
	if (!flow_change(family, index, key, state & SLUICE_STATE_FLOW, SLUICE_STATE_CLAIMED))
		return false;
	whole = flow_move_phase && index & FLOW_OTHER ? tuple_other_home(family, key) : tuple_home(family, key);
	/* Whatever the area was when it came. */
	beyond_home = (slot_bucket(family, index) - whole) % SLUICE_SMALLEST_AREA;
	/* Before the slot is free: see the head of this file. */
	buckets_passed(family, slot_bucket(family, index) - beyond_home, beyond_home, -SLUICE_STATE_PASSED_ONE);
	FLOW_PAUSE(removing);
	__sync_fetch_and_add(slot_state(family, slot), SLUICE_STATE_FREED(clock_jiffies()) - SLUICE_STATE_CLAIMED);
	return true;
}

__noinline int flow_remove4(__s32 index, const struct tuple *key, __u64 state)
{
	return key && flow_remove_in(FAMILY4, index, key, state);
}

__noinline int flow_remove6(__s32 index, const struct tuple *key, __u64 state)
{
	return key && flow_remove_in(FAMILY6, index, key, state);
}

/* Takes the flow with this key out of this slot, if its state is still `state`. False: another CPU changed it or was
 * faster. */
static __always_inline int flow_remove(int family, __s32 index, const struct tuple *key, __u64 state)
{
	return family == FAMILY4 ? flow_remove4(index, key, state) : flow_remove6(index, key, state);
}

#endif
