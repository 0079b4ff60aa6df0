#include "peers/seal.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "example.hpp"

namespace sluice::peers {
namespace {

namespace fs = std::filesystem;

Cipher cipher_of(const Key& key, const Salt& salt) {
  return {key, id_of(key), salt};
}

TEST(Seal, OpensWithTheSameKeyAndSaltOnly) {
  const auto key = keys().to_send();
  const auto other = keys(std::string(64, 'b')).to_send();
  const Salt salt = new_salt();
  const Bytes body = {1, 2, 3};
  const auto datagram = cipher_of(key, salt).seal(body, 5);

  const auto head = parse_head(datagram);
  ASSERT_TRUE(head);
  EXPECT_EQ(salt, head->salt);
  EXPECT_EQ(5U, head->counter);
  EXPECT_EQ(id_of(key), head->key);
  EXPECT_NE(id_of(other), head->key);
  EXPECT_EQ(body, cipher_of(key, salt).open(datagram, 5));
  EXPECT_FALSE(cipher_of(key, salt).open(datagram, 6));
  EXPECT_FALSE(cipher_of(key, new_salt()).open(datagram, 5));
  EXPECT_FALSE(cipher_of(other, salt).open(datagram, 5));
}

TEST(Seal, BreaksWithEveryBit) {
  const auto key = keys().to_send();
  const Salt salt = new_salt();
  auto cipher = cipher_of(key, salt);
  auto datagram = cipher.seal(Bytes{1, 2, 3}, 5);
  for (std::size_t bit = 0; bit < datagram.size() * 8; ++bit) {
    datagram[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    EXPECT_FALSE(cipher.open(datagram, 5)) << bit;
    datagram[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
  EXPECT_TRUE(cipher.open(datagram, 5));
}

TEST(Seal, SaysWhatItDoesNotUnderstand) {
  auto datagram = cipher_of(keys().to_send(), new_salt()).seal(Bytes{}, 0);
  EXPECT_TRUE(parse_head(datagram));
  EXPECT_EQ(HeadFault::malformed, parse_head(View(datagram).first(47)).error());
  datagram[0] = 2;
  EXPECT_EQ(HeadFault::version, parse_head(datagram).error());
}

TEST(ReplayWindow, TakesEachCounterOnceInAnyOrder) {
  ReplayWindow window;
  EXPECT_TRUE(window.take(3));
  EXPECT_TRUE(window.take(1));
  EXPECT_FALSE(window.take(3));
  EXPECT_FALSE(window.take(1));
  EXPECT_TRUE(window.take(ReplayWindow::width + 1));
  EXPECT_TRUE(window.take(2)) << "the oldest that is known";
  EXPECT_FALSE(window.take(2));
  EXPECT_FALSE(window.take(0)) << "so old that nobody knows";
  EXPECT_TRUE(window.take(1'000'000));
  EXPECT_TRUE(window.take(1'000'000 - 1));
  EXPECT_FALSE(window.take(1'000'000 - ReplayWindow::width));
  EXPECT_FALSE(window.take(~std::uint64_t{0})) << "there is none after it";
}

// By comparison with a set that forgets nothing.
TEST(ReplayWindow, NeverTakesOneTwice) {
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same at each run
  ReplayWindow window;
  std::set<std::uint64_t> taken;
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t counter = static_cast<unsigned>(i) + random() % 6000;
    const bool fresh = window.take(counter);
    if (fresh) {
      EXPECT_TRUE(taken.insert(counter).second) << counter;
    }
    EXPECT_TRUE(taken.contains(counter) || counter + ReplayWindow::width <= *taken.rbegin());
  }
}

class KeyFile : public testing::Test {
 protected:
  Result<Keys> read(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
    return Keys::read(path_);
  }
  ~KeyFile() override { fs::remove(path_); }

  fs::path path_ = fs::temp_directory_path() / ("sluice-peer-keys-" + std::to_string(getpid()));
};

TEST_F(KeyFile, HasOneOrTwoKeys) {
  const std::string one(64, '1'), two(64, 'F');
  ASSERT_TRUE(read(one));
  EXPECT_EQ(1U, read(one + "\n")->all().size());
  const auto both = read("# of May\n" + one + "  # the new one\n\n" + two + "\n");
  ASSERT_TRUE(both);
  EXPECT_EQ(2U, both->all().size());
  EXPECT_EQ(0x11, both->to_send()[0]);
  EXPECT_EQ(0xff, both->all()[1][31]);
}

TEST_F(KeyFile, IsRefusedInASentence) {
  const std::string key(64, '1');
  const auto complaint = [&](const std::string& text, mode_t mode = 0600) {
    const auto keys = read(text, mode);
    return keys ? std::string() : keys.error().text();
  };
  const auto what = "read the peers' key file " + path_.string() + ": ";
  EXPECT_EQ(what + "it has no key (make one with: openssl rand -hex 32)", complaint("# later\n"));
  EXPECT_EQ(what + "it has more than 2 keys", complaint(key + "\n" + key + "\n" + key));
  for (const auto& wrong : {key.substr(1), key + "00", key.substr(1) + "g"}) {
    EXPECT_EQ(what +
                  "a line is not a key of 64 hexadecimal digits (make one with: openssl rand "
                  "-hex 32)",
              complaint(wrong));
  }
  for (const mode_t mode : {0640, 0604, 0620}) {
    EXPECT_EQ("others than its owner have access to the peers' key file " + path_.string() +
                  " (chmod 600 " + path_.string() + ")",
              complaint(key, mode));
  }
  fs::remove(path_);
  EXPECT_EQ(what + "No such file or directory (see --peer-key-file)",
            Keys::read(path_).error().text());
}

}  // namespace
}  // namespace sluice::peers
