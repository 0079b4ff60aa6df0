#include "options.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <boost/asio/ip/host_name.hpp>
#include <boost/program_options.hpp>
#include <charconv>
#include <fstream>
#include <iostream>
#include <sstream>

#include "api/language/identity.hpp"
#include "api/server/secret.hpp"
#include "base/result.hpp"
#include "base/version.hpp"
#include "kernel/pins.hpp"
#include "kernel/program.hpp"
#include "model/limits.hpp"
#include "model/vips.hpp"
#include "peers/channel.hpp"

namespace sluice::daemon {
namespace {

namespace po = boost::program_options;

using Text = std::string;
using Texts = std::vector<std::string>;

constexpr unsigned help_width = 100;
constexpr std::uint32_t most_checks_at_once = 1024;

// The options of both the command line and the file.
po::options_description settings() {
  po::options_description list("Options", help_width);
  list.add_options()  //
      ("state-dir", po::value<Text>()->default_value("/var/lib/sluice")->value_name("DIR"),
       "where the desired state is kept (SQLite)")  //
      ("socket", po::value<Text>()->default_value("/run/sluice/api.sock")->value_name("PATH"),
       "unix socket of the API")  //
      ("listen", po::value<Text>()->default_value("", "none")->value_name("ADDR:PORT"),
       "serve the API over TCP too, and the status page /ui/; beyond loopback only with a token "
       "and TLS")  //
      ("token-file", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "over TCP answer only who sends one of this file's tokens as X-Auth-Token; each has a name "
       "and "
       "a role")  //
      ("identity", po::bool_switch(),
       "serve /identity/v3 over TCP: users of the token file sign in by name and secret, as "
       "clients "
       "do that insist on Keystone")  //
      ("public-endpoint", po::value<Text>()->default_value("", "the address")->value_name("URL"),
       "how clients call the API over TCP: https://NAME:PORT. They are sent there")  //
      ("api-host", po::value<Texts>()->composing()->value_name("NAME"),
       "a name that the API is called by over TCP, beside its address, localhost and the "
       "certificate's names; may be given many times")  //
      ("tls-certificate", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "serve TCP in TLS with this certificate (PEM, its chain behind it)")  //
      ("tls-key", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "the certificate's key (PEM)")  //
      ("tls-client-ca", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "answer clients whose certificate one of these (PEM) has signed; instead of tokens or "
       "beside "
       "them")  //
      ("metrics", po::value<Text>()->default_value("", "none")->value_name("ADDR:PORT"),
       "serve /metrics for Prometheus to everyone who reaches this address")  //
      ("pin-dir",
       po::value<Text>()->default_value(kernel::default_pin_directory)->value_name("DIR"),
       "where programs, maps and links are pinned")  //
      ("flows", po::value<Text>()->value_name("N"),
       "connections that the flow table has room for, when it is made (default 1048576)")  //
      ("hash-key-file",
       po::value<Text>()->default_value("", "STATE-DIR/hash-key")->value_name("FILE"),
       "secret that SOURCE_IP, SOURCE_IP_PORT and MAGLEV choose members with (32 hex digits); made "
       "if it is not there. Nodes that shall choose alike have the same")  //
      ("tunnel-source", po::value<Texts>()->composing()->value_name("PREFIX"),
       "spread the outer source addresses of ipip tunnels over this network, so that members' NICs "
       "use all their queues (one of each IP version; IPv4 /8 to /30, IPv6 /64 to /126)")  //
      ("snat-address", po::value<Texts>()->composing()->value_name("ADDRESS"),
       "with fullnat, members see this address as the source of this node's connections, and not "
       "the VIP; no other node has it. May be given many times, for both IP versions")  //
      ("interface", po::value<Texts>()->multitoken()->composing()->value_name("IF..."),
       "attach to these NICs, unless that is done already")  //
      ("node", po::value<Text>()->default_value("", "the host name")->value_name("NAME"),
       "this node's name, by which it is drained")  //
      ("cluster", po::value<Text>()->default_value("", "none")->value_name("URL[,URL...]"),
       "be one of several nodes with one desired state, which is kept in the etcd with these "
       "members")  //
      ("cluster-ca", po::value<Text>()->default_value("", "the system's")->value_name("FILE"),
       "who signs the members' certificates (PEM)")  //
      ("cluster-certificate", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "the certificate to show to the members (PEM); with a user, it has no common name")  //
      ("cluster-key", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "its key (PEM)")  //
      ("cluster-credentials", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "a file with USER:PASSWORD of an etcd user")  //
      ("cluster-prefix", po::value<Text>()->default_value("/sluice/")->value_name("PREFIX"),
       "what the fleet's keys begin with; fleets that share an etcd have different ones")  //
      ("probe", po::value<Text>()->default_value("every")->value_name("every|spread"),
       "with --cluster: probe every member, or have each probed by three of the nodes that "
       "spread")  //
      ("peer", po::value<Texts>()->composing()->value_name("ADDR[:PORT]"),
       "tell this node of connections, so that they survive this one, and hear of its own; beside "
       "those of --cluster; may be given many times")  //
      ("peer-listen", po::value<Text>()->default_value("", "[::]:9877")->value_name("ADDR[:PORT]"),
       "hear of connections at this address, over UDP; nodes of --cluster are told it, and have a "
       "key in common")  //
      ("peer-key-file", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "the secret that peers share (64 hex digits; mode 0600): they take connections of nobody "
       "else. Two of them, on a line each, while it is exchanged. Default: that of --cluster")  //
      ("vrrp-fifo", po::value<Text>()->default_value("", "none")->value_name("PATH"),
       "answer ARP, neighbour solicitations and pings for VIPs only while keepalived says by this "
       "FIFO (vrrp_notify_fifo) that this node is the master")  //
      ("standby-group", po::value<Text>()->default_value("", "none")->value_name("NAME"),
       "with --cluster: answer them only while this node is the active one of the nodes with the "
       "same NAME, which etcd decides")  //
      ("announce-routes", po::bool_switch(),
       "announce each VIP that this node can serve by a route in table 142, for BIRD or FRR to "
       "export")  //
      ("announce-ipv6-in-main-table", po::bool_switch(),
       "put IPv6 announcements into the main table too, as unreachable: FRR reads no other")  //
      ("records-file", po::value<Text>()->default_value("", "none")->value_name("PATH"),
       "write a line of JSON when a connection is confirmed and when it ends; for root and the "
       "group "
       "sluice")  //
      ("records-max-size", po::value<Text>()->default_value("64")->value_name("MIB"),
       "size at which that file is renamed to PATH.1, and begun anew")  //
      ("records-keep", po::value<Text>()->default_value("9")->value_name("N"),
       "earlier files to keep, PATH.1 to PATH.N; none takes more than --records-max-size")  //
      ("records-collector", po::value<Texts>()->composing()->value_name("ADDR:PORT"),
       "send the same as IPFIX over UDP to this collector; may be given many times")  //
      ("records-syslog", po::value<Texts>()->composing()->value_name("local|ADDR:PORT"),
       "send the lines as syslog messages, daemon.info: to this host's (local), or over UDP (RFC "
       "5424); may be given many times")  //
      ("records-sample", po::value<Text>()->default_value("1")->value_name("N"),
       "record one of N connections")  //
      ("check", po::value<Texts>()->composing()->value_name("NAME=PATH"),
       "health monitors of type EXTERNAL may name this program; may be given many times")  //
      ("check-user", po::value<Text>()->default_value("sluice-check")->value_name("USER"),
       "the user that these programs run as; never root")  //
      ("checks-at-once", po::value<Text>()->default_value("32")->value_name("N"),
       "so many of them run at once; further ones wait for their turn")  //
      ("subnet", po::value<Texts>()->composing()->value_name("NAME,cidr=..."),
       "take VIPs and floating IPs from this subnet; may be given many times, see below")  //
      ("project-id", po::value<Text>()->default_value(api::no_project_id)->value_name("ID"),
       "project of objects whose request names none")  //
      ("test-hook", po::value<Text>()->default_value("", "none")->value_name("FILE"),
       "for tests: nothing is applied while FILE says hold, and applying fails while it says "
       "fail")  //
      ("log-level", po::value<Text>()->default_value("info")->value_name("LEVEL"),
       "debug, info, warning or error");
  return list;
}

po::options_description settings_and_command_line_only() {
  auto list = settings();
  list.add_options()  //
      ("config", po::value<Text>()->value_name("FILE"),
       "read options from FILE too: NAME = VALUE lines, # comments")  //
      // This option is not for the configuration file: a daemon that always starts so will lose a
      // VIP one day.
      ("accept-older-state", po::bool_switch(),
       "for this start, accept a store that is older than the contents of the data plane, or an "
       "etcd that is older than the store")  //
      ("hash-password", po::bool_switch(),
       "read a password from standard input and print what stands for it in the token file")  //
      ("help,h", "this text")                                                                 //
      ("version", "the version");
  return list;
}

void print_help() {
  std::ostringstream list;
  list << settings_and_command_line_only();
  fmt::print(
      "Usage: sluiced [options]\n\n"
      "Sluice's controller: keeps the load balancers that its API is told of, holds the data "
      "plane\n"
      "equal to them and probes their members. Needs no configuration. When it stops, traffic goes "
      "on.\n\n"
      "{}\n"
      "A subnet is NAME,cidr=ADDRESS/LENGTH and, after commas, any of: network=NAME, "
      "range=FIRST-LAST\n"
      "(what is given out), gateway=ADDRESS, external (floating IPs come from it), id=UUID,\n"
      "network-id=UUID.\n\n"
      "Signals: SIGTERM and SIGINT stop it, SIGHUP is ignored.\n\n"
      "Examples:\n"
      "  sluiced --interface eth0\n"
      "  sluiced --config /etc/sluice/sluiced.conf\n"
      "  sluiced --subnet private-subnet,cidr=10.0.0.0/24,range=10.0.0.16-10.0.0.99 \\\n"
      "          --subnet public-subnet,network=public-net,cidr=172.24.4.0/24,external\n"
      "  sluiced --listen 127.0.0.1:9876       # for the OpenStack client: OS_AUTH_TYPE=none\n"
      "                                        # OS_ENDPOINT=http://127.0.0.1:9876\n"
      "  sluiced --records-file /var/log/sluice/records/connections.json --records-collector "
      "192.0.2.1:4739\n"
      "  sluiced --cluster https://10.0.0.1:2379,https://10.0.0.2:2379,https://10.0.0.3:2379\n"
      "  sluiced --cluster http://10.0.0.1:2379 --announce-routes --snat-address 10.0.1.31\n"
      "  sluiced --state-dir ./state --socket ./api.sock --log-level debug\n",
      list.str());
}

ExitCode wrong(const std::string& what) {
  fmt::print(std::cerr, "sluiced: {} (see: sluiced --help)\n", what);
  return wrong_usage;
}

// The line of a name in a file: ", line 3"; empty if it is unknown.
std::string line_of(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const auto start = line.find_first_not_of(" \t");
    if (start != std::string::npos && line.compare(start, name.size(), name) == 0) {
      return fmt::format(", line {}", number);
    }
  }
  return "";
}

std::optional<ExitCode> read_config(const std::string& path, po::variables_map& values) {
  std::ifstream file(path);
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    std::error_code error;
    if (file && std::filesystem::is_regular_file(path, error)) return std::nullopt;  // an empty one
    fmt::print(std::cerr, "sluiced: read the configuration {}: {} (see --config)\n", path,
               std::generic_category().message(file ? EISDIR : errno));
    return failed;
  }
  try {
    po::store(po::parse_config_file(file, settings()), values);
  } catch (const po::unknown_option& error) {
    const auto name = error.get_option_name();
    return wrong(fmt::format("{}{}: there is no option '{}'", path, line_of(path, name), name));
  } catch (const po::error& error) {
    return wrong(fmt::format("{}: {}", path, error.what()));
  }
  return std::nullopt;
}

