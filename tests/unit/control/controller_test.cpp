#include "control/controller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <utility>

#include "control/reconciler.hpp"
#include "model/names.hpp"
#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"
#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using model::Health;
using test::ip;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Error full{ErrorKind::conflict, "members: map is full (16384 entries)", "", 0};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    auto name = (std::filesystem::temp_directory_path() / "sluice-control-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    start();
  }
  ~ControllerTest() override {
    EXPECT_THAT(data_plane.violations, IsEmpty());
    std::filesystem::remove_all(directory);
  }

  // Starts the controller, or starts it again as after a kill: only store and data plane survive.
  void start() {
    controller.reset();
    writer.reset();
    store.reset();
    store.emplace(store::SqliteStore::open(directory).value());
    writer.emplace(*store);
    controller = Controller::start(store->load().value(), *writer, data_plane).value();
    events.clear();
    controller->on_event([this](const std::string& line) { events.push_back(line); });
  }

  // The outcome of a request; the store answers at once here.
  Result<void> request(const Controller::Request& request) {
    std::optional<Result<void>> outcome;
    controller->submit(request, [&](Result<void> result) { outcome = std::move(result); });
    return outcome.value();
  }
  Result<void> change(const Controller::Edit& edit) {
    return request([&] { return controller->change(edit); });
  }

  void build() {
    const auto built = change([&](auto& model) -> Result<void> {
      walkthrough.build(model);
      return {};
    });
    ASSERT_TRUE(built) << built.error().text();
    data_plane.operations.clear();
  }

  Result<void> add_member(const char* address) {
    return change([&](auto& model) -> Result<void> {
      added = walkthrough.add_member(model, address);
      return {};
    });
  }

  void add_monitor() {
    ASSERT_TRUE(change([&](auto& model) -> Result<void> {
      monitor = walkthrough.add_monitor(model);
      return {};
    }));
    data_plane.operations.clear();
  }

  // The data plane refuses this member until the veto is lifted.
  void refuse_member(const char* address) {
    data_plane.veto = [address = ip(address)](const Operation& operation) -> Result<void> {
      const auto* put = std::get_if<PutMember>(&operation);
      if (put != nullptr && put->entry.address == address) return tl::unexpected(full);
      return {};
    };
  }

  Result<void> fail_over(std::optional<Uuid> load_balancer = std::nullopt) {
    const auto id = load_balancer.value_or(walkthrough.lb);
    return request([&]() -> Result<void> {
      controller->reload_for(id);
      return controller->change([&](model::Model& model) {
        return model::touch_load_balancer(model, id, now += std::chrono::seconds(1));
      });
    });
  }
  // Ends the reload that the data plane holds up.
  void end_reload(Result<Reloaded> outcome) {
    ASSERT_EQ(data_plane.held_reloads.size(), 1U);
    std::exchange(data_plane.held_reloads, {}).front()(std::move(outcome));
  }

  const model::Model& model() const { return controller->model(); }
  template <typename T>
  std::string status(const model::Table<T>& objects, const Uuid& id) const {
    const auto& object = objects.at(id);
    return std::string(name(object.provisioning_status)) +
           (object.provisioning_error.empty() ? "" : ": " + object.provisioning_error);
  }
  std::vector<Uuid> ring() const { return data_plane.state.pools.at(walkthrough.pool).ring; }
  DataPlaneState desired() const { return desired_state(model(), controller->health()); }

  std::filesystem::path directory;
  sluice::test::FakeDataPlane data_plane;
  std::optional<store::SqliteStore> store;
  std::optional<store::DirectWriter> writer;
  std::unique_ptr<Controller> controller;
  std::vector<std::string> events;
  test::Walkthrough walkthrough;
  model::Timestamp now = walkthrough.now;  // of the last failover
  Uuid added, monitor;
};

TEST_F(ControllerTest, AChangeIsStoredAppliedReadBackAndActive) {
  const auto reads = data_plane.reads;
  build();
  EXPECT_EQ(data_plane.state, desired());
  EXPECT_GT(data_plane.reads, reads);
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  EXPECT_EQ(status(model().members, walkthrough.a), "ACTIVE");
  EXPECT_EQ(sluice::test::model_in(*store), model());
  EXPECT_THAT(events, IsEmpty());
}

