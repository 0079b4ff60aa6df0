/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The flow table: flow_find, flow_insert, flow_remove, flow_replace_state. No other file touches its map.
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
 * Why this one. One line per hit beats everything that looks elsewhere first; tags, which are best as long as lookups
 * overlap (102 ns at 1 Mi flows), lose as soon as they don't. Slots of 16 bytes save memory but not time, and don't hold
 * what a packet needs, so that further tables are read.
 *
 * Concurrency. There is no lock for readers and none for packets of known flows.
 *  - Insertion takes the lock bit of the home bucket, so that of two CPUs that insert one key the second finds it. A slot
 *    is claimed by a compare-and-swap of its free state, since other homes' flows may want it too; it is filled, and
 *    published by its state.
 *  - Removal is a compare-and-swap of the state to free: exactly one CPU wins, and only as long as the slot is the same
 *    flow's.
 *  - A reader takes the state, then the rest, then looks whether state and key are still the same. A new flow writes
 *    its new tuple before its key, its key before its state, so a copy that mixes two flows is never taken. (Loads
 *    and stores keep their order on x86; other architectures need barriers that BPF doesn't have in kernel 6.1.)
 *  - What changes later in a slot is in the state and changes by compare-and-swap of the whole word.
 * tests/packet/flow_table_test.cpp has two CPUs do all of this to the same few buckets.
 */
#ifndef SLUICE_BPF_FLOW_TABLE_H
#define SLUICE_BPF_FLOW_TABLE_H

#include "bpf/packet.h"
#include "maps/flow.h"

/* Copied from struct sluice_flow_table before load, so that the verifier knows them as constants. */
const volatile __u64 flow_hash_seed = 0;
const volatile __u32 flow_homes4 = SLUICE_FLOW_HOMES4(SLUICE_DEFAULT_FLOWS);

#define KERNEL_EAGAIN 11
#define KERNEL_EEXIST 17
#define KERNEL_ENOSPC 28

/* Rounds for a home bucket's lock. Its holder writes a cache line or two; who waits longer than this has met a CPU
 * that the hypervisor took away, and drops a SYN that will come again. */
#define FLOW_LOCK_ROUNDS 2048
/* Rounds for a compare-and-swap that fails only because another CPU's has succeeded. */
#define FLOW_SWAP_ROUNDS 16

#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

/* A slot's words, as they are read and written: whole. */
struct flow_words {
	__u64 addresses, ports, new_addresses, state;
};

/* What does not change as long as a slot belongs to one flow. */
#define FLOW_IDENTITY                                                                              \
	(SLUICE_STATE_PUT(LISTENER, ~0ULL) | SLUICE_STATE_PUT(MEMBER, ~0ULL) |                     \
	 SLUICE_STATE_PUT(PROTOCOL, ~0ULL) | SLUICE_FLOW_TO_CLIENT)

/* What a packet needs of its flow: a copy, and the slot for later changes of its state. */
struct flow {
	struct sluice_flow4 *slot;
	__u32 index; /* of the slot */
	__be32 new_source;
	__be32 new_destination;
	__be16 new_source_port;
	__be16 new_destination_port;
	__u64 state; /* without the bucket's bits */
};

static __always_inline __u64 tuple_addresses(const struct tuple *t)
{
	return (__u64)t->destination << 32 | t->source;
}

static __always_inline __u32 tuple_ports(const struct tuple *t)
{
	return (__u32)t->destination_port << 16 | t->source_port;
}

/* The bucket where a flow's search begins. Two rounds of multiply and fold, as in MurmurHash3's finalizer (public
 * domain). */
static __always_inline __u32 flow_home(__u64 addresses, __u32 ports, __u64 protocol)
{
	__u64 h = (addresses ^ flow_hash_seed) * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 32;
	h = (h ^ ports ^ (protocol << 32)) * 0xc4ceb9fe1a85ec53ULL;
	h ^= h >> 29;
	return ((h >> 32) * flow_homes4) >> 32;
}

static __always_inline __u32 tuple_home(const struct tuple *t)
{
	return flow_home(tuple_addresses(t), tuple_ports(t), t->protocol);
}

static __always_inline struct sluice_bucket4 *flow_bucket(__u32 number)
{
	return bpf_map_lookup_elem(&flows4, &number);
}

static __always_inline struct sluice_flow4 *flow_slot(__u32 index)
{
	struct sluice_bucket4 *bucket = flow_bucket(index / SLUICE_BUCKET_SLOTS4);

	return bucket ? &bucket->slots[index % SLUICE_BUCKET_SLOTS4] : NULL;
}

/* Copies the slot into *flow if it holds the flow of this tuple. */
static __always_inline bool flow_take(struct sluice_flow4 *slot, __u32 index, const struct tuple *t, struct flow *flow)
{
	const struct flow_words *words = (const void *)slot;
	__u64 state = READ_ONCE(words->state);
	__u64 addresses = READ_ONCE(words->addresses);
	__u64 ports = READ_ONCE(words->ports);
	__u64 new_addresses = READ_ONCE(words->new_addresses);

	if (addresses != tuple_addresses(t) || (__u32)ports != tuple_ports(t) ||
	    SLUICE_STATE_GET(state, PROTOCOL) != t->protocol)
		return false;
	if ((state ^ READ_ONCE(words->state)) & FLOW_IDENTITY || READ_ONCE(words->addresses) != addresses ||
	    READ_ONCE(words->ports) != ports)
		return false;
	flow->slot = slot;
	flow->index = index;
	flow->new_source = new_addresses;
	flow->new_destination = new_addresses >> 32;
	flow->new_source_port = ports >> 32;
	flow->new_destination_port = ports >> 48;
	flow->state = state & SLUICE_STATE_FLOW;
	return true;
}

/* 1 if the second slot's key is this, else 0. Without a branch: which of two slots it is can't be predicted. */
static __always_inline __u32 flow_is_second(const struct sluice_bucket4 *bucket, const struct tuple *t)
{
	const struct flow_words *words = (const void *)&bucket->slots[1];
	__u64 difference = (READ_ONCE(words->addresses) ^ tuple_addresses(t)) |
			   (__u32)(READ_ONCE(words->ports) ^ tuple_ports(t));

	return ((difference | -difference) >> 63) ^ 1;
}

/* Searches the whole window. The slot's index, or -1. */
__noinline int flow_search(const struct tuple *t)
{
	struct flow flow;
	__u32 home;

	if (!t)
		return -1;
	home = tuple_home(t);
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW; i++) {
		struct sluice_bucket4 *bucket = flow_bucket(home + i);

		if (!bucket)
			return -1;
		for (__u32 n = 0; n < SLUICE_BUCKET_SLOTS4; n++) {
			if (flow_take(&bucket->slots[n], 0, t, &flow))
				return (home + i) * SLUICE_BUCKET_SLOTS4 + n;
		}
		if (!(READ_ONCE(bucket->slots[0].state) & SLUICE_STATE_PASSED))
			return -1;
	}
	return -1;
}