// Carries out --hash-password. The password is read from stdin, because every user of the machine
// can see arguments.
ExitCode hash_password() {
  std::string password;
  std::getline(std::cin, password);
  if (password.empty()) return wrong("--hash-password reads a password from standard input");
  const auto hash = api::Secret::of_password(password);
  if (!hash) {
    fmt::print(std::cerr, "sluiced: {}\n", hash.error().text());
    return failed;
  }
  fmt::print("{}\n", *hash);
  return done;
}

std::optional<std::uint32_t> parse_number(const std::string& text, std::uint32_t least,
                                          std::uint32_t most) {
  std::uint32_t number = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number < least || number > most) return std::nullopt;
  return number;
}

std::optional<std::uint32_t> parse_flows(const std::string& text) {
  return parse_number(text, 1, kernel::max_flows);
}

std::optional<spdlog::level::level_enum> parse_level(const std::string& text) {
  for (const auto& [name, level] : {std::pair{"debug", spdlog::level::debug},
                                    {"info", spdlog::level::info},
                                    {"warning", spdlog::level::warn},
                                    {"error", spdlog::level::err}}) {
    if (text == name) return level;
  }
  return std::nullopt;
}

// Reads the option of this name as a number. nullopt: `complaint` says what is wrong with it.
std::optional<std::uint32_t> number_of(const po::variables_map& values, const char* name,
                                       std::uint32_t least, std::uint32_t most,
                                       std::string& complaint) {
  const auto& text = values[name].as<Text>();
  const auto number = parse_number(text, least, most);
  if (!number)
    complaint = fmt::format("--{} '{}' is not a number from {} to {}", name, text, least, most);
  return number;
}

