// Checksums that a sender leaves for its NIC to finish, as into a veth: what can't be finished here
// is refused and said so, not forwarded broken.
#include <bpf/bpf.h>

#include "maps/interface.h"
#include "packet/traffic.hpp"
#include "reference/view.hpp"

namespace sluice::test {
namespace {

using reference::address_of;
using reference::be16;
using reference::be32;
using reference::operator+;  // NOLINT(misc-unused-using-decls): used between operands

class PartialChecksum : public Traffic, public ::testing::WithParamInterface<std::tuple<int, L4>> {
 protected:
  int family() const override { return std::get<0>(GetParam()); }
  L4 protocol() const { return std::get<1>(GetParam()); }

  static std::uint16_t pseudo_header_sum(const Packet& p) {
    const auto length = static_cast<std::uint32_t>(p.l4_bytes().size());
    return static_cast<std::uint16_t>(
        ~internet_checksum(address_of(p.source) + address_of(p.destination) + be32(length) +
                           be32(static_cast<std::uint32_t>(p.protocol))));
  }
  static Packet unfinished(Packet p) {
    p.checksum = pseudo_header_sum(p);
    return p;
  }
  std::size_t slots() { return family() == 4 ? flows().size() : flows6().size(); }
  void use_generic_mode() {
    for (std::uint32_t i = 0; i < SLUICE_MAX_INTERFACES; ++i) {
      sluice_interface known{};
      if (bpf_map_lookup_elem(map("interfaces"), &i, &known) != 0 || known.ifindex == 0) continue;
      known.flags |= SLUICE_INTERFACE_GENERIC;
      ASSERT_EQ(bpf_map_update_elem(map("interfaces"), &i, &known, BPF_EXIST), 0);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(, PartialChecksum,
                         ::testing::Combine(::testing::Values(4, 6),
                                            ::testing::Values(L4::tcp, L4::udp)),
                         family_and_protocol);

TEST_P(PartialChecksum, AFirstPacketWithOneOpensNothing) {
  for (const std::size_t bytes : {0, 1, 6, 1001}) {
    auto first = from_client(protocol());
    first.data = Bytes(bytes, 0x5a);
    EXPECT_EQ(receive(unfinished(first)).reason, "partial_checksum") << bytes;
    EXPECT_EQ(slots(), 0U);
  }
  EXPECT_EQ(listener_counters(9).flows_refused, 4U);
  EXPECT_EQ(receive(from_client(protocol())).reason, "flow_created");
}

TEST_P(PartialChecksum, AnAnswerWithOneConfirmsNothing) {
  receive(from_client(protocol()));
  const auto answer = from_member(1, protocol());
  EXPECT_EQ(receive(unfinished(answer)).reason, "partial_checksum");
  const auto out = receive(answer);
  EXPECT_EQ(out.reason, "replied");
  EXPECT_TRUE(same_frame(out.frame, at_client(answer).bytes()));
}

// One right checksum of 65,536 is the pseudo header's sum.
TEST_P(PartialChecksum, ARightOneThatLooksTheSameIsRight) {
  auto first = from_client(protocol());
  first.data = {0, 0};
  const auto bytes = first.l4_bytes();
  const std::size_t at = protocol() == L4::tcp ? 16 : 6;
  const auto usual = static_cast<std::uint32_t>(bytes[at] << 8 | bytes[at + 1]);
  const auto wanted = pseudo_header_sum(first);
  // The word that makes the checksum what is wanted.
  auto word = usual + static_cast<std::uint16_t>(~wanted);
  word = (word & 0xffff) + (word >> 16);
  first.data = be16(word);
  ASSERT_EQ(first.l4_bytes()[at] << 8 | first.l4_bytes()[at + 1], wanted);
  const auto out = receive(first);
  EXPECT_EQ(out.reason, "flow_created");
  EXPECT_TRUE(same_frame(out.frame, at_member(first).bytes()));
}

TEST_P(PartialChecksum, AWrongOneThatLooksOtherwiseIsTheMembersToJudge) {
  auto first = from_client(protocol());
  first.checksum = static_cast<std::uint16_t>(pseudo_header_sum(first) ^ 1U);
  EXPECT_EQ(receive(first).reason, "flow_created");
}

// There the stack finishes what keeps its addresses.
TEST_P(PartialChecksum, InGenericModeItMattersOnlyIfAddressesChange) {
  use_generic_mode();
  EXPECT_EQ(receive(unfinished(from_client(protocol()))).reason, "partial_checksum");
  use_mode(SLUICE_DSR, protocol());
  EXPECT_EQ(receive(unfinished(from_client(protocol()))).reason, "flow_created");
}

}  // namespace
}  // namespace sluice::test
