// Several changes as one.
#include <fmt/format.h>

#include <deque>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

const std::string walkthrough = R"(
  {"method": "POST", "path": "/v2/lbaas/loadbalancers",
   "body": {"loadbalancer": {"name": "lb", "vip_address": "10.0.0.16"}}},
  {"method": "POST", "path": "/v2/lbaas/pools",
   "body": {"pool": {"name": "web", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                     "loadbalancer_id": "$0"}}},
  {"method": "POST", "path": "/v2/lbaas/pools/$1/members",
   "body": {"member": {"address": "10.0.0.4", "protocol_port": 80}}},
  {"method": "POST", "path": "/v2/lbaas/listeners",
   "body": {"listener": {"name": "$9", "protocol": "TCP", "protocol_port": 80,
                         "loadbalancer_id": "$0", "default_pool_id": "$1"}}})";

class BatchTest : public ApiTest {
 protected:
  Answer batch(const std::string& requests, bool dry_run = false) {
    return post("/v1/batch", std::string(R"({"dry_run": )") + (dry_run ? "true" : "false") +
                                 R"(, "requests": [)" + requests + "]}");
  }
};

TEST_F(BatchTest, objects_refer_to_those_made_before_them) {
  const auto answer = batch(walkthrough);
  ASSERT_EQ(answer.status, 200U) << answer.response.body;
  const auto& answers = answer.json.at("answers").as_array();
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(text(answers[0].at("status")), "201");
  const auto listener = get("/v2/lbaas/listeners/" + text(answers[3].at("id")));
  EXPECT_EQ(text(listener["listener"].at("default_pool_id")), text(answers[1].at("id")));
  EXPECT_EQ(text(listener["listener"].at("provisioning_status")), "ACTIVE");
  EXPECT_EQ(text(listener["listener"].at("name")), "$9") << "no request has this number";
  EXPECT_EQ(data_plane_.state.members.size(), 1U);
}

TEST_F(BatchTest, other_attributes_than_the_id_can_be_referred_to) {
  const auto answer =
      batch(walkthrough + R"(, {"method": "POST", "path": "/v2.0/floatingips", "body": {
      "floatingip": {"floating_ip_address": "172.24.4.10", "port_id": "$0.vip_port_id"}}})");
  ASSERT_EQ(answer.status, 200U) << answer.response.body;
  EXPECT_TRUE(data_plane_.state.vips.contains(*parse_ip_address("172.24.4.10")));
}

TEST_F(BatchTest, one_bad_request_undoes_all_and_is_named) {
  const auto answer = batch(walkthrough + R"(, {"method": "POST", "path":
      "/v2/lbaas/pools/$1/members", "body": {"member": {"address": "10.0.0.5",
      "protocol_port": 80, "weight": 257}}})");
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(text(answer.json.at("request")), "4");
  EXPECT_NE(answer.fault().find("weight. Value: '257'"), std::string::npos) << answer.fault();
  EXPECT_TRUE(controller().model().load_balancers.empty());
  EXPECT_TRUE(data_plane_.operations.empty());
}

TEST_F(BatchTest, a_rehearsal_changes_nothing) {
  const auto answer = batch(walkthrough, true);
  EXPECT_EQ(answer.status, 200U) << answer.response.body;
  EXPECT_TRUE(controller().model().load_balancers.empty());
  EXPECT_TRUE(data_plane_.operations.empty());
}

TEST_F(BatchTest, deletions_are_part_of_it) {
  const auto lb = create_load_balancer("10.0.0.16", "old");
  const auto answer = batch(R"({"method": "DELETE", "path": "/v2/lbaas/loadbalancers/)" + lb +
                            R"("}, {"method": "POST", "path": "/v2/lbaas/loadbalancers", "body":
                            {"loadbalancer": {"name": "new", "vip_address": "10.0.0.16"}}})");
  ASSERT_EQ(answer.status, 200U) << "the VIP is free again: " << answer.response.body;
  ASSERT_EQ(controller().model().load_balancers.size(), 1U);
  EXPECT_EQ(controller().model().load_balancers.begin()->second.name, "new");
}

