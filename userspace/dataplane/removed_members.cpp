// What is left of removed members: their connections, and how long these may go on.
#include <time.h>

#include "dataplane/codec.hpp"
#include "dataplane/data_plane_over_maps.hpp"

namespace sluice::dataplane {
namespace {

using std::chrono::seconds;

// Those that are given up are looked at again after this time, until none is left.
constexpr auto until_none_is_left = seconds(5);

std::chrono::nanoseconds since_boot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

control::RemovedMember describe(const sluice_member& member, const Counters& counters) {
  const auto entry = from_map(member);
  return {from_map(member.id), entry.address, entry.port, counters.active_flows(), std::nullopt};
}

}  // namespace

// The end comes first: a removed member without one would have no deadline.
Result<void> DataPlaneOverMaps::mark_removed(std::uint32_t index, const sluice_member& member) {
  const auto drain = member_drains_.get(index);
  if (!drain) return tl::unexpected(drain.error());
  const auto now = std::chrono::floor<seconds>(std::chrono::system_clock::now());
  const auto ending = removed(*drain, now, std::chrono::ceil<seconds>(since_boot()));
  if (auto said = member_drains_.put(index, ending); !said) return said;
  if (auto marked = write_member(index, removed(member)); !marked) return marked;
  if (ending.ends != 0) ends_of_removed_[index] = seconds(ending.ends);
  return {};
}

Result<std::vector<control::RemovedMember>> DataPlaneOverMaps::removed_members() {
  const auto members = members_.entries();
  if (!members) return tl::unexpected(members.error());
  const auto active = member_active_.entries();
  if (!active) return tl::unexpected(active.error());
  const auto now = since_boot();
  std::vector<control::RemovedMember> found;
  for (const auto& [index, member] : *members) {
    if (!is_removed(member) || active->at(index).second == 0) continue;
    const auto sum = counters(member_counters_, index);
    if (!sum) return tl::unexpected(sum.error());
    if (sum->active_flows() == 0) continue;
    auto& one = found.emplace_back(describe(member, *sum));
    const auto end = ends_of_removed_.find(index);
    if (end != ends_of_removed_.end()) {
      // The end is rounded up, so this is not.
      one.left = std::max(std::chrono::floor<seconds>(end->second - now), seconds(0));
    }
  }
  return found;
}

// Gives up the connections of a removed member whose time is over. Returns whether it is to be
// looked at again.
Result<bool> DataPlaneOverMaps::give_up_removed(std::uint32_t index,
                                                std::vector<control::RemovedMember>& given_up) {
  const auto found = members_.lookup(index);
  if (!found) return tl::unexpected(found.error());
  auto member = found->value_or(sluice_member{});
  const bool was_given_up = (member.flags & SLUICE_MEMBER_GIVEN_UP) != 0;
  const bool goes_on = may_have_flows(member_counters_, member_active_, index);
  if (goes_on && was_given_up) return true;
  if (goes_on) {
    const auto sum = counters(member_counters_, index);
    if (!sum) return tl::unexpected(sum.error());
    given_up.push_back(describe(member, *sum));
    member.flags |= SLUICE_MEMBER_GIVEN_UP;
  } else {
    // While the flag is set, silent ends of its connections are looked for.
    member.flags = static_cast<__u16>(member.flags & ~SLUICE_MEMBER_GIVEN_UP);
    if (auto said = member_drains_.put(index, {}); !said) return tl::unexpected(said.error());
  }
  if (auto put = write_member(index, member); !put) return tl::unexpected(put.error());
  return goes_on;
}

Result<control::RemovedMembersOver> DataPlaneOverMaps::give_up_removed() {
  control::RemovedMembersOver result;
  const auto now = since_boot();
  const auto call_again = [&](std::chrono::nanoseconds in) {
    if (!result.next || in < *result.next) result.next = in;
  };
  for (auto at = ends_of_removed_.begin(); at != ends_of_removed_.end();) {
    const auto [index, end] = *at;
    if (now < end) {
      call_again(end - now);
      ++at;
      continue;
    }
    const auto goes_on = give_up_removed(index, result.given_up);
    if (!goes_on) return tl::unexpected(goes_on.error());
    if (*goes_on) call_again(until_none_is_left);
    at = *goes_on ? std::next(at) : ends_of_removed_.erase(at);
  }
  return result;
}

}  // namespace sluice::dataplane
