// Removals come first, because they free addresses and ports that creations may need. Then comes
// everything from the load balancer down, listeners after the pools that they name, and floating
// IPs last. An object that a step has yet to create is referred to by the step's number ("$3"): see
// userspace/api/handlers/batch.cpp.
#include "sluicectl/manifest/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "base/ip_address.hpp"
#include "sluicectl/manifest/file.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace json = boost::json;

std::string canonical_address(const std::string& text) {
  const auto address = parse_ip_address(text);
  return address ? address->to_string() : text;
}

// Says whether the present value is what the file asks for. The file may ask for some keys of a map
// only: any address of the right subnet will do.
bool satisfies(const Field& field, const json::value& wanted, const json::value& there) {
  if (wanted == there) return true;
  if (field.type != Type::maps || !wanted.is_array() || !there.is_array()) return false;
  const auto has_all = [](const json::value& some, const json::value& all) {
    if (!some.is_object() || !all.is_object()) return some == all;
    return std::ranges::all_of(some.get_object(), [&](const auto& pair) {
      const auto* value = all.get_object().if_contains(pair.key());
      if (!value || !value->is_string() || !pair.value().is_string()) return false;
      return canonical_address(std::string(value->get_string())) ==
             canonical_address(std::string(pair.value().get_string()));
    });
  };
  return std::ranges::equal(wanted.get_array(), there.get_array(), has_all);
}

// The key by which two items of one kind below one owner are the same object.
std::string key_of(const Item& item) {
  if (item.shape == &load_balancer_shape())
    return item.text("vip_address").empty() ? "name " + item.text("name")
                                            : canonical_address(item.text("vip_address"));
  if (item.shape == &listener_shape())
    return item.text("protocol") + " " + item.text("protocol_port");
  if (item.shape == &member_shape())
    return canonical_address(item.text("address")) + " " + item.text("protocol_port");
  if (item.shape == &health_monitor_shape()) return item.text("type");
  if (item.shape == &floating_ip_shape())
    return canonical_address(item.text("floating_ip_address"));
  return item.text("name");
}

// Says whether two items are the same object. The file may name a pool by its id, and leave a load
// balancer's VIP open.
bool same(const Item& wanted, const Item& there) {
  if (wanted.shape == &pool_shape()) {
    const bool named =
        wanted.id.empty() ? wanted.text("name") == there.text("name") : wanted.id == there.id;
    return named && wanted.text("protocol") == there.text("protocol");
  }
  if (wanted.shape == &load_balancer_shape() && wanted.text("vip_address").empty())
    return wanted.text("name") == there.text("name");
  return key_of(wanted) == key_of(there);
}

std::string shown(const json::value& value) {
  return value.is_string() ? std::string(value.get_string()) : json::serialize(value);
}

std::string in(const Item* owner) {
  return owner && owner->shape != &document_shape() ? " of " + owner->title() : std::string();
}

class Planner {
 public:
  Planner(const std::string& file, const Item& wanted, const Item& there)
      : file_(file), wanted_(wanted), there_(there) {}

  Result<std::vector<Step>> steps() {
    if (auto done = match_children(wanted_, there_); !done) return tl::unexpected(done.error());
    if (auto done = match_floating_ips(); !done) return tl::unexpected(done.error());
    begin_part(Step::Rank::removed_floating_ips, nullptr);
    remove_floating_ips();
    remove_load_balancers();
    for (const auto* balancer : wanted_.all(load_balancer_shape())) {
      begin_part(Step::Rank::load_balancer, balancer);
      put(*balancer, wanted_, {});
      for (const auto* pool : balancer->all(pool_shape())) put_pool(*pool, *balancer);
      for (const auto* listener : balancer->all(listener_shape()))
        if (auto done = put_listener(*listener, *balancer); !done)
          return tl::unexpected(done.error());
    }
    for (const auto& [address, place] : floating_wanted_) {
      const bool reserved = place.owner->shape == &document_shape();
      begin_part(reserved ? Step::Rank::reserved_floating_ips : Step::Rank::load_balancer,
                 reserved ? nullptr : place.owner);
      put_floating_ip(*place.item, *place.owner);
    }
    return std::move(steps_);
  }

 private:
  struct Place {
    const Item* item;
    const Item* owner;
  };
  using FloatingIps = std::map<std::string, Place>;  // by address

  tl::unexpected<Error> fail_in(const Item& item, const std::string& field,
                                const std::string& what) const {
    return fail(ErrorKind::invalid, place(file_, item, field) + what);
  }

