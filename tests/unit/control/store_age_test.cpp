// The stored states from which a controller starts over a data plane in use.
#include "control/store_age.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/controller.hpp"
#include "control/reconciler.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"
#include "tests/unit/control/walkthrough.hpp"

namespace sluice::control {
namespace {

using testing::HasSubstr;

class StoreAge : public testing::Test {
 protected:
  StoreAge() { store.contents.position.store = new_uuid(); }

  // The error of a start from this store; "started" if there is none.
  std::string start(store::Store& from, Controller::Age age = Controller::Age::check) {
    writer.emplace(from);
    auto started = Controller::start(from.load().value(), *writer, data_plane, age);
    if (!started) return started.error().text();
    controller = std::move(*started);
    return "started";
  }
  void change(const Controller::Edit& edit) {
    controller->submit([&] { return controller->change(edit); },
                       [](const Result<void>& outcome) { EXPECT_TRUE(outcome); });
  }
  void build() {
    ASSERT_EQ(start(store), "started");
    change([&](auto& model) -> Result<void> {
      walkthrough.build(model);
      return {};
    });
    ASSERT_FALSE(data_plane.state.vips.empty());
    data_plane.operations.clear();
  }

  sluice::test::FailingStore store;
  sluice::test::FakeDataPlane data_plane;
  std::optional<store::DirectWriter> writer;
  std::unique_ptr<Controller> controller;
  test::Walkthrough walkthrough;
};

TEST_F(StoreAge, TheSameStoreIsWelcome) {
  build();
  EXPECT_EQ(data_plane.position, store.contents.position) << "noted with each commit";
  EXPECT_EQ(start(store), "started");
}

TEST_F(StoreAge, ACommitThatAKillKeptFromTheDataPlaneIsWelcome) {
  build();
  data_plane.position.generation--;
  EXPECT_EQ(start(store), "started");
}

TEST_F(StoreAge, AnEmptyStoreIsRefusedAndNothingIsTouched) {
  build();
  sluice::test::FailingStore fresh;
  fresh.contents.position.store = new_uuid();
  const auto said = start(fresh);
  EXPECT_THAT(said,
              HasSubstr("the stored state holds nothing, but the data plane carries objects: to "
                        "start from it would remove VIP 10.0.0.16 ("));
  EXPECT_THAT(said, HasSubstr("--accept-older-state"));
  EXPECT_TRUE(data_plane.operations.empty());
  EXPECT_EQ(fresh.commits, 0U);
  EXPECT_EQ(start(fresh, Controller::Age::accept_older), "started");
  EXPECT_EQ(data_plane.state, DataPlaneState{});
  EXPECT_EQ(data_plane.position.store, fresh.contents.position.store);
}

TEST_F(StoreAge, AnEmptyStoreIsRefusedOverWhatAnOlderVersionFilled) {
  build();
  data_plane.position = {};
  sluice::test::FailingStore fresh;
  fresh.contents.position.store = new_uuid();
  EXPECT_THAT(start(fresh), HasSubstr("holds nothing"));
  EXPECT_EQ(start(store), "started") << "the version before noted nothing";
}

TEST_F(StoreAge, AnotherStoreIsRefused) {
  build();
  auto other = store;
  other.contents.position.store = new_uuid();
  EXPECT_THAT(start(other), HasSubstr("is not the one that the data plane was filled from"));
}

TEST_F(StoreAge, AnOlderStateIsRefusedAndOnceAcceptedItIsTheNewest) {
  build();
  auto old = store;
  change([&](auto& model) -> Result<void> {
    model::LoadBalancer second;
    second.vip_address = test::ip("10.0.0.17");
    auto added = model::add(model, second, walkthrough.now);
    if (!added) return tl::unexpected(added.error());
    return {};
  });
  const auto carried = data_plane.position;
  ASSERT_GT(carried.generation, old.contents.position.generation);
  EXPECT_THAT(start(old), HasSubstr("is older than what the data plane carries (commit " +
                                    std::to_string(old.contents.position.generation) + " of " +
                                    std::to_string(carried.generation) +
                                    "): to start from it would remove VIP 10.0.0.17"));
  EXPECT_EQ(start(old, Controller::Age::accept_older), "started");
  EXPECT_GT(old.contents.position.generation, carried.generation);
  EXPECT_EQ(data_plane.position, old.contents.position);
  EXPECT_EQ(start(old), "started");
  EXPECT_THAT(start(store), HasSubstr("is older"));
}

TEST_F(StoreAge, AnEmptyDataPlaneIsFilledFromAnyStore) {
  build();
  data_plane.state = {};
  data_plane.position = {new_uuid(), 1'000};
  EXPECT_EQ(start(store), "started");
  EXPECT_FALSE(data_plane.state.vips.empty());
  EXPECT_EQ(data_plane.position, store.contents.position);
}

TEST_F(StoreAge, ADriftCheckNotesThePositionInMapsThatAreNew) {
  build();
  data_plane.position = {};
  ASSERT_TRUE(controller->repair_drift());
  EXPECT_EQ(data_plane.position, store.contents.position);
}

}  // namespace
}  // namespace sluice::control
