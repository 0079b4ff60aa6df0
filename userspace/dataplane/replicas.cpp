#include "dataplane/replicas.hpp"

#include <arpa/inet.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include "base/fd.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/flow_images.hpp"
#include "dataplane/listener_banks.hpp"
#include "dataplane/listener_ranges.hpp"
#include "dataplane/own_map.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/program.hpp"
#include "maps/flow.h"
#include "maps/listener.h"
#include "maps/member.h"
#include "maps/pool.h"
#include "maps/replica.h"

namespace sluice::dataplane {
namespace {

// A change of an area may keep the tables busy for so long; a resize longer, and then the caller
// tries again.
constexpr auto patience = std::chrono::seconds(1);
// The indices of listeners and members are read again at most so often for an id that is not known.
constexpr auto between_reads = std::chrono::seconds(1);

// The phase in an image.
std::uint8_t phase_of(std::uint64_t state) {
  return static_cast<std::uint8_t>(sluice_flow_phase(state) / SLUICE_FLOW_REPLIED);
}
std::uint64_t state_of(std::uint8_t phase) {
  return phase * SLUICE_FLOW_REPLIED;
}

using IdBytes = std::array<std::uint8_t, sizeof(sluice_id)>;
IdBytes bytes_of(const sluice_id& id) {
  IdBytes bytes;
  std::memcpy(bytes.data(), &id, sizeof id);
  return bytes;
}

// What the maps say of listeners and members.
class Objects {
 public:
  explicit Objects(const kernel::Program& program)
      : listeners4_(program, "listeners4"),
        listeners6_(program, "listeners6"),
        ranges_(program, "listener_ranges"),
        members_(program, "members"),
        pools_(program, "pools") {}

  // What is known of an index is looked up once until this is called: an index may go to another
  // object.
  void forget() {
    listeners_by_index_.clear();
    members_by_index_.clear();
  }
  const sluice_member* member_at(std::uint32_t index) {
    const auto [found, is_new] = members_by_index_.try_emplace(index);
    if (is_new) {
      if (auto member = members_.map.lookup(index)) found->second = *member;
    }
    return found->second ? &*found->second : nullptr;
  }
  // The listener with this index, if it is still that of the image's VIP.
  const sluice_listener* listener_of(const sluice_flow_image& image) {
    const auto [found, is_new] = listeners_by_index_.try_emplace(image.listener_index);
    if (is_new) found->second = look_up_listener(image);
    return found->second ? &*found->second : nullptr;
  }
  // Any node finds the member of such a connection without being told.
  bool finds_member_anywhere(const sluice_flow_image& image,
                             const sluice_listener* listener) const {
    if (!(image.flags & SLUICE_IMAGE_DIRECT) || !listener) return false;
    const auto pool = pools_.map.lookup(listener->pool);
    return pool && *pool && (*pool)->persistence_seconds == 0 &&
           ((*pool)->algorithm == SLUICE_SOURCE_IP || (*pool)->algorithm == SLUICE_SOURCE_IP_PORT);
  }

  // Gives an image of another node the indices here; false if it doesn't know both ids.
  bool set_indices(sluice_flow_image& image) {
    if (set_known_indices(image)) return true;
    const auto now = std::chrono::steady_clock::now();
    if (was_read_ && now - read_ < between_reads) return false;
    read_indices();
    was_read_ = true;
    read_ = now;
    return set_known_indices(image);
  }
  // Has the indices read again for the next unknown id.
  void are_outdated() { was_read_ = false; }

