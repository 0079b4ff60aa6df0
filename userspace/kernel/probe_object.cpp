#include "kernel/probe_object.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "kernel/address.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/program.hpp"

#include "maps/probe.h"
#include "probe.skel.h"

namespace sluice::kernel {
namespace {

// Uses the data plane's tunnel_sources; of its other maps, whose definitions came with headers,
// none is needed.
Result<void> share_maps(probe_bpf& skeleton, const Program& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton.obj) {
    const std::string_view name = bpf_map__name(map);
    if (bpf_map__is_internal(map) || name.starts_with("probe")) continue;
    const int shared = name == "tunnel_sources" ? maps.map_fd(name) : -1;
    if (shared < 0) {
      bpf_map__set_autocreate(map, false);
    } else if (const int error = bpf_map__reuse_fd(map, shared)) {
      return fail_bpf(error, fmt::format("reuse map {}", name));
    }
  }
  return {};
}

sluice_probe_key key_of(const ProbeObject::Packets& packets) {
  return {.cookie = packets.cookie, .echo = packets.echo, .zero = 0};
}

std::uint8_t to_map(ProbeObject::Way way) {
  switch (way) {
    case ProbeObject::Way::ipip:
      return SLUICE_PROBE_IPIP;
    case ProbeObject::Way::gue:
      return SLUICE_PROBE_GUE;
    default:
      return SLUICE_PROBE_LINK;
  }
}

}  // namespace

Result<void> ProbeObject::lead(const Packets& packets, std::uint8_t protocol,
                               const IpAddress& member, const IpAddress& vip, Way way) const {
  const auto key = key_of(packets);
  sluice_probe probe{};
  probe.member = kernel::to_map(member);
  probe.vip = kernel::to_map(vip);
  probe.protocol = protocol;
  probe.way = to_map(way);
  if (bpf_map_update_elem(probes.get(), &key, &probe, BPF_ANY) != 0)
    return fail_bpf(errno, "note a probe of a VIP");
  return {};
}

bool ProbeObject::has_led(const Packets& packets) const {
  const auto key = key_of(packets);
  sluice_probe probe{};
  return bpf_map_lookup_elem(probes.get(), &key, &probe) == 0 && probe.sent != 0;
}

void ProbeObject::forget(const Packets& packets) const {
  const auto key = key_of(packets);
  bpf_map_delete_elem(probes.get(), &key);
}

Result<ProbeObject> ProbeObject::load(const Program& maps) {
  LibbpfLog log;
  const std::unique_ptr<probe_bpf, decltype(&probe_bpf__destroy)> skeleton(probe_bpf__open(),
                                                                           probe_bpf__destroy);
  if (!skeleton) return fail_bpf(errno, "open the embedded BPF object", log.last_line());
  if (auto shared = share_maps(*skeleton, maps); !shared)
    return tl::unexpected(std::move(shared.error()));
  if (const int error = bpf_object__load(skeleton->obj))
    return fail_bpf(error, "load the programs for probes of VIPs",
                    "the kernel's last words: " + log.last_line());
  return ProbeObject{duplicate(bpf_program__fd(skeleton->progs.probe_egress)),
                     duplicate(bpf_program__fd(skeleton->progs.probe_ingress)),
                     duplicate(bpf_map__fd(skeleton->maps.probes))};
}

}  // namespace sluice::kernel
