#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "model/edit.hpp"
#include "store/object_json.hpp"
#include "store/schema.hpp"
#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"
#include "tests/unit/store/failing_vfs.hpp"

namespace sluice::store {
namespace {

namespace fs = std::filesystem;

template <typename T, typename Edit>
void change_all(model::Table<T>& table, Edit edit) {
  const auto before = table;
  for (const auto& [id, object] : before) edit(*table.change(id));
}
using test::forget_health;
using test::health_in;
using test::model_in;
using test::save;
using test::save_health;

IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

void set_common(model::Object& object, const char* name) {
  object.id = new_uuid();
  object.project_id = "eac679e4896146e6827ce29d755fe289";
  object.name = name;
  object.admin_state_up = false;
  object.tags = {"blue", "", "it's; DROP TABLE tags"};
  object.provisioning_status = model::ProvisioningStatus::error;
  object.provisioning_error = "members: map is full";
  object.created_at = model::Timestamp(std::chrono::microseconds(1'530'000'000'123'456));
  object.updated_at = object.created_at + std::chrono::microseconds(1);
}

// One object of each kind in which every attribute differs from its default.
model::Model full_model() {
  model::LoadBalancer lb;
  set_common(lb, "lb_test_1");
  lb.description = "ü";
  lb.vip_address = ip("10.0.0.16");
  lb.vip_port_id = new_uuid();
  lb.vip_subnet_id = "private-subnet";
  lb.vip_network_id = "private";
  lb.on_unmatched = model::RefusalMode::reset;
  lb.announce = model::Announce::healthy;
  lb.provider = "octavia";
  lb.change_failed = true;
  lb.additional_vips = {{ip("2001:db8::16"), "private-subnet6"}, {ip("192.0.2.16"), std::nullopt}};
  lb.snat_addresses = {ip("10.0.0.18"), ip("2001:db8::18")};

  model::Pool pool;
  set_common(pool, "80_pool");
  pool.description = "web";
  pool.load_balancer_id = lb.id;
  pool.protocol = model::Protocol::udp;
  pool.lb_algorithm = model::Algorithm::maglev;
  pool.forwarding_mode = model::ForwardingMode::dnat;
  pool.on_member_down = model::MemberDownMode::keep;
  pool.drain_timeout_seconds = 0;
  pool.slow_start_seconds = 86'400;
  pool.mixed_versions = true;
  pool.session_persistence = model::SessionPersistence::source_ip;
  pool.persistence_timeout_seconds = 60;
  pool.persistence_granularity = ip("255.255.255.0");

  model::Listener listener;
  set_common(listener, "80_listener");
  listener.description = "http";
  listener.load_balancer_id = lb.id;
  listener.protocol_port = 65534;
  listener.protocol_port_range = 65535;
  listener.protocol = model::Protocol::udp;
  listener.default_pool_id = pool.id;
  listener.allowed_cidrs = {parse_ip_network("10.0.0.0/8").value(),
                            parse_ip_network("192.0.2.1").value()};
  listener.connection_limit = 100;
  listener.new_connection_limit = 7;
  listener.on_no_member = model::RefusalMode::reset;
  listener.syn_authentication = model::SynAuthentication::off;
  listener.udp_scheduling = model::UdpScheduling::packet;
  listener.on_idle = model::IdleEnd::reset;
  listener.records = false;
  listener.idle_timeout_seconds = 600;
  listener.data_timeouts_count = false;
  listener.connect_timeout_set = true;
  listener.timeout_client_data_ms = 1;
  listener.timeout_member_connect_ms = 2;
  listener.timeout_member_data_ms = 3;
  listener.timeout_tcp_inspect_ms = 2'073'600'000;

  model::Member member;
  set_common(member, "80_member_1");
  member.pool_id = pool.id;
  member.address = ip("10.0.0.4");
  member.protocol_port = 80;
  member.weight = 256;
  member.backup = true;
  member.subnet_id = "private-subnet";
  member.monitor_address = ip("2001:db8::4");
  member.monitor_port = 8080;
  member.drain_until = model::Timestamp(std::chrono::microseconds(1'700'000'000'000'001));
  member.max_connections = 2'147'483'647;
  member.typed_address = "010.0.0.4";
  member.typed_monitor_address = "2001:DB8::4";

  model::HealthMonitor monitor;
  set_common(monitor, "80_healthcheck");
  monitor.pool_id = pool.id;
  monitor.type = model::MonitorType::http;
  monitor.delay_seconds = 60;
  monitor.timeout_seconds = 20;
  monitor.max_retries = 2;
  monitor.max_retries_down = 4;
  monitor.http_method = "HEAD";
  monitor.url_path = "/health";
  monitor.expected_codes = "200-204";
  monitor.http_version = "1.1";
  monitor.domain_name = "www.example.org";
  monitor.probe_vip = true;

  model::FloatingIp floating_ip;
  set_common(floating_ip, "public");
  floating_ip.address = ip("203.0.113.9");
  floating_ip.description = "the office";
  floating_ip.network_id = new_uuid();
  floating_ip.load_balancer_id = lb.id;

  model::Model model;
  model.load_balancers.put(lb);
  model.pools.put(pool);
  model.listeners.put(listener);
  model.members.put(member);
  model.health_monitors.put(monitor);
  model.floating_ips.put(floating_ip);
  model.quotas["eac679e4896146e6827ce29d755fe289"] = {1, 2, 3, 4, 5, 6, 7};
  return model;
}

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    auto name = (fs::temp_directory_path() / "sluice-store-test-XXXXXX").string();
    directory = ::mkdtemp(name.data());
  }
  ~StoreTest() override { fs::remove_all(directory); }

  SqliteStore opened() { return SqliteStore::open(directory).value(); }
  fs::path file() const { return directory / "sluice.db"; }

  // The error of opening.
  std::string refusal() {
    auto store = SqliteStore::open(directory);
    return store ? "opened" : store.error().text();
  }

  void write_file(const std::string& content) {
    std::ofstream(file(), std::ios::binary | std::ios::trunc) << content;
  }

  fs::path directory;
};

TEST_F(StoreTest, ANewStoreIsEmptyAndItsDirectoryIsMadeForItsOwnerAndGroup) {
  const auto nested = directory / "a" / "b";
  auto store = SqliteStore::open(nested);
  ASSERT_TRUE(store) << store.error().text();
  EXPECT_EQ(model_in(*store), model::Model{});
  EXPECT_TRUE(health_in(*store).empty());
  EXPECT_EQ(fs::status(nested).permissions(), fs::perms(0750));
  EXPECT_EQ(fs::status(nested / "sluice.db").permissions(), fs::perms(0640));
}

TEST_F(StoreTest, EveryAttributeComesBackAfterARestart) {
  const auto model = full_model();
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, model));
  }
  auto store = opened();
  EXPECT_EQ(model_in(store), model);
}

TEST_F(StoreTest, AbsentOptionalAttributesComeBackAbsent) {
  auto model = full_model();
  change_all(model.members, [](auto& object) {
    object.updated_at.reset();
    object.subnet_id.reset();
    object.monitor_address.reset();
    object.monitor_port.reset();
    object.tags.clear();
  });
  change_all(model.listeners, [](auto& object) {
    object.default_pool_id.reset();
    object.connection_limit = -1;
    object.allowed_cidrs.clear();
  });
  change_all(model.pools, [](auto& object) {
    object.session_persistence.reset();
    object.persistence_timeout_seconds.reset();
    object.persistence_granularity.reset();
  });
  change_all(model.floating_ips, [](auto& object) {
    object.network_id.reset();
    object.load_balancer_id.reset();
  });
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, model));
  }
  auto store = opened();
  EXPECT_EQ(model_in(store), model);
}

