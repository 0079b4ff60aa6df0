// A disk that hangs or fails delays or fails changes, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/controller.hpp"
#include "control/reconciler.hpp"
#include "model/edit.hpp"
#include "model/names.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using model::ProvisioningStatus;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

const Error io_error{ErrorKind::system, "write sluice.db: disk I/O error", "", EIO};

class CommitTest : public testing::Test {
 protected:
  CommitTest() { start(); }
  ~CommitTest() override { EXPECT_THAT(data_plane.violations, IsEmpty()); }

  void start() {
    controller = Controller::start(store.load().value(), writer, data_plane).value();
    events.clear();
    controller->on_event([this](const std::string& line) { events.push_back(line); });
  }

  // The answers in the order in which they are given: "ok", or the error's text.
  void request(const Controller::Edit& edit) {
    controller->submit([this, edit] { return controller->change(edit); },
                       [this](const Result<void>& outcome) {
                         answers.push_back(outcome ? "ok" : outcome.error().text());
                       });
  }
  void build() {
    request([&](auto& model) -> Result<void> {
      walkthrough.build(model);
      monitor = walkthrough.add_monitor(model);
      return {};
    });
    ASSERT_THAT(answers, ElementsAre("ok"));
    answers.clear();
  }
  void add_member(const char* address) {
    request([this, address](auto& model) -> Result<void> {
      added = walkthrough.add_member(model, address);
      return {};
    });
  }
  void rename(std::string name) {
    request([this, name = std::move(name)](auto& model) {
      auto lb = model.load_balancers.at(walkthrough.lb);
      lb.name = name;
      return replace(model, lb, walkthrough.now);
    });
  }
  std::string name() const { return controller->model().load_balancers.at(walkthrough.lb).name; }
  std::vector<Uuid> ring() const { return data_plane.state.pools.at(walkthrough.pool).ring; }

  // Model, data plane and store are equal, and nothing is pending.
  void expect_consistent() {
    const auto& model = controller->model();
    EXPECT_EQ(data_plane.state, desired_state(model, controller->health()));
    EXPECT_EQ(store.contents.model, model);
    EXPECT_EQ(store.contents.health, controller->health());
    for (const auto& [id, member] : model.members) {
      EXPECT_EQ(member.provisioning_status, ProvisioningStatus::active);
    }
  }

  sluice::test::FailingStore store;
  sluice::test::HeldWriter writer{store};
  sluice::test::FakeDataPlane data_plane;
  std::unique_ptr<Controller> controller;
  std::vector<std::string> events, answers;
  test::Walkthrough walkthrough;
  Uuid added, monitor;
};

TEST_F(CommitTest, AMemberThatDiesWhileTheDiskHangsLeavesTheRingAtOnce) {
  build();
  writer.hold = true;
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  controller->set_health({{walkthrough.b, Health::down}});
  controller->set_health({{walkthrough.a, Health::up}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a)) << "and so does every later one";
  EXPECT_EQ(writer.held(), 1U) << "what piles up is one commit";
  writer.let_through();
  expect_consistent();
  EXPECT_EQ(store.contents.health,
            (model::HealthTable{{walkthrough.a, Health::up}, {walkthrough.b, Health::down}}));
}

TEST_F(CommitTest, AChangeIsSeenAndAnsweredWhenItIsStoredAndNotBefore) {
  build();
  const auto before = controller->model();
  const auto packets_meet = data_plane.state;
  writer.hold = true;
  add_member("10.0.0.7");
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_EQ(controller->model(), before);
  EXPECT_EQ(data_plane.state, packets_meet);
  EXPECT_TRUE(controller->committing());
  writer.let_through();
  EXPECT_THAT(answers, ElementsAre("ok"));
  EXPECT_TRUE(controller->model().members.contains(added));
  EXPECT_FALSE(controller->committing());
  expect_consistent();
}

TEST_F(CommitTest, ChangesThatWaitForTheDiskAreOneCommitEachSeeingTheOnesBeforeIt) {
  build();
  writer.hold = true;
  rename("one");
  const auto commits = store.commits;
  std::string seen;
  rename("two");
  request([&](auto& model) -> Result<void> {
    seen = model.load_balancers.at(walkthrough.lb).name;
    model.load_balancers.change(walkthrough.lb)->name = "never";
    return fail(ErrorKind::invalid, "refused");
  });
  rename("three");
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_EQ(name(), "lb_test_1");
  writer.let_through();
  EXPECT_THAT(answers, ElementsAre("ok", "refused", "ok", "ok"));
  EXPECT_EQ(seen, "two");
  EXPECT_EQ(name(), "three");
  EXPECT_EQ(store.commits, commits + 3) << "one, then two and three, then the statuses";
  expect_consistent();
}

