#include "sluicectl/grammar/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>

#include "sluicectl/grammar/checks.hpp"
#include "sluicectl/grammar/options.hpp"
#include "sluicectl/grammar/spelling.hpp"

namespace sluice::ctl {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

tl::unexpected<UsageError> usage(std::string message, const std::string& command) {
  const auto help = command.empty() ? "sluicectl --help" : "sluicectl " + command + " --help";
  return tl::unexpected(UsageError{std::move(message) + " (see '" + help + "')"});
}

// usage() with a suggestion: the known word nearest to the typed one.
tl::unexpected<UsageError> unknown(std::string message, const std::string& typed,
                                   const Words& known, const std::string& command) {
  const auto meant = nearest(typed, known);
  const auto help = command.empty() ? "sluicectl --help" : "sluicectl " + command + " --help";
  return tl::unexpected(UsageError{
      meant.empty() ? fmt::format("{} (see '{}')", message, help)
                    : fmt::format("{} (did you mean '{}'? see '{}')", message, meant, help)});
}

std::string command_name(const Noun& noun, const Verb& verb) {
  return verb.name.empty() ? noun.full_name() : noun.full_name() + " " + verb.name;
}

bool is_help(const std::string& word) {
  return word == "--help" || word == "-h";
}

// The command's own words, apart from the options that may stand before and between them.
struct Split {
  Words words;  // up to the first option that not every command takes
  Words rest;   // everything else, in order
};

// The number of arguments of the option at `word`, itself included; 0 if it may only follow the
// verb.
std::size_t leading_length(const std::string& word) {
  for (const auto& option : global_options() + output_options(Output::listing)) {
    if (word.starts_with("--" + option.name + "=")) return 1;
    if (word == "--" + option.name || word == short_name(option))
      return option.takes_value() ? 2 : 1;
  }
  return 0;
}

Split split(const Words& arguments) {
  Split out;
  std::size_t i = 0;
  while (i < arguments.size()) {
    if (!arguments[i].starts_with('-')) {
      out.words.push_back(arguments[i++]);
      continue;
    }
    auto length = leading_length(arguments[i]);
    if (length == 0) break;
    for (; length > 0 && i < arguments.size(); --length) out.rest.push_back(arguments[i++]);
  }
  out.rest.insert(out.rest.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i),
                  arguments.end());
  return out;
}

const Noun* find_noun(const std::string& name) {
  for (const auto* noun : nouns())
    if (noun->name == name) return noun;
  return nullptr;
}

// Takes the noun's words off the front.
const Noun* take_noun(Words& words) {
  if (words.size() >= 2 && words[0] == "floating" && words[1] == "ip") {
    words.erase(words.begin());
    words.front() = "floating-ip";
  }
  const auto first = words.front() == "lb" ? "loadbalancer" : words.front();
  const auto* noun = find_noun(first);
  if (!noun) return nullptr;
  words.erase(words.begin());
  if (noun == &load_balancer_noun() && !words.empty()) {
    const auto* below = find_noun(words.front());
    if (below && below->under_loadbalancer) {
      words.erase(words.begin());
      return below;
    }
  }
  return noun;
}

// Takes the verb's one or two words off the front.
const Verb* take_verb(const Noun& noun, Words& words) {
  for (const auto& verb : noun.verbs) {
    if (verb.name.empty()) return &verb;
    const auto space = verb.name.find(' ');
    const bool two = space != std::string::npos;
    if (words.empty() || words[0] != verb.name.substr(0, space)) continue;
    if (two && (words.size() < 2 || words[1] != verb.name.substr(space + 1))) continue;
    words.erase(words.begin(), words.begin() + (two ? 2 : 1));
    return &verb;
  }
  return nullptr;
}

Words verb_names(const Noun& noun) {
  Words names;
  for (const auto& verb : noun.verbs) names.push_back(verb.name);
  return names;
}

// Splits "--name=", which scripts with an empty variable produce and the library refuses, into two
// words.
Words with_empty_values_apart(const Words& arguments) {
  Words out;
  for (auto word = arguments.begin(); word != arguments.end(); ++word) {
    if (*word == "--") {  // only positionals follow
      out.insert(out.end(), word, arguments.end());
      break;
    }
    const bool empty_value = word->starts_with("--") && word->find('=') == word->size() - 1;
    out.push_back(empty_value ? word->substr(0, word->size() - 1) : *word);
    if (empty_value) out.emplace_back();
  }
  return out;
}

tl::expected<Words, UsageError> parse_options(const Words& arguments, Invocation& invocation,
                                              const std::vector<Option>& options,
                                              const std::string& command) {
  po::options_description known;
  for (const auto& option : options) {
    const auto letter = short_name(option);  // "-f", which the library wants as "format,f"
    const auto name = letter.empty() ? option.name : option.name + "," + letter.back();
    if (option.takes_value()) {
      known.add_options()(name.c_str(), po::value<std::string>());
    } else {
      known.add_options()(name.c_str(), "");
    }
  }
  Words positionals;
  try {
    using namespace po::command_line_style;
    const auto parsed = po::command_line_parser(with_empty_values_apart(arguments))
                            .options(known)
                            .style(unix_style ^ allow_guessing)
                            .run();
    for (const auto& option : parsed.options) {
      if (option.string_key.empty()) {
        positionals.insert(positionals.end(), option.value.begin(), option.value.end());
      } else {
        auto& values = invocation.options[option.string_key];
        values.insert(values.end(), option.value.begin(), option.value.end());
      }
    }
  } catch (const po::unknown_option& error) {
    Words names;
    for (const auto& option : options) names.push_back("--" + option.name);
    const auto typed = error.get_option_name();
    return unknown("unknown option '" + typed + "'", typed, names, command);
  } catch (const po::error& error) {
    return usage(error.what(), command);
  }
  return positionals;
}