static __always_inline bool flow_take_at(__s32 index, const struct tuple *t, struct flow *flow)
{
	struct sluice_flow4 *slot = index >= 0 ? flow_slot(index) : NULL;

	return slot && flow_take(slot, index, t, flow);
}

/* Fills *flow if the tuple is of a known one. For where a call doesn't matter. */
static __always_inline bool flow_find_far(const struct tuple *t, struct flow *flow)
{
	return flow_take_at(flow_search(t), t, flow);
}

/* The same, fastest for a flow that is in its home bucket, as most are. */
static __always_inline bool flow_find(const struct tuple *t, struct flow *flow)
{
	__u32 home = tuple_home(t), second;
	struct sluice_bucket4 *bucket = flow_bucket(home);
	struct tuple far;

	if (!bucket)
		return false;
	second = flow_is_second(bucket, t);
	if (flow_take(&bucket->slots[second], home * SLUICE_BUCKET_SLOTS4 + second, t, flow))
		return true;
	if (!(READ_ONCE(bucket->slots[0].state) & SLUICE_STATE_PASSED))
		return false;
	far = *t; /* only what is on the stack can be passed on, and a packet's tuple is better kept in registers */
	return flow_find_far(&far, flow);
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

/* Replaces a slot's flow bits if they are still `seen`. False: another CPU was faster, or the flow is gone. */
static __always_inline bool flow_replace_state(struct sluice_flow4 *slot, __u64 seen, __u64 state)
{
	for (int i = 0; i < FLOW_SWAP_ROUNDS; i++) {
		__u64 whole = READ_ONCE(slot->state);

		if ((whole & SLUICE_STATE_FLOW) != seen)
			return false;
		if (__sync_val_compare_and_swap(&slot->state, whole, (whole & ~SLUICE_STATE_FLOW) | state) == whole)
			return true;
	}
	return false;
}

static __always_inline bool bucket_lock(struct sluice_bucket4 *bucket)
{
	__u64 *state = &bucket->slots[0].state;

	for (int i = 0; i < FLOW_LOCK_ROUNDS; i++) {
		__u64 seen = READ_ONCE(*state);

		if (!(seen & SLUICE_STATE_LOCK) &&
		    __sync_val_compare_and_swap(state, seen, seen | SLUICE_STATE_LOCK) == seen)
			return true;
	}
	return false;
}

static __always_inline void bucket_unlock(struct sluice_bucket4 *bucket)
{
	__sync_fetch_and_and(&bucket->slots[0].state, ~SLUICE_STATE_LOCK);
}

/* The buckets that a flow in bucket home + count has passed over. */
static __always_inline void buckets_passed(__u32 home, __u32 count, __u64 change)
{
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW && i < count; i++) {
		struct sluice_bucket4 *bucket = flow_bucket(home + i);

		if (bucket)
			__sync_fetch_and_add(&bucket->slots[0].state, change);
	}
}