TEST_F(StoreTest, OnlyTheDifferenceIsWrittenAndWhatIsGoneIsDeleted) {
  const auto before = full_model();
  auto store = opened();
  ASSERT_TRUE(save(store, {}, before));

  auto after = before;
  after.members.clear();
  after.health_monitors.clear();
  after.floating_ips.clear();
  after.load_balancers.change(after.load_balancers.begin()->first)->name = "renamed";
  after.quotas[after.quotas.begin()->first].member = -1;
  after.quotas["other"] = {};
  after.load_balancers.change(after.load_balancers.begin()->first)->tags = {"green"};
  ASSERT_TRUE(save(store, before, after));
  EXPECT_EQ(model_in(store), after);

  ASSERT_TRUE(save(store, after, {}));
  EXPECT_EQ(model_in(store), model::Model{});
}

TEST_F(StoreTest, ARowThatNamesAParentWhichIsGoneIsRefusedByItsName) {
  const auto model = full_model();
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, model));
  }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "DELETE FROM load_balancers", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  const auto loaded = opened().load();
  ASSERT_FALSE(loaded);
  const auto text = loaded.error().text();
  EXPECT_NE(text.find("the database is damaged: "), std::string::npos) << text;
  EXPECT_NE(text.find("belongs to Load Balancer " + to_string(model.load_balancers.begin()->first) +
                      ", which is not there"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("restore it from a backup"), std::string::npos) << text;
}

