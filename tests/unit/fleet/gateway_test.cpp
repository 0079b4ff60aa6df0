// The words of etcd's JSON gateway: what is zero, false or empty is left out, numbers are strings.
#include "fleet/gateway.hpp"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

#include "fleet/etcd_client.hpp"
#include "fleet/roster.hpp"

namespace sluice::fleet {
namespace {

namespace json = boost::json;

TEST(Gateway, ATransactionComparesAValue) {
  const auto request = gateway::transaction({.key = "/a",
                                             .expected = "1",
                                             .puts = {{"/a", "2", 7}},
                                             .removals = {"/b"},
                                             .read_otherwise = {"/c"}});
  EXPECT_EQ(request.path, "/v3/kv/txn");
  EXPECT_EQ(json::parse(request.body), json::parse(R"({
    "compare": [{"key": "L2E=", "target": "VALUE", "result": "EQUAL", "value": "MQ=="}],
    "success": [{"request_delete_range": {"key": "L2I="}},
                {"request_put": {"key": "L2E=", "value": "Mg==", "lease": "7"}}],
    "failure": [{"request_range": {"key": "L2M="}}]})"));
}

TEST(Gateway, AKeyThatIsNotThereHasVersionZero) {
  const auto request = gateway::transaction(
      {.key = "/a", .expected = {}, .puts = {}, .removals = {}, .read_otherwise = {}});
  EXPECT_EQ(json::parse(request.body).at("compare").at(0).at("version"), "0");
}

TEST(Gateway, WhatIsLeftOutIsZero) {
  const auto stale = gateway::to_transaction_reply(
      R"({"header":{"cluster_id":"14841639068965178418","revision":"9"},
          "responses":[{"response_range":{"kvs":[{"key":"L2E=","mod_revision":"8"}]}}]})");
  ASSERT_TRUE(stale);
  EXPECT_FALSE(stale->happened);
  EXPECT_EQ(stale->header.cluster, 14841639068965178418U);
  ASSERT_EQ(stale->read.size(), 1U);
  EXPECT_EQ(stale->read[0].value, "");
  EXPECT_EQ(stale->read[0].modified, 8);
  EXPECT_TRUE(
      gateway::to_reading(R"({"header":{"cluster_id":"1","revision":"1"}})")->found.empty());
  EXPECT_FALSE(*gateway::to_renewal(R"({"result":{"header":{},"ID":"7"}})")) << "the lease is gone";
}

TEST(Gateway, AnAnswerThatIsNoneIsOfUnknownFate) {
  for (const auto* body : {"", "{", "[]", "{}", "<html>"}) {
    const auto answer = gateway::to_transaction_reply(body);
    ASSERT_FALSE(answer) << body;
    EXPECT_TRUE(answer.error().perhaps_it_happened);
  }
  EXPECT_TRUE(gateway::to_failure(502, "<html>").perhaps_it_happened);
  EXPECT_TRUE(gateway::to_failure(500, R"({"error":"etcdserver: request timed out","code":14})")
                  .perhaps_it_happened);
}

TEST(Gateway, ARefusalIsOne) {
  const auto many = gateway::to_failure(
      400, R"({"error":"etcdserver: too many operations in txn request","code":3})");
  EXPECT_TRUE(many.refused);
  EXPECT_FALSE(many.perhaps_it_happened);
  const auto full =
      gateway::to_failure(429, R"({"error":"etcdserver: mvcc: database space exceeded","code":8})");
  EXPECT_TRUE(full.refused);
  EXPECT_NE(full.text.find("etcd is full (NOSPACE)"), std::string::npos);
}

TEST(Gateway, ARevisionThatIsCompactedIsOne) {
  const auto compacted = gateway::to_failure(
      400, R"({"error":"etcdserver: mvcc: required revision has been compacted","code":11})");
  EXPECT_TRUE(gateway::is_compacted(compacted));
  EXPECT_FALSE(gateway::is_compacted(gateway::to_failure(
      400, R"({"error":"etcdserver: mvcc: required revision is a future revision","code":11})")));
  const auto asked = gateway::past_reading("/a", 7);
  EXPECT_NE(asked.body.find(R"("revision":"7")"), std::string::npos);
}

TEST(Gateway, AWatchTellsChangesAndItsEnd) {
  const auto changes = gateway::to_watch_line(
      R"({"result":{"header":{"cluster_id":"1","revision":"5"},"events":[
          {"kv":{"key":"L2E=","value":"MQ==","mod_revision":"5"}},
          {"type":"DELETE","kv":{"key":"L2I=","mod_revision":"5"}}]}})");
  ASSERT_EQ(changes.changes.size(), 2U);
  EXPECT_EQ(changes.changes[0].entry.value, "1");
  EXPECT_FALSE(changes.changes[0].removed);
  EXPECT_TRUE(changes.changes[1].removed);
  const auto compacted =
      gateway::to_watch_line(R"({"result":{"canceled":true,"compact_revision":"7"}})");
  ASSERT_TRUE(compacted.end);
  EXPECT_TRUE(compacted.end->compacted);
  EXPECT_FALSE(
      gateway::to_watch_line(R"({"result":{"canceled":true,"cancel_reason":"x"}})").end->compacted);
  EXPECT_TRUE(gateway::to_watch_line("what?").end);
}