TEST_F(ControllerTest, AnEditThatFailsChangesNothing) {
  build();
  const auto before = model();
  const auto refused = change([&](auto& model) -> Result<void> {
    walkthrough.add_member(model, "10.0.0.7");
    return fail(ErrorKind::invalid, "second thoughts");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "second thoughts");
  EXPECT_EQ(model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
}

TEST_F(ControllerTest, TheChangesOfATransactionAreOneChange) {
  build();
  const auto reads = data_plane.reads;
  const auto done = request([&]() -> Result<void> {
    for (const auto* address : {"10.0.0.7", "10.0.0.8"}) {
      auto changed = controller->change([&](auto& model) -> Result<void> {
        added = walkthrough.add_member(model, address);
        return {};
      });
      if (!changed) return changed;
      EXPECT_TRUE(model().members.contains(added)) << "later changes see earlier ones";
    }
    EXPECT_THAT(data_plane.operations, IsEmpty());
    return {};
  });
  ASSERT_TRUE(done) << done.error().text();
  EXPECT_EQ(data_plane.reads, reads + 1);
  EXPECT_EQ(model().members.size(), 4U);
  EXPECT_EQ(status(model().members, added), "ACTIVE");
  EXPECT_EQ(data_plane.state, desired());
  EXPECT_EQ(sluice::test::model_in(*store), model());
}

TEST_F(ControllerTest, ATransactionThatFailsOrIsARehearsalNeverWas) {
  build();
  const auto before = model();
  const auto add = [&](auto& model) -> Result<void> {
    walkthrough.add_member(model, "10.0.0.7");
    return {};
  };
  const auto failed = request([&]() -> Result<void> {
    if (auto added = controller->change(add); !added) return added;
    return controller->change(
        [](auto&) -> Result<void> { return fail(ErrorKind::invalid, "second thoughts"); });
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message, "second thoughts");
  EXPECT_EQ(model(), before);
  EXPECT_TRUE(request([&] {
    return controller->transaction([&] { return controller->change(add); },
                                   Controller::Ending::rehearse);
  }));
  EXPECT_EQ(model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
  EXPECT_EQ(sluice::test::model_in(*store), before);
}

TEST_F(ControllerTest, AChangeThatCannotBeStoredIsNotMade) {
  build();
  const auto before = model();
  const auto refused = change([&](auto& model) -> Result<void> {
    model.pools.clear();  // no edit does this: members would be orphans
    return {};
  });
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("sluice.db: FOREIGN KEY constraint failed"));
  EXPECT_EQ(model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
}

TEST_F(ControllerTest, ANameChangeTouchesNoPacketState) {
  build();
  const auto reads = data_plane.reads;
  ASSERT_TRUE(change([&](auto& model) {
    auto lb = model.load_balancers.at(walkthrough.lb);
    lb.name = "renamed";
    return replace(model, lb, walkthrough.now);
  }));
  EXPECT_THAT(data_plane.operations, IsEmpty());
  EXPECT_EQ(data_plane.reads, reads);
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
}

TEST_F(ControllerTest, WhatTheDataPlaneRefusesIsErrorWithItsReasonAndTheRestServes) {
  build();
  refuse_member("10.0.0.7");
  ASSERT_TRUE(add_member("10.0.0.7")) << "stored: the change as such succeeded";
  const std::string reason = "ERROR: member 10.0.0.7:80: members: map is full (16384 entries)";
  EXPECT_EQ(status(model().members, added), reason);
  EXPECT_EQ(status(model().pools, walkthrough.pool), reason);
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), reason);
  EXPECT_EQ(status(model().members, walkthrough.a), "ACTIVE");
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));
  EXPECT_THAT(events, testing::Contains(HasSubstr("is ERROR: member 10.0.0.7:80: members")));
  EXPECT_EQ(sluice::test::model_in(*store), model());
}

TEST_F(ControllerTest, AfterAChangeThatWasRefusedFailoverTriesAgainAndOtherChangesWait) {
  build();
  refuse_member("10.0.0.7");
  ASSERT_TRUE(add_member("10.0.0.7"));
  const auto refused = added;
  data_plane.veto = nullptr;
  const auto next = add_member("10.0.0.8");
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().kind, ErrorKind::conflict);
  start();  // a restart tries again too
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  refuse_member("10.0.0.9");
  ASSERT_TRUE(add_member("10.0.0.9"));
  start();
  EXPECT_FALSE(add_member("10.0.0.8")) << "it is still that change that failed";
  data_plane.veto = nullptr;
  ASSERT_TRUE(change([&](auto& model) {
    return model::touch_load_balancer(model, walkthrough.lb, walkthrough.now);
  }));
  EXPECT_EQ(status(model().members, refused), "ACTIVE");
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  EXPECT_EQ(data_plane.state, desired());
}

