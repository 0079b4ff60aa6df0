// Packets that others send to this host's raw sockets, and text that they put into our logs: no
// byte beyond them is read, and what is shown is printable.
#include <cstdint>
#include <span>
#include <string_view>

#include "base/printable.hpp"
#include "expect.hpp"
#include "health/sctp_packet.hpp"
#include "network/arp_frame.hpp"
#include "network/discovery_frame.hpp"

using sluice::fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(data, size);
  if (const auto claim = sluice::network::claim_of_arp(bytes))
    expect(claim->address.is_v4() && !claim->address.is_unspecified(), "a claim is of an address");
  if (const auto claim = sluice::network::claim_of_advertisement(bytes))
    expect(claim->address.is_v6(), "a claim is of an address");
  sluice::health::sctp::parse_answer(bytes);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto shown = sluice::printable(text);
  expect(sluice::is_printable(shown), "what is shown is printable");
  if (sluice::is_printable(text)) expect(shown == text, "printable text stays as it is");
  return 0;
}
