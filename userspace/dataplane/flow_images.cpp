#include "dataplane/flow_images.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "dataplane/codec.hpp"
#include "kernel/map.hpp"
#include "maps/listener.h"
#include "maps/member.h"

namespace sluice::dataplane {
namespace {

// Longer than any change of an area, and than most resizes.
constexpr auto patience = std::chrono::seconds(10);

using Run = Result<void> (*)(int, sluice_flow_batch&);

// Runs the program, and once more as long as something else keeps the tables busy.
Result<void> run_when_free(Run run, int program_fd, sluice_flow_batch& batch) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    if (auto ran = run(program_fd, batch); !ran) return ran;
    if (batch.status != SLUICE_BATCH_BUSY) return {};
    if (std::chrono::steady_clock::now() > until) {
      return fail(ErrorKind::conflict, "the flow tables are being changed",
                  "try again in a few seconds");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

tl::unexpected<Error> another_version(std::uint32_t version) {
  return fail(ErrorKind::conflict,
              "the pinned program and this build have other flow images: version " +
                  std::to_string(version) + " and " + std::to_string(SLUICE_FLOW_IMAGE_VERSION),
              "run sluice-loader upgrade");
}

// The number of images at the beginning that one batch takes.
std::size_t batch_of(std::span<const sluice_flow_image> images) {
  const auto most = std::min<std::size_t>(images.size(), SLUICE_BATCH_IMAGES);
  const auto end =
      std::find_if(images.begin(), images.begin() + static_cast<std::ptrdiff_t>(most),
                   [&](const auto& image) { return image.family != images.front().family; });
  return static_cast<std::size_t>(end - images.begin());
}

}  // namespace

Result<void> walk_images(int walk_fd, std::uint32_t family,
                         const std::function<bool(std::span<const sluice_flow_image>)>& visit) {
  const auto batch = std::make_unique<sluice_flow_batch>();
  batch->family = family;
  const auto until = std::chrono::steady_clock::now() + patience;
  do {
    if (auto ran = run_when_free(kernel::walk_flows, walk_fd, *batch); !ran) return ran;
    if (batch->version != SLUICE_FLOW_IMAGE_VERSION) return another_version(batch->version);
    if (batch->status == SLUICE_BATCH_BEGIN_ANEW) {
      if (std::chrono::steady_clock::now() > until) {
        return fail(ErrorKind::conflict, "connections are moved within the flow tables",
                    "try again in a few seconds");
      }
      batch->next = 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (batch->count != 0 && !visit({batch->images, batch->count})) return {};
  } while (batch->next != 0 || batch->status == SLUICE_BATCH_BEGIN_ANEW);
  return {};
}

Result<void> put_images(int put_fd, std::span<sluice_flow_image> images, Counted counted,
                        sluice_put_request request) {
  if (request != SLUICE_PUT_AMEND)
    for (auto& image : images) image.result = SLUICE_PUT_NOT_TRIED;
  const auto batch = std::make_unique<sluice_flow_batch>();
  while (!images.empty()) {
    const auto part = images.first(batch_of(images));
    batch->version = SLUICE_FLOW_IMAGE_VERSION;
    batch->family = part.front().family;
    batch->count = static_cast<std::uint32_t>(part.size());
    batch->own = counted == Counted::already;
    batch->request = request;
    std::copy(part.begin(), part.end(), batch->images);
    if (auto ran = run_when_free(kernel::put_flows, put_fd, *batch); !ran) return ran;
    if (batch->status == SLUICE_BATCH_VERSION) return another_version(batch->version);
    std::copy_n(batch->images, part.size(), part.begin());
    images = images.subspan(part.size());
  }
  return {};
}

const char* to_string(sluice_flow_put_result result) {
  switch (result) {
    case SLUICE_PUT_DONE:
      return "put";
    case SLUICE_PUT_NOT_TRIED:
      return "not tried";
    case SLUICE_PUT_EXISTS:
      return "the connection is there already";
    case SLUICE_PUT_PORT_TAKEN:
      return "another connection has its source port toward the member";
    case SLUICE_PUT_NO_ROOM:
      return "the flow table has no room for it";
    case SLUICE_PUT_LOCKED:
      return "its place in the flow table was locked for too long";
    case SLUICE_PUT_NO_LISTENER:
      return "its listener is not known here";
    case SLUICE_PUT_NO_MEMBER:
      return "its member is not known here";
    case SLUICE_PUT_REFRESHED:
      return "the replica is there already";
    default:
      return "the flow table can't hold it";
  }
}

Result<ImageIndices> ImageIndices::read(const kernel::Program& program) {
  ImageIndices indices;
  const auto add_listeners = [&](const auto& entries) -> Result<void> {
    if (!entries) return tl::unexpected(entries.error());
    for (const auto& [key, listener] : *entries)
      indices.listeners_.emplace(from_map(listener.id), listener.index);
    return {};
  };
  using kernel::Map;
  if (auto done = add_listeners(
          Map<sluice_listener4_key, sluice_listener>(program, "listeners4").entries());
      !done)
    return tl::unexpected(std::move(done.error()));
  if (auto done = add_listeners(
          Map<sluice_listener6_key, sluice_listener>(program, "listeners6").entries());
      !done)
    return tl::unexpected(std::move(done.error()));
  const auto members = kernel::ArrayMap<sluice_member>(program, "members").entries();
  if (!members) return tl::unexpected(members.error());
  for (const auto& [index, member] : *members) {
    if (const auto id = from_map(member.id); id != Uuid{}) indices.members_.emplace(id, index);
  }
  return indices;
}

bool ImageIndices::set(sluice_flow_image& image) const {
  const auto listener = listeners_.find(from_map(image.listener_id));
  const auto member = members_.find(from_map(image.member_id));
  if (listener == listeners_.end() || member == members_.end()) return false;
  image.listener_index = listener->second;
  image.member_index = member->second;
  return true;
}

}  // namespace sluice::dataplane
