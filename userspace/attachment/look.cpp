#include "attachment/look.hpp"

#include <utility>

namespace sluice::attachment {

std::string Checked::text() const {
  return interface + ": " + finding.found + (finding.mend.empty() ? "" : ": " + finding.mend);
}

Result<std::vector<Checked>> look_at(const std::vector<std::string>& interfaces,
                                     const std::string& pin_directory) {
  const auto host = host_facts(pin_directory);
  std::vector<Checked> all;
  for (const auto& interface : interfaces) {
    const auto nic = nic_facts(interface, pin_directory);
    if (!nic) return tl::unexpected(nic.error());
    for (auto& finding : check(*nic, host)) all.push_back({interface, std::move(finding)});
  }
  return all;
}

}  // namespace sluice::attachment
