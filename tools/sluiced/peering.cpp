#include "peering.hpp"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <set>

#include "base/secret_file.hpp"
#include "dataplane/replicas.hpp"

namespace sluice::daemon {
namespace {

// The connections of one peer may have a half of the flow tables here.
constexpr std::size_t peers_part = 2;

// The addresses at which the other nodes of a fleet hear of connections.
std::vector<TcpAddress> addresses_in(const fleet::Roster& roster, const std::string& this_node) {
  std::vector<TcpAddress> addresses;
  for (const auto& [name, node] : roster.nodes()) {
    if (name == this_node || node.peer.empty()) continue;
    if (const auto address = parse_tcp_address(node.peer)) {
      addresses.push_back(*address);
    } else {
      spdlog::warn("fleet: {} has no address for peers: {}", name, address.error().text());
    }
  }
  return addresses;
}

}  // namespace

Result<Peering> Peering::open(boost::asio::io_context& loop, const Options& options) {
  Peering peering;
  const auto& wanted = options.peers;
  if (!wanted.are_wanted) return peering;
  auto channel = peers::Channel::open(
      {.listen = wanted.listen, .key_file = wanted.key_file, .name = options.node},
      [&loop](std::string line) {
        boost::asio::post(loop, [line = std::move(line)] { spdlog::info("{}", line); });
      });
  if (!channel) return tl::unexpected(std::move(channel.error()));
  peering.channel_ = std::move(*channel);
  peering.peers_ = wanted.addresses;
  if (wanted.key_file.empty()) peering.key_copy_ = options.state_directory / "peer-keys";
  return peering;
}

void Peering::follow(const dataplane::BpfDataPlane& data_plane) {
  const auto& program = data_plane.program();
  auto replicas = dataplane::open_replicas(program);
  if (!replicas) {
    if (channel_) spdlog::error("tell peers of connections: {}", replicas.error().text());
    return;
  }
  const auto room = std::size_t{program.flow_capacity()} + program.flow_capacity6();
  if (channel_) return channel_->follow(std::move(*replicas), room / peers_part);
  // An earlier sluiced may have had it tell.
  if (const auto off = (*replicas)->tell_changes(false); !off)
    spdlog::error("tell nobody of connections: {}", off.error().text());
}

// Takes the keys from etcd, by way of a copy on this node's disk: its peers have to be understood
// without etcd, too.
Result<void> Peering::use_keys_of(fleet::Membership& membership) {
  auto copy = read_secret_file(key_copy_);
  if (!copy) return tl::unexpected(std::move(copy.error()));
  const auto use = [channel = channel_.get()](const std::vector<std::string>& secrets) {
    auto keys = peers::Keys::parse(fmt::format("{}", fmt::join(secrets, "\n")));
    if (!keys) return spdlog::error("the peers' key in etcd: {}", keys.error().text());
    channel->use_keys(std::move(*keys));
  };
  membership.use_peer_keys(std::move(*copy), {.make_secret = peers::new_key_text,
                                              .use = use,
                                              .keep =
                                                  [file = key_copy_](const std::string& text) {
                                                    return write_secret_file(file, text);
                                                  },
                                              .changed = {},
                                              .event = {}});
  return {};
}

Result<void> Peering::start(control::Controller& controller, fleet::Membership* membership) {
  if (!channel_) return {};
  if (membership && !key_copy_.empty()) {
    if (auto used = use_keys_of(*membership); !used) return used;
  }
  channel_->know(controller.model());
  controller.on_change([this, &controller] { channel_->know(controller.model()); });
  present_ = peers_;
  channel_->set_peers(present_);
  if (membership) {
    membership->on_nodes_change([this, membership] {
      present_ = addresses_in(membership->roster(), membership->node());
      present_.insert(present_.end(), peers_.begin(), peers_.end());
      channel_->set_peers(present_);
    });
  }
  channel_->start();
  return {};
}

std::string Peering::lacks() const {
  if (!channel_ || present_.empty()) return {};
  // Each tells of those that it carries itself, so all of them have to, but for those that fell
  // silent. One that was dead before is waited for, as long as is waited at all.
  const auto peers = channel_->state().peers;
  const auto lacking = std::ranges::find_if(
      peers, [](const auto& peer) { return peer.state != "FOLLOWING" && peer.state != "SILENT"; });
  if (lacking != peers.end()) return "the connections of " + lacking->address;
  return peers.empty() ? "the connections of " + present_.front().to_string() : "";
}

}  // namespace sluice::daemon
