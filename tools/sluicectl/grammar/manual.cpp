#include "sluicectl/grammar/manual.hpp"

#include <fmt/format.h>

#include "base/version.hpp"
#include "sluicectl/grammar/grammar.hpp"
#include "sluicectl/grammar/help.hpp"

namespace sluice::ctl {
namespace {

// Escapes text for troff.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string section(std::string_view title, std::string_view text) {
  return fmt::format(".SH {}\n{}", title, text);
}

std::string options(const std::vector<Option>& all) {
  std::string out;
  for (const auto& option : all) {
    const auto letter = short_name(option);
    const auto name = (letter.empty() ? "--" : letter + ", --") + option.name;
    out += fmt::format(".TP\n\\fB{}\\fR{}\n{}{}.\n", plain(name),
                       option.takes_value() ? " \\fI" + plain(option.value) + "\\fR" : "",
                       plain(option.help), option.mandatory ? " (mandatory)" : "");
  }
  return out;
}

std::string command(const Noun& noun, const Verb& verb) {
  auto out = fmt::format(".SS \"{}\"\n{}.\n", plain(signature(noun, verb)), plain(verb.summary));
  out += options(verb.options);
  if (verb.examples.empty()) return out;
  out += ".PP\n.EX\n";
  for (const auto& example : verb.examples) out += plain(example) + "\n";
  return out + ".EE\n";
}

std::string commands() {
  std::string out =
      "The word \\fBloadbalancer\\fR may be left out before another noun, and \\fBlb\\fR is short "
      "for "
      "it. Objects are given by name or id. Options may stand before, between and behind the other "
      "words.\n";
  for (const auto* noun : nouns())
    for (const auto& verb : noun->verbs) out += command(*noun, verb);
  return out;
}

constexpr auto description =
    R"(Shows and changes the load balancers of a
.BR sluiced (8)
over its API, in the grammar of the OpenStack client: lines written for
.B openstack loadbalancer
work with the first word replaced.
It needs no privilege but the right to use the daemon's socket.
)";

constexpr auto manifest =
    R"(.B apply
reads the whole desired state as one YAML document, and
.B export
prints it. Fields are named as in the API; a field that is not there has its default.
.PP
.EX
loadbalancers:
  \- name: lb_test_1
    vip_address: 10.0.0.16
    listeners:
      \- {name: 80_listener, protocol: TCP, protocol_port: 80, default_pool: 80_pool}
    pools:
      \- name: 80_pool
        protocol: TCP
        lb_algorithm: ROUND_ROBIN
        healthmonitor: {type: HTTP, delay: 60, timeout: 20, max_retries: 2, url_path: /health}
        members:
          \- {address: 10.0.0.4, protocol_port: 80}
          \- {address: 10.0.0.6, protocol_port: 80, weight: 5}
    floating_ips: [172.24.4.10]
.EE
.PP
Everything happens in one transaction or not at all: what is wrong is told with file, line, field and
value, and nothing was changed. Objects that the file does not name are removed.
An object is the same one as long as what can't be changed is the same: a load balancer's
.BR vip_address ,
a listener's protocol and port, a pool's name and protocol, a member's address and port, a monitor's
type. A pool that shares its name with another needs its
.BR id .
)";

constexpr auto environment =
    R"(.TP
.B SLUICE_SOCKET
The daemon's socket, as \fB\-\-socket\fR.
.TP
.BR SLUICE_ENDPOINT ", " SLUICE_TOKEN ", " SLUICE_CACERT
As \fB\-\-endpoint\fR, \fB\-\-token\fR and \fB\-\-cacert\fR.
)";

constexpr auto exit_status =
    R"(.TP
.B 0
done
.TP
.B 1
failed; one line on standard error says what, on which object, with which value
.TP
.B 2
wrong usage
)";

}  // namespace

std::string manual() {
  return fmt::format(".TH SLUICECTL 1 \"\" \"Sluice {}\" \"User Commands\"\n", version) +
         section("NAME", "sluicectl \\- shows and changes what Sluice balances\n") +
         section(
             "SYNOPSIS",
             ".B sluicectl\n\\fINOUN\\fR \\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIOBJECT\\fR...]\n") +
         section("DESCRIPTION", description) + section("COMMANDS", commands()) +
         section("OUTPUT OPTIONS", "Of the commands that print tables; sorting is for lists.\n" +
                                       options(output_options(Output::listing))) +
         section("GENERAL OPTIONS", options(global_options())) + section("MANIFESTS", manifest) +
         section("ENVIRONMENT", environment) + section("EXIT STATUS", exit_status) +
         section("SEE ALSO", ".BR sluiced (8),\n.BR sluice\\-loader (8)\n");
}

}  // namespace sluice::ctl
