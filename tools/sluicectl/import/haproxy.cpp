// haproxy: frontends, backends and listen sections in TCP mode (HAProxy's configuration manual).
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "sluicectl/import/virtual_server.hpp"

namespace sluice::ctl {
namespace {

constexpr const char* no_counterpart = "it has no counterpart on layer 4";

// How one server is probed and weighed; default-server changes what the following ones begin with.
struct ServerSettings {
  std::int64_t weight = 1, interval = 2000, rise = 2, fall = 3;
  bool check = false, backup = false, disabled = false, proxy = false;
  std::int64_t check_port = 0;
  std::string check_address = {};
};

// What a section says, beginning with what its defaults say.
struct Settings {
  bool tcp = true;
  std::string algorithm = "ROUND_ROBIN";
  bool sticky = false;
  std::int64_t connections = -1;
  std::int64_t client_timeout = 0, server_timeout = 0, tunnel_timeout = 0, check_timeout = 0,
               connect_timeout = 0;
  std::string check = "TCP", method = {}, path = {}, host = {}, codes = {}, program = {};
  std::string default_backend = {};
  ServerSettings server = {};
};

struct Section {
  Directive* head = nullptr;
  Settings settings = {};
  std::vector<Directive*> binds = {};
  std::vector<std::pair<Place, ServerSettings>> servers = {};  // places with port 0: the bind's
  std::vector<std::string> names = {};                         // of the servers
};

// Parameters of bind and server lines that are followed by a value.
const std::set<std::string>& with_value() {
  static const std::set<std::string> names{"addr",
                                           "alpn",
                                           "ca-file",
                                           "check-alpn",
                                           "check-proto",
                                           "check-sni",
                                           "ciphers",
                                           "ciphersuites",
                                           "cookie",
                                           "crl-file",
                                           "crt",
                                           "downinter",
                                           "error-limit",
                                           "fall",
                                           "fastinter",
                                           "group",
                                           "id",
                                           "init-addr",
                                           "inter",
                                           "interface",
                                           "level",
                                           "maxconn",
                                           "maxqueue",
                                           "minconn",
                                           "mode",
                                           "mss",
                                           "name",
                                           "namespace",
                                           "nice",
                                           "npn",
                                           "observe",
                                           "on-error",
                                           "on-marked-down",
                                           "on-marked-up",
                                           "pool-max-conn",
                                           "pool-purge-delay",
                                           "port",
                                           "process",
                                           "proto",
                                           "redir",
                                           "resolve-net",
                                           "resolve-opts",
                                           "resolve-prefer",
                                           "resolvers",
                                           "rise",
                                           "slowstart",
                                           "sni",
                                           "socks4",
                                           "source",
                                           "ssl-max-ver",
                                           "ssl-min-ver",
                                           "tcp-ut",
                                           "thread",
                                           "track",
                                           "uid",
                                           "user",
                                           "verify",
                                           "verifyhost",
                                           "weight",
                                           "agent-addr",
                                           "agent-inter",
                                           "agent-port",
                                           "agent-send",
                                           "backlog",
                                           "usesrc"};
  return names;
}

class Importer {
 public:
  Importer(const ImportSource& source, std::vector<Directive> lines)
      : draft_(source), lines_(std::move(lines)) {}

  std::string run() {
    for (auto& line : lines_) statement(line);
    for (auto& section : sections_) serve(section);
    for (auto& section : sections_) lose_unused(section);
    return draft_.manifest(lines_);
  }

 private:
  void statement(Directive& line) {
    static const std::set<std::string> keywords{
        "global",      "defaults",  "frontend", "backend",     "listen", "peers",       "resolvers",
        "userlist",    "mailers",   "cache",    "program",     "ring",   "http-errors", "fcgi-app",
        "log-forward", "crt-store", "traces",   "log-profile", "acme"};
    if (!keywords.contains(line.name())) return in_section(line);
    kind_ = line.name();
    line.told = true;
    if (kind_ == "defaults") defaults_ = {};
    if (kind_ == "frontend" || kind_ == "backend" || kind_ == "listen") {
      sections_.push_back({.head = &line, .settings = defaults_});
      // "listen NAME ADDRESS:PORT" is a bind, too.
      if (line.words.size() > 2) draft_.lose(line, line.word(2), "write it as a bind line");
    }
  }

