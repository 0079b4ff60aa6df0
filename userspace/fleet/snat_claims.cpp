#include "fleet/snat_claims.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "fleet/roster.hpp"

namespace sluice::fleet {
namespace {

constexpr auto before_the_next = std::chrono::milliseconds(50);
constexpr auto before_another_try = std::chrono::seconds(1);

}  // namespace

void SnatClaims::follow(std::map<IpAddress, std::string> owners) {
  owners_ = std::move(owners);
  const auto refused = refusal();
  if (std::exchange(told_, refused) != refused) {
    const auto line = refused.empty()
                          ? "this node's SNAT addresses are its own now"
                          : refused +
                                ": this node announces nothing (give it another "
                                "--snat-address, or, if that node is gone for good, remove "
                                "it: sluicectl node remove)";
    event_(refused.empty() ? Tone::news : Tone::trouble, line);
  }
  look();
}

bool SnatClaims::is_another_ones(const IpAddress& address) const {
  const auto owner = owners_.find(address);
  return owner != owners_.end() && owner->second != settings_.node;
}

std::vector<IpAddress> SnatClaims::own() const {
  std::vector<IpAddress> own;
  std::ranges::copy_if(settings_.addresses, std::back_inserter(own),
                       [this](const auto& address) { return !is_another_ones(address); });
  return own;
}

std::string SnatClaims::refusal() const {
  for (const auto& address : settings_.addresses) {
    if (is_another_ones(address))
      return fmt::format("SNAT address {} is {}'s", address.to_string(), owners_.at(address));
  }
  return {};
}

// Does the next thing that is missing. What becomes of it the watch tells. A configuration that
// names another node's address is a mistake, and takes nothing away.
void SnatClaims::look() {
  if (is_busy_) return;
  for (const auto& address : settings_.addresses) {
    if (!owners_.contains(address)) return claim(address);
  }
  if (!refusal().empty()) return;
  for (const auto& [address, owner] : owners_) {
    if (owner == settings_.node && std::ranges::count(settings_.addresses, address) == 0)
      return give_up(address);
  }
}

void SnatClaims::claim(const IpAddress& address) {
  is_busy_ = true;
  const auto key = settings_.keys.snat_address(address);
  etcd_.transact({.key = key,
                  .expected = std::nullopt,
                  .puts = {{key, snat_claim_of(settings_.node)}},
                  .removals = {},
                  .read_otherwise = {}},
                 [this](const auto& answer) { done(answer); });
}

void SnatClaims::give_up(const IpAddress& address) {
  is_busy_ = true;
  const auto key = settings_.keys.snat_address(address);
  etcd_.transact({.key = key,
                  .expected = snat_claim_of(settings_.node),
                  .puts = {},
                  .removals = {key},
                  .read_otherwise = {}},
                 [this](const auto& answer) { done(answer); });
}

// The pause lets the watch tell first, so that nothing is asked twice.
void SnatClaims::done(const Answer<TransactionReply>& answer) {
  const bool happened = answer && answer->happened;
  etcd_.after(happened ? before_the_next : before_another_try, [this] {
    is_busy_ = false;
    look();
  });
}

}  // namespace sluice::fleet
