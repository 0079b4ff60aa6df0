// The slow lane: order, what is left out, and how much may wait. Runs in the `tsan` build, too.
#include "dataplane/slow_lane.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sluice::dataplane {
namespace {

class SlowLaneTest : public testing::Test {
 protected:
  SlowLaneTest() {
    lane_.emplace([this](auto heard) { boost::asio::post(loop_, std::move(heard)); });
  }

  // Keeps the lane's thread busy until release().
  void hold() {
    std::promise<void> begun;
    lane_->go_first([&begun, held = release_.get_future().share()]() -> std::function<void()> {
      begun.set_value();
      held.wait();
      return {};
    });
    begun.get_future().wait();
  }
  void release() { release_.set_value(); }

  Worker::Work noting(const std::string& name) {
    return [this, name]() -> std::function<void()> {
      return [this, name] { outcomes_.push_back(name); };
    };
  }
  bool ask(const std::string& name, const control::Asker& asker = {}) {
    return lane_->ask(noting(name), asker);
  }
  // Lets the event loop work until this outcome has come.
  void hear(const std::string& last) {
    while (outcomes_.empty() || outcomes_.back() != last) {
      loop_.run_one();
      loop_.restart();
    }
  }

  boost::asio::io_context loop_{1};
  decltype(boost::asio::make_work_guard(loop_)) guard_ = boost::asio::make_work_guard(loop_);
  std::promise<void> release_;
  std::vector<std::string> outcomes_;
  std::optional<SlowLane> lane_;
};

using Names = std::vector<std::string>;

TEST_F(SlowLaneTest, WhatIsAskedIsAnsweredInOrderAndASweepGoesFirst) {
  hold();
  EXPECT_TRUE(ask("one"));
  EXPECT_TRUE(ask("two"));
  lane_->go_first(noting("sweep"));
  EXPECT_TRUE(ask("three"));
  release();
  hear("three");
  EXPECT_EQ(outcomes_, (Names{"sweep", "one", "two", "three"}));
}

TEST_F(SlowLaneTest, WhatNobodyWaitsForAnyMoreIsLeftOut) {
  hold();
  auto client = std::make_shared<int>();
  EXPECT_TRUE(ask("gone", control::Asker(client)));
  const auto other = std::make_shared<int>();
  EXPECT_TRUE(ask("stays", control::Asker(other)));
  client.reset();
  release();
  hear("stays");
  EXPECT_EQ(outcomes_, Names{"stays"});
}

TEST_F(SlowLaneTest, NoMoreWaitsThanItsLimitAndThoseWhoLeftDoNotCount) {
  hold();
  auto client = std::make_shared<int>();
  for (std::size_t i = 0; i < SlowLane::most_waiting; ++i)
    EXPECT_TRUE(ask("waits", control::Asker(client)));
  EXPECT_FALSE(ask("too many"));
  lane_->go_first(noting("sweep"));
  client.reset();
  EXPECT_TRUE(ask("last"));
  release();
  hear("last");
  EXPECT_EQ(outcomes_, (Names{"sweep", "last"}));
}

TEST_F(SlowLaneTest, ItsEndWaitsForWhatIsUnderWayAndForNothingElse) {
  hold();
  bool carried_out = false;
  auto kept = std::make_shared<int>();
  const std::weak_ptr<int> is_kept = kept;
  EXPECT_TRUE(lane_->ask(
      [&carried_out, kept = std::move(kept)]() -> std::function<void()> {
        carried_out = true;
        return {};
      },
      {}));
  // What waits goes first; then the lane's end waits for what is under way, which has to be
  // released.
  auto ended = std::async(std::launch::async, [this] { lane_.reset(); });
  const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!is_kept.expired() && std::chrono::steady_clock::now() < patience)
    std::this_thread::yield();
  EXPECT_TRUE(is_kept.expired()) << "what waits was not dropped";
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  release();
  ended.wait();
  EXPECT_FALSE(carried_out);
}

}  // namespace
}  // namespace sluice::dataplane
