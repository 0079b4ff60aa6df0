#include "snat_keeper.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "network/host.hpp"

namespace sluice::daemon {
namespace {

using control::NodeSnat;
using control::SnatRole;
using fleet::Condition;

constexpr auto between_looks = std::chrono::milliseconds(200);
constexpr auto between_questions = std::chrono::seconds(1);

}  // namespace

NodeSnat node_snat_at_start(dataplane::BpfDataPlane& data_plane, const Options& options) {
  NodeSnat known;
  known.own = options.snat_addresses;
  const bool is_alone = options.cluster.members.empty();
  for (const auto& address : known.own) {
    known.addresses[address] = {options.node, is_alone ? SnatRole::owns : SnatRole::stands_by};
  }
  const auto left = data_plane.read();
  if (is_alone || !left) return known;
  for (const auto& [address, entry] : left->vips) {
    if (!entry.snat || !entry.load_balancer.is_nil() || entry.leaving) continue;
    auto& of_node = known.addresses[address];
    const auto answered = of_node.node.empty() ? SnatRole::replaces : SnatRole::owns;
    of_node.role = entry.standby ? SnatRole::stands_by : answered;
  }
  return known;
}

Result<void> check_snat_addresses(const Options& options) {
  if (options.snat_addresses.empty()) return {};
  const auto host = network::read_host();
  if (!host) return fail(Error(host.error()), "check --snat-address");
  for (const auto& address : options.snat_addresses) {
    const auto holder = network::own_on(*host, address);
    if (!holder) continue;
    return fail(ErrorKind::invalid,
                fmt::format("--snat-address {} is {}", address.to_string(), *holder),
                "name an address that no host has: this host's own connections need its ports");
  }
  return {};
}

SnatKeeper::SnatKeeper(boost::asio::io_context& loop, control::Controller& controller,
                       fleet::Membership& membership, const Peering& peering,
                       AddressHolders& holders, Callbacks callbacks)
    : controller_(controller),
      membership_(membership),
      peering_(peering),
      holders_(holders),
      callbacks_(std::move(callbacks)),
      timer_(loop) {
  look_again();
}

void SnatKeeper::look_again() {
  look();
  timer_.expires_after(between_looks);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) look_again();
  });
}

std::set<std::string> SnatKeeper::silent_peers() const {
  std::set<std::string> silent;
  if (!peering_.peers()) return silent;
  for (const auto& peer : peering_.peers()->state().peers) {
    if (peer.state == "SILENT" && !peer.name.empty()) silent.insert(peer.name);
  }
  return silent;
}

bool SnatKeeper::is_a_peer_heard(const std::set<std::string>& silent) const {
  return peering_.peers() &&
         std::ranges::any_of(membership_.roster().nodes(), [&](const auto& node) {
           return node.first != membership_.node() && !silent.contains(node.first);
         });
}

Condition SnatKeeper::own_condition() {
  if (joining_.waits(std::chrono::steady_clock::now(), callbacks_.lacks()))
    return Condition::silent;
  fleet::NodeEntry entry;
  entry.announcing = callbacks_.announcing();
  return fleet::condition_of(entry);
}

// Before etcd was read, nothing is known but this node's own, and what an earlier process has left.
std::map<IpAddress, std::string> SnatKeeper::owners() const {
  auto owners = membership_.roster().snat_addresses();
  if (!membership_.roster().is_read()) {
    for (const auto& [address, of_node] : controller_.node_snat().addresses)
      owners.emplace(address, of_node.node);
  }
  for (const auto& address : membership_.snat_claims().own())
    owners.insert_or_assign(address, membership_.node());
  return owners;
}

fleet::Surroundings SnatKeeper::surroundings(const std::set<std::string>& silent) {
  fleet::Surroundings all{.node = membership_.node(),
                          .owners = owners(),
                          .nodes = {},
                          .candidates = {membership_.node()},
                          .absent = {},
                          .is_displaced = is_displaced_};
  for (const auto& [name, node] : membership_.roster().nodes()) {
    if (node.succeeds) all.candidates.insert(name);
    all.nodes[name] = silent.contains(name) ? Condition::silent : fleet::condition_of(node);
  }
  all.nodes[all.node] = own_condition();
  std::erase_if(absent_, [&](const auto& name) {
    const auto found = all.nodes.find(name);
    return found != all.nodes.end() && found->second != Condition::silent;
  });
  all.absent = absent_;
  return all;
}

