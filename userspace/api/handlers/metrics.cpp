#include "api/handlers/metrics.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "api/handlers/metric_text.hpp"
#include "api/handlers/metrics_page.hpp"
#include "model/supported.hpp"
#include "model/vips.hpp"

namespace sluice::api {
namespace {

using namespace std::chrono_literals;

// Finds entries of a sorted map for ids that come in the same order, without searching each.
template <typename Map>
class Beside {
 public:
  explicit Beside(const Map& map) : at_(map.begin()), end_(map.end()) {}

  // Returns the entry's value, or null if there is none.
  const typename Map::mapped_type* find(const Uuid& id) {
    while (at_ != end_ && at_->first < id) ++at_;
    return at_ != end_ && at_->first == id ? &at_->second : nullptr;
  }

 private:
  typename Map::const_iterator at_, end_;
};

// Reads everything before anything is sent, so that a slow client gets figures of one moment, and
// what is written then needs only them.
class Scrape {
 public:
  Scrape(control::Controller& controller, const MetricsSources& sources)
      : sources_(sources),
        controller_(controller),
        suspects_(controller.suspects()),
        renewal_(sources.rows ? *sources.rows : MetricRows(), controller.model(),
                 controller.health(), controller.full_listeners(), sources.fleet) {}

  // Reads the next part; returns whether that was the last one.
  bool step() {
    static constexpr std::array parts = {
        &Scrape::rows,
        &Scrape::at_once<&Scrape::packets>,
        &Scrape::at_once<&Scrape::count_listeners>,
        &Scrape::at_once<&Scrape::count_members>,
        &Scrape::at_once<&Scrape::time_handshakes>,
        &Scrape::at_once<&Scrape::interfaces>,
        &Scrape::at_once<&Scrape::leaving_sources>,
        &Scrape::at_once<&Scrape::announcements>,
        &Scrape::at_once<&Scrape::fleet>,
        &Scrape::at_once<&Scrape::tables>,
        &Scrape::at_once<&Scrape::store>,
        &Scrape::at_once<&Scrape::turns>,
        &Scrape::at_once<&Scrape::events>,
        &Scrape::at_once<&Scrape::records>,
        &Scrape::at_once<&Scrape::peers>,
        &Scrape::at_once<&Scrape::build>,
        &Scrape::at_once<&Scrape::all_errors>,
    };
    if ((this->*parts[next_])()) ++next_;
    return next_ == parts.size();
  }
  // Only after the last step.
  std::unique_ptr<Pieces> page() { return metrics_page(std::move(figures_)); }

 private:
  template <void (Scrape::*part)()>
  bool at_once() {
    (this->*part)();
    return true;
  }

  // Renews the rows, and keeps them for the next scrape. All parts of the page tell of the same
  // objects: of those that there were when it began.
  bool rows() {
    if (!renewal_.step()) return false;
    figures_.rows = renewal_.take();
    if (sources_.rows) *sources_.rows = figures_.rows;
    return true;
  }

  void packets() {
    MetricText text(figures_.before);
    constexpr std::string_view name = "sluice_packets_total";
    text.family(name, "counter", "Packets by what became of them and why (see 'sluicectl drops').");
    const auto reasons = data_plane().reason_counters();
    if (!reasons) return failed();
    for (const auto& reason : *reasons) {
      text.sample(name, {{"reason", reason.label}, {"verdict", reason.verdict}}, reason.packets);
    }
  }

  void count_listeners() {
    const auto counters = data_plane().all_listener_counters();
    if (!counters) return failed();
    Beside beside(*counters);
    auto& counted_all = figures_.listeners.emplace();
    counted_all.reserve(figures_.rows.listeners->size());
    for (const auto& row : *figures_.rows.listeners)
      counted_all.push_back(counted(row, beside.find(row.id)));
  }

  void count_members() {
    const auto counters = data_plane().all_member_counters();
    if (!counters) return failed();
    Beside beside(*counters);
    Beside health(figures_.rows.health);
    auto& counted_all = figures_.members.emplace();
    counted_all.reserve(figures_.rows.members->size());
    for (const auto& row : *figures_.rows.members) {
      CountedMember member{counted(row, beside.find(row.id)), {}, suspects_.contains(row.id)};
      if (const auto* found = health.find(row.id)) member.up = *found == model::Health::up;
      counted_all.push_back(member);
    }
  }

  static Counted counted(const LabelRow& row, const control::Counters* counters) {
    return {row.labels, counters ? *counters : control::Counters{}};
  }

