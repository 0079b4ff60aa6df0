// The file of records begins anew when it is full, and all of them together keep their quota.
#include "records/rotating_file.hpp"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <string>

namespace sluice::records {
namespace {

namespace fs = std::filesystem;

class File : public ::testing::Test {
 protected:
  File() {
    char name[] = "/tmp/sluice-records-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~File() override { fs::remove_all(directory_); }

  fs::path path(const std::string& suffix = "") const {
    return (directory_ / "records" / "connections.json").string() + suffix;
  }
  RotatingFile open(std::uint64_t max_bytes = 100, unsigned keep = 2) const {
    auto file = RotatingFile::open({.path = path(), .max_bytes = max_bytes, .keep = keep});
    if (!file) throw std::runtime_error(file.error().text());
    return std::move(*file);
  }
  static std::string content(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static std::string line(char c) { return std::string(39, c) + "\n"; }
  fs::path directory_;
};

TEST_F(File, LaterLinesGoToANewFileAndTheOldestGoes) {
  auto file = open();
  for (char c = 'a'; c <= 'h'; ++c) ASSERT_TRUE(file.append(line(c)));
  EXPECT_EQ(content(path()), line('g') + line('h'));
  EXPECT_EQ(content(path(".1")), line('e') + line('f'));
  EXPECT_EQ(content(path(".2")), line('c') + line('d'));
  EXPECT_FALSE(fs::exists(path(".3")));
  EXPECT_EQ(file.bytes(), 80U);
}

TEST_F(File, TogetherTheyKeepTheQuota) {
  auto file = open(1000, 3);
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(file.append(line('x')));
    std::uintmax_t all = 0;
    for (const auto& entry : fs::directory_iterator(directory_ / "records"))
      all += entry.file_size();
    ASSERT_LE(all, 4000U);
  }
}

TEST_F(File, WithNoEarlierOnesItIsMadeAnew) {
  auto file = open(100, 0);
  for (char c = 'a'; c <= 'c'; ++c) ASSERT_TRUE(file.append(line(c)));
  EXPECT_EQ(content(path()), line('c'));
  EXPECT_FALSE(fs::exists(path(".1")));
}

TEST_F(File, ItGoesOnAfterARestartAndKeepsFewerIfFewerAreWanted) {
  {
    auto file = open(100, 3);
    for (char c = 'a'; c <= 'g'; ++c) ASSERT_TRUE(file.append(line(c)));
    ASSERT_TRUE(fs::exists(path(".3")));
  }
  auto file = open(100, 1);
  EXPECT_FALSE(fs::exists(path(".2")));
  EXPECT_FALSE(fs::exists(path(".3")));
  ASSERT_TRUE(file.append(line('h')));
  EXPECT_EQ(content(path()), line('g') + line('h'));
}

TEST_F(File, ALineThatACrashCutOffEndsThere) {
  { open(); }
  std::ofstream(path()) << "{\"time\":";
  auto file = open();
  ASSERT_TRUE(file.append("{}\n"));
  EXPECT_EQ(content(path()), "{\"time\":\n{}\n");
}

TEST_F(File, OneThatSomebodyMovedIsMadeAnew) {
  auto file = open();
  ASSERT_TRUE(file.append(line('a')));
  fs::rename(path(), path(".mine"));
  ASSERT_TRUE(file.look_at_path());
  ASSERT_TRUE(file.append(line('b')));
  EXPECT_EQ(content(path()), line('b'));
  EXPECT_EQ(content(path(".mine")), line('a'));
}

TEST_F(File, TheGroupMayReadItAndNobodyElse) {
  auto file = open();
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  ASSERT_EQ(::stat(path().parent_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 02750U);
  if (const group* readers = getgrnam("sluice"); readers && geteuid() == 0) {
    EXPECT_EQ(status.st_gid, readers->gr_gid);
  }
}

TEST_F(File, WhatIsNoFileIsRefused) {
  fs::create_directories(path());
  EXPECT_FALSE(RotatingFile::open({.path = path(), .max_bytes = 100, .keep = 1}));
  EXPECT_FALSE(RotatingFile::open(
      {.path = directory_ / "none" / "of" / "these", .max_bytes = 100, .keep = 1}));
}

// The device that is always full stands for a disk that is.
TEST_F(File, AFullDiskIsAnError) {
  auto file = open();
  fs::remove(path());
  fs::create_symlink("/dev/full", path());
  EXPECT_FALSE(file.look_at_path()) << "links are not followed";
  EXPECT_FALSE(file.append(line('a')));
  fs::remove(path());
  EXPECT_TRUE(file.append(line('b'))) << "it tries again";
  EXPECT_EQ(content(path()), line('b'));
}

}  // namespace
}  // namespace sluice::records
