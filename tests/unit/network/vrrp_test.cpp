// keepalived's notifications, and the FIFO by which they come.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "network/vrrp_fifo.hpp"
#include "network/vrrp_instances.hpp"

namespace sluice::network {
namespace {

using News = VrrpInstances::News;

TEST(VrrpInstancesTest, AreStandbyUntilOneIsMaster) {
  VrrpInstances instances;
  EXPECT_FALSE(instances.any_master());
  EXPECT_EQ(instances.take(R"(INSTANCE "vips" BACKUP 100)"), News::state);
  EXPECT_FALSE(instances.any_master());
  EXPECT_EQ(instances.take(R"(INSTANCE "vips" MASTER 100)"), News::state);
  EXPECT_TRUE(instances.any_master());
  EXPECT_EQ(instances.take(R"(INSTANCE "vips" MASTER 100)"), News::nothing);
}

TEST(VrrpInstancesTest, AMasterThatHearsALowerOneHasToClaimAgain) {
  VrrpInstances instances;
  instances.take(R"(INSTANCE "vips" MASTER 100)");
  EXPECT_EQ(instances.take(R"(INSTANCE "vips" MASTER_RX_LOWER_PRI 100)"), News::claimed);
  EXPECT_TRUE(instances.any_master());
}

TEST(VrrpInstancesTest, StopAndFaultEndIt) {
  for (const auto* state : {"STOP", "FAULT", "BACKUP", "DELETED"}) {
    VrrpInstances instances;
    instances.take(R"(INSTANCE "vips" MASTER 100)");
    instances.take(std::string(R"(INSTANCE "vips" )") + state + " 100");
    EXPECT_FALSE(instances.any_master()) << state;
  }
}

TEST(VrrpInstancesTest, OneOfSeveralIsEnough) {
  VrrpInstances instances;
  instances.take(R"(INSTANCE "a "b"" MASTER 100)");
  instances.take(R"(INSTANCE "c" BACKUP 100)");
  EXPECT_TRUE(instances.any_master());
  VrrpInstances again;
  std::istringstream lines(instances.lines());
  for (std::string line; std::getline(lines, line);) again.take(line);
  EXPECT_TRUE(again.any_master());
  EXPECT_EQ(again.lines(), instances.lines());
}

TEST(VrrpInstancesTest, OtherLinesAreNothing) {
  VrrpInstances instances;
  for (const auto* line : {"", "GROUP \"g\" MASTER 0", "INSTANCE", "INSTANCE \"x", "INSTANCE \"x\"",
                           "INSTANCE \"x\" ", "INSTANCE \"x\" WHAT 1", "instance \"x\" MASTER 1"}) {
    EXPECT_EQ(instances.take(line), News::nothing) << line;
  }
  EXPECT_EQ(instances.lines(), "");
}

class VrrpFifoTest : public testing::Test {
 protected:
  VrrpFifoTest() {
    auto name = (std::filesystem::temp_directory_path() / "sluice-vrrp-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    path = directory / "fifo";
  }
  ~VrrpFifoTest() override { std::filesystem::remove_all(directory); }

  void start() {
    fifo.reset();
    fifo.emplace(*VrrpFifo::open(loop.get_executor(), path));
    fifo->listen(
        {.changed = [this](bool active) { heard.push_back(active ? "active" : "standby"); },
         .claimed = [this] { heard.push_back("claimed"); }});
  }
  void write(const std::string& text) { std::ofstream(path) << text << std::flush; }
  // Writes, and waits until something is heard.
  void say(const std::string& text) {
    write(text);
    const auto before = heard.size();
    for (int i = 0; i < 100 && heard.size() == before; ++i)
      loop.run_one_for(std::chrono::milliseconds(50));
  }

  std::filesystem::path directory, path;
  boost::asio::io_context loop;
  std::optional<VrrpFifo> fifo;
  std::vector<std::string> heard;
};

TEST_F(VrrpFifoTest, TellsWhatKeepalivedSaysAndKnowsItAfterARestart) {
  start();
  EXPECT_FALSE(fifo->is_active());
  write("INSTANCE \"vips\" BACKUP 100\nINSTANCE \"vips\" MAS");
  say("TER 100\n");
  say("INSTANCE \"vips\" MASTER_RX_LOWER_PRI 100\n");
  EXPECT_EQ(heard, (std::vector<std::string>{"active", "claimed"}));
  start();
  EXPECT_TRUE(fifo->is_active()) << "keepalived says it only once";
  say("INSTANCE \"vips\" STOP 100\n");
  EXPECT_EQ(heard.back(), "standby");
}

TEST_F(VrrpFifoTest, AFifoThatKeepalivedHasMadeAnewIsRead) {
  start();
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int keepalived = ::open(path.c_str(), O_RDWR | O_NONBLOCK);  // so that what is said is kept
  say("INSTANCE \"vips\" MASTER 100\n");
  ::close(keepalived);
  EXPECT_EQ(heard, (std::vector<std::string>{"active"}));
}

TEST_F(VrrpFifoTest, AnotherKindOfFileIsRefused) {
  std::ofstream(path) << "no FIFO";
  const auto opened = VrrpFifo::open(loop.get_executor(), path);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text(),
            "open the FIFO " + path.string() + ": it is another kind of file");
}

}  // namespace
}  // namespace sluice::network
