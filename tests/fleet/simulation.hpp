// Simulation: a fleet of real controllers over a fake etcd, under one scheduler.
//
// Clients ask any node for changes, and remember what they were told. Meanwhile the network loses,
// delays and repeats, nodes are cut off and crash, etcd loses its quorum and forgets its history.
// Then all is well again, and after a while check() tells what is wrong.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/controller.hpp"
#include "fleet/cluster_writer.hpp"
#include "fleet/standby_group.hpp"
#include "tests/fleet/fake_etcd.hpp"
#include "tests/fleet/scheduler.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"

namespace sluice::fleet::test {

// What outlives a crash of a node: its disk, and its kernel's maps, which also say whether it
// answers for the VIPs; and what does not.
struct Node {
  std::string name;
  std::chrono::seconds clock_skew{0};
  sluice::test::FailingStore disk;
  sluice::test::FakeDataPlane data_plane;
  bool answers = false;
  bool may_serve = true;  // it is not drained
  std::unique_ptr<FakeClient> client;
  std::unique_ptr<store::DirectWriter> copy;
  std::unique_ptr<ClusterWriter> writer;
  std::unique_ptr<StandbyGroup> group;
  std::unique_ptr<control::Controller> controller;
  std::string refusal;  // why the last start failed
  std::vector<std::string> log;
};

// What a client has asked for, and what it was told.
struct Asked {
  enum class Kind { create, append, remove };
  enum class Told { nothing, stored, refused, unknown };
  Kind kind;
  std::string name;    // of the load balancer
  std::string number;  // of the request
  Told told = Told::nothing;
};

struct SimulationSettings {
  bool rehearses = true;  // nodes find out etcd's limits, which takes long
  Fault fault = Fault::none;
};

class Simulation {
 public:
  Simulation(std::uint64_t seed, std::size_t nodes, SimulationSettings settings = {});
  ~Simulation();

  Scheduler scheduler;
  FakeEtcd etcd;
  Weather weather;
  std::vector<std::unique_ptr<Node>> nodes;
  std::vector<std::shared_ptr<Asked>> asked;

  void start(Node& node, bool accept_older_state = false);
  void crash(Node& node);
  // The nodes that answer for the VIPs, also those that have crashed.
  std::vector<std::string> answering() const;
  // Asks a node for a change; nothing happens if it is down.
  void create(Node& node);
  void append(Node& node, const std::string& name);
  void remove(Node& node, const std::string& name);

  // Clients and mishaps for so long, then silence until all must be well.
  void live(Time how_long);
  void settle();
  // What is wrong, a line each.
  std::vector<std::string> check();

 private:
  void ask(Node& node, Asked asked, control::Controller::Edit edit);
  void ask_something();
  void have_a_mishap();
  void check_vips(const std::map<std::string, KeyValue>& keys);
  void start_group(Node& node);
  void check_node(Node& node);
  void check_group();
  void check_promises(const model::Model& model);

  SimulationSettings settings_;
  std::vector<std::string> wrong_;
};

}  // namespace sluice::fleet::test
