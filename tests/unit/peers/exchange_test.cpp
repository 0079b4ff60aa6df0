// Nodes that tell each other of their connections, over a network that loses, doubles, delays,
// reorders and damages datagrams, as its seed says. Time is simulated.
#include "peers/exchange.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "example.hpp"
#include "fake_replicas.hpp"

namespace sluice::peers {
namespace {

using namespace std::chrono_literals;

struct Faults {
  unsigned lost = 0, doubled = 0, delayed = 0, damaged = 0, repeated = 0;  // percent
};

class Lab {
 public:
  explicit Lab(unsigned seed, Faults faults = {}) : random_(seed), faults_(faults) {}

  struct Node {
    std::string name;
    std::unique_ptr<FakeReplicas> replicas = std::make_unique<FakeReplicas>();
    std::unique_ptr<Exchange> exchange;
    std::vector<std::string> log;
    bool is_cut_off = false;
  };

  Node& add(const std::string& name, Exchange::Settings settings = {}) {
    auto& node = nodes_[name];
    node.name = name;
    settings.name = "node " + name;
    settings_[name] = settings;
    start(name);
    for (auto& [other, one] : nodes_) tell_peers(other);
    return node;
  }
  // sluiced's process begins anew; the data plane stays.
  void start(const std::string& name) {
    auto& node = nodes_[name];
    node.exchange = std::make_unique<Exchange>(
        keys(key), settings_[name],
        Exchange::Callbacks{
            .send = [this, name](const Address& to,
                                 const Bytes& bytes) { return post(name, to, bytes); },
            .log = [&node](std::string line) { node.log.push_back(line); }});
    node.exchange->use(node.replicas.get(), 1U << 20U);
    tell_peers(name);
  }
  // The machine comes back with empty tables.
  void reboot(const std::string& name) {
    nodes_[name].exchange.reset();
    nodes_[name].replicas = std::make_unique<FakeReplicas>();
    start(name);
  }
  void tell_peers(const std::string& name) {
    std::vector<Address> others;
    for (const auto& [other, node] : nodes_) {
      if (other != name) others.push_back(other);
    }
    nodes_[name].exchange->set_peers(others, now);
  }

  void run(std::chrono::milliseconds time) {
    for (const auto end = now + time; now < end; now += 1ms) {
      while (!way_.empty() && way_.begin()->first <= now) deliver();
      for (auto& [name, node] : nodes_) node.exchange->settle(now);
      if (now.time_since_epoch() % Exchange::between_ticks != 0ms) continue;
      for (auto& [name, node] : nodes_) node.exchange->tick(now);
    }
  }
  // Runs until a condition holds, at most so long. Returns whether it does.
  template <typename Condition>
  bool run_until(Condition condition, std::chrono::milliseconds most = 20s) {
    for (const auto end = now + most; now < end;) {
      if (condition()) return true;
      run(10ms);
    }
    return condition();
  }
  bool all_follow() {
    for (auto& [name, node] : nodes_) {
      for (const auto& peer : node.exchange->state().peers) {
        if (peer.state != "FOLLOWING" || peer.missing != 0 || peer.behind != 0) return false;
      }
    }
    return true;
  }
  bool holds_all(const std::string& holder, const std::string& owner) {
    const auto& own = nodes_[owner].replicas->own;
    const auto& replicas = nodes_[holder].replicas->replicas;
    return std::ranges::all_of(own, [&](const auto& one) { return replicas.contains(one.first); });
  }
  control::PeerState state(const std::string& of, const std::string& peer) {
    for (auto& one : nodes_[of].exchange->state().peers) {
      if (one.address == peer) return one;
    }
    return {};
  }
  Node& operator[](const std::string& name) { return nodes_[name]; }

  unsigned chance(unsigned of) { return random_() % of; }

  Time now{};
  Faults& faults() { return faults_; }
  std::string key = std::string(64, 'a');
  std::size_t posted = 0, bytes_posted = 0;