TEST_F(StoreTest, AnImpossibleStateIsRefusedAsAWhole) {
  const auto before = full_model();
  auto store = opened();
  ASSERT_TRUE(save(store, {}, before));
  auto orphaned = before;
  orphaned.load_balancers.change(orphaned.load_balancers.begin()->first)->name = "renamed";
  orphaned.pools.clear();  // the member, the monitor and the listener still name it
  const auto saved = save(store, before, orphaned);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().text(), "write " + file().string() + ": FOREIGN KEY constraint failed");
  EXPECT_EQ(model_in(store), before);
}

TEST_F(StoreTest, HealthIsKeptUntilItIsForgottenOrTheMemberGoes) {
  const auto model = full_model();
  const auto member = model.members.begin()->first;
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, model));
    ASSERT_TRUE(save_health(store, {{member, model::Health::up}}));
    ASSERT_TRUE(save_health(store, {{member, model::Health::down}}));
  }
  auto store = opened();
  EXPECT_EQ(health_in(store), (model::HealthTable{{member, model::Health::down}}));

  auto renamed = model;
  renamed.members.change(renamed.members.begin()->first)->name = "renamed";
  ASSERT_TRUE(save(store, model, renamed));
  EXPECT_EQ(health_in(store).size(), 1u) << "a change of the member keeps its health";
  ASSERT_TRUE(forget_health(store, member));
  EXPECT_TRUE(health_in(store).empty());

  ASSERT_TRUE(save_health(store, {{member, model::Health::up}}));
  auto without = renamed;
  without.members.clear();
  ASSERT_TRUE(save(store, renamed, without));
  EXPECT_TRUE(health_in(store).empty());
}

TEST_F(StoreTest, ASecondDaemonOnTheDirectoryIsRefused) {
  const auto first = opened();
  EXPECT_EQ(refusal(), "the state directory " + directory.string() +
                           " is in use by unit_store (pid " + std::to_string(::getpid()) +
                           ") (stop that one, or choose another --state-dir)");
}

TEST_F(StoreTest, ASecondDaemonIsRefusedWhileAnotherProcessHasTheStore) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const auto child = ::fork();
  if (child == 0) {
    const auto store = SqliteStore::open(directory);
    const char answer = store ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char answer = 'n';
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_NE(refusal().find("in use by unit_store (pid " + std::to_string(child) + ")"),
            std::string::npos)
      << refusal();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal(), "opened") << "the lock dies with its process";
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(StoreTest, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  const std::string text(4096, 'x');
  write_file(text);
  EXPECT_EQ(refusal(), "open " + file().string() +
                           ": file is not a database (restore it from a backup; to start with "
                           "nothing configured, move it away first)");
  std::ifstream in(file(), std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), text);
}

TEST_F(StoreTest, AnEmptyFileIsDamageAndNotAFirstStart) {
  write_file("");
  EXPECT_NE(refusal().find("it is not a database of Sluice (restore it from a backup"),
            std::string::npos)
      << refusal();
}

TEST_F(StoreTest, ADrainedNodeIsDrainedAfterARestart) {
  const auto since = model::Timestamp(std::chrono::microseconds(1'700'000'000'123'456));
  const auto full = full_model();
  auto drained = full;
  model::drain_node(drained, "lb1", since);
  model::drain_node(drained, "lb1", since + std::chrono::seconds(5));
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, drained));
  }
  auto store = opened();
  EXPECT_EQ(test::model_in(store), drained);
  EXPECT_EQ(test::model_in(store).drained_nodes.at("lb1"), since)
      << "the second drain changed nothing";
  auto undrained = drained;
  model::undrain_node(undrained, "lb1");
  ASSERT_TRUE(save(store, drained, undrained));
  EXPECT_EQ(test::model_in(store), full);
}

