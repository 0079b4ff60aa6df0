#include "dataplane/inspection_of_maps.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "attachment/attachment.hpp"
#include "dataplane/explain.hpp"
#include "dataplane/flow_list.hpp"
#include "kernel/libbpf_log.hpp"
#include "maps/flow.h"

namespace sluice::dataplane {
namespace {

// Opens the pinned program, because an upgrade may have replaced it since we opened ours. -1: there
// is none.
UniqueFd pinned_program(const std::optional<kernel::PinDirectory>& pins, const char* name) {
  return UniqueFd(pins ? bpf_obj_get(pins->program(name).c_str()) : -1);
}

tl::unexpected<Error> over() {
  return fail(ErrorKind::conflict, "The data plane has been exchanged, or sluiced ends.",
              "try again in a second");
}

}  // namespace

Result<control::ExpiryReport> InspectionOfMaps::expire_flows() {
  if (capture_ && capture_->is_abandoned()) capture_.reset();
  rehearsal_.let_go_if_unused();
  const auto pinned = pinned_program(pins_, "flow_expire");
  const int program = pinned ? pinned.get() : program_.expire_fd();

  sluice_flow_expire sweep{};
  // The kernel writes the result back into ctx_in; it takes no ctx_out for such programs.
  LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &sweep, .ctx_size_in = sizeof sweep);
  if (bpf_prog_test_run_opts(program, &run) != 0) {
    return kernel::fail_bpf(errno, "run program flow_expire");
  }
  if (run.retval != 0) {
    return fail(ErrorKind::internal, fmt::format("program flow_expire returned {}",
                                                 static_cast<std::int32_t>(run.retval)));
  }
  connections_ = {sweep.live - sweep.live6, sweep.live6};
  swept_ = true;
  areas_.note_load(sweep.live - sweep.live6, sweep.live6);
  const auto rehome = pinned_program(pins_, "flow_rehome");
  if (auto fitted = areas_.fit(rehome ? rehome.get() : program_.rehome_fd(), program_); !fitted)
    return tl::unexpected(std::move(fitted.error()));
  control::ExpiryReport report{sweep.live, sweep.expired};
  if (auto probed = prober_.probe(program_); !probed) report.unprobed = std::move(probed.error());
  return report;
}

// Does what `sluice-loader upgrade` does. program_ stays: it holds the same maps, and programs are
// run from their pins. A capture ends, and says why when it is asked.
Result<control::Reloaded> InspectionOfMaps::reload() {
  if (!pins_) return Inspection::reload();
  const auto nics = attachment::attachments(pins_->path());
  if (!nics) return tl::unexpected(nics.error());
  for (const auto& nic : *nics) {
    if (!nic.shared) continue;
    // libxdp finds the programs of a NIC by their ids, for which sluiced kept no capability.
    return fail(ErrorKind::unsupported,
                nic.interface + " is attached with --shared, where sluiced can't exchange programs",
                "sluice-loader upgrade");
  }
  // Our own event loop takes the lock for moments, and sweeps wait behind us.
  auto report = attachment::upgrade(pins_->path(), std::chrono::seconds(1));
  if (!report) return tl::unexpected(std::move(report.error()));
  return control::Reloaded{report->old_program_id, report->new_program_id,
                           std::move(report->interfaces)};
}

Result<std::vector<control::Flow>> InspectionOfMaps::flows(const control::FlowFilter& filter,
                                                           std::size_t limit) {
  const auto names = FlowNames::read(program_);
  if (!names) return tl::unexpected(names.error());
  std::vector<control::Flow> found;
  std::unordered_set<std::string> seen;
  const auto keep = [&](const FoundFlow& one) {
    if (seen.insert(one.key).second) found.push_back(one.flow);
    return found.size() < limit && !given_up_;
  };
  if (auto done = for_each_flow(program_, *names, filter, keep); !done)
    return tl::unexpected(std::move(done.error()));
  if (given_up_) return over();
  return found;
}

Result<std::uint64_t> InspectionOfMaps::flush_flows(const control::FlowFilter& filter) {
  const auto names = FlowNames::read(program_);
  if (!names) return tl::unexpected(names.error());
  std::vector<std::pair<FlowSlot, std::string>> wanted;
  const auto keep = [&](const FoundFlow& one) {
    wanted.emplace_back(one.slot, one.key);
    return true;
  };
  if (auto done = for_each_flow(program_, *names, filter, keep); !done)
    return tl::unexpected(std::move(done.error()));
  const auto pinned = pinned_program(pins_, "flow_flush");
  std::unordered_set<std::string> flushed;
  for (const auto& [slot, key] : wanted) {
    if (given_up_) return over();
    const auto done = flush_flow(pinned ? pinned.get() : program_.flush_fd(), slot);
    if (!done) return tl::unexpected(done.error());
    if (*done) flushed.insert(key);
  }
  return flushed.size();
}

Result<control::Explanation> InspectionOfMaps::explain(const control::Question& question) {
  return dataplane::explain(rehearsal_, slots_, question);
}

Result<Uuid> InspectionOfMaps::start_capture(const control::CaptureFilter& filter) {
  if (!pins_) return Inspection::start_capture(filter);
  if (capture_ && capture_->is_abandoned()) capture_.reset();
  if (capture_) {
    return fail(ErrorKind::conflict, "Another capture is under way.",
                "end it, or wait until it ends");
  }
  auto started = Capture::start(program_, *pins_, filter, [this] { return given_up_.load(); });
  if (!started) return tl::unexpected(std::move(started.error()));
  capture_ = std::move(*started);
  return capture_->id();
}

Result<control::Captured> InspectionOfMaps::take_captured(const Uuid& capture, std::size_t limit) {
  if (!capture_ || capture_->id() != capture) return no_capture(capture);
  return capture_->take(limit);
}

Result<void> InspectionOfMaps::stop_capture(const Uuid& capture) {
  if (!capture_ || capture_->id() != capture) return no_capture(capture);
  capture_.reset();
  return {};
}

}  // namespace sluice::dataplane
