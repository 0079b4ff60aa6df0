// Backups: making one, showing what restoring it would change, and restoring it.
#include "api_fixture.hpp"

namespace sluice::api {
namespace {

class BackupTest : public ApiTest {
 protected:
  std::string backup() {
    const auto answer = send_raw({"GET", "/v1/backup", ""});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.content_type, "application/vnd.sqlite3");
    return answer.body;
  }
  Response send_raw(Request request) {
    const Context context{controller(), "project", events_};
    request.who = who_;
    Response out;
    api::answer(context, request, [&](Response response) { out = std::move(response); });
    return out;
  }
  Answer restore(const std::string& file, const std::string& query = "") {
    return send({"POST", "/v1/restore" + query, file, "application/vnd.sqlite3"});
  }
  static std::string messages(const Answer& answer) {
    std::string all;
    for (const auto& change : answer.json.at("changes").as_array())
      all += text(change.at("message")) + "\n";
    return all;
  }
};

TEST_F(BackupTest, what_was_changed_since_is_shown_and_then_undone_with_the_same_ids) {
  const auto load_balancer = create_load_balancer("10.0.0.16", "web");
  const auto pool = create_pool(create_listener(load_balancer));
  const auto member = create_member(pool);
  const auto then = controller().model();
  const auto file = backup();
  ASSERT_EQ(del("/v2.0/lbaas/pools/" + pool + "/members/" + member).status, 204);
  put("/v2.0/lbaas/loadbalancers/" + load_balancer, R"({"loadbalancer": {"name": "other"}})");
  create_load_balancer("10.0.0.17", "new");
  const auto now = controller().model();

  const auto shown = restore(file, "?dry_run=true");
  ASSERT_EQ(shown.status, 200) << shown.response.body;
  EXPECT_NE(messages(shown).find("created Member"), std::string::npos) << messages(shown);
  EXPECT_NE(messages(shown).find("name other -> web"), std::string::npos) << messages(shown);
  EXPECT_NE(messages(shown).find("deleted Load Balancer new"), std::string::npos)
      << messages(shown);
  EXPECT_EQ(controller().model(), now) << "it was only shown";

  const auto name = text(shown.json.at("difference"));
  const auto done = restore(file, "?difference=" + name);
  ASSERT_EQ(done.status, 200) << done.response.body;
  EXPECT_EQ(messages(done), messages(shown));
  EXPECT_EQ(get("/v2.0/lbaas/pools/" + pool + "/members/" + member).status, 200);
  EXPECT_EQ(controller().model().load_balancers.size(), 1U);
  EXPECT_EQ(data_plane_.state.vips.size(), 1U);
  EXPECT_EQ(data_plane_.state.members.size(), 1U);
  EXPECT_EQ(controller().model().load_balancers.begin()->second.name, "web");
  EXPECT_EQ(restore(file, "?dry_run=true").json.at("changes").as_array().size(), 0U);
}

TEST_F(BackupTest, the_store_s_generation_goes_up_so_that_a_restart_takes_what_was_restored) {
  create_load_balancer();
  const auto file = backup();
  create_load_balancer("10.0.0.17", "new");
  const auto before = data_plane_.position.generation;
  ASSERT_EQ(restore(file).status, 200);
  EXPECT_GT(data_plane_.position.generation, before);
}

TEST_F(BackupTest, a_difference_that_is_another_one_by_now_is_not_made) {
  create_load_balancer();
  const auto file = backup();
  create_load_balancer("10.0.0.17", "new");
  const auto shown = restore(file, "?dry_run=true");
  create_load_balancer("10.0.0.18", "newer");
  EXPECT_EQ(restore(file, "?difference=" + text(shown.json.at("difference"))).status, 409);
  EXPECT_EQ(controller().model().load_balancers.size(), 3U);
}

TEST_F(BackupTest, each_object_that_is_restored_is_an_event_of_whoever_did_it) {
  create_load_balancer();
  const auto file = backup();
  create_load_balancer("10.0.0.17", "new");
  who_.name = "alice";
  const auto last = events_.last();
  restore(file);
  const auto told = events_.find({.after = last, .kind = "change"});
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0]->who, "alice");
}

TEST_F(BackupTest, rubbish_and_a_missing_body_are_clear_errors_that_change_nothing) {
  create_load_balancer();
  const auto before = controller().model();
  EXPECT_EQ(restore("rubbish").status, 400);
  EXPECT_EQ(restore("").status, 400);
  EXPECT_EQ(controller().model(), before);
}

TEST_F(BackupTest, only_administrators_restore_and_members_have_no_backup_of_others) {
  create_load_balancer();
  const auto file = backup();
  who_.role = Role::reader;
  EXPECT_EQ(restore(file).status, 403);
  who_.role = Role::member;
  who_.project = "p";
  EXPECT_EQ(restore(file).status, 403);
  EXPECT_EQ(send_raw({"GET", "/v1/backup", ""}).status, 403);
}

}  // namespace
}  // namespace sluice::api