// Reads the addresses of servers, over UDP; `local`, if it is given, is set by that word. Returns
// what is wrong with them; empty: nothing.
std::string read_servers(const po::variables_map& values, const char* name, const char* example,
                         std::vector<TcpAddress>& addresses, bool* local = nullptr) {
  if (!values.count(name)) return {};
  for (const auto& text : values[name].as<Texts>()) {
    if (local && text == "local") {
      *local = true;
      continue;
    }
    const auto address = parse_tcp_address(text);
    if (!address || address->port == 0)
      return fmt::format("--{} '{}' is not an address and port ({})", name, text, example);
    addresses.push_back(*address);
  }
  return {};
}

// Returns what is wrong with the options for records; empty: nothing.
std::string read_records(const po::variables_map& values, RecordOptions& records) {
  constexpr std::uint32_t most_mib = 1U << 20, most_files = 1000, most_sparse = 1U << 20;
  std::string complaint;
  records.file = values["records-file"].as<Text>();
  const auto size = number_of(values, "records-max-size", 1, most_mib, complaint);
  const auto keep = number_of(values, "records-keep", 0, most_files, complaint);
  const auto one_of = number_of(values, "records-sample", 1, most_sparse, complaint);
  if (!size || !keep || !one_of) return complaint;
  records.max_bytes = std::uint64_t{*size} << 20;
  records.keep = *keep;
  records.one_of = *one_of;
  complaint = read_servers(values, "records-collector", "192.0.2.1:4739", records.collectors);
  if (!complaint.empty()) return complaint;
  return read_servers(values, "records-syslog", "local, or 192.0.2.1:514", records.syslogs,
                      &records.local_syslog);
}

