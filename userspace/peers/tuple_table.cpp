#include "peers/tuple_table.hpp"

#include "peers/tuple_hash.hpp"

namespace sluice::peers {

TupleTable::Tuple4 TupleTable::tuple4(const sluice_flow_image& image) {
  return {image.client.ipv4, image.vip.ipv4, image.client_port, image.vip_port, image.protocol};
}

TupleTable::Tuple6 TupleTable::tuple6(const sluice_flow_image& image) {
  return {{image.client.halves[0], image.client.halves[1]},
          {image.vip.halves[0], image.vip.halves[1]},
          image.client_port,
          image.vip_port,
          image.protocol};
}

sluice_flow_image TupleTable::image_of(const Tuple4& tuple) {
  sluice_flow_image image{};
  image.family = 4;
  image.protocol = tuple.protocol;
  image.client.ipv4 = tuple.client;
  image.vip.ipv4 = tuple.vip;
  image.client_port = tuple.client_port;
  image.vip_port = tuple.vip_port;
  return image;
}

sluice_flow_image TupleTable::image_of(const Tuple6& tuple) {
  sluice_flow_image image{};
  image.family = 6;
  image.protocol = tuple.protocol;
  for (int half = 0; half < 2; ++half) {
    image.client.halves[half] = tuple.client[half];
    image.vip.halves[half] = tuple.vip[half];
  }
  image.client_port = tuple.client_port;
  image.vip_port = tuple.vip_port;
  return image;
}

std::uint64_t TupleTable::Hash::operator()(const Tuple4& tuple) const {
  return tuple_hash(image_of(tuple), seed);
}

std::uint64_t TupleTable::Hash::operator()(const Tuple6& tuple) const {
  return tuple_hash(image_of(tuple), seed);
}

void TupleTable::set(const sluice_flow_image& image, std::uint32_t number) {
  if (image.family == 4) {
    table4_.insert_or_assign(tuple4(image), number);
  } else {
    table6_.insert_or_assign(tuple6(image), number);
  }
}

bool TupleTable::contains(const sluice_flow_image& image) const {
  return image.family == 4 ? table4_.contains(tuple4(image)) : table6_.contains(tuple6(image));
}

void TupleTable::erase(const sluice_flow_image& image) {
  if (image.family == 4) {
    table4_.erase(tuple4(image));
  } else {
    table6_.erase(tuple6(image));
  }
}

void TupleTable::clear() {
  table4_.clear();
  table6_.clear();
}

std::vector<sluice_flow_image> TupleTable::take_others(std::uint32_t number) {
  std::vector<sluice_flow_image> taken;
  const auto take = [&](const auto& entry) {
    if (entry.second == number) return false;
    taken.push_back(image_of(entry.first));
    return true;
  };
  erase_if(table4_, take);
  erase_if(table6_, take);
  return taken;
}

}  // namespace sluice::peers
