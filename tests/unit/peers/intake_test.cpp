#include "peers/intake.hpp"

#include <gtest/gtest.h>

#include "example.hpp"
#include "fake_replicas.hpp"

namespace sluice::peers {
namespace {

using namespace std::chrono_literals;

class IntakeTest : public testing::Test {
 protected:
  IntakeTest() { intake_.set_share(100); }
  void apply() { ASSERT_TRUE(intake_.apply(replicas_, now_)); }
  bool has(std::uint16_t number) {
    return replicas_.replicas.contains(FakeReplicas::name(connection(number)));
  }

  FakeReplicas replicas_;
  Intake intake_{1};
  std::shared_ptr<Holdings> peer_ = intake_.hold();
  Time now_{};
};

TEST_F(IntakeTest, PutsAndEndsManyAtATime) {
  for (std::uint16_t i = 0; i < 10; ++i) intake_.add(peer_, begins(i));
  apply();
  EXPECT_EQ(10U, replicas_.replicas.size());
  for (std::uint16_t i = 0; i < 9; ++i) intake_.add(peer_, ends(i));
  apply();
  EXPECT_EQ(1U, replicas_.replicas.size());
  EXPECT_EQ(1, replicas_.puts);
  EXPECT_EQ(1, replicas_.ends);
  EXPECT_EQ(1U, peer_->connections.size());
}

TEST_F(IntakeTest, OfOneConnectionTheLastChangeCounts) {
  intake_.add(peer_, begins(1));
  intake_.add(peer_, ends(1));
  intake_.add(peer_, ends(2));
  intake_.add(peer_, begins(2));
  apply();
  EXPECT_FALSE(has(1));
  EXPECT_TRUE(has(2));
}

TEST_F(IntakeTest, WhoCarriesAConnectionKnowsBetterThanWhoKeepsIt) {
  auto other = intake_.hold();
  const auto kept = [](std::uint16_t number) {
    auto change = begins(number);
    change.event = dataplane::FlowEvent::kept;
    return change;
  };
  intake_.add(peer_, begins(1));
  apply();
  const int puts = replicas_.puts;
  intake_.add(other, kept(1));
  apply();
  EXPECT_EQ(puts, replicas_.puts);
  intake_.add(peer_, begins(2));
  intake_.add(other, kept(2));
  intake_.add(peer_, ends(3));
  intake_.add(other, kept(3));
  intake_.add(other, kept(4));
  apply();
  EXPECT_TRUE(has(2) && !has(3) && has(4));
  EXPECT_EQ(2U, peer_->connections.size());
  EXPECT_EQ(0U, other->connections.size());
}

// It has moved, and its next node has rebooted: the first one only keeps it now.
TEST_F(IntakeTest, WhatAPeerKeepsIsNotEndedWhenItTellsEverything) {
  intake_.add(peer_, begins(1));
  apply();
  peer_->begin_round();
  auto change = begins(1);
  change.event = dataplane::FlowEvent::kept;
  intake_.add(peer_, change);
  apply();
  intake_.sweep(*peer_);
  apply();
  EXPECT_TRUE(has(1));
}

TEST_F(IntakeTest, WhatAPeerKeepsHasPartOfItsShare) {
  auto change = begins(0);
  change.event = dataplane::FlowEvent::kept;
  for (std::uint16_t i = 0; i < 60; ++i) {
    intake_.add(peer_, begins(i));
    change.image = connection(static_cast<std::uint16_t>(1000 + i));
    intake_.add(peer_, change);
    apply();
  }
  EXPECT_EQ(100U, replicas_.replicas.size());
  EXPECT_EQ(20U, peer_->over_share);
}

// The next connection has the ports of one whose end comes with it.
TEST_F(IntakeTest, EndsComeFirst) {
  intake_.add(peer_, begins(1));
  apply();
  auto next = begins(2);
  next.image.source_port = connection(1).source_port;
  intake_.add(peer_, next);
  intake_.add(peer_, ends(1));
  apply();
  EXPECT_TRUE(has(2));
}

TEST_F(IntakeTest, WhatCannotBePutYetIsTriedAgain) {
  replicas_.unknown = {1};
  intake_.add(peer_, begins(1));
  apply();
  EXPECT_EQ(1U, intake_.waiting());
  replicas_.unknown = {};
  apply();
  EXPECT_FALSE(has(1)) << "not at once";
  now_ += 60ms;
  apply();
  EXPECT_TRUE(has(1));
  EXPECT_EQ(0U, intake_.waiting());
}

TEST_F(IntakeTest, WhatEndedMeanwhileIsNotPut) {
  replicas_.unknown = {1};
  intake_.add(peer_, begins(1));
  apply();
  replicas_.unknown = {};
  intake_.add(peer_, ends(1));
  now_ += 10s;
  apply();
  EXPECT_FALSE(has(1));
}

TEST_F(IntakeTest, GivesUpInTheEnd) {
  replicas_.unknown = {1};
  intake_.add(peer_, begins(1));
  for (int i = 0; i < 200; ++i, now_ += 50ms) apply();
  EXPECT_EQ(0U, intake_.waiting());
  EXPECT_EQ(8, replicas_.puts);
  EXPECT_EQ(1U, peer_->refused[SLUICE_PUT_NO_LISTENER]);
}

TEST_F(IntakeTest, APeerHasItsShareAndNoMore) {
  const auto other = intake_.hold();
  for (std::uint16_t i = 0; i < 100; ++i) intake_.add(peer_, begins(i));
  apply();
  intake_.add(peer_, begins(100));
  intake_.add(peer_, begins(5));  // is there already
  intake_.add(other, begins(200));
  apply();
  EXPECT_FALSE(has(100));
  EXPECT_TRUE(has(5));
  EXPECT_TRUE(has(200));
  EXPECT_EQ(1U, peer_->over_share);
  intake_.add(peer_, ends(7));
  intake_.add(peer_, begins(101));
  apply();
  EXPECT_TRUE(has(101));
}

TEST_F(IntakeTest, APeerHasNoMoreThanItsShareInOneGoEither) {
  for (std::uint16_t i = 0; i < 130; ++i) intake_.add(peer_, begins(i));
  apply();
  EXPECT_EQ(100U, replicas_.replicas.size());
  EXPECT_EQ(30U, peer_->over_share);
}

// A round of telling everything: what is not told has ended unheard.
TEST_F(IntakeTest, SweepsWhatWasNotToldAgain) {
  for (std::uint16_t i = 0; i < 10; ++i) intake_.add(peer_, begins(i, i % 2 == 0 ? 4 : 6));
  apply();
  ++peer_->round;
  for (std::uint16_t i = 0; i < 4; ++i) intake_.add(peer_, begins(i, i % 2 == 0 ? 4 : 6));
  apply();
  intake_.add(peer_, begins(4));
  intake_.sweep(*peer_);
  apply();
  EXPECT_EQ(5U, replicas_.replicas.size());
  EXPECT_TRUE(has(4)) << "was told again, although it was not put again yet";
  EXPECT_FALSE(has(6));
  EXPECT_EQ(5U, peer_->connections.size());
}

// Connections of a node that is rebooted move to another one, which tells of them. The node comes
// back and tells everything: that is nothing of these.
TEST_F(IntakeTest, ASweepLeavesWhatMovedToAnotherPeer) {
  const auto other = intake_.hold();
  for (std::uint16_t i = 0; i < 4; ++i) intake_.add(peer_, begins(i, i % 2 == 0 ? 4 : 6));
  apply();
  for (std::uint16_t i = 0; i < 2; ++i) intake_.add(other, begins(i, i % 2 == 0 ? 4 : 6));
  apply();
  ++peer_->round;
  intake_.sweep(*peer_);
  apply();
  EXPECT_TRUE(has(0));
  EXPECT_TRUE(replicas_.replicas.contains(FakeReplicas::name(connection(1, 6))));
  EXPECT_EQ(2U, replicas_.replicas.size());
  EXPECT_EQ(0U, peer_->connections.size());

  // That node has them until it says otherwise.
  ++other->round;
  intake_.sweep(*other);
  apply();
  EXPECT_EQ(0U, replicas_.replicas.size());
}

// Otherwise the share of a peer whose connections move would be used up by what has ended long ago.
TEST_F(IntakeTest, AnEndIsOfAllPeersThatToldOfTheConnection) {
  const auto other = intake_.hold();
  intake_.add(peer_, begins(1));
  apply();
  intake_.add(other, begins(1));
  apply();
  intake_.add(other, ends(1));
  apply();
  EXPECT_FALSE(has(1));
  EXPECT_EQ(0U, peer_->connections.size());
  EXPECT_EQ(0U, other->connections.size());
}

}  // namespace
}  // namespace sluice::peers