std::optional<std::string> assign_positionals(const Words& words, Invocation& invocation) {
  const auto& wanted = invocation.verb->positionals;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i >= wanted.size()) return "too many arguments: '" + words[i] + "'";
    if (words[i].empty()) return wanted[i].name + " is empty";
    invocation.positionals[wanted[i].name] = words[i];
  }
  if (words.size() < wanted.size() && !wanted[words.size()].is_optional)
    return wanted[words.size()].name + " is missing";
  return std::nullopt;
}

// Parses a line without noun and verb, which may only have --help or --version.
tl::expected<Invocation, UsageError> parse_without_command(const Words& rest) {
  Invocation invocation;
  const auto words = parse_options(rest, invocation, global_options(), "");
  if (!words) return tl::unexpected(words.error());
  invocation.request =
      invocation.has("version") ? Invocation::Request::version : Invocation::Request::help;
  if (!invocation.has("version") && !invocation.has("help"))
    return usage("a command is missing", "");
  return invocation;
}

}  // namespace

const std::vector<Option>& global_options() {
  static const std::vector<Option> options = {
      option(Kind::local, "socket", "PATH",
             "sluiced's socket (SLUICE_SOCKET; default /run/sluice/api.sock)"),
      option(Kind::local, "endpoint", "URL",
             "http[s]://HOST:PORT instead of the socket (SLUICE_ENDPOINT)"),
      option(Kind::local, "cacert", "FILE",
             "trust these certificates over https, not the system's (SLUICE_CACERT)"),
      option(Kind::local, "token", "TOKEN", "sent as X-Auth-Token (SLUICE_TOKEN)"),
      flag(Kind::local, "help", "what you are reading, at every level"),
      flag(Kind::local, "version", "the version of sluicectl"),
  };
  return options;
}

std::vector<Option> output_options(Output output) {
  if (output != Output::record && output != Output::listing) return {};
  std::vector<Option> options = {
      option(Kind::local, "format", "FORMAT", "table (default), value, json, yaml or csv"),
      option(Kind::local, "column", "COLUMN", "only this column (repeat for more)"),
  };
  if (output == Output::record) return options;
  return std::move(options) +
         std::vector<Option>{option(Kind::local, "sort-column", "COLUMN",
                                    "sort by this column (repeat for more, the first weighs most)"),
                             flag(Kind::local, "sort-ascending", "smallest first (default)"),
                             flag(Kind::local, "sort-descending", "largest first")};
}

std::string short_name(const Option& option) {
  // Commands that read a file print no tables.
  if (option.name == "format" || option.name == "file") return "-f";
  if (option.name == "column") return "-c";
  if (option.name == "help") return "-h";
  if (option.name == "write") return "-w";
  return {};
}

std::vector<Option> options_of(const Verb& verb) {
  return verb.options + global_options() + output_options(verb.output);
}

tl::expected<Invocation, UsageError> parse(const std::vector<std::string>& arguments) {
  auto [words, rest] = split(arguments);
  if (words.empty()) return parse_without_command(rest);
  const bool help = std::any_of(rest.begin(), rest.end(), is_help);

  Invocation invocation;
  const auto first = words.front();
  invocation.noun = take_noun(words);
  if (!invocation.noun) {
    Words known = {"lb"};
    for (const auto* noun : nouns()) known.push_back(noun->name);
    return unknown("unknown command '" + first + "'", first, known, "");
  }
  const auto& noun = *invocation.noun;
  invocation.verb = take_verb(noun, words);
  if (!invocation.verb) {
    if (words.empty() && help) {
      invocation.request = Invocation::Request::help;
      return invocation;
    }
    const auto known = verb_names(noun);
    if (words.empty())
      return usage(fmt::format("'{}' needs a verb: {}", noun.full_name(), fmt::join(known, ", ")),
                   noun.full_name());
    return unknown(fmt::format("unknown verb '{}' for '{}'", words.front(), noun.full_name()),
                   words.front(), known, noun.full_name());
  }

  const auto command = command_name(noun, *invocation.verb);
  const auto options = options_of(*invocation.verb);
  const auto more = parse_options(rest, invocation, options, command);
  if (!more) return tl::unexpected(more.error());
  if (invocation.has("help") || invocation.has("version")) {
    invocation.request =
        invocation.has("help") ? Invocation::Request::help : Invocation::Request::version;
    return invocation;
  }
  words.insert(words.end(), more->begin(), more->end());
  if (auto wrong = assign_positionals(words, invocation)) return usage(*wrong, command);
  if (auto wrong = problem(invocation)) return usage(*wrong, command);
  return invocation;
}

}  // namespace sluice::ctl
