// Grammar: parses the words of the command line into an Invocation.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "sluicectl/grammar/command.hpp"

namespace sluice::ctl {

// An invalid command line: exit code 2. The message ends with the help to read.
struct UsageError {
  std::string message;
};

// Options that every command takes: --socket, --endpoint, --token, --help, --version.
const std::vector<Option>& global_options();

// The options for printing a verb's answer: -f/--format and -c/--column of records and listings,
// and the sorting of listings.
std::vector<Option> output_options(Output output);

// The option's one-letter form with its dash; empty for most.
std::string short_name(const Option& option);

// All options that the verb understands.
std::vector<Option> options_of(const Verb& verb);

// `arguments` without the program's name.
tl::expected<Invocation, UsageError> parse(const std::vector<std::string>& arguments);

}  // namespace sluice::ctl
