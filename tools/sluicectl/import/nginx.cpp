// nginx: the stream block (ngx_stream_core, proxy, upstream, access and limit_conn modules).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <map>
#include <optional>
#include <set>

#include "base/ip_address.hpp"
#include "sluicectl/import/virtual_server.hpp"

namespace sluice::ctl {
namespace {

// A server block, beginning with what the stream block says.
struct Server {
  std::vector<Directive*> listens = {};
  Directive* pass = nullptr;
  std::int64_t timeout = 0;
  std::vector<std::string> allowed = {};
  bool others_denied = false;
};

class Importer {
 public:
  Importer(const ImportSource& source, std::vector<Directive> statements)
      : draft_(source), statements_(std::move(statements)) {}

  std::string run() {
    for (auto& statement : statements_) {
      if (statement.name() == "stream")
        stream(statement);
      else if (statement.name() == "http" || statement.name() == "mail")
        draft_.lose(statement, "only the stream block is layer 4");
      else if (statement.name() == "include")
        draft_.lose(statement, "includes are not followed: import that file, too");
      else
        draft_.lose(statement, "it is about the process");
    }
    return draft_.manifest(statements_);
  }

 private:
  void stream(Directive& block) {
    block.told = true;
    Server defaults;
    for (auto& line : block.block) {
      if (line.name() == "upstream")
        upstreams_[line.word(1)] = &line;
      else if (line.name() != "server")
        option(defaults, line);
    }
    for (auto& line : block.block)
      if (line.name() == "server") server(defaults, line);
    for (const auto& [name, upstream] : upstreams_)
      if (!upstream->told) draft_.lose(*upstream, "no server that was imported passes to it");
  }

  void option(Server& out, Directive& line) {
    const auto& name = line.name();
    line.told = true;
    if (name == "listen") {
      out.listens.push_back(&line);
    } else if (name == "proxy_pass") {
      out.pass = &line;
    } else if (name == "proxy_timeout" && milliseconds(line.word(1), 1000)) {
      out.timeout = *milliseconds(line.word(1), 1000);
    } else if (name == "allow" || name == "deny") {
      access(out, line);
    } else {
      other(line);
    }
  }

  // "allow NETWORK;" lines and then "deny all;": other orders need rules.
  void access(Server& out, Directive& line) {
    const auto value = line.word(1);
    if (line.name() == "allow" && value == "all" && out.allowed.empty()) return;
    if (line.name() == "allow" && value != "all" && !out.others_denied)
      out.allowed.push_back(value);
    else if (line.name() == "deny" && value == "all" && !out.allowed.empty())
      out.others_denied = true;
    else
      draft_.lose(line, "only 'allow NETWORK' lines before one 'deny all' are known");
  }

  void other(Directive& line) {
    static const std::map<std::string, std::string> reasons{
        {"proxy_connect_timeout", "a listener's timeout_member_connect is the like"},
        {"proxy_next_upstream", "the client retransmits its SYN, to another member if one fails"},
        {"proxy_responses", "UDP sessions end when both sides are silent"},
        {"proxy_requests", "UDP sessions end when both sides are silent"},
        {"proxy_protocol",
         "version 1 is not sent: a pool of protocol PROXYV2 sends version 2; clients' addresses "
         "reach members with --forwarding-mode dnat, dsr or ipip, too"},
        {"proxy_bind", "clients' addresses reach members with --forwarding-mode dnat, dsr or ipip"},
        {"limit_conn", "--connection-limit is for all clients, --new-connection-limit for each"},
        {"limit_conn_zone",
         "--connection-limit is for all clients, --new-connection-limit for each"},
        {"access_log", "packets are counted, not logged: sluicectl drops, flows, capture"},
        {"error_log", "packets are counted, not logged: sluicectl drops, flows, capture"},
        {"log_format", "packets are counted, not logged: sluicectl drops, flows, capture"},
        {"map", "a listener has one pool: there are no rules"},
        {"split_clients", "a listener has one pool: there are no rules"},
        {"geo", "a listener has one pool: there are no rules"},
        {"ssl_preread", "the payload is not read"},
        {"preread_buffer_size", "the payload is not read"},
        {"preread_timeout", "the payload is not read"},
        {"resolver", "names are not resolved"},
        {"include", "includes are not followed: import that file, too"}};
    const auto found = reasons.find(line.name());
    const bool tls = line.name().starts_with("ssl_") || line.name().starts_with("proxy_ssl");
    draft_.lose(line, found != reasons.end() ? found->second
                      : tls                  ? "TLS passes through unread"
                                             : "unknown here");
  }

  void server(const Server& defaults, Directive& block) {
    block.told = true;
    auto server = defaults;
    for (auto& line : block.block) option(server, line);
    if (server.pass == nullptr) return draft_.lose(block, "it has no proxy_pass");
    for (auto* listen : server.listens) listener(server, *listen);
    if (server.listens.empty()) draft_.lose(block, "it has no listen line");
  }

