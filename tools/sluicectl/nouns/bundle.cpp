// sluicectl bundle: what a bug report needs, as one archive: what this machine and sluiced tell,
// without secrets (bundle/redaction.hpp).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "base/version.hpp"
#include "sluicectl/bundle/command.hpp"
#include "sluicectl/bundle/redaction.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/private_file.hpp"
#include "sluicectl/output/json_text.hpp"
#include "sluicectl/transport/client.hpp"

namespace sluice::ctl {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr const char* top_folder = "sluice-bundle";
constexpr const char* usual_configuration = "/etc/sluice/sluiced.conf";
constexpr const char* usual_pins = "/sys/fs/bpf/sluice";
constexpr const char* usual_hash_key = "/var/lib/sluice/hash-key";
constexpr auto longest_command = std::chrono::seconds(10);

using Command = std::vector<std::string>;
struct Source {
  std::string file;  // in the archive
  Command command;
};

// The questions to this machine that are the same everywhere.
std::vector<Source> questions() {
  return {
      {"versions/sluiced", {"sluiced", "--version"}},
      {"versions/sluice-loader", {"sluice-loader", "--version"}},
      {"versions/kernel", {"uname", "-a"}},
      {"versions/distribution", {"cat", "/etc/os-release"}},
      {"versions/packages", {"dpkg-query", "-W", "sluice*", "libbpf*", "libxdp*", "xdp-tools"}},
      {"machine/cpus", {"lscpu"}},
      {"machine/memory", {"cat", "/proc/meminfo"}},
      {"network/links", {"ip", "-d", "-s", "link"}},
      {"network/addresses", {"ip", "address"}},
      {"network/routes", {"ip", "route", "show", "table", "all"}},
      {"network/routes6", {"ip", "-6", "route", "show", "table", "all"}},
      {"network/rules", {"ip", "rule"}},
      {"network/neighbours", {"ip", "neigh"}},
      {"network/firewall", {"nft", "list", "ruleset"}},
      {"network/settings", {"sysctl", "-a", "--pattern", "^net[.](core|ipv[46])[.]"}},
      {"bpf/programs", {"bpftool", "prog", "show"}},
      {"bpf/links", {"bpftool", "link", "show"}},
      {"log/sluiced",
       {"journalctl", "-u", "sluiced", "-n", "5000", "--no-pager", "-o", "short-iso"}},
      {"log/kernel", {"journalctl", "-k", "-n", "500", "--no-pager", "-o", "short-iso"}},
      {"log/service", {"systemctl", "status", "sluiced", "--no-pager", "-n", "0"}},
      {"configuration/unit", {"systemctl", "cat", "sluiced", "--no-pager"}},
  };
}

struct Route {
  const char* file;
  const char* target;
};
constexpr std::array routes = {
    Route{"sluiced/drops.json", "/v1/drops"},
    Route{"sluiced/counters.json", "/v1/counters"},
    Route{"sluiced/removed-members.json", "/v1/removed-members"},
    Route{"sluiced/events.json", "/v1/events?limit=1000"},
    Route{"sluiced/metrics", "/metrics"},
    Route{"sluiced/health", "/healthcheck"},
    Route{"sluiced/loadbalancers.json", "/v2.0/lbaas/loadbalancers"},
    Route{"sluiced/listeners.json", "/v2.0/lbaas/listeners"},
    Route{"sluiced/pools.json", "/v2.0/lbaas/pools"},
    Route{"sluiced/healthmonitors.json", "/v2.0/lbaas/healthmonitors"},
    Route{"sluiced/floatingips.json", "/v2.0/floatingips"},
};

Result<std::string> contents_of(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail_errno(errno, "read " + path);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

// A folder for this user only, which goes with it.
class Folder {
 public:
  Folder() {
    std::error_code error;
    std::string pattern = fs::temp_directory_path(error) / "sluice-bundle.XXXXXX";
    if (!error && ::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }  // empty: it could not be made

 private:
  fs::path path_;
};

// What is gathered: a file each, and a list of them that says what could not be had.
class Bundle {
 public:
  Bundle(const Redaction& redaction, fs::path folder)
      : redaction_(redaction), folder_(std::move(folder)) {}

  void add(const std::string& file, const std::string& source, const Result<std::string>& text) {
    if (!text) {
      missing_ += fmt::format("{:<32} {}\n{:<32}   {}\n", file, source, "", text.error().text());
      return;
    }
    put(file, *text);
    contents_ += fmt::format("{:<32} {}\n", file, source);
  }

  void add(const Source& source) {
    auto done = run_command(source.command, longest_command);
    if (!done) return add(source.file, words(source.command), tl::unexpected(done.error()));
    if (done->exit_code != 0) done->output += fmt::format("(exit code {})\n", done->exit_code);
    add(source.file, words(source.command), std::move(done->output));
  }

  void finish() {
    put("CONTENTS",
        fmt::format("{}\nEach file, and what it is from. Secrets were taken out.\n\n{}\n"
                    "Could not be had:\n\n{}",
                    version_of("sluicectl"), contents_,
                    missing_.empty() ? "(nothing is missing)\n" : missing_));
  }

 private:
  static std::string words(const Command& command) {
    return fmt::format("{}", fmt::join(command, " "));
  }
  void put(const std::string& file, const std::string& text) {
    const auto path = folder_ / file;
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    std::ofstream(path, std::ios::binary) << redaction_.clean(text);
  }

  const Redaction& redaction_;
  fs::path folder_;
  std::string contents_, missing_;
};

// Learns the secrets that this machine's configuration leads to, and the caller's own.
Redaction learn_secrets(const Call& call, const std::string& configuration) {
  Redaction redaction;
  redaction.learn(call.invocation.value("token"));
  if (const char* token = std::getenv("SLUICE_TOKEN")) redaction.learn(token);
  for (const auto& file : secret_files(configuration, usual_hash_key)) {
    if (const auto text = contents_of(file)) redaction.learn_file(*text);
  }
  return redaction;
}

std::string or_usual(const Call& call, const std::string& option, const char* usual) {
  const auto given = call.invocation.value(option);
  return given.empty() ? usual : given;
}

void add_members(Bundle& bundle, const Call& call) {
  const auto pools = call.client.list(pool_resource().path, pool_resource().collection);
  if (!pools) return bundle.add("sluiced/members.json", "the pools", tl::unexpected(pools.error()));
  json::object members;
  for (const auto& pool : *pools) {
    const auto id = std::string(pool.at("id").as_string());
    const auto path = with_parent(member_resource().path, id);
    const auto found = call.client.list(path, member_resource().collection);
    members[id] = found ? json::value(*found) : json::value(found.error().text());
  }
  bundle.add("sluiced/members.json", "the members of each pool", pretty(members, 2));
}

void add_answers(Bundle& bundle, const Call& call) {
  for (const auto& [file, target] : routes) {
    auto text = call.client.download(target);
    if (text && std::string_view(file).ends_with(".json")) {
      boost::system::error_code error;
      const auto value = json::parse(*text, error);
      if (!error) text = pretty(value, 2);
    }
    bundle.add(file, fmt::format("GET {}", target), text);
  }
  add_members(bundle, call);
}

// The NICs, by ethtool; and those that Sluice is attached to, by sluice-loader.
void add_interfaces(Bundle& bundle, const std::string& pins) {
  bundle.add(
      Source{"bpf/status.json", {"sluice-loader", "status", "-f", "json", "--pin-dir", pins}});
  const auto listed = run_command({"ip", "-brief", "link"}, longest_command);
  std::istringstream lines(listed ? listed->output : std::string());
  for (std::string line; std::getline(lines, line);) {
    const auto name = line.substr(0, line.find_first_of(" @"));
    if (name.empty() || name == "lo") continue;
    const auto folder = "nic/" + name + "/";
    bundle.add(Source{folder + "check", {"sluice-loader", "check", name, "--pin-dir", pins}});
    for (const auto& [file, option] : {std::pair{"driver", "-i"},
                                       {"offloads", "-k"},
                                       {"queues", "-l"},
                                       {"rings", "-g"},
                                       {"statistics", "-S"}})
      bundle.add(Source{folder + file, {"ethtool", option, name}});
  }
}

Result<std::string> pack(const fs::path& folder) {
  const auto archive = folder / "archive.tar.gz";
  const auto packed = run_command({"tar", "--create", "--gzip", "--file", archive.string(),
                                   "--directory", folder.string(), top_folder},
                                  longest_command);
  if (!packed) return tl::unexpected(packed.error());
  if (packed->exit_code != 0) return fail(ErrorKind::system, "tar: " + packed->output);
  return contents_of(archive);
}

Result<Answer> make_bundle(const Call& call) {
  const auto path = call.invocation.positionals.at("FILE");
  const Folder folder;
  if (folder.path().empty()) return fail_errno(errno, "make a temporary folder");
  const auto configuration_file = or_usual(call, "config", usual_configuration);
  const auto configuration = contents_of(configuration_file);
  const auto redaction = learn_secrets(call, configuration.value_or(""));
  Bundle bundle(redaction, folder.path() / top_folder);
  bundle.add("configuration/sluiced.conf", configuration_file, configuration);
  bundle.add("configuration/default", "/etc/default/sluiced", contents_of("/etc/default/sluiced"));
  for (const auto& source : questions()) bundle.add(source);
  add_interfaces(bundle, or_usual(call, "pin-dir", usual_pins));
  add_answers(bundle, call);
  bundle.finish();
  const auto archive = pack(folder.path());
  if (!archive) return tl::unexpected(archive.error());
  if (auto written = write_private_file(path, *archive); !written)
    return tl::unexpected(written.error());
  return Answer{
      fmt::format("{}: {} bytes; look at it before you hand it on\n", path, archive->size())};
}

}  // namespace

const Noun& bundle_noun() {
  static const Noun noun = {
      .name = "bundle",
      .summary = "what a bug report needs, as one archive",
      .verbs = {{.summary =
                     "writes an archive (mode 0600, tar.gz) of versions, NICs, status, drops, "
                     "metrics, events, log and configuration of this machine, without secrets; "
                     "what could not be had stands in its CONTENTS",
                 .positionals = {{"FILE"}},
                 .options = {option(Kind::local, "config", "CONF",
                                    "sluiced's configuration (default /etc/sluice/sluiced.conf)"),
                             option(Kind::local, "pin-dir", "DIR",
                                    "where programs are pinned (default /sys/fs/bpf/sluice)")},
                 .output = Output::tree,
                 .run = make_bundle,
                 .examples = {"sluicectl bundle report.tar.gz"}}}};
  return noun;
}

}  // namespace sluice::ctl
