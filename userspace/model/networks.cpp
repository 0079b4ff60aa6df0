#include "model/networks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/algorithm/string/classification.hpp>
#include <boost/algorithm/string/split.hpp>
#include <boost/uuid/name_generator.hpp>
#include <map>
#include <set>

#include "model/free_address.hpp"
#include "model/vips.hpp"

namespace sluice::model {
namespace {

using Words = std::map<std::string, std::string, std::less<>>;

// The same name gives the same id, on every machine and at every start.
Uuid id_from_name(std::string_view kind, const std::string& name) {
  static const auto ours = boost::uuids::name_generator_sha1(boost::uuids::ns::dns())("sluice");
  return boost::uuids::name_generator_sha1(ours)(fmt::format("{} {}", kind, name));
}

tl::unexpected<Error> wrong(std::string_view line, const std::string& what) {
  return fail(ErrorKind::invalid, fmt::format("subnet '{}': {}", line, what),
              "for example: private-subnet,network=private,cidr=10.0.0.0/24,"
              "range=10.0.0.16-10.0.0.99");
}

Result<Words> split(std::string_view line) {
  std::vector<std::string> parts;
  boost::split(parts, line, boost::is_any_of(","));
  Words words{{"name", parts.front()}};
  if (parts.front().empty() || parts.front().find('=') != std::string::npos) {
    return wrong(line, "begins with the subnet's name");
  }
  static const std::set<std::string_view> known = {"network", "cidr", "range",     "gateway",
                                                   "id",      "name", "network-id"};
  for (auto part = std::next(parts.begin()); part != parts.end(); ++part) {
    const auto equals = part->find('=');
    const auto key = part->substr(0, equals);
    const bool flag = key == "external" && equals == std::string::npos;
    if (!flag && (equals == std::string::npos || !known.contains(key))) {
      return wrong(line, fmt::format("does not understand '{}'", *part));
    }
    const auto value = flag ? std::string() : part->substr(equals + 1);
    if (!words.emplace(key, value).second) return wrong(line, fmt::format("two times {}", key));
  }
  return words;
}

// The UUID that a word gives, or one made from the name.
Result<Uuid> id_of(std::string_view line, const Words& words, std::string_view key,
                   std::string_view kind, const std::string& name) {
  const auto given = words.find(key);
  if (given == words.end()) return id_from_name(kind, name);
  const auto id = parse_uuid(given->second);
  if (!id) return wrong(line, fmt::format("{} '{}' is not a UUID", key, given->second));
  return *id;
}

// Sets the range to all but the network's own address, an IPv4 network's broadcast address and a
// gateway at an end.
void set_whole_range(Subnet& subnet) {
  const auto& cidr = subnet.cidr;
  const unsigned width = cidr.is_v6() ? 128 : 32;
  subnet.first = cidr.address;
  subnet.last = cidr.last();
  if (cidr.prefix_length + 1 >= width) return;  // one or two addresses: all are hosts
  subnet.first = next(subnet.first);
  if (subnet.gateway == subnet.first) subnet.first = next(subnet.first);
}

Result<void> set_range(std::string_view line, const std::string& text, Subnet& subnet) {
  const auto dash = text.find('-');
  const auto first = parse_ip_address(text.substr(0, dash));
  const auto last = dash == text.npos ? first : parse_ip_address(text.substr(dash + 1));
  if (!first || !last || !subnet.cidr.contains(*first) || !subnet.cidr.contains(*last) ||
      *last < *first) {
    return wrong(
        line, fmt::format("range '{}' is not FIRST-LAST within {}", text, subnet.cidr.to_string()));
  }
  subnet.first = *first;
  subnet.last = *last;
  return {};
}

Result<void> set_addresses(std::string_view line, const Words& words, Subnet& subnet) {
  const auto cidr = words.find("cidr");
  if (cidr == words.end()) return wrong(line, "has no cidr");
  const auto network = parse_ip_network(cidr->second);
  if (!network) return wrong(line, fmt::format("cidr '{}' is not a network", cidr->second));
  subnet.cidr = *network;
  if (const auto gateway = words.find("gateway"); gateway != words.end()) {
    const auto address = parse_ip_address(gateway->second);
    if (!address || !network->contains(*address)) {
      return wrong(line, fmt::format("gateway '{}' is not an address in {}", gateway->second,
                                     network->to_string()));
    }
    subnet.gateway = *address;
  }
  set_whole_range(subnet);
  const auto range = words.find("range");
  return range == words.end() ? Result<void>{} : set_range(line, range->second, subnet);
}

template <typename T, typename Has>
bool any_with(const Table<T>& table, const Uuid& address, Has has) {
  bool any = false;
  table.walk(Facet::address, address, [&](const T& object) { return !(any = has(object)); });
  return any;
}

// Tells whether an object of the model has the address.
bool is_taken(const Model& model, const IpAddress& address) {
  const auto asked = subject(address);
  const auto has = [&](const auto& object) { return object.address == address; };
  return any_with(model.load_balancers, asked,
                  [&](const LoadBalancer& object) { return has_address(object, address); }) ||
         any_with(model.floating_ips, asked, has) || any_with(model.members, asked, has);
}

bool is_last_of_v4(const Subnet& subnet, const IpAddress& address) {
  return address.is_v4() && subnet.cidr.prefix_length < 31 && address == subnet.cidr.last();
}

}  // namespace

Result<void> Networks::declare(std::string_view line) {
  const auto words = split(line);
  if (!words) return tl::unexpected(words.error());
  Subnet subnet;
  subnet.name = words->at("name");
  const auto id = id_of(line, *words, "id", "subnet", subnet.name);
  if (!id) return tl::unexpected(id.error());
  subnet.id = *id;
  if (find_subnet(subnet.id) != nullptr) return wrong(line, "is declared two times");
  if (auto set = set_addresses(line, *words, subnet); !set) return set;
  for (const auto& network : networks_) {
    for (const auto& other : network.subnets) {
      if (!other.cidr.contains(subnet.cidr.address) && !subnet.cidr.contains(other.cidr.address)) {
        continue;
      }
      return wrong(line, fmt::format("overlaps {} ({})", other.name, other.cidr.to_string()));
    }
  }

  const auto named = words->find("network");
  const auto& name = named == words->end() ? subnet.name : named->second;
  const auto network_id = id_of(line, *words, "network-id", "network", name);
  if (!network_id) return tl::unexpected(network_id.error());
  subnet.network_id = *network_id;
  auto network = std::ranges::find(networks_, subnet.network_id, &Network::id);
  if (network == networks_.end()) {
    network = networks_.insert(networks_.end(), {*network_id, name, false, {}});
  }
  network->external = network->external || words->contains("external");
  network->subnets.push_back(std::move(subnet));
  return {};
}

const Network* Networks::find_network(const Uuid& id) const {
  const auto found = std::ranges::find(networks_, id, &Network::id);
  return found == networks_.end() ? nullptr : &*found;
}

const Subnet* Networks::find_subnet(const Uuid& id) const {
  for (const auto& network : networks_) {
    const auto found = std::ranges::find(network.subnets, id, &Subnet::id);
    if (found != network.subnets.end()) return &*found;
  }
  return nullptr;
}

const Subnet* Networks::subnet_of(const IpAddress& address) const {
  for (const auto& network : networks_) {
    for (const auto& subnet : network.subnets) {
      if (subnet.cidr.contains(address)) return &subnet;
    }
  }
  return nullptr;
}

Result<IpAddress> allocate_address(const Model& model, const Subnet& subnet,
                                   const MayGive& may_give) {
  for (auto address = subnet.first;; address = next(address)) {
    const bool usable = !is_taken(model, address) && address != subnet.gateway &&
                        !is_last_of_v4(subnet, address) && may_give(address);
    if (usable) return address;
    if (address == subnet.last) break;
  }
  return fail(ErrorKind::conflict, fmt::format("No more IP addresses available on network {}.",
                                               to_string(subnet.network_id)));
}

Result<IpAddress> allocate_address(const Model& model, const Subnet& subnet) {
  return allocate_address(model, subnet, [](const IpAddress&) { return true; });
}

}  // namespace sluice::model
