// Flow list: reads connections from the flow tables' memory while packets change it, and removes
// single ones (by the `flow_flush` program).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "control/flows.hpp"
#include "dataplane/listener_banks.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

// The objects behind the indices in the slots, as the maps name them now.
class FlowNames {
 public:
  static Result<FlowNames> read(const kernel::Program& program);

  struct Member {
    Uuid id{};  // a removed member keeps it while flows are left
    control::Endpoint address;
  };
  std::uint32_t listener_of_flow(std::uint64_t state) const {
    return banks_->listener_of_flow(state);
  }
  // The ids are nil if the index is free.
  Uuid listener(std::uint32_t index) const { return at(listeners_, index).id; }
  Uuid pool_of_listener(std::uint32_t index) const { return at(listeners_, index).pool; }
  Member member(std::uint32_t index) const { return at(members_, index); }

 private:
  struct Listener {
    Uuid id{}, pool{};
  };
  template <typename Entry>
  static Entry at(const std::vector<Entry>& entries, std::uint32_t index) {
    return index < entries.size() ? entries[index] : Entry();
  }

  std::shared_ptr<const ListenerBanks> banks_ = std::make_shared<const ListenerBanks>();
  std::vector<Listener> listeners_;
  std::vector<Member> members_;
};

// The slot with the client's packets; see struct sluice_flow_flush.
struct FlowSlot {
  std::uint32_t family = 0;
  std::uint32_t index = 0;
  std::uint64_t state = 0;
};

struct FoundFlow {
  control::Flow flow;
  FlowSlot slot;
  // Names the flow. A walk may find a flow twice while it is moved within the table.
  std::string key;
};

// Calls `visit` for every connection that matches the filter, IPv4 first, until it returns false.
// The filter judges slots in the map's memory, so other connections cost hardly anything.
Result<void> for_each_flow(const kernel::Program& program, const FlowNames& names,
                           const control::FlowFilter& filter,
                           const std::function<bool(const FoundFlow&)>& visit);

// The tuple of the client's packets.
struct FlowKey {
  model::Protocol protocol = model::Protocol::tcp;
  control::Endpoint client, vip;
};
Result<std::optional<std::pair<control::Flow, FlowSlot>>> find_flow(const kernel::Program& program,
                                                                    const FlowNames& names,
                                                                    const FlowKey& wanted);

// Removes the flow; returns false if it was gone or a packet has changed it meanwhile.
Result<bool> flush_flow(int program_fd, const FlowSlot& slot);

}  // namespace sluice::dataplane
