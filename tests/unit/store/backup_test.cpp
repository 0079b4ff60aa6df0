// A backup keeps everything; files that others made are refused.
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "model/edit.hpp"
#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"

namespace sluice::store {
namespace {

namespace fs = std::filesystem;

class Backup : public testing::Test {
 protected:
  Backup() {
    auto name = (fs::temp_directory_path() / "sluice-backup-test-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    store_.emplace(SqliteStore::open(directory_ / "state").value());
  }
  ~Backup() override { fs::remove_all(directory_); }

  model::LoadBalancer load_balancer(const char* name) {
    model::LoadBalancer object;
    object.id = new_uuid();
    object.vip_port_id = new_uuid();
    object.name = name;
    object.tags = {"blue"};
    object.vip_address = boost::asio::ip::make_address("10.0.0.16");
    return object;
  }
  void keep(const char* name) {
    model::Model after = model_;
    const auto object = load_balancer(name);
    after.load_balancers.put(object);
    ASSERT_TRUE(test::save(*store_, model_, after));
    model_ = after;
  }
  // The bytes of a database that these statements make.
  std::string made_by(const std::string& sql) {
    const auto file = directory_ / "made.db";
    fs::remove(file);
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    return bytes_of(file);
  }
  static std::string bytes_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  std::string refusal(const std::string& file) {
    const auto contents = store_->read_backup(file);
    return contents ? "" : contents.error().text();
  }

  fs::path directory_;
  std::optional<SqliteStore> store_;
  model::Model model_;
};

TEST_F(Backup, HoldsWhatWasStoredWhenItWasMade) {
  keep("before");
  const auto file = store_->back_up();
  ASSERT_TRUE(file) << file.error().text();
  const auto then = model_;
  keep("after");
  const auto contents = store_->read_backup(*file);
  ASSERT_TRUE(contents) << contents.error().text();
  EXPECT_EQ(contents->model, then);
  EXPECT_EQ(test::model_in(*store_), model_) << "the store goes on as it is";
}

TEST_F(Backup, IsAFileThatSluicedStartsFrom) {
  keep("web");
  const auto file = store_->back_up();
  fs::create_directory(directory_ / "other");
  std::ofstream(directory_ / "other" / "sluice.db", std::ios::binary) << *file;
  auto other = SqliteStore::open(directory_ / "other");
  ASSERT_TRUE(other) << other.error().text();
  EXPECT_EQ(test::model_in(*other), model_);
}

TEST_F(Backup, OfAnOlderVersionIsReadToo) {
  std::ifstream sql(fs::path(STORES_DIRECTORY) / "version_1.sql");
  const auto contents = store_->read_backup(made_by({std::istreambuf_iterator<char>(sql), {}}));
  ASSERT_TRUE(contents) << contents.error().text();
  EXPECT_EQ(contents->model.load_balancers.size(), 1U);
}

TEST_F(Backup, AFileThatIsNoneIsRefusedWhateverItIs) {
  keep("web");
  const auto file = store_->back_up().value();
  EXPECT_NE(refusal("loadbalancers: []\n"), "");
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal(file.substr(0, 3000)), "");
  EXPECT_EQ(refusal(made_by("CREATE TABLE x (y)")),
            "it is not a backup of Sluice (sluicectl backup FILE makes one)");
  EXPECT_NE(refusal(made_by("PRAGMA user_version = 7")), "") << "without any of our tables";
  EXPECT_NE(refusal(made_by("CREATE TABLE x (y); PRAGMA user_version = 1000")), "")
      << "of a newer version";
  auto damaged = file;
  for (std::size_t at = 5000; at < damaged.size(); at += 7) damaged[at] = '\x5a';
  EXPECT_NE(refusal(damaged), "");
}

TEST_F(Backup, NothingInTheFileRuns) {
  EXPECT_EQ(refusal(made_by("CREATE TABLE load_balancers (id); CREATE VIEW v AS SELECT 1; "
                            "PRAGMA user_version = 1")),
            "it is not a backup of Sluice");
}

}  // namespace
}  // namespace sluice::store
