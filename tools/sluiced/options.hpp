// Options: read from the command line and the file of --config. Both have the same names; the
// command line takes precedence.
#pragma once

#include <spdlog/common.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/server/endpoints.hpp"
#include "base/tcp_address.hpp"
#include "fleet/etcd_client.hpp"
#include "model/networks.hpp"

namespace sluice::daemon {

enum ExitCode { done = 0, failed = 1, wrong_usage = 2 };

// Records of connections.
struct RecordOptions {
  std::filesystem::path file;                         // empty: none
  std::uint64_t max_bytes = std::uint64_t{64} << 20;  // of one file
  unsigned keep = 9;                                  // earlier files
  std::vector<TcpAddress> collectors;                 // IPFIX over UDP
  bool local_syslog = false;                          // this host's
  std::vector<TcpAddress> syslogs;                    // over UDP
  std::uint32_t one_of = 1;                           // so many connections

  bool is_wanted() const {
    return !file.empty() || !collectors.empty() || local_syslog || !syslogs.empty();
  }
};

// The nodes that tell each other of their connections.
struct PeerOptions {
  bool are_wanted = false;            // otherwise nobody is told anything
  std::filesystem::path key_file;     // empty: the key is the fleet's
  std::vector<TcpAddress> addresses;  // beside those of the fleet
  TcpAddress listen;                  // over UDP, as all of these
};

// Checks of EXTERNAL monitors.
struct CheckOptions {
  std::map<std::string, std::string> programs;  // path by name
  std::string user;                             // who runs them
  unsigned at_once = 32;
};

struct Options {
  std::filesystem::path state_directory;
  bool accept_older_state = false;  // even if the data plane's is newer
  api::EndpointOptions endpoints;
  std::filesystem::path pin_directory;
  model::Networks networks;  // to allocate addresses from
  std::string project_id;    // the default for requests that name none
  std::filesystem::path hash_key_file;
  std::vector<IpNetwork> tunnel_sources;  // at most one of each IP version
  std::vector<IpAddress> snat_addresses;  // of this node
  std::filesystem::path test_hook;        // empty: none
  std::optional<std::uint32_t> flows;     // unset: what is pinned, or the default
  std::vector<std::string> interfaces;
  std::string node;            // its name
  fleet::EtcdAccess cluster;   // no members: this node is alone
  std::string cluster_prefix;  // of the fleet's keys
  bool spread_probes = false;  // each member is probed by some of the fleet's nodes
  std::string standby_group;   // empty: nothing in etcd decides whether this node is a standby
  PeerOptions peers;
  std::filesystem::path vrrp_fifo;  // empty: this node always answers for its VIPs
  bool announce_routes = false;
  bool announce_ipv6_in_main_table = false;
  RecordOptions records;
  CheckOptions checks;
  spdlog::level::level_enum log_level = spdlog::level::info;
};

// Parses the options; returns the exit code if there is nothing to run: --help or --version was
// printed, or an error was told on stderr.
std::variant<Options, ExitCode> parse_options(int argc, const char* const* argv);

}  // namespace sluice::daemon
