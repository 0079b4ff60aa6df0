#include "kernel/pins.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace sluice::kernel {
namespace {

namespace fs = std::filesystem;

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

class LookAtPinsTest : public testing::Test {
 protected:
  LookAtPinsTest() {
    std::string name = testing::TempDir() + "pins.XXXXXX";
    directory_ = mkdtemp(name.data());
    for (const auto* below : {"maps", "links"}) fs::create_directory(directory_ / below);
    pin("maps/vips4");
    settle();
  }
  ~LookAtPinsTest() override { fs::remove_all(directory_); }

  void pin(const char* name) { std::ofstream(directory_ / name) << name; }
  // Makes what has happened so far a while ago.
  void settle() {
    for (const auto* below : {"", "maps", "links", "shared"}) {
      std::error_code ignored;
      fs::last_write_time(directory_ / below, begin_ += std::chrono::seconds(1), ignored);
    }
  }

  fs::path directory_;
  const PinDirectory& pins() { return pins_.emplace(directory_); }

 private:
  std::optional<PinDirectory> pins_;
  fs::file_time_type begin_ = fs::file_time_type::clock::now() - std::chrono::hours(1);
};

TEST_F(LookAtPinsTest, StaysTheSameWhileNobodyTouchesThem) {
  const auto look = pins().look();
  ASSERT_TRUE(look);
  EXPECT_EQ(pins().look(), look);
}

TEST_F(LookAtPinsTest, IsAnotherAfterAnyChange) {
  const std::vector<std::function<void()>> changes = {
      [&] { fs::remove(directory_ / "maps/vips4"); },
      [&] { pin("links/eth0"); },
      [&] { fs::create_directory(directory_ / "shared"); },
      [&] { pin("shared/eth1"); },
      [&] { pin("sluice_xdp"); },
      [&] { fs::rename(directory_ / "sluice_xdp", directory_ / "maps/vips4"); },
      [&] {
        fs::remove_all(directory_ / "maps");
        fs::create_directory(directory_ / "maps");
      },
      [&] { fs::remove_all(directory_); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto look = pins().look();
    ASSERT_TRUE(look) << i;
    changes[i]();
    settle();
    EXPECT_NE(pins().look(), look) << i;
  }
}

// The next change might have the same time.
TEST_F(LookAtPinsTest, TellsNothingRightAfterAChange) {
  pin("maps/vips6");
  EXPECT_FALSE(pins().look());
}

}  // namespace
}  // namespace sluice::kernel
