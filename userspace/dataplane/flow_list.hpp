// Flow list: reads connections from the flow tables' memory while packets change it, and removes
// single ones (by the `flow_flush` program).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "base/result.hpp"
#include "control/flows.hpp"
#include "dataplane/index_table.hpp"
#include "kernel/map.hpp"
#include "maps/member.h"

namespace sluice::dataplane {

// The objects behind the indices in the slots.
struct FlowNames {
  const kernel::ArrayMap<sluice_member>& members;
  const IndexTable& listeners;
  const std::map<std::uint32_t, Uuid>& pool_of_listener;
};

// The slot with the client's packets; see struct sluice_flow_flush.
struct FlowSlot {
  std::uint32_t family = 0;
  std::uint32_t index = 0;
  std::uint64_t state = 0;
};

// Calls `visit` for every connection, IPv4 first, until it returns false.
Result<void> for_each_flow(const kernel::Program& program, const FlowNames& names,
                           const std::function<bool(const control::Flow&, const FlowSlot&)>& visit);

// The tuple of the client's packets.
struct FlowKey {
  model::Protocol protocol = model::Protocol::tcp;
  control::Endpoint client, vip;
};
Result<std::optional<std::pair<control::Flow, FlowSlot>>> find_flow(const kernel::Program& program,
                                                                    const FlowNames& names,
                                                                    const FlowKey& key);

// Removes the flow; returns false if it was gone or a packet has changed it meanwhile.
Result<bool> flush_flow(int program_fd, const FlowSlot& slot);

}  // namespace sluice::dataplane
