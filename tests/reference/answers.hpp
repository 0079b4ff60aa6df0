// Answers: packets of the load balancer's own: echo replies, ARP and neighbour answers, ICMP
// errors, resets.
#pragma once

#include <optional>

#include "reference/view.hpp"

namespace sluice::test::reference {

// Each answers a request; nullopt if the frame is not such a request or must not be answered. `mac`
// is the interface's.
std::optional<Bytes> arp_answer(const Bytes& frame, const View& view, const Mac& mac,
                                Address* target);
std::optional<Bytes> neighbour_answer(const Bytes& frame, const View& view, const Mac& mac,
                                      Address* target);
std::optional<Bytes> echo_answer(const Bytes& frame, const View& view, const Mac& mac);

// Makes an error about the packet in `frame` to its sender.
Bytes error_about(const Bytes& frame, const View& view, const Address& from, std::uint8_t type,
                  std::uint8_t code, std::uint32_t rest);
Bytes reset_of(const Bytes& frame, const View& view);
// Answers a SYN by one that acknowledges this number, which an honest client resets.
Bytes syn_answer_to(const Bytes& frame, const View& view, std::uint32_t acknowledged);

// Exchanges destination and source MAC.
Bytes turned(Bytes frame);

}  // namespace sluice::test::reference
