#include "base/file_lock.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sluice {
namespace {

namespace fs = std::filesystem;

class FileLockTest : public testing::Test {
 protected:
  FileLockTest() {
    char name[] = "/tmp/sluice-lock-XXXXXX";
    directory = ::mkdtemp(name);
    file = directory / "lock";
  }
  ~FileLockTest() override { fs::remove_all(directory); }

  Result<FileLock> acquire() { return FileLock::acquire(file, "the directory", "wait", {}); }

  fs::path directory, file;
};

TEST_F(FileLockTest, ASecondHolderIsRefusedWithTheFirstOnesPid) {
  const auto first = acquire();
  ASSERT_TRUE(first) << first.error().text();
  const auto second = acquire();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
  EXPECT_NE(second.error().text().find("the directory is in use by"), std::string::npos);
  EXPECT_NE(second.error().text().find(std::to_string(::getpid())), std::string::npos)
      << second.error().text();
}

TEST_F(FileLockTest, ItIsGoneWithItsHolder) {
  { const auto lock = acquire(); }
  EXPECT_FALSE(fs::exists(file));
  EXPECT_TRUE(acquire());
}

// flock() asks for no right to write: whoever can open a file can keep others from locking it.
TEST_F(FileLockTest, NobodyElseMayOpenItNorOneThatAnOlderVersionHasLeft) {
  {
    const auto lock = acquire();
    EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
  }
  std::ofstream(file) << "1";
  fs::permissions(file, fs::perms(0644));
  const auto lock = acquire();
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
}

}  // namespace
}  // namespace sluice
