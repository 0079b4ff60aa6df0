// The writer's thread keeps the order, reports on the caller's thread and loses nothing at its end.
// This runs in the `tsan` build, too.
#include "store/writer.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>

#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"
#include "tests/support/failing_store.hpp"

namespace sluice::store {
namespace {

Commit renaming(const Uuid& id, const std::string& name) {
  Commit commit;
  auto& load_balancer = commit.objects.load_balancers.put[id];
  load_balancer.id = id;
  load_balancer.name = name;
  return commit;
}

class WriterTest : public testing::Test {
 protected:
  WriterThread::Post post() {
    return [this](std::function<void()> heard) { boost::asio::post(loop_, std::move(heard)); };
  }
  // Runs the event loop until so many outcomes were reported.
  void hear(std::size_t count) {
    while (outcomes_.size() < count) {
      loop_.run_one();
      loop_.restart();
    }
  }
  Writer::Done note() {
    return [this](const Result<std::uint64_t>& outcome) {
      EXPECT_EQ(std::this_thread::get_id(), own_thread_);
      outcomes_.push_back(outcome ? std::to_string(*outcome) : outcome.error().text());
    };
  }

  const std::thread::id own_thread_ = std::this_thread::get_id();
  boost::asio::io_context loop_{1};
  decltype(boost::asio::make_work_guard(loop_)) guard_ = boost::asio::make_work_guard(loop_);
  std::vector<std::string> outcomes_;
};

TEST_F(WriterTest, CommitsInOrderAndIsHeardOnTheCallersThread) {
  test::FailingStore store;
  store.veto = [](std::size_t number) -> Result<void> {
    if (number == 2) return fail(ErrorKind::system, "disk I/O error");
    return {};
  };
  const auto id = new_uuid();
  {
    WriterThread writer(store, post());
    for (const auto* name : {"one", "two", "three"}) writer.commit(renaming(id, name), note());
    hear(3);
  }
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"1", "disk I/O error", "2"}));
  EXPECT_EQ(store.contents.model.load_balancers.at(id).name, "three");
}

TEST_F(WriterTest, TheCallerGoesOnWhileTheDiskHangs) {
  test::FailingStore store;
  std::promise<void> thaw;
  store.veto = [frozen = thaw.get_future().share()](std::size_t) -> Result<void> {
    frozen.wait();
    return {};
  };
  WriterThread writer(store, post());
  writer.commit(renaming(new_uuid(), "held up"), note());
  bool turned = false;
  boost::asio::post(loop_, [&] { turned = true; });
  loop_.run_one();
  EXPECT_TRUE(turned);
  EXPECT_TRUE(outcomes_.empty());
  thaw.set_value();
  hear(1);
  EXPECT_EQ(outcomes_.front(), "1");
}

TEST_F(WriterTest, EndsWhenAllThatItWasGivenIsStored) {
  test::FailingStore store;
  const auto id = new_uuid();
  {
    WriterThread writer(store, post());
    for (int number = 1; number <= 100; number++) {
      writer.commit(renaming(id, std::to_string(number)), note());
    }
  }
  EXPECT_EQ(store.commits, 100U);
  EXPECT_EQ(store.contents.model.load_balancers.at(id).name, "100");
}

TEST_F(WriterTest, FinishesWithTheStoreClosedUnlessTheDiskHangs) {
  test::FailingStore store;
  std::promise<void> thaw;
  store.veto = [frozen = thaw.get_future().share()](std::size_t) -> Result<void> {
    frozen.wait();
    return {};
  };
  std::atomic<bool> closed = false;
  {
    WriterThread writer(store, post());
    writer.commit(renaming(new_uuid(), "held up"), note());
    EXPECT_FALSE(writer.finish([&] { closed = true; }, std::chrono::milliseconds(10)));
    EXPECT_FALSE(closed);
    thaw.set_value();
  }
  EXPECT_TRUE(closed);
  WriterThread writer(store, post());
  closed = false;
  EXPECT_TRUE(writer.finish([&] { closed = store.commits == 1; }, std::chrono::minutes(1)));
  EXPECT_TRUE(closed);
}

TEST_F(WriterTest, WorksWithSqlite) {
  auto name = (std::filesystem::temp_directory_path() / "sluice-writer-XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(name.data());
  const auto id = new_uuid();
  {
    auto store = SqliteStore::open(directory).value();
    WriterThread writer(store, post());
    for (int number = 1; number <= 10; number++) {
      writer.commit(renaming(id, std::to_string(number)), note());
    }
    hear(10);
  }
  EXPECT_EQ(outcomes_.back(), "10") << "the generation counts commits";
  auto store = SqliteStore::open(directory).value();
  const auto contents = store.load().value();
  EXPECT_EQ(contents.model.load_balancers.at(id).name, "10");
  EXPECT_EQ(contents.position.generation, 10U);
  EXPECT_FALSE(contents.position.store.is_nil());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::store