 private:
  std::optional<sluice_listener> look_up_listener(const sluice_flow_image& image) const {
    const auto protocol = image.protocol == SLUICE_FLOW_UDP    ? IPPROTO_UDP
                          : image.protocol == SLUICE_FLOW_SCTP ? IPPROTO_SCTP
                                                               : IPPROTO_TCP;
    const auto judged = [&](auto found) -> std::optional<sluice_listener> {
      if (!found || !*found || (*found)->index != image.listener_index) return std::nullopt;
      return *found;
    };
    const auto with_port = [&](std::uint16_t port) {
      if (image.family == 4) {
        return judged(
            listeners4_.map.lookup({image.vip.ipv4, htons(port), static_cast<__u8>(protocol), 0}));
      }
      return judged(
          listeners6_.map.lookup({image.vip, htons(port), static_cast<__u8>(protocol), {}}));
    };
    const auto port = ntohs(image.vip_port);
    if (auto found = with_port(port)) return found;
    const auto ranges =
        ranges_.map.lookup({image.vip, image.family, static_cast<__u8>(protocol), {}});
    const auto first = ranges && *ranges ? range_with(**ranges, port) : std::nullopt;
    return first ? with_port(*first) : std::nullopt;
  }
  bool set_known_indices(sluice_flow_image& image) const {
    const auto listener = listener_indices_.find(bytes_of(image.listener_id));
    const auto member = member_indices_.find(bytes_of(image.member_id));
    if (listener == listener_indices_.end() || member == member_indices_.end()) return false;
    image.listener_index = listener->second;
    image.member_index = member->second;
    return true;
  }
  void read_indices() {
    listener_indices_.clear();
    member_indices_.clear();
    const auto add = [&](const auto& entries) {
      if (!entries) return;
      for (const auto& [key, listener] : *entries)
        listener_indices_.emplace(bytes_of(listener.id), listener.index);
    };
    add(listeners4_.map.entries());
    add(listeners6_.map.entries());
    const auto members = members_.map.entries();
    if (!members) return;
    for (const auto& [index, member] : *members) {
      if (bytes_of(member.id) != IdBytes{}) member_indices_.emplace(bytes_of(member.id), index);
    }
  }

