// Collection: functions that all handlers share. They find, list and show objects, and turn a
// change of the model into an answer.
#pragma once

#include <algorithm>
#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "api/handlers/policy.hpp"
#include "api/language/attributes.hpp"
#include "api/language/fault.hpp"
#include "api/language/list_query.hpp"
#include "api/language/message.hpp"
#include "api/language/render.hpp"
#include "control/controller.hpp"
#include "model/edit.hpp"

namespace sluice::api {

// The API's words for a kind of object.
struct Words {
  std::string_view singular;  // the wrapper of one
  std::string_view plural;    // the wrapper of many
  std::string_view title;     // in "... not found."
  std::string_view argument;  // what the real service calls a request body in its error texts
};

template <typename T>
struct Kind;

template <>
struct Kind<model::LoadBalancer> {
  static constexpr Words words{"loadbalancer", "loadbalancers", "Load Balancer", "load_balancer"};
  static constexpr auto table = &model::Model::load_balancers;
};
template <>
struct Kind<model::Listener> {
  static constexpr Words words{"listener", "listeners", "Listener", "listener_"};
  static constexpr auto table = &model::Model::listeners;
};
template <>
struct Kind<model::Pool> {
  static constexpr Words words{"pool", "pools", "Pool", "pool_"};
  static constexpr auto table = &model::Model::pools;
};
template <>
struct Kind<model::Member> {
  static constexpr Words words{"member", "members", "Member", "member_"};
  static constexpr auto table = &model::Model::members;
};
template <>
struct Kind<model::HealthMonitor> {
  static constexpr Words words{"healthmonitor", "healthmonitors", "Health Monitor",
                               "health_monitor_"};
  static constexpr auto table = &model::Model::health_monitors;
};
template <>
struct Kind<model::FloatingIp> {
  static constexpr Words words{"floatingip", "floatingips", "Floating IP", "floatingip"};
  static constexpr auto table = &model::Model::floating_ips;
};

inline View view(const Call& call) {
  auto& controller = call.context.controller;
  const auto* fleet = call.context.fleet;
  View view{controller.model(), fleet ? fleet->health() : controller.health(),
            controller.full_listeners()};
  view.fleet = fleet;
  return view;
}

inline model::Timestamp now() {
  return std::chrono::floor<model::Timestamp::duration>(std::chrono::system_clock::now());
}

// Finds the object that an id in the path names. For a member of a project, other projects' objects
// don't exist.
template <typename T>
Result<const T*> find(const Call& call, std::string_view id) {
  const auto& table = call.context.controller.model().*Kind<T>::table;
  const auto uuid = parse_uuid(id);
  const auto found = uuid ? table.find(*uuid) : table.end();
  if (found == table.end() || !may_see(call, found->second)) {
    return tl::unexpected(not_found(Kind<T>::words.title, id));
  }
  return &found->second;
}

// Wraps an object: {"listener": {...}}.
template <typename T>
Reply wrapped(unsigned status, boost::json::object object) {
  return {status, boost::json::object{{Kind<T>::words.singular, std::move(object)}}};
}

// The query parameter's last value; empty if it is absent.
std::string query_value(const Call& call, std::string_view name);

// The beginning of links: "http://host", or "https://host" for clients that use TLS.
std::string root_url(const Call& call);

// The URL for the links of a list: "http://host/v2/lbaas/pools".
std::string collection_url(const Call& call);

// Answers with the page of the rendered objects (oldest first) that the query asks for.
Result<Reply> list_of(const Call& call, std::string_view plural, const boost::json::object& sample,
                      std::vector<boost::json::object> objects);
// The same for a query that was parsed before. If it follows the creation, the objects are the page
// already.
Result<Reply> list_of(const Call& call, std::string_view plural, const ListQuery& query,
                      std::vector<boost::json::object> objects);

// A list while it is made. It shows the objects as they were when it began.
template <typename T>
class Listing {
 public:
  // So many objects are rendered at once.
  static constexpr std::size_t at_once = 32;

  Listing(const Call& call, const View& shown)
      : call_(call),
        model_(shown.model),
        health_(shown.health),
        view_(model_, health_, shown.full) {
    view_.fleet = shown.fleet;
  }

  // Finds the objects: those of the table, or children of `parent`.
  Result<void> select(const std::optional<Uuid>& parent) {
    auto sample = render(view_, T{});
    // This attribute alone is absent rather than null if it has no value.
    if constexpr (std::is_same_v<T, model::Pool>) sample.emplace("healthmonitor_id", nullptr);
    auto query = ListQuery::parse(call_.query, sample);
    if (!query) return tl::unexpected(query.error());
    query_ = std::move(*query);
    const auto facet = parent ? model::Facet::parent : model::Facet::any;
    if (query_->follows_creation()) return select_page(facet, parent.value_or(Uuid{}));
    (model_.*Kind<T>::table).walk(facet, parent.value_or(Uuid{}), [&](const T& object) {
      if (may_see(call_, object)) objects_.push_back(&object);
      return true;
    });
    return {};
  }

  // Renders some of them; returns the answer if those were the last ones.
  std::optional<Result<Reply>> step() {
    const auto end = std::min(objects_.size(), rendered_.size() + at_once);
    while (rendered_.size() < end) rendered_.push_back(render(view_, *objects_[rendered_.size()]));
    if (rendered_.size() < objects_.size()) return std::nullopt;
    return list_of(call_, Kind<T>::words.plural, *query_, std::move(rendered_));
  }