TEST_F(ControllerTest, UntilItsReloadIsOverALoadBalancerIsPendingAndAnEventTellsHowItWent) {
  build();
  data_plane.hold_reloads = true;
  data_plane.state.vips.clear();
  ASSERT_TRUE(fail_over());
  EXPECT_EQ(data_plane.state, desired()) << "mended before, whatever becomes of the reload";
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "PENDING_UPDATE");
  EXPECT_EQ(status(model().pools, walkthrough.pool), "ACTIVE");
  EXPECT_TRUE(controller->repair_drift());
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "PENDING_UPDATE");
  EXPECT_EQ(fail_over().error().kind, ErrorKind::conflict) << "it is busy";

  end_reload(Reloaded{12, 15, {"eth0", "eth1"}});
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  EXPECT_EQ(sluice::test::model_in(*store), model());
  EXPECT_THAT(events, ElementsAre("data plane reloaded: program 12 replaced by 15 (eth0, eth1)"));
}

TEST_F(ControllerTest, ALoadBalancerWhoseReloadFailedIsActiveUnlessMendingFailed) {
  build();
  data_plane.hold_reloads = true;
  ASSERT_TRUE(fail_over());
  end_reload(tl::unexpected(full));
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  EXPECT_THAT(events, ElementsAre("data plane not reloaded: " + full.text()));

  data_plane.state.vips.clear();
  data_plane.veto = [](const Operation&) -> Result<void> { return tl::unexpected(full); };
  ASSERT_TRUE(fail_over());
  end_reload(Reloaded{12, 15, {}});
  EXPECT_THAT(status(model().load_balancers, walkthrough.lb), HasSubstr("ERROR"));
  EXPECT_THAT(events, Contains("data plane reloaded: program 12 replaced by 15 (no interface is "
                               "attached)"));
}

TEST_F(ControllerTest, LoadBalancersThatFailOverTogetherShareOneReload) {
  build();
  Uuid other{};
  ASSERT_TRUE(change([&](auto& model) -> Result<void> {
    model::LoadBalancer load_balancer;
    load_balancer.vip_address = ip("10.0.0.99");
    other = model::add(model, load_balancer, walkthrough.now).value();
    return {};
  }));
  data_plane.hold_reloads = true;
  ASSERT_TRUE(fail_over());
  ASSERT_TRUE(fail_over(other));
  EXPECT_EQ(data_plane.held_reloads.size(), 1U);
  end_reload(Reloaded{12, 15, {"eth0"}});
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
  EXPECT_EQ(status(model().load_balancers, other), "ACTIVE");
  ASSERT_TRUE(fail_over(other));
  EXPECT_EQ(data_plane.held_reloads.size(), 1U) << "the next one reloads again";
  end_reload(Reloaded{15, 18, {"eth0"}});
}

TEST_F(ControllerTest, WhatIsRefusedOrRehearsedReloadsNothing) {
  build();
  const auto touch = [&]() -> Result<void> {
    auto changed = controller->change([&](model::Model& model) {
      return model::touch_load_balancer(model, walkthrough.lb, walkthrough.now);
    });
    controller->reload_for(walkthrough.lb);
    return changed;
  };
  const auto ignore = [](const Result<void>&) {};
  const auto add = [&](model::Model& model) -> Result<void> {
    walkthrough.add_member(model, "10.0.0.7");
    return {};
  };
  // Requests that come during another one become one group.
  EXPECT_TRUE(request([&]() -> Result<void> {
    controller->submit(
        [&]() -> Result<void> {
          (void)touch();
          return tl::unexpected(full);
        },
        ignore);
    controller->submit([&] { return controller->transaction(touch, Controller::Ending::rehearse); },
                       ignore);
    controller->submit([&] { return controller->change(add); }, ignore);
    return {};
  }));
  EXPECT_EQ(data_plane.state.members.size(), 3U) << "an accepted change of somebody else";
  EXPECT_EQ(data_plane.program, 1U);
  EXPECT_TRUE(request([&] { return controller->transaction(touch); }));
  EXPECT_EQ(data_plane.program, 2U);
}

TEST_F(ControllerTest, ARestartDuringAReloadEndsIt) {
  build();
  data_plane.hold_reloads = true;
  ASSERT_TRUE(fail_over());
  start();
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
}

TEST_F(ControllerTest, ARefusedMemberDoesNotKeepADeadOneInTheRing) {
  build();
  add_monitor();
  refuse_member("10.0.0.7");
  ASSERT_TRUE(add_member("10.0.0.7"));
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
}