TEST_F(StoreTest, ADamagedPageIsFoundAtOpening) {
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, full_model()));
  }
  const auto size = fs::file_size(file());
  std::fstream damaged(file(), std::ios::binary | std::ios::in | std::ios::out);
  damaged.seekp(4096);
  damaged << std::string(size - 4096, '\xff');
  damaged.close();
  EXPECT_NE(refusal(), "opened");
  EXPECT_NE(refusal().find("restore it from a backup"), std::string::npos) << refusal();
}

TEST_F(StoreTest, AFileOfANewerSluiceIsRefused) {
  { const auto store = opened(); }
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &database), SQLITE_OK);
  sqlite3_exec(database, ("PRAGMA user_version = " + std::to_string(newest_schema() + 1)).c_str(),
               nullptr, nullptr, nullptr);
  sqlite3_close(database);
  EXPECT_EQ(refusal(), "open " + file().string() + ": it was written by a newer Sluice (schema " +
                           std::to_string(newest_schema() + 1) + ", this program knows " +
                           std::to_string(newest_schema()) +
                           ") (install that version again, or choose another --state-dir)");
}

// Runs SQL on the file, as no daemon has it open.
void run_sql(const fs::path& file, const std::string& sql) {
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
}

// Takes away what later schemas have brought.
constexpr const char* to_schema_8 =
    "DROP TABLE events; DROP TABLE drained_nodes;"
    "ALTER TABLE members DROP COLUMN max_connections; ALTER TABLE pools DROP COLUMN "
    "slow_start_seconds;"
    "ALTER TABLE pools DROP COLUMN mixed_versions;"
    "ALTER TABLE listeners DROP COLUMN on_idle;"
    "ALTER TABLE listeners DROP COLUMN connect_timeout_set;"
    "ALTER TABLE listeners DROP COLUMN protocol_port_range;"
    "ALTER TABLE listeners DROP COLUMN udp_scheduling;"
    "ALTER TABLE listeners DROP COLUMN records;"
    "ALTER TABLE health_monitors DROP COLUMN check_name;"
    "ALTER TABLE health_monitors DROP COLUMN probe_vip;"
    "ALTER TABLE load_balancers DROP COLUMN announce;"
    "ALTER TABLE load_balancers DROP COLUMN snat_addresses;"
    "ALTER TABLE listeners DROP COLUMN syn_authentication; PRAGMA user_version = 8";

TEST_F(StoreTest, WhatIsMigratedIsKeptAsItWas) {
  auto model = full_model();
  const auto load_balancers = model.load_balancers;
  for (const auto& [id, object] : load_balancers) {
    model.load_balancers.change(id)->snat_addresses.clear();  // schema 8 has no place for them
  }
  const auto members = model.members;
  for (auto [id, member] : members) {
    member.max_connections.reset();  // schema 8 has no place for it
    model.members.put(std::move(member));
  }
  const auto listeners = model.listeners;
  for (auto [id, listener] : listeners) {
    listener.on_idle = model::IdleEnd::forget;
    listener.connect_timeout_set = false;
    listener.udp_scheduling = model::UdpScheduling::session;
    listener.records = true;
    listener.protocol_port_range.reset();
    model.listeners.put(std::move(listener));
  }
  const auto balancers = model.load_balancers;
  for (auto [id, balancer] : balancers) {
    balancer.announce = model::Announce::always;
    model.load_balancers.put(std::move(balancer));
  }
  const auto pools = model.pools;
  for (auto [id, pool] : pools) {
    pool.slow_start_seconds.reset();
    pool.mixed_versions = false;
    model.pools.put(std::move(pool));
  }
  const auto monitors = model.health_monitors;
  for (const auto& [id, object] : monitors) model.health_monitors.change(id)->probe_vip = false;
  {
    auto store = opened();
    ASSERT_TRUE(save(store, {}, model));
  }
  const auto copy = [&](int schema) { return file().string() + ".v" + std::to_string(schema); };
  { const auto again = opened(); }
  EXPECT_FALSE(fs::exists(copy(newest_schema()))) << "nothing was migrated";
  run_sql(file(), to_schema_8);
  EXPECT_EQ(opened().load()->model, model);
  ASSERT_TRUE(fs::exists(copy(8)));
  EXPECT_EQ(fs::status(copy(8)).permissions(), fs::perms(0640));
  EXPECT_FALSE(fs::exists(copy(8) + ".new"));

  // The older version gets its file back, and finds all that was there.
  fs::rename(copy(8), file());
  run_sql(file(), "SELECT count(*) FROM load_balancers");
  EXPECT_EQ(opened().load()->model, model);
}

