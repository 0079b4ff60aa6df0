#include "network/vrrp_instances.hpp"

#include <algorithm>
#include <optional>

namespace sluice::network {
namespace {

constexpr std::string_view begin = "INSTANCE \"";

// Whether an instance in this state is the master; nullopt: no state.
std::optional<bool> is_master(std::string_view state) {
  for (const auto* word : {"MASTER", "MASTER_RX_LOWER_PRI", "MASTER_PRIORITY"}) {
    if (state == word) return true;
  }
  // After STOP keepalived announces nothing any more, and another node takes over.
  for (const auto* word : {"BACKUP", "BACKUP_PRIORITY", "FAULT", "STOP", "DELETED"}) {
    if (state == word) return false;
  }
  return std::nullopt;
}

}  // namespace

VrrpInstances::News VrrpInstances::take(std::string_view line) {
  if (!line.starts_with(begin)) return News::nothing;
  line.remove_prefix(begin.size());
  const auto quote = line.rfind("\" ");
  if (quote == line.npos) return News::nothing;
  const auto name = line.substr(0, quote);
  auto state = line.substr(quote + 2);
  state = state.substr(0, state.find(' '));
  const auto master = is_master(state);
  if (!master) return News::nothing;
  const auto known = masters_.find(name);
  const bool same = known != masters_.end() && known->second == *master;
  if (same) return state == "MASTER_RX_LOWER_PRI" ? News::claimed : News::nothing;
  masters_.insert_or_assign(std::string(name), *master);
  return News::state;
}

bool VrrpInstances::any_master() const {
  return std::ranges::any_of(masters_, [](const auto& one) { return one.second; });
}

std::string VrrpInstances::lines() const {
  std::string text;
  for (const auto& [name, master] : masters_)
    text.append(begin).append(name).append(master ? "\" MASTER 0\n" : "\" BACKUP 0\n");
  return text;
}

}  // namespace sluice::network
