// sluicectl import: other load balancers' configurations as a manifest for apply.
#include "sluicectl/import/import.hpp"

#include <string>
#include <vector>

#include "base/ip_address.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/nouns/input.hpp"

namespace sluice::ctl {
namespace {

using Importer = Result<std::string> (*)(const ImportSource&);

template <Importer import>
Result<Answer> run(const Call& call) {
  const auto file = call.invocation.positionals.at("FILE");
  const auto vip = call.invocation.value("vip");
  if (!vip.empty() && !parse_ip_address(vip))
    return fail(ErrorKind::invalid, "--vip '" + vip + "' is no IP address");
  const auto text = read_input(file);
  if (!text) return tl::unexpected(text.error());
  auto manifest = import({file == "-" ? "standard input" : file, *text, vip});
  if (!manifest) return tl::unexpected(manifest.error());
  return Answer{std::move(*manifest)};
}

template <Importer import>
Verb verb(std::string name, std::string summary, std::vector<std::string> examples) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .positionals = {{"FILE"}},
          .options = {option(Kind::local, "vip", "ADDRESS",
                             "the VIP of services that listen on all addresses")},
          .output = Output::tree,
          .run = run<import>,
          .examples = std::move(examples)};
}

}  // namespace

const Noun& import_noun() {
  static const Noun noun = {
      .name = "import",
      .summary = "other load balancers' configurations, as a file for apply",
      .verbs = {
          verb<import_haproxy>(
              "haproxy",
              "frontends and backends in TCP mode; what has no counterpart becomes comments, each "
              "with its line and the reason",
              {"sluicectl import haproxy /etc/haproxy/haproxy.cfg --vip 10.0.0.16",
               "sluicectl apply --dry-run -f lb.yaml"}),
          verb<import_ipvs>("ipvs", "what ipvsadm --save --numeric prints",
                            {"sluicectl import ipvs ipvs.save"}),
          verb<import_keepalived>("keepalived",
                                  "virtual servers with their checkers; VRRP becomes comments",
                                  {"sluicectl import keepalived /etc/keepalived/keepalived.conf"}),
          verb<import_nginx>("nginx", "the stream block",
                             {"sluicectl import nginx /etc/nginx/nginx.conf"})}};
  return noun;
}

}  // namespace sluice::ctl
