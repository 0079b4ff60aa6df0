// SnatClaims: writes into etcd which SNAT addresses are this node's, each where nobody has written
// it yet, so that no two nodes have one address. A claim outlives its node, whose connections do,
// too. No I/O.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "fleet/etcd.hpp"
#include "fleet/keys.hpp"

namespace sluice::fleet {

class SnatClaims {
 public:
  struct Settings {
    Keys keys;
    std::string node;
    std::vector<IpAddress> addresses;  // that this node should have
  };
  // `event`: gets a line for the log.
  SnatClaims(Etcd& etcd, Settings settings, std::function<void(Tone, const std::string&)> event)
      : etcd_(etcd), settings_(std::move(settings)), event_(std::move(event)) {}
  SnatClaims(const SnatClaims&) = delete;
  SnatClaims& operator=(const SnatClaims&) = delete;

  // Takes whose the addresses are by what is in etcd, claims those that are free, and gives up
  // those that this node doesn't want any more, unless it wants another node's.
  void follow(std::map<IpAddress, std::string> owners);

  // The addresses of this node. While etcd is not known, it has what it should have.
  std::vector<IpAddress> own() const;
  // "SNAT address 10.0.0.31 is lb2's"; empty: none is another node's.
  std::string refusal() const;

 private:
  void look();
  void claim(const IpAddress& address);
  void give_up(const IpAddress& address);
  void done(const Answer<TransactionReply>& answer);
  bool is_another_ones(const IpAddress& address) const;

  Etcd& etcd_;
  Settings settings_;
  std::function<void(Tone, const std::string&)> event_;
  std::map<IpAddress, std::string> owners_;
  std::string told_;      // the refusal
  bool is_busy_ = false;  // with a call to etcd, or waiting for the next try
};

}  // namespace sluice::fleet
