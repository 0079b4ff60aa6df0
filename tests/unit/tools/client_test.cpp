#include "sluicectl/transport/client.hpp"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "fake_transport.hpp"

namespace sluice::ctl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto id_a = "11111111-1111-4111-8111-111111111111";
constexpr auto id_b = "22222222-2222-4222-8222-222222222222";

class ClientTest : public testing::Test {
 protected:
  Result<std::string> resolve(const std::string& name) {
    const auto& pools = pool_resource();
    return client.resolve(pools, pools.path, name, "loadbalancer pool list");
  }
  static std::string pools(std::vector<std::string> ids) {
    std::string items;
    for (const auto& id : ids) items += (items.empty() ? "" : ",") + (R"({"id":")" + id + "\"}");
    return R"({"pools":[)" + items + "]}";
  }

  Exchange exchange;
  FakeTransport transport{exchange};
  std::chrono::milliseconds slept{0};
  Client client{transport, [this](std::chrono::milliseconds time) { slept += time; }};
};

TEST_F(ClientTest, ANameIsLookedUpByNameOnly) {
  exchange.answer(200, pools({id_a}));
  EXPECT_EQ(resolve("80_pool"), id_a);
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v2.0/lbaas/pools?name=80_pool"));
}

TEST_F(ClientTest, NamesAreEscapedInTheQuery) {
  exchange.answer(200, pools({id_a}));
  EXPECT_EQ(resolve("a b&id=ü"), id_a);
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v2.0/lbaas/pools?name=a%20b%26id%3D%C3%BC"));
}

TEST_F(ClientTest, WhatLooksLikeAnIdIsOneBeforeItIsAName) {
  exchange.answer(200, pools({})).answer(200, pools({id_b}));
  EXPECT_EQ(resolve(id_a), id_b);
  EXPECT_THAT(exchange.lines(), ElementsAre("GET /v2.0/lbaas/pools?id=" + std::string(id_a),
                                            "GET /v2.0/lbaas/pools?name=" + std::string(id_a)));
}

TEST_F(ClientTest, AnUnknownNameSaysWhereToLook) {
  exchange.answer(200, pools({}));
  const auto error = resolve("x").error();
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_EQ(error.text(), "no pool is named 'x' (see 'sluicectl loadbalancer pool list')");
}

TEST_F(ClientTest, AnAmbiguousNameListsTheIds) {
  exchange.answer(200, pools({id_a, id_b}));
  EXPECT_EQ(resolve("x").error().text(),
            "2 pools are named 'x' (use an id: " + std::string(id_a) + ", " + id_b + ")");
}

TEST_F(ClientTest, AListFollowsItsPages) {
  exchange
      .answer(200, R"({"pools":[{"id":"1"}],"pools_links":[
          {"rel":"previous","href":"http://h/x"},{"rel":"next","href":"http://h/v2.0/lbaas/pools?marker=1"}]})")
      .answer(200, R"({"pools":[{"id":"2"}],"pools_links":[]})");
  EXPECT_EQ(client.list("/v2.0/lbaas/pools", "pools")->size(), 2u);
  EXPECT_THAT(exchange.lines(),
              ElementsAre("GET /v2.0/lbaas/pools", "GET /v2.0/lbaas/pools?marker=1"));
}

TEST_F(ClientTest, PagesThatLeadInACircleEnd) {
  const auto page = R"({"pools":[],"pools_links":[{"rel":"next","href":"/v2.0/lbaas/pools"}]})";
  exchange.answer(200, page);
  EXPECT_TRUE(client.list("/v2.0/lbaas/pools", "pools").has_value());
  EXPECT_EQ(exchange.requests.size(), 1u);
}

TEST_F(ClientTest, FaultsSpeakInTheServersWordsWithTheStatus) {
  exchange.answer(409, R"({"faultcode":"Client","faultstring":"Busy.","debuginfo":null})")
      .answer(404, R"({"code":404,"title":"Not Found","description":"No such path."})")
      .answer(400, R"({"NeutronError":{"message":"Bad port.","type":"X"}})")
      .answer(500, "<html>")
      .answer(501, R"({"faultstring":"Not here."})");
  const auto fault = [&] { return client.request("GET", "/x").error(); };
  EXPECT_EQ(fault().text(), "Busy. (HTTP 409)");
  const auto missing = fault();
  EXPECT_EQ(missing.kind, ErrorKind::not_found);
  EXPECT_EQ(missing.text(), "No such path. (HTTP 404)");
  EXPECT_EQ(fault().text(), "Bad port. (HTTP 400)");
  EXPECT_EQ(fault().text(), "the server gave no reason (HTTP 500, request req-7)");
  EXPECT_EQ(fault().text(), "Not here. (HTTP 501)");
}

