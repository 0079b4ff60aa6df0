// Options: parsing with Boost.Program_options, help and error output for all verbs.
#pragma once

#include <boost/program_options.hpp>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "verbs.hpp"

namespace sluice::loader {

namespace po = boost::program_options;

enum ExitCode { done = 0, failed = 1, wrong_usage = 2 };

struct Help {
  const char* usage;     // "attach IF... [options]"
  const char* about;     // one sentence or two
  const char* examples;  // indented lines
};

// Parses the arguments; returns the exit code if --help was printed or the usage is wrong, which
// stderr tells. Adds --pin-dir and --help; with `takes_interfaces`, free arguments become the
// vector<string> "interface".
struct Parsed {
  po::variables_map values;
  std::optional<int> exit_code;

  std::string pin_directory() const { return values["pin-dir"].as<std::string>(); }
  std::vector<std::string> interfaces() const;
};
Parsed parse(const Arguments& arguments, const Help& help, po::options_description options,
             bool takes_interfaces);

// Prints one line on stderr; returns the exit code.
int fail_with(const Error& error);
int fail_usage(const std::string& what, const std::string& verb);

// "312 MiB"
std::string human_bytes(std::uint64_t bytes);

}  // namespace sluice::loader
