#include "dataplane/state_copy.hpp"

#include <linux/bpf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "dataplane/flow_slot.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/map.hpp"
#include "maps/flow.h"
#include "maps/proof.h"
#include "maps/syn_answers.h"

namespace sluice::dataplane {
namespace {

using kernel::RawMap;

// Says whether the map decides nothing or is copied in another way.
bool is_left_out(const std::string& name, std::uint32_t type) {
  static constexpr std::array<std::string_view, 8> names{
      "flows4",         "flows6",        "flow_table",      "member_failures", "member_handshakes",
      "store_position", "proof_numbers", "listener_records"};
  return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
         std::find(names.begin(), names.end(), name) != names.end();
}

// Copies the entries of an array that differ. The target's are memory of ours
// (kernel::Program::load_beside()), in which each has a multiple of eight bytes.
Result<void> copy_array(const RawMap& from, const RawMap& to, std::uint32_t value_size) {
  const auto source = from.read_all(sizeof(std::uint32_t), value_size);
  if (!source) return tl::unexpected(source.error());
  const std::size_t apart = (std::size_t{value_size} + 7) / 8 * 8;
  const auto target = kernel::map_memory_of(to, apart, kernel::Access::write);
  if (!target) return tl::unexpected(target.error());
  auto* out = static_cast<std::uint8_t*>(const_cast<void*>(target->get()));
  for (std::uint32_t i = 0; i < source->count; ++i, out += apart) {
    const auto* value = &source->values[std::size_t{i} * value_size];
    // Pages that nobody has written to stay the kernel's zeroes.
    if (std::memcmp(out, value, value_size) != 0) std::memcpy(out, value, value_size);
  }
  return {};
}

Result<void> copy_hash(const RawMap& from, const RawMap& to, std::uint32_t key_size,
                       std::uint32_t value_size) {
  const auto old = to.read_all(key_size, value_size);
  if (!old) return tl::unexpected(old.error());
  for (std::uint32_t i = 0; i < old->count; ++i) {
    const auto erased = to.erase_bytes(&old->keys[std::size_t{i} * key_size]);
    if (!erased) return tl::unexpected(erased.error());
  }
  const auto source = from.read_all(key_size, value_size);
  if (!source) return tl::unexpected(source.error());
  for (std::uint32_t i = 0; i < source->count; ++i) {
    auto put = to.put_bytes(&source->keys[std::size_t{i} * key_size],
                            &source->values[std::size_t{i} * value_size]);
    if (!put) return put;
  }
  return {};
}

// Copies a slot without a lock that is held or an insertion that is under way.
template <typename Slot>
Slot settled(const Slot& place) {
  Slot slot{};
  if (const auto flow = read_slot(place)) {
    slot = *flow;
    slot.state &= ~SLUICE_STATE_LOCK;
    return slot;
  }
  const auto state = __atomic_load_n(&place.state, __ATOMIC_ACQUIRE);
  slot.state = state & (SLUICE_STATE_IS_FREE(state) ? ~SLUICE_STATE_LOCK : SLUICE_STATE_PASSED);
  return slot;
}

template <typename Bucket>
Result<void> copy_flows(const kernel::Program& from, const kernel::Program& to, const char* name) {
  const auto source = kernel::MappedArray<Bucket>::open(from, name);
  if (!source) return tl::unexpected(source.error());
  const auto target =
      kernel::map_memory_of(RawMap(to, name), sizeof(Bucket), kernel::Access::write);
  if (!target) return tl::unexpected(target.error());
  auto* out = static_cast<Bucket*>(const_cast<void*>(target->get()));
  for (const auto& bucket : *source) {
    Bucket copy{};
    std::transform(std::begin(bucket.slots), std::end(bucket.slots), std::begin(copy.slots),
                   [](const auto& slot) { return settled(slot); });
    // Pages that were never written to stay the kernel's zero pages.
    if (std::memcmp(out, &copy, sizeof copy) != 0) std::memcpy(out, &copy, sizeof copy);
    ++out;
  }
  return {};
}

// Large, and the same nearly everywhere.
Result<void> copy_proofs(const kernel::Program& from, const kernel::Program& to) {
  static constexpr const char* name = "proof_numbers";
  if (RawMap(from, name).fd() < 0) return {};  // as in copy_map()
  const auto source = kernel::MappedArray<sluice_proofs>::open(from, name);
  if (!source) return tl::unexpected(source.error());
  const auto target =
      kernel::map_memory_of(RawMap(to, name), sizeof(sluice_proofs), kernel::Access::write);
  if (!target) return tl::unexpected(target.error());
  auto* out = static_cast<sluice_proofs*>(const_cast<void*>(target->get()));
  for (const auto& pair : *source) {
    // Pages that nobody has written to stay the kernel's zeroes.
    if (std::memcmp(out, &pair, sizeof pair) != 0) *out = pair;
    ++out;
  }
  return {};
}

// Nobody knows on which CPU the packet would arrive, so it meets the one that has answered most
// lately. All CPUs of the copy get its entries, because it may run on any.
Result<void> copy_syn_answers(const kernel::Program& from, const kernel::Program& to) {
  static constexpr const char* name = "syn_answers";
  const kernel::CounterMap<sluice_syn_answers> source(from, name), target(to, name);
  if (source.fd() < 0) return {};  // as in copy_map()
  const auto entries = source.first_per_cpu(1 + SLUICE_SYN_ANSWER_NETWORKS);
  if (!entries) return tl::unexpected(entries.error());
  const auto present = target.first_per_cpu(1 + SLUICE_SYN_ANSWER_NETWORKS);
  if (!present) return tl::unexpected(present.error());
  const auto is_less = [](const sluice_syn_answers& a, const sluice_syn_answers& b) {
    return a.time == b.time ? a.sent < b.sent : static_cast<std::int32_t>(a.time - b.time) < 0;
  };
  const auto cpus = static_cast<std::ptrdiff_t>(kernel::possible_cpus());
  for (std::uint32_t i = 0; i <= SLUICE_SYN_ANSWER_NETWORKS; ++i) {
    const auto first = entries->begin() + i * cpus;
    const std::vector<sluice_syn_answers> most(static_cast<std::size_t>(cpus),
                                               *std::max_element(first, first + cpus, is_less));
    if (std::memcmp(&*(present->begin() + i * cpus), most.data(), most.size() * sizeof most[0]) ==
        0)
      continue;
    if (auto put = target.put_bytes(&i, most.data()); !put) return put;
  }
  return {};
}

Result<void> copy_map(const kernel::Program& from, const kernel::Program& to,
                      const std::string& name) {
  const RawMap source(from, name), target(to, name);
  if (source.fd() < 0) return {};  // an older version's maps lack it, so it begins empty
  const auto before = kernel::map_info(source.fd());
  if (!before) return tl::unexpected(before.error());
  const auto after = kernel::map_info(target.fd());
  if (!after) return tl::unexpected(after.error());
  const auto& layout = after->layout;
  if (before->id == after->id || is_left_out(name, layout.type)) return {};
  return layout.type == BPF_MAP_TYPE_ARRAY
             ? copy_array(source, target, layout.value_size)
             : copy_hash(source, target, layout.key_size, layout.value_size);
}

}  // namespace

Result<void> copy_state(const kernel::Program& from, const kernel::Program& to,
                        const kernel::BesideOptions& options) {
  for (const auto& [name, fd] : to.maps()) {
    if (auto copied = copy_map(from, to, name); !copied) return copied;
  }
  if (auto copied = copy_proofs(from, to); !copied) return copied;
  if (auto copied = copy_syn_answers(from, to); !copied) return copied;
  if (options.ipv4) {
    if (auto copied = copy_flows<sluice_bucket4>(from, to, "flows4"); !copied) return copied;
  }
  if (options.ipv6) {
    if (auto copied = copy_flows<sluice_bucket6>(from, to, "flows6"); !copied) return copied;
  }
  return {};
}

}  // namespace sluice::dataplane
