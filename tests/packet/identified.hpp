// Traffic whose listeners and members have ids, as the controller's have, so that connections can
// be told to another table or node; and what counts a listener's connections.
#pragma once

#include <bpf/bpf.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ostream>

#include "packet/traffic.hpp"

namespace sluice::test {

class Identified : public Traffic {
 protected:
  static constexpr std::uint32_t listener_index = 9;

  struct Counts {
    std::uint64_t opened = 0, ended = 0;
    std::uint32_t active = 0, confirmed = 0, half_open = 0;
    bool operator==(const Counts&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const Counts& c) {
      return out << c.opened << " opened, " << c.ended << " ended, " << c.active << " active, "
                 << c.confirmed << " confirmed, " << c.half_open << " half-open";
    }
  };
  // Of the listener with that index.
  Counts counts() {
    const auto counters = listener_counters(listener_index);
    return {counters.flows_opened, counters.flows_ended, number_in("listener_active"),
            number_in("listener_confirmed"), number_in("listener_half_open")};
  }

  // Gives the protocol's listener and its members ids, in a pool of this mode; and a SNAT address,
  // if `snat_` is one.
  void name_objects(L4 protocol, sluice_forwarding_mode mode) {
    use_mode(mode, protocol);
    auto value = listener(pool(protocol), listener_index);
    value.id.bytes[0] = static_cast<std::uint8_t>(protocol);
    put_listener(net().vip, listener_port(protocol), protocol, value);
    if (!snat_.empty()) use_snat(snat_, protocol, value);
    for (const int number : {1, 2})
      change_member(number, protocol, [&](sluice_member& member) {
        member.id.bytes[0] = static_cast<std::uint8_t>(number);
        member.id.bytes[15] = static_cast<std::uint8_t>(protocol);
      });
  }
  template <typename Change>
  void change_member(int number, L4 protocol, Change change) {
    const auto index = member_index(number, protocol);
    sluice_member member{};
    ASSERT_EQ(bpf_map_lookup_elem(map("members"), &index, &member), 0) << std::strerror(errno);
    change(member);
    ASSERT_EQ(bpf_map_update_elem(map("members"), &index, &member, BPF_ANY), 0);
  }

 private:
  std::uint32_t number_in(const char* name) {
    const auto index = listener_index;
    std::uint32_t value = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map(name), &index, &value), 0);
    return value;
  }
};

}  // namespace sluice::test
