// Load balancers that are PENDING_* refuse changes until applying is over; a test's hook makes it
// last.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Busy : public ApiTest {
 protected:
  Busy() {
    controller().set_hook([this] { return hook_; });
  }

  control::Hook hook_ = control::Hook::none;
  const std::string load_balancer_ = create_load_balancer();
  const std::string listener_ = create_listener(load_balancer_);
  const std::string pool_ = create_pool(listener_);
  const std::string member_ = create_member(pool_);
  const std::string url_ = "/v2/lbaas/loadbalancers/" + load_balancer_;
  const std::string member_url_ = "/v2/lbaas/pools/" + pool_ + "/members/" + member_;

  std::string provisioning_status(const std::string& url, const std::string& wrapper) {
    return text(get(url)[wrapper].at("provisioning_status"));
  }
  std::string refusal(const Answer& answer) {
    return answer.status == 204 || answer.json.as_object().contains("faultstring") == false
               ? "accepted"
               : std::to_string(answer.status) + " " + answer.fault();
  }
};

TEST_F(Busy, every_change_of_a_busy_load_balancer_is_a_conflict) {
  hook_ = control::Hook::hold;
  ASSERT_EQ(put(member_url_, R"({"member": {"weight": 2}})").status, 200);
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "PENDING_UPDATE");
  EXPECT_EQ(provisioning_status(member_url_, "member"), "PENDING_UPDATE");

  const auto immutable =
      "409 Load Balancer " + load_balancer_ + " is immutable and cannot be updated.";
  const auto pending =
      "409 Invalid state PENDING_UPDATE of loadbalancer resource " + load_balancer_;
  EXPECT_EQ(refusal(put(member_url_, R"({"member": {"weight": 3}})")), immutable);
  EXPECT_EQ(refusal(del(member_url_)), immutable);
  EXPECT_EQ(refusal(del("/v2/lbaas/listeners/" + listener_)), immutable);
  EXPECT_EQ(refusal(put("/v2/lbaas/pools/" + pool_ + "/members", R"({"members": []})")), immutable);
  EXPECT_EQ(refusal(put(url_, R"({"loadbalancer": {"name": "x"}})")), pending);
  EXPECT_EQ(refusal(put(url_ + "/failover", "")), pending);
  EXPECT_EQ(refusal(del(url_ + "?cascade=true")), pending);
  EXPECT_EQ(refusal(del(url_)), "400 Validation failure: Cannot delete Load Balancer " +
                                    load_balancer_ + " - it has children");
  EXPECT_EQ(get(url_).status, 200);
}

TEST_F(Busy, others_are_not_disturbed) {
  hook_ = control::Hook::hold;
  put(member_url_, R"({"member": {"weight": 2}})");
  EXPECT_FALSE(create_load_balancer("10.0.0.17", "other").empty());
}

TEST_F(Busy, when_applying_is_over_changes_are_taken_again) {
  hook_ = control::Hook::hold;
  put(member_url_, R"({"member": {"admin_state_up": false}})");
  const auto before = data_plane_.state;
  EXPECT_TRUE(controller().repair_drift());
  EXPECT_EQ(data_plane_.state, before) << "the hook holds repairs back too";
  hook_ = control::Hook::none;
  EXPECT_TRUE(controller().repair_drift());
  EXPECT_NE(data_plane_.state, before);
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ACTIVE");
  EXPECT_EQ(put(member_url_, R"({"member": {"weight": 3}})").status, 200);
}

TEST_F(Busy, after_a_change_that_failed_only_failover_and_deletion_are_taken) {
  hook_ = control::Hook::fail;
  put(member_url_, R"({"member": {"weight": 2}})");
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ERROR");
  EXPECT_EQ(provisioning_status(member_url_, "member"), "ERROR");
  hook_ = control::Hook::none;
  const auto immutable =
      "409 Load Balancer " + load_balancer_ + " is immutable and cannot be updated.";
  EXPECT_EQ(refusal(put(member_url_, R"({"member": {"weight": 3}})")), immutable);
  EXPECT_EQ(refusal(del(member_url_)), immutable);
  EXPECT_EQ(refusal(put("/v2/lbaas/pools/" + pool_ + "/members", R"({"members": []})")), immutable);
  EXPECT_EQ(refusal(put(url_, R"({"loadbalancer": {"name": "x"}})")),
            "409 Invalid state ERROR of loadbalancer resource " + load_balancer_);
  EXPECT_EQ(put(url_ + "/failover", "").status, 202U);
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ACTIVE");
  EXPECT_EQ(provisioning_status(member_url_, "member"), "ACTIVE");
  EXPECT_EQ(put(member_url_, R"({"member": {"weight": 3}})").status, 200U);
}

TEST_F(Busy, a_failover_is_accepted_at_once_and_over_when_the_program_is_loaded) {
  std::string told;
  controller().on_event([&](const std::string& line) { told = line; });
  data_plane_.hold_reloads = true;
  const auto answer = put(url_ + "/failover", "");
  EXPECT_EQ(answer.status, 202U);
  EXPECT_EQ(answer.response.body, "");
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "PENDING_UPDATE");
  EXPECT_EQ(refusal(put(member_url_, R"({"member": {"weight": 3}})")),
            "409 Load Balancer " + load_balancer_ + " is immutable and cannot be updated.");
  ASSERT_EQ(data_plane_.held_reloads.size(), 1U);
  data_plane_.held_reloads.front()(data_plane_.reload());
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ACTIVE");
  EXPECT_EQ(told, "data plane reloaded: program 1 replaced by 2 (eth0)");
  EXPECT_EQ(put(member_url_, R"({"member": {"weight": 3}})").status, 200U);
}

TEST_F(Busy, a_load_balancer_whose_change_failed_can_be_deleted) {
  hook_ = control::Hook::fail;
  put(member_url_, R"({"member": {"weight": 2}})");
  hook_ = control::Hook::none;
  EXPECT_EQ(del(url_ + "?cascade=true").status, 204U);
  EXPECT_EQ(get(url_).status, 404U);
}

TEST_F(Busy, a_failure_is_over_when_the_data_plane_takes_the_change_after_all) {
  hook_ = control::Hook::fail;
  put(member_url_, R"({"member": {"weight": 2}})");
  hook_ = control::Hook::none;
  EXPECT_TRUE(controller().repair_drift());
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ACTIVE");
  EXPECT_EQ(put(member_url_, R"({"member": {"weight": 3}})").status, 200U);
}

TEST_F(Busy, where_only_the_nodes_data_plane_is_ill_changes_go_on) {
  data_plane_.read_error = Error{ErrorKind::system, "maps: no such file", "", 2};
  put(member_url_, R"({"member": {"admin_state_up": false}})");
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ERROR");
  EXPECT_EQ(put(member_url_, R"({"member": {"admin_state_up": true}})").status, 200U)
      << "or nobody could mend it";
  data_plane_.read_error.reset();
  EXPECT_EQ(put(member_url_, R"({"member": {"admin_state_up": false}})").status, 200U);
  EXPECT_EQ(provisioning_status(url_, "loadbalancer"), "ACTIVE");
}

}  // namespace
}  // namespace sluice::api
