// AddressHolders: finds out who has an address already, for requests that want to take it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ip_address.hpp"

namespace sluice::api {

// The holders of addresses outside of Sluice's own model.
class AddressHolders {
 public:
  virtual ~AddressHolders() = default;
  // To follow "is": "this host's own (eth0)"; nullopt: it is not this host's.
  virtual std::optional<std::string> own(const IpAddress& address) = 0;
  // The holder of the address as far as this host knows, to follow "is", this host among them.
  virtual std::optional<std::string> known(const IpAddress& address) = 0;
  // Says whether the wire can be asked who has it.
  virtual bool may_ask(const IpAddress& address) = 0;
  // Asks the wire for all of them; `done` gets the holders that answered, to follow "is": "in use
  // by 02:... (eth0)".
  using Answers = std::map<IpAddress, std::string>;
  virtual void ask(const std::vector<IpAddress>& addresses, std::function<void(Answers)> done) = 0;
};

}  // namespace sluice::api
