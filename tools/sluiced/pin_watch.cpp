#include "pin_watch.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "attachment/nic.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/pin_lock.hpp"
#include "kernel/program.hpp"

namespace sluice::daemon {
namespace {

constexpr auto between_looks = std::chrono::milliseconds(500);
constexpr auto while_somebody_changes = std::chrono::milliseconds(100);
constexpr auto between_attempts_to_attach = std::chrono::seconds(10);

Result<std::uint32_t> map_id(int fd) {
  return kernel::map_info(fd).map([](const kernel::MapInfo& info) { return info.id; });
}

bool is_missing(const Error& error) {
  return error.system_errno == ENOENT;
}

Error pins_are_gone(const std::filesystem::path& path) {
  return {
      ErrorKind::not_found,
      "the pins in " + path.string() + " are gone, and no packet comes to what was pinned there",
      "sluice-loader attach INTERFACE", 0};
}

}  // namespace

bool PinWatch::Findings::well() const {
  return pinned && !other_maps && !lost_pins && bare.empty() && stale_slots.empty();
}

PinWatch::PinWatch(boost::asio::io_context& loop, std::filesystem::path pin_directory,
                   Callbacks callbacks)
    : pins_(std::move(pin_directory)), callbacks_(std::move(callbacks)), timer_(loop) {
  look_after(between_looks);
}

void PinWatch::look_after(std::chrono::milliseconds pause) {
  timer_.expires_after(pause);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) look();
  });
}

// Acts only on what two looks have found, so that nobody is in the middle of attaching or
// detaching.
void PinWatch::look() {
  auto findings = examine();
  if (!findings || !findings->well()) {
    if (kernel::somebody_changes(pins_.path())) return look_after(while_somebody_changes);
    findings = examine();
  }
  if (!findings) {
    tell_failure("look", findings.error().text());
  } else {
    told_.erase("look");
    conclude(mend(*findings));
  }
  look_after(between_looks);
}

void PinWatch::conclude(const Result<void>& well) {
  if (!well) {
    tell_failure("maps", well.error().text());
    callbacks_.on_lost(well.error());
  } else if (lost_) {
    told_.erase("maps");
    callbacks_.on_found();
  }
  lost_ = !well;
}

void PinWatch::tell_failure(const std::string& subject, const std::string& text) {
  if (std::exchange(told_[subject], text) == text) return;
  spdlog::error("{}", text);
  callbacks_.on_event(text);
}

// A pin says nothing new while the directories look the same. NICs come and go without them.
Result<PinWatch::Findings> PinWatch::examine() {
  Findings findings;
  const auto* program = &callbacks_.program();
  const auto look = pins_.look();
  if (!known_ || known_->program != program || known_->look != look) {
    known_.reset();
    const auto pinned = pins_.exists();
    if (!pinned) return tl::unexpected(pinned.error());
    findings.pinned = *pinned;
    if (!findings.pinned) return findings;
    if (auto done = examine_pins(findings); !done) return tl::unexpected(std::move(done.error()));
    // The slots of other maps say nothing about our maps.
    if (findings.other_maps) return findings;
  }
  auto slots = known_ ? known_->slots : attachment::InterfaceSlots(*program).all();
  if (!slots) return tl::unexpected(std::move(slots.error()));
  if (auto done = examine_nics(findings, *slots); !done)
    return tl::unexpected(std::move(done.error()));
  if (!findings.well()) {
    known_.reset();
  } else if (!known_ && look) {
    known_ = Known{*look, program, std::move(*slots)};
  }
  return findings;
}

Result<void> PinWatch::examine_pins(Findings& findings) const {
  const auto& program = callbacks_.program();
  for (const auto& [name, own_fd] : program.maps()) {
    const auto fd = kernel::open_pin(pins_.map(name));
    if (!fd && is_missing(fd.error())) {
      findings.lost_pins = true;
      continue;
    }
    if (!fd) return tl::unexpected(fd.error());
    const auto own = map_id(own_fd.get());
    if (!own) return tl::unexpected(own.error());
    const auto present = map_id(fd->get());
    if (!present) return tl::unexpected(present.error());
    findings.other_maps |= *present != *own;
  }
  for (const auto& [fd, name] : program.programs()) {
    std::error_code error;
    if (!std::filesystem::exists(pins_.program(name), error) && !error) findings.lost_pins = true;
  }
  return {};
}

