// VipRoutes: announces the VIPs that this node can serve, and SNAT addresses of nodes, by routes
// that a BGP daemon exports (network/routes.hpp).
//
// A VIP is announced while the data plane holds it, read back and up, and the program is on all
// NICs that it should be on. The kernel's routes are compared with that and mended, so a restart,
// somebody's deletion and leftovers are the same case. Where it isn't known what the data plane
// holds, the routes stay as they are: withdrawing every VIP is the worst answer to a doubt. They
// also stay when this process ends, as the data plane does.
//
// A node's SNAT address is announced by the node itself, also while it is drained, because members
// answer to it for as long as there are connections; and all the time, with a worse metric, by the
// node that would take its place. So routers, who notice a node's death first, send answers there
// at once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/controller.hpp"
#include "control/fleet.hpp"
#include "network/routes.hpp"

namespace sluice::control {

// A node that is drained first raises the metric of its routes, so that routers prefer every other
// node and come here only if there is none, and then withdraws them.
enum class Drain { none, draining, drained };
constexpr std::chrono::seconds until_withdrawal{10};

struct DrainState {
  Drain drain = Drain::none;
  std::chrono::milliseconds left{0};  // while draining: until the routes are withdrawn
};

// How far a drain is. The routers' time begins when the kernel has the routes with the raised
// metric, and is measured by this node's clock: whoever has asked for the drain has another one.
// Pure.
class DrainProgress {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // The drain is wanted, or not any more.
  void follow(bool is_wanted);
  // The kernel has the routes with the raised metric. Only the first time counts.
  void raised(Time now);
  // The time is over: routers have been told by an earlier process, or nothing was announced.
  void is_over(Time now) { withdrawal_ = now; }
  DrainState state(Time now) const;

 private:
  bool is_wanted_ = false;
  std::optional<Time> withdrawal_;  // nullopt: the metric is not raised yet
};

// A node that starts waits before it announces VIPs that it doesn't announce yet: a router would
// send it packets of others' connections, and of VIPs that it doesn't know. What is announced
// already stays, so a restart is not noticed. It waits ten seconds at most, and only once: a node
// that loses the others later goes on announcing. Pure.
class Joining {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds longest{10};

  explicit Joining(Time started) : started_(started) {}
  // Says whether the node still waits, given what it lacks (empty: nothing).
  bool waits(Time now, const std::string& lacks);
  bool is_over() const { return is_over_; }

 private:
  Time started_;
  bool is_over_ = false;
};

class VipRoutes {
 public:
  struct Settings {
    std::string node;                     // its name
    std::vector<std::string> interfaces;  // that must be attached; empty: any one
    bool ipv6_in_main_table = false;
  };
  struct Callbacks {
    // Says whether somebody is attaching or detaching: then nothing is announced anew, because
    // `sluice-loader detach` withdraws first.
    std::function<bool()> somebody_changes;
    // Gets an event for operators.
    std::function<void(std::string what)> note;
    // Is called when announcing() may have changed.
    std::function<void()> changed = [] {};
    // Says whether another live node announces the VIPs of this load balancer and has usable
    // members for it.
    std::function<bool(const model::LoadBalancer&)> is_served_elsewhere =
        [](const model::LoadBalancer&) { return false; };
    // Why nothing may be announced; empty: it may.
    std::function<std::string()> forbids = [] { return std::string(); };
    // What this node, which has just started, lacks before it should announce; empty: nothing.
    std::function<std::string()> lacks = [] { return std::string(); };
  };

  // The controller must outlive this.
  VipRoutes(boost::asio::io_context& loop, Controller& controller, network::Routes routes,
            Settings settings, Callbacks callbacks);
  VipRoutes(const VipRoutes&) = delete;
  VipRoutes& operator=(const VipRoutes&) = delete;

  // Brings the routes in line soon, whatever the kernel has made of them.
  void look();
  // Other nodes may have other members than before.
  void others_changed();

  // What is announced now. A drain that was just asked for, or ended, counts already.
  Announcing announcing() const;
  // While draining: until the routes are withdrawn.
  std::optional<std::chrono::milliseconds> until_withdrawn() const;
  const std::string& node() const { return settings_.node; }

 private:
  // What should be announced; nullopt: what is.
  struct Wish {
    std::vector<IpAddress> vips;
    std::map<IpAddress, NodeSnatAddress> of_nodes = {};  // SNAT addresses
    std::string reason = {};
    std::uint32_t metric = network::normal_metric;
    bool drained = false;
  };
  // What is announced, as far as was told.
  struct Standing {
    std::size_t ipv4 = 0, ipv6 = 0;  // VIPs
    std::string reason;              // why no VIP is announced; empty: they are
    bool drained = false;            // the reason is a drain
    Drain drain = Drain::none;
    std::string lacks = {};  // what a node that joins waits for; empty: it has joined
    bool operator==(const Standing&) const = default;
  };
  bool is_drain_wanted() const { return controller_.model().drained_nodes.contains(node()); }
  DrainState drain_state() const;
  void follow_drain();
  std::optional<Wish> wish();
  network::Announcements wanted_by(const Wish& wish) const;
  bool is_of_node(const network::Announcement& one) const;
  std::vector<IpAddress> announced_of(const std::map<IpAddress, Uuid>& held);
  bool is_left_to_others(const Uuid& load_balancer);
  bool is_joining();
  Result<std::string> missing_interface() const;
  void schedule(std::chrono::milliseconds pause);
  void bring_in_line();
  void proceed();
  void raised();
  void look_when_withdrawn(std::chrono::milliseconds left);
  void tell(const Wish& wish);
  void failed(const Error& error);

  Controller& controller_;
  network::Routes routes_;
  Settings settings_;
  Callbacks callbacks_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer withdrawal_;
  bool scheduled_ = false;
  std::map<Uuid, bool>
      left_to_others_;  // load balancers that are announced by healthy nodes; true: by others
  bool unsure_ = true;  // the kernel may have other routes than last_
  network::Announcements last_;           // that were wanted
  std::vector<network::RouteStep> left_;  // the last is the next
  Standing standing_;
  DrainProgress drain_;
  Joining joining_{std::chrono::steady_clock::now()};
  bool has_looked_ = false;                    // at the routes of an earlier process
  std::size_t left_ipv4_ = 0, left_ipv6_ = 0;  // VIPs that it has left announced
  std::string told_failure_;
  std::optional<std::string> told_reason_;
};

}  // namespace sluice::control
