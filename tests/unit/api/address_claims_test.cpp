// A VIP or floating IP that somebody else has: how it is found out, and what the client is told.
#include <set>

#include "api_fixture.hpp"

namespace sluice::api {
namespace {

// A network of 10.0.0.0/24 and 2001:db8::/64 that can be asked.
struct FakeHolders : AddressHolders {
  std::map<IpAddress, std::string> known_here, answering;
  std::vector<std::vector<IpAddress>> inquiries;

  std::optional<std::string> own(const IpAddress& address) override {
    const auto found = known_here.find(address);
    return found != known_here.end() && found->second.starts_with("this host's own")
               ? std::optional(found->second)
               : std::nullopt;
  }
  std::optional<std::string> known(const IpAddress& address) override {
    const auto found = known_here.find(address);
    return found == known_here.end() ? std::nullopt : std::optional(found->second);
  }
  bool may_ask(const IpAddress& address) override {
    return parse_ip_network("10.0.0.0/24")->contains(address) ||
           parse_ip_network("2001:db8::/64")->contains(address);
  }
  void ask(const std::vector<IpAddress>& addresses, std::function<void(Answers)> done) override {
    inquiries.push_back(addresses);
    Answers answers;
    for (const auto& address : addresses) {
      if (const auto one = answering.find(address); one != answering.end()) answers.insert(*one);
    }
    const auto tell = [answers, done] { done(answers); };
    if (!held) return tell();
    *held = tell;
  }
  // If set, the answers wait here.
  std::optional<std::function<void()>> held;
};

class AddressClaim : public ApiTest {
 protected:
  AddressClaim() {
    holders_ = &fake_;
    fake_.known_here[ip("10.0.0.9")] = "this host's own (eth0)";
    fake_.known_here[ip("10.0.0.1")] = "the gateway of a route of this host (eth0)";
    fake_.answering[ip("10.0.0.4")] = "in use: 02:00:00:00:00:04 answers for it";
    fake_.answering[ip("2001:db8::4")] = "in use: 02:00:00:00:00:04 answers for it";
  }
  static IpAddress ip(const char* text) { return parse_ip_address(text).value(); }
  Answer post_load_balancer(const std::string& attributes) {
    return post("/v2.0/lbaas/loadbalancers", R"({"loadbalancer": {)" + attributes + "}}");
  }
  std::size_t load_balancers() { return controller().model().load_balancers.size(); }

