// Items: a manifest is the whole desired state as one document, a tree of load balancers and their
// children. The tree is read from a YAML file or from the API, so that the two can be compared.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <vector>

namespace sluice::ctl {

// The form of a field in the file and in the API.
enum class Type {
  text,
  upper,
  lower,
  integer,
  decimal,
  boolean,
  list,
  cidrs,
  addresses,
  map,
  maps
};

// A list of single values.
bool is_list(Type type);

struct Field {
  std::string name;
  Type type = Type::text;
  boost::json::value fallback = nullptr;  // its value if the file says nothing
  bool mandatory = false;
  bool fixed = false;  // given at creation only: if the file says nothing, any value is right
  std::string given_if = {};  // what the API shows counts only if this attribute is true there
};

// One kind of item.
struct Shape {
  std::string title = {};       // in sentences: "load balancer"
  std::string section = {};     // its key in the item above: "loadbalancers"
  std::string wrapper = {};     // the key around a request's attributes: "loadbalancer"
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
  std::map<std::string, Value> fields;  // those that differ from their fallback
  std::vector<Item> children;

  boost::json::value value(const std::string& field) const;  // given or fallback
  std::string text(const std::string& field) const;          // of a scalar; empty for none
  std::vector<const Item*> all(const Shape& shape) const;    // of the children
  std::string title() const;  // "listener 80_listener", "member 10.0.0.4:80"
};

// A file's reference to a pool of this load balancer: its name, or its id if the name is missing or
// not unique.
std::string pool_reference(const Item& load_balancer, const Item& pool);

// The value in its canonical form: CIDRs without host bits, addresses in their usual form, tags in
// order, maps without nulls.
boost::json::value canonical(const Field& field, boost::json::value value);

// Adds the value to the item's fields unless it equals the fallback.
void put(Item& item, const Field& field, Value value);

}  // namespace sluice::ctl
