#include "dataplane/reasons.hpp"

#include <gtest/gtest.h>

#include <set>

namespace sluice::dataplane {
namespace {

TEST(Reasons, TheTextStandsAtTheNumberOfItsReason) {
  EXPECT_EQ(reasons[SLUICE_REASON_FORWARDED].label, "forwarded");
  EXPECT_EQ(reasons[SLUICE_REASON_FORWARDED].verdict, "forward");
  EXPECT_EQ(reasons[SLUICE_REASON_NO_LISTENER].label, "no_listener");
  EXPECT_EQ(reasons[SLUICE_REASON_NO_LISTENER].verdict, "drop");
  EXPECT_EQ(reasons[SLUICE_REASON_TTL_EXCEEDED].label, "ttl_exceeded");
}

TEST(Reasons, EachHasALabelOfItsOwnAndASentence) {
  std::set<std::string_view> labels;
  for (const auto& reason : reasons) {
    EXPECT_TRUE(labels.insert(reason.label).second) << reason.label;
    EXPECT_EQ(reason.sentence.back(), '.') << reason.label;
  }
}

}  // namespace
}  // namespace sluice::dataplane
