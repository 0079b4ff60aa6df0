// FakeReplicas: a data plane whose tables are maps.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/replicas.hpp"

namespace sluice::peers {

struct FakeReplicas final : dataplane::Replicas {
  using Name = std::string;

  static Name name(const sluice_flow_image& image) {
    return std::string(reinterpret_cast<const char*>(&image.client), 16) +
           std::to_string(image.client_port) + "/" + std::to_string(image.family);
  }
  static Name port(const sluice_flow_image& image) {
    return std::to_string(image.source_port) + "/" + std::to_string(image.family);
  }

  // What packets would do.
  void begin(const sluice_flow_image& image) {
    own[name(image)] = image;
    own_ports.insert(port(image));
    note(dataplane::FlowEvent::begins, image);
  }
  void finish(const sluice_flow_image& image) {
    own.erase(name(image));
    own_ports.erase(port(image));
    note(dataplane::FlowEvent::ends, image);
  }
  void note(dataplane::FlowEvent event, const sluice_flow_image& image) {
    if (ring.size() < room) {
      ring.push_back({event, image});
    } else {
      ++losses;
    }
  }

  Result<void> tell_changes(bool on) override {
    telling = on;
    return {};
  }
  Result<bool> tells() override { return telling; }
  Result<std::vector<dataplane::FlowChange>> take(std::size_t limit) override {
    std::vector<dataplane::FlowChange> taken;
    while (!ring.empty() && taken.size() < limit) {
      taken.push_back(ring.front());
      ring.pop_front();
    }
    return taken;
  }
  Result<std::uint64_t> lost() override { return losses; }
  Result<void> put(std::span<sluice_flow_image> images) override {
    ++puts;
    for (auto& image : images) image.result = put(image);
    return {};
  }
  sluice_flow_put_result put(const sluice_flow_image& image) {
    if (unknown.contains(image.listener_id.bytes[15])) return SLUICE_PUT_NO_LISTENER;
    if (own.contains(name(image))) return SLUICE_PUT_EXISTS;
    if (own_ports.contains(port(image))) return SLUICE_PUT_PORT_TAKEN;
    auto& holder = ports[port(image)];
    if (holder != name(image)) replicas.erase(holder);  // it is stale
    holder = name(image);
    const bool is_new = replicas.insert_or_assign(name(image), image).second;
    return is_new ? SLUICE_PUT_DONE : SLUICE_PUT_REFRESHED;
  }
  Result<void> end(std::span<const sluice_flow_image> images) override {
    ++ends;
    for (const auto& image : images) {
      const auto found = replicas.find(name(image));
      if (found == replicas.end()) continue;
      ports.erase(port(found->second));
      replicas.erase(found);
    }
    return {};
  }
  // The cursor: 1 among its own, 2 before the replicas, 3 among them.
  Result<void> walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) override {
    images.clear();
    const bool are_replicas = cursor >= 2;
    const auto& table = are_replicas ? replicas : own;
    auto at = cursor % 2 == 0 ? table.begin() : table.upper_bound(walked_to);
    for (int i = 0; i < 50 && at != table.end(); ++i, ++at) {
      images.push_back(at->second);
      if (are_replicas) images.back().phase = SLUICE_IMAGE_REPLICA;
      walked_to = at->first;
    }
    const bool is_through = at == table.end();
    cursor = are_replicas ? (is_through ? 0 : 3) : (is_through ? 2 : 1);
    return {};
  }
  Result<void> grace(std::chrono::milliseconds) override {
    ++graces;
    return {};
  }

  std::map<Name, sluice_flow_image> own, replicas;
  std::set<Name> own_ports;
  std::map<Name, Name> ports;  // of replicas
  std::deque<dataplane::FlowChange> ring;
  std::size_t room = 1U << 20U;
  std::uint64_t losses = 0;
  std::set<std::uint8_t> unknown;  // listeners, by the last byte of their id
  Name walked_to;
  bool telling = false;
  int graces = 0, puts = 0, ends = 0;
};

}  // namespace sluice::peers
