#include "sluicectl/manifest/state.hpp"

#include <boost/json.hpp>

#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

std::string text_at(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The id of the first object in a list like "loadbalancers": [{"id": ...}].
std::string first_id(const json::object& object, std::string_view key) {
  const auto* list = object.if_contains(key);
  if (!list || !list->is_array() || list->get_array().empty()) return {};
  const auto& first = list->get_array().front();
  return first.is_object() ? text_at(first.get_object(), "id") : std::string();
}

bool counts(const Field& field, const json::object& object) {
  const auto* given = field.given_if.empty() ? nullptr : object.if_contains(field.given_if);
  return !given || *given == true;
}

Item item_of(const Shape& shape, const json::object& object) {
  Item item{&shape, text_at(object, "id"), {}, 0, {}, {}};
  for (const auto& field : shape.fields) {
    const auto* value = object.if_contains(field.name);
    if (value && counts(field, object)) put(item, field, {*value, 0, {}});
  }
  return item;
}

class Fetch {
 public:
  explicit Fetch(Client& client) : client_(client) {}

  Result<Item> document() {
    Item document{&document_shape(), {}, {}, 0, {}, {}};
    auto balancers = add(document, load_balancer_shape(), load_balancer_shape().collection,
                         [&](const json::object&) { return &document; });
    if (!balancers) return tl::unexpected(balancers.error());
    std::map<std::string, std::size_t> places;  // of load balancers, by id and by VIP port
    for (std::size_t i = 0; i < objects_.size(); ++i) {
      places[text_at(objects_[i], "id")] = i;
      const auto port = text_at(objects_[i], "vip_port_id");
      places[port] = i;
      document.children[i].port = port;
    }
    const auto owner = [&](const std::string& key) -> Item* {
      const auto found = places.find(key);
      return found == places.end() ? nullptr : &document.children[found->second];
    };
    const auto by_balancer = [&](const json::object& object) {
      return owner(first_id(object, "loadbalancers"));
    };
    // Listeners come after pools, because they name one.
    if (auto done = add(document, pool_shape(), pool_shape().collection, by_balancer); !done)
      return tl::unexpected(done.error());
    if (auto done = below_pools(document); !done) return tl::unexpected(done.error());
    if (auto done = add(document, listener_shape(), listener_shape().collection, by_balancer);
        !done)
      return tl::unexpected(done.error());
    if (auto done = name_default_pools(document); !done) return tl::unexpected(done.error());
    const auto by_port = [&](const json::object& object) {
      auto* found = owner(text_at(object, "port_id"));
      return found ? found : &document;
    };
    const auto& floating = floating_ip_shape();
    if (auto done = add(document, floating, floating.collection, by_port); !done)
      return tl::unexpected(done.error());
    return document;
  }

 private:
  // Lists a collection and hangs each object below its owner; the objects stay in objects_.
  template <typename OwnerOf>
  Result<void> add(const Item&, const Shape& shape, const std::string& path, OwnerOf owner_of) {
    const auto collection = path.substr(path.rfind('/') + 1);
    const auto all = client_.list(path, collection);
    if (!all) return tl::unexpected(all.error());
    objects_.clear();
    for (const auto& value : *all) {
      if (!value.is_object()) continue;
      Item* owner = owner_of(value.get_object());
      if (!owner) continue;  // its load balancer was removed since
      objects_.push_back(value.get_object());
      owner->children.push_back(item_of(shape, value.get_object()));
    }
    return {};
  }

  Result<void> below_pools(Item& document) {
    std::map<std::string, Item*> pools;
    for (auto& balancer : document.children)
      for (auto& pool : balancer.children) pools[pool.id] = &pool;
    const auto by_pool = [&](const json::object& object) -> Item* {
      const auto found = pools.find(first_id(object, "pools"));
      return found == pools.end() ? nullptr : found->second;
    };
    const auto& monitor = health_monitor_shape();
    if (auto done = add(document, monitor, monitor.collection, by_pool); !done) return done;
    for (auto& [id, pool] : pools) {
      const auto path = with_parent(member_shape().collection, id);
      const auto here = [pool = pool](const json::object&) { return pool; };
      if (auto done = add(document, member_shape(), path, here); !done) return done;
    }
    return {};
  }

  // objects_ are the listeners, in the order in which they were hung.
  Result<void> name_default_pools(Item& document) {
    std::map<std::string, std::string> default_pools;  // by listener
    for (const auto& object : objects_)
      default_pools[text_at(object, "id")] = text_at(object, "default_pool_id");
    for (auto& balancer : document.children) {
      std::map<std::string, std::string> names;  // of pools, by id
      for (const auto* pool : balancer.all(pool_shape()))
        names[pool->id] = pool_reference(balancer, *pool);
      for (auto& item : balancer.children) {
        if (item.shape != &listener_shape() || default_pools[item.id].empty()) continue;
        const auto& id = default_pools[item.id];
        item.fields["default_pool"] = {json::value(names[id]), 0, id};
      }
    }
    return {};
  }

  Client& client_;
  std::vector<json::object> objects_;
};

void drop_ids(Item& item, const Item& owner) {
  const bool needed = item.shape == &pool_shape() && pool_reference(owner, item) == item.id;
  const Item copy = item;
  for (auto& child : item.children) drop_ids(child, copy);
  if (!needed) item.id.clear();
}

}  // namespace

Result<Item> fetch_state(Client& client) {
  return Fetch(client).document();
}

Item without_ids(Item document) {
  drop_ids(document, Item{&document_shape(), {}, {}, 0, {}, {}});
  return document;
}

}  // namespace sluice::ctl
