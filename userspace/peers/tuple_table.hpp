// TupleTable: connections by their client and VIP, each with a number; for IPv4 in some 25 bytes.
// Pure.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <compare>
#include <cstdint>
#include <vector>

#include "maps/flow_image.h"

namespace sluice::peers {

class TupleTable {
 public:
  // `seed`: of the hashes, so that nobody can choose connections that share a bucket.
  explicit TupleTable(std::uint64_t seed) : table4_(0, Hash{seed}), table6_(0, Hash{seed}) {}

  void set(const sluice_flow_image& image, std::uint32_t number);
  bool contains(const sluice_flow_image& image) const;
  void erase(const sluice_flow_image& image);
  void clear();
  std::size_t size() const { return table4_.size() + table6_.size(); }
  // Takes out those with another number: images that have nothing but the tuple.
  std::vector<sluice_flow_image> take_others(std::uint32_t number);

 private:
  struct Tuple4 {
    std::uint32_t client, vip;
    std::uint16_t client_port, vip_port;
    std::uint8_t protocol;
    bool operator==(const Tuple4&) const = default;
  };
  struct Tuple6 {
    std::uint64_t client[2], vip[2];
    std::uint16_t client_port, vip_port;
    std::uint8_t protocol;
    bool operator==(const Tuple6&) const = default;
  };
  struct Hash {
    std::uint64_t seed;
    std::uint64_t operator()(const Tuple4& tuple) const;
    std::uint64_t operator()(const Tuple6& tuple) const;
  };
  static Tuple4 tuple4(const sluice_flow_image& image);
  static Tuple6 tuple6(const sluice_flow_image& image);
  static sluice_flow_image image_of(const Tuple4& tuple);
  static sluice_flow_image image_of(const Tuple6& tuple);

  boost::unordered_flat_map<Tuple4, std::uint32_t, Hash> table4_;
  boost::unordered_flat_map<Tuple6, std::uint32_t, Hash> table6_;
};

}  // namespace sluice::peers
