#include "dataplane/capture.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "attachment/attachment.hpp"
#include "attachment/nic.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/reasons.hpp"
#include "kernel/exchange.hpp"
#include "kernel/kernel_info.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/object.hpp"
#include "kernel/pin_lock.hpp"
#include "maps/capture.h"
#include "maps/flow.h"

namespace sluice::dataplane {
namespace {

constexpr auto patience = std::chrono::seconds(10);
constexpr const char* program_name = "sluice_capture";

static_assert(control::longest_captured_frame == SLUICE_CAPTURE_BYTES);

// Sets the bits of the reasons that the label or the verdict stands for.
Result<void> add_reasons(const std::string& word, sluice_capture_filter& filter) {
  bool known = false;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i].label != word && reasons[i].verdict != word) continue;
    filter.reasons[i / 64] |= std::uint64_t{1} << i % 64;
    known = true;
  }
  if (known) return {};
  return fail(ErrorKind::invalid, fmt::format("there is no reason '{}'", word),
              "sluicectl drops lists the reasons; drop, pass, forward and answer stand for all of "
              "that verdict");
}

Result<sluice_capture_filter> to_map(const control::CaptureFilter& filter) {
  sluice_capture_filter out{};
  for (const auto& word : filter.reasons) {
    if (auto added = add_reasons(word, out); !added)
      return tl::unexpected(std::move(added.error()));
  }
  if (filter.reasons.empty())
    std::fill(std::begin(out.reasons), std::end(out.reasons), ~std::uint64_t{0});
  if (filter.network) {
    out.network = dataplane::to_map(filter.network->address);
    for (unsigned bit = 0; bit < filter.network->prefix_length; ++bit)
      out.mask.ipv6[bit / 8] = static_cast<std::uint8_t>(out.mask.ipv6[bit / 8] | 0x80 >> bit % 8);
    // IPv4 addresses are zero from there on, which IPv6 ones hardly ever are.
    if (!filter.network->is_v6()) std::memset(out.mask.ipv6 + 4, 0xff, sizeof out.mask.ipv6 - 4);
  }
  out.port = htons(filter.port);
  out.bytes = filter.bytes;
  out.every = filter.every;
  return out;
}

// The NICs whose program can be exchanged.
Result<std::vector<attachment::Attachment>> exchangeable(const kernel::PinDirectory& pins) {
  auto nics = attachment::attachments(pins.path());
  if (!nics) return nics;
  std::erase_if(*nics, [](const attachment::Attachment& nic) { return nic.index == 0; });
  for (const auto& nic : *nics) {
    if (!nic.shared) continue;
    return fail(ErrorKind::unsupported,
                nic.interface + " is attached with --shared, where packets can't be captured",
                "attach it without --shared, or look on with xdpdump (package xdp-tools)");
  }
  if (nics->empty()) {
    return fail(ErrorKind::conflict, "no interface is attached, so no packet comes in",
                "sluice-loader attach INTERFACE");
  }
  return nics;
}

// A program over maps that are no longer in use would lose every connection.
Result<void> require_maps_in_use(const kernel::Program& maps, const kernel::PinDirectory& pins) {
  if (pins.is_moving()) {
    return fail(ErrorKind::conflict, "a resize of the flow table was interrupted",
                "finish it with: sluice-loader upgrade");
  }
  const auto pin = kernel::open_pin(pins.map("flows4"));
  if (!pin) return tl::unexpected(pin.error());
  const auto pinned = kernel::map_info(pin->get());
  if (!pinned) return tl::unexpected(pinned.error());
  const auto own = kernel::map_info(maps.map_fd("flows4"));
  if (!own) return tl::unexpected(own.error());
  if (pinned->id == own->id) return {};
  return fail(ErrorKind::conflict, "the flow table has just been exchanged",
              "try again in a second");
}

// Loads sluice_capture over these maps.
Result<kernel::Object> loaded(const kernel::Program& maps, const sluice_capture_filter& filter) {
  auto object = kernel::Object::open();
  if (!object) return object;
  const auto table = maps.flow_table();
  if (!table) return tl::unexpected(table.error());
  object->set_flow_table(*table);
  object->load_only_capture(filter);
  if (auto reused = object->reuse_maps(maps); !reused) return tl::unexpected(reused.error());
  if (auto done = object->load(); !done) return tl::unexpected(done.error());
  return object;
}

// Replaces this program by the pinned one wherever it runs.
Result<void> put_back(const kernel::PinDirectory& pins, std::uint32_t program_id) {
  const auto usual = kernel::open_pin(pins.program("sluice_xdp"));
  if (!usual) return tl::unexpected(usual.error());
  const auto nics = attachment::attachments(pins.path());
  if (!nics) return tl::unexpected(nics.error());
  Result<void> done;
  for (const auto& nic : *nics) {
    if (nic.shared || nic.index == 0 || nic.program_id != program_id) continue;
    if (auto one = kernel::exchange_program(nic.pin, usual->get()); !one) done = std::move(one);
  }
  return done;
}

