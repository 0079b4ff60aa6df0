// Field: the program of either version under attack, and the virtual time in which attacks happen.
//
// Two services have nothing in common but the data plane: the attacked one on VIP 10.0.0.16
// (2001:db8::16), and a quiet one for TCP on 10.0.0.18 (2001:db8::18). Clients are behind the
// router of lan0, members behind that of dmz0. Packets are passed to the program one by one
// (BPF_PROG_TEST_RUN).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "maps/listener.h"
#include "maps/pool.h"
#include "support/packet.hpp"
#include "tests/bench/loaded.hpp"

namespace sluice::bench {

// The attacked service.
struct Service {
  test::L4 protocol = test::L4::tcp;
  sluice_forwarding_mode mode = SLUICE_FULLNAT;
  sluice_algorithm algorithm = SLUICE_ROUND_ROBIN;
  std::uint32_t members = 1;
  std::uint32_t connection_limit = SLUICE_NO_LIMIT;
  bool authenticates = false;  // as listeners do by default; an older version does not know it

  bool answers_directly() const { return mode == SLUICE_DSR || mode == SLUICE_IPIP; }
};

// The far end of a connection as its member sees it.
struct Seen {
  std::string client, member;
  std::uint16_t client_port = 0, member_port = 0;
  bool operator==(const Seen&) const = default;
};

class Field {
 public:
  enum class Side { clients, members };
  static constexpr std::uint16_t port = 5000;  // of both services and their members

  // This build's program, or another version's.
  Field(int family, std::uint32_t flows, const std::optional<OtherObject>& other);

  // Forgets all flows, and gives the attacked VIP this service.
  void begin(const Service& service);
  const Service& service() const { return service_; }
  // Moves all flows into the past, and sweeps. Time has the flows' resolution (maps/flow.h).
  void pass(std::uint32_t seconds);

  // Passes a packet to the program; nothing if it did not go on to anybody.
  std::optional<test::Bytes> send(const test::Packet& packet, Side from) {
    return pass(packet, from, true);
  }
  // A client's packet that was answered by the program itself; the answer.
  std::optional<test::Bytes> answer_to(const test::Packet& packet) {
    return pass(packet, Side::clients, false);
  }
  // The same; who is the client and who the member in the frame that goes to the member.
  std::optional<Seen> to_member(const test::Packet& packet);

  test::Packet from_client(const std::string& client, std::uint16_t client_port, std::uint8_t flags,
                           bool quiet_service = false) const;
  // A member's packet of a connection that it sees so.
  test::Packet from_member(const Seen& seen, std::uint8_t flags, test::L4 protocol) const;
  // The n-th of very many sources.
  std::string source(std::uint32_t n) const;

 private:
  std::optional<test::Bytes> pass(const test::Packet& packet, Side from, bool goes_on);
  const std::string& vip(bool quiet_service) const;
  void put_service(const std::string& vip, const Service& service, std::uint32_t index);
  void clear(const char* map);
  template <typename Bucket>
  void make_older(const char* map, std::uint32_t ticks);
  template <typename Key, typename Value>
  void fill(const char* map, const Key& key, const Value& value);

  int family_;
  Loaded loaded_;
  Service service_;
  std::uint32_t ingress_[2];  // by Side
};

}  // namespace sluice::bench