  OwnMap<kernel::Map<sluice_listener4_key, sluice_listener>> listeners4_;
  OwnMap<kernel::Map<sluice_listener6_key, sluice_listener>> listeners6_;
  OwnMap<kernel::Map<sluice_ranges_key, sluice_ranges>> ranges_;
  OwnMap<kernel::ArrayMap<sluice_member>> members_;
  OwnMap<kernel::ArrayMap<sluice_pool>> pools_;
  std::map<std::uint32_t, std::optional<sluice_listener>> listeners_by_index_;
  std::map<std::uint32_t, std::optional<sluice_member>> members_by_index_;
  std::map<IdBytes, std::uint32_t> listener_indices_, member_indices_;
  bool was_read_ = false;
  std::chrono::steady_clock::time_point read_{};
};

template <typename Record>
sluice_flow_image image_of(const ListenerBanks& banks, const Record& record) {
  sluice_flow_image image{};
  std::memcpy(&image.client, &record.client, sizeof record.client);
  std::memcpy(&image.vip, &record.vip, sizeof record.vip);
  std::memcpy(&image.source, &record.snat, sizeof record.snat);
  std::memcpy(&image.member, &record.member, sizeof record.member);
  const auto& head = record.head;
  image.client_port = head.client_port;
  image.vip_port = head.vip_port;
  image.source_port = head.snat_port;
  image.member_port = head.member_port;
  image.listener_index = banks.listener_of_flow(head.state);
  image.member_index = SLUICE_STATE_GET(head.state, MEMBER);
  image.family = head.family;
  image.protocol = SLUICE_STATE_GET(head.state, PROTOCOL);
  image.phase = phase_of(head.state);
  // In IPv6 the bit may also say that the source is a SNAT address (maps/flow.h).
  const bool sees_client = std::memcmp(&record.snat, &record.client, sizeof record.snat) == 0;
  if (head.state & SLUICE_FLOW_KEEPS_CLIENT && sees_client)
    image.flags |= SLUICE_IMAGE_KEEPS_CLIENT;
  if (head.event == SLUICE_RECORD_REFRESHED) {
    image.client_idle = static_cast<std::uint16_t>(
        std::min<std::uint32_t>(head.handshake_microseconds, UINT16_MAX));
    image.member_idle = image.client_idle;
  }
  return image;
}

std::optional<sluice_flow_image> image_of(const ListenerBanks& banks, const void* data,
                                          std::size_t size) {
  sluice_record head;
  if (size < sizeof head) return std::nullopt;
  std::memcpy(&head, data, sizeof head);
  if (head.family == 4 && size >= sizeof(sluice_record4)) {
    sluice_record4 record;
    std::memcpy(&record, data, sizeof record);
    return image_of(banks, record);
  }
  if (head.family == 6 && size >= sizeof(sluice_record6)) {
    sluice_record6 record;
    std::memcpy(&record, data, sizeof record);
    return image_of(banks, record);
  }
  return std::nullopt;
}

std::optional<FlowEvent> event_of(std::uint8_t event) {
  switch (event) {
    case SLUICE_RECORD_BEGINS:
    case SLUICE_RECORD_RESUMES:
      return FlowEvent::begins;
    case SLUICE_RECORD_ENDS:
      return FlowEvent::ends;
    case SLUICE_RECORD_REFRESHED:
      return FlowEvent::refreshed;
    default:
      return std::nullopt;  // of a later version
  }
}

bool lives(std::uint8_t phase) {
  const auto state = state_of(phase);
  return sluice_flow_is_confirmed(state) && !sluice_flow_is_closed(state);
}

bool is_unknown(const sluice_flow_image& image) {
  return image.result == SLUICE_PUT_NO_LISTENER || image.result == SLUICE_PUT_NO_MEMBER;
}

class ReplicasOverMaps : public Replicas {
 public:
  ReplicasOverMaps(const kernel::Program& program, ListenerBanks banks)
      : objects_(program),
        banks_(std::move(banks)),
        replicas_(duplicate(program.replicas_fd())),
        walk_(duplicate(program.walk_fd())),
        changes_(duplicate(program.map_fd("flow_changes"))),
        losses_(program, "flow_change_losses"),
        fleet_(program, "fleet") {}

  Result<void> open() {
    ring_.reset(ring_buffer__new(changes_.get(), keep_change, this, nullptr));
    if (!ring_) return kernel::fail_bpf(errno, "open ring buffer flow_changes");
    return {};
  }

  Result<void> tell_changes(bool on) override { return fleet_.map.put(SLUICE_FLEET_TELLS, on); }

  Result<bool> tells() override {
    const auto told = fleet_.map.lookup(SLUICE_FLEET_TELLS);
    if (!told) return tl::unexpected(told.error());
    return told->value_or(0) != 0;
  }

  Result<std::vector<FlowChange>> take(std::size_t limit) override {
    objects_.forget();
    limit_ = limit;
    std::vector<FlowChange> taken;
    taken_ = &taken;
    const int error = limit == 0 ? 0 : ring_buffer__consume(ring_.get());
    taken_ = nullptr;
    if (error < 0 && error != -ENOBUFS) return kernel::fail_bpf(error, "read ring flow_changes");
    return taken;
  }

  Result<std::uint64_t> lost() override {
    const auto lost = losses_.map.per_cpu(0);
    if (!lost) return tl::unexpected(lost.error());
    return std::accumulate(lost->begin(), lost->end(), std::uint64_t{0});
  }

  Result<void> put(std::span<sluice_flow_image> images) override {
    std::vector<sluice_flow_image*> all;
    for (auto& image : images) all.push_back(&image);
    if (auto done = run(all, SLUICE_REPLICAS_PUT); !done) return done;
    if (!indices_are_outdated_) return {};
    // An index has gone to another object since it was read.
    objects_.are_outdated();
    std::erase_if(all, [](const auto* image) { return !is_unknown(*image); });
    return run(all, SLUICE_REPLICAS_PUT);
  }