 private:
  // If the order alone decides what is on the page, only that is looked at.
  Result<void> select_page(model::Facet facet, const Uuid& subject) {
    const auto all = (model_.*Kind<T>::table).in_order(facet, subject);
    const auto is_shown = [&](std::size_t place) { return may_see(call_, all[place]); };
    const auto place_of = [&](const std::string& marker) -> std::optional<std::size_t> {
      const auto id = parse_uuid(marker);
      if (!id || to_string(*id) != marker) return std::nullopt;
      const auto place = all.place_of(*id);
      return place && is_shown(*place) ? place : std::nullopt;
    };
    const auto page = query_->pick(all.size(), place_of, is_shown);
    if (!page) return tl::unexpected(page.error());
    for (const auto place : *page) objects_.push_back(&all[place]);
    return {};
  }

  const Call call_;
  const model::Model model_;
  const model::HealthTable health_;
  View view_;
  std::optional<ListQuery> query_;
  std::vector<const T*> objects_;
  std::vector<boost::json::object> rendered_;
};

template <typename T>
Result<Reply> go_on_listing(const std::shared_ptr<Listing<T>>& listing) {
  if (auto reply = listing->step()) return std::move(*reply);
  Reply more;
  more.resume = [listing] { return go_on_listing(listing); };
  return more;
}

// GET on a collection: lists the objects, or those that are children of `parent`.
template <typename T>
Result<Reply> list_below(const Call& call, const std::optional<Uuid>& parent) {
  const auto listing = std::make_shared<Listing<T>>(call, view(call));
  if (auto selected = listing->select(parent); !selected) return tl::unexpected(selected.error());
  return go_on_listing(listing);
}

template <typename T>
Result<Reply> list(const Call& call) {
  return list_below<T>(call, std::nullopt);
}

// GET on an object: shows all of it, or the `fields` of the query.
template <typename T>
Result<Reply> shown(const Call& call, boost::json::object object) {
  Query fields;
  for (const auto& parameter : call.query) {
    if (parameter.first == "fields") fields.push_back(parameter);
  }
  const auto query = ListQuery::parse(fields, object);
  if (!query) return tl::unexpected(query.error());
  return wrapped<T>(200, query->project(std::move(object)));
}

template <typename T>
Result<Reply> show(const Call& call) {
  const auto object = find<T>(call, call.ids.back());
  if (!object) return tl::unexpected(object.error());
  return shown<T>(call, render(view(call), **object));
}

// Passes the body's attributes to a read_...(Attributes&, ...) function.
template <typename T, typename Read>
Result<void> read_body(const Call& call, Purpose purpose, Read read) {
  const auto& words = Kind<T>::words;
  const auto body = unwrap(call.request, words.argument, words.singular);
  if (!body) return tl::unexpected(body.error());
  Attributes in(*body, purpose, std::string(words.argument) + "." + std::string(words.singular));
  read(in);
  return in.finish();
}

// Answers to changes show the object as the real service does: it is pending, although the change
// was applied already, and a new object is also offline.
struct ShownAs {
  std::string_view provisioning_status = {};
  std::string_view operating_status = {};
};

template <typename T>
Reply answer(const Call& call, unsigned status, const T& object, ShownAs as) {
  auto rendered = render(view(call), object);
  if (rendered.contains("provisioning_status")) {
    rendered["provisioning_status"] = as.provisioning_status;
    if (as.provisioning_status == "PENDING_CREATE") show_as_never_updated(rendered);
    if (!as.operating_status.empty()) rendered["operating_status"] = as.operating_status;
  }
  return wrapped<T>(status, std::move(rendered));
}

// POST: `add` puts the new object into the model and returns its id.
template <typename T, typename Add>
Result<Reply> create(const Call& call, Add add, std::string_view operating_status = "OFFLINE") {
  Uuid id{};
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    auto added = add(model);
    if (!added) return tl::unexpected(added.error());
    id = *added;
    return {};
  });
  if (!changed) return tl::unexpected(changed.error());
  const auto& table = call.context.controller.model().*Kind<T>::table;
  return answer(call, 201, table.at(id), {"PENDING_CREATE", operating_status});
}

// PUT: `edited` is the object with the new attributes; `then` may refuse it after the model has
// not.
template <typename T, typename Then>
Result<Reply> update(const Call& call, const T& edited, Then then) {
  auto changed = change(call, [&](model::Model& model) -> Result<void> {
    if (auto replaced = model::replace(model, edited, now()); !replaced) return replaced;
    return then(model);
  });
  if (!changed) return tl::unexpected(changed.error());
  const auto& table = call.context.controller.model().*Kind<T>::table;
  return answer(call, 200, table.at(edited.id), {"PENDING_UPDATE", {}});
}

template <typename T>
Result<Reply> update(const Call& call, const T& edited) {
  return update(call, edited, [](const model::Model&) { return Result<void>(); });
}

// DELETE: `remove` takes the object out of the model.
template <typename Remove>
Result<Reply> remove(const Call& call, Remove remove) {
  auto changed = change(call, [&](model::Model& model) -> Result<void> { return remove(model); });
  if (!changed) return tl::unexpected(changed.error());
  return Reply{204, std::nullopt};
}

}  // namespace sluice::api
