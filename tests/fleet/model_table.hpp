// ModelTable: a node's flow table, with the rules of bpf/replica.h and bpf/expire.h, behind the
// interface by which peers tell it of their connections. Times are shorter than the real ones.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/replicas.hpp"
#include "tests/fleet/scheduler.hpp"

namespace sluice::fleet::test {

// A connection's client, by its port; and by which way its member sees it.
using Client = std::uint16_t;
struct Way {
  std::uint8_t member = 0;
  std::uint8_t source = 0;  // whose source address: the node's number
  std::uint16_t source_port = 0;
  auto operator<=>(const Way&) const = default;
};

// Faults of a data plane that are planted, to see that the simulation finds them.
enum class TableFault {
  none,
  tells_no_refresh,  // replicas of long connections idle away
  hides_losses,      // changes that found no room are lost unnoticed
};

class ModelTable final : public dataplane::Replicas {
 public:
  struct Settings {
    std::uint8_t node = 0;
    Time idle{0};
    std::size_t room = 0;  // of the ring of changes
    std::uint16_t source_ports = 0, first_port = 0;
    TableFault fault = TableFault::none;
  };
  struct Flow {
    Way way;
    bool is_confirmed = false;
    bool is_replica = false;
    bool is_ending = false;  // another node says that it has ended
    Time seen{0}, told{0};
  };
  static constexpr Time lately{500}, closing{1000}, half_open{1000};

  ModelTable(Scheduler& scheduler, Settings settings)
      : scheduler_(scheduler), settings_(settings), next_port_(settings.first_port) {}

  // What packets do. A client's first one gets the way by which it goes on; nullopt: all source
  // ports are taken.
  std::optional<Way> open(Client client, std::uint8_t member);
  // Later ones of clients, and those of members, say by which way or to whom they go on; nullopt:
  // the connection is not known here. The client's second packet confirms it.
  std::optional<Way> carry(Client client, bool ends);
  std::optional<Client> answer(const Way& way, bool ends);
  // What the sweep does.
  void sweep();

  const std::map<Client, Flow>& flows() const { return flows_; }
  // Says whether a packet of this connection would find its way.
  bool has(Client client, const Way& way) const {
    const auto found = flows_.find(client);
    return found != flows_.end() && found->second.way == way && found->second.is_confirmed;
  }
  std::size_t unread() const { return ring_.size(); }
  bool is_silent_for_strangers() const { return scheduler_.now() < grace_until_; }
  // Is asked for each image that is put, before anything else.
  std::function<void(Client, const Way&)> on_put = [](Client, const Way&) {};
  // The listeners of this node by now.
  std::set<std::uint8_t> listeners{1};

  static std::uint8_t listener_of(Client client) { return client % 8 == 0 ? 2 : 1; }

  Result<void> tell_changes(bool on) override;
  Result<bool> tells() override { return is_telling_; }
  Result<std::vector<dataplane::FlowChange>> take(std::size_t limit) override;
  Result<std::uint64_t> lost() override;
  Result<void> put(std::span<sluice_flow_image> images) override;
  Result<void> end(std::span<const sluice_flow_image> images) override;
  Result<void> walk(std::uint64_t& cursor, std::vector<sluice_flow_image>& images) override;
  Result<void> grace(std::chrono::milliseconds time) override;

 private:
  static constexpr std::size_t part_of_a_walk = 8;

  using Flows = std::map<Client, Flow>;
  void pass(Flows::iterator flow, bool from_client, bool ends);
  Flows::iterator forget(Flows::iterator flow);
  bool stays_own(const Flow& flow, Time idle) const;
  bool expire(const Flow& flow) const;
  sluice_flow_put_result put(const sluice_flow_image& image);
  void end(const sluice_flow_image& image);
  void note(dataplane::FlowEvent event, Client client, Flow& flow);
  sluice_flow_image image_of(Client client, const Flow& flow) const;

  Scheduler& scheduler_;
  Settings settings_;
  Flows flows_;
  std::map<Way, Client> ways_;
  std::uint16_t next_port_;
  std::deque<dataplane::FlowChange> ring_;
  std::uint64_t losses_ = 0;
  bool is_telling_ = false;
  Time grace_until_{0};
  Client walked_to_ = 0;
};

}  // namespace sluice::fleet::test
