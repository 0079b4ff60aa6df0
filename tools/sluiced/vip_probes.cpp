#include "vip_probes.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace sluice::daemon {
namespace {

// NICs that are attached meanwhile get the programs so soon; what failed is tried again.
constexpr auto between_looks = std::chrono::seconds(5);

kernel::ProbeObject::Way way_of(model::ForwardingMode mode) {
  using Way = kernel::ProbeObject::Way;
  switch (mode) {
    case model::ForwardingMode::ipip:
      return Way::ipip;
    case model::ForwardingMode::gue:
      return Way::gue;
    default:
      return Way::link;
  }
}

}  // namespace

struct VipProbes::Loaded {
  kernel::ProbeObject programs;
  attachment::ProbeFilters filters;
};

// What the programs know of a socket.
class VipProbes::Entry final : public Ticket {
 public:
  Entry(std::shared_ptr<Loaded> loaded, const kernel::ProbeObject::Packets& packets)
      : loaded_(std::move(loaded)), packets_(packets) {}
  ~Entry() override { loaded_->programs.forget(packets_); }

  bool used() const override { return loaded_->programs.has_led(packets_); }

 private:
  std::shared_ptr<Loaded> loaded_;
  kernel::ProbeObject::Packets packets_;
};

VipProbes::VipProbes(const kernel::Program& maps, Attached attached)
    : maps_(maps), attached_(std::move(attached)) {}

Result<void> VipProbes::be_ready() {
  const auto now = std::chrono::steady_clock::now();
  if (loaded_ && now - looked_ < between_looks) return ready_;
  looked_ = now;
  if (!loaded_) {
    auto programs = kernel::ProbeObject::load(maps_);
    if (!programs) return tl::unexpected(std::move(programs.error()));
    loaded_ = std::make_shared<Loaded>();
    loaded_->programs = std::move(*programs);
  }
  const auto interfaces = attached_();
  if (!interfaces) return tl::unexpected(interfaces.error());
  ready_ = loaded_->filters.put_on(loaded_->programs, *interfaces);
  return ready_;
}

Result<std::unique_ptr<health::VipProbes::Ticket>> VipProbes::lead(const Packets& packets,
                                                                   const health::VipWay& way) {
  if (auto ready = be_ready(); !ready)
    return fail(std::move(ready.error()), "ask for a VIP at its members");
  kernel::ProbeObject::Packets sent{.cookie = 0, .echo = packets.echo};
  socklen_t size = sizeof sent.cookie;
  if (getsockopt(packets.socket, SOL_SOCKET, SO_COOKIE, &sent.cookie, &size) != 0)
    return fail_errno(errno, "ask for a socket's cookie");
  if (auto led =
          loaded_->programs.lead(sent, packets.protocol, packets.member, way.vip, way_of(way.mode));
      !led)
    return tl::unexpected(std::move(led.error()));
  return std::make_unique<Entry>(loaded_, sent);
}

void VipProbes::rest() {
  loaded_.reset();
}

}  // namespace sluice::daemon
