// What one node tells another, as batches: kept until they have come, and asked for when they have
// not.
#include <gtest/gtest.h>

#include "example.hpp"
#include "peers/incoming.hpp"
#include "peers/outgoing.hpp"

namespace sluice::peers {
namespace {

using Verdict = Incoming::Verdict;

std::vector<Batch> sent_by(Outgoing& outgoing) {
  std::vector<Batch> batches;
  outgoing.close_batches();
  outgoing.send([&](const Bytes& part) {
    auto body = begin_body({});
    body.insert(body.end(), part.begin(), part.end());
    batches.push_back(parse(body)->batches.at(0));
  });
  return batches;
}

void add(Outgoing& outgoing, std::uint16_t first, std::uint16_t count) {
  for (std::uint16_t i = 0; i < count; ++i) outgoing.add(begins(first + i));
}

TEST(Outgoing, KeepsBatchesUntilTheyHaveCome) {
  Outgoing outgoing;
  outgoing.begin_stream();
  add(outgoing, 0, 100);
  const auto batches = sent_by(outgoing);
  ASSERT_GE(batches.size(), 3U);
  EXPECT_EQ(100U, outgoing.records_behind());
  EXPECT_TRUE(sent_by(outgoing).empty()) << "nothing is sent twice unasked";

  outgoing.acknowledged({.stream = 1, .next = 1, .wanted = 0, .missing = {{1, 2}}});
  const auto again = sent_by(outgoing);
  ASSERT_EQ(1U, again.size());
  EXPECT_EQ(1U, again[0].sequence);
  EXPECT_EQ(batches[1].changes.size(), again[0].changes.size());
  EXPECT_EQ(1U, outgoing.repaired());

  outgoing.acknowledged({.stream = 1, .next = batches.size(), .wanted = 0, .missing = {}});
  EXPECT_EQ(0U, outgoing.records_behind());
  outgoing.acknowledged({.stream = 1, .next = 0, .wanted = 0, .missing = {{0, 2}}});
  EXPECT_TRUE(sent_by(outgoing).empty()) << "what has come once is kept no more";
}

TEST(Outgoing, BelievesNoAcknowledgementOfWhatItHasNotSent) {
  Outgoing outgoing;
  outgoing.begin_stream();
  add(outgoing, 0, 10);
  outgoing.acknowledged({.stream = 1, .next = 1, .wanted = 0, .missing = {}});
  outgoing.acknowledged({.stream = 2, .next = 0, .wanted = 0, .missing = {}});
  outgoing.acknowledged({.stream = 1, .next = 0, .wanted = 0, .missing = {{0, ~0ULL}}});
  EXPECT_EQ(1U, sent_by(outgoing).size());
  EXPECT_EQ(10U, outgoing.records_behind());
}

TEST(Outgoing, GivesUpAPeerThatIsTooFarBehindInsteadOfWaiting) {
  Outgoing outgoing(4);
  EXPECT_TRUE(outgoing.needs_new_stream());
  outgoing.begin_stream();
  for (int i = 0; i < 4; ++i) {
    outgoing.add(begins(1));
    sent_by(outgoing);
  }
  EXPECT_FALSE(outgoing.needs_new_stream());
  outgoing.add(begins(1));
  EXPECT_TRUE(sent_by(outgoing).empty());
  EXPECT_TRUE(outgoing.needs_new_stream());
  EXPECT_TRUE(outgoing.status().is_walking) << "the peer does not have everything";

  outgoing.begin_stream();
  outgoing.end_walk();
  EXPECT_EQ((Status{.stream = 2, .next = 0, .is_walking = false}), outgoing.status());
  outgoing.add(begins(1));
  EXPECT_EQ(0U, sent_by(outgoing).at(0).sequence);
}

TEST(Incoming, KnowsWhatIsMissing) {
  Incoming incoming;
  EXPECT_EQ(Verdict::fresh, incoming.take(1, 0));
  EXPECT_EQ(Verdict::fresh, incoming.take(1, 5));
  EXPECT_EQ(Verdict::fresh, incoming.take(1, 8));
  EXPECT_EQ((Acknowledgement{.stream = 1, .next = 1, .wanted = 0, .missing = {{1, 5}, {6, 8}}}),
            incoming.acknowledgement());
  EXPECT_EQ(6U, incoming.missing());
  EXPECT_EQ(Verdict::fresh, incoming.take(1, 3));
  EXPECT_EQ(Verdict::repeated, incoming.take(1, 3));
  EXPECT_EQ(Verdict::repeated, incoming.take(1, 5));
  EXPECT_EQ(Verdict::repeated, incoming.take(1, 0));
  EXPECT_EQ((std::vector<Range>{{1, 3}, {4, 5}, {6, 8}}), incoming.acknowledgement().missing);
  for (const auto sequence : {1, 2, 4, 6, 7})
    EXPECT_EQ(Verdict::fresh, incoming.take(1, static_cast<std::uint64_t>(sequence)));
  EXPECT_EQ((Acknowledgement{.stream = 1, .next = 9, .wanted = 0, .missing = {}}),
            incoming.acknowledgement());
}

TEST(Incoming, HearsOfTheLastOneThatWasLost) {
  Incoming incoming;
  incoming.take(1, 0);
  incoming.heard({.stream = 1, .next = 3, .is_walking = true});
  EXPECT_EQ((std::vector<Range>{{1, 3}}), incoming.acknowledgement().missing);
  EXPECT_FALSE(incoming.is_complete());
  incoming.heard({.stream = 1, .next = 3, .is_walking = false});
  EXPECT_TRUE(incoming.is_complete());
}

TEST(Incoming, RefusesEarlierStreams) {
  Incoming incoming;
  incoming.take(2, 0);
  EXPECT_EQ(Verdict::too_old, incoming.take(1, 1));
  incoming.heard({.stream = 1, .next = 9, .is_walking = false});
  EXPECT_FALSE(incoming.misses_any());
  EXPECT_EQ(Verdict::fresh, incoming.take(3, 0)) << "another one begins at its beginning";
  EXPECT_EQ(1U, incoming.acknowledgement().next);
}

// The end of a connection was lost, and comes after the beginning of the next one with its ports.
TEST(Incoming, LetsNothingLateUndoWhatCameAfterIt) {
  Incoming incoming;
  constexpr std::uint64_t one = 11, other = 22, third = 33, port = 99, other_port = 98;
  incoming.take(1, 0);
  EXPECT_TRUE(incoming.may_apply(one, port, false, 0));
  incoming.take(1, 2);
  EXPECT_TRUE(incoming.may_apply(one, port, false, 2));
  incoming.take(1, 3);
  EXPECT_TRUE(incoming.may_apply(third, other_port, true, 3));
  incoming.take(1, 1);
  EXPECT_FALSE(incoming.may_apply(one, port, true, 1));
  EXPECT_FALSE(incoming.may_apply(third, other_port, false, 1));
  EXPECT_FALSE(incoming.may_apply(other, other_port, false, 1)) << "its port went to the third";
  EXPECT_TRUE(incoming.may_apply(other, other_port, true, 1)) << "this harms nobody";
  EXPECT_TRUE(incoming.may_apply(44, 97, false, 1)) << "nothing later is known of this one";
  incoming.take(1, 4);
  EXPECT_TRUE(incoming.may_apply(one, port, false, 4));
}

}  // namespace
}  // namespace sluice::peers
