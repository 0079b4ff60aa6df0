// VrrpInstances: what keepalived's notifications say about its VRRP instances. Pure.
//
// A notification is a line: `INSTANCE "name" STATE priority` (keepalived.conf(5),
// vrrp_notify_fifo). Lines of groups repeat what those of their instances say.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sluice::network {

class VrrpInstances {
 public:
  enum class News {
    nothing,
    state,    // an instance has another state
    claimed,  // a master heard a node of lower priority, which has claimed the addresses, too
  };
  // Takes a line without its end. Lines of unknown form are nothing.
  News take(std::string_view line);

  // Says whether this node is the master of any instance.
  bool any_master() const;

  // The states as lines that take() understands.
  std::string lines() const;

 private:
  std::map<std::string, bool, std::less<>> masters_;  // by instance: is it ours?
};

}  // namespace sluice::network
