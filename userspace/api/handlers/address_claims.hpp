// AddressClaims: whether the addresses that a request takes (VIPs, additional VIPs, floating IPs)
// are somebody else's.
//
// What this host knows refuses at once. What only the wire can tell takes some 200 ms, in which
// others are served: the request is tried, changes nothing but says which addresses it would take,
// those are asked for, all at once, and it is tried again with the answers (routes.cpp).
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
  // Without holders every address is nobody's.
  explicit AddressClaims(AddressHolders* holders) : holders_(holders) {}

  // ErrorKind::conflict, and who it is, if somebody else has the address. Success may also mean
  // that the wire is still to be asked; then conclude() ends the change. `force`: take it all the
  // same.
  Result<void> take(const IpAddress& address, bool force);
  // May the address be given to somebody who did not choose it?
  bool may_give(const IpAddress& address);

  // At the end of a change: an error while the wire is still to be asked, which is no answer for
  // the client.
  Result<void> conclude() const;
  // Within a batch its end decides, so that all its addresses are asked for together.
  void postpone(bool postponed) { postponed_ = postponed; }

  std::vector<IpAddress> to_ask() const { return {open_.begin(), open_.end()}; }
  void heard(AddressHolders::Answers answers);

 private:
  // nullopt: nobody has it, as far as we know.
  std::optional<std::string> holder(const IpAddress& address);

  AddressHolders* holders_;
  AddressHolders::Answers answers_;
  std::set<IpAddress> asked_, open_;
  bool postponed_ = false;
};

// The same for a handler.
Result<void> take_addresses(const Call& call, const std::vector<IpAddress>& addresses, bool force);
std::function<bool(const IpAddress&)> givable(const Call& call);

}  // namespace sluice::api
