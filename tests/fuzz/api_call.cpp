// A request of the API, "METHOD TARGET", a line's end, and a body: its path, query and JSON. It has
// an answer that is JSON and no bug's, a refused one changes nothing, and what is changed hangs
// together.
#include <boost/json/parse.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "api/handlers/routes.hpp"
#include "api/language/events.hpp"
#include "control/controller.hpp"
#include "expect.hpp"
#include "model/references.hpp"
#include "tests/support/failing_store.hpp"
#include "tests/support/fake_data_plane.hpp"

namespace {

using namespace sluice;
using fuzz::expect;

Uuid id(int number) {
  return parse_uuid("0000000" + std::to_string(number) + "-0000-4000-8000-000000000000").value();
}

template <typename T>
typename model::Table<T>::Change object(model::Table<T>& table, int number, const char* name) {
  T made;
  made.id = id(number);
  made.name = name;
  made.project_id = "0123456789abcdef0123456789abcdef";
  made.provisioning_status = model::ProvisioningStatus::active;
  made.tags = {"blue"};
  table.put(made);
  return table.change(made.id);
}

// One object of each kind; the corpus knows their ids.
void fill(model::Model& model) {
  const auto load_balancer = object(model.load_balancers, 1, "lb");
  load_balancer->vip_address = parse_ip_address("10.0.0.16").value();
  load_balancer->vip_port_id = id(9);
  const auto pool = object(model.pools, 2, "pool");
  pool->load_balancer_id = id(1);
  const auto listener = object(model.listeners, 3, "listener");
  listener->load_balancer_id = id(1);
  listener->default_pool_id = id(2);
  listener->protocol_port = 80;
  const auto member = object(model.members, 4, "member");
  member->pool_id = id(2);
  member->address = parse_ip_address("10.0.0.4").value();
  member->protocol_port = 80;
  object(model.health_monitors, 5, "monitor")->pool_id = id(2);
  const auto floating_ip = object(model.floating_ips, 6, "floating");
  floating_ip->address = parse_ip_address("172.24.4.10").value();
  floating_ip->load_balancer_id = id(1);
}

store::Contents contents() {
  store::Contents made;
  fill(made.model);
  return made;
}

api::Request request_of(std::string_view text) {
  const auto line = text.substr(0, text.find('\n'));
  const auto blank = std::min(line.find(' '), line.size());
  api::Request request;
  request.method = line.substr(0, blank);
  request.target = line.substr(std::min(blank + 1, line.size()));
  request.body = text.substr(std::min(line.size() + 1, text.size()));
  return request;
}

void expect_well_formed(const api::Response& response) {
  expect(response.status >= 200 && response.status < 600, "an answer has a status");
  expect(response.internal_error.empty(), response.internal_error.c_str());
  if (response.body.empty() || response.content_type != "application/json") return;
  boost::system::error_code error;
  boost::json::parse(response.body, error);
  expect(!error, "an answer is JSON");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  test::FailingStore store;
  store.contents = contents();
  store::DirectWriter writer(store);
  test::FakeDataPlane data_plane;
  const auto controller = control::Controller::start(store.contents, writer, data_plane,
                                                     control::Controller::Age::accept_older)
                              .value();
  api::Events events;
  const api::Context context{*controller, "0123456789abcdef0123456789abcdef", events};
  const auto before = controller->model();
  bool answered = false;
  api::answer(context, request_of(text), [&](const api::Response& response) {
    answered = true;
    expect_well_formed(response);
    if (response.status >= 300)
      expect(controller->model() == before, "a refused request changes nothing");
  });
  const bool waits = text.find("wait") != text.npos;  // for events, of which there are none
  expect(answered || waits, "a request is answered");
  expect(model::check_references(controller->model()).has_value(), "references hold");
  expect(store.contents.model == controller->model(), "what is answered is stored");
  return 0;
}