TEST_F(ControllerTest, ARefusalOnOneLoadBalancerDoesNotHoldUpAnother) {
  build();
  refuse_member("10.0.0.7");
  ASSERT_TRUE(add_member("10.0.0.7"));
  test::Walkthrough second;
  ASSERT_TRUE(change([&](auto& model) -> Result<void> {
    model::LoadBalancer lb;
    lb.vip_address = ip("10.0.0.17");
    second.lb = model::add(model, lb, second.now).value();
    second.listener = second.add_listener(model, 80);
    return {};
  }));
  EXPECT_EQ(status(model().load_balancers, second.lb), "ACTIVE");
  EXPECT_EQ(status(model().listeners, second.listener), "ACTIVE");
  EXPECT_TRUE(data_plane.state.vips.contains(ip("10.0.0.17")));
  EXPECT_THAT(status(model().load_balancers, walkthrough.lb), HasSubstr("ERROR: member 10.0.0.7"));
}

TEST_F(ControllerTest, WhatTheDataPlaneSilentlyLostIsNotActive) {
  data_plane.lose = [](const Operation& operation) {
    return std::holds_alternative<PutListener>(operation);
  };
  build();
  EXPECT_EQ(status(model().listeners, walkthrough.listener),
            "ERROR: listener 10.0.0.16:80: the data plane does not hold it");
  EXPECT_THAT(status(model().load_balancers, walkthrough.lb), HasSubstr("ERROR: listener"));
  EXPECT_EQ(status(model().members, walkthrough.a), "ACTIVE");
}

TEST_F(ControllerTest, ARefusedRemovalIsTheLoadBalancersError) {
  build();
  data_plane.veto = [](const Operation& operation) -> Result<void> {
    if (std::holds_alternative<RemoveMember>(operation)) return fail(ErrorKind::system, "no");
    return {};
  };
  ASSERT_TRUE(change([&](auto& model) {
    return remove_member(model, walkthrough.pool, walkthrough.a, walkthrough.now);
  }));
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb),
            "ERROR: member " + to_string(walkthrough.a) + ": no");
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  data_plane.veto = nullptr;
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_EQ(status(model().load_balancers, walkthrough.lb), "ACTIVE");
}

TEST_F(ControllerTest, AnUnreadableDataPlaneLeavesPendingObjectsInErrorUntilItCanBeRead) {
  build();
  data_plane.read_error = Error{ErrorKind::system, "members: Operation not permitted", "", EPERM};
  ASSERT_TRUE(add_member("10.0.0.7"));
  EXPECT_EQ(status(model().members, added),
            "ERROR: read the data plane: members: Operation not permitted");
  EXPECT_EQ(status(model().members, walkthrough.a), "ACTIVE");
  EXPECT_FALSE(controller->repair_drift());
  data_plane.read_error.reset();
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_EQ(status(model().members, added), "ACTIVE");
  EXPECT_THAT(events, testing::Contains(HasSubstr("is ACTIVE again")));
}

TEST_F(ControllerTest, ARestartAdoptsAnEqualStateWithoutAnyOperation) {
  build();
  const auto before = model();
  start();
  EXPECT_EQ(model(), before);
  EXPECT_THAT(data_plane.operations, IsEmpty());
}

TEST_F(ControllerTest, ARestartBringsAnEmptyDataPlaneInLine) {
  build();
  data_plane.state = {};
  start();
  EXPECT_EQ(data_plane.state, desired());
}

TEST_F(ControllerTest, AStartFinishesWhatAKillLeftPending) {
  build();
  auto pending = model();
  walkthrough.add_member(pending, "10.0.0.7");
  ASSERT_TRUE(sluice::test::save(*store, model(), pending));  // stored, and then killed
  start();
  EXPECT_EQ(data_plane.state, desired());
  EXPECT_EQ(model().members.size(), 3u);
  for (const auto& [id, member] : model().members) EXPECT_EQ(status(model().members, id), "ACTIVE");
  EXPECT_EQ(sluice::test::model_in(*store), model());
}

TEST_F(ControllerTest, AStartThatTheDataPlaneRefusesLeavesErrors) {
  build();
  data_plane.state = {};
  refuse_member("10.0.0.4");
  start();
  EXPECT_THAT(status(model().members, walkthrough.a), HasSubstr("ERROR: member 10.0.0.4:80"));
  EXPECT_EQ(status(model().members, walkthrough.b), "ACTIVE");
  EXPECT_THAT(events, testing::Contains(HasSubstr("map is full"))) << "kept for the first listener";
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
}

TEST_F(ControllerTest, AFailedProbeSwapsTheRingAndFlagsTheMemberAndNothingElse) {
  build();
  add_monitor();
  controller->set_health({{walkthrough.a, Health::down}});
  auto down = walkthrough.member_entry("10.0.0.4");
  down.usable = false;
  down.failed = down.given_up = true;
  EXPECT_THAT(data_plane.operations,
              ElementsAre(Operation(PutPool{walkthrough.pool, {{}, {walkthrough.b}}}),
                          Operation(PutMember{walkthrough.a, down})));
  data_plane.operations.clear();
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_THAT(data_plane.operations, IsEmpty()) << "no news";
  controller->set_health({{walkthrough.a, Health::up}});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));
}

