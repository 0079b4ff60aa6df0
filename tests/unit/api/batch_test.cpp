// PUT on a pool's members replaces them by the list that is sent.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class Batch : public ApiTest {
 protected:
  Answer send_batch(const std::string& members, const std::string& query = "") {
    return put(members_ + query, R"({"members": [)" + members + "]}");
  }
  static std::string entry(const std::string& address, const std::string& more = "") {
    return R"({"address": ")" + address + R"(", "protocol_port": 80)" + more + "}";
  }
  // "10.0.0.4=1 10.0.0.6=5": addresses and weights, by address.
  std::string there() {
    std::string shown;
    const auto answer = get(members_ + "?sort=address");
    for (const auto& member : answer.json.at("members").as_array()) {
      shown +=
          (shown.empty() ? "" : " ") + text(member.at("address")) + "=" + text(member.at("weight"));
    }
    return shown;
  }

  const std::string pool_ = create_pool(create_listener(create_load_balancer()));
  const std::string members_ = "/v2.0/lbaas/pools/" + pool_ + "/members";
};

TEST_F(Batch, makes_changes_and_removes_members_at_once) {
  create_member(pool_, "10.0.0.4");
  const auto kept = create_member(pool_, "10.0.0.6");
  const auto answer = send_batch(entry("10.0.0.6", R"(, "weight": 5)") + "," + entry("10.0.0.7"));
  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.response.body, "");
  EXPECT_EQ(there(), "10.0.0.6=5 10.0.0.7=1");
  EXPECT_EQ(get(members_ + "/" + kept).status, 200) << "it is the same member, with its id";
  EXPECT_EQ(data_plane_.state.members.size(), 2U);
}

TEST_F(Batch, what_an_entry_leaves_out_goes_back_to_its_default_but_the_name_stays) {
  const auto id = create_member(pool_, "10.0.0.4");
  put(members_ + "/" + id, R"({"member": {"weight": 9, "monitor_port": 8080, "backup": true}})");
  EXPECT_EQ(send_batch(entry("10.0.0.4")).status, 202);
  const auto answer = get(members_ + "/" + id);
  const auto& member = answer["member"];
  EXPECT_EQ(member.at("weight"), 1);
  EXPECT_TRUE(member.at("monitor_port").is_null());
  EXPECT_EQ(member.at("backup"), false);
  EXPECT_EQ(member.at("name"), "member_10.0.0.4");
}

TEST_F(Batch, additive_only_removes_nobody) {
  create_member(pool_, "10.0.0.4");
  EXPECT_EQ(send_batch(entry("10.0.0.6"), "?additive_only=True").status, 202);
  EXPECT_EQ(there(), "10.0.0.4=1 10.0.0.6=1");
}

TEST_F(Batch, an_empty_list_empties_the_pool) {
  create_member(pool_, "10.0.0.4");
  EXPECT_EQ(send_batch("").status, 202);
  EXPECT_EQ(there(), "");
}

TEST_F(Batch, one_bad_entry_and_nothing_is_changed) {
  create_member(pool_, "10.0.0.4");
  auto answer = send_batch(entry("10.0.0.6") + "," + entry("10.0.0.7", R"(, "weight": 257)"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_NE(answer.fault().find("Value: '257'"), std::string::npos);
  answer = send_batch(entry("10.0.0.6") + "," + entry("10.0.0.6"));
  EXPECT_EQ(answer.status, 409);
  answer = send_batch(entry("10.0.0.6", R"(, "colour": 1)"));
  EXPECT_EQ(answer.fault(), "Unknown attribute for argument members_.members: colour");
  EXPECT_EQ(there(), "10.0.0.4=1");
}

TEST_F(Batch, a_body_that_is_no_list_is_refused) {
  EXPECT_EQ(put(members_, R"({"members": {}})").status, 400);
  EXPECT_EQ(put(members_, R"({"members": [1]})").status, 400);
  EXPECT_EQ(put(members_, R"({"member": []})").status, 400);
}

}  // namespace
}  // namespace sluice::api
