#include "sluicectl/grammar/help.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sluicectl/grammar/grammar.hpp"

namespace sluice::ctl {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

// Two columns under a title; a left side that is too wide pushes its right side to the next line.
std::string section(const std::string& title, const Lines& lines) {
  constexpr std::size_t widest = 34;
  std::size_t width = 0;
  for (const auto& [left, right] : lines)
    if (left.size() <= widest) width = std::max(width, left.size());
  std::string out = lines.empty() ? "" : "\n" + title + ":\n";
  for (const auto& [left, right] : lines) {
    if (left.size() <= width) {
      out += fmt::format("  {:<{}}  {}\n", left, width, right);
    } else {
      out += fmt::format("  {}\n  {:<{}}  {}\n", left, "", width, right);
    }
  }
  return out;
}

std::string examples(const std::vector<std::string>& lines) {
  std::string out = lines.empty() ? "" : "\nExamples:\n";
  for (const auto& line : lines) out += "  " + line + "\n";
  return out;
}

Lines option_lines(const std::vector<Option>& options) {
  Lines lines;
  for (const auto& option : options) {
    const auto letter = short_name(option);
    const auto name = (letter.empty() ? "--" : letter + ", --") + option.name;
    lines.emplace_back(option.takes_value() ? name + " " + option.value : name,
                       option.mandatory ? option.help + " (mandatory)" : option.help);
  }
  return lines;
}

std::string verb_help(const Noun& noun, const Verb& verb) {
  std::string out = "Usage: sluicectl " + signature(noun, verb) + "\n\n";
  std::string summary = verb.summary;
  summary.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(summary.front())));
  out += summary + ".\n";
  if (std::any_of(verb.positionals.begin(), verb.positionals.end(),
                  [](const auto& p) { return p.role != Role::plain; }))
    out += "Objects are given by name or id.\n";
  out += section("Options", option_lines(verb.options));
  out += section("Output", option_lines(output_options(verb.output)));
  out += section("General", option_lines(global_options()));
  return out + examples(verb.examples);
}

std::string noun_help(const Noun& noun) {
  Lines verbs;
  std::vector<std::string> lines;
  for (const auto& verb : noun.verbs) {
    verbs.emplace_back(verb.name, verb.summary);
    lines.insert(lines.end(), verb.examples.begin(), verb.examples.end());
  }
  std::string out = fmt::format("Usage: sluicectl {} VERB [OPTION...]\n\n", noun.full_name());
  if (noun.under_loadbalancer) out += fmt::format("Short: sluicectl {} VERB\n", noun.name);
  if (noun.name == "floating-ip") out += "Also: sluicectl floating ip VERB\n";
  if (noun.name == "loadbalancer") {
    out += "Short: sluicectl lb VERB\n";
    Lines below;
    for (const auto* other : nouns())
      if (other->under_loadbalancer) below.emplace_back(other->name, other->summary);
    out += section("Nouns below it", below);
  }
  return out + section("Verbs", verbs) + examples(lines);
}

std::string program_help() {
  Lines lines;
  for (const auto* noun : nouns()) lines.emplace_back(noun->full_name(), noun->summary);
  return "Usage: sluicectl NOUN VERB [OPTION...] [OBJECT...]\n\n"
         "Shows and changes the load balancers of the sluiced on this machine, in the grammar of "
         "the\n"
         "OpenStack client. 'sluicectl NOUN --help' lists the verbs of a noun.\n" +
         section("Nouns", lines) + section("General", option_lines(global_options())) +
         examples({"sluicectl loadbalancer create --vip-address 10.0.0.16 --name lb_test_1",
                   "sluicectl loadbalancer listener create --name 80_listener --protocol TCP "
                   "--protocol-port 80 lb_test_1",
                   "sluicectl loadbalancer status show lb_test_1",
                   "sluicectl lb show lb_test_1 -f value -c vip_address", "sluicectl drops"}) +
         "\nExit codes: 0 done, 1 failed, 2 wrong usage.\n";
}

}  // namespace

std::string signature(const Noun& noun, const Verb& verb) {
  std::string out = noun.full_name();
  if (!verb.name.empty()) out += " " + verb.name;
  if (!verb.options.empty()) out += " [OPTION...]";
  for (const auto& positional : verb.positionals) out += " " + positional.shown();
  return out;
}

std::string help(const Noun* noun, const Verb* verb) {
  if (!noun) return program_help();
  return verb ? verb_help(*noun, *verb) : noun_help(*noun);
}

}  // namespace sluice::ctl
