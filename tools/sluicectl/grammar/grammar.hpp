// From the words of the command line to an Invocation: which noun, which verb, which options.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// A command line that makes no sense: exit code 2. Ends with where to read on.
struct UsageError {
  std::string message;
};

// Options that every command takes: --socket, --endpoint, --token, --help, --version.
const std::vector<Option>& global_options();

// How the verb's answer may be printed: -f/--format and -c/--column of records and listings, and
// what listings are sorted by.
std::vector<Option> output_options(Output output);

// The option's one-letter form with its dash; empty for most.
std::string short_name(const Option& option);

// All options that the verb understands.
std::vector<Option> options_of(const Verb& verb);

// `arguments` without the program's name.
tl::expected<Invocation, UsageError> parse(const std::vector<std::string>& arguments);

}  // namespace sluice::ctl
