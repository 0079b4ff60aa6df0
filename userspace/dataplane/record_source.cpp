#include "dataplane/record_source.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/fd.hpp"
#include "dataplane/codec.hpp"
#include "dataplane/listener_banks.hpp"
#include "dataplane/listener_ranges.hpp"
#include "dataplane/own_map.hpp"
#include "kernel/libbpf_log.hpp"
#include "kernel/map.hpp"
#include "kernel/object.hpp"
#include "kernel/program.hpp"
#include "maps/listener.h"
#include "maps/member.h"

namespace sluice::dataplane {
namespace {

constexpr const char* older = "the data plane's program is older than records";
constexpr const char* upgrade = "run: sluice-loader upgrade";

class SourceOverMaps : public records::Source {
 public:
  SourceOverMaps(const kernel::Program& program, ListenerBanks banks)
      : banks_(std::move(banks)),
        records_(duplicate(program.map_fd("records"))),
        losses_(program, "record_losses"),
        listeners4_(program, "listeners4"),
        listeners6_(program, "listeners6"),
        ranges_(program, "listener_ranges"),
        members_(program, "members") {}

  Result<void> open() {
    ring_.reset(ring_buffer__new(records_.get(), hand_over, this, nullptr));
    if (!ring_) return kernel::fail_bpf(errno, "open ring buffer records");
    return {};
  }

  Result<void> consume(const Take& take) override {
    take_ = &take;
    const int error = ring_buffer__consume(ring_.get());
    take_ = nullptr;
    if (error < 0) return kernel::fail_bpf(error, "read ring buffer records");
    return {};
  }

  // The listener of that address now. If it is another one than then, its index differs.
  Uuid listener_id(const records::Connection& c) override {
    const auto listener = c.is_ipv6 ? listener6(c) : listener4(c);
    const auto index = banks_.listener_of(c.listener_in_bank, c.member_index);
    if (!listener || !*listener || (*listener)->index != index) return {};
    return from_map((*listener)->id);
  }
  Uuid member_id(const records::Connection& c) override {
    const auto member = members_.map.lookup(c.member_index);
    return member && *member ? from_map((*member)->id) : Uuid{};
  }
  Result<std::uint64_t> losses() override {
    const auto lost = losses_.map.per_cpu(0);
    if (!lost) return tl::unexpected(lost.error());
    return std::accumulate(lost->begin(), lost->end(), std::uint64_t{0});
  }

 private:
  using Listener = Result<std::optional<sluice_listener>>;

  static int hand_over(void* self, void* data, std::size_t size) {
    (*static_cast<SourceOverMaps*>(self)->take_)({static_cast<const std::byte*>(data), size});
    return 0;
  }
  // Calls `look` with the connection's port, and if that has no entry with the first port of the
  // range that has it.
  template <typename Look>
  Listener by_port(const records::Connection& c, Look look) const {
    if (auto found = look(c.vip.port); !found || *found) return found;
    const auto ranges =
        ranges_.map.lookup({c.vip.address, static_cast<__u8>(c.is_ipv6 ? 6 : 4), c.protocol, {}});
    if (!ranges) return tl::unexpected(ranges.error());
    if (!*ranges) return std::optional<sluice_listener>();
    const auto first = range_with(**ranges, c.vip.port);
    return first ? look(*first) : std::optional<sluice_listener>();
  }
  Listener listener4(const records::Connection& c) const {
    return by_port(c, [&](std::uint16_t port) {
      return listeners4_.map.lookup({c.vip.address.ipv4, htons(port), c.protocol, 0});
    });
  }
  Listener listener6(const records::Connection& c) const {
    return by_port(c, [&](std::uint16_t port) {
      return listeners6_.map.lookup({c.vip.address, htons(port), c.protocol, {}});
    });
  }

  ListenerBanks banks_;
  UniqueFd records_;
  OwnMap<kernel::CounterMap<std::uint64_t>> losses_;
  OwnMap<kernel::Map<sluice_listener4_key, sluice_listener>> listeners4_;
  OwnMap<kernel::Map<sluice_listener6_key, sluice_listener>> listeners6_;
  OwnMap<kernel::Map<sluice_ranges_key, sluice_ranges>> ranges_;
  OwnMap<kernel::Map<std::uint32_t, sluice_member>> members_;
  Ring ring_;
  const Take* take_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<records::Source>> open_records(const kernel::Program& program) {
  if (program.map_fd("records") < 0) return fail(ErrorKind::unsupported, older, upgrade);
  auto banks = ListenerBanks::open(program);
  if (!banks) return tl::unexpected(std::move(banks.error()));
  auto source = std::make_unique<SourceOverMaps>(program, std::move(*banks));
  if (auto opened = source->open(); !opened) return tl::unexpected(std::move(opened.error()));
  return source;
}

Result<void> write_one_of(const kernel::Program& program,
                          const std::vector<std::uint32_t>& one_of) {
  const int map = program.map_fd("listener_records");
  if (map < 0) {
    if (std::ranges::all_of(one_of, [](auto connections) { return connections == 0; })) return {};
    return fail(ErrorKind::unsupported, older, upgrade);
  }
  std::vector<std::uint32_t> indices(one_of.size());
  std::iota(indices.begin(), indices.end(), 0U);
  auto count = static_cast<std::uint32_t>(one_of.size());
  if (bpf_map_update_batch(map, indices.data(), one_of.data(), &count, nullptr) != 0)
    return kernel::fail_bpf(errno, "write map listener_records");
  return {};
}

}  // namespace sluice::dataplane
