#include "dataplane/rehearsal.hpp"

#include <bpf/bpf.h>

#include <cstring>

#include "dataplane/reasons.hpp"
#include "dataplane/state_copy.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "maps/reasons.h"
#include "maps/vip.h"

namespace sluice::dataplane {
namespace {

constexpr auto kept_for = std::chrono::minutes(1);

// Returns the reason that was counted, and resets its counter.
Result<std::uint32_t> take_counted_reason(const kernel::Program& program) {
  for (std::uint32_t reason = 0; reason < SLUICE_REASON_COUNT; ++reason) {
    const auto packets = packets_of_reason(program, reason);
    if (!packets) return tl::unexpected(packets.error());
    if (*packets == 0) continue;
    if (auto forgotten = forget_reason(program, reason); !forgotten)
      return tl::unexpected(forgotten.error());
    return reason;
  }
  return fail(ErrorKind::internal, "the program counted no reason for the packet");
}

}  // namespace

Result<Rehearsal> Rehearsal::over(const kernel::Program& real,
                                  const kernel::BesideOptions& options) {
  auto program = kernel::Program::load_beside(real, options);
  if (!program) return tl::unexpected(std::move(program.error()));
  return Rehearsal(real, options, std::move(*program));
}

Result<Rehearsal::Outcome> Rehearsal::receive(const std::vector<std::uint8_t>& frame,
                                              std::uint32_t interface_index) const {
  if (auto copied = copy_state(*real_, program_, options_); !copied)
    return tl::unexpected(std::move(copied.error()));
  constexpr std::size_t room = 256;  // for what is put in front, and quoted
  Outcome outcome;
  outcome.frame.resize(frame.size() + room);
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.ingress_ifindex = interface_index;
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_out = outcome.frame.data(),
              .data_size_in = static_cast<__u32>(frame.size()),
              .data_size_out = static_cast<__u32>(outcome.frame.size()), .ctx_in = &context,
              .ctx_size_in = sizeof context);
  if (bpf_prog_test_run_opts(program_.xdp_fd(), &run) != 0)
    return kernel::fail_bpf(errno, "run the program on a packet");
  outcome.action = run.retval;
  outcome.frame.resize(run.data_size_out);
  const auto reason = take_counted_reason(program_);
  if (!reason) return tl::unexpected(reason.error());
  outcome.reason = *reason;
  return outcome;
}

namespace {

// The flows of the address's IP version. Clients of an IPv4 address may have members with IPv6
// addresses, whose flows are IPv6 ones.
Result<kernel::BesideOptions> flows_of(const kernel::Program& program, const IpAddress& address) {
  if (address.is_v6()) return kernel::BesideOptions{.ipv4 = false};
  const auto vip = kernel::Map<__be32, sluice_vip>(program, "vips4").lookup(to_be32(address));
  if (!vip) return tl::unexpected(vip.error());
  return kernel::BesideOptions{.ipv6 = *vip && (*vip)->flags & SLUICE_VIP_MIXED};
}

}  // namespace

Result<const Rehearsal*> KeptRehearsal::of(const IpAddress& destination) {
  const auto flows = flows_of(*real_, destination);
  if (!flows) return tl::unexpected(flows.error());
  const auto table = real_->flow_table();
  if (!table) return tl::unexpected(table.error());
  if (!kept_ || flows_.ipv4 != flows->ipv4 || flows_.ipv6 != flows->ipv6 ||
      std::memcmp(&table_, &*table, sizeof table_) != 0) {
    kept_.reset();  // first: two of them are too much memory
    auto loaded = Rehearsal::over(*real_, *flows);
    if (!loaded) return tl::unexpected(std::move(loaded.error()));
    kept_.emplace(std::move(*loaded));
    flows_ = *flows;
    table_ = *table;
  }
  last_used_ = std::chrono::steady_clock::now();
  return &*kept_;
}

void KeptRehearsal::let_go_if_unused() {
  if (std::chrono::steady_clock::now() - last_used_ > kept_for) kept_.reset();
}

}  // namespace sluice::dataplane
