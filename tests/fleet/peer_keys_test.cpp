// The key by which nodes seal what they tell each other of connections: made once, exchanged
// without a gap, and kept for when etcd is not there.
#include "fleet/peer_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/fleet/fake_etcd.hpp"
#include "tests/fleet/scheduler.hpp"

namespace sluice::fleet::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A node with its entry in the roster, as far as keys need it.
struct KeyHolder {
  std::string name;
  std::string copy;  // on its disk
  std::unique_ptr<FakeClient> client;
  std::unique_ptr<PeerKeys> keys;
  std::vector<std::string> secrets;
  std::vector<std::string> log;
};

class PeerKeysTest : public testing::Test {
 protected:
  PeerKeysTest() {
    for (const auto* name : {"lb1", "lb2", "lb3"}) {
      holders.push_back(std::make_unique<KeyHolder>());
      holders.back()->name = name;
      start(*holders.back());
    }
    look();
  }

  void start(KeyHolder& holder) {
    holder.client = std::make_unique<FakeClient>(scheduler, etcd, weather);
    holder.keys = std::make_unique<PeerKeys>(
        *holder.client, PeerKeys::Settings{keys, holder.name, holder.copy},
        PeerKeys::Callbacks{
            .make_secret = [this] { return "secret" + std::to_string(++made); },
            .use = [&holder](const auto& secrets) { holder.secrets = secrets; },
            .keep =
                [&holder](const std::string& copy) {
                  holder.copy = copy;
                  return Result<void>();
                },
            .changed = [] {},
            .event = [&holder](Tone, const std::string& line) { holder.log.push_back(line); }});
    holder.keys->start();
  }
  static void stop(KeyHolder& holder) {
    holder.keys.reset();
    holder.client.reset();
  }

  // What the watch tells: the key, and the nodes that live, as each says itself.
  std::vector<KeyValue> seen() const {
    auto all = etcd.read(keys.peer_keys(), Etcd::Extent::key).found;
    for (const auto& holder : holders) {
      const NodeEntry entry{.name = holder->name,
                            .instance = {},
                            .version = "1",
                            .applied = 0,
                            .errors = {},
                            .errors_count = 0,
                            .peer = "10.0.0.1:9877",
                            .peer_key = holder->keys ? holder->keys->has() : 0,
                            .peer_key_used = holder->keys ? holder->keys->seals_with() : 0};
      if (holder->keys) all.push_back({keys.nodes() + holder->name, entry.text(), 1});
      all.push_back({keys.known_nodes() + holder->name, "{}", 1});
    }
    return all;
  }
  void look(KeyHolder& holder) {
    roster.reset(1, seen());
    holder.keys->reset(etcd.header().revision, seen());
    holder.keys->proceed(roster);
  }
  // All nodes hear of everything, often enough for an exchange.
  void look() {
    for (int round = 0; round < 8; round++) {
      for (const auto& holder : holders) {
        if (holder->keys) look(*holder);
      }
      scheduler.run_until(scheduler.now() + Time(100));
    }
    roster.reset(1, seen());
  }
  Result<void> exchange(KeyHolder& holder) {
    Result<void> outcome = fail(ErrorKind::internal, "not answered");
    roster.reset(1, seen());
    holder.keys->exchange(roster, [&](const Result<void>& done) { outcome = done; });
    scheduler.run_until(scheduler.now() + Time(100));
    return outcome;
  }
  KeyHolder& holder(std::size_t number) { return *holders[number - 1]; }

  const Keys keys;
  Scheduler scheduler{1};
  FakeEtcd etcd{scheduler};
  Weather weather;
  Roster roster{keys};
  int made = 0;
  std::vector<std::unique_ptr<KeyHolder>> holders;
};

TEST_F(PeerKeysTest, TheFirstNodeMakesItAndAllUseIt) {
  ASSERT_EQ(holder(1).secrets.size(), 1U);
  for (const auto& one : holders) {
    EXPECT_EQ(one->secrets, holder(1).secrets);
    EXPECT_EQ(one->keys->state(roster), "1");
    EXPECT_THAT(one->copy, HasSubstr(holder(1).secrets[0]));
  }
}

