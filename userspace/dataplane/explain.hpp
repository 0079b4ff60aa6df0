// Explain: tells in the operator's words what the data plane would do with a first packet.
#pragma once

#include "attachment/interface_slots.hpp"
#include "base/result.hpp"
#include "control/flows.hpp"
#include "dataplane/rehearsal.hpp"

namespace sluice::dataplane {

// The packet comes in on the attached interface by which the host would reach its sender.
// ErrorKind::conflict: no interface is attached.
Result<control::Explanation> explain(KeptRehearsal& kept, const attachment::InterfaceSlots& slots,
                                     const control::Question& question);

}  // namespace sluice::dataplane