TEST_F(ControllerTest, SuspectsLeaveTheRingAndComeBackButAreNotStored) {
  build();
  add_monitor();
  controller->set_suspects({walkthrough.a});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
  EXPECT_THAT(sluice::test::health_in(*store), IsEmpty());
  data_plane.operations.clear();
  controller->set_suspects({walkthrough.a});
  EXPECT_THAT(data_plane.operations, IsEmpty()) << "no news";
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty()) << "that is how it should be";
  controller->set_suspects({});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));
}

TEST_F(ControllerTest, AMemberThatIsUpAgainHasASmallShareFromItsFirstRingOn) {
  build();
  add_monitor();
  auto now = SlowStart::Time(std::chrono::seconds(1600));
  controller->set_clock([&] { return now; });
  ASSERT_TRUE(change([&](auto& model) -> Result<void> {
    model.pools.change(walkthrough.pool)->slow_start_seconds = 160;
    return {};
  }));
  controller->set_health({{walkthrough.a, Health::down}});
  EXPECT_FALSE(controller->continue_slow_starts());
  data_plane.operations.clear();
  controller->set_health({{walkthrough.a, Health::up}});
  EXPECT_EQ(ring().size(), 17U);
  EXPECT_EQ(std::ranges::count(ring(), walkthrough.a), 1);
  EXPECT_EQ(data_plane.operations.size(), 2U) << "never a ring with all of its share before";
  EXPECT_EQ(controller->continue_slow_starts(), now + std::chrono::seconds(10));
  EXPECT_EQ(controller->slow_start_left(walkthrough.a), std::chrono::seconds(160));
  EXPECT_FALSE(controller->slow_start_left(walkthrough.b));
  EXPECT_EQ(data_plane.operations.size(), 2U) << "no news";
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty()) << "that is how it should be";

  now += std::chrono::seconds(80);
  EXPECT_EQ(controller->continue_slow_starts(), now + std::chrono::seconds(10));
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b, walkthrough.a, walkthrough.b));
  EXPECT_EQ(data_plane.operations.size(), 3U) << "one swap";
  now += std::chrono::seconds(80);
  EXPECT_FALSE(controller->continue_slow_starts());
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));

  start();
  EXPECT_FALSE(controller->continue_slow_starts()) << "a restart starts nobody";
}

TEST_F(ControllerTest, AMemberWhoseCheckAsksForLessHasASmallerShare) {
  build();
  controller->set_reduced({{walkthrough.a, 50}});
  EXPECT_EQ(ring().size(), 3U);
  EXPECT_EQ(std::ranges::count(ring(), walkthrough.a), 1);
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty()) << "that is how it should be";
  controller->set_reduced({});
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));
}

TEST_F(ControllerTest,
       ACheckThatThisNodeDoesNotDeclareIsRefusedAndAStoredOneIsAnErrorOfItsMonitor) {
  build();
  const auto name_check = [&](const char* check) {
    return change([&](auto& model) -> Result<void> {
      model::HealthMonitor external;
      external.pool_id = walkthrough.pool;
      external.type = model::MonitorType::external;
      external.check = check;
      const auto added = model::add(model, external, {});
      if (!added) return tl::unexpected(added.error());
      monitor = *added;
      return {};
    });
  };
  EXPECT_EQ(name_check("deep").error().message,
            "Invalid input for field/attribute check. Value: 'deep'. This node declares no checks");
  controller->set_checks({{"deep", "deeper"}, "lb1"});
  EXPECT_EQ(name_check("shallow").error().message,
            "Invalid input for field/attribute check. Value: 'shallow'. Value should be one of: "
            "deep, deeper");
  ASSERT_TRUE(name_check("deep"));
  const auto monitors = [&]() -> const auto& {
    return controller->model().health_monitors;
  };
  EXPECT_EQ(monitors().at(monitor).provisioning_status, model::ProvisioningStatus::active);

  start();
  controller->set_checks({{"deeper"}, "lb1"});
  EXPECT_EQ(monitors().at(monitor).provisioning_status, model::ProvisioningStatus::error);
  EXPECT_EQ(
      monitors().at(monitor).provisioning_error,
      "node lb1 declares no check 'deep' (check = deep=/path/to/program in its sluiced.conf)");
  EXPECT_EQ(controller->model().load_balancers.at(walkthrough.lb).provisioning_status,
            model::ProvisioningStatus::active);
  ASSERT_TRUE(add_member("10.0.0.7")) << "all else goes on";
  EXPECT_EQ(monitors().at(monitor).provisioning_status, model::ProvisioningStatus::error);
  controller->set_checks({{"deep"}, "lb1"});
  EXPECT_EQ(monitors().at(monitor).provisioning_status, model::ProvisioningStatus::active);
}

