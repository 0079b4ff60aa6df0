#include "kernel/pins.hpp"

#include <gtest/gtest.h>

namespace sluice::kernel {
namespace {

TEST(Pins, AVlanInterfaceIsPinnedUnderANameThatBpffsAllows) {
  EXPECT_EQ(pin_name("eth0.100"), "eth0:100");
  EXPECT_EQ(interface_of_pin("eth0:100"), "eth0.100");
  EXPECT_EQ(PinDirectory("/sys/fs/bpf/sluice").link("eth0.100"),
            "/sys/fs/bpf/sluice/links/eth0:100");
}

TEST(Pins, ATrailingSlashMakesNoOtherDirectory) {
  EXPECT_EQ(PinDirectory("/sys/fs/bpf/sluice/").path(), PinDirectory("/sys/fs/bpf/sluice").path());
}

TEST(Pins, ADirectoryOnAnotherFileSystemIsRefusedByName) {
  const auto result = PinDirectory("/proc/sluice").require_lasting_bpffs();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("/proc/sluice is not on a bpffs"), std::string::npos)
      << result.error().message;
}

TEST(Pins, NothingIsPinnedWhereThereIsNoDirectory) {
  const PinDirectory pins("/proc/sluice");
  ASSERT_TRUE(pins.exists());
  EXPECT_FALSE(*pins.exists());
  EXPECT_TRUE(pins.linked_interfaces().empty());
  EXPECT_FALSE(pins.require_pinned());
}

}  // namespace
}  // namespace sluice::kernel
