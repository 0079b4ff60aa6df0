// Follower: keeps in step with the model all that follows from it: probes, the members' next hops,
// announcements of VIPs, and provisioning errors in the log.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/controller.hpp"
#include "health/monitor.hpp"
#include "network/announcer.hpp"
#include "network/neighbor_keeper.hpp"

namespace sluice::control {

class Follower {
 public:
  // Gets events for operators: a kind ("health", "provisioning", "attachment"), a sentence, and the
  // member that it is about (null: none).
  using Note = std::function<void(std::string_view kind, std::string what, const Uuid* member)>;

  // All arguments must outlive the Follower. `checks` carries out EXTERNAL monitors, `vips` has
  // probes ask for VIPs; null: nobody does.
  Follower(boost::asio::io_context& loop, Controller& controller,
           network::NeighborKeeper& neighbors, Note note, health::ExternalProber* checks = nullptr,
           health::VipProbes* vips = nullptr);

  // Catches up now. The Follower does so itself after each change of the model, but not when NICs
  // come and go.
  void catch_up();

  // Announces all VIPs to the neighbours again, unless another node answers for them.
  void announce_again() { announcer_.repeat(); }

  // Notes a link that is new, up again, or has another MAC.
  void link_changed(std::uint32_t interface_index);

  // From now on this node probes only the members for which `probed_here` says so. It is called
  // again for members that are new.
  void probe_only(std::function<bool(const Uuid& member)> probed_here);

  // Notes that new connections to a member fail: `what` they are ("refused", "not answered"), and
  // whether `many` failed within a second.
  void suspect(const Uuid& member, bool many, const std::string& what);

 private:
  struct Announced {
    model::Model model;
    std::vector<std::uint32_t> interfaces;
    bool standby = false;
    std::vector<IpAddress> of_nodes = {};  // SNAT addresses
  };
  void schedule();
  void health_changed(const std::vector<health::Monitor::Change>& changes);
  void catch_up_in_slices();
  void begin_to_catch_up();
  bool catch_up_with_some();
  void end_catching_up();
  void probe_members();
  void keep_neighbors();
  void announce_vips();
  void announce_changes(const std::vector<std::uint32_t>& interfaces);
  void end_drains();
  std::optional<std::chrono::nanoseconds> give_up_removed_members();
  void continue_slow_starts();
  void let_go_of_failed_members();

  Controller& controller_;
  network::NeighborKeeper& neighbors_;
  Note note_;
  network::Announcer announcer_;
  health::Monitor monitor_;
  std::function<bool(const Uuid& member)> probed_here_ = [](const Uuid&) { return true; };
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer drain_timer_;
  boost::asio::steady_timer slow_start_timer_;
  Overdue overdue_;
  // The model at the last catch-up. Most changes since then need nothing from the Follower.
  model::Model followed_;
  std::optional<model::Model> following_;  // set: the one with which it is catching up
  std::size_t next_part_ = 0;
  std::optional<Announced> announced_;
  bool scheduled_ = false;
  bool someone_failed_ = false;
  bool sweeping_ = false;
  std::chrono::steady_clock::time_point last_sweep_{};
  std::optional<std::vector<std::string>> told_interfaces_;
};

}  // namespace sluice::control
