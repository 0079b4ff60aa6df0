// Events of a member, a tenth of a second each, against the state after each: one row reads as one
// story.
#include "health/suspicion.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using Verdict = ProbeResult::Verdict;

struct Story {
  const char* sentence;
  // '1' a connection failed, 'M' many failed; '+' the member answers a probe, '-' it does not, 'D'
  // it does not and goes down, '?' this machine can't probe; '.' a second passes
  const char* events;
  // '!' probe it now, 's' probe it again within a second, 'A' that, and new connections are kept
  // away; ' ' neither
  const char* states;
};

std::string tell(const Story& story) {
  Suspicion suspicion(1s);
  Suspicion::Time now{1000h};
  std::string states;
  for (const char* event = story.events; *event; ++event, now += 100ms) {
    bool at_once = false;
    switch (*event) {
      case '1':
      case 'M':
        at_once = suspicion.accuse(*event == 'M', now);
        break;
      case '.':
        now += 900ms;
        break;
      default:
        suspicion.hear(*event == '+'   ? Verdict::healthy
                       : *event == '?' ? Verdict::none
                                       : Verdict::failed,
                       *event != 'D', now);
    }
    const auto next = suspicion.next_probe(now);
    EXPECT_TRUE(!next || *next == now + 1s) << story.sentence;
    states += at_once && !suspicion.keeps_away() ? '!'
              : suspicion.keeps_away()           ? 'A'
              : next                             ? 's'
                                                 : ' ';
  }
  return states;
}

TEST(Suspicion, FollowsTheStories) {
  const Story stories[] = {
      {"nobody is suspected for failed probes alone", "--D+", "    "},
      {"the first failure asks, the next ones wait for the answer", "111", "!ss"},
      {"a member that answers is cleared", "1+", "! "},
      {"one that does not is kept away from until it does", "1--+", "!AA "},
      {"or until it is down", "1-D", "!A "},
      {"many failures keep away at once", "M+", "A "},
      {"also when they follow a first one", "1M+", "!A "},
      {"and then probes that fail change nothing", "M--", "AAA"},
      {"who was cleared has ten seconds", "1+M.........M..1", "!              !"},
      {"who came back from down has none", "1D1", "! !"},
      {"when nobody can be probed nothing is known", "M?1", "A  "},
  };
  for (const auto& story : stories) EXPECT_EQ(tell(story), story.states) << story.sentence;
}

}  // namespace
}  // namespace sluice::health