TEST_F(CommitTest, AMemberThatDiesWhileItIsBeingChangedStaysDown) {
  build();
  writer.hold = true;
  request([&](auto& model) {
    auto member = model.members.at(walkthrough.a);
    member.weight = 7;
    return replace(model, member, walkthrough.now);
  });
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  writer.let_through();
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_EQ(controller->model().members.at(walkthrough.a).weight, 7);
  expect_consistent();
}

TEST_F(CommitTest, AMemberThatIsRemovedWhileItDiesLeavesNoHealthBehind) {
  build();
  writer.hold = true;
  rename("something to wait for");
  controller->set_health({{walkthrough.a, Health::down}});
  request([&](auto& model) {
    return remove_member(model, walkthrough.pool, walkthrough.a, walkthrough.now);
  });
  writer.let_through();
  EXPECT_THAT(answers, ElementsAre("ok", "ok"));
  EXPECT_THAT(controller->health(), IsEmpty());
  expect_consistent();
}

TEST_F(CommitTest, AnErrorThatEndsWhileAChangeIsStoredIsNotBroughtBackByIt) {
  build();
  data_plane.veto = [&](const Operation& operation) -> Result<void> {
    if (std::holds_alternative<PutPool>(operation)) return fail(ErrorKind::conflict, "full");
    return {};
  };
  controller->set_health({{walkthrough.a, Health::down}});
  const auto status = [&] {
    return controller->model().pools.at(walkthrough.pool).provisioning_status;
  };
  ASSERT_EQ(status(), ProvisioningStatus::error);
  writer.hold = true;
  request([&](auto& model) -> Result<void> {
    model::LoadBalancer other;
    other.vip_address = test::ip("10.0.0.17");
    auto done = model::add(model, other, walkthrough.now);
    if (!done) return tl::unexpected(done.error());
    return {};
  });
  data_plane.veto = nullptr;
  ASSERT_TRUE(controller->repair_drift());
  ASSERT_EQ(status(), ProvisioningStatus::active);
  writer.let_through();
  EXPECT_EQ(status(), ProvisioningStatus::active);
  expect_consistent();
}