  Result<void> end(std::span<const sluice_flow_image> images) override {
    std::vector<sluice_flow_image> copies(images.begin(), images.end());
    std::vector<sluice_flow_image*> all;
    for (auto& image : copies) all.push_back(&image);
    return run(all, SLUICE_REPLICAS_END);
  }

  Result<void> walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) override;

  Result<void> grace(std::chrono::milliseconds time) override {
    if (time.count() <= 0) return fleet_.map.put(SLUICE_FLEET_GRACE_UNTIL, 0);
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    const auto until =
        std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec) + time;
    return fleet_.map.put(SLUICE_FLEET_GRACE_UNTIL,
                          static_cast<std::uint64_t>(std::chrono::nanoseconds(until).count()));
  }

 private:
  static int keep_change(void* self, void* data, std::size_t size) {
    return static_cast<ReplicasOverMaps*>(self)->keep_change(data, size);
  }
  // Negative: enough. libbpf has then taken this one, too.
  int keep_change(const void* data, std::size_t size) {
    sluice_record head;
    auto image = image_of(banks_, data, size);
    if (!image) return 0;
    std::memcpy(&head, data, sizeof head);
    const auto event = event_of(head.event);
    if (event && complete(*image)) taken_->push_back({*event, *image});
    return taken_->size() >= limit_ ? -ENOBUFS : 0;
  }
  // Adds what the maps say; false: nobody need be told.
  bool complete(sluice_flow_image& image) {
    const auto* member = objects_.member_at(image.member_index);
    if (!member) return false;
    image.member_id = member->id;
    if (member->flags & (SLUICE_MEMBER_DSR | SLUICE_MEMBER_IPIP)) {
      image.flags |= SLUICE_IMAGE_DIRECT;
      image.member = image.vip;
      image.member_port = image.vip_port;
    }
    const auto* listener = objects_.listener_of(image);
    if (listener) image.listener_id = listener->id;
    // Nobody else would know a connection whose listener is gone.
    return listener && !objects_.finds_member_anywhere(image, listener);
  }

  Result<void> run(std::span<sluice_flow_image* const> images, sluice_replicas_request request);
  Result<void> run_batch(std::span<sluice_flow_image*> images, std::uint32_t family,
                         sluice_replicas_request request);

  Objects objects_;
  ListenerBanks banks_;
  UniqueFd replicas_, walk_, changes_;
  OwnMap<kernel::CounterMap<std::uint64_t>> losses_;
  OwnMap<kernel::ArrayMap<std::uint64_t>> fleet_;
  Ring ring_;
  std::unique_ptr<sluice_flow_batch> batch_ = std::make_unique<sluice_flow_batch>();
  std::unique_ptr<sluice_flow_batch> walked_ = std::make_unique<sluice_flow_batch>();
  bool indices_are_outdated_ = false;  // found by the last run
  std::vector<FlowChange>* taken_ = nullptr;
  std::size_t limit_ = 0;
};

