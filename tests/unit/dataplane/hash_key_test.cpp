// The key by which members are chosen, and the file that keeps it.
#include "dataplane/hash_key.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace sluice::dataplane {
namespace {

class HashKey : public ::testing::Test {
 protected:
  HashKey() {
    char name[] = "/tmp/hash_key_test.XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~HashKey() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path file() const { return directory_ / "hash-key"; }
  void write(const std::string& text) const { std::ofstream(file()) << text; }

 private:
  std::filesystem::path directory_;
};

TEST_F(HashKey, ARestartChoosesTheSameMembers) {
  const auto first = read_or_make_hash_key(file());
  ASSERT_TRUE(first) << first.error().text();
  const auto second = read_or_make_hash_key(file());
  ASSERT_TRUE(second);
  EXPECT_EQ(first->halves[0], second->halves[0]);
  EXPECT_EQ(first->halves[1], second->halves[1]);
  EXPECT_NE(first->halves[0], first->halves[1]);
  struct stat status {};
  ASSERT_EQ(stat(file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U) << "whoever knows it can aim at one member";
}

TEST_F(HashKey, TwoMachinesWithoutACommonFileChooseDifferently) {
  const auto one = read_or_make_hash_key(file());
  std::filesystem::remove(file());
  const auto other = read_or_make_hash_key(file());
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->halves[0], other->halves[0]);
}

TEST_F(HashKey, AnOperatorsFileIsReadAsItIs) {
  write("  00112233445566778899aabbCCDDEEFF\n");
  const auto key = read_or_make_hash_key(file());
  ASSERT_TRUE(key) << key.error().text();
  EXPECT_EQ(key->halves[0], 0x0011223344556677U);
  EXPECT_EQ(key->halves[1], 0x8899aabbccddeeffU);
}

TEST_F(HashKey, WhatIsNoKeyIsRefusedAndStaysAsItWas) {
  for (const std::string text :
       {"", "\n", "0123", "00112233445566778899aabbccddeefg", "0x112233445566778899aabbccddeeff",
        "00112233445566778899aabbccddeeff00", "-0112233445566778899aabbccddeeff"}) {
    write(text);
    const auto key = read_or_make_hash_key(file());
    ASSERT_FALSE(key) << text;
    EXPECT_NE(key.error().text().find(file().string()), std::string::npos) << key.error().text();
    std::ifstream stream(file());
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), text);
  }
}

TEST_F(HashKey, AFileThatCannotBeMadeIsNamed) {
  const auto key = read_or_make_hash_key("/nowhere/hash-key");
  ASSERT_FALSE(key);
  EXPECT_NE(key.error().text().find("/nowhere/hash-key"), std::string::npos);
}

}  // namespace
}  // namespace sluice::dataplane