// Parses ADDRESS[:PORT].
Result<TcpAddress> parse_peer(const std::string& text) {
  if (const auto address = parse_ip_address(text)) return TcpAddress{*address, peers::default_port};
  auto address = parse_tcp_address(text);
  if (!address || address->port == 0) {
    return fail(ErrorKind::invalid,
                fmt::format("'{}' is not an address, or address and port (192.0.2.1, "
                            "192.0.2.1:{}, [2001:db8::1]:{})",
                            text, peers::default_port, peers::default_port));
  }
  return address;
}

// Returns what is wrong with the options about peers; empty: nothing. To be called after
// read_cluster().
std::string read_peers(const po::variables_map& values, const Options& options, PeerOptions& read) {
  read.key_file = values["peer-key-file"].as<Text>();
  const auto& listen = values["peer-listen"].as<Text>();
  const auto texts = values.count("peer") ? values["peer"].as<Texts>() : Texts();
  const bool is_alone = options.cluster.members.empty();
  read.are_wanted = !read.key_file.empty() || !texts.empty() || !listen.empty();
  if (!read.are_wanted) return {};
  if (read.key_file.empty() && is_alone)
    return "--peer and --peer-listen need --peer-key-file or --cluster";
  const auto parsed = parse_peer(listen.empty() ? "::" : listen);
  if (!parsed) return "--peer-listen: " + parsed.error().text();
  read.listen = *parsed;
  for (const auto& text : texts) {
    const auto peer = parse_peer(text);
    if (!peer) return "--peer: " + peer.error().text();
    if (peer->address.is_v6() && read.listen.address.is_v4())
      return fmt::format("--peer '{}' is IPv6, --peer-listen '{}' is not", text, listen);
    if (peer->address.is_unspecified()) return fmt::format("--peer '{}' is nobody's address", text);
    read.addresses.push_back(*peer);
  }
  if (is_alone) return texts.empty() ? "--peer-key-file needs --peer or --cluster" : "";
  if (read.listen.address.is_unspecified())
    return "with --cluster, --peer and --peer-key-file need --peer-listen with an address that "
           "other nodes reach";
  return {};
}

