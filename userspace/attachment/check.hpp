// Check: what stands between a NIC and balancing on it, before anything is attached. Pure: facts
// (facts.hpp reads them) become findings.
#pragma once

#include <string>
#include <vector>

#include "attachment/facts.hpp"

namespace sluice::attachment {

enum class Verdict {
  ok,
  warn,  // slower, or true of some traffic only
  fail,  // it can't be attached, or nothing gets through
};
const char* to_string(Verdict verdict);

struct Finding {
  std::string subject;  // "mtu", "queues": a word for scripts
  Verdict verdict = Verdict::ok;
  std::string found;  // a sentence
  std::string mend;   // the command that helps; empty if there is none or none is needed
};

// The findings about a NIC and about the host, one for each subject that applies, in a fixed order.
std::vector<Finding> check(const NicFacts& nic, const HostFacts& host);

}  // namespace sluice::attachment
