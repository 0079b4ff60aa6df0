// VipProbes: has probes ask for a VIP at the member, instead of for the member's own address.
//
// Members that answer clients directly (dsr, ipip, gue) get their clients' packets for the VIP. One
// that lacks it, or the tunnel's end, answers at its own address and serves nobody. So a probe's
// socket still connects to the member's address, which finds the way there, but its packets arrive
// for the VIP, on the link or in the tunnel, as clients' do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ip_address.hpp"
#include "base/result.hpp"
#include "model/objects.hpp"

namespace sluice::health {

// The VIP that a probe asks for, and the way to it.
struct VipWay {
  IpAddress vip;
  model::ForwardingMode mode = model::ForwardingMode::dsr;  // one of answers_directly()

  bool operator==(const VipWay&) const = default;
};

// "through ipip, for VIP 203.0.113.10", for reasons.
std::string text(const VipWay& way);

class VipProbes {
 public:
  // While it lives the socket's packets to the member go this way.
  class Ticket {
   public:
    virtual ~Ticket() = default;
    // Says whether one has.
    virtual bool used() const = 0;
  };
  struct Packets {
    int socket = -1;
    std::uint8_t protocol = 0;  // IPPROTO_*
    std::uint32_t echo = 0;  // of a ping: identifier and sequence number as in the packet; else 0
    IpAddress member;
  };

  virtual ~VipProbes() = default;
  // Must be called before the first packet.
  virtual Result<std::unique_ptr<Ticket>> lead(const Packets& packets, const VipWay& way) = 0;
  // Is told that no member's probes ask for a VIP any more.
  virtual void rest() = 0;
};

// Gets the ticket for a probe's packets; empty: the probe asks for the member's own address.
using Lead = std::function<Result<std::unique_ptr<VipProbes::Ticket>>(
    int socket, std::uint8_t protocol, std::uint32_t echo)>;

}  // namespace sluice::health
