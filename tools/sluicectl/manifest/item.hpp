// A manifest is the whole desired state as one document: load balancers with all that is below
// them, as a tree of items. The same tree is read from a YAML file and from the API, so that the
// two can be compared.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

namespace sluice::ctl {

// How a field is written in the file and sent to the API.
enum class Type { text, upper, lower, integer, decimal, boolean, list, cidrs, map, maps };

struct Field {
  std::string name;
  Type type = Type::text;
  boost::json::value fallback = nullptr;  // what it is where the file says nothing
  bool mandatory = false;
  bool fixed = false;  // given at creation only: where the file says nothing, anything is right
};

// One kind of item.
struct Shape {
  std::string title = {};       // in sentences: "load balancer"
  std::string section = {};     // its key in the item above: "loadbalancers"
  std::string wrapper = {};     // around a request's attributes: "loadbalancer"
  std::string collection = {};  // in the API: "/v2/lbaas/loadbalancers"
  bool single = false;          // at most one, not a list
  std::string scalar = {};      // the field that stands for the whole item; empty: it is a map
  std::vector<Field> fields = {};
  std::vector<const Shape*> children = {};

  const Field* find(const std::string& name) const;
};

const Shape& document_shape();
const Shape& load_balancer_shape();
const Shape& listener_shape();
const Shape& pool_shape();
const Shape& member_shape();
const Shape& health_monitor_shape();
const Shape& floating_ip_shape();

struct Value {
  boost::json::value value;
  int line = 0;       // in the file
  std::string typed;  // as the file writes it
};

struct Item {
  const Shape* shape = nullptr;
  std::string id;    // the API's; in a file only where a pool's name does not tell it apart
  std::string port;  // of a load balancer's VIP, in the API
  int line = 0;
  std::map<std::string, Value> fields;  // those that are not as they would be anyway
  std::vector<Item> children;

  boost::json::value value(const std::string& field) const;  // given or fallback
  std::string text(const std::string& field) const;          // of a scalar; empty for none
  std::vector<const Item*> all(const Shape& shape) const;    // of the children
  std::string title() const;  // "listener 80_listener", "member 10.0.0.4:80"
};

// What a file calls a pool of this load balancer: its name, or its id where the name is missing or
// another's too.
std::string pool_reference(const Item& load_balancer, const Item& pool);

// The value in the one form that compares: CIDRs without host bits, tags in order, maps without
// what is null.
boost::json::value canonical(const Field& field, boost::json::value value);

// Puts the value among the item's fields unless it is what it would be anyway.
void put(Item& item, const Field& field, Value value);

}  // namespace sluice::ctl