  void in_section(Directive& line) {
    if (kind_ == "defaults") return setting(defaults_, line);
    if (kind_ == "global") return draft_.lose(line, "it is about the process");
    if (sections_.empty() || (kind_ != "frontend" && kind_ != "backend" && kind_ != "listen"))
      return draft_.lose(line, fmt::format("sections '{}' have no counterpart", kind_));
    auto& section = sections_.back();
    section.head->last_line = line.last_line;
    if (line.name() == "bind") {
      line.told = true;
      section.binds.push_back(&line);
    } else if (line.name() == "server") {
      server(section, line);
    } else {
      setting(section.settings, line);
    }
  }

  void setting(Settings& out, Directive& line) {
    const auto& name = line.name();
    const auto value = line.word(1);
    line.told = true;
    if (name == "mode") {
      out.tcp = value == "tcp";
    } else if (name == "balance") {
      out.algorithm = algorithm(line);
    } else if (name == "maxconn" && number(value)) {
      out.connections = *number(value);
    } else if (name == "timeout") {
      timeout(out, line);
    } else if (name == "default_backend") {
      out.default_backend = value;
    } else if (name == "default-server") {
      server_parameters(out.server, line, 1);
    } else if (name == "option") {
      option(out, line);
    } else if (name == "external-check") {
      external_check(out, line);
    } else if (name == "http-check") {
      http_check(out, line);
    } else if (name == "stick" && value == "on" && line.word(2) == "src") {
      out.sticky = true;
    } else if (name == "stick-table") {
      draft_.lose(line,
                  "clients are remembered for 360 s after their last new connection, 65,536 "
                  "of them");
    } else {
      other(line);
    }
  }

  void other(Directive& line) {
    static const std::map<std::string, std::string> reasons{
        {"use_backend", "a listener has one pool: rules would need the payload or a listener each"},
        {"acl", "there are no rules; --allowed-cidr limits who may connect"},
        {"tcp-request",
         "there are no rules; --allowed-cidr and --new-connection-limit limit clients"},
        {"tcp-response", no_counterpart},
        {"log", "packets are counted, not logged: sluicectl drops, flows, capture"},
        {"log-format", "packets are counted, not logged: sluicectl drops, flows, capture"},
        {"retries", "the client itself retransmits its SYN, to another member if one fails"},
        {"source", "clients' addresses reach members with --forwarding-mode dnat, dsr or ipip"},
        {"stats", "sluicectl top, and /metrics"},
        {"fullconn", no_counterpart},
        {"disabled", "use admin_state_up: false"}};
    const auto found = reasons.find(line.name());
    const bool http = line.name().starts_with("http-") || line.name().starts_with("req");
    draft_.lose(line, found != reasons.end() ? found->second
                      : http                 ? no_counterpart
                                             : "unknown here");
  }

  std::string algorithm(Directive& line) {
    const auto value = line.word(1);
    if (value == "roundrobin" || value == "static-rr") return "ROUND_ROBIN";
    if (value == "leastconn") return "LEAST_CONNECTIONS";
    if (value == "source") return "SOURCE_IP";
    draft_.lose(line, "there is no such algorithm, ROUND_ROBIN takes its place");
    return "ROUND_ROBIN";
  }

  void timeout(Settings& out, Directive& line) {
    const std::map<std::string, std::int64_t*> known{{"client", &out.client_timeout},
                                                     {"server", &out.server_timeout},
                                                     {"tunnel", &out.tunnel_timeout},
                                                     {"check", &out.check_timeout},
                                                     {"connect", &out.connect_timeout}};
    const auto found = known.find(line.word(1));
    const auto value = milliseconds(line.word(2), 1);
    if (found == known.end() || !value)
      return draft_.lose(line, "nothing waits here but for members; see 'timeout client'");
    *found->second = *value;
  }

