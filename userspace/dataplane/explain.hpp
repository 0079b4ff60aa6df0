// Explain: tells in the operator's words what the data plane would do with a first packet.
#pragma once

#include "attachment/interface_slots.hpp"
#include "base/result.hpp"
#include "control/flows.hpp"
#include "dataplane/flow_list.hpp"

namespace sluice::dataplane {

// The packet comes in on the attached interface by which the host would reach its sender.
// ErrorKind::conflict: no interface is attached.
Result<control::Explanation> explain(const kernel::Program& program,
                                     const attachment::InterfaceSlots& slots,
                                     const FlowNames& names, const control::Question& question);

}  // namespace sluice::dataplane