TEST_F(BatchTest, what_is_no_batch_is_400) {
  for (const auto* bad : {"", "[]", "{}", R"({"requests": 1})", R"({"requests": [1]})",
                          R"({"requests": [{"method": "GET", "path": "/v2/lbaas/pools"}]})",
                          R"({"requests": [{"method": "POST", "path": "/v1/batch"}]})",
                          R"({"requests": [{"method": "POST", "path": "/v2", "extra": 1}]})"}) {
    EXPECT_EQ(post("/v1/batch", bad).status, 400U) << bad;
  }
}

TEST_F(BatchTest, a_path_that_is_not_there_is_404_with_its_number) {
  const auto answer = batch(R"({"method": "POST", "path": "/v2/nowhere", "body": {}})");
  EXPECT_EQ(answer.status, 404U);
  EXPECT_EQ(text(answer.json.at("request")), "0");
}

// Each part of what takes long has a turn of its own.
class TurnsTest : public BatchTest {
 protected:
  TurnsTest() {
    controller().work_in_slices([this](auto turn) { turns_.push_back(std::move(turn)); },
                                std::chrono::nanoseconds(0));
  }

  // Sends a request whose answer comes later.
  void begin(Request request) {
    answer_.reset();
    const Context context{controller(), "0123456789abcdef0123456789abcdef", events_, {}, holders_};
    api::answer(context, request, [&](const Response& response) { answer_ = response; });
  }
  void run_one() {
    ASSERT_FALSE(turns_.empty());
    const auto turn = std::move(turns_.front());
    turns_.pop_front();
    turn();
  }
  // Returns the answer, and how many turns it took.
  std::pair<boost::json::value, int> finish() {
    int turns = 0;
    for (; !turns_.empty(); ++turns) run_one();
    if (!answer_ || answer_->status != 200) {
      ADD_FAILURE() << (answer_ ? answer_->body : "there is no answer");
      return {};
    }
    return {boost::json::parse(answer_->body), turns};
  }

  std::deque<std::function<void()>> turns_;
  std::optional<Response> answer_;
};

TEST_F(TurnsTest, a_batch_gives_way_after_each_request_and_nobody_sees_a_part_of_it) {
  begin({"POST", "/v1/batch", R"({"requests": [)" + walkthrough + "]}"});
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(answer_);
    EXPECT_TRUE(controller().model().load_balancers.empty());
    run_one();
  }
  const auto [answer, turns] = finish();
  EXPECT_GT(turns, 5) << "requests, events, operations, statuses";
  EXPECT_EQ(answer.at("answers").as_array().size(), 4U);
  EXPECT_EQ(data_plane_.state.members.size(), 1U);
  EXPECT_EQ(events_.find({.limit = 100}).size(), 4U) << "one for each object";
  begin({"POST", "/v1/batch",
         R"({"requests": [{"method": "DELETE", "path":
      "/v2/lbaas/loadbalancers/no"}, )" +
             walkthrough + "]}"});
  for (; !turns_.empty();) run_one();
  EXPECT_EQ(answer_->status, 404U) << "the first refusal ends it";
}

TEST_F(TurnsTest, a_long_list_shows_what_there_was_when_it_began) {
  std::string requests;
  for (int i = 1; i <= 100; ++i) {
    requests += fmt::format(R"({}{{"method": "POST", "path": "/v2/lbaas/loadbalancers",
        "body": {{"loadbalancer": {{"vip_address": "10.0.0.{}"}}}}}})",
                            i == 1 ? "" : ",", i);
  }
  begin({"POST", "/v1/batch", R"({"requests": [)" + requests + "]}"});
  const auto made = finish().first.at("answers").at(0).at("id");
  begin({"GET", "/v2/lbaas/loadbalancers", ""});
  EXPECT_FALSE(answer_);
  run_one();
  controller().submit(
      [&] {
        return controller().change([&](model::Model& model) -> Result<void> {
          model.load_balancers.erase(*parse_uuid(text(made)));
          return {};
        });
      },
      [](const Result<void>&) {});
  const auto [list, turns] = finish();
  EXPECT_EQ(list.at("loadbalancers").as_array().size(), 100U);
  EXPECT_GE(turns, 3);
  EXPECT_EQ(controller().model().load_balancers.size(), 99U);
}

}  // namespace
}  // namespace sluice::api