// Reads the options about etcd.
std::string read_standby_group(const po::variables_map& values, Options& options) {
  options.standby_group = values["standby-group"].as<Text>();
  if (options.standby_group.empty()) return "";
  if (options.cluster.members.empty()) return "--standby-group needs --cluster";
  if (!options.vrrp_fifo.empty()) return "--standby-group and --vrrp-fifo exclude each other";
  return "";
}

std::optional<ExitCode> read_cluster(const po::variables_map& values, Options& options) {
  auto& cluster = options.cluster;
  options.cluster_prefix = values["cluster-prefix"].as<Text>();
  if (!options.cluster_prefix.ends_with('/'))
    return wrong(fmt::format("--cluster-prefix '{}' does not end with /", options.cluster_prefix));
  cluster.ca = values["cluster-ca"].as<Text>();
  cluster.certificate = values["cluster-certificate"].as<Text>();
  cluster.key = values["cluster-key"].as<Text>();
  const auto credentials = values["cluster-credentials"].as<Text>();
  const auto& members = values["cluster"].as<Text>();
  const auto& probe = values["probe"].as<Text>();
  if (probe != "every" && probe != "spread")
    return wrong(fmt::format("--probe '{}' is neither every nor spread", probe));
  options.spread_probes = probe == "spread";
  if (options.spread_probes && members.empty()) return wrong("--probe spread needs --cluster");
  if (members.empty()) {
    if (cluster.ca.empty() && cluster.certificate.empty() && cluster.key.empty() &&
        credentials.empty())
      return std::nullopt;
    return wrong(
        "--cluster-ca, --cluster-certificate, --cluster-key and --cluster-credentials need "
        "--cluster");
  }
  if (cluster.certificate.empty() != cluster.key.empty())
    return wrong("--cluster-certificate and --cluster-key need each other");
  auto parsed = fleet::parse_members(members);
  if (!parsed) return wrong("--cluster: " + parsed.error().text());
  cluster.members = std::move(*parsed);
  if (credentials.empty()) return std::nullopt;
  if (auto read = fleet::read_credentials(credentials, cluster); !read)
    return wrong("--cluster-credentials: " + read.error().text());
  return std::nullopt;
}

