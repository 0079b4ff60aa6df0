// Events: stored with the change that they tell of, found again, and never more than the bounds.
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "store/event_table.hpp"
#include "store/schema.hpp"
#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"
#include "tests/unit/store/failing_vfs.hpp"

namespace sluice::store {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;

model::Timestamp now() {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

model::EventRecord event(std::uint64_t number, const char* object = "", const char* project = "") {
  return {.number = number,
          .time = now(),
          .kind = number % 2 == 0 ? "change" : "health",
          .object_type = "member",
          .object_id = object,
          .object_name = std::string(object) + "'s name",
          .project_id = project,
          .text = "{\"message\":\"ü; DROP TABLE events\"}"};
}

class EventTable : public testing::Test {
 protected:
  EventTable() {
    auto name = (fs::temp_directory_path() / "sluice-events-test-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    open();
  }
  ~EventTable() override { fs::remove_all(directory_); }

  void open(const std::string& state = "state") {
    store_.reset();
    store_.emplace(SqliteStore::open(directory_ / state).value());
  }
  void keep(std::vector<model::EventRecord> events) {
    const auto done = store_->commit({.objects = {}, .health = {}, .events = std::move(events)});
    ASSERT_TRUE(done) << done.error().text();
  }
  std::vector<std::uint64_t> found(const model::EventQuery& query) {
    std::vector<std::uint64_t> numbers;
    const auto events = store_->events(query);
    if (!events) ADD_FAILURE() << events.error().text();
    for (const auto& one : *events) numbers.push_back(one.number);
    return numbers;
  }
  using Numbers = std::vector<std::uint64_t>;

  fs::path directory_;
  std::optional<SqliteStore> store_;
};

TEST_F(EventTable, EachEventIsThereWithAllOfItAfterARestart) {
  const std::vector events{event(1, "a", "ours"), event(2, "b")};
  keep(events);
  open();
  EXPECT_EQ(store_->events({}).value(), events);
}

TEST_F(EventTable, TheNewestAreFoundOrThoseBehindANumberInTheirOrder) {
  keep({event(5, "a"), event(6, "b"), event(7, "a"), event(20, "b", "ours")});
  EXPECT_EQ(found({}), (Numbers{5, 6, 7, 20}));
  EXPECT_EQ(found({.limit = 2}), (Numbers{7, 20}));
  EXPECT_EQ(found({.before = 20, .limit = 2}), (Numbers{6, 7}));
  EXPECT_EQ(found({.after = 5, .limit = 2}), (Numbers{6, 7}));
  EXPECT_EQ(found({.after = 5, .before = 7}), (Numbers{6}));
  EXPECT_EQ(found({.after = 20}), Numbers{});
  EXPECT_EQ(found({.after = ~0ULL}), Numbers{});
  EXPECT_EQ(found({.kind = "health"}), (Numbers{5, 7}));
  EXPECT_EQ(found({.object_type = "pool"}), Numbers{});
  EXPECT_EQ(found({.object = "a"}), (Numbers{5, 7}));
  EXPECT_EQ(found({.after = 5, .kind = "health", .object_type = "member", .object = "a's name"}),
            (Numbers{7}));
  EXPECT_EQ(found({.project_id = "ours"}), (Numbers{20}));
  EXPECT_EQ(found({.project_id = ""}), (Numbers{5, 6, 7})) << "the node's own";
}

// The table is told how many rows it has, so that a test need not write most_events of them.
TEST_F(EventTable, BeyondTheLargestNumberTheOldestGo) {
  auto connection = Connection::open(":memory:").value();
  ASSERT_TRUE(migrate(connection));
  EXPECT_EQ(save_events(connection, {event(1), event(2)}, most_events - 2, now()), most_events);
  EXPECT_EQ(count_events(connection), 2U);
  EXPECT_EQ(save_events(connection, {event(3), event(4), event(5)}, most_events, now()),
            most_events);
  const auto left = find_events(connection, {}).value();
  ASSERT_EQ(left.size(), 2U);
  EXPECT_EQ(left[0].number, 4U);
  auto old = event(6);
  old.time = now() - longest_kept_event - hours(1);
  EXPECT_EQ(save_events(connection, {old}, most_events - 1, now()), most_events - 1)
      << "what has gone by its age is not counted";
}

TEST_F(EventTable, WhatIsTooOldGoesWithTheNextCommit) {
  auto old = event(1);
  old.time = now() - longest_kept_event - hours(1);
  auto young = event(2);
  young.time = now() - longest_kept_event + hours(1);
  keep({old, young});
  EXPECT_EQ(found({}), (Numbers{2}));
}

TEST_F(EventTable, ABackupHasNone) {
  auto mine = event(1);
  mine.text = "{\"message\":\"not in a backup\"}";
  keep({mine});
  const auto file = store_->back_up().value();
  EXPECT_EQ(file.find("not in a backup"), std::string::npos);
  EXPECT_TRUE(store_->read_backup(file)) << "and is one all the same";
  EXPECT_EQ(found({}), (Numbers{1})) << "the store keeps them";
}

// At whatever call the disk fails: both or neither.
TEST_F(EventTable, AChangeIsNeverWithoutItsEventNorAnEventWithoutItsChange) {
  test::FailingVfs disk;
  std::size_t refused = 0;
  bool all_passed = false;
  for (std::size_t failing = 1; !all_passed; failing++) {
    SCOPED_TRACE("call " + std::to_string(failing) + " fails");
    open(std::to_string(failing));
    model::Model after;
    model::LoadBalancer object;
    object.id = new_uuid();
    object.vip_port_id = new_uuid();
    object.vip_address = parse_ip_address("10.0.0.16").value();
    after.load_balancers.put(object);
    Commit commit;
    commit.objects = model::changes_between({}, after);
    commit.events = {event(1)};
    disk.fail_at(failing);
    const auto done = store_->commit(commit);
    all_passed = disk.calls() < failing;
    disk.fail_at(0);
    if (!done) refused++;
    open(std::to_string(failing));
    const bool is_there = !test::model_in(*store_).load_balancers.empty();
    EXPECT_EQ(found({}).size(), is_there ? 1U : 0U);
    EXPECT_TRUE(is_there || !done) << "it was acknowledged";
  }
  EXPECT_GT(refused, 0U);
  store_.reset();  // before the file system that it uses
}

}  // namespace
}  // namespace sluice::store
