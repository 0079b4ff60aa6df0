#include "control/flows.hpp"

#include <algorithm>

namespace sluice::control {
namespace {

template <typename Bytes>
bool agree(const Bytes& a, const Bytes& b, unsigned bits) {
  bits = std::min<unsigned>(bits, a.size() * 8);
  const auto whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

}  // namespace

bool in_prefix(const IpAddress& address, const IpAddress& network, unsigned prefix) {
  if (address.is_v4() != network.is_v4()) return false;
  if (address.is_v4()) {
    return agree(address.to_v4().to_bytes(), network.to_v4().to_bytes(), prefix);
  }
  return agree(address.to_v6().to_bytes(), network.to_v6().to_bytes(), prefix);
}

bool matches(const FlowFilter& filter, const Flow& flow) {
  const auto fits = [](const std::optional<Uuid>& wanted, const Uuid& id) {
    return !wanted || *wanted == id;
  };
  return fits(filter.listener, flow.listener_id) && fits(filter.pool, flow.pool_id) &&
         fits(filter.member, flow.member_id) &&
         (!filter.client || in_prefix(flow.client.address, *filter.client, filter.client_prefix));
}

}  // namespace sluice::control