// Reads --tunnel-source.
std::optional<ExitCode> read_tunnel_sources(const po::variables_map& values, Options& options) {
  if (!values.count("tunnel-source")) return std::nullopt;
  for (const auto& text : values["tunnel-source"].as<Texts>()) {
    const auto network = parse_ip_network(text);
    if (!network) return wrong("--tunnel-source: " + network.error().text());
    const auto bits = network->prefix_length;
    if (network->is_v6() ? bits < 64 || bits > 126 : bits < 8 || bits > 30)
      return wrong(
          fmt::format("--tunnel-source '{}': IPv4 /8 to /30 and IPv6 /64 to /126 are taken", text));
    for (const auto& other : options.tunnel_sources) {
      if (other.is_v6() == network->is_v6())
        return wrong("--tunnel-source: give one prefix of each IP version");
    }
    options.tunnel_sources.push_back(*network);
  }
  return std::nullopt;
}

// Reads --snat-address. Returns what is wrong with it; empty: nothing.
std::string read_snat_addresses(const po::variables_map& values, std::vector<IpAddress>& read) {
  if (!values.count("snat-address")) return {};
  for (const auto& text : values["snat-address"].as<Texts>()) {
    const auto address = parse_ip_address(text);
    if (!address)
      return fmt::format("--snat-address '{}' is not an address (10.0.0.31, 2001:db8::31)", text);
    if (!model::is_host_address(*address))
      return fmt::format("--snat-address '{}' is no unicast address", text);
    if (std::ranges::count(read, *address) != 0)
      return fmt::format("--snat-address names {} twice", address->to_string());
    read.push_back(*address);
  }
  for (const bool ipv6 : {false, true}) {
    const auto count = std::ranges::count(read, ipv6, [](const auto& one) { return one.is_v6(); });
    if (static_cast<std::size_t>(count) > model::max_snat_addresses)
      return fmt::format("--snat-address: at most {} of an IP version are taken",
                         model::max_snat_addresses);
  }
  return {};
}

// Returns what is wrong with the options for checks; empty: nothing.
std::string read_checks(const po::variables_map& values, CheckOptions& checks) {
  checks.user = values["check-user"].as<Text>();
  std::string complaint;
  const auto at_once = number_of(values, "checks-at-once", 1, most_checks_at_once, complaint);
  if (!at_once) return complaint;
  checks.at_once = *at_once;
  if (!values.count("check")) return "";
  for (const auto& line : values["check"].as<Texts>()) {
    const auto equals = line.find('=');
    const auto name = line.substr(0, equals);
    if (equals == Text::npos || !model::is_name_of_check(name)) {
      return fmt::format(
          "--check '{}' is not NAME=/path/to/program, with a name of 1 to {} letters, digits, '.', "
          "'_' and '-'",
          line, model::max_check_name_length);
    }
    if (!checks.programs.emplace(name, line.substr(equals + 1)).second)
      return fmt::format("--check names '{}' twice", name);
  }
  return "";
}