  void listener(const Server& server, Directive& listen) {
    std::string protocol = "TCP";
    for (std::size_t at = 2; at < listen.words.size(); ++at) {
      const auto word = listen.word(at);
      if (word == "ssl")
        return draft_.lose(listen, "TLS is not terminated here; members can do it");
      if (word == "udp")
        protocol = "UDP";
      else if (word != "reuseport" && word != "default_server" && !word.starts_with("backlog"))
        draft_.lose(listen, word, "it has no counterpart on layer 4");
    }
    const auto ports = parse_ports(listen.word(1));
    if (!ports)
      return draft_.lose(listen, "it has to be an address and a port, or a range of ports");
    const auto vip = draft_.vip_for(listen, ports->first);
    if (vip.empty()) return;
    auto item = make_listener(protocol, *ports);
    set_idle_timeout(listen, item, server.timeout);
    set_allowed(listen, item, server);
    if (auto pool = pool_of(*server.pass, protocol))
      draft_.add(listen, vip, std::move(item), std::move(*pool));
  }

  void set_idle_timeout(Directive& listen, Item& item, std::int64_t timeout) {
    constexpr std::int64_t longest = 86'400'000;
    if (timeout > longest)
      draft_.lose(listen, fmt::format("its idle timeout of {} s", timeout / 1000),
                  "86400 s are the longest");
    if (timeout > 0)
      set(item, "idle_timeout", std::max<std::int64_t>(std::min(timeout, longest) / 1000, 1));
  }

  void set_allowed(Directive& listen, Item& item, const Server& server) {
    boost::json::array networks;
    for (const auto& network : server.allowed) networks.emplace_back(network);
    if (server.others_denied)
      set(item, "allowed_cidrs", std::move(networks));
    else if (!networks.empty())
      draft_.lose(listen, "its allow lines", "without 'deny all' they allow everybody");
  }

  std::optional<Item> pool_of(Directive& pass, const std::string& protocol) {
    const auto target = pass.word(1);
    if (const auto found = upstreams_.find(target); found != upstreams_.end())
      return upstream(*found->second, protocol);
    constexpr std::string_view as_listened = ":$server_port";  // member port 0
    const bool kept = target.ends_with(as_listened);
    const auto place =
        parse_place(kept ? target.substr(0, target.size() - as_listened.size()) : target);
    if (!place || place->address.empty() || (place->port == 0) != kept) {
      draft_.lose(pass, "it has to name an upstream, or an address and a port");
      return std::nullopt;
    }
    auto pool = make_pool(kept ? place->address : target, protocol, "ROUND_ROBIN", "fullnat");
    pool.children.push_back(make_member(*place));
    return pool;
  }

  Item upstream(Directive& block, const std::string& protocol) {
    // A second listener of the same upstream must not repeat its comments.
    const bool first = told_.insert(&block).second;
    block.told = true;
    auto pool = make_pool(block.word(1), protocol, "ROUND_ROBIN", "fullnat");
    for (auto& line : block.block) {
      line.told = true;
      if (line.name() == "server")
        member(pool, line, first);
      else if (line.name() == "least_conn")
        set(pool, "lb_algorithm", "LEAST_CONNECTIONS");
      else if (line.name() == "hash" && line.word(1) == "$remote_addr")
        set(pool, "lb_algorithm", "SOURCE_IP");
      else if (line.name() == "hash" && (line.word(1) == "$remote_addr$remote_port" ||
                                         line.word(1) == "$remote_addr:$remote_port"))
        set(pool, "lb_algorithm", "SOURCE_IP_PORT");
      else if (first)
        draft_.lose(line, line.name() == "zone" ? "there is one state for all CPUs anyway"
                          : line.name() == "hash" || line.name() == "random"
                              ? "there is no such algorithm, ROUND_ROBIN takes its place"
                              : "unknown here");
    }
    return pool;
  }

  void member(Item& pool, Directive& line, bool first) {
    const auto place = parse_place(line.word(1));
    if (!place || place->address.empty() || place->port == 0) {
      if (first) draft_.lose(line, "it has to be an address and a port; names are not resolved");
      return;
    }
    auto item = make_member(*place);
    for (std::size_t at = 2; at < line.words.size(); ++at) {
      const auto word = line.word(at);
      const auto weight = word.starts_with("weight=") ? number(word.substr(7)) : std::nullopt;
      const auto most = word.starts_with("max_conns=") ? number(word.substr(10)) : std::nullopt;
      if (weight && *weight <= 256)
        set(item, "weight", *weight);
      else if (most && *most > 0)
        set(item, "max_connections", *most);
      else if (most)
        continue;  // 0: no limit
      else if (word == "backup")
        set(item, "backup", true);
      else if (word == "down")
        set(item, "admin_state_up", false);
      else if (first)
        draft_.lose(line, word, reason_of(word));
    }
    pool.children.push_back(std::move(item));
  }

  static std::string reason_of(const std::string& word) {
    if (word.starts_with("max_fails") || word.starts_with("fail_timeout"))
      return "a health monitor takes members out: add a healthmonitor to the pool";
    if (word.starts_with("weight")) return "256 is the highest weight";
    return word == "resolve" ? "names are not resolved" : "unknown here";
  }

  Draft draft_;
  std::vector<Directive> statements_;
  std::map<std::string, Directive*> upstreams_;
  std::set<const Directive*> told_;
};

}  // namespace

Result<std::string> import_nginx(const ImportSource& source) {
  auto statements = parse_blocks(source.file, source.text, Statements::semicolons);
  if (!statements) return tl::unexpected(statements.error());
  return Importer(source, std::move(*statements)).run();
}

}  // namespace sluice::ctl
