// What the load balancer says itself: echo replies, ARP and neighbour answers, ICMP errors, resets.
#pragma once

#include <optional>

#include "reference/view.hpp"

namespace sluice::test::reference {

// Nothing: it is no request of that kind that is to be answered. `mac` is the interface's.
std::optional<Bytes> arp_answer(const Bytes& frame, const View& view, const Mac& mac,
                                Address* target);
std::optional<Bytes> neighbour_answer(const Bytes& frame, const View& view, const Mac& mac,
                                      Address* target);
std::optional<Bytes> echo_answer(const Bytes& frame, const View& view, const Mac& mac);

// About the packet in `frame`, to the one that it came from.
Bytes error_about(const Bytes& frame, const View& view, const Address& from, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest);
Bytes reset_of(const Bytes& frame, const View& view);

// Destination and source MAC exchanged.
Bytes turned(Bytes frame);

}  // namespace sluice::test::reference