 private:
  struct Datagram {
    Address from, to;
    Bytes bytes;
  };
  bool percent(unsigned share) { return share != 0 && random_() % 100 < share; }
  bool post(const Address& from, const Address& to, const Bytes& bytes) {
    EXPECT_LE(bytes.size(), max_datagram);
    ++posted;
    bytes_posted += bytes.size();
    if (recorded_.size() < 1000) recorded_.push_back({from, to, bytes});
    if (percent(faults_.repeated)) send_on(recorded_[random_() % recorded_.size()]);
    if (percent(faults_.lost)) return true;
    send_on({from, to, bytes});
    if (percent(faults_.doubled)) send_on({from, to, bytes});
    return true;
  }
  void send_on(Datagram datagram) {
    if (percent(faults_.damaged)) datagram.bytes[random_() % datagram.bytes.size()] ^= 0x10;
    const auto delay = percent(faults_.delayed) ? random_() % 60 : 0;
    way_.emplace(now + 1ms + std::chrono::milliseconds(delay), std::move(datagram));
  }
  void deliver() {
    const auto datagram = way_.extract(way_.begin()).mapped();
    if (nodes_[datagram.from].is_cut_off || nodes_[datagram.to].is_cut_off) return;
    nodes_[datagram.to].exchange->receive(datagram.from, datagram.bytes, now);
  }

