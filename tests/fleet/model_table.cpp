#include "tests/fleet/model_table.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "maps/flow.h"

namespace sluice::fleet::test {
namespace {

using dataplane::FlowEvent;

sluice_address ipv4(std::uint8_t network, std::uint8_t host) {
  sluice_address address{};
  address.ipv4 = htonl(10U << 24U | network << 8U | host);
  return address;
}

sluice_id id(std::uint8_t kind, std::uint8_t number) {
  sluice_id id{};
  id.bytes[0] = kind;
  id.bytes[15] = number;
  return id;
}

std::uint8_t last_byte(const sluice_address& address) {
  return static_cast<std::uint8_t>(ntohl(address.ipv4) & 0xffU);
}

Client client_of(const sluice_flow_image& image) {
  return ntohs(image.client_port);
}

Way way_of(const sluice_flow_image& image) {
  return {last_byte(image.member), last_byte(image.source), ntohs(image.source_port)};
}

Time idle_of(const sluice_flow_image& image) {
  return std::chrono::seconds(std::min(image.client_idle, image.member_idle));
}

}  // namespace

sluice_flow_image ModelTable::image_of(Client client, const Flow& flow) const {
  sluice_flow_image image{};
  image.family = 4;
  image.protocol = SLUICE_FLOW_TCP;
  image.client = ipv4(1, 1);
  image.client_port = htons(client);
  image.vip = ipv4(2, 1);
  image.vip_port = htons(80);
  image.source = ipv4(3, flow.way.source);
  image.source_port = htons(flow.way.source_port);
  image.member = ipv4(4, flow.way.member);
  image.member_port = htons(8080);
  image.listener_id = id(1, listener_of(client));
  image.member_id = id(2, flow.way.member);
  image.listener_index = image.member_index = SLUICE_NO_INDEX;
  const auto silence = std::chrono::floor<std::chrono::seconds>(scheduler_.now() - flow.seen);
  image.client_idle = image.member_idle = static_cast<std::uint16_t>(silence.count());
  image.phase = flow.is_replica ? SLUICE_IMAGE_REPLICA : 3;
  return image;
}

void ModelTable::note(FlowEvent event, Client client, Flow& flow) {
  flow.told = scheduler_.now();
  if (!is_telling_) return;
  if (ring_.size() < settings_.room) {
    ring_.push_back({event, image_of(client, flow)});
  } else {
    ++losses_;
  }
}

ModelTable::Flows::iterator ModelTable::forget(Flows::iterator flow) {
  ways_.erase(flow->second.way);
  return flows_.erase(flow);
}

// A tuple that is known belongs to a connection that its client has given up.
std::optional<Way> ModelTable::open(Client client, std::uint8_t member) {
  if (const auto old = flows_.find(client); old != flows_.end()) {
    if (old->second.is_confirmed && !old->second.is_replica)
      note(FlowEvent::ends, client, old->second);
    forget(old);
  }
  for (unsigned tries = 0; tries < settings_.source_ports; ++tries) {
    next_port_ = static_cast<std::uint16_t>((next_port_ + 1) % settings_.source_ports);
    const Way way{member, settings_.node, next_port_};
    if (!ways_.emplace(way, client).second) continue;
    flows_.emplace(client, Flow{.way = way, .seen = scheduler_.now()});
    return way;
  }
  return std::nullopt;
}

std::optional<Way> ModelTable::carry(Client client, bool ends) {
  const auto found = flows_.find(client);
  if (found == flows_.end()) return std::nullopt;
  const auto way = found->second.way;
  pass(found, true, ends);
  return way;
}

std::optional<Client> ModelTable::answer(const Way& way, bool ends) {
  const auto found = ways_.find(way);
  if (found == ways_.end()) return std::nullopt;
  const auto client = found->second;
  pass(flows_.find(client), false, ends);
  return client;
}

// A replica's first packet makes it this node's own. Data of its client refutes an end.
void ModelTable::pass(Flows::iterator at, bool from_client, bool ends) {
  auto& [client, flow] = *at;
  flow.seen = scheduler_.now();
  if (ends) {
    if (flow.is_confirmed) note(FlowEvent::ends, client, flow);
    forget(at);
    return;
  }
  if (!flow.is_confirmed && !from_client) return;
  const bool is_refuted = flow.is_ending && from_client;
  if (is_refuted) flow.is_ending = false;
  const bool is_news = !flow.is_confirmed || flow.is_replica || is_refuted;
  flow.is_confirmed = true;
  flow.is_replica = false;
  if (is_news) note(FlowEvent::begins, client, flow);
}

bool ModelTable::expire(const Flow& flow) const {
  const auto silence = scheduler_.now() - flow.seen;
  if (!flow.is_confirmed) return silence > half_open;
  if (flow.is_ending) return silence > closing;
  return silence > (flow.is_replica ? settings_.idle * 3 / 2 : settings_.idle);
}

void ModelTable::sweep() {
  const bool refreshes = settings_.fault != TableFault::tells_no_refresh;
  for (auto at = flows_.begin(); at != flows_.end();) {
    auto& [client, flow] = *at;
    const bool is_own = flow.is_confirmed && !flow.is_replica;
    if (expire(flow)) {
      if (is_own) note(FlowEvent::ends, client, flow);
      at = forget(at);
      continue;
    }
    if (is_own && refreshes && flow.seen > flow.told &&
        scheduler_.now() - flow.told >= settings_.idle / 2)
      note(FlowEvent::refreshed, client, flow);
    ++at;
  }
}

Result<void> ModelTable::tell_changes(bool on) {
  is_telling_ = on;
  return {};
}

Result<std::vector<dataplane::FlowChange>> ModelTable::take(std::size_t limit) {
  const auto count = std::min(limit, ring_.size());
  const auto end = ring_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<dataplane::FlowChange> taken(ring_.begin(), end);
  ring_.erase(ring_.begin(), end);
  return taken;
}

Result<std::uint64_t> ModelTable::lost() {
  return settings_.fault == TableFault::hides_losses ? 0 : losses_;
}

Result<void> ModelTable::put(std::span<sluice_flow_image> images) {
  for (auto& image : images) image.result = put(image);
  return {};
}

// What has had packets here lately is never touched; otherwise who has seen it later is right.
bool ModelTable::stays_own(const Flow& flow, Time idle) const {
  if (!flow.is_confirmed || flow.is_replica) return false;
  const auto silence = scheduler_.now() - flow.seen;
  return silence <= lately || silence <= idle;
}

sluice_flow_put_result ModelTable::put(const sluice_flow_image& image) {
  const auto client = client_of(image);
  const auto way = way_of(image);
  on_put(client, way);
  if (!listeners.contains(image.listener_id.bytes[15])) return SLUICE_PUT_NO_LISTENER;
  const auto seen = scheduler_.now() - idle_of(image);
  if (const auto found = flows_.find(client); found != flows_.end()) {
    auto& flow = found->second;
    if (stays_own(flow, idle_of(image))) return SLUICE_PUT_EXISTS;
    if (flow.way == way && flow.is_confirmed) {
      flow.is_replica = true;
      flow.is_ending = false;
      flow.seen = seen;
      return SLUICE_PUT_REFRESHED;
    }
    forget(found);
  }
  if (const auto holder = ways_.find(way); holder != ways_.end()) {
    const auto found = flows_.find(holder->second);
    if (found->second.is_confirmed && !found->second.is_replica) return SLUICE_PUT_PORT_TAKEN;
    forget(found);
  }
  ways_.emplace(way, client);
  flows_.emplace(client, Flow{.way = way, .is_confirmed = true, .is_replica = true, .seen = seen});
  return SLUICE_PUT_DONE;
}

Result<void> ModelTable::end(std::span<const sluice_flow_image> images) {
  for (const auto& image : images) end(image);
  return {};
}

// An image without a member names a replica by its client alone.
void ModelTable::end(const sluice_flow_image& image) {
  const auto found = flows_.find(client_of(image));
  if (found == flows_.end() || !found->second.is_confirmed) return;
  auto& flow = found->second;
  const bool is_named = image.member_port == 0 ? flow.is_replica : flow.way == way_of(image);
  if (!is_named) return;
  if (flow.is_replica || scheduler_.now() - flow.seen > lately) {
    if (!flow.is_replica) note(FlowEvent::ends, found->first, flow);
    forget(found);
  } else {
    flow.is_ending = true;
  }
}

Result<void> ModelTable::walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) {
  images.clear();
  auto at = cursor == 0 ? flows_.begin() : flows_.upper_bound(walked_to_);
  for (std::size_t i = 0; i < part_of_a_walk && at != flows_.end(); ++i, ++at) {
    walked_to_ = at->first;
    const auto& flow = at->second;
    if (flow.is_confirmed) images.push_back(image_of(at->first, flow));
  }
  cursor = at == flows_.end() ? 0 : 1;
  return {};
}

Result<void> ModelTable::grace(std::chrono::milliseconds time) {
  grace_until_ = scheduler_.now() + time;
  return {};
}

}  // namespace sluice::fleet::test
