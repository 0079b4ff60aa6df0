// The walkthrough's objects, made by the same edits as the API's.
#pragma once

#include "control/data_plane.hpp"
#include "model/edit.hpp"

namespace sluice::control::test {

inline IpAddress ip(const char* text) {
  return boost::asio::ip::make_address(text);
}

struct Walkthrough {
  model::Timestamp now{std::chrono::seconds(1'530'000'000)};
  Uuid lb, listener, pool, a, b;

  // The load balancer 10.0.0.16 with port 80 and the members 10.0.0.4 and 10.0.0.6.
  void build(model::Model& model) {
    model::LoadBalancer load_balancer;
    load_balancer.name = "lb_test_1";
    load_balancer.vip_address = ip("10.0.0.16");
    lb = model::add(model, load_balancer, now).value();
    listener = add_listener(model, 80);
    pool = model::add(model, model::Pool{}, listener, now).value();
    a = add_member(model, "10.0.0.4");
    b = add_member(model, "10.0.0.6");
  }

  Uuid add_listener(model::Model& model, std::uint16_t port) {
    model::Listener object;
    object.load_balancer_id = lb;
    object.protocol_port = port;
    return model::add(model, object, now).value();
  }

  Uuid add_member(model::Model& model, const char* address, std::uint16_t weight = 1) {
    model::Member object;
    object.pool_id = pool;
    object.address = ip(address);
    object.protocol_port = 80;
    object.weight = weight;
    now += std::chrono::microseconds(1);  // keeps the order of creation
    return model::add(model, object, now).value();
  }

  Uuid add_monitor(model::Model& model) {
    model::HealthMonitor object;
    object.pool_id = pool;
    object.delay_seconds = 60;
    object.timeout_seconds = 20;
    return model::add(model, object, now).value();
  }

  Uuid add_floating_ip(model::Model& model, const char* address) {
    model::FloatingIp object;
    object.address = ip(address);
    object.load_balancer_id = lb;
    return model::add(model, object, now).value();
  }

  // What the data plane has to have of a member that is usable, and of the listener at the VIP.
  MemberEntry member_entry(const char* address) const {
    MemberEntry entry{ip(address), 80, true};
    entry.load_balancer = lb;
    return entry;
  }
  ListenerEntry listener_entry() const {
    ListenerEntry entry{listener, pool, ip("10.0.0.16")};
    entry.load_balancer = lb;
    return entry;
  }
};

}  // namespace sluice::control::test
