#include "dataplane/object.hpp"

#include <bpf/libbpf.h>
#include <time.h>

#include "dataplane/libbpf_log.hpp"
#include "dataplane/program.hpp"
#include "sluice.skel.h"

namespace sluice::dataplane {
namespace {

// CONFIG_HZ. The coarse clock advances by one tick of the kernel's, so its resolution is a jiffy.
std::uint32_t jiffies_per_second() {
  constexpr long nanoseconds_per_second = 1'000'000'000;
  timespec resolution{};
  clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
  return static_cast<std::uint32_t>((nanoseconds_per_second + resolution.tv_nsec / 2) /
                                    resolution.tv_nsec);
}

}  // namespace

void Object::Close::operator()(sluice_bpf* skeleton) const {
  sluice_bpf__destroy(skeleton);
}

Result<Object> Object::open() {
  LibbpfLog log;
  sluice_bpf* skeleton = sluice_bpf__open();
  if (skeleton == nullptr) {
    return fail_bpf(errno, "open the embedded BPF object", log.last_line());
  }
  skeleton->rodata->clock_hz = jiffies_per_second();
  return Object(skeleton);
}

Result<void> Object::reuse_maps(const Program& program) {
  for (const auto& [name, fd] : program.maps()) {
    bpf_map* map = bpf_object__find_map_by_name(get(), name.c_str());
    if (map == nullptr) continue;  // of another version; layouts were compared before
    if (const int error = bpf_map__reuse_fd(map, fd.get())) {
      return fail_bpf(error, "reuse map " + name);
    }
  }
  return {};
}

bpf_object* Object::get() const {
  return skeleton_->obj;
}
bpf_program* Object::xdp_program() const {
  return skeleton_->progs.sluice_xdp;
}
bpf_program* Object::expire_program() const {
  return skeleton_->progs.flow_expire;
}

}  // namespace sluice::dataplane