TEST_F(ClientTest, AnAnswerThatIsNoneOfTheApisIsAnError) {
  exchange.answer(200, "hello").answer(200, R"({"pool":[]})").answer(200, R"({"pools":{}})");
  EXPECT_THAT(client.request("GET", "/x").error().text(), HasSubstr("is not JSON"));
  EXPECT_THAT(client.fetch("/x", "pool").error().text(), HasSubstr("has no 'pool'"));
  EXPECT_THAT(client.list("/x", "pools").error().text(), HasSubstr("has no 'pools'"));
}

TEST_F(ClientTest, WaitingEndsWithActive) {
  exchange.answer(200, R"({"pool":{"provisioning_status":"PENDING_CREATE"}})")
      .answer(200, R"({"pool":{"provisioning_status":"ACTIVE"}})");
  EXPECT_TRUE(client.wait_until_settled("/p", "pool").has_value());
  EXPECT_GT(slept.count(), 0);
}

TEST_F(ClientTest, WaitingEndsWithErrorAndItsReason) {
  exchange.answer(
      200, R"({"pool":{"provisioning_status":"ERROR","provisioning_error":"the map is full"}})");
  EXPECT_EQ(client.wait_until_settled("/p", "pool").error().text(),
            "provisioning ended in ERROR: the map is full");
}

TEST_F(ClientTest, WaitingHasAnEnd) {
  for (int i = 0; i < 200; ++i)
    exchange.answer(200, R"({"pool":{"provisioning_status":"PENDING_UPDATE"}})");
  EXPECT_THAT(client.wait_until_settled("/p", "pool").error().text(),
              HasSubstr("still PENDING_UPDATE after a minute"));
  EXPECT_GE(slept, std::chrono::minutes(1));
}

TEST_F(ClientTest, WaitingForADeletionEndsWhenTheObjectIsGone) {
  exchange.answer(200, R"({"pool":{"provisioning_status":"PENDING_DELETE"}})")
      .answer(404, R"({"faultstring":"Pool x not found."})");
  EXPECT_TRUE(client.wait_until_gone("/p", "pool").has_value());
}

// A client whose change is answered by nothing; the events say what became of it.
class LostAnswerTest : public ClientTest {
 protected:
  static std::string event(const std::string& kind) {
    return R"({"events":[{"kind":")" + kind + R"(","message":"POST /x -> 409 Taken"}],"last":9})";
  }
  std::string create() {
    const boost::json::object body;
    const auto answer = client.request("POST", "/v2/lbaas/pools", &body);
    return answer ? "no error" : answer.error().text();
  }
  std::string id() const { return exchange.requests.front().id; }
};

TEST_F(LostAnswerTest, AChangeThatWasMadeIsSaidSo) {
  exchange.answer(0, "no answer in time").answer(200, event("change"));
  const auto told = create();
  EXPECT_EQ(told,
            "the change was made, but its answer was lost: no answer in time ('sluicectl "
            "events --request " +
                id() + "' shows what was changed)");
  EXPECT_THAT(exchange.lines(),
              ElementsAre("POST /v2/lbaas/pools", "GET /v1/events?limit=1&request_id=" + id()));
}

TEST_F(LostAnswerTest, ARefusalIsToldInItsWords) {
  exchange.answer(0, "no answer in time").answer(200, event("refused"));
  EXPECT_EQ(create(),
            "the change was refused, and the answer was lost (no answer in time): POST /x -> 409 "
            "Taken (nothing was changed)");
}

TEST_F(LostAnswerTest, ItIsAskedForUntilSluicedIsBack) {
  exchange.answer(0, "the connection was closed before an answer came");
  exchange.answers.push_back(fail(ErrorKind::system, "no sluiced answers"));
  exchange.answer(200, R"({"events":[],"last":8})").answer(200, event("change"));
  EXPECT_THAT(create(), HasSubstr("the change was made"));
  EXPECT_EQ(slept, std::chrono::seconds(2));
}

TEST_F(LostAnswerTest, WhatNoEventTellsIsNotKnown) {
  exchange.answer(0, "no answer in time");
  for (int i = 0; i < 10; ++i) exchange.answer(200, R"({"events":[],"last":8})");
  EXPECT_THAT(create(), HasSubstr("whether the change was made is not known"));
}

TEST_F(LostAnswerTest, ABatchThatWasCarriedOutHasSucceeded) {
  exchange.answer(0, "no answer in time").answer(200, event("change"));
  EXPECT_TRUE(client.batch({}, false));
  exchange.answer(0, "no answer in time").answer(200, event("refused"));
  EXPECT_FALSE(client.batch({}, false));
}

TEST_F(LostAnswerTest, WhatLeavesNoEventIsAskedForWithoutAnId) {
  exchange.answer(200, "{}").answer(200, "{}").answer(200, "{}");
  EXPECT_TRUE(client.batch({}, true));
  const boost::json::object question;
  EXPECT_TRUE(client.request("POST", "/v1/explain", &question));
  EXPECT_TRUE(client.request("GET", "/v2/lbaas/pools"));
  for (const auto& request : exchange.requests) EXPECT_EQ(request.id, "") << request.target;
}

}  // namespace
}  // namespace sluice::ctl