  void time_handshakes() {
    auto handshakes = data_plane().all_handshakes();
    if (!handshakes) return failed();
    figures_.handshakes = std::move(*handshakes);
  }

  void interfaces() {
    text_.family("sluice_interface_attached", "gauge", "1 for each NIC that Sluice balances on.");
    const auto attached = data_plane().interfaces();
    if (!attached) return failed();
    for (const auto& interface : *attached) {
      text_.sample("sluice_interface_attached", {{"interface", interface.name}}, 1);
    }
  }

  void leaving_sources() {
    const auto& all = controller_.leaving_sources();
    if (all.empty()) return;
    constexpr std::string_view name = "sluice_leaving_snat_address_connections";
    text_.family(name, "gauge",
                 "Connections that have a SNAT address that was taken from its load balancer.");
    for (const auto& [address, connections] : all)
      text_.sample(name, {{"address", address.to_string()}}, connections);
  }

  // Entries and capacity of the data plane's tables: those that a change of the desired state can
  // find full, and those of connections.
  void tables() {
    struct Fill {
      std::string_view table;
      std::uint64_t entries, capacity;
    };
    std::vector<Fill> fills;
    const auto room = data_plane().supported().room;
    const auto taken = model::taken(figures_.rows.model);
    const auto add = [&](std::string_view table, std::size_t entries, std::size_t capacity) {
      if (capacity != model::Room::plenty) fills.push_back({table, entries, capacity});
    };
    add("vips", taken.vips, room.vips);
    add("listeners", taken.listeners, room.listeners);
    add("listener_entries", taken.listener_entries, room.listener_entries);
    add("pools", taken.pools, room.pools);
    add("members", taken.members, room.members);
    const auto flows = data_plane().flow_tables();
    if (!flows) return failed();
    for (const auto& one : *flows) fills.push_back({one.table, one.connections, one.capacity});

    text_.family("sluice_table_entries", "gauge",
                 "Entries in use; of flows4 and flows6 as the last sweep found them.");
    for (const auto& one : fills)
      text_.sample("sluice_table_entries", {{"table", one.table}}, one.entries);
    text_.family("sluice_table_capacity_entries", "gauge", "Entries for which there is room.");
    for (const auto& one : fills)
      text_.sample("sluice_table_capacity_entries", {{"table", one.table}}, one.capacity);
  }

  void store() {
    text_.family("sluice_store_up", "gauge", "1: the store took the last commit, 0: it refused.");
    text_.sample("sluice_store_up", "", controller_.store_failure().empty() ? 1 : 0);
    text_.family("sluice_store_commits_total", "counter", "Commits that were given to the store.");
    text_.sample("sluice_store_commits_total", "", controller_.commits());
    text_.family("sluice_store_commit_wait_seconds", "gauge",
                 "For how long the store has been at its present commit; 0 without one.");
    const auto since = controller_.committing_since();
    const auto wait = since ? std::chrono::steady_clock::now() - *since : 0ns;
    text_.sample("sluice_store_commit_wait_seconds", "",
                 std::chrono::duration<double>(wait).count());
  }

  void build() {
    if (!sources_.version.empty()) {
      text_.family("sluice_build_info", "gauge", "1, with the version and revision of sluiced.");
      text_.sample("sluice_build_info",
                   {{"version", sources_.version}, {"revision", sources_.revision}}, 1);
    }
    if (sources_.certificate_end) {
      constexpr std::string_view name = "sluice_tls_certificate_not_after_timestamp_seconds";
      text_.family(name, "gauge", "When the API's certificate, or one of its chain, ends.");
      text_.sample(name, "", std::chrono::system_clock::to_time_t(*sources_.certificate_end));
    }
    text_.family("process_cpu_seconds_total", "counter", "CPU time of sluiced, all its threads.");
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    text_.sample("process_cpu_seconds_total", "",
                 static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9);
  }

  // The VIPs that routers are told of, and whether the node is being drained or is drained.
  void announcements() {
    if (!sources_.vip_routes) return;
    const auto announced = sources_.vip_routes->announcing();
    text_.family("sluice_vips_announced", "gauge", "VIPs that this node announces to routers.");
    text_.sample("sluice_vips_announced", {{"ip_version", "4"}}, announced.ipv4);
    text_.sample("sluice_vips_announced", {{"ip_version", "6"}}, announced.ipv6);
    const auto& node = sources_.vip_routes->node();
    text_.family("sluice_node_drained", "gauge", "1: the node is being drained, or is drained.");
    text_.sample("sluice_node_drained", {{"node", node}},
                 figures_.rows.model.drained_nodes.contains(node) ? 1 : 0);
  }