TEST_F(ControllerTest, HealthSurvivesARestart) {
  build();
  add_monitor();
  controller->set_health({{walkthrough.a, Health::down}});
  data_plane.operations.clear();
  start();
  EXPECT_EQ(controller->health(), (model::HealthTable{{walkthrough.a, Health::down}}));
  EXPECT_THAT(data_plane.operations, IsEmpty());
  EXPECT_THAT(ring(), ElementsAre(walkthrough.b));
}

TEST_F(ControllerTest, WithoutItsMonitorAMemberHasNoHealthAndServesAgain) {
  build();
  add_monitor();
  controller->set_health({{walkthrough.a, Health::down}});
  ASSERT_TRUE(
      change([&](auto& model) { return remove_health_monitor(model, monitor, walkthrough.now); }));
  EXPECT_THAT(controller->health(), IsEmpty());
  EXPECT_THAT(sluice::test::health_in(*store), IsEmpty());
  EXPECT_THAT(ring(), ElementsAre(walkthrough.a, walkthrough.b));
}

TEST_F(ControllerTest, ResultsForMembersThatAreGoneOrNotProbedAreIgnored) {
  build();
  controller->set_health({{walkthrough.a, Health::down}});
  controller->set_health({{new_uuid(), Health::down}});
  EXPECT_THAT(controller->health(), IsEmpty());
  EXPECT_THAT(data_plane.operations, IsEmpty());
}

TEST_F(ControllerTest, DriftIsRepairedAndReported) {
  build();
  data_plane.state.members.erase(walkthrough.a);
  data_plane.state.vips[ip("10.0.0.99")] = {new_uuid(), true};
  data_plane.state.pools.at(walkthrough.pool).ring = {walkthrough.b};
  const auto repairs = controller->repair_drift();
  ASSERT_TRUE(repairs);
  EXPECT_THAT(*repairs,
              ElementsAre("VIP 10.0.0.99 belonged to nobody: removed",
                          "member 10.0.0.4:80 was missing: put back",
                          "pool " + to_string(walkthrough.pool) + " differed: put right"));
  EXPECT_EQ(data_plane.state, desired());
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty());
}

TEST_F(ControllerTest, DriftThatCannotBeRepairedIsReportedWithTheReason) {
  build();
  data_plane.state.members.erase(walkthrough.a);
  data_plane.state.pools.at(walkthrough.pool).ring = {walkthrough.b};
  refuse_member("10.0.0.4");
  const auto repairs = controller->repair_drift();
  ASSERT_TRUE(repairs);
  EXPECT_THAT(*repairs, testing::Contains("member 10.0.0.4:80 cannot be repaired: members: map is "
                                          "full (16384 entries)"));
  EXPECT_THAT(status(model().members, walkthrough.a), HasSubstr("ERROR: member 10.0.0.4:80"));
  EXPECT_EQ(status(model().members, walkthrough.b), "ACTIVE");
}

TEST_F(ControllerTest, ObserversHearOfChangesOfModelAndHealthAndOfNothingElse) {
  int heard = 0;
  controller->on_change([&] { heard++; });
  build();
  EXPECT_EQ(heard, 1);
  add_monitor();
  EXPECT_EQ(heard, 2);
  controller->set_health({{walkthrough.a, Health::up}});
  EXPECT_EQ(heard, 3);
  controller->set_health({{walkthrough.a, Health::up}});
  EXPECT_FALSE(change([](auto&) -> Result<void> { return fail(ErrorKind::invalid, ""); }));
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_EQ(heard, 3);
}

TEST_F(ControllerTest, ACascadeLeavesNothingBehind) {
  build();
  ASSERT_TRUE(change([&](auto& model) {
    return remove_load_balancer(model, walkthrough.lb, true, walkthrough.now);
  }));
  EXPECT_EQ(data_plane.state, DataPlaneState{});
  EXPECT_EQ(sluice::test::model_in(*store), model::Model{});
}

