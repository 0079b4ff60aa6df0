// Results over time, written as a string ('+' healthy, '-' failed), against the state after each of
// them ('U' up, 'D' down): one row reads as one story.
#include "health/rise_fall.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sluice::health {
namespace {

using model::Health;

struct Story {
  const char* sentence;
  std::uint32_t rise, fall;
  std::optional<Health> known;
  const char* results;
  const char* states;
};

std::string tell(const Story& story) {
  RiseFall state(story.rise, story.fall, story.known);
  std::string states;
  for (const char* result = story.results; *result; ++result) {
    const auto before = state.state();
    const auto changed = state.record(*result == '+');
    EXPECT_EQ(changed.has_value(), before != state.state())
        << story.sentence << ": reports changes and only changes";
    states += state.state() == Health::up ? 'U' : 'D';
  }
  return states;
}

TEST(RiseFall, FollowsTheStories) {
  const Story stories[] = {
      {"the first result of an unknown member decides: healthy", 3, 3, {}, "+", "U"},
      {"the first result of an unknown member decides: failed", 3, 3, {}, "-", "D"},
      {"a member that is up survives fall - 1 failures", 1, 3, Health::up, "--+--+", "UUUUUU"},
      {"and goes down at the fall-th failure in a row", 1, 3, Health::up, "---", "UUD"},
      {"a success in between starts the count anew", 1, 3, Health::up, "--+---", "UUUUUD"},
      {"a member that is down needs rise successes in a row", 2, 3, Health::down, "++", "DU"},
      {"a failure in between starts that count anew", 2, 3, Health::down, "+-++", "DDDU"},
      {"rise and fall are counted separately", 2, 1, Health::up, "-++-", "DDUD"},
      {"with 1 and 1 it follows every result", 1, 1, Health::up, "-+-+", "DUDU"},
      {"after coming up it needs a whole run to go down again", 2, 2, Health::down, "++-+--",
       "DUUUUD"},
      {"0 counts as 1", 0, 0, Health::up, "-+", "DU"},
      {"10 is 10", 1, 10, Health::up, "----------", "UUUUUUUUUD"},
  };
  for (const auto& story : stories) EXPECT_EQ(tell(story), story.states) << story.sentence;
}

TEST(RiseFall, IsUnknownUntilTheFirstResult) {
  EXPECT_EQ(RiseFall(1, 3, std::nullopt).state(), std::nullopt);
  EXPECT_EQ(RiseFall(1, 3, Health::down).state(), Health::down);
}

}  // namespace
}  // namespace sluice::health
