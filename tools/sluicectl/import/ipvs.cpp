// ipvs: the commands that ipvsadm --save --numeric prints (ipvsadm(8)).
#include <fmt/format.h>

#include <map>
#include <sstream>

#include "sluicectl/import/virtual_server.hpp"

namespace sluice::ctl {
namespace {

struct VirtualServer {
  Directive* directive;
  Place place;
  std::string protocol;
  bool unweighted = false, one_packet = false;
  Item pool;
  std::string mode = {};  // the first member's
};

// The options of a command, by their short names; flags have an empty value.
using Options = std::map<std::string, std::string>;

const std::map<std::string, std::string>& short_names() {
  static const std::map<std::string, std::string> names{
      {"--add-service", "-A"}, {"--add-server", "-a"},     {"--tcp-service", "-t"},
      {"--udp-service", "-u"}, {"--fwmark-service", "-f"}, {"--scheduler", "-s"},
      {"--persistent", "-p"},  {"--netmask", "-M"},        {"--real-server", "-r"},
      {"--gatewaying", "-g"},  {"--ipip", "-i"},           {"--masquerading", "-m"},
      {"--weight", "-w"},      {"--sched-flags", "-b"},    {"--ops", "-o"},
      {"--u-threshold", "-x"}, {"--l-threshold", "-y"}};
  return names;
}

Options options_of(const Directive& directive) {
  Options out;
  std::string* value = nullptr;
  for (const auto& word : directive.words) {
    if (word.starts_with('-') && word.size() > 1) {
      const auto known = short_names().find(word);
      value = &out[known == short_names().end() ? word : known->second];
    } else if (value != nullptr) {
      *value += (value->empty() ? "" : " ") + word;
    }
  }
  return out;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> out;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) out.push_back(part);
  return out;
}

// The service of a command as "TCP 10.0.0.16:80", its protocol and its place.
struct Service {
  std::string key, protocol, address;
};
std::optional<Service> service_of(const Options& options) {
  static const std::pair<const char*, const char*> protocols[] = {
      {"-t", "TCP"}, {"-u", "UDP"}, {"--sctp-service", "SCTP"}};
  for (const auto& [option, protocol] : protocols)
    if (const auto found = options.find(option); found != options.end())
      return Service{fmt::format("{} {}", protocol, found->second), protocol, found->second};
  return std::nullopt;
}

class Importer {
 public:
  Importer(const ImportSource& source, std::vector<Directive> lines)
      : draft_(source), lines_(std::move(lines)) {}

  std::string run() {
    for (auto& line : lines_) command(line);
    for (const auto& key : order_) finish(servers_.at(key));
    return draft_.manifest(lines_);
  }

 private:
  void command(Directive& line) {
    auto options = options_of(line);
    const bool service = options.erase("-A") > 0, server = options.erase("-a") > 0;
    if (!service && !server) return draft_.lose(line, "only -A and -a are known");
    if (options.contains("-f"))
      return draft_.lose(line, "a listener is an address and a port, not a firewall mark");
    const auto named = service_of(options);
    if (!named) return draft_.lose(line, "it names no service (-t, -u or --sctp-service)");
    const auto place = parse_place(named->address);
    if (!place || place->address.empty())
      return draft_.lose(line, "names are not resolved: save with ipvsadm -S -n");
    if (place->port == 0) return draft_.lose(line, "a listener has one port, not all of them");
    line.told = true;
    for (const auto* taken : {"-t", "-u", "--sctp-service"}) options.erase(taken);
    service ? add_service(line, *named, *place, std::move(options))
            : add_server(line, *named, std::move(options));
  }

  void add_service(Directive& line, const Service& named, const Place& place, Options options) {
    const auto take = [&](const char* name) {
      auto node = options.extract(name);
      return node.empty() ? std::string() : node.mapped();
    };
    const bool persistent = options.contains("-p"), one_packet = options.erase("-o") > 0;
    const auto scheduler = take("-s"), flags = take("-b"), seconds = take("-p"), mask = take("-M");
    const auto algorithm =
        algorithm_of(draft_, line, scheduler.empty() ? "wlc" : scheduler, split(flags, ','));
    auto pool = make_pool(fmt::format("{}_{}", named.protocol, place.port), named.protocol,
                          algorithm, "fullnat");
    // IPVS' own default is 300 s.
    if (persistent) set_persistence(draft_, line, pool, seconds.empty() ? "300" : seconds, mask);
    lose_rest(line, options);
    order_.push_back(named.key);
    servers_.insert_or_assign(
        named.key, VirtualServer{&line, place, named.protocol, ignores_weights(scheduler),
                                 one_packet, std::move(pool)});
  }

  void add_server(Directive& line, const Service& named, Options options) {
    const auto found = servers_.find(named.key);
    if (found == servers_.end()) return draft_.lose(line, "its service is not in the file");
    auto& server = found->second;
    const auto place = parse_place(options["-r"]);
    if (!place || place->address.empty()) return draft_.lose(line, "names are not resolved");
    const std::string mode = options.contains("-m")   ? "dnat"
                             : options.contains("-i") ? "ipip"
                                                      : "dsr";
    if (server.mode.empty()) set(server.pool, "forwarding_mode", server.mode = mode);
    if (server.mode != mode)
      return draft_.lose(line, "a pool forwards to all members alike, here as " + server.mode);
    auto member = make_member({place->address, place->port == 0 ? server.place.port : place->port});
    const auto weight = number(options["-w"]).value_or(1);
    set_weight(draft_, line, member, server.unweighted && weight > 0 ? 1 : weight);
    if (server.unweighted && weight > 1)
      draft_.lose(line, fmt::format("weight {}", weight), "its scheduler ignores weights");
    for (const auto* taken : {"-r", "-m", "-i", "-g", "-w"}) options.erase(taken);
    if (const auto most = number(options["-x"]).value_or(0); most > 0)
      set(member, "max_connections", most);
    options.erase("-x");
    if (options["-y"] == "0" || options["-y"].empty()) options.erase("-y");
    lose_rest(line, options);
    server.pool.children.push_back(std::move(member));
  }

  void lose_rest(Directive& line, const Options& options) {
    for (const auto& [name, value] : options) {
      const auto* why = name == "-y" ? "a member gets connections again below its max_connections"
                        : name == "--pe" ? "the payload is not read"
                                         : "unknown here";
      draft_.lose(line, value.empty() ? name : name + " " + value, why);
    }
  }

  void finish(VirtualServer& server) {
    if (server.mode == "dnat")
      draft_.remark(*server.directive,
                    "imported as dnat: members need this host as their gateway, as with IPVS; "
                    "fullnat needs no routes");
    auto listener = make_listener(server.protocol, server.place.port);
    if (server.one_packet) set_one_packet(draft_, *server.directive, listener, server.mode);
    draft_.add(*server.directive, server.place.address, std::move(listener),
               std::move(server.pool));
  }

  Draft draft_;
  std::vector<Directive> lines_;
  std::map<std::string, VirtualServer> servers_;
  std::vector<std::string> order_;
};

}  // namespace

Result<std::string> import_ipvs(const ImportSource& source) {
  auto lines = parse_lines(source.file, source.text);
  if (!lines) return tl::unexpected(lines.error());
  return Importer(source, std::move(*lines)).run();
}

}  // namespace sluice::ctl
