// The `member_drains` map: how long connections may go on once their member is removed.
//
// A program that is older than the map has none; then this is known until sluiced ends.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/result.hpp"
#include "kernel/map.hpp"
#include "maps/member.h"

namespace sluice::dataplane {

class MemberDrains {
 public:
  explicit MemberDrains(const kernel::Program& program) : map_(program, "member_drains") {}

  Result<sluice_member_drain> get(std::uint32_t member) const;
  // By index.
  // Those of the members whose indices are less than `end`.
  Result<std::vector<sluice_member_drain>> all(std::uint32_t end = SLUICE_MAX_MEMBERS) const;
  Result<void> put(std::uint32_t member, const sluice_member_drain& drain);

 private:
  bool exists() const { return map_.fd() >= 0; }

  kernel::ArrayMap<sluice_member_drain> map_;
  std::map<std::uint32_t, sluice_member_drain> in_its_place_;
};

}  // namespace sluice::dataplane