TEST_F(StoreTest, AFileThatCannotBeKeptIsNotMigrated) {
  { const auto store = opened(); }
  run_sql(file(), to_schema_8);
  fs::create_directories(file().string() + ".v8.new");  // as a full disk would be: for root, too
  EXPECT_EQ(refusal(), "open " + file().string() + ": keep a copy as " + file().string() +
                           ".v8: open it: Is a directory (is the directory writable for this user, "
                           "and is there room on the disk?)");
  fs::remove(file().string() + ".v8.new");
  EXPECT_EQ(refusal(), "opened");
}

TEST_F(StoreTest, ARefusedNewerFileNamesTheCopyThatItsMigrationLeft) {
  { const auto store = opened(); }
  const auto copy = file().string() + ".v" + std::to_string(newest_schema());
  fs::copy_file(file(), copy);
  run_sql(file(), "PRAGMA user_version = " + std::to_string(newest_schema() + 1));
  EXPECT_NE(refusal().find("put " + copy +
                           " in this file's place and start once with "
                           "--accept-older-state"),
            std::string::npos)
      << refusal();
}

TEST_F(StoreTest, ADirectoryThatCannotBeMadeIsNamed) {
  write_file("in the way");
  const auto store = SqliteStore::open(file() / "state");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().text(), "create state directory " + (file() / "state").string() +
                                      ": Not a directory (run as root or choose another "
                                      "--state-dir)");
}

TEST_F(StoreTest, AnUnfinishedFirstStartIsDoneAgain) {
  std::ofstream(directory / "sluice.db.new") << "half";
  EXPECT_EQ(refusal(), "opened");
}

// Saves states named 1, 2, 3 ... and acknowledges each one on the pipe when save() has returned.
[[noreturn]] void save_for_ever(const fs::path& directory, int acknowledge) {
  auto store = SqliteStore::open(directory);
  if (!store) ::_exit(1);
  auto current = full_model();
  if (!save(*store, {}, current)) ::_exit(1);
  for (int number = 1;; number++) {
    auto next = current;
    next.load_balancers.change(next.load_balancers.begin()->first)->name = std::to_string(number);
    if (!save(*store, current, next)) ::_exit(1);
    current = std::move(next);
    if (::write(acknowledge, &number, sizeof number) != sizeof number) ::_exit(1);
  }
}

TEST_F(StoreTest, WhatWasAcknowledgedSurvivesAKillAtAnyMoment) {
  for (int round = 0; round < 8; round++) {
    const auto state = directory / std::to_string(round);
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    const auto child = ::fork();
    if (child == 0) save_for_ever(state, pipe[1]);
    ::close(pipe[1]);

    int acknowledged = 0, number = 0;
    while (acknowledged < 3 + round && ::read(pipe[0], &number, sizeof number) == sizeof number) {
      acknowledged = number;
    }
    ::usleep(static_cast<useconds_t>(137 * round));  // somewhere in the next commit
    ::kill(child, SIGKILL);
    while (::read(pipe[0], &number, sizeof number) == sizeof number) acknowledged = number;
    ::close(pipe[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));

    auto store = SqliteStore::open(state);
    ASSERT_TRUE(store) << store.error().text();
    const auto contents = store->load();
    ASSERT_TRUE(contents) << contents.error().text();
    const auto& model = contents->model;
    ASSERT_EQ(model.load_balancers.size(), 1u);
    const auto found = std::stoi(model.load_balancers.begin()->second.name);
    EXPECT_GE(found, acknowledged);
    EXPECT_LE(found, acknowledged + 1);
    EXPECT_EQ(model.members.size(), 1u);
  }
}

