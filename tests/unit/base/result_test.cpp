#include "base/result.hpp"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Error, ReadsOutsideInAndEndsWithTheNextStep) {
  const Result<> inner = fail_errno(EPERM, "load program", "run as root");
  const Result<> outer = fail(inner.error(), "attach to eth0");
  EXPECT_EQ(outer.error().text(),
            "attach to eth0: load program: Operation not permitted (run as root)");
  EXPECT_EQ(outer.error().kind, ErrorKind::system);
  EXPECT_EQ(outer.error().system_errno, EPERM);
}

TEST(Error, WithoutAHintIsTheBareMessage) {
  const Result<int> result = fail(ErrorKind::not_found, "Pool x not found.");
  EXPECT_EQ(result.error().text(), "Pool x not found.");
}

}  // namespace
}  // namespace sluice
