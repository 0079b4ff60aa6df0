#include "kernel/machine.hpp"

#include <gtest/gtest.h>

namespace sluice::kernel {
namespace {

TEST(Machine, OneThatKeepsTheOrderOfLoadsIsTaken) {
  EXPECT_TRUE(require_machine("x86_64"));
}

// Another CPU would now and then see a flow whose parts are those of two.
TEST(Machine, AnyOtherIsRefusedWithTheReason) {
  for (const char* name : {"aarch64", "armv7l", "riscv64", "ppc64le", "s390x", "i686", ""}) {
    const auto taken = require_machine(name);
    ASSERT_FALSE(taken) << name;
    EXPECT_EQ(taken.error().kind, ErrorKind::unsupported);
    EXPECT_NE(taken.error().text().find("keep their order"), std::string::npos);
    EXPECT_NE(taken.error().text().find(name), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice::kernel