TEST(EtcdMembers, AreAddressesWithoutAPath) {
  EXPECT_EQ(parse_members("https://a:2379,http://[::1]:2379/").value(),
            (std::vector<std::string>{"https://a:2379", "http://[::1]:2379"}));
  for (const auto* wrong : {"", "a:2379", "https://a,", "ftp://a", "https://a/v3"})
    EXPECT_FALSE(parse_members(wrong)) << wrong;
}

TEST(Roster, IgnoresWhatIsOlderThanItsReading) {
  const Keys keys;
  const NodeEntry entry{.name = "lb1",
                        .instance = "i",
                        .version = "1",
                        .applied = 3,
                        .errors = {{new_uuid(), "full"}},
                        .errors_count = 1,
                        .announcing = {"DRAINED", "the node is drained", 2, 1}};
  EXPECT_EQ(NodeEntry::parse(entry.text()), entry);
  Roster roster(keys);
  const KeyValue key{keys.nodes() + "lb1", entry.text(), 5};
  roster.reset(6, {key});
  roster.follow({{{key.key, "", 4}, true}});
  EXPECT_EQ(roster.nodes().size(), 1U);
  EXPECT_TRUE(roster.have_applied(3, "lb2"));
  EXPECT_FALSE(roster.have_applied(4, "lb2"));
  EXPECT_TRUE(roster.have_applied(4, "lb1")) << "it asks for the others";
  EXPECT_EQ(roster.error_of(entry.errors.begin()->first, "lb2"), "lb1: full");
  roster.follow({{{key.key, "", 7}, true}});
  EXPECT_TRUE(roster.nodes().empty());
  EXPECT_EQ(NodeEntry::parse("{}")->announcing.state, "") << "an older version tells nothing";
}

TEST(Roster, KnowsWhoIsGone) {
  const Keys keys;
  const auto entry = NodeEntry().text();
  Roster roster(keys);
  roster.reset(1, {{keys.known_nodes() + "lb1", "{}", 1},
                   {keys.known_nodes() + "lb2", "{}", 1},
                   {keys.nodes() + "lb1", entry, 1}});
  EXPECT_EQ(roster.gone(), std::vector<std::string>{"lb2"});
  roster.follow(
      {{{keys.nodes() + "lb1", "", 2}, true}, {{keys.known_nodes() + "lb2", "", 2}, true}});
  EXPECT_EQ(roster.gone(), std::vector<std::string>{"lb1"});
}

}  // namespace
}  // namespace sluice::fleet
