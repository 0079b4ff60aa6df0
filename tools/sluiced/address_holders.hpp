// AddressHolders: finds out who has an address already: by the kernel, by the declared subnets and,
// on request, by ARP and neighbour discovery on the attached NICs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>

#include "api/server/server.hpp"
#include "control/controller.hpp"
#include "network/host.hpp"

namespace sluice::daemon {

class AddressHolders : public api::AddressHolders {
 public:
  // Both must outlive it.
  AddressHolders(boost::asio::io_context& loop, control::Controller& controller)
      : loop_(loop), controller_(controller) {}

  std::optional<std::string> own(const IpAddress& address) override;
  std::optional<std::string> known(const IpAddress& address) override;
  bool may_ask(const IpAddress& address) override;
  // Says whether it belongs to a network of an attached NIC, whose hosts can be asked.
  bool is_on_link(const IpAddress& address);
  void ask(const std::vector<IpAddress>& addresses, std::function<void(Answers)> done) override;

 private:
  void look();
  // Asks for the first of `rest`, then for the others; `answers` are those so far.
  void ask_portion(std::vector<IpAddress> rest, Answers answers, std::function<void(Answers)> done);

  boost::asio::io_context& loop_;
  control::Controller& controller_;
  network::Host host_;
  std::vector<std::uint32_t> attached_;
  std::optional<std::chrono::steady_clock::time_point> looked_;
};

}  // namespace sluice::daemon