static __always_inline void slot_publish(struct sluice_flow4 *slot, const struct sluice_flow4 *flow)
{
	const struct flow_words *from = (const void *)flow;
	struct flow_words *to = (void *)slot;

	WRITE_ONCE(to->new_addresses, from->new_addresses);
	WRITE_ONCE(to->addresses, from->addresses);
	WRITE_ONCE(to->ports, from->ports);
	/* From claimed to the flow's, whatever the bucket's bits are meanwhile. */
	__sync_fetch_and_add(&to->state, from->state - SLUICE_STATE_CLAIMED);
}

/* Puts the flow into the first free slot of its window. The lock of its home bucket is held. */
static __always_inline int flow_place(const struct sluice_flow4 *flow, __u32 home)
{
	for (__u32 i = 0; i < SLUICE_FLOW_WINDOW; i++) {
		struct sluice_bucket4 *bucket = flow_bucket(home + i);

		if (!bucket)
			break;
		for (__u32 n = 0; n < SLUICE_BUCKET_SLOTS4; n++) {
			if (READ_ONCE(bucket->slots[n].state) & SLUICE_STATE_FLOW ||
			    !flow_replace_state(&bucket->slots[n], 0, SLUICE_STATE_CLAIMED))
				continue;
			/* Before it is published: who finds it must be led to it. */
			buckets_passed(home, i, SLUICE_STATE_PASSED_ONE);
			slot_publish(&bucket->slots[n], flow);
			return 0;
		}
	}
	return -KERNEL_ENOSPC;
}

static __always_inline struct tuple flow_key(const struct sluice_flow4 *flow)
{
	return (struct tuple){
		.source = flow->source,
		.destination = flow->destination,
		.source_port = flow->source_port,
		.destination_port = flow->destination_port,
		.protocol = SLUICE_STATE_GET(flow->state, PROTOCOL),
	};
}

/* 0; -KERNEL_EEXIST: the key is taken; -KERNEL_ENOSPC: its window is full; -KERNEL_EAGAIN: another CPU held the
 * bucket for too long. */
__noinline int flow_insert(const struct sluice_flow4 *flow)
{
	struct sluice_bucket4 *bucket;
	struct tuple key;
	__u32 home;
	int result;

	if (!flow)
		return -KERNEL_ENOSPC;
	key = flow_key(flow);
	home = tuple_home(&key);
	bucket = flow_bucket(home);
	if (!bucket || !bucket_lock(bucket))
		return -KERNEL_EAGAIN;
	result = flow_search(&key) >= 0 ? -KERNEL_EEXIST : flow_place(flow, home);
	bucket_unlock(bucket);
	return result;
}

/* Takes the flow in this slot out, if its state is still `state`. False: another CPU changed it or was faster. */
__noinline int flow_remove(__s32 index, __u64 state)
{
	struct sluice_flow4 *slot = index >= 0 ? flow_slot(index) : NULL;
	struct tuple key;
	__u32 home;

	if (!slot || !SLUICE_STATE_GET(state, PROTOCOL))
		return false;
	/* The key is this flow's if the state is still the same afterwards. */
	key = flow_key(slot);
	home = flow_home(tuple_addresses(&key), tuple_ports(&key), SLUICE_STATE_GET(state, PROTOCOL));
	if (!flow_replace_state(slot, state & SLUICE_STATE_FLOW, 0))
		return false;
	buckets_passed(home, index / SLUICE_BUCKET_SLOTS4 - home, -SLUICE_STATE_PASSED_ONE);
	return true;
}

#endif