  // How this node stands to its fleet, and what it knows of the live nodes, itself among them.
  // While it doesn't follow, that is what it knew last.
  void fleet() {
    if (!sources_.fleet) return;
    const auto state = sources_.fleet->state();
    text_.family("sluice_fleet_following", "gauge",
                 "1: this node follows the desired state in etcd, 0: it doesn't.");
    text_.sample("sluice_fleet_following", "", state.state == "FOLLOWING" ? 1 : 0);
    text_.family("sluice_fleet_generation", "gauge",
                 "Generation of the fleet's desired state; each change is a new one.");
    text_.sample("sluice_fleet_generation", "", state.generation);
    text_.family("sluice_fleet_nodes", "gauge", "Nodes of the fleet that live.");
    text_.sample("sluice_fleet_nodes", "", state.nodes.size());
    text_.family("sluice_fleet_node_applied_generation", "gauge",
                 "Generation that the node has applied and read back; 0: it doesn't follow yet.");
    for (const auto& node : state.nodes)
      text_.sample("sluice_fleet_node_applied_generation", {{"peer", node.name}}, node.applied);
    text_.family("sluice_fleet_node_errors", "gauge",
                 "Objects that the node's data plane has refused.");
    for (const auto& node : state.nodes)
      text_.sample("sluice_fleet_node_errors", {{"peer", node.name}}, node.errors);
  }

  // The event loop's turns, for which an eviction may have to wait, and the longest one.
  void turns() {
    if (!sources_.turns) return;
    const auto& turns = *sources_.turns;
    constexpr std::string_view name = "sluice_event_loop_turn_cpu_seconds";
    const auto seconds = [](std::chrono::nanoseconds time) {
      return std::chrono::duration<double>(time).count();
    };
    text_.family(name, "histogram", "CPU time of the turns of sluiced's event loop.");
    std::uint64_t so_far = 0;
    for (std::size_t i = 0; i < turns.counts().size(); ++i) {
      so_far += turns.counts()[i];
      const bool any = i == TurnTimes::limits.size();
      text_.sample(fmt::format("{}_bucket", name),
                   {{"le", any ? "+Inf" : fmt::format("{:g}", seconds(TurnTimes::limits[i]))}},
                   so_far);
    }
    text_.sample(fmt::format("{}_sum", name), "", seconds(turns.sum()));
    text_.sample(fmt::format("{}_count", name), "", so_far);
    text_.family("sluice_event_loop_longest_turn_cpu_seconds", "gauge",
                 "CPU time of the longest turn since the start.");
    text_.sample("sluice_event_loop_longest_turn_cpu_seconds", "", seconds(turns.longest()));
  }

  void events() {
    if (!sources_.events) return;
    constexpr std::string_view name = "sluice_events_dropped_total";
    text_.family(name, "counter",
                 "Events that were dropped: too many alike in a minute, or the disk took none.");
    text_.sample(name, {{"reason", "alike"}}, sources_.events->dropped());
    text_.sample(name, {{"reason", "disk"}}, controller_.forgotten_notes());
  }

  void records() {
    if (!sources_.records) return;
    const auto& counts = *sources_.records;
    text_.family("sluice_records_total", "counter",
                 "Records of connections that the data plane has written and sluiced has read.");
    text_.sample("sluice_records_total", "", counts.records.load());
    constexpr std::string_view lost = "sluice_records_lost_total";
    text_.family(
        lost, "counter",
        "Records that are lost: there was no room until sluiced read them, or the file took "
        "none.");
    text_.sample(lost, {{"reason", "ring_full"}}, counts.lost.load());
    text_.sample(lost, {{"reason", "file"}}, counts.unwritten.load());
    constexpr std::string_view datagrams = "sluice_record_datagrams_total";
    text_.family(datagrams, "counter", "Messages for collectors of records, and for syslog.");
    text_.sample(datagrams, {{"result", "sent"}}, counts.datagrams.load());
    text_.sample(datagrams, {{"result", "failed"}}, counts.unsent.load());
  }

