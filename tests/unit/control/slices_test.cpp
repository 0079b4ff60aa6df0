// A large change goes to the data plane a part per turn. In between others have their turns, see no
// part of it, and what they do is as fast as ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "control/controller.hpp"
#include "control/reconciler.hpp"
#include "model/edit.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using model::ProvisioningStatus;
using testing::ElementsAre;
using testing::IsEmpty;
using Progress = Controller::Progress;

// An event loop whose every slice is over at once, so that each step has a turn of its own.
struct Loop {
  std::deque<std::function<void()>> turns;

  bool run_one() {
    if (turns.empty()) return false;
    const auto turn = std::move(turns.front());
    turns.pop_front();
    turn();
    return true;
  }
  int run() {
    int count = 0;
    while (run_one()) count++;
    return count;
  }
};

class SlicesTest : public testing::Test {
 protected:
  static constexpr int parts = 4;  // of the large request

  SlicesTest() { begin(); }
  ~SlicesTest() override { EXPECT_THAT(data_plane.violations, IsEmpty()); }

  // Begins from nothing: a load balancer with two probed members.
  void begin() {
    store = {};
    data_plane.state = {};
    data_plane.can_look_at_some = true;
    walkthrough = {};
    start();
    controller->submit(
        [this] {
          return controller->change([&](auto& model) -> Result<void> {
            walkthrough.build(model);
            walkthrough.add_monitor(model);
            return {};
          });
        },
        [](const Result<void>& outcome) { ASSERT_TRUE(outcome); });
    loop.run();
    answers.clear();
    data_plane.operations.clear();
  }
  void start() {
    loop.turns.clear();
    controller = Controller::start(store.load().value(), writer, data_plane).value();
    controller->work_in_slices([this](auto turn) { loop.turns.push_back(std::move(turn)); },
                               std::chrono::nanoseconds(0));
  }

  Controller::Done note(std::string what) {
    return [this, what = std::move(what)](const Result<void>& outcome) {
      answers.push_back(what + ": " + (outcome ? "ok" : outcome.error().text()));
    };
  }
  // A new member for the present pool, and further load balancers with pools and members.
  Result<void> add_part(model::Model& model, int part) {
    if (part == 0) {
      added = walkthrough.add_member(model, "10.0.0.7");
      return {};
    }
    auto other = walkthrough;
    model::LoadBalancer load_balancer;
    load_balancer.vip_address = test::ip(fmt::format("10.0.1.{}", part).c_str());
    other.lb = model::add(model, load_balancer, walkthrough.now).value();
    const auto listener = other.add_listener(model, 80);
    other.pool = model::add(model, model::Pool{}, listener, walkthrough.now).value();
    other.add_member(model, "10.0.0.8");
    return {};
  }
  void submit_large(Result<void> end = {}, bool rehearse = false) {
    controller->submit_long(
        [this, part = std::make_shared<int>(0), end, rehearse]() -> Result<Progress> {
          if (*part == parts) {
            auto done = rehearse ? controller->rehearse() : Progress::done;
            if (done == Progress::more) return done;
            *part = 0;  // for another attempt
            if (!end) return tl::unexpected(end.error());
            return done;
          }
          auto done = controller->change([&](auto& model) { return add_part(model, *part); });
          ++*part;
          return done.map([] { return Progress::more; });
        },
        note("large"));
  }
  std::vector<Uuid> ring() const { return data_plane.state.pools.at(walkthrough.pool).ring; }

  void expect_consistent() {
    const auto& model = controller->model();
    EXPECT_EQ(data_plane.state, desired_state(model, controller->health(), controller->suspects()));
    EXPECT_EQ(store.contents.model, model);
    EXPECT_EQ(store.contents.health, controller->health());
    EXPECT_THAT(model.load_balancers.with(model::Facet::unsettled), IsEmpty());
    EXPECT_THAT(model.members.with(model::Facet::unsettled), IsEmpty());
  }
  // Lets something happen after each number of turns of a large request, from a new beginning each.
  void at_any_time(const std::function<void()>& happen) {
    const auto all = [&] {
      submit_large();
      return loop.run();
    }();
    ASSERT_GT(all, parts + 10) << "requests, operations, and reading back";
    for (int turns = 0; turns <= all; ++turns) {
      SCOPED_TRACE(fmt::format("after {} of {} turns", turns, all));
      begin();
      submit_large();
      for (int i = 0; i < turns; ++i) loop.run_one();
      happen();
      loop.run();
      EXPECT_THAT(data_plane.violations, IsEmpty());
      if (HasFailure()) return;
    }
  }

