#include "api/server/failed_sign_ins.hpp"

#include <algorithm>

namespace sluice::api {

std::string FailedSignIns::source_of(const IpAddress& from) {
  if (from.is_v4()) return from.to_string();
  const auto address = from.to_v6();
  if (address.is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address).to_string();
  }
  auto bytes = address.to_bytes();
  std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), 0);
  return boost::asio::ip::address_v6(bytes).to_string();
}

bool FailedSignIns::may_try(const IpAddress& from, Time now) const {
  auto known = failures_.find(source_of(from));
  if (known == failures_.end()) {
    if (failures_.size() < most_addresses) return true;
    known = failures_.find("");  // counts those for which there was no place
    if (known == failures_.end()) return true;
  }
  const auto recent =
      std::ranges::count_if(known->second, [&](Time at) { return now - at < span; });
  return static_cast<std::size_t>(recent) < most;
}

void FailedSignIns::note(const IpAddress& from, Time now) {
  std::erase_if(failures_, [&](const auto& one) { return now - one.second.back() >= span; });
  auto source = source_of(from);
  if (failures_.size() >= most_addresses && !failures_.contains(source)) source.clear();
  auto& times = failures_[source];
  times.push_back(now);
  if (times.size() > most) times.pop_front();
}

}  // namespace sluice::api