  void option(Settings& out, Directive& line) {
    const auto value = line.word(1);
    if (value == "httpchk") {
      out.check = "HTTP";
      // "option httpchk URI", "METHOD URI" or "METHOD URI VERSION".
      const bool with_method = line.words.size() > 3;
      if (with_method) out.method = line.word(2);
      if (const auto path = line.word(with_method ? 3 : 2); !path.empty()) out.path = path;
      if (line.words.size() > 4 && line.word(4) != "HTTP/1.0")
        draft_.lose(line, line.word(4),
                    "probes speak HTTP/1.0 unless http_version and domain_name are set");
    } else if (value == "ssl-hello-chk") {
      out.check = "TLS-HELLO";
    } else if (value == "tcp-check") {
      out.check = "TCP";
    } else if (value == "external-check") {
      out.check = "EXTERNAL";
    } else {
      const bool protocol_check = value.ends_with("-check") || value.ends_with("-chk");
      draft_.lose(line, protocol_check
                            ? "monitors are TCP, HTTP, HTTPS, TLS-HELLO, PING and EXTERNAL"
                            : no_counterpart);
    }
  }

  void external_check(Settings& out, Directive& line) {
    if (line.word(1) != "command")
      return draft_.lose(line, "a check's environment has nothing of the daemon's, and no PATH");
    out.program = name_of_check(line.word(2));
    if (out.program.empty()) return draft_.lose(line, "it names no program");
    draft_.remark_check(line, out.program, line.word(2));
  }

  void http_check(Settings& out, Directive& line) {
    if (line.word(1) == "expect" && line.word(2) == "status") {
      out.codes = line.word(3);
    } else if (line.word(1) == "send") {
      for (std::size_t at = 2; at + 1 < line.words.size(); at += 2) {
        if (line.word(at) == "meth")
          out.method = line.word(at + 1);
        else if (line.word(at) == "uri")
          out.path = line.word(at + 1);
        else
          draft_.lose(line, line.word(at), "a probe sends method, path and Host only");
      }
    } else {
      draft_.lose(line, "only 'expect status' and 'send' are known");
    }
  }

  void server_parameters(ServerSettings& out, Directive& line, std::size_t from) {
    for (std::size_t at = from; at < line.words.size(); ++at) {
      const auto name = line.word(at);
      const auto value = with_value().contains(name) ? line.word(++at) : std::string();
      const auto count = number(value);
      const auto time = milliseconds(value, 1);
      if (name == "check" || name == "no-check")
        out.check = name == "check";
      else if (name == "backup" || name == "no-backup")
        out.backup = name == "backup";
      else if (name == "disabled" || name == "enabled")
        out.disabled = name == "disabled";
      else if (name == "weight" && count)
        out.weight = *count;
      else if (name == "inter" && time)
        out.interval = *time;
      else if (name == "rise" && count)
        out.rise = *count;
      else if (name == "fall" && count)
        out.fall = *count;
      else if (name == "port" && count)
        out.check_port = *count;
      else if (name == "addr")
        out.check_address = value;
      else if (name == "send-proxy-v2" || name == "no-send-proxy-v2")
        out.proxy = name == "send-proxy-v2";
      else if (name == "check-send-proxy" && out.proxy)
        continue;  // a PROXYV2 pool's monitor begins with the header, too
      else
        draft_.lose(line, value.empty() ? name : name + " " + value, reason_of(name));
    }
  }