  std::mt19937 random_;
  Faults faults_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Exchange::Settings> settings_;
  std::multimap<Time, Datagram> way_;
  std::vector<Datagram> recorded_;  // what an eavesdropper has, and sends again
};

TEST(Exchange, AConfirmedConnectionIsAtThePeerTenMillisecondsLater) {
  Lab lab(1);
  lab.add("a");
  lab.add("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  for (std::uint16_t i = 0; i < 20; ++i) {
    lab["a"].replicas->begin(connection(i, i % 2 == 0 ? 4 : 6));
    lab.run(7ms);
    EXPECT_TRUE(lab.holds_all("b", "a")) << i;
  }
  lab["a"].replicas->finish(connection(2, 4));
  lab.run(7ms);
  EXPECT_EQ(19U, lab["b"].replicas->replicas.size());
  EXPECT_TRUE(lab["a"].replicas->replicas.empty());
  lab.run(50ms);
  EXPECT_EQ(0U, lab.state("a", "b").behind);
  EXPECT_EQ("node b", lab.state("a", "b").name);
}

TEST(Exchange, NodesThatHaveNothingToSaySayLittle) {
  Lab lab(1);
  lab.add("a");
  lab.add("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  lab["a"].replicas->begin(connection(1));
  lab.run(1s);
  const auto before = lab.posted;
  lab.run(10s);
  EXPECT_LE(lab.posted - before, 110U);
}

// Connections begin and end at all nodes, whatever the network does; ports are used again at once.
// In the end each node has exactly the connections of the others.
TEST(Exchange, AllNodesHaveAllConnectionsOverABadNetwork) {
  std::uint64_t repaired = 0, forged = 0, repeated = 0;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Lab lab(seed, {.lost = 10, .doubled = 5, .delayed = 20, .damaged = 3, .repeated = 5});
    lab.add("a");
    lab.add("b");
    if (seed % 3 == 0) lab.add("c");
    for (int round = 0; round < 400; ++round) {
      for (const std::string name : {"a", "b"}) {
        auto& replicas = *lab[name].replicas;
        // The ports of one node are not those of another, as SNAT sources are.
        const auto number = static_cast<std::uint16_t>(lab.chance(60) * 2 + (name == "a" ? 0 : 1));
        auto one = connection(number);
        one.source_port = htons(static_cast<std::uint16_t>(number % 40));
        const bool is_there = replicas.own.contains(FakeReplicas::name(one));
        const bool port_taken = std::ranges::any_of(replicas.own, [&](const auto& other) {
          return other.second.source_port == one.source_port;
        });
        if (is_there) {
          replicas.finish(one);
        } else if (!port_taken) {
          replicas.begin(one);
        }
      }
      lab.run(std::chrono::milliseconds(lab.chance(8)));
      if (round == 200 && seed % 2 == 0) lab.start("b");  // its process begins anew
    }
    lab.faults() = {};
    ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
    lab.run(10s);
    for (const auto& [holder, owner] : {std::pair{"a", "b"}, {"b", "a"}}) {
      EXPECT_TRUE(lab.holds_all(holder, owner));
      // Those that ended while nobody listened idle away.
      const auto own = lab[owner].replicas->own.size();
      const auto replicas = lab[holder].replicas->replicas.size();
      const bool has_begun_anew = seed % 2 == 0 && std::string(holder) == "b";
      EXPECT_TRUE(has_begun_anew ? replicas >= own : replicas == own) << own << " " << replicas;
    }
    if (seed % 3 == 0) {
      EXPECT_TRUE(lab.holds_all("c", "a") && lab.holds_all("c", "b"));
    }
    const auto state = lab.state("a", "b");
    repaired += state.repaired;
    forged += state.refused_datagrams.at("forged");
    repeated += state.refused_datagrams.at("repeated");
  }
  EXPECT_NE(0U, repaired);
  EXPECT_NE(0U, forged);
  EXPECT_NE(0U, repeated);
}

TEST(Exchange, ANodeThatJoinsIsToldEverything) {
  Lab lab(3, {.lost = 2});
  lab.add("a");
  lab.add("b");
  for (std::uint16_t i = 0; i < 20'000; ++i) lab["a"].replicas->begin(connection(i));
  ASSERT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a"); }));
  lab.add("c");
  EXPECT_EQ("CONNECTING", lab.state("c", "a").state);
  ASSERT_TRUE(lab.run_until([&] { return lab.state("c", "a").state == "RESYNCHRONISING"; }));
  lab["a"].replicas->begin(connection(30'000));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  EXPECT_TRUE(lab.holds_all("c", "a"));
  EXPECT_GT(lab["a"].replicas->graces, 0);
}

TEST(Exchange, ANodeWhoseMapsAreOthersIsToldEverything) {
  Lab lab(3);
  lab.add("a");
  lab.add("b");
  lab["a"].replicas->begin(connection(1));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  auto other = std::make_unique<FakeReplicas>();
  lab["b"].exchange->use(other.get(), 1U << 20U);
  lab["b"].replicas = std::move(other);
  EXPECT_FALSE(lab.holds_all("b", "a"));
  EXPECT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a"); }));
}

// Its process was away when connections ended.
TEST(Exchange, WhatEndedUnheardIsEnded) {
  Lab lab(3);
  lab.add("a");
  lab.add("b");
  for (std::uint16_t i = 0; i < 1000; ++i) lab["a"].replicas->begin(connection(i, i % 2 ? 4 : 6));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  for (std::uint16_t i = 100; i < 1000; ++i)
    lab["a"].replicas->finish(connection(i, i % 2 ? 4 : 6));
  lab["a"].replicas->ring.clear();
  lab.start("a");
  ASSERT_TRUE(lab.run_until([&] { return lab.state("b", "a").replicas == 100; }));
  lab.run(50ms);
  EXPECT_EQ(100U, lab["b"].replicas->replicas.size());
  EXPECT_TRUE(lab.holds_all("b", "a"));
}

// Whoever reboots knows nothing of its connections, which wait for packets elsewhere: that is no
// end.
TEST(Exchange, ANodeThatComesBackWithNewTablesEndsNothing) {
  Lab lab(3);
  lab.add("a");
  lab.add("b");
  for (std::uint16_t i = 0; i < 100; ++i) lab["a"].replicas->begin(connection(i));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  lab.reboot("a");
  lab["a"].replicas->begin(connection(200));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  lab.run(5s);
  EXPECT_EQ(101U, lab["b"].replicas->replicas.size());
  EXPECT_EQ(1U, lab.state("b", "a").replicas) << "the others are nobody's";
}

// Nobody carries them after the first reboot, so whoever has a replica tells whoever comes back.
TEST(Exchange, ConnectionsWithoutPacketsOutliveTheRebootsOfAllNodes) {
  Lab lab(3, {.lost = 2});
  for (const std::string name : {"a", "b", "c"}) lab.add(name);
  for (std::uint16_t i = 0; i < 500; ++i) lab["a"].replicas->begin(connection(i, i % 2 ? 4 : 6));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("c", "a"); }));
  for (const std::string name : {"a", "b", "c", "a"}) {
    lab.reboot(name);
    ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
    EXPECT_EQ(500U, lab[name].replicas->replicas.size()) << name;
  }
  EXPECT_EQ(0U, lab.state("b", "a").replicas) << "they are nobody's";
}

TEST(Exchange, OnlyWhatNobodyCarriesIsToldByOthers) {
  Lab lab(3);
  for (const std::string name : {"a", "b", "c"}) lab.add(name);
  for (std::uint16_t i = 0; i < 500; ++i) lab["a"].replicas->begin(connection(i));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("c", "a"); }));
  const auto before = lab.state("b", "c").sent;
  lab.reboot("c");
  lab.start("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("c", "a"); }));
  EXPECT_EQ(before, lab.state("b", "c").sent);
  EXPECT_EQ(500U, lab.state("c", "a").replicas);
}