  FakeHolders fake_;
};

TEST_F(AddressClaim, the_hosts_own_address_is_no_vip) {
  const auto answer = post_load_balancer(R"("vip_address": "10.0.0.9")");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.fault(),
            "IP address 10.0.0.9 is this host's own (eth0). (choose another one; 'force': true, or "
            "--force, takes it all the same)");
  EXPECT_EQ(load_balancers(), 0U);
  EXPECT_TRUE(fake_.inquiries.empty()) << "nobody need be asked";
}

TEST_F(AddressClaim, neither_is_a_gateways) {
  const auto answer = post_load_balancer(R"("vip_address": "10.0.0.1")");
  EXPECT_EQ(answer.status, 409);
  EXPECT_NE(answer.fault().find("10.0.0.1 is the gateway"), std::string::npos) << answer.fault();
}

TEST_F(AddressClaim, nor_one_that_a_neighbor_answers_for) {
  for (const std::string address : {"10.0.0.4", "2001:db8::4"}) {
    const auto answer = post_load_balancer(R"("vip_address": ")" + address + '"');
    EXPECT_EQ(answer.status, 409);
    EXPECT_NE(answer.fault().find("is in use: 02:00:00:00:00:04 answers for it"), std::string::npos)
        << answer.fault();
  }
  EXPECT_EQ(load_balancers(), 0U);
  EXPECT_EQ(fake_.inquiries.size(), 2U);
}

TEST_F(AddressClaim, force_takes_it_all_the_same_and_asks_nobody) {
  for (const std::string address : {"10.0.0.9", "10.0.0.1", "10.0.0.4"}) {
    const auto answer = post_load_balancer(R"("vip_address": ")" + address + R"(", "force": true)");
    EXPECT_EQ(answer.status, 201) << answer.response.body;
    EXPECT_FALSE(answer["loadbalancer"].contains("force")) << "it is no attribute of the VIP's";
  }
  EXPECT_TRUE(fake_.inquiries.empty());
}

TEST_F(AddressClaim, an_address_that_nobody_answers_for_is_made_once) {
  EXPECT_EQ(post_load_balancer(R"("vip_address": "10.0.0.16")").status, 201);
  EXPECT_EQ(load_balancers(), 1U);
  EXPECT_EQ(fake_.inquiries, (std::vector<std::vector<IpAddress>>{{ip("10.0.0.16")}}));
}

TEST_F(AddressClaim, nobody_is_asked_where_no_attached_nic_has_the_subnet) {
  EXPECT_EQ(post_load_balancer(R"("vip_address": "172.24.4.10")").status, 201);
  EXPECT_TRUE(fake_.inquiries.empty());
}

TEST_F(AddressClaim, a_snat_address_is_judged_like_a_vip_when_it_is_new) {
  const auto made =
      post_load_balancer(R"("vip_address": "10.0.0.16", "snat_addresses": ["10.0.0.18"])");
  ASSERT_EQ(made.status, 201);
  EXPECT_EQ(made["loadbalancer"].at("snat_addresses").at(0), "10.0.0.18");
  const auto url =
      "/v2.0/lbaas/loadbalancers/" + std::string(made["loadbalancer"].at("id").get_string());
  const auto set = [&](const std::string& attributes) {
    return put(url, R"({"loadbalancer": {)" + attributes + "}}");
  };
  fake_.answering[ip("10.0.0.18")] = "in use: we answer for it ourselves";
  EXPECT_EQ(set(R"("snat_addresses": ["10.0.0.18", "10.0.0.19"])").status, 200);
  EXPECT_EQ(set(R"("snat_addresses": ["10.0.0.18", "10.0.0.4"])").status, 409);
  EXPECT_EQ(set(R"("snat_addresses": ["10.0.0.9"])").status, 409);
  EXPECT_EQ(set(R"("snat_addresses": ["10.0.0.4"], "force": true)").status, 200);
  EXPECT_EQ(set(R"("snat_addresses": "10.0.0.18")").status, 400);
  EXPECT_EQ(set(R"("snat_addresses": ["somewhere"])").status, 400);
  const auto cleared = set(R"("snat_addresses": null)");
  EXPECT_EQ(cleared.status, 200);
  EXPECT_TRUE(cleared["loadbalancer"].at("snat_addresses").get_array().empty());
}

TEST_F(AddressClaim, additional_vips_are_judged_with_the_first_one_in_one_inquiry) {
  const auto with = [](const std::string& more) {
    return R"("vip_address": "10.0.0.16", "additional_vips": [{"ip_address": ")" + more + "\"}]";
  };
  EXPECT_EQ(post_load_balancer(with("10.0.0.9")).status, 409);
  EXPECT_EQ(post_load_balancer(with("2001:db8::4")).status, 409);
  EXPECT_EQ(load_balancers(), 0U);
  fake_.inquiries.clear();
  EXPECT_EQ(post_load_balancer(with("2001:db8::16")).status, 201);
  ASSERT_EQ(fake_.inquiries.size(), 1U);
  EXPECT_EQ(fake_.inquiries[0].size(), 2U);
}

TEST_F(AddressClaim, floating_ips_are_judged_too) {
  const auto take = [&](const std::string& address, const std::string& more = "") {
    return post("/v2.0/floatingips",
                R"({"floatingip": {"floating_ip_address": ")" + address + '"' + more + "}}")
        .status;
  };
  EXPECT_EQ(take("10.0.0.9"), 409);
  EXPECT_EQ(take("10.0.0.4"), 409);
  EXPECT_TRUE(controller().model().floating_ips.empty());
  EXPECT_EQ(take("10.0.0.17"), 201);
  EXPECT_EQ(take("10.0.0.4", R"(, "force": true)"), 201);
}

TEST_F(AddressClaim, what_is_allocated_is_never_somebody_elses) {
  declare({"private-subnet,cidr=10.0.0.0/24,range=10.0.0.3-10.0.0.20"});
  fake_.known_here[ip("10.0.0.3")] = "this host's own (eth0)";
  const auto answer =
      post_load_balancer(R"("vip_subnet_id": ")" +
                         to_string(controller().networks().all().front().subnets.front().id) + '"');
  ASSERT_EQ(answer.status, 201) << answer.response.body;
  EXPECT_EQ(answer["loadbalancer"].at("vip_address"), "10.0.0.5") << ".3 is ours, .4 a neighbour's";
}