  static std::string reason_of(const std::string& name) {
    if (name.find("ssl") != name.npos || name == "verify" || name == "ca-file" || name == "sni")
      return "TLS passes through unread";
    if (name.starts_with("send-proxy"))
      return "a pool sends version 2 alone (send-proxy-v2), and without TLS; clients' addresses "
             "reach members with --forwarding-mode dnat, dsr or ipip, too";
    if (name == "maxconn" || name == "minconn" || name == "maxqueue")
      return "nothing waits in a queue: beyond a member's max_connections others get them";
    if (name == "slowstart") return "it is the pool's here: slow_start";
    if (name == "on-marked-down")
      return "a pool's on_member_down is reset (shutdown-sessions) or keep";
    if (name == "fastinter" || name == "downinter") return "probes keep their pace";
    return with_value().contains(name) ? no_counterpart : "unknown here";
  }

  void server(Section& section, Directive& line) {
    line.told = true;
    const auto place = parse_place(line.word(2));
    if (!place || place->address.empty())
      return draft_.lose(line, "it has to be an address; names and sockets are not resolved");
    auto settings = section.settings.server;
    server_parameters(settings, line, 3);
    if (settings.weight > 256) draft_.lose(line, "weight", "256 is the highest");
    section.servers.emplace_back(*place, settings);
    section.names.push_back(line.word(1));
  }

  Section* backend(const std::string& name) {
    for (auto& section : sections_)
      if (section.head->word(1) == name &&
          (section.head->name() == "backend" || section.head->name() == "listen"))
        return &section;
    return nullptr;
  }

  void serve(Section& section) {
    if (section.binds.empty()) return;
    auto* from =
        section.head->name() == "listen" ? &section : backend(section.settings.default_backend);
    if (!section.settings.tcp) return draft_.lose(*section.head, "only mode tcp is layer 4");
    if (from == nullptr) return draft_.lose(*section.head, "it has no default_backend");
    used_.insert(from);
    for (auto* bind : section.binds) serve(section, *from, *bind);
  }

  void serve(Section& section, const Section& from, Directive& bind) {
    for (std::size_t at = 2; at < bind.words.size(); ++at) {
      const auto name = bind.word(at);
      const auto value = with_value().contains(name) ? " " + bind.word(++at) : "";
      if (name == "ssl") return draft_.lose(bind, "TLS is not terminated here; members can do it");
      if (name != "name") draft_.lose(bind, name + value, reason_of(name));
    }
    std::string_view rest = bind.words.size() > 1 ? std::string_view(bind.words[1]) : "";
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      const auto text = rest.substr(0, comma);
      rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
      const auto ports = parse_ports(text);
      if (!ports) {
        draft_.lose(bind, std::string(text),
                    "it has to be an address and a port, or a range of ports");
        continue;
      }
      const auto vip = draft_.vip_for(bind, ports->first);
      if (vip.empty()) continue;
      const auto port = ports->first.port;
      auto listener = make_listener("TCP", *ports);
      set(listener, "name", fmt::format("{}_{}", section.head->word(1), port));
      if (section.settings.connections >= 0)
        set(listener, "connection_limit", section.settings.connections);
      set_idle_timeout(bind, listener, section.settings, from.settings);
      set_connect_timeout(listener, from.settings.connect_timeout);
      // A server without a port gets its connections at the port that the client chose.
      draft_.add(bind, vip, std::move(listener), pool_of(from, ports->last > port ? 0 : port));
    }
  }

  // HAProxy ends a connection when either side is silent for its time: here one time is for both.
  void set_idle_timeout(Directive& bind, Item& listener, const Settings& front,
                        const Settings& back) {
    constexpr std::int64_t longest = 86'400'000;
    auto timeout = std::max(front.client_timeout, back.server_timeout);
    if (back.tunnel_timeout > 0) timeout = back.tunnel_timeout;
    if (timeout == 0) return;
    if (timeout > longest)
      draft_.lose(bind, fmt::format("its idle timeout of {} s", timeout / 1000),
                  "86400 s are the longest");
    set(listener, "idle_timeout", std::max<std::int64_t>(std::min(timeout, longest) / 1000, 1));
  }

  static void set_connect_timeout(Item& listener, std::int64_t milliseconds) {
    if (milliseconds != 0) set(listener, "timeout_member_connect", milliseconds);
  }