  // ---- who is who ----

  Result<void> match_children(const Item& wanted, const Item& there) {
    for (const auto& item : wanted.children) {
      if (item.shape == &floating_ip_shape()) continue;  // they move between load balancers
      if (auto twin = refuse_twins(wanted, item); !twin) return twin;
      const Item* match = nullptr;
      for (const auto* candidate : there.all(*item.shape)) {
        if (!same(item, *candidate)) continue;
        if (match && item.shape != &pool_shape())
          return fail_in(item, "name", "more than one is there: tell which by vip_address");
        if (match) return fail_in(item, "name", "more than one is there: tell which by id");
        match = candidate;
      }
      if (match) {
        if (auto fits = refuse_change_of_fixed(item, *match); !fits) return fits;
        matches_[&item] = match;
        matched_.insert(match);
      }
      static const Item nothing;
      if (auto done = match_children(item, match ? *match : nothing); !done) return done;
    }
    return {};
  }

  Result<void> refuse_change_of_fixed(const Item& item, const Item& there) const {
    for (const auto& field : item.shape->fields) {
      if (!field.fixed || !item.fields.contains(field.name) || key_of_field(item, field)) continue;
      const auto before = there.value(field.name);
      if (satisfies(field, item.value(field.name), before)) continue;
      return fail_in(item, field.name,
                     fmt::format("it is {}, and can't be changed once the {} is there",
                                 shown(before), item.shape->title));
    }
    return {};
  }

  Result<void> refuse_twins(const Item& owner, const Item& item) const {
    for (const auto* other : owner.all(*item.shape)) {
      if (other == &item) return {};
      const bool twins = item.shape == &pool_shape() ? label_of(*other) == label_of(item)
                                                     : key_of(*other) == key_of(item);
      if (twins && item.shape == &pool_shape() && label_of(item).empty())
        return fail_in(item, "name", "a pool without a name needs an id");
      if (twins)
        return fail_in(item, item.shape->fields.front().name,
                       fmt::format("it is the same as the one in line {}", other->line));
    }
    return {};
  }

  static std::string label_of(const Item& pool) {
    return pool.id.empty() ? pool.text("name") : pool.id;
  }

  static FloatingIps floating_ips_of(const Item& document) {
    FloatingIps all;
    const auto collect = [&](const Item& owner) {
      for (const auto* item : owner.all(floating_ip_shape()))
        all.emplace(key_of(*item), Place{item, &owner});
    };
    collect(document);
    for (const auto* balancer : document.all(load_balancer_shape())) collect(*balancer);
    return all;
  }

  Result<void> match_floating_ips() {
    floating_wanted_ = floating_ips_of(wanted_);
    floating_there_ = floating_ips_of(there_);
    std::size_t written = wanted_.all(floating_ip_shape()).size();
    for (const auto* balancer : wanted_.all(load_balancer_shape()))
      written += balancer->all(floating_ip_shape()).size();
    if (written == floating_wanted_.size()) return {};
    for (const auto* balancer : wanted_.all(load_balancer_shape()))
      for (const auto* item : balancer->all(floating_ip_shape()))
        if (floating_wanted_.at(key_of(*item)).item != item)
          return fail_in(*item, "floating_ip_address", "it is there twice");
    return {};
  }

  // ---- removal ----

  void remove_floating_ips() {
    for (const auto& [address, place] : floating_there_)
      if (!floating_wanted_.contains(address)) remove(*place.item, *place.owner, {});
  }

  // Removes those that the manifest doesn't have, and what it doesn't have of the others.
  void remove_load_balancers() {
    for (const auto* balancer : there_.all(load_balancer_shape())) {
      if (!matched_.contains(balancer)) {
        begin_part(Step::Rank::removed_load_balancer, balancer);
        remove(*balancer, there_, "?cascade=true");
        continue;
      }
      const auto of_it =
          std::ranges::find(matches_, balancer, [](const auto& pair) { return pair.second; });
      begin_part(Step::Rank::load_balancer, of_it->first);
      remove_below(*balancer);
    }
  }

  // Removes the deepest first within what stays; an object that is removed takes its children
  // along.
  void remove_below(const Item& owner) {
    for (const auto& item : owner.children) {
      if (item.shape == &floating_ip_shape()) continue;
      if (matched_.contains(&item)) {
        remove_below(item);
      } else {
        remove(item, owner, "");
      }
    }
  }

