#include "api/handlers/address_claims.hpp"

#include <fmt/format.h>

namespace sluice::api {
std::optional<std::string> AddressClaims::holder(const IpAddress& address) {
  if (!holders_) return std::nullopt;
  if (auto known = holders_->known(address)) return known;
  if (const auto answer = answers_.find(address); answer != answers_.end()) return answer->second;
  if (!asked_.contains(address) && holders_->may_ask(address)) open_.insert(address);
  return std::nullopt;
}

Result<void> AddressClaims::take(const IpAddress& address, bool force) {
  if (force) return {};
  const auto who = holder(address);
  if (!who) return {};
  return fail(ErrorKind::conflict, fmt::format("IP address {} is {}.", address.to_string(), *who),
              "choose another one; 'force': true, or --force, takes it all the same");
}

Result<void> AddressClaims::allow_member(const IpAddress& address) {
  const auto own = holders_ ? holders_->own(address) : std::nullopt;
  if (!own) return {};
  return fail(
      ErrorKind::invalid,
      fmt::format("{} is not a valid option for member address: it is {}", address.to_string(),
                  *own),
      "a server on this host can be a member in a network namespace or container of its own");
}

bool AddressClaims::may_give(const IpAddress& address) {
  if (!holders_) return true;
  return !holders_->known(address) && !answers_.contains(address);
}

Result<void> AddressClaims::conclude() const {
  if (postponed_ || open_.empty()) return {};
  return fail(ErrorKind::conflict, "Too many addresses in a row are in use by others.",
              "give the address that is to be taken");
}

void AddressClaims::heard(AddressHolders::Answers answers) {
  asked_.insert(open_.begin(), open_.end());
  open_.clear();
  answers_.merge(answers);
}

Result<void> check_member_address(const Call& call, const IpAddress& address) {
  auto* claims = call.context.claims;
  return claims ? claims->allow_member(address) : Result<void>{};
}

Result<void> take_addresses(const Call& call, const std::vector<IpAddress>& addresses, bool force) {
  auto* claims = call.context.claims;
  if (!claims) return {};
  for (const auto& address : addresses) {
    if (auto free = claims->take(address, force); !free) return free;
  }
  return claims->conclude();
}

std::function<bool(const IpAddress&)> givable(const Call& call) {
  return [claims = call.context.claims](const IpAddress& address) {
    return !claims || claims->may_give(address);
  };
}

}  // namespace sluice::api
