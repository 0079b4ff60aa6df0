// SnatKeeper: keeps the controller told of the nodes' SNAT addresses: which of them this node
// answers for, because they are its own or because their node is gone (fleet/succession.hpp).
//
// Nodes on one link notice each other's death by the channel on which they tell each other of
// connections, in about a second, or else by etcd, in ten. Behind routers neither matters: these
// know the successor's route all the time.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "address_holders.hpp"
#include "control/controller.hpp"
#include "control/vip_routes.hpp"
#include "dataplane/bpf_data_plane.hpp"
#include "fleet/membership.hpp"
#include "fleet/succession.hpp"
#include "options.hpp"
#include "peering.hpp"

namespace sluice::daemon {

// What is known at the start: this node's addresses, and what an earlier process has left in the
// data plane. In a fleet a node does not begin to answer for its own before it has joined.
control::NodeSnat node_snat_at_start(dataplane::BpfDataPlane& data_plane, const Options& options);

// Says whether the addresses may be this node's: none is the host's own, whose ports are in use by
// others.
Result<void> check_snat_addresses(const Options& options);

class SnatKeeper {
 public:
  struct Callbacks {
    // What this node lacks before it may answer for its own addresses; empty: nothing.
    std::function<std::string()> lacks;
    // What this node announces to routers.
    std::function<control::Announcing()> announcing;
    // Tells the neighbours again what this node answers for.
    std::function<void()> announce_again;
    // Gets an event for operators.
    std::function<void(std::string what)> note;
  };
  // All must outlive this.
  SnatKeeper(boost::asio::io_context& loop, control::Controller& controller,
             fleet::Membership& membership, const Peering& peering, AddressHolders& holders,
             Callbacks callbacks);
  SnatKeeper(const SnatKeeper&) = delete;
  SnatKeeper& operator=(const SnatKeeper&) = delete;

  // The nodes, or what they say, may be others than before.
  void look();

 private:
  void look_again();
  void note_who_is_back(const std::set<std::string>& silent, bool cut_off);
  fleet::Condition own_condition();
  std::set<std::string> silent_peers() const;
  bool is_a_peer_heard(const std::set<std::string>& silent) const;
  std::map<IpAddress, std::string> owners() const;
  fleet::Surroundings surroundings(const std::set<std::string>& silent);
  void ask_for_silent_nodes(const fleet::Surroundings& all);
  void ask_for_own();
  using Answers = api::AddressHolders::Answers;
  void ask(std::vector<IpAddress> addresses, std::function<void(const Answers&)> then);
  void tell(const control::NodeSnat& now);

  control::Controller& controller_;
  fleet::Membership& membership_;
  const Peering& peering_;
  AddressHolders& holders_;
  Callbacks callbacks_;
  boost::asio::steady_timer timer_;
  control::Joining joining_{std::chrono::steady_clock::now()};
  std::set<std::string> silent_;  // peers
  bool is_cut_off_ = false;
  std::set<std::string> absent_;  // silent nodes that don't answer on the link
  bool is_displaced_ = false;
  bool is_asking_ = false;
  std::chrono::steady_clock::time_point next_question_{};
};

}  // namespace sluice::daemon