  void remove(const Item& item, const Item& owner, const std::string& query) {
    const auto path = with_parent(item.shape->collection, owner.id) + "/" + item.id + query;
    add({{"method", "DELETE"}, {"path", path}}, "- " + item.title() + in(&owner), nullptr);
  }

  void begin_part(Step::Rank rank, const Item* load_balancer) {
    rank_ = rank;
    part_ = load_balancer;
  }

  void add(json::object request, std::string text, const Item* cause) {
    steps_.push_back({std::move(request), std::move(text), cause, rank_, part_});
  }

  // ---- creation and change ----

  // The API's id, or the number of the step that will create it.
  std::string id_of(const Item& item) const { return ids_.at(&item); }

  // Creates the item or changes what differs. `more` has further attributes for both.
  void put(const Item& item, const Item& owner, json::object more) {
    const auto path =
        with_parent(item.shape->collection, ids_.contains(&owner) ? id_of(owner) : std::string());
    const auto match = matches_.find(&item);
    if (match == matches_.end()) {
      create(item, owner, path, std::move(more));
    } else {
      ids_[&item] = match->second->id;
      change(item, *match->second, owner, path, std::move(more));
    }
  }

  void create(const Item& item, const Item& owner, const std::string& path, json::object more) {
    for (const auto& [name, value] : item.fields)
      if (name != "default_pool") more[name] = value.value;
    ids_[&item] = fmt::format("${}", steps_.size());
    add(request("POST", path, item, std::move(more)), "+ " + item.title() + in(&owner), &item);
  }

  void change(const Item& item, const Item& there, const Item& owner, const std::string& path,
              json::object more) {
    std::vector<std::string> texts;
    for (const auto& field : item.shape->fields) {
      if (field.name == "default_pool" || field.fixed) continue;
      auto now = item.value(field.name);
      const auto before = there.value(field.name);
      if (satisfies(field, now, before) || key_of_field(item, field)) continue;
      texts.push_back(fmt::format("{} {} -> {}", field.name, shown(before), shown(now)));
      // To the API, null restores the default.
      more[field.name] = item.fields.contains(field.name) ? std::move(now) : json::value();
    }
    if (more.contains("default_pool_id"))
      texts.push_back(fmt::format("default_pool {} -> {}", shown(there.value("default_pool")),
                                  shown(item.value("default_pool"))));
    if (more.empty()) return;
    add(request("PUT", path + "/" + there.id, item, std::move(more)),
        fmt::format("~ {}{}: {}", item.title(), in(&owner), fmt::join(texts, ", ")), &item);
  }

  // Says whether the field is a part of the item's key, which is equal even if an address is
  // spelled differently.
  static bool key_of_field(const Item& item, const Field& field) {
    return (item.shape == &member_shape() && field.name == "address") ||
           (item.shape == &load_balancer_shape() && field.name == "vip_address");
  }

  static json::object request(std::string_view method, const std::string& path, const Item& item,
                              json::object attributes) {
    json::object body;
    body[item.shape->wrapper] = std::move(attributes);
    return {{"method", method}, {"path", path}, {"body", std::move(body)}};
  }

  void put_pool(const Item& pool, const Item& balancer) {
    put(pool, balancer,
        matches_.contains(&pool) ? json::object()
                                 : json::object{{"loadbalancer_id", id_of(balancer)}});
    for (const auto& item : pool.children) {
      const bool is_new_monitor =
          item.shape == &health_monitor_shape() && !matches_.contains(&item);
      put(item, pool, is_new_monitor ? json::object{{"pool_id", id_of(pool)}} : json::object());
    }
  }

  Result<void> put_listener(const Item& listener, const Item& balancer) {
    json::object more;
    const auto match = matches_.find(&listener);
    const bool is_new = match == matches_.end();
    if (is_new) more["loadbalancer_id"] = id_of(balancer);
    const auto pool = default_pool(listener, balancer);
    if (!pool) return tl::unexpected(pool.error());
    std::string before;
    if (!is_new)
      if (const auto field = match->second->fields.find("default_pool");
          field != match->second->fields.end())
        before = field->second.typed;
    if (*pool != before)
      more["default_pool_id"] = pool->empty() ? json::value() : json::value(*pool);
    put(listener, balancer, std::move(more));
    return {};
  }

  Result<std::string> default_pool(const Item& listener, const Item& balancer) const {
    const auto label = listener.text("default_pool");
    if (label.empty()) return std::string();
    for (const auto* pool : balancer.all(pool_shape()))
      if (label_of(*pool) == label) return id_of(*pool);
    return fail_in(listener, "default_pool", "its load balancer has no such pool");
  }

