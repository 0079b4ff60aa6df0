// AddressClaims: finds out whether the addresses that a request takes (VIPs, additional VIPs,
// floating IPs) belong to somebody else.
//
// What this host knows refuses a request at once. Asking on the wire takes some 200 ms, in which
// other requests are served: the request is tried without effect, to learn which addresses it would
// take; all of them are asked for at once; and the request is tried again with the answers
// (routes.cpp).
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/language/address_holders.hpp"
#include "api/language/message.hpp"
#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::api {

class AddressClaims {
 public:
  // Without holders every address is free.
  explicit AddressClaims(AddressHolders* holders) : holders_(holders) {}

  // Claims the address. ErrorKind::conflict names its holder if there is one. Success may also mean
  // that the wire must still be asked; then conclude() ends the change. `force` takes it in any
  // case.
  Result<void> take(const IpAddress& address, bool force);
  // Refuses an address of this host's for a member: packets for it don't leave by a NIC.
  Result<void> allow_member(const IpAddress& address);
  // Says whether the address may be allocated to a request that did not choose one.
  bool may_give(const IpAddress& address);

  // Ends a change. An error, which the client doesn't see, says that the wire must be asked first.
  Result<void> conclude() const;
  // Postpones conclude() to the end of a batch, so that all its addresses are asked for together.
  void postpone(bool postponed) { postponed_ = postponed; }

  std::vector<IpAddress> to_ask() const { return {open_.begin(), open_.end()}; }
  void heard(AddressHolders::Answers answers);

 private:
  // The address's holder; nullopt if none is known.
  std::optional<std::string> holder(const IpAddress& address);

  AddressHolders* holders_;
  AddressHolders::Answers answers_;
  std::set<IpAddress> asked_, open_;
  bool postponed_ = false;
};

// Refuses an address that no member can have, for a handler.
Result<void> check_member_address(const Call& call, const IpAddress& address);
// Claims several addresses for a handler.
Result<void> take_addresses(const Call& call, const std::vector<IpAddress>& addresses, bool force);
std::function<bool(const IpAddress&)> givable(const Call& call);

}  // namespace sluice::api