TEST_F(AddressClaim, a_batch_asks_for_all_its_addresses_at_once) {
  const auto request = [](const std::string& address) {
    return R"({"method": "POST", "path": "/v2/lbaas/loadbalancers", "body": {"loadbalancer": )"
           R"({"vip_address": ")" +
           address + "\"}}}";
  };
  const auto batch = [&](const std::string& requests) {
    return post("/v1/batch", R"({"requests": [)" + requests + "]}");
  };
  EXPECT_EQ(batch(request("10.0.0.16") + "," + request("10.0.0.17")).status, 200);
  ASSERT_EQ(fake_.inquiries.size(), 1U);
  EXPECT_EQ(fake_.inquiries[0].size(), 2U);
  EXPECT_EQ(load_balancers(), 2U);

  const auto refused = batch(request("10.0.0.18") + "," + request("10.0.0.4"));
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.json.at("request"), 1) << "and it says which one";
  EXPECT_EQ(load_balancers(), 2U) << "all or none";
}

TEST_F(AddressClaim, the_hosts_own_address_is_no_members) {
  const std::string why =
      "10.0.0.9 is not a valid option for member address: it is this host's own (eth0) (a server "
      "on "
      "this host can be a member in a network namespace or container of its own)";
  const auto pool = create_pool(create_listener(create_load_balancer()));
  const auto members = "/v2.0/lbaas/pools/" + pool + "/members";
  const std::string own = R"({"address": "10.0.0.9", "protocol_port": 80})";
  const auto one = post(members, R"({"member": )" + own + "}");
  EXPECT_EQ(one.status, 400);
  EXPECT_EQ(one.fault(), why);
  EXPECT_EQ(put(members, R"({"members": [)" + own + "]}").fault(), why);
  EXPECT_EQ(
      post_load_balancer(R"("vip_address": "10.0.0.17", "pools": [{"name": "p", "protocol": "TCP",
                                  "lb_algorithm": "ROUND_ROBIN", "members": [)" +
                         own + "]}]")
          .fault(),
      why);
  EXPECT_TRUE(controller().model().members.empty());
  EXPECT_EQ(load_balancers(), 1U);
  const std::string gateway = R"({"address": "10.0.0.1", "protocol_port": 80})";
  EXPECT_EQ(post(members, R"({"member": )" + gateway + "}").status, 201)
      << "a gateway may serve, too";
}

TEST_F(AddressClaim, others_are_served_while_the_wire_is_asked) {
  fake_.held.emplace();
  const Context context{controller(), "project", events_, {}, &fake_};
  std::optional<Response> response;
  answer(context,
         {"POST", "/v2.0/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "10.0.0.16"}})"},
         [&](Response told) { response = std::move(told); });
  EXPECT_FALSE(response);
  EXPECT_EQ(get("/v2.0/lbaas/loadbalancers").status, 200);
  const auto tell = *std::exchange(fake_.held, std::nullopt);
  EXPECT_EQ(post_load_balancer(R"("vip_address": "10.0.0.17")").status, 201);
  EXPECT_EQ(load_balancers(), 1U);
  tell();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(load_balancers(), 2U);
}

TEST_F(AddressClaim, a_vip_that_somebody_takes_meanwhile_is_refused_as_a_duplicate) {
  fake_.held.emplace();
  const Context context{controller(), "project", events_, {}, &fake_};
  std::optional<Response> response;
  answer(context,
         {"POST", "/v2.0/lbaas/loadbalancers", R"({"loadbalancer": {"vip_address": "10.0.0.16"}})"},
         [&](Response told) { response = std::move(told); });
  const auto tell = *std::exchange(fake_.held, std::nullopt);
  EXPECT_EQ(post_load_balancer(R"("vip_address": "10.0.0.16")").status, 201);
  tell();
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(load_balancers(), 1U);
}

TEST_F(AddressClaim, a_vip_that_is_there_already_is_not_judged_again) {
  const auto id = create_load_balancer("10.0.0.16");
  fake_.known_here[ip("10.0.0.16")] = "this host's own (lo)";
  EXPECT_EQ(
      put("/v2.0/lbaas/loadbalancers/" + id, R"({"loadbalancer": {"name": "renamed"}})").status,
      200);
}

}  // namespace
}  // namespace sluice::api
