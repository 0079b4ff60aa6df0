#include "attachment/host.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <mntent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <numeric>
#include <string_view>

#include "kernel/host_object.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/pin_lock.hpp"
#include "maps/host.h"

namespace sluice::attachment {
namespace {

namespace fs = std::filesystem;

fs::path directory(const kernel::PinDirectory& pins) {
  return pins.path() / "host";
}
fs::path counters_pin(const kernel::PinDirectory& pins) {
  return directory(pins) / "counters";
}

Result<fs::path> cgroup_of_all() {
  const std::unique_ptr<FILE, decltype(&endmntent)> mounts(setmntent("/proc/self/mounts", "r"),
                                                           endmntent);
  while (const auto* mount = mounts ? getmntent(mounts.get()) : nullptr) {
    if (std::string_view(mount->mnt_type) == "cgroup2") return fs::path(mount->mnt_dir);
  }
  return fail(ErrorKind::unsupported, "no cgroup file system of version 2 is mounted",
              "run: mount -t cgroup2 none /sys/fs/cgroup, or name one with --cgroup");
}

Result<UniqueFd> open_cgroup(const fs::path& path) {
  UniqueFd cgroup(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup) return fail_errno(errno, "open cgroup " + path.string());
  return cgroup;
}

// Undoes what a failed attach_host() has done.
class Undo {
 public:
  explicit Undo(fs::path path) : path_(std::move(path)) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  void leave() { path_.clear(); }

 private:
  fs::path path_;
};

Result<void> link_all(const kernel::PinDirectory& pins, const kernel::HostObject& host,
                      int cgroup) {
  for (const auto& program : host.programs) {
    const UniqueFd link(bpf_link_create(
        program.fd.get(), cgroup, static_cast<bpf_attach_type>(program.attach_type), nullptr));
    if (!link) return kernel::fail_bpf(errno, "attach " + program.name + " to the cgroup");
    if (bpf_obj_pin(link.get(), (directory(pins) / program.name).c_str()) != 0)
      return kernel::fail_bpf(errno, "pin the link of " + program.name);
  }
  if (bpf_obj_pin(host.counters.get(), counters_pin(pins).c_str()) != 0)
    return kernel::fail_bpf(errno, "pin the counters");
  return {};
}

Result<std::uint64_t> count(int counters, std::uint32_t which) {
  std::vector<std::uint64_t> values(kernel::possible_cpus());
  if (bpf_map_lookup_elem(counters, &which, values.data()) != 0)
    return kernel::fail_bpf(errno, "read the counters of this host's connections");
  return std::accumulate(values.begin(), values.end(), std::uint64_t{0});
}

}  // namespace

Result<std::optional<HostStatus>> host_status(const kernel::PinDirectory& pins) {
  const UniqueFd counters(bpf_obj_get(counters_pin(pins).c_str()));
  if (!counters && errno == ENOENT) return std::nullopt;
  if (!counters) return kernel::fail_bpf(errno, "open " + counters_pin(pins).string());
  if (auto known = kernel::know_possible_cpus(); !known)
    return tl::unexpected(std::move(known.error()));
  const auto connected = count(counters.get(), SLUICE_HOST_CONNECTED);
  const auto refused = count(counters.get(), SLUICE_HOST_REFUSED);
  if (!connected) return tl::unexpected(connected.error());
  if (!refused) return tl::unexpected(refused.error());
  return HostStatus{*connected, *refused};
}

Result<fs::path> attach_host(const fs::path& pin_directory, std::optional<fs::path> cgroup) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned)
    return tl::unexpected(std::move(pinned.error()));
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  if (fs::exists(counters_pin(pins))) return fs::path();
  if (!cgroup) {
    auto all = cgroup_of_all();
    if (!all) return tl::unexpected(std::move(all.error()));
    cgroup = std::move(*all);
  }
  const auto opened = open_cgroup(*cgroup);
  if (!opened) return tl::unexpected(opened.error());
  const auto maps = kernel::Program::open_pinned(pins.path());
  if (!maps) return tl::unexpected(maps.error());
  const auto host = kernel::HostObject::load(*maps, -1);
  if (!host) return tl::unexpected(host.error());

  // What a process that was killed has left: without counters it was not complete.
  std::error_code ignored;
  fs::remove_all(directory(pins), ignored);
  if (mkdir(directory(pins).c_str(), S_IRWXU) != 0)
    return fail_errno(errno, "make " + directory(pins).string());
  Undo undo(directory(pins));
  if (auto linked = link_all(pins, *host, opened->get()); !linked)
    return tl::unexpected(std::move(linked.error()));
  undo.leave();
  return std::move(*cgroup);
}

Result<bool> detach_host(const fs::path& pin_directory) {
  const kernel::PinDirectory pins(pin_directory);
  if (auto pinned = pins.require_pinned(); !pinned)
    return tl::unexpected(std::move(pinned.error()));
  const auto lock = kernel::lock_for_change(pins.path());
  if (!lock) return tl::unexpected(lock.error());
  std::error_code error;
  const auto removed = fs::remove_all(directory(pins), error);
  if (error) return kernel::fail_bpf(error.value(), "remove " + directory(pins).string());
  return removed > 0;
}

Result<void> upgrade_host(const kernel::PinDirectory& pins, const kernel::Program& maps) {
  const UniqueFd counters(bpf_obj_get(counters_pin(pins).c_str()));
  if (!counters) return {};  // not attached
  const auto host = kernel::HostObject::load(maps, counters.get());
  if (!host) return tl::unexpected(host.error());
  for (const auto& program : host->programs) {
    const auto pin = directory(pins) / program.name;
    const UniqueFd link(bpf_obj_get(pin.c_str()));
    if (!link || bpf_link_update(link.get(), program.fd.get(), nullptr) != 0)
      return kernel::fail_bpf(errno, "replace the program of " + pin.string());
  }
  return {};
}

}  // namespace sluice::attachment
