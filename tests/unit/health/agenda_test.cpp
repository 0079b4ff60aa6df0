#include "health/agenda.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <vector>

namespace sluice::health {
namespace {

using namespace std::chrono_literals;
using Clock = Agenda::Clock;

class AgendaTest : public testing::Test {
 protected:
  struct Bell final : Agenda::Alarm {
    explicit Bell(std::function<void()> on_ring_) : on_ring(std::move(on_ring_)) {}
    void ring() override { on_ring(); }
    std::function<void()> on_ring;
  };

  // Runs the loop until `done`, for a minute at most, and a moment longer to catch what must not
  // happen.
  template <typename Done>
  void run_until(Done done) {
    const auto deadline = Clock::now() + 60s;
    while (!done() && Clock::now() < deadline) context.run_one_for(100ms);
    context.run_for(30ms);
  }

  boost::asio::io_context context;
  Agenda agenda{context.get_executor()};
  const Clock::time_point start = Clock::now();
};

TEST_F(AgendaTest, AlarmsRingOnceInOrderAndNotTooEarly) {
  std::vector<int> rung;
  Bell late([&] { rung.push_back(3); }), early([&] {
    rung.push_back(1);
    EXPECT_GE(Clock::now(), start + 20ms);
  }),
      middle([&] { rung.push_back(2); });
  agenda.set(late, start + 60ms);
  agenda.set(early, start + 20ms);
  agenda.set(middle, start + 40ms);
  run_until([&] { return rung.size() == 3; });
  EXPECT_EQ(rung, (std::vector{1, 2, 3}));
}

TEST_F(AgendaTest, SettingAnAlarmAgainMovesIt) {
  int rung = 0;
  Bell bell([&] {
    ++rung;
    EXPECT_GE(Clock::now(), start + 50ms);
  });
  agenda.set(bell, start + 10ms);
  agenda.set(bell, start + 50ms);
  run_until([&] { return rung == 1; });
  EXPECT_EQ(rung, 1);
}

TEST_F(AgendaTest, AnAlarmThatDiesDoesNotRing) {
  int rung = 0;
  {
    Bell bell([&] { ++rung; });
    agenda.set(bell, start + 10ms);
  }
  context.run_for(40ms);
  EXPECT_EQ(rung, 0);
}

TEST_F(AgendaTest, AnAlarmMaySetItselfAgain) {
  int rung = 0;
  Bell* self = nullptr;
  Bell bell([&] {
    if (++rung < 5) agenda.set(*self, Clock::now());
  });
  self = &bell;
  agenda.set(bell, start);
  run_until([&] { return rung == 5; });
  EXPECT_EQ(rung, 5);
}

TEST_F(AgendaTest, ThousandsAtOnceLeaveTurnsToOthers) {
  int rung = 0, rung_at_turn = 0;
  std::vector<std::unique_ptr<Bell>> bells;
  for (int i = 0; i < 2000; ++i) {
    bells.push_back(std::make_unique<Bell>([&] {
      if (++rung == 1) context.post([&] { rung_at_turn = rung; });
    }));
    agenda.set(*bells.back(), start);
  }
  run_until([&] { return rung == 2000; });
  EXPECT_EQ(rung, 2000);
  EXPECT_LT(rung_at_turn, 1000);
}

}  // namespace
}  // namespace sluice::health