  void put_floating_ip(const Item& item, const Item& owner) {
    const bool reserved = owner.shape == &document_shape();
    const auto there = floating_there_.find(key_of(item));
    const auto balancer = reserved ? std::string() : id_of(owner);
    if (there != floating_there_.end()) {
      const bool was_reserved = there->second.owner->shape == &document_shape();
      if (was_reserved ? reserved : there->second.owner->id == balancer) return;
    }
    json::object attributes{{"port_id", reserved ? json::value() : json::value(port_of(owner))}};
    if (there != floating_there_.end()) {
      const auto path = item.shape->collection + "/" + there->second.item->id;
      return add(request("PUT", path, item, std::move(attributes)),
                 "~ " + item.title() + in(&owner), &item);
    }
    attributes["floating_ip_address"] = item.value("floating_ip_address");
    if (reserved) attributes.erase("port_id");
    add(request("POST", item.shape->collection, item, std::move(attributes)),
        "+ " + item.title() + in(&owner), &item);
  }

  // The port that stands for the load balancer's VIP.
  std::string port_of(const Item& balancer) const {
    const auto match = matches_.find(&balancer);
    if (match == matches_.end()) return id_of(balancer) + ".vip_port_id";
    return match->second->port;
  }

  const std::string& file_;
  const Item& wanted_;
  const Item& there_;
  std::map<const Item*, const Item*> matches_;  // of the manifest's items, among what is there
  std::set<const Item*> matched_;
  std::map<const Item*, std::string> ids_;
  FloatingIps floating_wanted_, floating_there_;
  std::vector<Step> steps_;
  Step::Rank rank_ = Step::Rank::load_balancer;  // of the steps that are added
  const Item* part_ = nullptr;
};

using Numbers = std::map<std::size_t, std::size_t>;  // of steps: before and now

// "$3.vip_port_id" with another number; other text stays as it is.
std::string renumbered(std::string_view text, const Numbers& numbers) {
  const auto end = std::min(text.find('.'), text.size());
  std::size_t number = 0;
  if (!text.starts_with('$')) return std::string(text);
  const auto [rest, error] = std::from_chars(text.data() + 1, text.data() + end, number);
  const auto found = numbers.find(number);
  if (error != std::errc() || rest != text.data() + end || found == numbers.end())
    return std::string(text);
  return fmt::format("${}{}", found->second, text.substr(end));
}

void renumber(json::value& value, const Numbers& numbers) {
  if (auto* text = value.if_string()) {
    value = renumbered(*text, numbers);
  } else if (auto* array = value.if_array()) {
    for (auto& item : *array) renumber(item, numbers);
  } else if (auto* object = value.if_object()) {
    for (auto& [key, item] : *object) renumber(item, numbers);
  }
}

void renumber_request(json::object& request, const Numbers& numbers) {
  std::vector<std::string> segments;
  std::string_view path = request.at("path").as_string();
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    segments.push_back(renumbered(path.substr(at, end - at), numbers));
    at = end + 1;
  }
  request["path"] = fmt::format("{}", fmt::join(segments, "/"));
  if (auto* body = request.if_contains("body")) renumber(*body, numbers);
}

std::string title_of(const Step& step) {
  return step.part ? step.part->title() : "floating IPs";
}

}  // namespace

std::vector<Part> parts_of(const std::vector<Step>& steps) {
  std::map<const Item*, std::size_t> first;  // where a part begins
  for (std::size_t at = 0; at < steps.size(); at++) first.emplace(steps[at].part, at);
  std::vector<std::size_t> order(steps.size());
  for (std::size_t at = 0; at < order.size(); at++) order[at] = at;
  std::ranges::stable_sort(order, {}, [&](std::size_t at) {
    return std::pair(steps[at].rank, first.at(steps[at].part));
  });
  std::vector<Part> parts;
  Numbers numbers;
  const Step* before = nullptr;
  for (const auto at : order) {
    auto step = steps[at];
    if (!before || before->rank != step.rank || before->part != step.part) {
      parts.push_back({title_of(step), {}});
      numbers.clear();
    }
    before = &steps[at];
    numbers[at] = parts.back().steps.size();
    renumber_request(step.request, numbers);
    parts.back().steps.push_back(std::move(step));
  }
  return parts;
}

Result<std::vector<Step>> plan(const std::string& file, const Item& wanted, const Item& there) {
  return Planner(file, wanted, there).steps();
}

}  // namespace sluice::ctl