TEST_F(ControllerTest, WhatAChangeDidNotTouchIsNotReadBack) {
  build();
  data_plane.can_look_at_some = true;
  const auto reads = data_plane.reads;
  ASSERT_TRUE(add_member("10.0.0.99"));
  EXPECT_EQ(data_plane.reads, reads);
  EXPECT_EQ(status(model().members, added), "ACTIVE");
  EXPECT_EQ(data_plane.state, desired());

  data_plane.lose = [](const Operation& operation) {
    return std::holds_alternative<PutPool>(operation);
  };
  ASSERT_TRUE(add_member("10.0.0.98"));
  EXPECT_GT(data_plane.reads, reads) << "what it did touch is looked at";
  EXPECT_THAT(status(model().pools, walkthrough.pool), HasSubstr("ERROR"));
}

TEST_F(ControllerTest, ARefusedRequestLeavesNoTraceOfWhatItHadChangedNorOfItsNeighbours) {
  build();
  std::optional<Result<void>> first, second;
  const auto before = model();
  // Both wait for the same commit, which another one holds up.
  controller->submit(
      [&]() -> Result<void> {
        controller->submit(
            [&] {
              return controller->change([&](auto& changing) -> Result<void> {
                walkthrough.add_member(changing, "10.0.0.77");
                return {};
              });
            },
            [&](Result<void> outcome) { first = std::move(outcome); });
        controller->submit(
            [&]() -> Result<void> {
              (void)controller->change([&](auto& changing) -> Result<void> {
                walkthrough.add_member(changing, "10.0.0.78");
                return {};
              });
              return fail(ErrorKind::invalid, "no");
            },
            [&](Result<void> outcome) { second = std::move(outcome); });
        return {};
      },
      [](const Result<void>&) {});
  EXPECT_TRUE(first.value());
  EXPECT_FALSE(second.value());
  EXPECT_EQ(model().members.size(), before.members.size() + 1);
  EXPECT_EQ(store->load().value().model, model());
}

TEST_F(ControllerTest, WritesAllThatIsDesiredIntoAnotherDataPlane) {
  build();
  sluice::test::FakeDataPlane made_anew;
  controller->adopt(made_anew);
  EXPECT_EQ(made_anew.state, desired());
  EXPECT_EQ(made_anew.position, data_plane.position) << "and whose store it is filled from";
  EXPECT_THAT(made_anew.violations, IsEmpty());
  ASSERT_TRUE(add_member("10.0.0.99"));
  EXPECT_TRUE(made_anew.state.members.contains(added)) << "and changes go there";
  EXPECT_FALSE(data_plane.state.members.contains(added));
}

TEST_F(ControllerTest, OnlyVipsThatTheDataPlaneTookAndThatAreUpAreHeld) {
  build();
  const auto vip = controller->model().load_balancers.begin()->second.vip_address;
  const auto id = controller->model().load_balancers.begin()->first;
  EXPECT_THAT(controller->held_vips(), testing::Optional(testing::Contains(testing::Key(vip))));

  const auto enable = [&](bool enabled) {
    return change([&](auto& model) -> Result<void> {
      auto load_balancer = model.load_balancers.at(id);
      load_balancer.admin_state_up = enabled;
      model.load_balancers.put(load_balancer);
      return {};
    });
  };
  ASSERT_TRUE(enable(false));
  EXPECT_THAT(controller->held_vips(),
              testing::Optional(testing::Not(testing::Contains(testing::Key(vip)))));
  data_plane.veto = [](const Operation& operation) -> Result<void> {
    if (std::holds_alternative<PutVip>(operation)) return tl::unexpected(full);
    return {};
  };
  ASSERT_TRUE(enable(true));
  EXPECT_THAT(controller->held_vips(),
              testing::Optional(testing::Not(testing::Contains(testing::Key(vip)))))
      << "the data plane has refused it";
  data_plane.veto = {};
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_THAT(controller->held_vips(), testing::Optional(testing::Contains(testing::Key(vip))));

  controller->lose_data_plane({ErrorKind::not_found, "the pins are gone", "", 0});
  EXPECT_THAT(controller->held_vips(), testing::Optional(IsEmpty()));
  controller->adopt(data_plane);
  EXPECT_THAT(controller->held_vips(), testing::Optional(testing::Contains(testing::Key(vip))));
}

TEST_F(ControllerTest, AStandbyKeepsEverythingButDoesNotAnswerForItsVips) {
  build();
  const auto active = data_plane.state;
  controller->set_standby(true);
  for (const auto& [address, entry] : data_plane.state.vips) EXPECT_TRUE(entry.standby);
  EXPECT_EQ(data_plane.state.listeners, active.listeners);
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty());
  controller->set_standby(false);
  EXPECT_EQ(data_plane.state, active);
}

