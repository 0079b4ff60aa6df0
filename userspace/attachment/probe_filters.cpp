#include "attachment/probe_filters.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "kernel/libbpf_log.hpp"

namespace sluice::attachment {
namespace {

// linux/bpf.h has these since Linux 6.6.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);

constexpr std::array directions{BPF_TC_INGRESS, BPF_TC_EGRESS};

// They are the first ones: others' may end what follows. The handle is nobody else's; a process
// that has given up its privileges could not find out whose program a filter has.
constexpr std::uint32_t priority = 1, handle = 0x51ce;

bpf_tc_hook hook_of(std::uint32_t interface, bpf_tc_attach_point direction) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(interface);
  hook.attach_point = direction;
  return hook;
}

bpf_tc_opts filter_opts() {
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.handle = handle;
  options.priority = priority;
  return options;
}

std::string name_of(std::uint32_t interface) {
  char name[IF_NAMESIZE] = "";
  return if_indextoname(interface, name) ? name : fmt::format("interface {}", interface);
}

Result<void> put_filter(std::uint32_t interface, bpf_tc_attach_point direction, int program) {
  kernel::LibbpfLog log;
  auto hook = hook_of(interface, direction);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
    return kernel::fail_bpf(error, fmt::format("make a clsact qdisc on {}", name_of(interface)),
                            log.kernel_message());
  auto options = filter_opts();
  options.prog_fd = program;
  options.flags = BPF_TC_F_REPLACE;
  if (const int error = bpf_tc_attach(&hook, &options))
    return kernel::fail_bpf(error,
                            fmt::format("put the filter for probes on {}", name_of(interface)),
                            log.kernel_message());
  return {};
}

}  // namespace

void remove_probe_filters(std::uint32_t interface) {
  const kernel::LibbpfLog log;  // that there are none is no news
  for (const auto direction : directions) {
    const auto hook = hook_of(interface, direction);
    const auto options = filter_opts();
    bpf_tc_detach(&hook, &options);
  }
}

ProbeFilters::~ProbeFilters() {
  for (const auto& [interface, links] : there_) {
    if (!links.ingress) remove_probe_filters(interface);
  }
}

Result<void> ProbeFilters::put_on(const kernel::ProbeObject& programs,
                                  const std::vector<std::uint32_t>& interfaces) {
  std::erase_if(there_, [&](const auto& one) {
    const bool stays =
        std::find(interfaces.begin(), interfaces.end(), one.first) != interfaces.end();
    if (!stays && !one.second.ingress) remove_probe_filters(one.first);
    return !stays;
  });
  Result<void> outcome;
  for (const auto interface : interfaces) {
    if (there_.contains(interface)) continue;
    const auto index = static_cast<int>(interface);
    Links links{UniqueFd(bpf_link_create(programs.ingress.get(), index, tcx_ingress, nullptr)),
                UniqueFd(bpf_link_create(programs.egress.get(), index, tcx_egress, nullptr))};
    if (!links.ingress || !links.egress) {
      links = {};
      for (const auto direction : directions) {
        const auto& program = direction == BPF_TC_INGRESS ? programs.ingress : programs.egress;
        if (auto put = put_filter(interface, direction, program.get()); !put) {
          outcome = tl::unexpected(std::move(put.error()));
          break;
        }
      }
      if (!outcome) continue;
    }
    there_.emplace(interface, std::move(links));
  }
  return outcome;
}

}  // namespace sluice::attachment