// Runs the program once more as long as something else keeps the tables busy.
Result<void> run_when_free(const std::function<Result<void>()>& run,
                           const sluice_flow_batch& batch) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    if (auto ran = run(); !ran) return ran;
    if (batch.status != SLUICE_BATCH_BUSY) return {};
    if (std::chrono::steady_clock::now() > until) {
      return fail(ErrorKind::conflict, "the flow tables are being changed",
                  "try again in a few seconds");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Result<void> ReplicasOverMaps::run_batch(std::span<sluice_flow_image*> images, std::uint32_t family,
                                         sluice_replicas_request request) {
  batch_->version = SLUICE_FLOW_IMAGE_VERSION;
  batch_->family = family;
  batch_->count = static_cast<std::uint32_t>(images.size());
  batch_->own = 0;
  batch_->request = request;
  for (std::size_t i = 0; i < images.size(); ++i) {
    batch_->images[i] = *images[i];
    if (request == SLUICE_REPLICAS_PUT && lives(images[i]->phase))
      batch_->images[i].phase = phase_of(SLUICE_PHASE_REPLICA);
  }
  const auto once = [&] { return kernel::run_replicas(replicas_.get(), *batch_); };
  if (auto ran = run_when_free(once, *batch_); !ran) return ran;
  if (batch_->status == SLUICE_BATCH_VERSION) {
    return fail(ErrorKind::conflict, "the pinned program has another version of flow images",
                "run sluice-loader upgrade");
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    images[i]->result = batch_->images[i].result;
    indices_are_outdated_ = indices_are_outdated_ || is_unknown(*images[i]);
  }
  return {};
}

Result<void> ReplicasOverMaps::run(std::span<sluice_flow_image* const> images,
                                   sluice_replicas_request request) {
  indices_are_outdated_ = false;
  for (auto* image : images) image->result = SLUICE_PUT_UNFIT;
  for (const std::uint32_t family : {4U, 6U}) {
    std::vector<sluice_flow_image*> ready;
    for (auto* image : images) {
      if (image->family != family) continue;
      image->result = SLUICE_PUT_NO_MEMBER;
      if (request == SLUICE_REPLICAS_END || objects_.set_indices(*image)) ready.push_back(image);
    }
    for (auto* image : ready) image->result = SLUICE_PUT_NOT_TRIED;
    for (std::span<sluice_flow_image*> left = ready; !left.empty();) {
      const auto part = left.first(std::min<std::size_t>(left.size(), SLUICE_BATCH_IMAGES));
      if (auto ran = run_batch(part, family, request); !ran) return ran;
      left = left.subspan(part.size());
    }
  }
  return {};
}

// The cursor: IPv6 in the lowest bit, whether a walk has begun in the next one; the batch itself
// keeps the place.
Result<void> ReplicasOverMaps::walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) {
  images.clear();
  objects_.forget();
  if (cursor == 0) *walked_ = {};
  const bool is_ipv6 = cursor & 1;
  walked_->family = is_ipv6 ? 6 : 4;
  const auto once = [&] { return kernel::walk_flows(walk_.get(), *walked_); };
  if (auto ran = run_when_free(once, *walked_); !ran) return ran;
  if (walked_->version != SLUICE_FLOW_IMAGE_VERSION) {
    return fail(ErrorKind::conflict, "the pinned program has another version of flow images",
                "run sluice-loader upgrade");
  }
  if (walked_->status == SLUICE_BATCH_BEGIN_ANEW) {
    walked_->next = 0;
    cursor = 2 | (is_ipv6 ? 1 : 0);
    return {};
  }
  for (const auto& image : std::span(walked_->images, walked_->count)) {
    if (!lives(image.phase)) continue;
    const auto* listener = objects_.listener_of(image);
    if (listener && !objects_.finds_member_anywhere(image, listener)) images.push_back(image);
  }
  if (walked_->next != 0) {
    cursor = 2 | (is_ipv6 ? 1 : 0);
  } else {
    cursor = is_ipv6 ? 0 : 3;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Replicas>> open_replicas(const kernel::Program& program) {
  if (program.replicas_fd() < 0 || program.walk_fd() < 0 || program.map_fd("flow_changes") < 0 ||
      program.map_fd("fleet") < 0 || program.map_fd("flow_change_losses") < 0) {
    return fail(ErrorKind::unsupported, "the data plane's program is older than replicas",
                "run: sluice-loader upgrade");
  }
  auto banks = ListenerBanks::open(program);
  if (!banks) return tl::unexpected(std::move(banks.error()));
  auto replicas = std::make_unique<ReplicasOverMaps>(program, std::move(*banks));
  if (auto opened = replicas->open(); !opened) return tl::unexpected(std::move(opened.error()));
  return replicas;
}

}  // namespace sluice::dataplane