std::chrono::nanoseconds now_of(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

void Capture::FreeRing::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

Capture::Capture(kernel::PinDirectory pins, UniqueFd program, UniqueFd lost)
    : pins_(std::move(pins)), program_(std::move(program)), lost_(std::move(lost)) {}

Result<std::unique_ptr<Capture>> Capture::start(const kernel::Program& maps,
                                                const kernel::PinDirectory& pins,
                                                const control::CaptureFilter& filter,
                                                const std::function<bool()>& given_up) {
  const auto wanted = to_map(filter);
  if (!wanted) return tl::unexpected(wanted.error());
  // The lock keeps others from exchanging programs or maps meanwhile. Our own event loop takes it
  // for moments, too.
  const auto lock = kernel::lock_for_change(pins.path(), std::chrono::seconds(1));
  if (!lock) return tl::unexpected(lock.error());
  if (auto in_use = require_maps_in_use(maps, pins); !in_use)
    return tl::unexpected(std::move(in_use.error()));
  const auto nics = exchangeable(pins);
  if (!nics) return tl::unexpected(nics.error());
  const auto object = loaded(maps, *wanted);
  if (!object) return tl::unexpected(object.error());
  if (given_up()) return fail(ErrorKind::conflict, "nobody wants the capture any more");

  std::unique_ptr<Capture> capture(new Capture(pins, object->keep_program(program_name),
                                               object->keep_map("local_capture_lost")));
  const auto ring = object->keep_map("local_capture");
  capture->frames_.reset(ring_buffer__new(ring.get(), keep, capture.get(), nullptr));
  if (!capture->frames_) return kernel::fail_bpf(errno, "open ring buffer local_capture");
  for (const auto& nic : *nics) {
    if (auto done = kernel::exchange_program(nic.pin, capture->program_.get()); !done)
      return fail(std::move(done.error()), "capture on " + nic.interface);
  }
  return capture;
}

Capture::~Capture() {
  if (const auto info = kernel::program_info(program_.get())) (void)put_back(pins_, info->id);
}

bool Capture::is_abandoned() const {
  return std::chrono::steady_clock::now() - last_asked_ > patience;
}

int Capture::keep(void* self, void* data, std::size_t size) {
  auto& capture = *static_cast<Capture*>(self);
  sluice_captured head{};
  std::memcpy(&head, data, std::min(size, sizeof head));
  if (size != sizeof head + head.kept_bytes || head.reason >= reasons.size()) return 0;
  const auto* bytes = static_cast<const std::uint8_t*>(data) + sizeof head;
  auto& frame = capture.taken_->frames.emplace_back();
  frame.time = std::chrono::system_clock::time_point(capture.boot_ +
                                                     std::chrono::nanoseconds(head.nanoseconds));
  frame.interface = attachment::nic_name(head.ifindex).value_or(fmt::format("#{}", head.ifindex));
  frame.departure = head.departure != 0;
  frame.reason = reasons[head.reason].label;
  frame.verdict = reasons[head.reason].verdict;
  frame.length = head.frame_bytes;
  frame.bytes.assign(bytes, bytes + head.kept_bytes);
  return capture.taken_->frames.size() < capture.limit_ ? 0 : -ENOBUFS;
}

// An upgrade or a detach may have replaced our program.
Result<void> Capture::require_place() const {
  const auto own = kernel::program_info(program_.get());
  if (!own) return tl::unexpected(own.error());
  const auto nics = attachment::attachments(pins_.path());
  if (!nics) return tl::unexpected(nics.error());
  const bool runs = std::any_of(nics->begin(), nics->end(), [&](const attachment::Attachment& nic) {
    return !nic.shared && nic.program_id == own->id;
  });
  if (runs) return {};
  return fail(ErrorKind::conflict, "nothing is captured any more: the program was taken off",
              "an upgrade or a detach does that; start another capture");
}

Result<control::Captured> Capture::take(std::size_t limit) {
  if (auto placed = require_place(); !placed) return tl::unexpected(placed.error());
  control::Captured captured;
  taken_ = &captured;
  boot_ = now_of(CLOCK_REALTIME) - now_of(CLOCK_MONOTONIC);
  limit_ = limit;
  last_asked_ = std::chrono::steady_clock::now();
  const int error = ring_buffer__consume(frames_.get());
  captured.more = error == -ENOBUFS;
  if (error < 0 && !captured.more) return kernel::fail_bpf(error, "read ring buffer local_capture");
  std::vector<std::uint64_t> lost(kernel::possible_cpus());
  constexpr std::uint32_t zero = 0;
  if (bpf_map_lookup_elem(lost_.get(), &zero, lost.data()) != 0)
    return kernel::fail_bpf(errno, "read map local_capture_lost");
  captured.lost = std::accumulate(lost.begin(), lost.end(), std::uint64_t{0});
  return captured;
}

Result<void> restore_programs(const kernel::PinDirectory& pins) {
  const auto nics = attachment::attachments(pins.path());
  if (!nics) return tl::unexpected(nics.error());
  for (const auto& nic : *nics) {
    if (nic.shared || nic.index == 0) continue;
    const auto running = kernel::program_info_by_id(nic.program_id);
    if (!running || running->name != program_name) continue;
    if (auto done = put_back(pins, nic.program_id); !done) return done;
  }
  return {};
}

}  // namespace sluice::dataplane