TEST_F(CommitTest, AChangeThatCannotBeStoredChangesNothingAndSaysWhy) {
  build();
  const auto before = controller->model();
  data_plane.operations.clear();
  store.veto = [](std::size_t) -> Result<void> { return tl::unexpected(io_error); };
  add_member("10.0.0.7");
  EXPECT_THAT(answers, ElementsAre("write sluice.db: disk I/O error"));
  EXPECT_EQ(controller->model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
  EXPECT_THAT(events, ElementsAre("the store refuses changes: write sluice.db: disk I/O error"));
  rename("again");
  EXPECT_EQ(events.size(), 1U) << "said once";
  store.veto = nullptr;
  rename("now");
  EXPECT_EQ(name(), "now");
  EXPECT_THAT(events, Contains("the store takes changes again"));
  expect_consistent();
}

TEST_F(CommitTest, HealthThatCouldNotBeStoredIsStoredByTheNextDriftCheck) {
  build();
  store.veto = [](std::size_t) -> Result<void> { return tl::unexpected(io_error); };
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_THAT(store.contents.health, IsEmpty());
  const auto commits = store.commits;
  controller->set_suspects({walkthrough.b});
  EXPECT_EQ(store.commits, commits) << "a store that refuses is not asked in a circle";
  store.veto = nullptr;
  ASSERT_TRUE(controller->repair_drift());
  expect_consistent();
}

// Plays a working day on a store whose n-th commit fails, for every n, and then kills the daemon.
TEST_F(CommitTest, WhicheverCommitFailsAnswersModelDataPlaneAndStoreAgree) {
  const auto day = [&] {
    std::map<std::string, bool> acknowledged;
    const auto note = [&](const std::string& what) { acknowledged[what] = answers.back() == "ok"; };
    request([&](auto& model) -> Result<void> {
      walkthrough = {};
      walkthrough.build(model);
      monitor = walkthrough.add_monitor(model);
      return {};
    });
    note("built");
    if (!acknowledged["built"]) return acknowledged;
    controller->set_health({{walkthrough.a, Health::down}});
    EXPECT_THAT(ring(), ElementsAre(walkthrough.b)) << "evicted whatever the disk says";
    add_member("10.0.0.7");
    note("added");
    EXPECT_EQ(controller->model().members.contains(added), acknowledged["added"]);
    rename("new");
    note("renamed");
    EXPECT_EQ(name() == "new", acknowledged["renamed"]);
    request([&](auto& model) {
      return remove_member(model, walkthrough.pool, walkthrough.b, walkthrough.now);
    });
    note("removed");
    EXPECT_EQ(!controller->model().members.contains(walkthrough.b), acknowledged["removed"]);
    return acknowledged;
  };
  std::size_t commits = 0;
  for (std::size_t failing = 0; failing <= commits; failing++) {
    SCOPED_TRACE("commit " + std::to_string(failing) + " fails");
    store = {};
    data_plane.state = {};
    start();
    store.veto = [&](std::size_t number) -> Result<void> {
      if (number == failing) return tl::unexpected(io_error);
      return {};
    };
    const auto acknowledged = day();
    if (failing == 0) commits = store.commits;  // the number on a day without a failure
    store.veto = nullptr;
    const auto model = controller->model();
    EXPECT_EQ(data_plane.state, desired_state(model, controller->health()));
    start();  // killed: only what is stored is left
    EXPECT_EQ(controller->model().members.size(), model.members.size());
    for (const auto& [id, member] : model.members) {
      EXPECT_TRUE(controller->model().members.contains(id));
    }
    if (acknowledged.at("built")) {
      EXPECT_EQ(name() == "new", acknowledged.at("renamed"));
    }
    EXPECT_EQ(data_plane.state, desired_state(controller->model(), controller->health()));
  }
  EXPECT_GT(commits, 5U);
}

std::vector<std::uint64_t> numbers_of(const std::vector<model::EventRecord>& events) {
  std::vector<std::uint64_t> numbers;
  for (const auto& event : events) numbers.push_back(event.number);
  return numbers;
}

model::EventRecord event(std::uint64_t number) {
  model::EventRecord record;
  record.number = number;
  return record;
}

TEST_F(CommitTest, WhatARequestRecordsIsInTheCommitOfItsChangeAndGoneWithARefusal) {
  build();
  const auto commits = store.commits;
  const auto recording = [&](std::uint64_t number, bool refused) {
    controller->submit(
        [this, number, refused]() -> Result<void> {
          auto done = controller->change([&](auto& model) -> Result<void> {
            model.load_balancers.change(walkthrough.lb)->name = std::to_string(number);
            return {};
          });
          controller->record({event(number)});
          return refused ? fail(ErrorKind::invalid, "no") : done;
        },
        [](const Result<void>&) {});
  };
  writer.hold = true;
  recording(1, false);
  recording(2, false);
  recording(3, true);
  recording(4, false);
  writer.let_through();
  EXPECT_THAT(numbers_of(store.kept), ElementsAre(1, 2, 4));
  EXPECT_EQ(store.commits, commits + 2);
  store.veto = [](std::size_t) -> Result<void> { return tl::unexpected(io_error); };
  recording(5, false);
  store.veto = nullptr;
  recording(6, false);
  EXPECT_THAT(numbers_of(store.kept), ElementsAre(1, 2, 4, 6)) << "one that failed leaves none";
}

TEST_F(CommitTest, WhatElseHappensGoesWithTheNextCommitOrWhenItIsAskedFor) {
  build();
  const auto commits = store.commits;
  controller->note(event(1));
  EXPECT_EQ(store.commits, commits) << "it causes none by itself";
  rename("new");
  EXPECT_THAT(numbers_of(store.kept), ElementsAre(1));
  controller->note(event(2));
  controller->store_notes();
  EXPECT_THAT(numbers_of(store.kept), ElementsAre(1, 2));
  const auto all = store.commits;
  controller->store_notes();
  EXPECT_EQ(store.commits, all) << "nothing to store";
}

TEST_F(CommitTest, NotesOutliveADiskThatRefusesThemAndAreBounded) {
  build();
  store.veto = [](std::size_t) -> Result<void> { return tl::unexpected(io_error); };
  controller->note(event(1));
  controller->store_notes();
  for (std::uint64_t number = 2; number <= Controller::most_unstored_events + 3; ++number)
    controller->note(event(number));
  EXPECT_EQ(controller->forgotten_notes(), 3U);
  store.veto = nullptr;
  controller->store_notes();
  ASSERT_EQ(store.kept.size(), Controller::most_unstored_events);
  EXPECT_EQ(store.kept.front().number, 4U);
}

// Somebody else who has the same store, another node, changes it between our commits.
class ClashTest : public CommitTest {
 protected:
  static constexpr const char* theirs = "their description";

  void others_describe_it(int times = 1) {
    for (int i = 0; i < times; ++i) {
      store.intrusions.emplace_back([this, i](model::Model& model) {
        model.load_balancers.change(walkthrough.lb)->description = theirs + std::to_string(i);
      });
    }
  }
  std::string description() const {
    return controller->model().load_balancers.at(walkthrough.lb).description;
  }
};

TEST_F(ClashTest, BothChangesOfOneObjectAreKeptAndTheRequestIsAnsweredOnce) {
  build();
  others_describe_it();
  rename("ours");
  EXPECT_THAT(answers, ElementsAre("ok"));
  EXPECT_EQ(name(), "ours");
  EXPECT_EQ(description(), "their description0");
  expect_consistent();
}

TEST_F(ClashTest, TheRequestIsJudgedByTheNewerState) {
  build();
  store.intrusions.emplace_back([this](model::Model& model) {
    auto gone = model::remove_load_balancer(model, walkthrough.lb, true, walkthrough.now);
    ASSERT_TRUE(gone) << gone.error().text();
  });
  request([this](auto& model) -> Result<void> {
    if (!model.load_balancers.contains(walkthrough.lb)) return fail(ErrorKind::not_found, "gone");
    model.load_balancers.change(walkthrough.lb)->name = "ours";
    return {};
  });
  EXPECT_THAT(answers, ElementsAre("gone"));
  EXPECT_TRUE(controller->model().load_balancers.empty());
  EXPECT_TRUE(data_plane.state.vips.empty()) << "what others have removed goes here, too";
  expect_consistent();
}

TEST_F(ClashTest, RequestsOfOneCommitAndLaterOnesKeepTheirOrder) {
  build();
  writer.hold = true;
  rename("one");
  rename("two");
  others_describe_it(2);
  std::vector<std::string> seen;
  request([&](auto& model) -> Result<void> {
    seen.push_back(model.load_balancers.at(walkthrough.lb).name);
    return {};
  });
  writer.let_through();
  EXPECT_THAT(answers, ElementsAre("ok", "ok", "ok"));
  EXPECT_EQ(name(), "two");
  EXPECT_EQ(seen.back(), "two");
  EXPECT_EQ(description(), "their description1");
  expect_consistent();
}

TEST_F(ClashTest, AfterFiveClashesInARowTheRequestIsRefused) {
  build();
  others_describe_it(Controller::most_clashes - 1);
  rename("late but in time");
  EXPECT_THAT(answers, ElementsAre("ok"));
  answers.clear();
  others_describe_it(Controller::most_clashes);
  rename("never");
  EXPECT_THAT(answers, ElementsAre("Somebody else changed the state at the same time, 5 times in a "
                                   "row. (try again)"));
  EXPECT_EQ(name(), "late but in time");
  EXPECT_EQ(description(), "their description4");
  answers.clear();
  rename("later");
  EXPECT_THAT(answers, ElementsAre("ok"));
  expect_consistent();
}

TEST_F(ClashTest, HealthIsOurOwnAndWaitsForNobody) {
  build();
  others_describe_it();
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_EQ(controller->health().at(walkthrough.a), Health::down);
  EXPECT_EQ(store.contents.health.at(walkthrough.a), Health::down);
  EXPECT_EQ(description(), "their description0");
}

TEST_F(ClashTest, AStoreThatAlwaysClashesIsLeftToTheNextDriftCheck) {
  build();
  others_describe_it(100);
  const auto commits = store.commits;
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_LE(store.commits, commits + Controller::most_clashes);
  store.intrusions.clear();
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_EQ(store.contents.health.at(walkthrough.a), Health::down);
}

TEST_F(CommitTest, NotesDoNotWaitForADiskThatHangsAndComeInTheirOrder) {
  build();
  writer.hold = true;
  rename("new");
  controller->note(event(1));
  controller->store_notes();
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  controller->note(event(2));
  writer.let_through();
  EXPECT_THAT(numbers_of(store.kept), ElementsAre(1, 2));
}

TEST_F(CommitTest, WhatSomebodyElseHasStoredIsTakenOverWithoutAChangeOfOurs) {
  build();
  store.contents.model.load_balancers.change(walkthrough.lb)->name = "from another node";
  store.contents.position.generation++;
  controller->changed_elsewhere();
  EXPECT_EQ(name(), "from another node");
  EXPECT_EQ(controller->applied_generation(), store.contents.position.generation);
  expect_consistent();
}

TEST_F(CommitTest, WhatSomebodyElseHasStoredWaitsForACommitOfOurs) {
  build();
  writer.hold = true;
  add_member("10.0.0.7");
  controller->changed_elsewhere();
  EXPECT_TRUE(controller->committing());
  writer.let_through();
  EXPECT_THAT(answers, ElementsAre("ok"));
  EXPECT_TRUE(controller->model().members.contains(added));
  expect_consistent();
}

TEST_F(CommitTest, AnAnswerWaitsForWhoeverMustKnowOfTheChange) {
  build();
  std::function<void()> let_go;
  std::uint64_t generation = 0;
  controller->set_before_answer([&](std::uint64_t of_change, std::function<void()> go_on) {
    generation = of_change;
    let_go = std::move(go_on);
  });
  add_member("10.0.0.7");
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_THAT(ring(), Contains(added)) << "it is applied";
  EXPECT_EQ(generation, controller->applied_generation());
  let_go();
  EXPECT_THAT(answers, ElementsAre("ok"));
}

}  // namespace
}  // namespace sluice::control
