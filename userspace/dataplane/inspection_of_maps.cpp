#include "dataplane/inspection_of_maps.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <chrono>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "attachment/attachment.hpp"
#include "base/thread_cpu_time.hpp"
#include "dataplane/explain.hpp"
#include "dataplane/flow_list.hpp"
#include "dataplane/leaving_sources.hpp"
#include "dataplane/pending_sweep.hpp"
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

std::uint32_t program_id(int program) {
  bpf_prog_info info{};
  std::uint32_t length = sizeof info;
  return bpf_obj_get_info_by_fd(program, &info, &length) == 0 ? info.id : 0;
}

}  // namespace

// Begins anew when the program is exchanged meanwhile, because the new one may have other tables.
// Ends early when it is given up.
Result<sluice_flow_sweep> InspectionOfMaps::sweep() const {
  sluice_flow_sweep slice{};
  std::uint32_t swept_by = 0;
  do {
    auto pinned = pinned_program(pins_, "flow_sweep");
    if (!pinned) pinned = pinned_program(pins_, "flow_expire");  // of an older version
    const int program = pinned ? pinned.get() : program_.sweep_fd();
    if (const auto id = program_id(program); id != std::exchange(swept_by, id)) {
      slice = {};
      slice.slice_us = static_cast<std::uint32_t>(sweep_slice.count());
    }
    if (auto ran = kernel::sweep_flows(program, slice); !ran)
      return tl::unexpected(std::move(ran.error()));
    std::this_thread::yield();
  } while (slice.stage != SLUICE_SWEEP_OVER && !given_up_);
  return slice;
}

Result<void> InspectionOfMaps::sweep_pending(const sluice_flow_sweep& swept) const {
  if (swept.hz == 0) return {};  // a program from before there were slices has done it
  PendingSweep pending(program_.map_fd("proxy_pending"), swept.began, swept.hz);
  for (bool goes_on = true; goes_on && !given_up_;) {
    const auto proceeded = pending.proceed();
    if (!proceeded) return tl::unexpected(proceeded.error());
    goes_on = *proceeded;
  }
  return {};
}

Result<control::ExpiryReport> InspectionOfMaps::expire_flows() {
  if (capture_ && capture_->is_abandoned()) capture_.reset();
  rehearsal_.let_go_if_unused();
  const auto swept = sweep();
  if (!swept) return tl::unexpected(swept.error());
  if (given_up_) return control::ExpiryReport{};
  if (auto done = sweep_pending(*swept); !done) return tl::unexpected(std::move(done.error()));
  connections_ = {swept->live - swept->live6, swept->live6};
  swept_ = true;
  areas_.note_load(swept->live - swept->live6, swept->live6);
  const auto rehome = pinned_program(pins_, "flow_rehome");
  if (auto fitted = areas_.fit(rehome ? rehome.get() : program_.rehome_fd(), program_); !fitted)
    return tl::unexpected(std::move(fitted.error()));
  control::ExpiryReport report{swept->live, swept->expired};
  auto leaving = connections_of_leaving(program_);
  if (!leaving) return tl::unexpected(std::move(leaving.error()));
  report.leaving_sources = std::move(*leaving);
  report.unprobed = probe_ends();
  return report;
}

std::optional<Error> InspectionOfMaps::probe_ends() {
  if (!may_have_ends_) return std::nullopt;
  auto probed = prober_.probe(program_);
  return probed ? std::nullopt : std::optional(std::move(probed.error()));
}

// A program that was pinned by an older version has no short sweep: its idle times end late.
Result<control::ShortExpiryReport> InspectionOfMaps::expire_short() {
  const auto pinned = pinned_program(pins_, "flow_expire_short");
  const int program = pinned ? pinned.get() : program_.expire_short_fd();
  const auto began = thread_cpu_time();
  control::ShortExpiryReport report;
  std::uint32_t over = 0, marked = 0;
  for (const std::uint32_t family : {4U, 6U}) {
    if (program < 0) break;
    sluice_flow_expire_short sweep{};
    sweep.family = family;
    sweep.slice_us = static_cast<std::uint32_t>(sweep_slice.count());
    do {
      if (auto ran = kernel::expire_short(program, sweep); !ran)
        return tl::unexpected(std::move(ran.error()));
      std::this_thread::yield();
    } while (sweep.first != 0 && !given_up_);
    marked += sweep.marked;
    report.expired += sweep.expired;
    over += sweep.over;
  }
  flows_are_marked_ = marked != 0;
  if (over != 0) report.unprobed = probe_ends();
  report.took = thread_cpu_time() - began;
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
