// Stores of earlier versions (version_N.sql) open with everything that was in them.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <sstream>

#include "store/sqlite_store.hpp"
#include "tests/support/commits.hpp"

namespace sluice::store {
namespace {

namespace fs = std::filesystem;

Uuid id(int number) {
  return parse_uuid("0000000" + std::to_string(number) + "-0000-4000-8000-000000000000").value();
}

class Migration : public testing::Test {
 protected:
  Migration() {
    auto name = (fs::temp_directory_path() / "sluice-migration-test-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~Migration() override { fs::remove_all(directory_); }

  SqliteStore written_by(int version) {
    std::ifstream file(fs::path(STORES_DIRECTORY) /
                       ("version_" + std::to_string(version) + ".sql"));
    std::stringstream sql;
    sql << file.rdbuf();
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open((directory_ / "sluice.db").c_str(), &database), SQLITE_OK);
    char* problem = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql.str().c_str(), nullptr, nullptr, &problem), SQLITE_OK)
        << problem;
    sqlite3_close(database);
    return opened();
  }
  SqliteStore opened() {
    auto store = SqliteStore::open(directory_);
    if (!store) throw std::runtime_error(store.error().text());
    return std::move(*store);
  }

  fs::path directory_;
};

TEST_F(Migration, AStoreOfSchema1KeepsEveryAttributeAndNewOnesHaveTheirDefaults) {
  auto store = written_by(1);
  const auto model = test::model_in(store);

  const auto& load_balancer = model.load_balancers.at(id(1));
  EXPECT_EQ(load_balancer.name, "lb_test_1");
  EXPECT_EQ(load_balancer.description, "the site");
  EXPECT_EQ(load_balancer.vip_address.to_string(), "10.0.0.16");
  EXPECT_EQ(load_balancer.vip_port_id, id(9));
  const auto& pool = model.pools.at(id(2));
  EXPECT_EQ(pool.forwarding_mode, model::ForwardingMode::dnat);
  EXPECT_FALSE(pool.session_persistence);
  EXPECT_EQ(pool.on_member_down, model::MemberDownMode::keep) << "as before the upgrade";
  const auto& listener = model.listeners.at(id(3));
  EXPECT_EQ(listener.default_pool_id, id(2));
  EXPECT_EQ(listener.connection_limit, 100);
  EXPECT_TRUE(listener.allowed_cidrs.empty());
  EXPECT_EQ(listener.new_connection_limit, -1);
  EXPECT_EQ(listener.on_no_member, model::RefusalMode::drop);
  const auto& member = model.members.at(id(4));
  EXPECT_EQ(member.provisioning_error, "map is full");
  EXPECT_EQ(member.weight, 7);
  EXPECT_EQ(member.monitor_port, 8080);
  EXPECT_EQ(member.tags, std::vector<std::string>{"blue"});
  EXPECT_EQ(model.health_monitors.at(id(5)).url_path, "/health");
  const auto& floating_ip = model.floating_ips.at(id(6));
  EXPECT_EQ(floating_ip.address.to_string(), "172.24.4.10");
  EXPECT_EQ(floating_ip.load_balancer_id, id(1));
  EXPECT_FALSE(floating_ip.network_id);
  EXPECT_EQ(test::health_in(store), (model::HealthTable{{id(4), model::Health::down}}));
}

TEST_F(Migration, AStoreOfSchema2KeepsEveryAttributeAndNewOnesHaveTheirDefaults) {
  const auto model = written_by(2).load().value().model;
  const auto& pool = model.pools.at(id(2));
  EXPECT_EQ(pool.session_persistence, model::SessionPersistence::source_ip);
  EXPECT_EQ(pool.persistence_timeout_seconds, 60U);
  EXPECT_EQ(pool.persistence_granularity->to_string(), "255.255.255.0");
  const auto& listener = model.listeners.at(id(3));
  EXPECT_EQ(listener.connection_limit, 100);
  ASSERT_EQ(listener.allowed_cidrs.size(), 2U);
  EXPECT_EQ(listener.allowed_cidrs[1].to_string(), "192.0.2.1/32");
  EXPECT_EQ(listener.new_connection_limit, -1);
  EXPECT_EQ(listener.on_no_member, model::RefusalMode::drop);
}

TEST_F(Migration, AStoreOfSchema3KeepsEveryAttributeAndNewOnesHaveTheirDefaults) {
  const auto model = written_by(3).load().value().model;
  const auto& listener = model.listeners.at(id(3));
  EXPECT_EQ(listener.new_connection_limit, 7);
  EXPECT_EQ(listener.on_no_member, model::RefusalMode::reset);
  EXPECT_EQ(model.load_balancers.at(id(1)).vip_address.to_string(), "10.0.0.16");
  EXPECT_TRUE(model.load_balancers.at(id(1)).additional_vips.empty());
  EXPECT_EQ(model.load_balancers.at(id(1)).on_unmatched, model::RefusalMode::drop);
}

TEST_F(Migration, AStoreOfSchema4KeepsEveryAttributeAndItsPoolsKeepConnections) {
  const auto model = written_by(4).load().value().model;
  const auto& load_balancer = model.load_balancers.at(id(1));
  ASSERT_EQ(load_balancer.additional_vips.size(), 2U);
  EXPECT_EQ(load_balancer.additional_vips[0].subnet_id, "private-subnet6");
  EXPECT_EQ(load_balancer.on_unmatched, model::RefusalMode::reset);
  EXPECT_EQ(load_balancer.announce, model::Announce::always);
  EXPECT_EQ(model.pools.at(id(2)).on_member_down, model::MemberDownMode::keep);
}

TEST_F(Migration, AStoreOfSchema5KeepsEveryAttributeAndNewOnesHaveTheirDefaults) {
  const auto model = written_by(5).load().value().model;
  const auto& load_balancer = model.load_balancers.at(id(1));
  EXPECT_EQ(load_balancer.provider, "sluice");
  EXPECT_FALSE(load_balancer.change_failed) << "nobody knows: changes are taken";
  EXPECT_EQ(model.pools.at(id(2)).on_member_down, model::MemberDownMode::reset);
  EXPECT_EQ(model.members.at(id(4)).address.to_string(), "10.0.0.4");
  EXPECT_EQ(model.members.at(id(4)).typed_address, "");
  EXPECT_TRUE(model.quotas.empty());
  const auto& listener = model.listeners.at(id(3));
  EXPECT_FALSE(listener.idle_timeout_seconds);
  EXPECT_EQ(listener.on_idle, model::IdleEnd::forget);
  EXPECT_FALSE(listener.protocol_port_range);
  EXPECT_EQ(listener.udp_scheduling, model::UdpScheduling::session);
  EXPECT_TRUE(listener.records);
  EXPECT_EQ(listener.syn_authentication, model::SynAuthentication::off) << "as before the upgrade";
  EXPECT_FALSE(model.pools.at(id(2)).drain_timeout_seconds);
  EXPECT_FALSE(model.pools.at(id(2)).slow_start_seconds);
  EXPECT_FALSE(model.pools.at(id(2)).mixed_versions);
  EXPECT_FALSE(model.health_monitors.at(id(5)).probe_vip) << "an upgrade turns no member down";
  EXPECT_FALSE(model.members.at(id(4)).drain_until);
  EXPECT_FALSE(model.members.at(id(4)).max_connections);
  EXPECT_FALSE(listener.connect_timeout_set);
  EXPECT_FALSE(listener.data_timeouts_count) << "they had no effect, and have none by an upgrade";
}

TEST_F(Migration, AMigratedStoreTakesWhatTheOldOneCouldNot) {
  const auto before = [&] {
    auto store = written_by(1);
    const auto model = test::model_in(store);
    auto after = model;
    after.floating_ips.change(id(6))->load_balancer_id.reset();
    after.listeners.change(id(3))->allowed_cidrs = {parse_ip_network("10.0.0.0/8").value()};
    EXPECT_TRUE(test::save(store, model, after));
    return after;
  }();
  EXPECT_EQ(opened().load().value().model, before);
}

}  // namespace
}  // namespace sluice::store
