#include "peers/namesakes.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "base/ip_address.hpp"
#include "maps/flow.h"

namespace sluice::peers {
namespace {

Uuid uuid_of(const sluice_id& id) {
  Uuid uuid;
  std::copy_n(id.bytes, sizeof id.bytes, uuid.begin());
  return uuid;
}

void set(sluice_id& id, const Uuid& uuid) {
  std::copy(uuid.begin(), uuid.end(), id.bytes);
}

IpAddress address_of(const sluice_flow_image& image, const sluice_address& address) {
  if (image.family == 4) return ipv4_from_be32(address.ipv4);
  boost::asio::ip::address_v6::bytes_type bytes;
  std::copy_n(address.ipv6, bytes.size(), bytes.begin());
  return boost::asio::ip::address_v6(bytes);
}

bool is_carried_by(model::Protocol protocol, std::uint8_t carrier) {
  switch (protocol) {
    case model::Protocol::udp:
      return carrier == SLUICE_FLOW_UDP;
    case model::Protocol::sctp:
      return carrier == SLUICE_FLOW_SCTP;
    default:
      return carrier == SLUICE_FLOW_TCP;
  }
}

const model::LoadBalancer* load_balancer_at(const model::Model& model, const IpAddress& vip) {
  const auto subject = model::subject(vip);
  if (const auto* found = model.load_balancers.first(model::Facet::address, subject)) return found;
  const auto* floating = model.floating_ips.first(model::Facet::address, subject);
  if (!floating || !floating->load_balancer_id) return nullptr;
  const auto found = model.load_balancers.find(*floating->load_balancer_id);
  return found == model.load_balancers.end() ? nullptr : &found->second;
}

const model::Listener* listener_of(const model::Model& model, const sluice_flow_image& image) {
  const auto known = model.listeners.find(uuid_of(image.listener_id));
  if (known != model.listeners.end()) return &known->second;
  const auto* load_balancer = load_balancer_at(model, address_of(image, image.vip));
  if (!load_balancer) return nullptr;
  for (const auto* one : model.listeners.with(model::Facet::parent, load_balancer->id)) {
    if (one->protocol_port == ntohs(image.vip_port) && is_carried_by(one->protocol, image.protocol))
      return one;
  }
  return nullptr;
}

// The member at this address and port, of the listener's pool.
const model::Member* member_of(const model::Model& model, const model::Listener& listener,
                               const sluice_flow_image& image) {
  const auto subject = model::subject(address_of(image, image.member));
  for (const auto* one : model.members.with(model::Facet::address, subject)) {
    if (one->protocol_port == ntohs(image.member_port) && listener.default_pool_id == one->pool_id)
      return one;
  }
  return nullptr;
}

}  // namespace

void find_namesakes(const model::Model& model, sluice_flow_image& image) {
  const auto* listener = listener_of(model, image);
  if (!listener) return;
  set(image.listener_id, listener->id);
  if (model.members.contains(uuid_of(image.member_id))) return;
  if ((image.flags & SLUICE_IMAGE_DIRECT) != 0) return;
  if (const auto* member = member_of(model, *listener, image)) set(image.member_id, member->id);
}

}  // namespace sluice::peers
