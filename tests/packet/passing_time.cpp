#include "packet/passing_time.hpp"

#include <ctime>
#include <span>
#include <string_view>

#include "maps/fragment.h"
#include "maps/pool.h"
#include "maps/record.h"
#include "packet/whole_map.hpp"

namespace sluice::test {
namespace {

constexpr std::uint32_t tick_shift = 20;
constexpr std::uint32_t sixteenth_shift = tick_shift - SLUICE_MARK_BITS;

// The memory of an array, to be written.
template <typename Value>
class Written {
 public:
  static Result<Written> open(const kernel::Program& program, std::string_view name) {
    auto memory =
        kernel::map_memory_of(kernel::RawMap(program, name), sizeof(Value), kernel::Access::write);
    if (!memory) return tl::unexpected(std::move(memory.error()));
    return Written(std::move(*memory));
  }
  std::span<Value> values() const {
    return {static_cast<Value*>(const_cast<void*>(memory_.get())), memory_.get_deleter().entries};
  }

 private:
  explicit Written(kernel::MapMemory memory) : memory_(std::move(memory)) {}
  kernel::MapMemory memory_;
};

// A mark that is too old for one becomes a stamp, as by the short sweeps of the time that passes.
void make_older(__u64& state, std::uint32_t ticks, std::uint32_t now) {
  if (!SLUICE_STATE_GET(state, PROTOCOL)) return;
  const auto tick = now >> SLUICE_MARK_BITS;
  if (!sluice_flow_is_marked(state, tick)) {
    const auto seen = static_cast<std::uint32_t>(SLUICE_STATE_GET(state, SEEN)) - ticks;
    state = sluice_flow_with_stamp(state, seen);
    return;
  }
  const auto silence = sluice_flow_short_silence(state, now) + (ticks << SLUICE_MARK_BITS);
  state = silence > SLUICE_MARK_LONGEST
              ? sluice_flow_with_stamp(state, (now - silence) >> SLUICE_MARK_BITS)
              : sluice_flow_with_mark(state, now - silence, now);
}

template <typename Bucket>
Result<void> age_table(const kernel::Program& program, std::string_view name, std::uint32_t ticks,
                       std::uint32_t now) {
  const auto table = Written<Bucket>::open(program, name);
  if (!table) return tl::unexpected(table.error());
  for (auto& bucket : table->values())
    for (auto& slot : bucket.slots) make_older(slot.state, ticks, now);
  return {};
}

template <typename Key, typename Value>
Result<void> age_hash(const kernel::Program& program, std::string_view name, std::uint32_t ticks) {
  const kernel::Map<Key, Value> map(program, name);
  const auto entries = map.entries();
  if (!entries) return tl::unexpected(entries.error());
  for (auto [key, value] : *entries) {
    value.jiffies -= ticks << tick_shift;
    if (auto put = map.put(key, value); !put) return put;
  }
  return {};
}

}  // namespace

// A sweep that begins behind the tables' last bucket tells the clock, and sweeps nothing.
Result<std::uint32_t> PassingTime::now() const {
  sluice_flow_sweep slice{};
  slice.next = UINT32_MAX;
  if (auto swept = kernel::sweep_flows(program_.sweep_fd(), slice); !swept)
    return tl::unexpected(swept.error());
  return slice.began >> sixteenth_shift;
}

Result<void> PassingTime::age_flows(std::uint32_t ticks, std::uint32_t now) const {
  if (auto aged = age_table<sluice_bucket4>(program_, "flows4", ticks, now); !aged) return aged;
  return age_table<sluice_bucket6>(program_, "flows6", ticks, now);
}

// Of what is an hour old nothing is left, because the time of a SYN is told modulo little more.
Result<void> PassingTime::age_handshakes(std::uint32_t ticks) const {
  constexpr std::uint32_t hour = 3'600'000'000;
  const auto all = Written<sluice_record_handshake>::open(program_, "record_handshakes");
  if (!all) return tl::unexpected(all.error());
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  const auto now = static_cast<std::uint32_t>(time.tv_sec * 1'000'000 + time.tv_nsec / 1000);
  const std::uint64_t passed = std::uint64_t{ticks} * SLUICE_TICK_SECONDS * 1'000'000;
  for (auto& one : all->values()) {
    if (one.mark == 0) continue;
    if (now - one.microseconds + passed > hour)
      one = {};
    else
      one.microseconds -= static_cast<std::uint32_t>(passed);
  }
  return {};
}

Result<void> PassingTime::pass(std::uint32_t ticks) const {
  const auto time = now();
  if (!time) return tl::unexpected(time.error());
  if (auto aged = age_flows(ticks, *time); !aged) return aged;
  if (auto aged = age_handshakes(ticks); !aged) return aged;
  for (const auto& aged :
       {age_hash<sluice_fragment_key, sluice_fragment>(program_, "fragments", ticks),
        age_hash<sluice_source, sluice_persistence>(program_, "persistence", ticks)})
    if (!aged) return aged;
  empty_hash(program_.map_fd("source_rates"));
  return {};
}

}  // namespace sluice::test