TEST_F(ControllerTest, ASnatAddressThatWasTakenAwayLeavesWhenNoConnectionHasItEvenAfterARestart) {
  build();
  const auto source = ip("10.0.0.18");
  const auto use = [&](std::vector<IpAddress> addresses) {
    ASSERT_TRUE(change([&](auto& model) -> Result<void> {
      model.load_balancers.change(walkthrough.lb)->snat_addresses = std::move(addresses);
      return {};
    }));
  };
  const auto is_answered_for = [&] { return data_plane.state.vips.contains(source); };
  use({source});
  use({});
  EXPECT_THAT(events, Contains(HasSubstr("SNAT address 10.0.0.18 was taken away")));
  EXPECT_TRUE(is_answered_for());
  EXPECT_THAT(controller->held_vips(), testing::Optional(Contains(testing::Key(source))))
      << "its route is announced";
  start();
  EXPECT_TRUE(is_answered_for());
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty());
  controller->set_standby(true);
  EXPECT_TRUE(data_plane.state.vips.at(source).standby);
  controller->set_standby(false);
  EXPECT_FALSE(data_plane.state.vips.at(source).standby);

  for (const std::uint64_t connections : {2, 1, 0}) {
    controller->note_leaving_sources({{source, connections}});
    EXPECT_THAT(controller->leaving_sources(), ElementsAre(std::pair(source, connections)));
  }
  EXPECT_TRUE(is_answered_for()) << "the sweep may have missed one";
  controller->note_leaving_sources({{source, 0}});
  EXPECT_FALSE(is_answered_for());
  EXPECT_THAT(events, Contains(HasSubstr("SNAT address 10.0.0.18 has left")));
  EXPECT_THAT(controller->leaving_sources(), IsEmpty());

  use({source});
  controller->note_leaving_sources({{source, 0}});
  controller->note_leaving_sources({{source, 0}});
  EXPECT_TRUE(is_answered_for()) << "it is used again";
}

TEST_F(ControllerTest, TheNodesSnatAddressesAreHeldAsTheirRolesSay) {
  build();
  const auto own = ip("10.0.0.31"), other = ip("10.0.0.32");
  NodeSnat nodes{
      .own = {own},
      .addresses = {{own, {"lb1", SnatRole::owns}}, {other, {"lb2", SnatRole::succeeds}}}};
  controller->set_node_snat(nodes);
  EXPECT_FALSE(data_plane.state.vips.at(own).standby);
  EXPECT_TRUE(data_plane.state.vips.at(other).standby);
  EXPECT_EQ(controller->held_node_snat(), nodes.addresses);
  EXPECT_THAT(controller->held_vips(),
              testing::Optional(testing::Not(Contains(testing::Key(own)))));
  for (const auto& [key, listener] : data_plane.state.listeners)
    EXPECT_THAT(listener.snat_addresses, ElementsAre(own));
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty());

  nodes.addresses[other].role = SnatRole::replaces;
  controller->set_node_snat(nodes);
  EXPECT_FALSE(data_plane.state.vips.at(other).standby);
  data_plane.state.vips.erase(other);
  EXPECT_THAT(controller->repair_drift().value(), testing::SizeIs(1));
  EXPECT_TRUE(data_plane.state.vips.contains(other));

  // The node has another address now, and connections the earlier one.
  nodes.addresses.erase(other);
  controller->set_node_snat(nodes);
  EXPECT_TRUE(data_plane.state.vips.at(other).leaving);
  EXPECT_THAT(controller->held_vips(), testing::Optional(Contains(testing::Key(other))));
  for (int sweep = 0; sweep < 2; ++sweep) controller->note_leaving_sources({{other, 0}});
  EXPECT_FALSE(data_plane.state.vips.contains(other));
}

TEST_F(ControllerTest, WhatPacketsDoNotMeetIsErrorUntilTheyDo) {
  build();
  controller->lose_data_plane({ErrorKind::not_found, "the pins are gone", "", 0});
  const auto& balancers = controller->model().load_balancers;
  EXPECT_EQ(balancers.begin()->second.provisioning_status, model::ProvisioningStatus::error);
  EXPECT_THAT(balancers.begin()->second.provisioning_error, HasSubstr("the pins are gone"));
  EXPECT_THAT(events, testing::Not(IsEmpty()));
  events.clear();

  ASSERT_TRUE(add_member("10.0.0.99")) << "what is wanted may still be said";
  EXPECT_THAT(controller->repair_drift().value(), IsEmpty()) << "there is nothing to repair";
  EXPECT_EQ(balancers.begin()->second.provisioning_status, model::ProvisioningStatus::error);

  controller->adopt(data_plane);
  EXPECT_EQ(balancers.begin()->second.provisioning_status, model::ProvisioningStatus::active);
  EXPECT_TRUE(data_plane.state.members.contains(added));
}

}  // namespace
}  // namespace sluice::control
