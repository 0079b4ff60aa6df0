#include "fleet/roster.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "fleet/json_fields.hpp"

namespace sluice::fleet {
namespace json = boost::json;

std::string NodeEntry::text() const {
  json::object told;
  for (const auto& [object, error] : errors) told.emplace(to_string(object), error);
  return json::serialize(json::object{{"name", name},
                                      {"instance", instance},
                                      {"version", version},
                                      {"applied", applied},
                                      {"errors", std::move(told)},
                                      {"errors_count", errors_count},
                                      {"announcing", announcing.state},
                                      {"announcing_reason", announcing.reason},
                                      {"announced_ipv4_vips", announcing.ipv4},
                                      {"announced_ipv6_vips", announcing.ipv6},
                                      {"peer", peer},
                                      {"probe", spreads ? "spread" : "every"},
                                      {"succeeds", succeeds},
                                      {"peer_key", peer_key},
                                      {"peer_key_used", peer_key_used}});
}

std::optional<NodeEntry> NodeEntry::parse(const std::string& text) {
  const auto object = parse_object(text);
  if (!object) return std::nullopt;
  NodeEntry entry{
      text_at(*object, "name"),
      text_at(*object, "instance"),
      text_at(*object, "version"),
      number_at(*object, "applied"),
      {},
      number_at(*object, "errors_count"),
      {text_at(*object, "announcing"), text_at(*object, "announcing_reason"),
       number_at(*object, "announced_ipv4_vips"), number_at(*object, "announced_ipv6_vips")},
      text_at(*object, "peer"),
      text_at(*object, "probe") == "spread",
      truth_at(*object, "succeeds"),
      number_at(*object, "peer_key"),
      number_at(*object, "peer_key_used")};
  if (const auto* errors = object->if_contains("errors"); errors && errors->is_object()) {
    for (const auto& [id, why] : errors->get_object()) {
      const auto uuid = parse_uuid(id);
      if (uuid && why.is_string()) entry.errors.emplace(*uuid, std::string(why.get_string()));
    }
  }
  return entry;
}

std::string snat_claim_of(const std::string& node) {
  return json::serialize(json::object{{"node", node}});
}

std::string claimant_in(const std::string& claim) {
  const auto object = parse_object(claim);
  return object ? text_at(*object, "node") : std::string();
}

void Roster::reset(std::int64_t revision, const std::vector<KeyValue>& all) {
  revision_ = revision;
  nodes_.clear();
  known_.clear();
  snat_addresses_.clear();
  for (const auto& [key, value, modified] : all) take(key, value);
}

// nullopt: the key is not that of a SNAT address.
std::optional<IpAddress> Roster::snat_address_in(const std::string& key) const {
  const auto prefix = keys_.snat_addresses();
  if (!key.starts_with(prefix)) return std::nullopt;
  const auto address = parse_ip_address(key.substr(prefix.size()));
  return address ? std::optional(*address) : std::nullopt;
}

void Roster::take(const std::string& key, const std::string& value) {
  if (const auto address = snat_address_in(key))
    snat_addresses_.insert_or_assign(*address, claimant_in(value));
  if (key.starts_with(keys_.known_nodes())) known_.insert(key.substr(keys_.known_nodes().size()));
  if (!key.starts_with(keys_.nodes())) return;
  auto entry = NodeEntry::parse(value);
  if (!entry) return drop(key);
  nodes_.insert_or_assign(key.substr(keys_.nodes().size()), std::move(*entry));
}

void Roster::drop(const std::string& key) {
  if (const auto address = snat_address_in(key)) snat_addresses_.erase(*address);
  if (key.starts_with(keys_.known_nodes())) known_.erase(key.substr(keys_.known_nodes().size()));
  if (key.starts_with(keys_.nodes())) nodes_.erase(key.substr(keys_.nodes().size()));
}

std::vector<std::string> Roster::gone() const {
  std::vector<std::string> names;
  for (const auto& name : known_) {
    if (!nodes_.contains(name)) names.push_back(name);
  }
  return names;
}

void Roster::follow(const std::vector<Change>& changes) {
  for (const auto& [entry, removed] : changes) {
    if (entry.modified <= revision_) continue;
    if (removed) {
      drop(entry.key);
    } else {
      take(entry.key, entry.value);
    }
  }
}

bool Roster::have_applied(std::uint64_t generation, const std::string& but) const {
  return std::ranges::all_of(nodes_, [&](const auto& node) {
    return node.first == but || node.second.applied >= generation;
  });
}

std::string Roster::error_of(const Uuid& object, const std::string& but) const {
  for (const auto& [name, node] : nodes_) {
    const auto found = node.errors.find(object);
    if (name != but && found != node.errors.end())
      return fmt::format("{}: {}", name, found->second);
  }
  return {};
}

}  // namespace sluice::fleet