  using OfPeer = std::uint64_t control::PeerState::*;
  void of_peers(const control::PeersState& state, std::string_view name, std::string_view type,
                std::string_view help, OfPeer value) {
    text_.family(name, type, help);
    for (const auto& peer : state.peers) text_.sample(name, {{"peer", peer.address}}, peer.*value);
  }
  void refusals_of_peers(const control::PeersState& state, std::string_view name,
                         std::string_view help,
                         std::map<std::string, std::uint64_t> control::PeerState::*refused) {
    text_.family(name, "counter", help);
    for (const auto& peer : state.peers) {
      for (const auto& [reason, count] : peer.*refused)
        text_.sample(name, {{"peer", peer.address}, {"reason", reason}}, count);
    }
  }

  // The nodes that tell each other of connections.
  void peers() {
    if (!sources_.peers) return;
    using Peer = control::PeerState;
    const auto state = sources_.peers->state();
    text_.family("sluice_peer_following", "gauge",
                 "1: the peer and this node have each other's connections, 0: not all of them.");
    for (const auto& peer : state.peers) {
      text_.sample("sluice_peer_following", {{"peer", peer.address}},
                   peer.state == "FOLLOWING" ? 1 : 0);
    }
    of_peers(state, "sluice_peer_behind_records", "gauge",
             "Records that the peer has not acknowledged yet.", &Peer::behind);
    of_peers(state, "sluice_peer_missing_batches", "gauge",
             "Batches that the peer has sent, and that have not come.", &Peer::missing);
    of_peers(state, "sluice_peer_replicas", "gauge",
             "Connections of the peer that this node has been told of.", &Peer::replicas);
    of_peers(state, "sluice_peer_sent_records_total", "counter",
             "Records of connections that were written for the peer.", &Peer::sent);
    of_peers(state, "sluice_peer_received_records_total", "counter",
             "Records of connections that came from the peer.", &Peer::received);
    of_peers(state, "sluice_peer_sent_datagrams_total", "counter", "Datagrams sent to the peer.",
             &Peer::sent_datagrams);
    of_peers(state, "sluice_peer_unsent_datagrams_total", "counter",
             "Datagrams for the peer that the socket did not take.", &Peer::unsent);
    of_peers(state, "sluice_peer_repaired_datagrams_total", "counter",
             "Batches that the peer asked for again.", &Peer::repaired);
    of_peers(state, "sluice_peer_received_datagrams_total", "counter",
             "Datagrams of the peer that were taken.", &Peer::received_datagrams);
    of_peers(state, "sluice_peer_resynchronisations_total", "counter",
             "How often the peer was told all connections.", &Peer::resynchronisations);
    refusals_of_peers(state, "sluice_peer_refused_datagrams_total",
                      "Datagrams in the peer's name that were refused.", &Peer::refused_datagrams);
    refusals_of_peers(state, "sluice_peer_refused_records_total",
                      "Connections of the peer that this node could not take.",
                      &Peer::refused_records);
    text_.family("sluice_peer_changes_lost_total", "counter",
                 "Changes of connections for which the data plane found no room until sluiced read "
                 "them; peers are told all connections then.");
    text_.sample("sluice_peer_changes_lost_total", "", state.lost);
    text_.family("sluice_peer_stranger_datagrams_total", "counter",
                 "Datagrams of addresses that are no peer's.");
    text_.sample("sluice_peer_stranger_datagrams_total", "", state.strangers);
  }

  void all_errors() {
    text_.family("sluice_scrape_errors", "gauge", "Parts of this page that could not be read.");
    text_.sample("sluice_scrape_errors", "", errors_);
  }

  void failed() { ++errors_; }
  // Another one may be adopted between two parts.
  control::DataPlane& data_plane() const { return controller_.data_plane(); }

  const MetricsSources& sources_;
  control::Controller& controller_;
  const control::Suspects suspects_;
  RowsRenewal renewal_;
  MetricFigures figures_;
  MetricText text_{figures_.after};
  std::size_t next_ = 0;
  std::uint64_t errors_ = 0;
};

}  // namespace

std::string metrics(control::Controller& controller, const MetricsSources& sources) {
  Scrape scrape(controller, sources);
  while (!scrape.step()) continue;
  std::string text;
  for (const auto page = scrape.page(); !page->append_next(text);) continue;
  return text;
}

void metrics(control::Controller& controller, const MetricsSources& sources,
             std::function<void(std::unique_ptr<Pieces>)> done) {
  const auto scrape = std::make_shared<Scrape>(controller, sources);
  controller.slices().run([scrape] { return scrape->step(); },
                          [scrape, done = std::move(done)] { done(scrape->page()); });
}

}  // namespace sluice::api
