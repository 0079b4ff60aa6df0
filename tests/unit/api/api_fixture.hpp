// The API over a real controller, a real store in a temporary directory and the fake data plane:
// requests go in as strings, answers come out as JSON.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "api/handlers/address_claims.hpp"
#include "api/handlers/routes.hpp"
#include "api/language/events.hpp"
#include "control/controller.hpp"
#include "store/sqlite_store.hpp"
#include "store/writer.hpp"
#include "temporary_directory.hpp"
#include "tests/support/fake_data_plane.hpp"

namespace sluice::api {

struct Answer {
  unsigned status = 0;
  boost::json::value json;  // null for an empty body
  Response response;

  // The object inside its wrapper: answer["listener"]
  const boost::json::object& operator[](std::string_view wrapper) const {
    return json.at(wrapper).as_object();
  }
  std::string fault() const { return std::string(json.at("faultstring").as_string()); }
};

inline std::string text(const boost::json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : boost::json::serialize(value);
}

class ApiTest : public testing::Test {
 protected:
  ApiTest() {
    auto store = store::SqliteStore::open(directory_.path());
    if (!store) throw std::runtime_error(store.error().text());
    store_.emplace(std::move(*store));
    writer_.emplace(*store_);
    auto controller = control::Controller::start(store_->load().value(), *writer_, data_plane_);
    if (!controller) throw std::runtime_error(controller.error().text());
    controller_ = std::move(*controller);
    events_.keep_with([this](const Event& event) { controller_->note(record_of(event)); });
  }

  // Declares subnets, each by its line in the daemon's configuration.
  void declare(std::initializer_list<const char*> lines) {
    model::Networks networks;
    for (const auto* line : lines) {
      if (auto done = networks.declare(line); !done) throw std::runtime_error(done.error().text());
    }
    controller_->set_networks(std::move(networks));
  }

  Answer send(Request request) {
    const Context context{*controller_, "0123456789abcdef0123456789abcdef", events_, {}, holders_};
    return send_in(context, std::move(request));
  }
  // The same in another context than the usual one.
  Answer send_in(const Context& context, Request request) {
    request.who = who_;
    Answer answer;
    api::answer(context, request,
                [&](Response response) { answer.response = std::move(response); });
    answer.status = answer.response.status;
    if (!answer.response.body.empty()) answer.json = boost::json::parse(answer.response.body);
    return answer;
  }
  Answer get(std::string target) { return send({"GET", std::move(target), ""}); }
  Answer post(std::string target, std::string body) {
    return send({"POST", std::move(target), std::move(body)});
  }
  Answer put(std::string target, std::string body) {
    return send({"PUT", std::move(target), std::move(body)});
  }
  Answer del(std::string target) { return send({"DELETE", std::move(target), ""}); }

  // Creates an object and returns its id. `attributes` is the inside of the braces.
  std::string create(const std::string& target, const std::string& wrapper,
                     const std::string& attributes) {
    auto answer = post(target, "{\"" + wrapper + "\": {" + attributes + "}}");
    if (answer.status != 201) {
      ADD_FAILURE() << "POST " << target << " {" << attributes << "}: " << answer.response.body;
      return {};
    }
    return text(answer[wrapper].at("id"));
  }
  std::string create_load_balancer(const std::string& address = "10.0.0.16",
                                   const std::string& name = "lb_test_1") {
    return create("/v2.0/lbaas/loadbalancers", "loadbalancer",
                  R"("vip_address": ")" + address + R"(", "name": ")" + name + '"');
  }
  std::string create_listener(const std::string& load_balancer, int port = 80) {
    return create("/v2.0/lbaas/listeners", "listener",
                  R"("protocol": "TCP", "protocol_port": )" + std::to_string(port) +
                      R"(, "name": ")" + std::to_string(port) +
                      R"(_listener", "loadbalancer_id": ")" + load_balancer + '"');
  }
  std::string create_pool(const std::string& listener, const std::string& name = "80_pool") {
    return create("/v2.0/lbaas/pools", "pool",
                  R"("protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "name": ")" + name +
                      R"(", "listener_id": ")" + listener + '"');
  }
  std::string create_member(const std::string& pool, const std::string& address = "10.0.0.4",
                            int port = 80) {
    return create("/v2.0/lbaas/pools/" + pool + "/members", "member",
                  R"("address": ")" + address + R"(", "protocol_port": )" + std::to_string(port) +
                      R"(, "name": "member_)" + address + '"');
  }
  std::string create_monitor(const std::string& pool, const std::string& type = "HTTP") {
    return create("/v2.0/lbaas/healthmonitors", "healthmonitor",
                  R"("delay": 60, "timeout": 20, "max_retries": 2, "type": ")" + type +
                      R"(", "pool_id": ")" + pool + '"');
  }

  control::Controller& controller() { return *controller_; }
  store::Store& store() { return *store_; }

  TemporaryDirectory directory_;
  test::FakeDataPlane data_plane_;
  Events events_;
  AddressHolders* holders_ = nullptr;
  Identity who_;  // who sends the requests

 private:
  std::optional<store::SqliteStore> store_;
  std::optional<store::DirectWriter> writer_;
  std::unique_ptr<control::Controller> controller_;
};

}  // namespace sluice::api
