// Announcer: tells the neighbours where a VIP is now, by gratuitous ARP or an unsolicited neighbour
// advertisement, when it becomes active on a NIC and when that NIC comes up or gets another MAC.
// (The data plane answers those who ask later.)
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip_address.hpp"
#include "base/result.hpp"

namespace sluice::network {

// Sends one announcement. Succeeds without one on an interface that is not Ethernet.
Result<void> send_announcement(std::uint32_t interface_index, const IpAddress& vip);

class Announcer {
 public:
  // Broadcasts get lost and nobody acknowledges them, so each announcement is repeated.
  static constexpr int repetitions = 3;
  static constexpr auto interval = std::chrono::seconds(1);

  explicit Announcer(boost::asio::any_io_executor executor);

  // Says which addresses are ours on which interfaces from now on. Announces the pairs that are
  // new.
  void announce(const std::vector<std::uint32_t>& interfaces, const std::vector<IpAddress>& vips);
  // The same where only these addresses come or go. An address that does both stays.
  void change(const std::vector<std::uint32_t>& interfaces, const std::vector<IpAddress>& removed,
              const std::vector<IpAddress>& added);
  // Announces everything on this interface anew.
  void interface_changed(std::uint32_t interface_index);
  // Announces everything anew: somebody else has claimed it meanwhile.
  void repeat();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace sluice::network
