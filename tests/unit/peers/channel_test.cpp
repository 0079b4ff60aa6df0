// The thread and the socket, on loopback.
#include "peers/channel.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "example.hpp"
#include "fake_replicas.hpp"

namespace sluice::peers {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class ChannelTest : public testing::Test {
 protected:
  // This process has an address of its own, so that runs side by side don't meet.
  const TcpAddress first_{
      *parse_ip_address(fmt::format("127.{}.{}.1", 1 + getpid() / 256 % 250, getpid() % 256)),
      default_port};
  // On all addresses of both families; what it sends comes from the loopback address.
  const TcpAddress second_{*parse_ip_address("::"),
                           static_cast<std::uint16_t>(20'000 + getpid() % 10'000)};
  const TcpAddress second_seen_{*parse_ip_address("127.0.0.1"), second_.port};
  std::atomic<int> exchanged_{0};
  const fs::path key_file_ = fs::temp_directory_path() / fmt::format("sluice-key-{}", getpid());

  void write_keys(const std::string& text) {
    const auto beside = key_file_.string() + ".new";
    std::ofstream(beside) << text;
    fs::permissions(beside, fs::perms::owner_read | fs::perms::owner_write);
    fs::rename(beside, key_file_);
  }
  std::unique_ptr<Channel> open(const TcpAddress& listen) {
    auto channel = Channel::open(
        {.listen = listen, .key_file = key_file_, .name = "node"},
        [this](const std::string& line) { exchanged_ += line.starts_with("peers: keys were"); });
    EXPECT_TRUE(channel) << channel.error().text();
    return channel ? std::move(*channel) : nullptr;
  }
  static bool wait_for(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  static bool has_replica(const Channel& channel, const std::string& state = "FOLLOWING") {
    const auto peers = channel.state().peers;
    return peers.size() == 1 && peers[0].state == state && peers[0].replicas == 1;
  }
  ~ChannelTest() override { fs::remove(key_file_); }
};

TEST_F(ChannelTest, TellsConnectionsOverBothKindsOfSockets) {
  const std::string old(64, '1'), next(64, '2');
  write_keys(old);
  const auto first = open(first_), second = open(second_);
  ASSERT_TRUE(first && second);
  for (auto* channel : {first.get(), second.get()}) {
    auto replicas = std::make_unique<FakeReplicas>();
    replicas->begin(connection(channel == first.get() ? 1 : 2));
    channel->follow(std::move(replicas), 1000);
    channel->start();
  }
  first->set_peers({second_seen_});
  second->set_peers({first_});
  EXPECT_TRUE(wait_for([&] { return has_replica(*first) && has_replica(*second); }));

  // The keys are exchanged while they talk.
  const auto received = [](const Channel& channel) {
    return channel.state().peers.at(0).received_datagrams;
  };
  int exchanged = 0;
  for (const auto& keys : {old + "\n" + next, next + "\n" + old, next}) {
    write_keys(keys);
    exchanged += 2;
    ASSERT_TRUE(wait_for([&] { return exchanged_ == exchanged; }));
  }
  const auto before = received(*first);
  EXPECT_TRUE(wait_for([&] { return received(*first) > before + 5; }));
  EXPECT_TRUE(has_replica(*first) && has_replica(*second));
}

TEST_F(ChannelTest, SaysWhereItCannotListen) {
  write_keys(std::string(64, '1'));
  const auto refused = Channel::open(
      {.listen = {*parse_ip_address("192.0.2.1"), 1}, .key_file = key_file_, .name = "node"},
      [](const std::string&) {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "listen for peers on 192.0.2.1:1: Cannot assign requested address (see --peer-listen)");
}

}  // namespace
}  // namespace sluice::peers
