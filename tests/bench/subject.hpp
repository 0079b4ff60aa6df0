// Subject: a program that packet_cost measures, loaded and configured: one VIP, one listener, 256
// members.
#pragma once

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <cstdint>
#include <string>
#include <vector>

#include "maps/listener.h"
#include "maps/types.h"
#include "tests/bench/loaded.hpp"
#include "tests/bench/packet_cost.h"

namespace sluice::bench {

// The traffic of a row.
struct Kind {
  int family = 4;
  int protocol = IPPROTO_TCP;
  bool snat = false;           // members see SNAT addresses in place of the VIP
  bool other_version = false;  // members have the other IP version, and see SNAT addresses

  const char* vip() const { return family == 4 ? "10.0.0.16" : "2001:db8::16"; }
  const char* nobody() const { return family == 4 ? "10.0.0.17" : "2001:db8::17"; }
  std::string name() const {
    return fmt::format("IPv{} {}{}", family, protocol == IPPROTO_TCP ? "TCP" : "UDP",
                       other_version ? fmt::format(" to IPv{} members", member_family())
                       : snat        ? " SNAT"
                                     : "");
  }
  int member_family() const { return other_version ? 10 - family : family; }
  // The table that has the connections.
  int table_family() const { return other_version ? 6 : family; }
  // The traffic as members send it.
  Kind from_members() const {
    auto kind = *this;
    kind.family = member_family();
    return kind;
  }
};

// Enters a network namespace of the process's own, with both routers in it.
void enter_network();

[[noreturn]] void die(const std::string& what);
// Dies with errno's text unless ok.
void check(bool ok, const std::string& what);
template <typename Key, typename Value>
void put(int map, const Key& key, const Value& value) {
  check(bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0, "fill a map");
}

// A program under test with `flows` connections' room, configured: one VIP, one listener, 256
// members.
class Subject {
 public:
  // Loads this build's program.
  Subject(Kind kind, std::uint32_t flows);
  // Loads another version's program, with tables of the same size and the same hash.
  Subject(const Subject& like, const OtherObject& other);

  // The program's name in rows; empty: this build's.
  const std::string& name() const { return name_; }
  const Loaded& loaded() const { return loaded_; }
  std::uint32_t capacity() const { return capacity_; }
  std::uint64_t reason(std::uint32_t why) const;
  // The tuples of the members' packets of the flows in the table; optionally of those only that
  // members have not confirmed yet.
  std::vector<bench_tuple> reverse_tuples(bool unconfirmed = false) const;
  const Kind& kind() const { return kind_; }
  void forget_flows();
  // Has the flow table use the area that sluiced chooses for so many connections.
  void fit_area(std::uint32_t connections) const;
  // Puts so many further addresses, which nobody has, into the address filters.
  void know_addresses(std::uint32_t count);

 private:
  void touch_tables();
  sluice_address member_address(std::uint32_t number) const;
  void configure();
  void use_snat_addresses(sluice_listener& listener);
  void put_listener(sluice_listener listener);
  template <typename Key, typename Value>
  void fill(const char* map, const Key& key, const Value& value);
  template <typename Bucket>
  void forget_flows_of(const char* map);
  template <typename Bucket>
  std::vector<bench_tuple> reverse_tuples_of(const char* map, bool unconfirmed) const;
  Kind kind_;
  std::uint32_t capacity_;
  std::string name_;
  Loaded loaded_;
};

// Tuples of packets from anybody to anybody.
std::vector<bench_tuple> strangers_tuples(const Kind& kind, std::uint32_t count);

// The tuples of the clients' packets, from flow number `first` on.
std::vector<bench_tuple> client_tuples(const Kind& kind, const char* destination,
                                       std::uint32_t first, std::uint32_t flows);

}  // namespace sluice::bench
