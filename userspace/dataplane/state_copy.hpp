// What packets have changed, copied from the program in use to one that was loaded beside it
// (Program::load_beside), so that the other one would do the same with the next packet.
#pragma once

#include "base/result.hpp"
#include "kernel/program.hpp"

namespace sluice::dataplane {

// Every map that the two don't share, but for what is only counted or told. May be called again:
// what is no longer there goes. `options`: with which `to` was loaded; a flow table that is not of
// the same size stays as it is.
//
// Packets go on meanwhile, so this is no moment's image; but each flow is whole.
Result<void> copy_state(const kernel::Program& from, const kernel::Program& to,
                        const kernel::BesideOptions& options);

}  // namespace sluice::dataplane