// Finds NICs that have lost their program. Either the pin of a link or shared program is left and
// an interface of this name exists again, or there is a slot without a link: its pin was removed by
// hand, because detaching frees the slot.
Result<void> PinWatch::examine_nics(Findings& findings,
                                    const std::vector<sluice_interface>& slots) {
  const auto attached = attachment::attachments(pins_.path());
  if (!attached) return fail(attached.error(), "look which NICs are attached");
  for (const auto& one : *attached) {
    if (one.here) {
      seen_[one.interface] = one;
      findings.carried = true;
    }
    const bool gone = one.shared ? !one.here : one.index == 0;
    if (gone && attachment::nic_index(one.interface) != 0) findings.bare.push_back(one.interface);
  }
  for (const auto& slot : slots) {
    const auto linked = [&](const auto& one) { return one.index == slot.ifindex; };
    if (slot.tags != 0 || std::ranges::any_of(*attached, linked)) continue;
    const auto name = attachment::nic_name(slot.ifindex);
    if (!name) {
      findings.stale_slots.push_back(slot.ifindex);
    } else if (std::ranges::count(findings.bare, *name) == 0) {
      findings.bare.push_back(*name);
    }
  }
  return {};
}

Result<void> PinWatch::mend(const Findings& findings) {
  if (!findings.pinned) return tl::unexpected(pins_are_gone(pins_.path()));
  if (findings.other_maps) {
    spdlog::warn("the maps in {} are others than before: they are adopted", pins_.path().string());
    seen_.clear();
    auto adopted = callbacks_.on_other_maps();
    if (!adopted)
      return fail(std::move(adopted.error()), "adopt the maps in " + pins_.path().string());
    callbacks_.on_event("adopted the maps that are pinned in " + pins_.path().string() + " now");
    return {};
  }
  if (findings.lost_pins) pin_again();
  // Stale slots are freed, so that a later interface with such an index isn't taken for the old
  // one.
  for (const auto index : findings.stale_slots)
    (void)attachment::InterfaceSlots(callbacks_.program()).release(index);
  return attach_again(findings);
}

void PinWatch::pin_again() {
  const auto again = pins_.pin_missing(callbacks_.program());
  if (!again) return tell_failure("pins", again.error().text());
  told_.erase("pins");
  for (const auto& path : *again) spdlog::warn("{} was lost: pinned again", path.string());
}

// Attaches the NICs again; fails if no NIC runs the program afterwards.
Result<void> PinWatch::attach_again(const Findings& findings) {
  bool carried = findings.carried;
  Result<void> result;
  const auto now = std::chrono::steady_clock::now();
  for (const auto& nic : findings.bare) {
    if (now < not_before_[nic]) {
      result = fail(ErrorKind::conflict, told_[nic]);
      continue;
    }
    attachment::AttachRequest request;
    request.pin_directory = pins_.path();
    request.interfaces = {nic};
    if (const auto before = seen_.find(nic); before != seen_.end()) {
      request.shared = before->second.shared;
      if (before->second.mode == attachment::XdpMode::generic)
        request.mode = attachment::AttachMode::generic;
    }
    const auto report = attachment::attach(request);
    if (!report) {
      not_before_[nic] = now + between_attempts_to_attach;
      auto error = Error(report.error()).within(nic + " has lost Sluice's program");
      tell_failure(nic, error.text());
      result = tl::unexpected(std::move(error));
      continue;
    }
    carried = true;
    told_.erase(nic);
    not_before_.erase(nic);
    const auto line = fmt::format("{} had lost Sluice's program: attached to it again in {} mode",
                                  nic, to_string(report->nics.front().mode));
    spdlog::warn("{}", line);
    callbacks_.on_event(line);
  }
  return carried ? Result<void>() : result;
}

}  // namespace sluice::daemon
