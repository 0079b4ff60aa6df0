#include "kernel/host_object.hpp"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <string_view>

#include "kernel/libbpf_log.hpp"
#include "kernel/object.hpp"
#include "kernel/program.hpp"
#include "maps/listener_bank.h"
#include "maps/runtime.h"

#include "host.skel.h"

namespace sluice::kernel {
namespace {

// A number that no other network namespace of this kernel has or had.
Result<std::uint64_t> namespace_cookie() {
  const UniqueFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!any || getsockopt(any.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0)
    return fail_errno(errno, "ask for the network namespace's cookie");
  return cookie;
}

// Uses the data plane's maps; of those that it doesn't share none is needed but its own.
Result<void> share_maps(host_bpf& skeleton, const Program& maps) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton.obj) {
    const std::string_view name = bpf_map__name(map);
    if (bpf_map__is_internal(map) && contract_name(map).empty()) continue;  // constants
    if (name.starts_with("host_")) continue;
    const int shared = maps.map_fd(contract_name(map));
    if (shared < 0) {
      bpf_map__set_autocreate(map, false);
    } else if (const int error = bpf_map__reuse_fd(map, shared)) {
      return fail_bpf(error, fmt::format("reuse map {}", name));
    }
  }
  return {};
}

}  // namespace

Result<HostObject> HostObject::load(const Program& maps, int counters) {
  LibbpfLog log;
  const auto cookie = namespace_cookie();
  if (!cookie) return tl::unexpected(cookie.error());
  const std::unique_ptr<host_bpf, decltype(&host_bpf__destroy)> skeleton(host_bpf__open(),
                                                                         host_bpf__destroy);
  if (!skeleton) return fail_bpf(errno, "open the embedded BPF object", log.last_line());
  bpf_map__set_map_flags(skeleton->maps.data_runtime, 0);  // as in object.cpp
  skeleton->rodata->host_namespace = *cookie;
  if (auto shared = share_maps(*skeleton, maps); !shared)
    return tl::unexpected(std::move(shared.error()));
  if (counters >= 0) {
    if (const int error = bpf_map__reuse_fd(skeleton->maps.host_counters, counters))
      return fail_bpf(error, "reuse map host_counters");
  }
  if (const int error = bpf_object__load(skeleton->obj))
    return fail_bpf(error, "load the programs for this host's sockets",
                    "the kernel's last words: " + log.last_line());

  HostObject loaded;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, skeleton->obj) {
    constexpr std::string_view prefix = "host_";
    loaded.programs.push_back(
        {duplicate(bpf_program__fd(program)),
         std::string(bpf_program__name(program)).substr(prefix.size()),
         static_cast<std::uint32_t>(bpf_program__expected_attach_type(program))});
  }
  loaded.counters = duplicate(bpf_map__fd(skeleton->maps.host_counters));
  return loaded;
}

}  // namespace sluice::kernel
