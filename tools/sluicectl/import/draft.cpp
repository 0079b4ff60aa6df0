#include "sluicectl/import/draft.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/printable.hpp"
#include "sluicectl/manifest/file.hpp"

namespace sluice::ctl {
namespace {

Item make(const Shape& shape) {
  return {&shape, {}, {}, 0, {}, {}};
}

bool same(const Item& one, const Item& other) {
  const auto same_value = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second.value == b.second.value;
  };
  return one.shape == other.shape &&
         std::equal(one.fields.begin(), one.fields.end(), other.fields.begin(), other.fields.end(),
                    same_value) &&
         std::equal(one.children.begin(), one.children.end(), other.children.begin(),
                    other.children.end(), same);
}

void tell(Directive& directive) {
  directive.told = true;
  for (auto& inner : directive.block) tell(inner);
}

}  // namespace

void set_value(Item& item, std::string_view field, boost::json::value value) {
  const std::string name(field);
  item.fields.erase(name);  // put() leaves it as it is if the value is the fallback
  put(item, *item.shape->find(name), {std::move(value), 0, {}});
}

Item make_listener(std::string_view protocol, std::int64_t port) {
  auto item = make(listener_shape());
  set(item, "protocol", protocol);
  set(item, "protocol_port", port);
  return item;
}

Item make_listener(std::string_view protocol, const PortRange& ports) {
  auto item = make_listener(protocol, ports.first.port);
  if (ports.last > ports.first.port) set(item, "protocol_port_range", ports.last);
  return item;
}

Item make_pool(std::string_view name, std::string_view protocol, std::string_view algorithm,
               std::string_view forwarding_mode) {
  auto item = make(pool_shape());
  set(item, "name", name);
  set(item, "protocol", protocol);
  set(item, "lb_algorithm", algorithm);
  set(item, "forwarding_mode", forwarding_mode);
  return item;
}

Item make_member(const Place& place) {
  auto item = make(member_shape());
  set(item, "address", place.address);
  set(item, "protocol_port", place.port);
  return item;
}

std::string name_of_check(std::string_view path) {
  auto name = std::string(path.substr(path.rfind('/') + 1));
  std::erase_if(name, [](unsigned char letter) {
    return !std::isalnum(letter) && letter != '.' && letter != '_' && letter != '-';
  });
  constexpr std::size_t longest = 64;  // model/limits.hpp
  return name.substr(std::min(name.find_first_not_of("._-"), name.size()), longest);
}

void Draft::comment(const Directive& directive, const std::string& text) {
  comments_.push_back({directive.line, directive.last_line, text});
}

void Draft::lose(Directive& directive, const std::string& why) {
  tell(directive);
  comment(directive, fmt::format("{}: {}", directive.text(), why));
}

void Draft::lose(Directive& directive, const std::string& part, const std::string& why) {
  directive.told = true;
  comments_.push_back(
      {directive.line, directive.line, fmt::format("{}: {}: {}", directive.name(), part, why)});
}

void Draft::remark(Directive& directive, const std::string& what) {
  directive.told = true;
  comments_.push_back(
      {directive.line, directive.line, fmt::format("{}: {}", directive.text(), what)});
}

void Draft::remark_check(Directive& directive, const std::string& name, const std::string& path) {
  remark(directive,
         fmt::format(
             "root declares it on each node, in sluiced.conf: check = {}={}; it is run with the "
             "member's address and port as its arguments, as the user sluice-check",
             name, path));
}

std::string Draft::vip_for(Directive& directive, const Place& place) {
  if (!place.address.empty()) return place.address;
  if (source_.vip.empty())
    lose(directive, "it listens on all addresses, and a VIP is one: name it with --vip");
  return source_.vip;
}

void Draft::lose_untranslatable(Directive& directive, const std::string& vip, Item& pool) {
  const bool v6 = parse_place(vip)->address.find(':') != std::string::npos;
  std::erase_if(pool.children, [&](const Item& child) {
    const auto address = child.shape == &member_shape() ? child.text("address") : "";
    const bool other = !address.empty() && (address.find(':') != std::string::npos) != v6;
    if (other)
      lose(directive, "member " + address,
           fmt::format("its IP version is not that of {}: give that snat_addresses of {} first",
                       vip, v6 ? "IPv4" : "IPv6"));
    return other;
  });
}

void Draft::add(Directive& directive, const std::string& vip, Item listener, Item pool) {
  lose_untranslatable(directive, vip, pool);
  auto& balancers = document_.children;
  auto balancer = std::find_if(balancers.begin(), balancers.end(),
                               [&](const Item& item) { return item.text("vip_address") == vip; });
  if (balancer == balancers.end()) {
    auto item = make(load_balancer_shape());
    set(item, "name", "lb_" + vip);
    set(item, "vip_address", vip);
    balancer = balancers.insert(balancers.end(), std::move(item));
  }
  const auto wanted = pool.text("name");
  for (int copy = 2;; ++copy) {
    const auto there =
        std::find_if(balancer->children.begin(), balancer->children.end(), [&](const Item& item) {
          return item.shape == &pool_shape() && item.text("name") == pool.text("name");
        });
    if (there == balancer->children.end()) {
      balancer->children.push_back(pool);
      break;
    }
    if (same(*there, pool)) break;
    set(pool, "name", fmt::format("{}-{}", wanted, copy));
  }
  set(listener, "default_pool", pool.text("name"));
  balancer->children.push_back(std::move(listener));
}

void Draft::lose_rest(std::vector<Directive>& statements) {
  for (auto& statement : statements) {
    if (!statement.told)
      lose(statement, "unknown here");
    else
      lose_rest(statement.block);
  }
}

std::string Draft::manifest(std::vector<Directive>& statements) {
  lose_rest(statements);
  std::stable_sort(comments_.begin(), comments_.end(),
                   [](const Comment& a, const Comment& b) { return a.first < b.first; });
  auto out = fmt::format(
      "# Made from {} by sluicectl import. What it would do, apply tells first;\n"
      "# it removes what this file does not name:\n"
      "#   sluicectl apply --dry-run -f THIS_FILE\n",
      printable(source_.file));
  if (!comments_.empty())
    out += "#\n# Not carried over, or with a difference (line: statement: reason):\n";
  for (const auto& [first, last, text] : comments_) {
    const auto lines = first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
    auto one_line = printable(text);
    std::replace(one_line.begin(), one_line.end(), '\n', ' ');
    out += fmt::format("#   {}: {}\n", lines, one_line);
  }
  // Not an empty list: who applied that would remove everything.
  if (document_.children.empty())
    return out + "#\n# Nothing here could be carried over, so there is nothing to apply.\n";
  return out + write_manifest(document_);
}

}  // namespace sluice::ctl