std::variant<Options, ExitCode> to_options(const po::variables_map& values) {
  Options options;
  options.state_directory = values["state-dir"].as<Text>();
  options.accept_older_state = values["accept-older-state"].as<bool>();
  options.endpoints = {.socket = values["socket"].as<Text>(),
                       .listen = values["listen"].as<Text>(),
                       .token_file = values["token-file"].as<Text>(),
                       .certificate = values["tls-certificate"].as<Text>(),
                       .key = values["tls-key"].as<Text>(),
                       .client_ca = values["tls-client-ca"].as<Text>(),
                       .identity = values["identity"].as<bool>(),
                       .public_endpoint = values["public-endpoint"].as<Text>(),
                       .metrics = values["metrics"].as<Text>()};
  if (values.count("api-host")) options.endpoints.api_hosts = values["api-host"].as<Texts>();
  options.pin_directory = values["pin-dir"].as<Text>();
  options.hash_key_file = values["hash-key-file"].as<Text>();
  if (options.hash_key_file.empty()) options.hash_key_file = options.state_directory / "hash-key";
  if (const auto exit_code = read_tunnel_sources(values, options)) return *exit_code;
  if (const auto complaint = read_snat_addresses(values, options.snat_addresses);
      !complaint.empty())
    return wrong(complaint);
  if (values.count("interface")) options.interfaces = values["interface"].as<Texts>();
  options.node = values["node"].as<Text>();
  if (options.node.empty()) options.node = boost::asio::ip::host_name();
  if (const auto exit_code = read_cluster(values, options)) return *exit_code;
  if (const auto complaint = read_peers(values, options, options.peers); !complaint.empty())
    return wrong(complaint);
  options.vrrp_fifo = values["vrrp-fifo"].as<Text>();
  if (const auto complaint = read_standby_group(values, options); !complaint.empty())
    return wrong(complaint);
  options.announce_routes = values["announce-routes"].as<bool>();
  options.announce_ipv6_in_main_table = values["announce-ipv6-in-main-table"].as<bool>();
  if (options.announce_ipv6_in_main_table && !options.announce_routes)
    return wrong("--announce-ipv6-in-main-table needs --announce-routes");
  if (values.count("flows")) {
    const auto& text = values["flows"].as<Text>();
    options.flows = parse_flows(text);
    if (!options.flows) {
      return wrong(
          fmt::format("--flows '{}' is not a number from 1 to {}", text, kernel::max_flows));
    }
  }
  if (const auto complaint = read_records(values, options.records); !complaint.empty())
    return wrong(complaint);
  if (const auto complaint = read_checks(values, options.checks); !complaint.empty())
    return wrong(complaint);
  if (values.count("subnet")) {
    for (const auto& line : values["subnet"].as<Texts>()) {
      if (auto declared = options.networks.declare(line); !declared) {
        return wrong("--subnet: " + declared.error().text());
      }
    }
  }
  options.test_hook = values["test-hook"].as<Text>();
  options.project_id = values["project-id"].as<Text>();
  if (options.project_id.empty() || options.project_id.size() > model::max_project_id_length) {
    return wrong(fmt::format("--project-id '{}' does not have 1 to {} characters",
                             options.project_id, model::max_project_id_length));
  }
  const auto& level_text = values["log-level"].as<Text>();
  const auto level = parse_level(level_text);
  if (!level)
    return wrong(
        fmt::format("--log-level '{}' is none of debug, info, warning, error", level_text));
  options.log_level = *level;
  return options;
}

}  // namespace

std::variant<Options, ExitCode> parse_options(int argc, const char* const* argv) {
  const auto all = settings_and_command_line_only();
  po::variables_map values;
  try {
    const auto style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(all).positional(none).style(style).run(),
              values);
    po::notify(values);
  } catch (const po::too_many_positional_options_error&) {
    return wrong("takes options only, no other arguments");
  } catch (const po::error& error) {
    return wrong(error.what());
  }
  if (values.count("help")) {
    print_help();
    return done;
  }
  if (values.count("version")) {
    fmt::print("{}", version_of("sluiced"));
    return done;
  }
  if (values["hash-password"].as<bool>()) return hash_password();
  if (values.count("config")) {
    if (const auto exit_code = read_config(values["config"].as<Text>(), values)) return *exit_code;
  }
  return to_options(values);
}

}  // namespace sluice::daemon
