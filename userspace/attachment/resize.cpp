#include "attachment/resize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include "attachment/attachment.hpp"
#include "attachment/crossing.hpp"
#include "attachment/swap.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/map.hpp"
#include "kernel/stale_counts.hpp"
#include "maps/flow.h"

namespace sluice::attachment {
namespace {

using kernel::Program;

// A slot's index must leave one bit free, which says to which of the two tables it belongs.
constexpr std::uint32_t most_flows = 1U << 28;
// One system call empties so many buckets, which takes a millisecond or two. Kernels without
// preemption let nothing else run on that CPU meanwhile but interrupts.
constexpr std::uint32_t buckets_at_once = 1U << 11;
// After so many walks in which no flow found a place, the move is given up.
constexpr int fruitless_walks = 5;
// A million flows take a few seconds to move within their table.
constexpr auto longest_hold = std::chrono::seconds(30);

struct Walk {
  std::uint64_t moved = 0, left = 0;  // slots
};

// Walks once over the other table of this family.
Result<void> walk(const Program& mover, std::uint32_t family, std::uint32_t buckets, Walk& sum) {
  for (std::uint32_t first = 0; first < buckets; first += buckets_at_once) {
    sluice_flow_move request{};
    request.family = family;
    request.first = first;
    request.buckets = std::min(buckets_at_once, buckets - first);
    if (auto run = mover.move_flows(request); !run) return run;
    sum.moved += request.moved;
    sum.left += request.left;
  }
  return {};
}

// Walks until the other table is empty or nothing moves any more; the result tells what is left.
Result<Walk> empty(const Program& mover, const sluice_flow_table& other) {
  Walk all;
  for (int fruitless = 0; fruitless < fruitless_walks;) {
    Walk once;
    if (auto done = walk(mover, 4, SLUICE_FLOW_BUCKETS(other.homes4), once); !done)
      return tl::unexpected(std::move(done.error()));
    if (auto done = walk(mover, 6, SLUICE_FLOW_BUCKETS(other.homes6), once); !done)
      return tl::unexpected(std::move(done.error()));
    all.moved += once.moved;
    all.left = once.left;
    if (once.left == 0 && once.moved == 0) break;
    fruitless = once.moved == 0 ? fruitless + 1 : 0;
  }
  return all;
}

// Has flows use the whole of this family's table, and nobody change that, while they move to
// another one.
Result<void> hold_whole_table(const Program& program, std::uint32_t family) {
  sluice_flow_rehome request{};
  request.family = family;
  request.hold = SLUICE_AREA_HOLD;
  request.buckets = buckets_at_once;
  const auto until = std::chrono::steady_clock::now() + longest_hold;
  while (std::chrono::steady_clock::now() < until) {
    if (auto run = kernel::rehome_flows(program.rehome_fd(), request); !run) return run;
    // Refused: sluiced is at it, for some milliseconds.
    if (request.refused != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // A change that was under way ends first, in another area.
    if (request.refused == 0 && request.is_shift == 0 && request.old_shift == 0) return {};
  }
  return fail(ErrorKind::conflict,
              "flows can't be moved within their table, where packets change them all the time",
              "try again");
}

// An area may be changing, and then this run moves flows. It is never one over no buckets: what
// builds before 0.3.0 have pinned calls a change done after that.
Result<void> release_tables(const Program& program) {
  if (program.rehome_fd() < 0) return {};
  for (const std::uint32_t family : {4U, 6U}) {
    sluice_flow_rehome request{};
    request.family = family;
    request.hold = SLUICE_AREA_RELEASE;
    request.buckets = buckets_at_once;
    if (auto run = kernel::rehome_flows(program.rehome_fd(), request); !run) return run;
  }
  return {};
}

Result<void> hold_whole_tables(const Program& program) {
  if (program.rehome_fd() < 0) return {};  // pinned by a version whose flows use the whole tables
  for (const std::uint32_t family : {4U, 6U}) {
    if (auto held = hold_whole_table(program, family); !held) {
      if (auto released = release_tables(program); !released) return released;
      return held;
    }
  }
  return {};
}

// Counts connections: flows whose client's packets have a slot.
template <typename Bucket>
Result<std::uint64_t> connections_in(const Program& program, const char* map) {
  const auto buckets = kernel::MappedArray<Bucket>::open(program, map);
  if (!buckets) return tl::unexpected(buckets.error());
  std::uint64_t connections = 0;
  for (const auto& bucket : *buckets) {
    connections += static_cast<std::uint64_t>(
        std::count_if(std::begin(bucket.slots), std::end(bucket.slots), [](const auto& slot) {
          return SLUICE_STATE_GET(slot.state, PROTOCOL) != 0 &&
                 !(slot.state & SLUICE_FLOW_TO_CLIENT);
        }));
  }
  return connections;
}

tl::unexpected<Error> too_small(std::uint32_t flows, std::uint64_t connections, const char* which) {
  return fail(
      ErrorKind::conflict,
      fmt::format("there are {} {} connections, more than tables for {} flows have room for",
                  connections, which, flows),
      "choose a larger --flows");
}

// Returns the number of connections; fails if they are too many for the new table.
Result<std::uint64_t> require_room(const Program& pinned, std::uint32_t flows) {
  const auto ipv4 = connections_in<sluice_bucket4>(pinned, "flows4");
  if (!ipv4) return tl::unexpected(ipv4.error());
  if (*ipv4 > flows) return too_small(flows, *ipv4, "IPv4");
  const auto ipv6 = connections_in<sluice_bucket6>(pinned, "flows6");
  if (!ipv6) return tl::unexpected(ipv6.error());
  if (*ipv6 > std::max(flows / SLUICE_IPV6_SHARE, 1U)) return too_small(flows, *ipv6, "IPv6");
  return *ipv4 + *ipv6;
}

// The last step: from now on the maps are those of `program`, and no program knows the other
// tables.
Result<void> settle(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                    const Program& before, const Program& maps) {
  const auto last = Program::load_over(maps);
  if (!last) return tl::unexpected(last.error());
  if (auto replaced = pins.replace_maps(maps); !replaced) return replaced;
  if (auto run = run_everywhere(pins, nics, before, *last); !run) return run;
  if (auto released = release_tables(*last); !released) return released;
  return pins.end_move();
}

// The programs of a move, which are loaded before anything changes.
struct Movers {
  const Program& from;  // has the programs that are pinned
  const Program& to;    // its tables are pinned as PIN/moving
  Program soon, now;
};

Result<Movers> load_movers(const Program& from, const Program& to) {
  auto soon = Program::load_to_move(from, to, Program::Move::soon);
  if (!soon) return tl::unexpected(std::move(soon.error()));
  auto now = Program::load_to_move(to, from, Program::Move::now);
  if (!now) return tl::unexpected(std::move(now.error()));
  return Movers{from, to, std::move(*soon), std::move(*now)};
}

// Moves everything back, because some flows found no place in their windows.
Result<void> move_back(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                       const Movers& movers, std::uint64_t left) {
  const auto back = Program::load_to_move(movers.from, movers.to, Program::Move::now);
  if (!back) return tl::unexpected(back.error());
  const auto table = movers.to.flow_table();
  if (!table) return tl::unexpected(table.error());
  if (auto run = run_everywhere(pins, nics, movers.now, *back); !run) return run;
  if (const auto walked = empty(*back, *table); !walked) return tl::unexpected(walked.error());
  if (auto done = settle(pins, nics, *back, movers.from); !done) return done;
  return fail(ErrorKind::conflict,
              fmt::format("{} flows found no place in tables for {} flows, so all are where they "
                          "were",
                          left, table->capacity),
              "choose a larger --flows");
}

Result<void> move(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                  const Movers& movers) {
  const auto table = movers.from.flow_table();
  if (!table) return tl::unexpected(table.error());
  if (auto run = run_everywhere(pins, nics, movers.from, movers.soon); !run) return run;
  if (auto run = run_everywhere(pins, nics, movers.soon, movers.now); !run) return run;
  const auto walked = empty(movers.now, *table);
  if (!walked) return tl::unexpected(walked.error());
  if (walked->left != 0) return move_back(pins, nics, movers, walked->left);
  return settle(pins, nics, movers.now, movers.to);
}

}  // namespace

Result<Resized> resize(const kernel::PinDirectory& pins, const Program& pinned,
                       std::uint32_t flows) {
  const auto before = pinned.flow_capacity();
  for (const auto size : {flows, before}) {
    if (size <= most_flows) continue;
    return fail(ErrorKind::unsupported,
                fmt::format("tables for {} flows can't be resized under traffic", size),
                fmt::format("at most {} can; else start afresh with: sluice-loader detach --all",
                            most_flows));
  }
  const auto nics = swappable(pins);
  if (!nics) return tl::unexpected(nics.error());
  const auto connections = require_room(pinned, flows);
  if (!connections) return tl::unexpected(connections.error());
  const auto other = Program::with_new_tables(pinned, flows);
  if (!other) return tl::unexpected(other.error());
  const auto movers = load_movers(pinned, *other);
  if (!movers) return tl::unexpected(movers.error());
  if (auto forgotten = kernel::forget_stale_counts(pinned); !forgotten)
    return tl::unexpected(std::move(forgotten.error()));
  if (auto held = hold_whole_tables(pinned); !held) return tl::unexpected(std::move(held.error()));
  if (auto begun = pins.begin_move(*other); !begun) return tl::unexpected(std::move(begun.error()));
  if (auto moved = move(pins, *nics, *movers); !moved)
    return tl::unexpected(std::move(moved.error()));
  return Resized{before, *connections};
}

Result<void> finish_resize(const kernel::PinDirectory& pins) {
  if (is_crossing(pins)) return finish_crossing(pins);
  const auto pinned = Program::open_pinned(pins.path());
  if (!pinned) return tl::unexpected(pinned.error());
  // One that was interrupted may have left the tables held before anything moved.
  if (!pins.is_moving()) return release_tables(*pinned);
  const auto other = Program::with_tables_of(*pinned, pins.moving());
  if (!other) return tl::unexpected(other.error());
  const auto nics = swappable(pins);
  if (!nics) return tl::unexpected(nics.error());
  const auto in_use = kernel::map_info(pinned->map_fd("flows4"));
  if (!in_use) return tl::unexpected(in_use.error());
  const auto pinned_beside = kernel::map_info(other->map_fd("flows4"));
  if (!pinned_beside) return tl::unexpected(pinned_beside.error());
  // The resize was interrupted after the maps had been exchanged.
  if (in_use->id == pinned_beside->id) return settle(pins, *nics, *pinned, *pinned);
  const auto movers = load_movers(*pinned, *other);
  if (!movers) return tl::unexpected(movers.error());
  return move(pins, *nics, *movers);
}

}  // namespace sluice::attachment