TEST_F(PeerKeysTest, AnExchangeHasNoMomentAtWhichANodeCannotReadAnother) {
  const auto old = holder(1).secrets[0];
  ASSERT_TRUE(exchange(holder(2)));
  const auto check = [&] {
    for (const auto& from : holders) {
      for (const auto& to : holders) {
        EXPECT_THAT(to->secrets, testing::Contains(from->secrets.front()));
      }
    }
  };
  look(holder(1));
  EXPECT_THAT(holder(1).secrets, ElementsAre(old, testing::_)) << "the others don't have the newer";
  EXPECT_EQ(holder(1).keys->state(roster), "1, until 2 is at lb2, lb3");
  for (int step = 0; step < 40; step++) {
    look(*holders[static_cast<std::size_t>(step * 7 / 3 % 3)]);
    scheduler.run_until(scheduler.now() + Time(20));
    check();
  }
  look();
  for (const auto& one : holders) {
    EXPECT_EQ(one->secrets.size(), 1U);
    EXPECT_NE(one->secrets[0], old);
    EXPECT_EQ(one->keys->state(roster), "2");
  }
}

// It may be alive, and only not reach etcd: then it has the old key only.
TEST_F(PeerKeysTest, AnExchangeWaitsForANodeThatIsGone) {
  const auto old = holder(1).secrets[0];
  stop(holder(3));
  ASSERT_TRUE(exchange(holder(1)));
  look();
  EXPECT_THAT(holder(1).secrets, ElementsAre(old, testing::_));
  EXPECT_THAT(holder(2).secrets, ElementsAre(old, testing::_));
  const auto again = exchange(holder(2));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().text(),
            "The last exchange of the peers' key is not over: 1, until 2 is at lb3. (start these "
            "nodes, or remove those that won't come back (sluicectl node remove))");
  start(holder(3));
  EXPECT_THAT(holder(3).secrets, ElementsAre(old)) << "its copy";
  look();
  for (const auto& one : holders) {
    EXPECT_EQ(one->secrets.size(), 1U);
    EXPECT_NE(one->secrets[0], old);
  }
}

TEST_F(PeerKeysTest, ANodeThatCannotReachEtcdUsesItsCopyWithTheSameKeyFirst) {
  stop(holder(3));
  ASSERT_TRUE(exchange(holder(1)));
  look();
  const auto both = holder(2).secrets;
  ASSERT_EQ(both.size(), 2U);
  stop(holder(2));
  holder(2).log.clear();
  start(holder(2));
  EXPECT_EQ(holder(2).secrets, both);
  EXPECT_THAT(holder(2).log, IsEmpty());
}

TEST_F(PeerKeysTest, AKeyThatIsGoneFromEtcdIsPutBack) {
  const auto before = holder(1).secrets;
  etcd.restore({});
  look();
  for (const auto& one : holders) EXPECT_EQ(one->secrets, before);
  EXPECT_THAT(etcd.keys().at(keys.peer_keys()).value, HasSubstr(before[0]));
}

TEST_F(PeerKeysTest, AnOldSnapshotBringsNoOldKeyBack) {
  const auto snapshot = etcd.snapshot();
  ASSERT_TRUE(exchange(holder(1)));
  look();
  const auto present = holder(1).secrets;
  etcd.restore(snapshot);
  look();
  for (const auto& one : holders) EXPECT_EQ(one->secrets, present);
  EXPECT_EQ(PeerKeyRing::parse(etcd.keys().at(keys.peer_keys()).value)->number, 2U);
}

TEST_F(PeerKeysTest, ADamagedCopyIsToldAndEtcdAsked) {
  EXPECT_EQ(PeerKeyRing::parse("{\"number\":0,\"newer\":\"x\"}"), std::nullopt);
  EXPECT_EQ(PeerKeyRing::parse("[]"), std::nullopt);
  stop(holder(1));
  holder(1).copy = "damaged";
  start(holder(1));
  EXPECT_THAT(holder(1).log, testing::Contains(HasSubstr("can't be read")));
  look();
  EXPECT_EQ(holder(1).secrets, holder(2).secrets);
}

}  // namespace
}  // namespace sluice::fleet::test
