#include "attachment/carrier.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "attachment/swap.hpp"
#include "kernel/program.hpp"
#include "maps/flow_image.h"

namespace sluice::attachment {
namespace {

using Image = sluice_flow_image;
using Images = std::vector<Image>;

// So many connections are put before they are read once more: 8 MiB.
constexpr std::size_t chunk_size = 1U << 16;
// After so many walks the connections that found no place stay where they are.
constexpr int most_walks = 5;
// Longer than any other use of the tables.
constexpr auto patience = std::chrono::seconds(10);

// What tells one connection from all others.
struct Key {
  std::array<std::byte, 38> bytes{};
  explicit Key(const Image& image) {
    auto* at = bytes.data();
    const auto add = [&](const auto& field) {
      std::memcpy(at, &field, sizeof field);
      at += sizeof field;
    };
    add(image.client), add(image.vip), add(image.client_port), add(image.vip_port);
    add(image.family), add(image.protocol);
  }
  bool operator==(const Key&) const = default;
};
struct HashOfKey {
  std::size_t operator()(const Key& key) const {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()});
  }
};
using Keys = std::unordered_set<Key, HashOfKey>;

using Run = Result<void> (*)(int, sluice_flow_batch&);

// Runs the program, and once more as long as something else is at the tables.
Result<void> run_when_free(Run run, int program, sluice_flow_batch& batch) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    if (auto ran = run(program, batch); !ran) return ran;
    if (batch.status == SLUICE_BATCH_DONE) return {};
    if (batch.status == SLUICE_BATCH_VERSION)
      return fail(ErrorKind::internal, "flow_put doesn't know this build's images");
    if (std::chrono::steady_clock::now() > until)
      return fail(ErrorKind::conflict, "connections are moved within the flow tables",
                  "try again in a few seconds");
    if (batch.status == SLUICE_BATCH_BEGIN_ANEW) batch.next = 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

class Carrier {
 public:
  Carrier(int walk_program, int put_program) : walk_(walk_program), put_(put_program) {}

  // Puts all connections of this IP version, or only those in `wanted`. Returns those that could
  // not be put.
  Result<Keys> walk(std::uint32_t family, const Keys* wanted);
  std::uint64_t carried() const { return carried_; }

 private:
  struct Chunk {
    Images images;
    std::uint32_t first = 0, end = 0;  // buckets; 0: the walk is over
    bool anywhere = false;  // connections were moved meanwhile: its own may be in any bucket
  };
  Result<Images> read_more(std::uint32_t family, Chunk& chunk);
  Result<Images> read_again(std::uint32_t family, const Chunk& chunk);
  Result<void> put(Images& images, Keys& left);
  Result<void> run(Images& images, sluice_put_request request);
  Result<void> follow(Chunk& chunk);

  int walk_, put_;
  std::optional<std::uint32_t> change_;  // of the tables' area, see flow_walk; none: a walk begins
  std::uint64_t carried_ = 0;
  std::unique_ptr<sluice_flow_batch> batch_ = std::make_unique<sluice_flow_batch>();
};

// Reads on: a batch.
Result<Images> Carrier::read_more(std::uint32_t family, Chunk& chunk) {
  batch_->family = family;
  batch_->next = chunk.end;
  batch_->change = change_.value_or(0);
  if (auto ran = run_when_free(kernel::walk_flows, walk_, *batch_); !ran)
    return tl::unexpected(std::move(ran.error()));
  if (std::exchange(change_, batch_->change).value_or(batch_->change) != batch_->change)
    chunk.anywhere = true;
  chunk.end = batch_->next;
  return Images(batch_->images, batch_->images + batch_->count);
}

Result<Images> Carrier::read_again(std::uint32_t family, const Chunk& chunk) {
  Images images;
  Chunk again = chunk.anywhere ? Chunk{{}, 0, 0, true} : Chunk{{}, chunk.first, chunk.first};
  do {
    const auto more = read_more(family, again);
    if (!more) return more;
    images.insert(images.end(), more->begin(), more->end());
  } while (again.end != 0 && (again.anywhere || chunk.end == 0 || again.end < chunk.end));
  return images;
}