// Who has not heard of this node may have taken its place meanwhile. The neighbours are told that
// it is here, although it may have never stopped answering.
void SnatKeeper::note_who_is_back(const std::set<std::string>& silent, bool cut_off) {
  const bool is_somebody_back = !std::ranges::includes(silent, silent_);
  const bool was_cut_off = std::exchange(is_cut_off_, cut_off);
  silent_ = silent;
  if (!cut_off) is_displaced_ = false;
  if (is_somebody_back || (was_cut_off && !cut_off)) callbacks_.announce_again();
}

void SnatKeeper::look() {
  const auto silent = silent_peers();
  // It may also be this node that is cut off, and the others may be well, and have taken its place.
  const bool hears_a_peer = is_a_peer_heard(silent);
  const bool cut_off = !membership_.is_following() && !hears_a_peer;
  note_who_is_back(silent, cut_off);
  // Without a peer that is heard, only etcd can tell who is gone.
  const auto all = surroundings(hears_a_peer ? silent : std::set<std::string>());
  NodeSnat now{.own = membership_.snat_claims().own(),
               .addresses = snat_roles(all, controller_.node_snat().addresses)};
  tell(now);
  controller_.set_node_snat(std::move(now));
  const auto time = std::chrono::steady_clock::now();
  if (is_asking_ || time < next_question_) return;
  next_question_ = time + between_questions;
  if (cut_off) {
    ask_for_own();
  } else {
    ask_for_silent_nodes(all);
  }
}

// Finds out on the link whether the silent nodes that this one would replace still answer there.
// What is not on a link of ours, routers lead to the right node.
void SnatKeeper::ask_for_silent_nodes(const fleet::Surroundings& all) {
  std::map<IpAddress, std::string> asked;
  for (const auto& [address, owner] : all.owners) {
    const auto condition = all.nodes.find(owner);
    const bool is_silent = condition == all.nodes.end() || condition->second == Condition::silent;
    if (is_silent && owner != all.node && !all.absent.contains(owner) &&
        successor_of(owner, all) == all.node)
      asked.emplace(address, owner);
  }
  if (asked.empty()) return;
  std::vector<IpAddress> addresses;
  for (const auto& [address, owner] : asked) addresses.push_back(address);
  ask(std::move(addresses), [this, asked = std::move(asked)](const Answers& answers) {
    std::set<std::string> present;
    for (const auto& [address, answer] : answers) present.insert(asked.at(address));
    for (const auto& [address, owner] : asked) {
      if (!present.contains(owner)) absent_.insert(owner);
    }
    look();
  });
}

void SnatKeeper::ask_for_own() {
  ask(membership_.snat_claims().own(), [this](const Answers& answers) {
    if (answers.empty() || is_displaced_) return;
    is_displaced_ = true;
    look();
  });
}

void SnatKeeper::ask(std::vector<IpAddress> addresses, std::function<void(const Answers&)> then) {
  std::erase_if(addresses, [this](const auto& address) { return !holders_.is_on_link(address); });
  if (addresses.empty()) return then({});
  is_asking_ = true;
  holders_.ask(addresses, [this, then = std::move(then)](const Answers& answers) {
    is_asking_ = false;
    then(answers);
  });
}

// Tells operators whose place this node takes, or takes no more.
void SnatKeeper::tell(const NodeSnat& now) {
  const auto replaced = [](const NodeSnat& snat) {
    std::set<std::string> nodes;
    for (const auto& [address, of_node] : snat.addresses) {
      if (of_node.role == SnatRole::replaces && !of_node.node.empty()) nodes.insert(of_node.node);
    }
    return nodes;
  };
  const auto note = [this](const std::string& what) {
    spdlog::info("fleet: {}", what);
    callbacks_.note(what);
  };
  const auto before = replaced(controller_.node_snat()), after = replaced(now);
  for (const auto& node : after) {
    if (!before.contains(node))
      note(fmt::format("this node answers for the SNAT addresses of {}, which is gone", node));
  }
  for (const auto& node : before) {
    if (!after.contains(node))
      note(fmt::format("this node no longer answers for the SNAT addresses of {}", node));
  }
}

}  // namespace sluice::daemon
