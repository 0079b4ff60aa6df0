#include "peers/session.hpp"

#include <gtest/gtest.h>

#include "example.hpp"

namespace sluice::peers {
namespace {

Bytes greeting(Session& from, const Salt& to) {
  auto body = begin_body(to);
  append_hello(body, "one");
  return from.seal(body);
}
Bytes hello(Session& from) {
  return greeting(from, from.to());
}

Refusal why(Session& session, const Bytes& datagram) {
  const auto opened = session.open(datagram);
  EXPECT_FALSE(opened);
  return opened ? Refusal::greeting : opened.error();
}

// Lets the two greet each other until both have the other's session.
void establish(Session& one, Session& two) {
  EXPECT_EQ(Refusal::greeting, why(two, hello(one)));
  const auto heard = one.open(greeting(two, *two.greeting()));
  ASSERT_TRUE(heard);
  EXPECT_TRUE(heard->is_new);
  const auto back = two.open(hello(one));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->is_new);
  EXPECT_TRUE(one.is_established() && two.is_established());
}

TEST(Session, IsEstablishedByThreeDatagrams) {
  Session one(keys()), two(keys());
  establish(one, two);
  const auto next = two.open(hello(one));
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->is_new);
  EXPECT_EQ("one", next->body.name);
}

TEST(Session, TakesNothingTwice) {
  Session one(keys()), two(keys());
  establish(one, two);
  const auto datagram = hello(one), later = hello(one);
  EXPECT_TRUE(two.open(later));
  EXPECT_TRUE(two.open(datagram));
  EXPECT_EQ(Refusal::repeated, why(two, datagram));
  EXPECT_EQ(Refusal::repeated, why(two, later));
}

// An eavesdropper has everything that was ever sent, and sends it again.
TEST(Session, TakesNothingOfEarlierSessions) {
  Session one(keys()), two(keys());
  const auto first_greeting = hello(one);
  establish(one, two);
  const auto old = hello(one);

  Session again(keys());  // the first one's next process
  establish(again, two);
  EXPECT_EQ(Refusal::stale, why(two, old)) << "of a session that was given up";
  EXPECT_EQ(Refusal::stale, why(two, first_greeting));

  Session reborn(keys());  // the second one's
  EXPECT_EQ(Refusal::greeting, why(reborn, old)) << "it names another receiver";
  EXPECT_FALSE(reborn.is_established());
  establish(again, reborn);
}

TEST(Session, TakesNothingThatWasMeantForOthers) {
  Session one(keys()), two(keys()), three(keys());
  establish(one, two);
  EXPECT_EQ(Refusal::greeting, why(three, hello(one)));
  EXPECT_EQ(Refusal::stale, why(one, hello(one))) << "its own, sent back";
  EXPECT_FALSE(three.is_established());
}

TEST(Session, OfAPeerThatBeganAnewReplacesTheOldOne) {
  Session one(keys()), two(keys());
  establish(one, two);
  Session again(keys());
  // The second one goes on speaking to the old session. That is what tells the new one of it.
  EXPECT_EQ(Refusal::greeting, why(again, hello(two)));
  const auto heard = two.open(greeting(again, *again.greeting()));
  ASSERT_TRUE(heard);
  EXPECT_TRUE(heard->is_new);
  EXPECT_TRUE(again.open(hello(two)));
}

TEST(Session, NeedsAKeyThatBothHave) {
  const std::string a(64, 'a'), b(64, 'b');
  Session one(keys(a)), two(keys(b));
  EXPECT_EQ(Refusal::key, why(two, hello(one)));

  // a -> a and b -> b and a -> b: each step at one node after the other.
  Session left(keys(a)), right(keys(a));
  establish(left, right);
  const auto hear_each_other = [&] {
    const auto there = right.open(hello(left)), back = left.open(hello(right));
    return there && back && !there->is_new && !back->is_new;
  };
  for (const auto& step : {a + "\n" + b, b + "\n" + a, b}) {
    left.exchange(keys(step));
    EXPECT_TRUE(hear_each_other()) << step;
    right.exchange(keys(step));
    EXPECT_TRUE(hear_each_other()) << step;
  }
  const auto old = Session(keys(a)).seal(begin_body({}));
  EXPECT_EQ(Refusal::key, why(left, old));
}

TEST(Session, RefusesWhatNobodyOfItsFleetHasSealed) {
  Session one(keys()), two(keys());
  establish(one, two);
  auto forged = hello(one);
  forged.back() ^= 1;
  EXPECT_EQ(Refusal::forged, why(two, forged));
  EXPECT_EQ(Refusal::malformed, why(two, Bytes(20)));
  EXPECT_EQ(Refusal::version, why(two, Bytes(100)));
  EXPECT_EQ(Refusal::malformed, why(two, one.seal(Bytes{1, 2, 3})));
}

// More restarts than anybody remembers: what they left is worthless all the same.
TEST(Session, SurvivesManyRestartsOfItsPeer) {
  Session two(keys());
  Bytes old;
  for (int i = 0; i < 1100; ++i) {
    Session one(keys());
    establish(one, two);
    if (i == 0) old = hello(one);
    if (HasFatalFailure()) return;
  }
  EXPECT_NE(Refusal::forged, why(two, old));
  EXPECT_TRUE(two.is_established());
}

}  // namespace
}  // namespace sluice::peers