  // A pool's members are all told of their clients, or none.
  std::string_view protocol_of(const Section& from) {
    const auto told = std::count_if(from.servers.begin(), from.servers.end(),
                                    [](const auto& one) { return one.second.proxy; });
    if (told == 0) return "TCP";
    if (static_cast<std::size_t>(told) == from.servers.size()) return "PROXYV2";
    if (mixed_.insert(&from).second)
      draft_.lose(
          *from.head, "send-proxy-v2",
          "not all of its servers have it: make them a pool of protocol PROXYV2 of their own");
    return "TCP";
  }

  Item pool_of(const Section& from, std::int64_t port) {
    const auto& settings = from.settings;
    auto pool = make_pool(from.head->word(1), protocol_of(from), settings.algorithm, "fullnat");
    if (settings.sticky)
      set(pool, "session_persistence", boost::json::object{{"type", "SOURCE_IP"}});
    const ServerSettings* checked = nullptr;
    for (std::size_t at = 0; at < from.servers.size(); ++at) {
      auto [place, server] = from.servers[at];
      if (place.port == 0) place.port = port;
      auto member = make_member(place);
      set(member, "name", from.names[at]);
      set(member, "weight", std::min<std::int64_t>(server.weight, 256));
      set(member, "backup", server.backup);
      set(member, "admin_state_up", !server.disabled);
      if (server.check_port > 0) set(member, "monitor_port", server.check_port);
      if (!server.check_address.empty()) set(member, "monitor_address", server.check_address);
      if (server.check && checked == nullptr) checked = &from.servers[at].second;
      pool.children.push_back(std::move(member));
    }
    if (checked == nullptr) return pool;
    if (settings.check == "EXTERNAL" && settings.program.empty())
      draft_.lose(*from.head, "option external-check",
                  "no 'external-check command' names a program");
    else
      pool.children.push_back(monitor_of(settings, *checked));
    return pool;
  }

  static Item monitor_of(const Settings& settings, const ServerSettings& server) {
    Item monitor{&health_monitor_shape(), {}, {}, 0, {}, {}};
    const auto delay = std::max<std::int64_t>(server.interval / 1000, 1);
    set(monitor, "type", settings.check);
    set(monitor, "delay", delay);
    set(monitor, "timeout",
        settings.check_timeout > 0 ? std::max<std::int64_t>(settings.check_timeout / 1000, 1)
                                   : delay);
    set(monitor, "max_retries", std::clamp<std::int64_t>(server.rise, 1, 10));
    set(monitor, "max_retries_down", std::clamp<std::int64_t>(server.fall, 1, 10));
    if (settings.check == "EXTERNAL") set(monitor, "check", settings.program);
    if (settings.check != "HTTP") return monitor;
    set(monitor, "http_method", settings.method.empty() ? "OPTIONS" : settings.method);
    if (!settings.path.empty()) set(monitor, "url_path", settings.path);
    set(monitor, "expected_codes", settings.codes.empty() ? "200-399" : settings.codes);
    return monitor;
  }

  void lose_unused(Section& section) {
    const bool is_backend = section.head->name() == "backend";
    if (is_backend && !used_.contains(&section))
      draft_.lose(*section.head, "no frontend that was imported has it as default_backend");
    if (!is_backend && section.binds.empty()) draft_.lose(*section.head, "it has no bind line");
  }

  Draft draft_;
  std::vector<Directive> lines_;
  std::string kind_ = "global";
  Settings defaults_;
  std::vector<Section> sections_;
  std::set<const Section*> used_;
  std::set<const Section*> mixed_;  // some of its servers are told of their clients
};

}  // namespace

Result<std::string> import_haproxy(const ImportSource& source) {
  auto lines = parse_lines(source.file, source.text);
  if (!lines) return tl::unexpected(lines.error());
  return Importer(source, std::move(*lines)).run();
}

}  // namespace sluice::ctl
