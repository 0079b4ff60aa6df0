#include "attachment/crossing.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>
#include <vector>

#include "attachment/attachment.hpp"
#include "attachment/carrier.hpp"
#include "attachment/host.hpp"
#include "attachment/interface_slots.hpp"
#include "attachment/swap.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/map.hpp"
#include "kernel/stale_counts.hpp"
#include "maps/flow.h"
#include "maps/vip.h"

namespace sluice::attachment {
namespace {

using kernel::Program;

constexpr auto start_afresh = "start afresh with: sluice-loader detach --all";
// Longer than a sweep of tables of a usual size; sluiced may have begun one by the former program.
constexpr auto longest_sweep = std::chrono::milliseconds(200);
constexpr auto longest_change = std::chrono::seconds(30);
constexpr std::uint32_t buckets_at_once = 1U << 11;

template <typename Key>
using Vips = kernel::Map<Key, sluice_vip>;

template <typename Key>
Result<void> require_one_version(const Program& former, const char* name) {
  const auto entries = Vips<Key>(former, name).entries();
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [address, vip] : *entries) {
    if (!(vip.flags & SLUICE_VIP_MIXED)) continue;
    return fail(ErrorKind::unsupported,
                "the flow tables have another layout, and connections whose member has another IP "
                "version than their VIP can't be carried to this build's",
                fmt::format("take such members away first, or {}", start_afresh));
  }
  return {};
}

Result<void> require_crossable(const kernel::PinDirectory& pins, const Program& former) {
  if (pins.is_moving()) {
    return fail(ErrorKind::conflict,
                "the flow tables have another layout, and a resize of them was interrupted",
                "finish it first by the build that began it: sluice-loader attach");
  }
  if (former.walk_fd() < 0) {
    return fail(ErrorKind::unsupported,
                "the flow tables have another layout, and the version that loaded them can't tell "
                "of its connections, so they would end",
                start_afresh);
  }
  if (auto told = require_carriable(former.walk_fd()); !told) return told;
  if (auto one = require_one_version<__be32>(former, "vips4"); !one) return one;
  return require_one_version<sluice_address>(former, "vips6");
}

// Waits until no flow is being moved between areas of the tables. In the former ones nobody would
// end that otherwise, and a walk would wait for it.
Result<void> settle_areas(const Program& program) {
  if (program.rehome_fd() < 0) return {};
  const auto until = std::chrono::steady_clock::now() + longest_change;
  for (const std::uint32_t family : {4U, 6U}) {
    sluice_flow_rehome request{};
    request.family = family;
    request.buckets = buckets_at_once;
    request.hold = SLUICE_AREA_RELEASE;
    do {
      if (std::chrono::steady_clock::now() > until) {
        return fail(ErrorKind::conflict, "connections are moved within the flow tables",
                    "try again in a few seconds");
      }
      if (auto run = kernel::rehome_flows(program.rehome_fd(), request); !run) return run;
      if (request.refused != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    } while (request.refused != 0 || request.is_shift != request.old_shift);
  }
  return {};
}

template <typename Key>
Result<void> copy_vips(const Program& former, const Program& now, const char* name) {
  const auto entries = Vips<Key>(former, name).entries();
  if (!entries) return tl::unexpected(entries.error());
  const Vips<Key> ours(now, name);
  for (const auto& [address, vip] : *entries) {
    if (auto put = ours.put(address, vip); !put) return put;
  }
  return {};
}

// Has the former program open no connections any more. What the controller has changed since the
// new program's VIPs were copied is brought there; what it changes from now on it finds missing
// when it finds the new maps.
Result<void> take_vips(const Program& former, const Program& now) {
  if (auto frozen = former.freeze_vips(); !frozen) return frozen;
  if (auto copied = copy_vips<__be32>(former, now, "vips4"); !copied) return copied;
  if (auto copied = copy_vips<sluice_address>(former, now, "vips6"); !copied) return copied;
  if (auto forgotten = former.forget_frozen_vips(); !forgotten) return forgotten;
  await_packets_under_way();
  return {};
}

// The programs of a crossing, which are loaded before anything changes.
struct Crossers {
  const Program& former;
  const Program& to;  // the maps
  Program now;        // asks `former`
  Program last;       // doesn't
};

Result<Crossers> load_crossers(const Program& former, const Program& to) {
  auto now = Program::load_to_cross(to, former.xdp_fd(), former.former_fd());
  if (!now) return tl::unexpected(std::move(now.error()));
  auto last = Program::load_over(to);
  if (!last) return tl::unexpected(std::move(last.error()));
  return Crossers{former, to, std::move(*now), std::move(*last)};
}

Result<std::uint64_t> proceed(const kernel::PinDirectory& pins, const std::vector<Attachment>& nics,
                              const Crossers& programs) {
  if (auto run = run_everywhere(pins, nics, programs.former, programs.now); !run)
    return tl::unexpected(std::move(run.error()));
  if (auto host = upgrade_host(pins, programs.to); !host)
    return tl::unexpected(std::move(host.error()));
  std::this_thread::sleep_for(longest_sweep);
  if (auto settled = settle_areas(programs.former); !settled)
    return tl::unexpected(std::move(settled.error()));
  if (auto taken = take_vips(programs.former, programs.to); !taken)
    return tl::unexpected(std::move(taken.error()));
  const auto carried = carry_connections(programs.former.walk_fd(), programs.now.put_fd());
  if (!carried) return tl::unexpected(carried.error());
  if (carried->left != 0) {
    return fail(
        ErrorKind::conflict,
        fmt::format("{} connections found no place in the new flow tables; they go on by the "
                    "former program",
                    carried->left),
        "run sluice-loader upgrade again when there are fewer");
  }
  if (auto run = run_everywhere(pins, nics, programs.now, programs.last); !run)
    return tl::unexpected(std::move(run.error()));
  // Says which area the new tables have, in place of the former ones' (struct sluice_runtime).
  if (auto settled = settle_areas(programs.last); !settled)
    return tl::unexpected(std::move(settled.error()));
  if (auto ended = pins.end_move(); !ended) return tl::unexpected(std::move(ended.error()));
  return carried->connections;
}

}  // namespace

Result<bool> needs_crossing(const kernel::PinDirectory& pins) {
  return Program::has_former_tables(pins.path());
}

Result<std::uint64_t> cross(const kernel::PinDirectory& pins) {
  const auto nics = swappable(pins);
  if (!nics) return tl::unexpected(nics.error());
  const auto former = Program::open_former(pins.path());
  if (!former) return tl::unexpected(former.error());
  if (auto possible = require_crossable(pins, *former); !possible)
    return tl::unexpected(std::move(possible.error()));
  const auto to = Program::with_tables_across(*former);
  if (!to) return tl::unexpected(to.error());
  const auto programs = load_crossers(*former, *to);
  if (!programs) return tl::unexpected(programs.error());
  if (auto settled = settle_areas(*former); !settled)
    return tl::unexpected(std::move(settled.error()));
  for (const auto& nic : *nics) {  // versions before this one did not note it
    if (!nic.here) continue;
    if (auto told = InterfaceSlots(*to).set_generic(nic.index, nic.mode == XdpMode::generic); !told)
      return tl::unexpected(std::move(told.error()));
  }
  if (auto forgotten = kernel::forget_stale_counts(*former); !forgotten)
    return tl::unexpected(std::move(forgotten.error()));
  if (auto begun = pins.begin_crossing(*former, programs->now); !begun)
    return tl::unexpected(std::move(begun.error()));
  if (auto replaced = pins.replace_maps(*to); !replaced)
    return tl::unexpected(std::move(replaced.error()));
  return proceed(pins, *nics, *programs);
}

bool is_crossing(const kernel::PinDirectory& pins) {
  return pins.is_crossing();
}

Result<void> finish_crossing(const kernel::PinDirectory& pins) {
  const auto not_begun = needs_crossing(pins);
  if (!not_begun) return tl::unexpected(not_begun.error());
  // It was interrupted before the maps were exchanged.
  if (*not_begun) return pins.end_move();
  const auto to = Program::open_pinned(pins.path());
  if (!to) return tl::unexpected(to.error());
  const auto former = Program::reopen_former(*to, pins.moving());
  if (!former) return tl::unexpected(former.error());
  const auto nics = swappable(pins);
  if (!nics) return tl::unexpected(nics.error());
  const auto programs = load_crossers(*former, *to);
  if (!programs) return tl::unexpected(programs.error());
  return proceed(pins, *nics, *programs).map([](std::uint64_t) {});
}

}  // namespace sluice::attachment
