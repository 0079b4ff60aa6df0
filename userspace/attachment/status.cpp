#include "attachment/status.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>

#include "attachment/interface_slots.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"
#include "maps/member.h"
#include "maps/pool.h"

namespace sluice::attachment {
namespace {

// Counts the slots of an array map that belong to an object.
template <typename Entry>
Result<std::uint64_t> with_id(const kernel::Program& program, const char* map) {
  const auto entries = kernel::ArrayMap<Entry>(program, map).entries();
  if (!entries) return tl::unexpected(entries.error());
  return std::count_if(entries->begin(), entries->end(), [](const auto& entry) {
    const auto& id = entry.second.id.bytes;
    return std::any_of(std::begin(id), std::end(id), [](auto byte) { return byte != 0; });
  });
}

// Counts the buckets of the flow table that hold a flow. There are a million and more, so they are
// read in place.
Result<std::uint64_t> used_buckets(const kernel::Program& program) {
  const auto buckets = kernel::MappedArray<sluice_bucket4>::open(program, "flows4");
  if (!buckets) return tl::unexpected(buckets.error());
  return std::count_if(buckets->begin(), buckets->end(), [](const sluice_bucket4& bucket) {
    return std::any_of(std::begin(bucket.slots), std::end(bucket.slots), [](const auto& slot) {
      return SLUICE_STATE_GET(slot.state, PROTOCOL) != 0;
    });
  });
}

Result<std::optional<std::uint64_t>> used_entries(const kernel::Program& program,
                                                  const std::string& map, std::uint32_t type) {
  if (type == BPF_MAP_TYPE_HASH) return kernel::RawMap(program, map).count();
  if (map == "flows4") return used_buckets(program);
  if (map == "members") return with_id<sluice_member>(program, "members");
  if (map == "pools") return with_id<sluice_pool>(program, "pools");
  if (map == "interfaces") {
    return InterfaceSlots(program).all().map([](const auto& slots) { return slots.size(); });
  }
  return std::nullopt;
}

Result<MapStatus> map_status(const kernel::Program& program, const std::string& name, int fd) {
  const auto info = kernel::map_info(fd);
  if (!info) return tl::unexpected(info.error());
  const char* type = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(info->layout.type));
  const auto used = used_entries(program, name, info->layout.type);
  if (!used) return tl::unexpected(used.error());
  return MapStatus{name, type ? type : "?", info->layout.max_entries, *used,
                   kernel::map_memory(fd)};
}

// Looks again if a program is gone, because a capture or an upgrade may exchange programs
// meanwhile.
Result<std::vector<NicStatus>> running_programs(const kernel::PinDirectory& pins) {
  constexpr int looks = 5;
  for (int look = 1;; ++look) {
    const auto nics = attachments(pins.path());
    if (!nics) return tl::unexpected(nics.error());
    std::vector<NicStatus> all;
    Result<void> found;
    for (const auto& nic : *nics) {
      auto info = kernel::program_info_by_id(nic.program_id);
      if (info)
        all.push_back({nic, std::move(*info)});
      else
        found = tl::unexpected(std::move(info.error()));
    }
    if (found) return all;
    if (look == looks) return tl::unexpected(std::move(found.error()));
  }
}

}  // namespace

Result<Status> status(const std::filesystem::path& pin_directory) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned) {
    return tl::unexpected(std::move(pinned.error()));
  }
  const auto program = kernel::Program::look_at_pinned(pins.path());
  if (!program) return tl::unexpected(program.error());

  Status result;
  auto nics = running_programs(pins);
  if (!nics) return tl::unexpected(std::move(nics.error()));
  result.nics = std::move(*nics);
  for (const auto& [name, fd] : program->maps()) {
    auto one = map_status(*program, name, fd.get());
    if (!one) return tl::unexpected(std::move(one.error()));
    result.maps.push_back(std::move(*one));
  }
  auto host = host_status(pins);
  if (!host) return tl::unexpected(std::move(host.error()));
  result.host = *host;
  return result;
}

}  // namespace sluice::attachment