// Every call that writes or syncs fails once, also in commits that are large enough for a
// checkpoint.
TEST_F(StoreTest, WhicheverWriteFailsACommitIsThereAsAWholeOrNotAtAllAndTheNextOneWorks) {
  test::FailingVfs disk;
  std::size_t failing = 1, refused = 0;
  for (bool all_passed = false; !all_passed; failing++) {
    SCOPED_TRACE("call " + std::to_string(failing) + " fails");
    const auto state = directory / std::to_string(failing);
    auto current = full_model();
    {
      auto store = SqliteStore::open(state);
      ASSERT_TRUE(store) << store.error().text();
      ASSERT_TRUE(save(*store, {}, current));
      disk.fail_at(failing);
      for (int number = 1; number <= 3; number++) {
        auto next = current;
        next.load_balancers.change(next.load_balancers.begin()->first)->name =
            std::to_string(number);
        next.load_balancers.change(next.load_balancers.begin()->first)->description =
            std::string(20'000, 'x');
        if (save(*store, current, next)) {
          current = next;
        } else {
          refused++;
        }
        EXPECT_EQ(model_in(*store), current) << "after change " << number;
      }
      all_passed = disk.calls() < failing;
      disk.fail_at(0);
    }
    auto store = SqliteStore::open(state);
    ASSERT_TRUE(store) << store.error().text();
    EXPECT_EQ(model_in(*store), current) << "opened again";
    auto next = current;
    next.members.clear();
    EXPECT_TRUE(save(*store, current, next));
  }
  EXPECT_GT(failing, 6U);
  EXPECT_GT(refused, 3U);
}

TEST_F(StoreTest, EveryCommitRaisesTheGenerationAndTheStoreStaysTheSame) {
  Position first;
  {
    auto store = opened();
    first = store.load().value().position;
    EXPECT_FALSE(first.store.is_nil());
    EXPECT_EQ(first.generation, 0U);
    EXPECT_EQ(store.commit({}).value(), 1U);
    Commit commit;
    commit.generation_at_least = 7;
    EXPECT_EQ(store.commit(commit).value(), 7U);
  }
  auto again = opened();
  EXPECT_EQ(again.load().value().position, (Position{first.store, 7}));
  EXPECT_EQ(again.commit({}).value(), 8U);
}

// What other nodes read of an object is all but what each finds out for itself.
template <typename T>
void expect_the_same_from_json(const model::Table<T>& table) {
  for (const auto& [id, object] : table) {
    auto read = from_json<T>(to_json(object));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->provisioning_status, T{}.provisioning_status);
    EXPECT_EQ(to_json(*read), to_json(object));
    read->provisioning_status = object.provisioning_status;
    read->provisioning_error = object.provisioning_error;
    if constexpr (std::same_as<T, model::LoadBalancer>) read->change_failed = object.change_failed;
    EXPECT_EQ(*read, object);
  }
}

TEST(ObjectJson, HasEveryAttribute) {
  const auto model = full_model();
  expect_the_same_from_json(model.load_balancers);
  expect_the_same_from_json(model.listeners);
  expect_the_same_from_json(model.pools);
  expect_the_same_from_json(model.members);
  expect_the_same_from_json(model.health_monitors);
  expect_the_same_from_json(model.floating_ips);
  EXPECT_EQ(quotas_from_json(quotas_to_json(model.quotas)), model.quotas);
  const model::DrainedNodes nodes{{"lb1", model::Timestamp(std::chrono::seconds(7))}};
  EXPECT_EQ(drained_nodes_from_json(drained_nodes_to_json(nodes)), nodes);
}

TEST(ObjectJson, KeepsWhatItDoesNotKnowAndRefusesWhatItCannotRead) {
  auto json = to_json(full_model().pools.begin()->second);
  json["of_a_newer_version"] = 1;
  const auto read = from_json<model::Pool>(json);
  ASSERT_TRUE(read);
  EXPECT_EQ(to_json(*read, json), json);
  json["lb_algorithm"] = "of a newer version";
  EXPECT_FALSE(from_json<model::Pool>(json));
  json["lb_algorithm"] = 7;
  EXPECT_FALSE(from_json<model::Pool>(json));
  json.erase("lb_algorithm");
  EXPECT_EQ(from_json<model::Pool>(json)->lb_algorithm, model::Pool{}.lb_algorithm);
}

TEST_F(StoreTest, ACopyHasThePositionOfItsOriginal) {
  const Position original{new_uuid(), 7};
  {
    auto store = opened();
    Commit commit;
    commit.copy_of = original;
    EXPECT_EQ(store.commit(commit).value(), 7U);
  }
  EXPECT_EQ(opened().load()->position, original);
  auto store = opened();
  EXPECT_EQ(store.commit({}).value(), 8U) << "whoever goes on alone counts from there";
  EXPECT_EQ(store.load()->position, (Position{original.store, 8}));
}

}  // namespace
}  // namespace sluice::store
