#include "records/names.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace sluice::records {
namespace {

class Json {
 public:
  void add(const char* key, const Uuid& id) {
    if (!id.is_nil()) object_[key] = to_string(id);
  }
  template <typename Objects>
  void add_name(const char* key, const Objects& objects, const Uuid& id) {
    const auto found = objects.find(id);
    if (found != objects.end()) object_[key] = found->second.name;
  }
  // Without the braces.
  std::string take() const {
    auto text = boost::json::serialize(object_);
    return text.substr(1, text.size() - 2);
  }

 private:
  boost::json::object object_;
};

}  // namespace

std::string names_as_json(const model::Model& model, const Uuid& listener, const Uuid& member) {
  const auto its_listener = model.listeners.find(listener);
  const auto its_member = model.members.find(member);
  Uuid load_balancer{}, pool{};
  if (its_listener != model.listeners.end()) load_balancer = its_listener->second.load_balancer_id;
  if (its_member != model.members.end()) pool = its_member->second.pool_id;
  Json json;
  json.add("load_balancer_id", load_balancer);
  json.add_name("load_balancer", model.load_balancers, load_balancer);
  json.add("listener_id", listener);
  json.add_name("listener", model.listeners, listener);
  json.add("pool_id", pool);
  json.add_name("pool", model.pools, pool);
  json.add("member_id", member);
  json.add_name("member", model.members, member);
  return json.take();
}

}  // namespace sluice::records