Result<void> Carrier::run(Images& images, sluice_put_request request) {
  for (std::size_t done = 0; done < images.size();) {
    const auto part = std::span(images).subspan(done).first(
        std::min<std::size_t>(images.size() - done, SLUICE_BATCH_IMAGES));
    batch_->version = SLUICE_FLOW_IMAGE_VERSION;
    batch_->family = part.front().family;
    batch_->count = static_cast<std::uint32_t>(part.size());
    batch_->own = 1;
    batch_->request = request;
    std::copy(part.begin(), part.end(), batch_->images);
    if (auto ran = run_when_free(kernel::put_flows, put_, *batch_); !ran) return ran;
    std::copy_n(batch_->images, part.size(), part.begin());
    done += part.size();
  }
  return {};
}

// Brings over what packets have made of the connections between reading and putting. Once packets
// that looked before that are through, no packet meets them where they were read.
Result<void> Carrier::follow(Chunk& chunk) {
  await_packets_under_way();
  const auto family = chunk.images.front().family;
  const auto again = read_again(family, chunk);
  if (!again) return tl::unexpected(again.error());
  std::unordered_map<Key, const Image*, HashOfKey> now;
  for (const auto& image : *again) now.insert_or_assign(Key(image), &image);
  Images gone, changed;
  for (const auto& put : chunk.images) {
    const auto found = now.find(Key(put));
    if (found == now.end()) {
      gone.push_back(put);
    } else if (found->second->phase != put.phase) {
      changed.push_back(*found->second);
      changed.back().result = put.phase;
    }
  }
  if (auto ran = run(changed, SLUICE_PUT_AMEND); !ran) return ran;
  return run(gone, SLUICE_PUT_TAKE_BACK);
}

// Keeps those that were put, and notes those that found no place.
Result<void> Carrier::put(Images& images, Keys& left) {
  if (auto ran = run(images, SLUICE_PUT_INSERT); !ran) return ran;
  for (const auto& image : images) {
    if (image.result != SLUICE_PUT_DONE && image.result != SLUICE_PUT_EXISTS) left.emplace(image);
  }
  std::erase_if(images, [](const Image& image) { return image.result != SLUICE_PUT_DONE; });
  carried_ += images.size();
  return {};
}

// Each batch is put as soon as it is read, because what packets note in between has to be brought
// over afterwards.
Result<Keys> Carrier::walk(std::uint32_t family, const Keys* wanted) {
  Keys left;
  Chunk chunk;
  change_.reset();
  do {
    chunk = {{}, chunk.end, chunk.end};
    do {
      auto images = read_more(family, chunk);
      if (!images) return tl::unexpected(std::move(images.error()));
      if (wanted)
        std::erase_if(*images, [&](const Image& one) { return !wanted->contains(Key(one)); });
      if (auto done = put(*images, left); !done) return tl::unexpected(std::move(done.error()));
      chunk.images.insert(chunk.images.end(), images->begin(), images->end());
    } while (chunk.end != 0 && chunk.images.size() < chunk_size);
    if (chunk.images.empty()) continue;
    if (auto done = follow(chunk); !done) return tl::unexpected(std::move(done.error()));
  } while (chunk.end != 0);
  return left;
}

}  // namespace

// What is put once is never put again: it may have ended since, and be still where it was read.
Result<Carried> carry_connections(int walk_program, int put_program) {
  Carrier carrier(walk_program, put_program);
  Carried all;
  for (const std::uint32_t family : {4U, 6U}) {
    auto left = carrier.walk(family, nullptr);
    for (int walks = 1; left && !left->empty() && walks < most_walks; ++walks)
      left = carrier.walk(family, &*left);
    if (!left) return tl::unexpected(std::move(left.error()));
    all.left += left->size();
  }
  all.connections = carrier.carried();
  return all;
}

Result<void> require_carriable(int walk_program) {
  const auto batch = std::make_unique<sluice_flow_batch>();
  batch->family = 4;
  if (auto ran = kernel::walk_flows(walk_program, *batch); !ran) return ran;
  if (batch->version == SLUICE_FLOW_IMAGE_VERSION) return {};
  return fail(ErrorKind::conflict,
              fmt::format("the pinned data plane tells of its connections in version {}, this "
                          "build reads {}",
                          batch->version, SLUICE_FLOW_IMAGE_VERSION),
              "upgrade by way of a build that reads both, or start afresh with: sluice-loader "
              "detach --all");
}

}  // namespace sluice::attachment
