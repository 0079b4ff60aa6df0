#include "kernel/pins.hpp"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <optional>

#include "kernel/libbpf_log.hpp"
#include "kernel/program.hpp"

namespace sluice::kernel {
namespace fs = std::filesystem;
namespace {

constexpr const char* usual_bpffs = "/sys/fs/bpf";

bool is_bpffs(const fs::path& path) {
  struct statfs info {};
  return statfs(path.c_str(), &info) == 0 && info.f_type == BPF_FS_MAGIC;
}

fs::path nearest_existing(fs::path path) {
  std::error_code ignored;
  while (!fs::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path;
}

// Compares namespaces and mounts: the same ones are the same file on the same device.
bool same_object(const fs::path& left, const fs::path& right) {
  struct stat a {
  }, b{};
  return stat(left.c_str(), &a) == 0 && stat(right.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

// Finds the process whose mounts count as lasting: process 1, or the ancestor nearest to it that we
// may look at.
std::optional<fs::path> look_for_reference_process() {
  constexpr const char* init = "1";
  std::optional<fs::path> reference;
  std::string pid = "self";
  while (true) {
    std::ifstream lines("/proc/" + pid + "/status");
    std::string field, parent;
    while (lines >> field && !(field == "PPid:" && lines >> parent)) {
    }
    if (parent.empty() || parent == "0") return reference;
    const fs::path process = "/proc/" + parent;
    struct stat namespace_info {};
    if (stat((process / "ns/mnt").c_str(), &namespace_info) == 0) reference = process;
    if (parent == init) return reference;
    pid = parent;
  }
}

// Says whether `holds` is true of that process. If the ancestor ends meanwhile (a shell that has
// started us in the background does), we have another ancestor and ask again. Unknown counts as
// true.
bool holds_of_reference_process(const std::function<bool(const fs::path&)>& holds) {
  constexpr int attempts = 10;
  for (int i = 0; i < attempts; ++i) {
    const auto process = look_for_reference_process();
    if (!process || holds(*process)) return true;
    std::error_code ignored;
    if (fs::exists(*process / "ns/mnt", ignored)) return false;
  }
  return true;
}

// Unknown counts as true.
bool in_lasting_mount_namespace() {
  return holds_of_reference_process(
      [](const fs::path& process) { return same_object(process / "ns/mnt", "/proc/self/ns/mnt"); });
}

// Says whether that process sees this very directory, so that its mount doesn't end with us.
// Unknown counts as true.
bool outlives_us(const fs::path& directory) {
  return holds_of_reference_process([&](const fs::path& process) {
    return same_object(directory, process.string() + "/root" + directory.string());
  });
}

// The command that enters this network namespace without a new /sys, when the namespace has a name.
std::string nsenter_hint() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/run/netns", error)) {
    if (same_object(entry.path(), "/proc/self/ns/net")) {
      return "ip netns exec hides /sys/fs/bpf; use: nsenter --net=" + entry.path().string() +
             " COMMAND";
    }
  }
  return "enter network namespaces with nsenter --net=/run/netns/NAME, which keeps /sys/fs/bpf";
}

tl::unexpected<Error> not_bpffs(const fs::path& path) {
  if (!in_lasting_mount_namespace()) {
    return fail(ErrorKind::invalid, "pin directory " + path.string() + " is not on a bpffs",
                nsenter_hint());
  }
  return fail(ErrorKind::invalid, "pin directory " + path.string() + " is not on a bpffs",
              "choose one below /sys/fs/bpf, or: mount -t bpf bpf DIR");
}

tl::unexpected<Error> fail_path(int error, std::string_view action, const fs::path& path) {
  const auto what = fmt::format("{} {}", action, path.string());
  if (error == EPERM && path.string().find('.') != std::string::npos) {
    return fail_errno(error, what, "a bpffs allows no dot in names");
  }
  return fail_bpf(error, what);
}

Result<void> make_directory(const fs::path& path) {
  constexpr mode_t owner_only = 0700;  // who can open a pinned map can change it
  if (mkdir(path.c_str(), owner_only) == 0 || errno == EEXIST) return {};
  return fail_path(errno, "create", path);
}

Result<void> make_directories(const fs::path& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return {};
  if (auto parent = make_directories(path.parent_path()); !parent) return parent;
  return make_directory(path);
}

Result<void> pin(int fd, const fs::path& path) {
  if (bpf_obj_pin(fd, path.c_str()) != 0) return fail_bpf(errno, "pin " + path.string());
  return {};
}

Result<void> fill(const PinDirectory& directory, const Program& program) {
  for (const char* part : {"", "maps", "links", "shared"}) {
    if (auto made = make_directory(directory.path() / part); !made) return made;
  }
  for (const auto& [name, fd] : program.maps()) {
    if (auto pinned = pin(fd.get(), directory.map(name)); !pinned) return pinned;
  }
  for (const auto& [fd, name] : program.programs()) {
    if (auto pinned = pin(fd, directory.program(name)); !pinned) return pinned;
  }
  return {};
}

std::vector<std::string> interfaces_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    names.push_back(interface_of_pin(entry.path().filename().string()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

PinDirectory::PinDirectory(fs::path path) : path_(std::move(path)) {
  path_ = fs::absolute(path_).lexically_normal();
  if (!path_.has_filename()) path_ = path_.parent_path();  // a trailing slash
}

fs::path PinDirectory::link(std::string_view interface) const {
  return path_ / "links" / pin_name(interface);
}
fs::path PinDirectory::shared(std::string_view interface) const {
  return path_ / "shared" / pin_name(interface);
}
std::vector<std::string> PinDirectory::linked_interfaces() const {
  return interfaces_in(path_ / "links");
}
std::vector<std::string> PinDirectory::shared_interfaces() const {
  return interfaces_in(path_ / "shared");
}

Result<bool> PinDirectory::exists() const {
  struct stat info {};
  if (stat((path_ / "maps").c_str(), &info) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_path(errno, "look into", path_);
}

std::optional<PinDirectory::Look> PinDirectory::look() const {
  // Times of files are as coarse as the kernel's tick, which is 10 ms at most.
  constexpr std::int64_t settled_ns = 1'000'000'000;
  const auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  Look look;
  for (const auto* name : {"", "maps", "links", "shared"}) {
    struct stat info {};
    // One that is missing is nothing, until it is made.
    if (stat((path_ / name).c_str(), &info) != 0 && errno != ENOENT) return std::nullopt;
    const auto changed = nanoseconds(info.st_mtim);
    if (changed > nanoseconds(now) - settled_ns) return std::nullopt;
    look.directories.push_back({info.st_dev, info.st_ino, changed});
  }
  return look;
}

Result<void> PinDirectory::require_pinned() const {
  const auto pinned = exists();
  if (!pinned) return tl::unexpected(pinned.error());
  if (*pinned) return {};
  if (!is_bpffs(nearest_existing(path_))) return not_bpffs(path_);
  return fail(ErrorKind::not_found, "Sluice is not loaded: there is no " + path_.string(),
              "attach first, or name the place with --pin-dir");
}

Result<void> PinDirectory::require_lasting_bpffs() const {
  const bool below_usual = path_.string().starts_with(std::string(usual_bpffs) + "/");
  if (below_usual && fs::is_directory(usual_bpffs) && !is_bpffs(usual_bpffs) &&
      in_lasting_mount_namespace()) {
    if (mount("bpf", usual_bpffs, "bpf", 0, "mode=0700") != 0) {
      return fail_bpf(errno, "mount a bpffs on /sys/fs/bpf");
    }
  }
  const auto existing = nearest_existing(path_);
  if (!is_bpffs(existing)) return not_bpffs(path_);
  if (!is_bpffs(nearest_existing(path_.parent_path()))) {
    return fail(ErrorKind::invalid, "pin directory " + path_.string() + " is the root of a bpffs",
                "choose a directory in it, as " + (path_ / "sluice").string());
  }
  if (!outlives_us(existing)) {
    return fail(ErrorKind::invalid,
                "the bpffs of pin directory " + path_.string() +
                    " is private to this mount namespace and would vanish with it",
                nsenter_hint());
  }
  return {};
}

Result<bool> PinDirectory::publish(const Program& program) const {
  if (auto made = make_directories(path_.parent_path()); !made) {
    return tl::unexpected(std::move(made.error()));
  }
  const PinDirectory unfinished(path_.parent_path() /
                                fmt::format("{}-new-{}", path_.filename().string(), getpid()));
  auto filled = fill(unfinished, program);
  if (filled && rename(unfinished.path().c_str(), path_.c_str()) == 0) return true;

  const int rename_error = errno;
  std::error_code ignored;
  fs::remove_all(unfinished.path(), ignored);
  if (!filled) return tl::unexpected(std::move(filled.error()));
  if (const auto theirs = exists(); theirs && *theirs) return false;
  return fail_bpf(rename_error, "publish the pins as " + path_.string());
}

Result<void> PinDirectory::replace_programs(const Program& program) const {
  for (const auto& [fd, name] : program.programs()) {
    const auto beside = this->program(std::string(name) + "-new");
    ::unlink(beside.c_str());  // left by a run that was killed
    if (auto pinned = pin(fd, beside); !pinned) return pinned;
    if (rename(beside.c_str(), this->program(name).c_str()) != 0) {
      return fail_bpf(errno, "replace " + this->program(name).string());
    }
  }
  return {};
}

Result<std::vector<fs::path>> PinDirectory::pin_missing(const Program& program) const {
  std::vector<fs::path> again;
  const auto pin_if_missing = [&again](int fd, const fs::path& path) -> Result<void> {
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 || errno != ENOENT) return {};
    again.push_back(path);
    return pin(fd, path);
  };
  Result<void> done;
  for (const auto& [name, fd] : program.maps())
    if (done) done = pin_if_missing(fd.get(), map(name));
  for (const auto& [fd, name] : program.programs())
    if (done) done = pin_if_missing(fd, this->program(name));
  if (!done) return tl::unexpected(std::move(done.error()));
  return again;
}

namespace {

Result<void> remove_directory(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return fail_bpf(error.value(), "remove " + path.string());
  return {};
}

// Makes a directory beside `path` with pins of these maps; removes one that a killed run has left.
Result<fs::path> pin_beside(const fs::path& path, const Program& program,
                            const std::function<bool(std::string_view)>& wanted) {
  const fs::path beside = path.string() + "-new";
  if (auto removed = remove_directory(beside); !removed) return tl::unexpected(removed.error());
  if (auto made = make_directory(beside); !made) return tl::unexpected(made.error());
  for (const auto& [name, fd] : program.maps()) {
    if (!wanted(name)) continue;
    if (auto pinned = pin(fd.get(), beside / name); !pinned) return tl::unexpected(pinned.error());
  }
  return beside;
}

}  // namespace

bool PinDirectory::is_moving() const {
  std::error_code ignored;
  return fs::exists(moving(), ignored);
}

Result<void> PinDirectory::begin_move(const Program& program) const {
  const auto filled = pin_beside(moving(), program, [](std::string_view name) {
    return name == "flows4" || name == "flows6" || name == "flow_table" || name == "flow_areas";
  });
  if (!filled) return tl::unexpected(filled.error());
  if (::rename(filled->c_str(), moving().c_str()) != 0)
    return fail_bpf(errno, "publish the pins as " + moving().string());
  return {};
}

bool PinDirectory::is_crossing() const {
  std::error_code ignored;
  return fs::exists(moving() / "sluice_xdp", ignored);
}

Result<void> PinDirectory::begin_crossing(const Program& former, const Program& now) const {
  const auto filled = pin_beside(moving(), former, is_exchanged_across);
  if (!filled) return tl::unexpected(filled.error());
  for (const auto& [fd, name] : former.programs()) {
    if (auto pinned = pin(fd, *filled / name); !pinned) return pinned;
  }
  if (auto pinned = pin(now.former_fd(), *filled / "former"); !pinned) return pinned;
  if (::rename(filled->c_str(), moving().c_str()) != 0)
    return fail_bpf(errno, "publish the pins as " + moving().string());
  return {};
}

Result<void> PinDirectory::replace_maps(const Program& program) const {
  const auto maps = path_ / "maps";
  const auto filled = pin_beside(maps, program, [](std::string_view) { return true; });
  if (!filled) return tl::unexpected(filled.error());
  if (::renameat2(AT_FDCWD, filled->c_str(), AT_FDCWD, maps.c_str(), RENAME_EXCHANGE) != 0)
    return fail_bpf(errno, "exchange " + maps.string());
  return remove_directory(*filled);
}

Result<void> PinDirectory::end_move() const {
  return remove_directory(moving());
}

Result<void> PinDirectory::withdraw() const {
  const auto leaving =
      path_.parent_path() / fmt::format("{}-old-{}", path_.filename().string(), getpid());
  if (rename(path_.c_str(), leaving.c_str()) != 0) {
    return fail_bpf(errno, "withdraw " + path_.string());
  }
  std::error_code error;
  fs::remove_all(leaving, error);
  if (error) return fail_bpf(error.value(), "remove " + leaving.string());
  return {};
}

std::string pin_name(std::string_view interface) {
  std::string name(interface);
  std::replace(name.begin(), name.end(), '.', ':');
  return name;
}

std::string interface_of_pin(std::string_view pin_name) {
  std::string name(pin_name);
  std::replace(name.begin(), name.end(), ':', '.');
  return name;
}

}  // namespace sluice::kernel