  sluice::test::FailingStore store;
  sluice::test::HeldWriter writer{store};
  sluice::test::FakeDataPlane data_plane;
  Loop loop;
  std::unique_ptr<Controller> controller;
  std::vector<std::string> answers;
  test::Walkthrough walkthrough;
  Uuid added;
};

TEST_F(SlicesTest, NobodySeesAPartOfALargeRequest) {
  const auto before = controller->model();
  const auto reads = data_plane.reads;
  submit_large();
  std::size_t load_balancers_seen = 0;
  controller->submit(
      [&]() -> Result<void> {
        load_balancers_seen = controller->model().load_balancers.size();
        return {};
      },
      note("small"));
  while (data_plane.operations.empty()) {
    const auto& stored = store.contents.model;
    EXPECT_EQ(controller->model().load_balancers.size(), stored.load_balancers.size());
    EXPECT_THAT(stored.load_balancers.size(), testing::AnyOf(before.load_balancers.size(), 4U));
    EXPECT_THAT(answers, IsEmpty());
    ASSERT_TRUE(loop.run_one());
  }
  EXPECT_EQ(controller->model().load_balancers.size(), 4U) << "it is stored, whole";
  EXPECT_EQ(controller->model().load_balancers.at(walkthrough.lb).provisioning_status,
            ProvisioningStatus::pending_update);
  EXPECT_THAT(answers, IsEmpty()) << "and answered when packets meet it";
  loop.run();
  EXPECT_THAT(answers, ElementsAre("large: ok", "small: ok"));
  EXPECT_EQ(load_balancers_seen, 4U) << "requests keep their order";
  EXPECT_EQ(data_plane.reads, reads) << "what was put was read back, and nothing else";
  expect_consistent();
}

