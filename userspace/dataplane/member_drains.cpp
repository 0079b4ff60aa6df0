#include "dataplane/member_drains.hpp"

namespace sluice::dataplane {

Result<sluice_member_drain> MemberDrains::get(std::uint32_t member) const {
  if (!exists()) {
    const auto found = in_its_place_.find(member);
    return found == in_its_place_.end() ? sluice_member_drain{} : found->second;
  }
  const auto found = map_.lookup(member);
  if (!found) return tl::unexpected(found.error());
  return found->value_or(sluice_member_drain{});
}

Result<std::vector<sluice_member_drain>> MemberDrains::all(std::uint32_t end) const {
  std::vector<sluice_member_drain> all(end);
  if (!exists()) {
    for (const auto& [member, drain] : in_its_place_) {
      if (member < end) all[member] = drain;
    }
    return all;
  }
  const auto entries = map_.entries(end);
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& [member, drain] : *entries) all.at(member) = drain;
  return all;
}

Result<void> MemberDrains::put(std::uint32_t member, const sluice_member_drain& drain) {
  if (exists()) return map_.put(member, drain);
  in_its_place_[member] = drain;
  return {};
}

}  // namespace sluice::dataplane
