// keepalived: the virtual servers of keepalived.conf(5).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <functional>
#include <map>
#include <set>

#include "base/ip_address.hpp"
#include "sluicectl/import/virtual_server.hpp"

namespace sluice::ctl {
namespace {

struct VirtualServer {
  std::string protocol = "TCP", scheduler = "wlc", mode = "dnat";
  std::vector<std::string> flags = {};
  std::string persistence = {}, mask = {}, virtualhost = {};
  std::int64_t delay = 60;
  Directive* persistent = nullptr;
  Directive* scheduled = nullptr;
  Directive* one_packet = nullptr;
  std::vector<Item> members = {};
  std::vector<Item> monitors = {};
};

Item make_monitor(std::string_view type, std::int64_t delay) {
  Item item{&health_monitor_shape(), {}, {}, 0, {}, {}};
  set(item, "type", type);
  set(item, "delay", std::max<std::int64_t>(delay, 1));
  set(item, "timeout", 5);  // keepalived's connect_timeout
  set(item, "max_retries", 1);
  set(item, "max_retries_down", 2);
  return item;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

// Words of a place: "10.0.0.16 80".
std::optional<Place> place_of(const Directive& directive, std::size_t at) {
  const auto address = parse_ip_address(directive.word(at));
  if (!address) return std::nullopt;
  const auto port = number(directive.word(at + 1));
  return Place{address->to_string(), port.value_or(0)};
}

class Importer {
 public:
  Importer(const ImportSource& source, std::vector<Directive> statements)
      : draft_(source), statements_(std::move(statements)) {}

  std::string run() {
    for (auto& statement : statements_)
      if (statement.name() == "virtual_server_group") read_group(statement);
    for (auto& statement : statements_) top_level(statement);
    return draft_.manifest(statements_);
  }

 private:
  void top_level(Directive& statement) {
    const auto& name = statement.name();
    if (name == "virtual_server") return virtual_server(statement);
    if (statement.told) return;
    if (name.starts_with("vrrp_"))
      draft_.lose(
          statement,
          "there is no VRRP here. Sluice answers ARP for VIPs itself: no host may have them");
    else if (name == "global_defs" || name == "static_ipaddress" || name == "static_routes")
      draft_.lose(statement, "it is about the process or the host, not about balancing");
    else if (name.starts_with("include"))
      draft_.lose(statement, "includes are not followed: import that file, too");
  }

  void read_group(Directive& group) {
    group.told = true;
    for (auto& line : group.block) {
      const auto address = parse_ip_address(line.name());
      const auto port = number(line.word(1));
      if (address && port) {
        groups_[group.word(1)].push_back({address->to_string(), *port});
        line.told = true;
      } else {
        draft_.lose(line, "only single addresses with a port are known");
      }
    }
  }

  std::vector<Place> places(Directive& statement) {
    if (statement.word(1) == "fwmark") {
      draft_.lose(statement, "a listener is an address and a port, not a firewall mark");
      return {};
    }
    if (statement.word(1) == "group") {
      const auto found = groups_.find(statement.word(2));
      if (found != groups_.end()) return found->second;
      draft_.lose(statement, "there is no such group");
      return {};
    }
    const auto place = place_of(statement, 1);
    if (place && place->port > 0) return {*place};
    draft_.lose(statement, "it has to be an address and a port");
    return {};
  }

  void virtual_server(Directive& statement) {
    statement.told = true;
    const auto where = places(statement);
    if (where.empty()) return;
    VirtualServer server;
    for (auto& line : statement.block)
      if (line.name() != "real_server") option(server, line);
    for (auto& line : statement.block)
      if (line.name() == "real_server") real_server(server, line, where.front().port);
    auto& scheduled = server.scheduled ? *server.scheduled : statement;
    const auto algorithm = algorithm_of(draft_, scheduled, server.scheduler, server.flags);
    for (const auto& place : where) {
      auto pool = make_pool(fmt::format("{}_{}", server.protocol, place.port), server.protocol,
                            algorithm, server.mode);
      if (server.persistent)
        set_persistence(draft_, *server.persistent, pool, server.persistence, server.mask);
      pool.children = server.members;
      if (!server.monitors.empty()) pool.children.push_back(server.monitors.front());
      auto listener = make_listener(server.protocol, place.port);
      if (server.one_packet) set_one_packet(draft_, *server.one_packet, listener, server.mode);
      draft_.add(statement, place.address, std::move(listener), std::move(pool));
    }
  }

  void option(VirtualServer& server, Directive& line) {
    const auto& name = line.name();
    const auto value = line.word(1);
    line.told = true;
    if (name == "lb_algo" || name == "lvs_sched") {
      server.scheduler = value;
      server.scheduled = &line;
    } else if (name == "lb_kind" || name == "lvs_method") {
      kind(server, line);
    } else if (name == "protocol") {
      server.protocol = upper(value);
    } else if (name == "persistence_timeout") {
      server.persistence = value.empty() ? "360" : value;
      server.persistent = &line;
    } else if (name == "persistence_granularity") {
      server.mask = value;
    } else if (name == "delay_loop") {
      server.delay = number(value).value_or(60);
    } else if (name == "virtualhost") {
      server.virtualhost = value;
    } else if (name == "sh-port" || name == "mh-port") {
      server.flags.push_back(name);
    } else if (name == "ops") {
      server.one_packet = &line;
    } else if (name == "sorry_server") {
      sorry_server(server, line);
    } else {
      other(line);
    }
  }

  void kind(VirtualServer& server, Directive& line) {
    const auto kind = upper(line.word(1));
    server.mode = kind == "DR" ? "dsr" : kind == "TUN" ? "ipip" : "dnat";
    if (server.mode == "dnat")
      draft_.remark(line,
                    "imported as dnat: members need this host as their gateway, as with "
                    "IPVS; fullnat needs no routes");
  }

  void sorry_server(VirtualServer& server, Directive& line) {
    const auto place = place_of(line, 1);
    if (!place || place->port == 0) return draft_.lose(line, "it has to be an address and a port");
    auto member = make_member(*place);
    set(member, "backup", true);
    server.members.push_back(std::move(member));
  }

  // Statements of virtual and real servers that are known to keepalived.
  void other(Directive& line) {
    static const std::map<std::string, std::string> reasons{
        {"quorum", "a pool serves as long as it has a member"},
        {"hysteresis", "a pool serves as long as it has a member"},
        {"quorum_up", "no programs are run; sluicectl events --watch tells of changes"},
        {"quorum_down", "no programs are run; sluicectl events --watch tells of changes"},
        {"notify_up", "no programs are run; sluicectl events --watch tells of changes"},
        {"notify_down", "no programs are run; sluicectl events --watch tells of changes"},
        {"alpha", "new members are down until their first probe anyway"},
        {"omega", "nothing is done to members when the daemon ends"},
        {"delay_before_retry", "probes keep their pace"},
        {"warmup", "members are probed spread over a second"},
        {"user", "all checks run as one user, check-user of sluiced.conf"},
        {"ha_suspend", "probes don't depend on the VIP"},
        {"inhibit_on_failure", "on_member_down says what becomes of a failed member's connections"},
        {"lthreshold", "a member gets connections again below its max_connections"},
        {"persistence_engine", "the payload is not read"}};
    const auto found = reasons.find(line.name());
    draft_.lose(line, found == reasons.end() ? "unknown here" : found->second);
  }

  void real_server(VirtualServer& server, Directive& statement, std::int64_t virtual_port) {
    statement.told = true;
    auto place = place_of(statement, 1);
    if (!place) return draft_.lose(statement, "names are not resolved");
    if (place->port == 0) place->port = virtual_port;
    auto member = make_member(*place);
    bool checked = false;
    for (auto& line : statement.block) {
      line.told = true;
      if (line.name() == "weight") {
        const auto weight = number(line.word(1)).value_or(1);
        const bool ignored = ignores_weights(server.scheduler) && weight > 1;
        if (ignored) draft_.lose(line, "the scheduler ignores weights");
        set_weight(draft_, line, member, ignored ? 1 : weight);
      } else if (line.name() == "uthreshold") {
        if (const auto most = number(line.word(1)).value_or(0); most > 0)
          set(member, "max_connections", most);
      } else if (line.has_block && std::exchange(checked, true)) {
        draft_.lose(line, "a pool has one health monitor");
      } else if (line.has_block) {
        checker(server, member, line);
      } else {
        other(line);
      }
    }
    server.members.push_back(std::move(member));
  }

  void checker(VirtualServer& server, Item& member, Directive& statement) {
    static const std::map<std::string, std::string> types{
        {"TCP_CHECK", "TCP"},   {"HTTP_GET", "HTTP"},         {"SSL_GET", "HTTPS"},
        {"PING_CHECK", "PING"}, {"UDP_CHECK", "UDP-CONNECT"}, {"MISC_CHECK", "EXTERNAL"}};
    const auto type = types.find(statement.name());
    if (type == types.end())
      return draft_.lose(
          statement, "monitors are TCP, HTTP, HTTPS, TLS-HELLO, PING, UDP-CONNECT, SCTP, EXTERNAL");
    auto monitor = make_monitor(type->second, server.delay);
    bool url = false;
    for (auto& line : statement.block) {
      line.told = true;
      const auto value = number(line.word(1));
      if (line.name() == "connect_timeout" && value)
        set(monitor, "timeout", *value);
      else if (line.name() == "misc_path")
        program(monitor, line);
      else if (line.name() == "misc_timeout" && value)
        set(monitor, "timeout", *value);
      else if (line.name() == "misc_dynamic")
        draft_.lose(line, "the program prints 'weight N%' instead of ending with a number");
      else if ((line.name() == "retry" || line.name() == "nb_get_retry") && value)
        set(monitor, "max_retries_down", std::clamp<std::int64_t>(*value + 1, 1, 10));
      else if (line.name() == "connect_port" && value)
        set(member, "monitor_port", *value);
      else if (line.name() == "connect_ip")
        set(member, "monitor_address", line.word(1));
      else if (line.name() == "delay_loop" && value)
        set(monitor, "delay", *value);
      else if (line.name() == "url" && line.has_block && !std::exchange(url, true))
        page(server, monitor, line);
      else if (line.name() == "url")
        draft_.lose(line, "a monitor asks for one page");
      else
        other(line);
    }
    agree(server, statement, std::move(monitor));
  }

  // "misc_path" is a program and its arguments.
  void program(Item& monitor, Directive& line) {
    const auto command = line.word(1);
    const auto path = command.substr(0, command.find(' '));
    const auto name = name_of_check(path);
    if (name.empty()) return draft_.lose(line, "it names no program");
    set(monitor, "check", name);
    draft_.remark_check(line, name, path);
  }

  // The members' monitors have to be the same one.
  void agree(VirtualServer& server, Directive& statement, Item monitor) {
    const auto same = [&](const Item& other) {
      return std::ranges::equal(monitor.fields, other.fields, [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.value == b.second.value;
      });
    };
    if (server.monitors.empty())
      server.monitors.push_back(std::move(monitor));
    else if (!same(server.monitors.front()))
      draft_.lose(statement, "a pool has one health monitor, which is the first member's");
  }

  void page(VirtualServer& server, Item& monitor, Directive& url) {
    auto host = server.virtualhost;
    for (auto& line : url.block) {
      line.told = true;
      if (line.name() == "path")
        set(monitor, "url_path", line.word(1));
      else if (line.name() == "status_code")
        set(monitor, "expected_codes", line.word(1));
      else if (line.name() == "virtualhost")
        host = line.word(1);
      else
        draft_.lose(line, line.name() == "digest" ? "the page's contents are not compared"
                                                  : "unknown here");
    }
    if (host.empty()) return;
    set(monitor, "http_version", 1.1);
    set(monitor, "domain_name", host);
  }

  Draft draft_;
  std::vector<Directive> statements_;
  std::map<std::string, std::vector<Place>> groups_;
};

}  // namespace

Result<std::string> import_keepalived(const ImportSource& source) {
  auto statements = parse_blocks(source.file, source.text, Statements::lines);
  if (!statements) return tl::unexpected(statements.error());
  return Importer(source, std::move(*statements)).run();
}

}  // namespace sluice::ctl
