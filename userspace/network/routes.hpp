// Routes: the host routes by which a BGP daemon (BIRD, FRR) tells a router that VIPs are here.
//
// They are in a kernel table of their own, so they never change how this host forwards, and have a
// protocol number of their own, by which the daemon picks them out. Everything of that protocol in
// that table is ours: what is not wanted is removed, whoever has made it. FRR 8 imports no IPv6
// table, so IPv6 routes may also be put into the main table, where they say "unreachable": no host
// of this name is behind us.
//
// The kernel keeps the routes when this process ends.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <vector>

#include "base/ip_address.hpp"
#include "base/ip_network.hpp"
#include "base/result.hpp"

struct nl_sock;

namespace sluice::network {

// FRR imports tables up to 252 only.
constexpr std::uint32_t announcement_table = 142;
constexpr std::uint8_t announcement_protocol = 142;
// They are given explicitly, because the kernel gives an IPv6 route without a metric 1024.
constexpr std::uint32_t normal_metric = 100;
constexpr std::uint32_t draining_metric = 2000;
// Of another node's SNAT address: routers come here when that node is gone. Their configurations
// know this metric from drains.
constexpr std::uint32_t successor_metric = draining_metric;
// In the main table this comes on top, so that any other route to such an address wins.
constexpr std::uint32_t main_table_metric = 4000;

struct Announcement {
  IpNetwork network;         // a VIP, with all its bits
  std::uint32_t metric = 0;  // as wanted; main_table_metric is not part of it
  bool in_main_table = false;

  bool operator==(const Announcement&) const = default;
  bool operator<(const Announcement& other) const;
};
using Announcements = std::set<Announcement>;

// The announcements of these VIPs. `ipv6_in_main_table`: IPv6 ones are in both tables.
Announcements announcements(const std::vector<IpAddress>& vips, std::uint32_t metric,
                            bool ipv6_in_main_table);

class Routes {
 public:
  struct Found {
    Announcements sound;
    std::vector<Announcement> strange;  // of our protocol, but not as we make them
  };

  static Result<Routes> open();
  Routes(Routes&&) noexcept;
  Routes& operator=(Routes&&) noexcept;
  ~Routes();

  // Lists what the kernel has of ours in this network namespace, however many other routes there
  // are.
  Result<Found> read();
  // An announcement that is there already, or is gone already, is none the less a success.
  Result<void> add(const Announcement& announcement);
  Result<void> remove(const Announcement& announcement);

 private:
  struct Socket;
  explicit Routes(std::unique_ptr<Socket> socket);
  std::unique_ptr<Socket> socket_;
};

// One step from what the kernel has to what is wanted.
struct RouteStep {
  bool add = false;
  Announcement announcement;

  bool operator==(const RouteStep&) const = default;
};
// The steps, those of a VIP one after the other. An IPv6 VIP gets its other metric before it loses
// the one of before. An IPv4 one loses it first: when FRR sees a route go from an imported table,
// it forgets the VIP, although there is another route to it. What is back at once, no router
// notices. Pure.
std::vector<RouteStep> steps(const Announcements& wanted, const Routes::Found& found);

// Removes all of them; returns how many there were.
Result<std::size_t> withdraw_announcements();

}  // namespace sluice::network
