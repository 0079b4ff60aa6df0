// Look: check() of this host's interfaces, for who is about to attach to them.
#pragma once

#include <string>
#include <vector>

#include "attachment/check.hpp"
#include "base/result.hpp"

namespace sluice::attachment {

struct Checked {
  std::string interface;
  Finding finding;

  // "eth0: the MTU is too large for native XDP: ip link set eth0 mtu 3498"
  std::string text() const;
};
// All findings, the good ones too. ErrorKind::not_found for an unknown interface.
Result<std::vector<Checked>> look_at(const std::vector<std::string>& interfaces,
                                     const std::string& pin_directory);

}  // namespace sluice::attachment