// The one that carries the connections dies before the one that joins has them all.
TEST(Exchange, OthersAreAskedForWhatAPeerHasNotToldToItsEnd) {
  Lab lab(3);
  for (const std::string name : {"a", "b"}) lab.add(name);
  for (std::uint16_t i = 0; i < 20'000; ++i) lab["a"].replicas->begin(connection(i));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  lab.add("c");
  const auto& replicas = lab["c"].replicas->replicas;
  ASSERT_TRUE(lab.run_until([&] { return !replicas.empty(); }));
  lab["a"].is_cut_off = true;
  EXPECT_LT(replicas.size(), 20'000U);
  EXPECT_TRUE(lab.run_until([&] { return replicas.size() == 20'000; }));
}

// The one that carries them dies just before another one joins, and is taken for alive meanwhile.
TEST(Exchange, WhoHasJustJoinedIsToldWhatADeadNodeHasCarried) {
  Lab lab(3);
  for (const std::string name : {"a", "b"}) lab.add(name);
  for (std::uint16_t i = 0; i < 500; ++i) lab["a"].replicas->begin(connection(i));
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  lab["a"].is_cut_off = true;
  lab.add("c");
  ASSERT_TRUE(lab.run_until([&] { return lab.state("c", "b").state == "FOLLOWING"; }));
  EXPECT_TRUE(lab["c"].replicas->replicas.empty());
  EXPECT_TRUE(lab.run_until([&] { return lab["c"].replicas->replicas.size() == 500; }));
}

// A node that gets its state later than connections that need it.
TEST(Exchange, ConnectionsWithoutListenerAreAskedForWhenObjectsChange) {
  Lab lab(3);
  lab.add("a");
  auto& b = lab.add("b");
  b.replicas->unknown = {1};
  lab["a"].replicas->begin(connection(1));
  lab.run(20s);
  EXPECT_EQ(1U, lab.state("b", "a").refused_records.at("no_listener"));
  b.replicas->unknown = {};
  b.exchange->know({});
  EXPECT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a"); }));
  const auto before = lab.state("a", "b").resynchronisations;
  b.exchange->know({});
  lab.run(5s);
  EXPECT_EQ(before, lab.state("a", "b").resynchronisations) << "nothing is missing any more";
}

// Two nodes without etcd, at which the same load balancer was made.
TEST(Exchange, ConnectionsAreThoseOfTheListenerAtTheSameAddress) {
  Lab lab(3);
  lab.add("a");
  auto& b = lab.add("b");
  const auto model = load_balancer_of_connections();
  b.exchange->know(model);
  lab["a"].replicas->begin(connection(1));
  ASSERT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a"); }));
  const auto& replica = b.replicas->replicas.begin()->second;
  EXPECT_TRUE(std::ranges::equal(replica.listener_id.bytes, model.listeners.begin()->first));
  EXPECT_TRUE(std::ranges::equal(replica.member_id.bytes, model.members.begin()->first));
}

TEST(Exchange, ChangesThatFoundNoRoomAreTold) {
  Lab lab(4);
  lab.add("a");
  lab.add("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  lab["a"].replicas->room = 10;
  for (std::uint16_t i = 0; i < 200; ++i) lab["a"].replicas->begin(connection(i));
  EXPECT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a"); }));
  EXPECT_EQ(190U, lab["a"].exchange->state().lost);
  EXPECT_EQ("changes of connections were lost: peers are told all connections again",
            lab["a"].log.back());
}

// A peer that hears nothing for long never holds up the ring, nor other peers.
TEST(Exchange, APeerThatIsTooFarBehindIsToldEverything) {
  Lab lab(5);
  Exchange::Settings settings;
  settings.kept = 16;
  lab.add("a", settings);
  lab.add("b");
  lab.add("c");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  lab["b"].is_cut_off = true;
  for (std::uint16_t i = 0; i < 2000; ++i) {
    lab["a"].replicas->begin(connection(i));
    if (i % 10 == 0) lab.run(5ms);
    ASSERT_LE(lab["a"].replicas->ring.size(), 11U);
  }
  lab.run(100ms);
  EXPECT_TRUE(lab.holds_all("c", "a"));
  lab.run(1s);
  EXPECT_EQ("SILENT", lab.state("a", "b").state);
  EXPECT_FALSE(lab.holds_all("b", "a"));
  const auto graces = lab["a"].replicas->graces;
  lab["b"].is_cut_off = false;
  EXPECT_TRUE(lab.run_until([&] { return lab.all_follow() && lab.holds_all("b", "a"); }));
  EXPECT_GT(lab["a"].replicas->graces, graces) << "packets may come to other nodes than before";
}

// What was sent while a peer was cut off for a moment reaches it without a resynchronisation.
TEST(Exchange, AShortCutIsRepaired) {
  Lab lab(6);
  lab.add("a");
  lab.add("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  const auto before = lab.state("a", "b").resynchronisations;
  lab["b"].is_cut_off = true;
  for (std::uint16_t i = 0; i < 500; ++i) {
    lab["a"].replicas->begin(connection(i));
    lab.run(1ms);
  }
  lab["b"].is_cut_off = false;
  EXPECT_TRUE(lab.run_until([&] { return lab.holds_all("b", "a") && lab.all_follow(); }, 2s));
  EXPECT_EQ(before, lab.state("a", "b").resynchronisations);
}

TEST(Exchange, StrangersAreHeardByNobody) {
  Lab lab(7);
  lab.add("a");
  auto& b = lab.add("b");
  lab.key = std::string(64, 'e');
  lab.start("b");  // with another key
  b.replicas->begin(connection(1));
  lab.run(5s);
  EXPECT_TRUE(lab["a"].replicas->replicas.empty());
  EXPECT_EQ("CONNECTING", lab.state("a", "b").state);
  EXPECT_NE(0U, lab.state("a", "b").refused_datagrams.at("key"));
  EXPECT_EQ(
      "peer b: datagrams are refused: they are sealed with a key that this node doesn't have "
      "(--peer-key-file)",
      lab["a"].log.at(0));
  EXPECT_EQ(1U, lab["a"].log.size()) << "once";
  lab["a"].exchange->receive("d", Bytes(100), lab.now);
  EXPECT_EQ(1U, lab["a"].exchange->state().strangers);
}

// A node that has left the fleet's list is a peer as long as it speaks: it may have lost etcd only.
TEST(Exchange, APeerThatIsLeftOutStaysAsLongAsItSpeaks) {
  Lab lab(8);
  lab.add("a");
  lab.add("b");
  ASSERT_TRUE(lab.run_until([&] { return lab.all_follow(); }));
  lab["a"].exchange->set_peers({}, lab.now);
  lab.run(100s);
  lab["b"].replicas->begin(connection(1));
  lab.run(10ms);
  EXPECT_TRUE(lab.holds_all("a", "b"));
  lab["b"].is_cut_off = true;
  lab.run(59s);
  EXPECT_EQ(1U, lab["a"].exchange->state().peers.size());
  lab.run(5s);
  EXPECT_TRUE(lab["a"].exchange->state().peers.empty());
}

}  // namespace
}  // namespace sluice::peers
