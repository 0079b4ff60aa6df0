// What the program of an EXTERNAL monitor says, whatever it says.
#include "health/check_answer.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace sluice::health {
namespace {

using Verdict = ProbeResult::Verdict;

int exited(int status) {
  return status << 8;
}

TEST(CheckAnswer, ExitStatus0IsUpAndEveryOtherEndIsDown) {
  EXPECT_EQ(judge_check(exited(0), "").verdict, Verdict::healthy);
  EXPECT_EQ(judge_check(exited(0), "").reason, "exit status 0");
  EXPECT_EQ(judge_check(exited(2), "").verdict, Verdict::failed);
  EXPECT_EQ(judge_check(exited(2), "").reason, "exit status 2");
  EXPECT_EQ(judge_check(SIGKILL, "").verdict, Verdict::failed);
  EXPECT_EQ(judge_check(SIGKILL, "").reason, "killed by signal 9 (Killed)");
}

TEST(CheckAnswer, TheFirstLineIsTheReason) {
  EXPECT_EQ(judge_check(exited(0), "\n  \nlag 2 s\r\nmore\n").reason, "lag 2 s");
  EXPECT_EQ(judge_check(exited(1), "lag 2 h").reason, "lag 2 h (exit status 1)");
}

TEST(CheckAnswer, AHostileLineIsCutAndPrintable) {
  EXPECT_EQ(judge_check(exited(1), "\x1b[2J\xff").reason, "\\x1b[2J\\xff (exit status 1)");
  const std::string zeros(3, '\0');
  EXPECT_EQ(judge_check(exited(0), zeros).reason, "\\x00\\x00\\x00");
  const auto longest = judge_check(exited(0), std::string(1000, 'x')).reason;
  EXPECT_EQ(longest, std::string(longest_check_reason, 'x'));
}

TEST(CheckAnswer, AWeightIsAPercentageAndItsLineIsNoReason) {
  const auto half = judge_check(exited(0), "weight 50%\nwarming up\n");
  EXPECT_EQ(half.verdict, Verdict::healthy);
  EXPECT_EQ(half.weight_percent, 50U);
  EXPECT_EQ(half.reason, "warming up");
  EXPECT_EQ(judge_check(exited(0), "warming up\nweight 0%").weight_percent, 0U);
  EXPECT_EQ(judge_check(exited(0), "well\n").weight_percent, 100U);
  EXPECT_EQ(judge_check(exited(1), "weight 50%").weight_percent, 100U) << "who is down has none";
}

TEST(CheckAnswer, AWeightThatIsNoneSaysNothingAboutTheMember) {
  for (const auto* line : {"weight 101%", "weight -1%", "weight 50", "weight 5 0%", "weight %",
                           "weight 99999999999%"}) {
    const auto result = judge_check(exited(0), line);
    EXPECT_EQ(result.verdict, Verdict::none) << line;
    EXPECT_EQ(result.reason, std::string("a check said '") + line +
                                 "', which is not 'weight N%' with N from 0 to 100");
  }
}

}  // namespace
}  // namespace sluice::health