TEST_F(SlicesTest, ALargeRequestThatIsRefusedAtItsEndLeavesNoTrace) {
  const auto before = controller->model();
  submit_large(fail(ErrorKind::invalid, "the last part is wrong"));
  EXPECT_GE(loop.run(), parts);
  EXPECT_THAT(answers, ElementsAre("large: the last part is wrong"));
  EXPECT_EQ(controller->model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
  expect_consistent();
}

TEST_F(SlicesTest, ARehearsalLeavesNoTrace) {
  const auto before = controller->model();
  submit_large({}, true);
  loop.run();
  EXPECT_THAT(answers, ElementsAre("large: ok"));
  EXPECT_EQ(controller->model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
  data_plane.can.sctp_ports = false;
  data_plane.can.room.vips = 3;
  submit_large({}, true);
  loop.run();
  EXPECT_THAT(answers.back(), testing::StartsWith("large: Quota has been met"));
  EXPECT_EQ(controller->model(), before);
}

// As many as in a file with everything, or in a rehearsal of it.
TEST_F(SlicesTest, ATurnJudgesAFewOfARequestsObjectsHoweverManyThereAre) {
  constexpr std::size_t listeners = 1000, most_in_a_turn = 64;
  std::size_t judged = 0;
  data_plane.can.room.listeners_of = [&](const Uuid&) { return ++judged, 3 * listeners; };
  for (const bool rehearse : {false, true}) {
    judged = 0;
    controller->submit_long(
        [this, rehearse, made = false]() mutable -> Result<Progress> {
          const auto make = [&](auto& model) -> Result<void> {
            for (std::uint16_t port = 0; port < listeners; ++port)
              walkthrough.add_listener(model,
                                       static_cast<std::uint16_t>(2000 + 1000 * rehearse + port));
            return {};
          };
          if (!std::exchange(made, true))
            return controller->change(make).map([] { return Progress::more; });
          return rehearse ? controller->rehearse() : Progress::done;
        },
        note("large"));
    for (auto before = judged; loop.run_one(); before = judged)
      EXPECT_LE(judged, before + most_in_a_turn);
    EXPECT_EQ(judged, listeners);
  }
  EXPECT_THAT(answers, ElementsAre("large: ok", "large: ok"));
  EXPECT_EQ(controller->model().listeners.size(), 1 + listeners);
}

// Each object of a large change gets a status at its end, which must be looked at, too.
TEST_F(SlicesTest, AnEvictionLooksAtNothingOfALargeChangeBeforeIt) {
  constexpr std::size_t listeners = 1000, most_in_a_turn = 3 * 32, most_in_an_eviction = 8;
  auto looked_at = [this, before = std::size_t{0}]() mutable {
    const auto now = controller->objects_looked_at();
    return now - std::exchange(before, now);
  };
  controller->submit(
      [this] {
        return controller->change([&](auto& model) -> Result<void> {
          for (std::uint16_t port = 0; port < listeners; ++port)
            walkthrough.add_listener(model, static_cast<std::uint16_t>(2000 + port));
          return {};
        });
      },
      note("large"));
  for (looked_at(); loop.run_one();) EXPECT_LE(looked_at(), most_in_a_turn);
  EXPECT_THAT(answers, ElementsAre("large: ok"));
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_LE(looked_at(), most_in_an_eviction);
  loop.run();
  looked_at();
  controller->check_drift([](const auto& repaired) { EXPECT_THAT(*repaired, IsEmpty()); });
  loop.run();
  EXPECT_LE(looked_at(), most_in_an_eviction) << "nor does the next drift check";
}

TEST_F(SlicesTest, AMemberThatDiesMeanwhileLeavesTheRingAtOnce) {
  at_any_time([&] {
    controller->set_health({{walkthrough.a, Health::down}});
    EXPECT_THAT(ring(), testing::Not(testing::Contains(walkthrough.a)));
    loop.run();
    EXPECT_THAT(answers, ElementsAre("large: ok"));
    EXPECT_THAT(ring(), testing::UnorderedElementsAre(walkthrough.b, added));
    expect_consistent();
  });
}

TEST_F(SlicesTest, ASuspectedMemberLeavesTheRingAtOnceAndComesBackAtOnce) {
  at_any_time([&] {
    controller->set_suspects({walkthrough.a});
    EXPECT_THAT(ring(), testing::Not(testing::Contains(walkthrough.a)));
    loop.run_one();
    controller->set_suspects({});
    EXPECT_THAT(ring(), testing::Contains(walkthrough.a));
    loop.run();
    expect_consistent();
  });
}

TEST_F(SlicesTest, AnotherDataPlaneGetsTheWholeChange) {
  at_any_time([&] {
    controller->lose_data_plane({ErrorKind::internal, "gone", "", 0});
    loop.run_one();
    data_plane.state = {};
    controller->adopt(data_plane);
    loop.run();
    EXPECT_THAT(answers, ElementsAre("large: ok"));
    expect_consistent();
  });
}

TEST_F(SlicesTest, ADriftCheckDoesNotTakeAPartOfAChangeForDrift) {
  at_any_time([&] {
    const auto repaired = controller->repair_drift();
    ASSERT_TRUE(repaired);
    EXPECT_THAT(*repaired, IsEmpty());
    loop.run();
    EXPECT_THAT(answers, ElementsAre("large: ok"));
    expect_consistent();
  });
}

// A check that begins, or is under way, while a change is on its way.
TEST_F(SlicesTest, ADriftCheckInSlicesDoesNotTakeAPartOfAChangeForDrift) {
  at_any_time([&] {
    const auto reads = data_plane.reads;
    controller->check_drift([this](const auto& repaired) {
      ASSERT_TRUE(repaired);
      EXPECT_THAT(*repaired, IsEmpty());
      answers.emplace_back("checked");
    });
    controller->set_health({{walkthrough.a, Health::down}});
    loop.run();
    EXPECT_THAT(answers, testing::UnorderedElementsAre("large: ok", "checked"));
    EXPECT_EQ(data_plane.reads, reads) << "nothing was read at once";
    expect_consistent();
  });
}

TEST_F(SlicesTest, ADriftCheckWithoutDriftReadsInSlicesAndChangesNothing) {
  const auto reads = data_plane.reads;
  std::optional<Result<std::vector<std::string>>> repaired;
  controller->check_drift([&](auto outcome) { repaired = std::move(outcome); });
  EXPECT_FALSE(repaired) << "it takes several turns";
  EXPECT_GE(loop.run(), 3);
  ASSERT_TRUE(repaired && *repaired);
  EXPECT_THAT(**repaired, IsEmpty());
  EXPECT_EQ(data_plane.partial_reads, 1U);
  EXPECT_EQ(data_plane.reads, reads);
  EXPECT_THAT(data_plane.operations, IsEmpty());
}

TEST_F(SlicesTest, ADriftCheckInSlicesRepairsWhatItFinds) {
  const std::vector<std::function<void()>> faults = {
      [this] { data_plane.state.members.erase(walkthrough.a); },
      [this] { data_plane.state.members.at(walkthrough.a).port = 81; },
      [this] { data_plane.state.pools.begin()->second.ring.clear(); },
      [this] { data_plane.state.listeners.clear(); },
      [this] { data_plane.state.vips.begin()->second.up = false; },
      [this] { data_plane.state.vips[test::ip("10.9.9.9")] = {}; },
  };
  for (std::size_t i = 0; i < faults.size(); ++i) {
    SCOPED_TRACE(i);
    faults[i]();
    std::vector<std::string> lines;
    controller->check_drift([&](const auto& repaired) { lines = repaired.value(); });
    loop.run();
    EXPECT_THAT(lines, testing::Not(IsEmpty()));
    expect_consistent();
  }
}

// Otherwise drift would stay for as long as changes come one after the other.
TEST_F(SlicesTest, ADriftCheckThatIsDisturbedAgainAndAgainIsMadeAtOnce) {
  data_plane.state.vips[test::ip("10.9.9.9")] = {};
  std::vector<std::string> lines;
  for (int i = 0; lines.empty() && i < 30; ++i) {
    controller->check_drift([&](const auto& repaired) { lines = repaired.value(); });
    loop.run_one();
    controller->set_health({{walkthrough.a, i % 2 == 0 ? Health::down : Health::up}});
    loop.run();
  }
  EXPECT_THAT(lines, ElementsAre("VIP 10.9.9.9 belonged to nobody: removed"));
  expect_consistent();
}

TEST_F(SlicesTest, WhatOthersHaveStoredMeanwhileIsKept) {
  at_any_time([&] {
    const auto before = store.contents.model.load_balancers.size();
    store.intrusions.emplace_back([this](model::Model& model) {
      model.load_balancers.change(walkthrough.lb)->description = "theirs";
    });
    controller->set_health({{walkthrough.a, Health::down}});
    loop.run();
    EXPECT_THAT(answers, ElementsAre("large: ok")) << "answered once";
    EXPECT_EQ(controller->model().load_balancers.size(), 4U) << "of " << before << " before";
    EXPECT_EQ(controller->model().load_balancers.at(walkthrough.lb).description, "theirs");
    expect_consistent();
  });
}

// Killed in the middle: what is stored is applied at the next start, as a whole.
TEST_F(SlicesTest, AfterAKillTheChangeIsThereWholeOrNotAtAll) {
  at_any_time([&] {
    const bool answered = !answers.empty();
    start();
    loop.run();
    const auto load_balancers = controller->model().load_balancers.size();
    EXPECT_TRUE(load_balancers == 1 || load_balancers == 4) << load_balancers;
    if (answered) {
      EXPECT_EQ(load_balancers, 4U);
    }
    expect_consistent();
  });
}

TEST_F(SlicesTest, AtTheEndOfTheEventLoopAStoredChangeIsApplied) {
  at_any_time([&] {
    controller->finish();
    EXPECT_EQ(data_plane.state, desired_state(controller->model(), controller->health()));
    loop.turns.clear();
    start();
    expect_consistent();
  });
}

TEST_F(SlicesTest, WhatTheDataPlaneRefusesIsError) {
  submit_large();
  data_plane.veto = [](const Operation& operation) -> Result<void> {
    const auto* vip = std::get_if<PutVip>(&operation);
    if (vip && vip->address == test::ip("10.0.1.2")) return fail(ErrorKind::conflict, "full");
    return {};
  };
  loop.run();
  EXPECT_THAT(answers, ElementsAre("large: ok"));
  int errors = 0;
  for (const auto& [id, load_balancer] : controller->model().load_balancers) {
    const bool refused = load_balancer.provisioning_status == ProvisioningStatus::error;
    EXPECT_EQ(refused, load_balancer.vip_address == test::ip("10.0.1.2"));
    errors += refused ? 1 : 0;
  }
  EXPECT_EQ(errors, 1);
}

TEST_F(SlicesTest, WhatTheDataPlaneLosesIsFoundWhenItIsReadBack) {
  submit_large();
  bool lost = false;
  data_plane.lose = [&](const Operation& operation) {
    return std::holds_alternative<PutListener>(operation) && !std::exchange(lost, true);
  };
  loop.run();
  EXPECT_THAT(answers, ElementsAre("large: ok"));
  EXPECT_TRUE(lost);
  EXPECT_EQ(controller->model().load_balancers.with(model::Facet::unsettled).size(), 1U);
}

}  // namespace
}  // namespace sluice::control
